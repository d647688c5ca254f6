#include "ops/rnn_program.h"

#include <algorithm>

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/rnn.h"
#include "ops/gemm.h"
#include "ops/gemm_pack_cache.h"
#include "ops/half.h"
#include "ops/reduce.h"
#include "ops/rnn_shared.h"

namespace lamina {

std::vector<std::string> cell_op_names() {
#define LAMINA_CELL_OP_NAME(name, formula) #name,
  return {LAMINA_CELL_OPS(LAMINA_CELL_OP_NAME)};
#undef LAMINA_CELL_OP_NAME
}

namespace {

constexpr const char* kOp = "rnn_program";

// `rows`: slots in memory, before the constants.
void check_code(const CellCode& code, int rows) {
  check(code.code.dtype() == DType::i32 && code.code.contiguous() && code.code.ndim() == 2 &&
            code.code.size(1) == kProgramFields,
        kOp, ": code must be int32 of shape (instructions, ", kProgramFields, ")");
  check(code.constants.dtype() == DType::f64 && code.constants.contiguous() && code.constants.ndim() == 1, kOp,
        ": constants must be a row of float64");
  const std::int64_t constants = code.constants.size(0);
  check(constants <= kProgramRows && rows + kProgramRows <= kProgramSlots, kOp, ": the cell has too many ",
        constants <= kProgramRows ? "gates, states and parameters" : "constants");
  const std::int32_t* at = code.code.data<std::int32_t>();
  for (std::int64_t k = 0; k < code.code.size(0); ++k, at += kProgramFields) {
    check(at[0] >= 0 && at[0] < static_cast<int>(CellOp::count), kOp, ": unknown operation ", at[0]);
    for (int field = 1; field < kProgramFields; ++field)
      check(at[field] >= 0 && at[field] < rows + kProgramRows, kOp,
            ": the cell holds more values at once than there is room for (", kProgramRows, ")");
  }
}

// What a layer's forward leaves for its backward; from seen on, tensors may be undefined.
struct Saved {
  RnnCellRef cell;
  SavedTensor x, input_weight, recurrent_weight, blocks, states;
  SavedTensor seen, late_seen, parameters, scale, lengths, mask, moves[2];
  RnnProgramRun run;
};

CellProgram program_of(const CellCode& code) {
  if (!code.code.defined()) return {};
  return {code.code.data<std::int32_t>(), code.constants.data<double>(), static_cast<int>(code.code.size(0)),
          static_cast<int>(code.constants.size(0))};
}

std::int64_t units_of(const RnnCellDescription& cell, const RnnProgramArguments& a) {
  return a.recurrent_weight.size(1) / (1 + cell.shown);
}

void check_arguments(const RnnCellDescription& cell, const Tensor& x, const RnnProgramArguments& a) {
  check(x.ndim() == 3 && x.size(0) > 0, kOp,
        ": input must have shape (steps, batch, features) with at least one step, got ", x.shape());
  check_as(ErrorKind::type, is_floating(x.dtype()), kOp, " is not defined for ", name_of(x.dtype()));
  check(a.recurrent_weight.ndim() == 2 && a.recurrent_weight.size(1) > 0, kOp,
        ": the recurrent weight must have 2 dimensions, got shape ", a.recurrent_weight.shape());
  const std::int64_t T = x.size(0), B = x.size(1), H = units_of(cell, a);
  check_argument(kOp, "the input weight", a.input_weight, {cell.inputs * H, x.size(2)}, x);
  check_argument(kOp, "the recurrent weight", a.recurrent_weight,
                 {static_cast<std::int64_t>(cell.columns.size()) * H, (1 + cell.shown) * H}, x);
  check(a.parameters.defined() == (cell.parameters > 0), kOp, ": expected ", cell.parameters, " parameters");
  if (a.parameters.defined()) check_argument(kOp, "the parameters", a.parameters, {cell.parameters, H}, x);
  if (a.first.defined()) check_argument(kOp, "the first states", a.first, {cell.states, B, H}, x);
  if (a.probe.defined()) check_argument(kOp, "the probe", a.probe, {T, B, H}, x);
  if (a.mask.defined()) check_argument(kOp, "the mask", a.mask, {B, H}, x);
  for (int s = 0; s < 2; ++s) {
    check(a.rates[s] > 0 && a.rates[s] <= 1, kOp, ": rates must be in (0, 1], got ", a.rates[s]);
    check(s < cell.states || (a.rates[s] == 1 && !a.moves[s].defined()), kOp, ": the cell has one state");
    if (a.moves[s].defined()) check_argument(kOp, "the moves", a.moves[s], {T, B, H}, x);
  }
  check(a.eps >= 0, kOp, ": eps must not be negative, got ", a.eps);
  check_lengths(kOp, a.lengths, B);
}

// The slots of the first states: [states, B, H].
Tensor first_slot(const Tensor& states, bool reverse) { return select(states, 1, reverse ? states.size(1) - 1 : 0); }
Tensor final_slot(const Tensor& states, bool reverse) { return select(states, 1, reverse ? 0 : states.size(1) - 1); }
// What the gates see of the states, [T + 1, B, (1 + shown) H], with the first in its slot; undefined where it is h.
Tensor seen_states(const RnnCellDescription& cell, const Tensor& states, const Tensor& mask, bool reverse) {
  if (!cell.shown && !mask.defined()) return Tensor();
  const Tensor first = first_slot(states, reverse), h = select(first, 0, 0);
  const std::int64_t slots = states.size(1), B = states.size(2), H = states.size(3);
  const Tensor all = empty({slots, B, (1 + cell.shown) * H}, states.dtype(), states.device());
  const Tensor slot = select(all, 0, reverse ? slots - 1 : 0);
  write_copy(narrow(slot, 1, 0, H), mask.defined() ? mul(h, mask) : h);
  for (int k = 0; k < cell.shown; ++k)
    write_copy(narrow(slot, 1, (1 + k) * H, H), select(first, 0, cell.states - cell.shown + k));
  return all;
}
Tensor all_h(const Tensor& states) { return select(states, 0, 0); }

// The sweep back over a sequence, in stretches as in rnn.cpp.
class Sweep {
 public:
  Sweep(const Saved& s, const Tensor& dy, const Tensor& dlast, const Tensor& every) : s_(s), every_(every) {
    const RnnCellDescription& cell = *s.cell;
    const Tensor blocks = s.blocks.get();
    const RnnTable& table = kernels(blocks.device()).rnn;
    const std::int64_t B = s.run.batch, H = s.run.units;
    const auto fresh = [&](const Dims& shape) { return empty(shape, blocks.dtype(), blocks.device()); };
    dstates = fresh({cell.states, B, H});
    if (dlast.defined())
      write_copy(dstates, dlast);
    else
      write_fill(dstates, Scalar(0.0));
    dparameters = zeros({table.row_blocks(B), cell.parameters, H}, blocks);
    if (s.run.moves[0] || s.run.moves[1] || s.run.rates[0] != 1 || s.run.rates[1] != 1)
      stays_ = fresh({cell.states, B, H});
    if (cell.late) dlate_seen_ = fresh({B, H});
    dy_ = !dy.defined() || dy.strides()[2] == 1 || H == 1 ? dy : contiguous(dy);
    packed_ =
        empty({static_cast<std::int64_t>(table.program_packed_bytes(blocks.dtype(), H, s.run.gates, 1 + cell.shown))},
              DType::u8, blocks.device());
    length_ = stretch_of(s.run.steps, B, blocks.device());
    dblocks_ = fresh({length_, B, cell.stored * H});
  }

  // body(first time, steps, gradients of the blocks [rows, stored H], is it the first stretch?)
  template <class Body>
  void run(Body body) {
    const std::int64_t T = s_.run.steps;
    for (std::int64_t done = 0; done < T;) {
      const std::int64_t steps = std::min(length_, T - done), first = s_.run.reverse ? done : T - done - steps;
      const Tensor dblocks = narrow(dblocks_, 0, 0, steps);
      launch(first, dblocks, done > 0);
      body(first, steps, view(dblocks, {steps * s_.run.batch, dblocks.size(2)}), done == 0);
      done += steps;
    }
  }

  Tensor dstates;      // [states, B, H], at last of the first ones
  Tensor dparameters;  // [row blocks, parameters, H]

 private:
  void launch(std::int64_t first, const Tensor& dblocks, bool is_packed) const {
    const std::int64_t steps = dblocks.size(0);
    // Asked for again: a recording of the backward alone holds what it sees asked for.
    const auto data = [](const SavedTensor& t, const void* there) { return there ? t.get().data() : nullptr; };
    const auto part = [&](const SavedTensor& t, const void* there, std::int64_t more) {
      return there ? narrow(t.get(), 0, first, steps + more).data() : nullptr;
    };
    RnnProgramGradRun run{};
    run.forward = s_.run;
    run.forward.first_time = first;
    run.forward.steps = steps;
    run.forward.program = program_of(s_.cell->backward);
    run.forward.early = program_of(s_.cell->early_backward);
    run.forward.weight = s_.recurrent_weight.get().data();
    run.forward.packed = packed_.data();
    run.forward.is_packed = is_packed;
    run.forward.blocks = part(s_.blocks, s_.run.blocks, 0);
    run.forward.states = narrow(s_.states.get(), 1, first, steps + 1).data();
    run.forward.seen = part(s_.seen, s_.run.seen, 1);
    run.forward.late_seen = part(s_.late_seen, s_.run.late_seen, 0);
    run.forward.unit = data(s_.parameters, s_.run.unit);
    run.forward.scale = part(s_.scale, s_.run.scale, 0);
    run.forward.mask = data(s_.mask, s_.run.mask);
    for (int k = 0; k < 2; ++k) run.forward.moves[k] = part(s_.moves[k], s_.run.moves[k], 0);
    run.forward.lengths = static_cast<const std::int64_t*>(data(s_.lengths, s_.run.lengths));
    run.dblocks = dblocks.data();
    const Tensor rows = dy_.defined() ? narrow(dy_, 0, first, steps) : dy_;
    run.dy = data_or_null(rows);
    run.dy_step = rows.defined() ? rows.strides()[0] : 0;
    run.dy_row = rows.defined() ? rows.strides()[1] : 0;
    run.every = every_.defined() ? narrow(every_, 0, first, steps).data() : nullptr;
    run.dstates = dstates.data();
    run.dlate_seen = data_or_null(dlate_seen_);
    run.stays = data_or_null(stays_);
    run.dparameters = dparameters.data();
    const auto kernel = kernels(dblocks.device()).rnn.program_backward[static_cast<int>(dblocks.dtype())];
    current_stream().launch(require(kernel, kOp, dblocks.device()), run);
  }

  const Saved& s_;
  const Tensor every_;
  Tensor dlate_seen_, stays_, dy_, packed_, dblocks_;
  std::int64_t length_;
};

void give_recurrent_gradient(const Saved& s, const Tensor& dw, const Tensor& dblocks, std::int64_t first,
                             std::int64_t steps, bool fresh) {
  const std::int64_t H = s.run.units;
  const auto rows = [&](const Tensor& t) { return view(narrow(t, 0, first, steps), {dblocks.size(0), t.size(2)}); };
  const Tensor seen = rows(slots_before(s.run.seen ? s.seen.get() : all_h(s.states.get()), s.run.reverse));
  const auto give = [&](int from, int to, const Tensor& factor) {
    for (int g = from; g < to;) {  // gates whose blocks lie side by side, as one product
      int end = g + 1;
      while (end < to && s.run.columns[end] == s.run.columns[end - 1] + 1) ++end;
      give_product(narrow(dw, 0, g * H, (end - g) * H),
                   transpose(narrow(dblocks, 1, s.run.columns[g] * H, (end - g) * H), 0, 1), factor, fresh);
      g = end;
    }
  };
  const int early = s.run.gates - s.run.late;
  give(0, early, seen);
  if (s.run.late) give(early, s.run.gates, rows(s.late_seen.get()));
}

constexpr int kProgramForm = 1 + kRnnCells;  // after those of the built-in cells; then by what is shown

void pack_gates(void* packed, PackSource s) {
  const int seen = s.form - kProgramForm + 1;
  const std::int64_t units = s.cols / seen;
  kernels(s.device).rnn.program_pack[static_cast<int>(s.dtype)](packed, s.data, units, static_cast<int>(s.rows / units),
                                                                seen);
}

}  // namespace

RnnCellRef rnn_cell(RnnCellDescription d) {
  check(d.columns.size() <= kProgramGates && d.states <= kProgramStates, kOp, ": a cell has at most ", kProgramGates,
        " gates and ", kProgramStates, " states, got ", d.columns.size(), " and ", d.states);
  check(d.inputs >= 0 && d.inputs <= d.stored && d.stored > 0 && d.states > 0 && d.parameters >= 0, kOp,
        ": a cell needs gates and states");
  for (const int column : d.columns) check(column >= 0 && column < d.stored, kOp, ": no block ", column);
  check(d.shown >= 0 && d.shown < d.states && d.late >= 0 && d.late <= static_cast<int>(d.columns.size()) &&
            (d.shown == 0 || d.late == 0),
        kOp, ": a cell shows states to all its gates or has gates of a second stage");
  check_code(d.forward, d.stored + 2 * d.states + d.parameters);
  check_code(d.backward, 2 * (d.stored + d.states + d.parameters));
  if (d.late) {
    check_code(d.early, d.stored + d.states + d.parameters + 1);
    check_code(d.early_backward, 2 * (d.stored + d.states + d.parameters) + 1);
  }
  return std::make_shared<const RnnCellDescription>(std::move(d));
}

namespace {

// Of arguments that have been checked, in float32 or float64.
RnnProgramStates run_program(const RnnCellRef& cell, const Tensor& input, const RnnProgramArguments& a,
                             bool of_halves) {
  bool recorded = needs_grad(input, a.input_weight, a.recurrent_weight);
  for (const Tensor& t : {a.parameters, a.first, a.probe}) recorded = recorded || (t.defined() && needs_grad(t));
  RnnProgramStates out;
  Saved s;
  {
    const GradMode off(false);
    const auto as_rows = [](const Tensor& t) { return t.defined() ? contiguous(t) : Tensor(); };
    const std::int64_t T = input.size(0), B = input.size(1), H = units_of(*cell, a);
    const Tensor x = contiguous(input), recurrent = contiguous(a.recurrent_weight), parameters = as_rows(a.parameters),
                 mask = as_rows(a.mask), moves[2] = {as_rows(a.moves[0]), as_rows(a.moves[1])};
    const auto fresh = [&](const Dims& shape) { return empty(shape, x.dtype(), x.device()); };
    const RnnTable& table = kernels(x.device()).rnn;
    const Tensor blocks = fresh({T, B, cell->stored * H}), states = fresh({cell->states, T + 1, B, H});
    if (cell->inputs)
      write_product(gate_columns(blocks, H, 0, cell->inputs), view(x, {T * B, x.size(2)}),
                    transpose(a.input_weight, 0, 1));
    const Tensor first = first_slot(states, a.reverse);
    if (a.first.defined())
      write_copy(first, a.first);
    else
      write_fill(first, Scalar(0.0));
    const Tensor seen = seen_states(*cell, states, mask, a.reverse),
                 late_seen = cell->late ? fresh({T, B, H}) : Tensor();
    const Tensor scale = a.eps > 0 ? fresh({T, B, cell->stored}) : Tensor();
    const int gates = static_cast<int>(cell->columns.size());
    const std::size_t bytes = table.program_packed_bytes(x.dtype(), H, gates, 1 + cell->shown);
    const Tensor kept = recorded ? Tensor() : kept_packed(recurrent, bytes, pack_gates, kProgramForm + cell->shown);
    const Tensor packed = kept.defined() ? kept : empty({static_cast<std::int64_t>(bytes)}, DType::u8, x.device());

    RnnProgramRun run{};
    run.is_packed = kept.defined();
    run.steps = T, run.batch = B, run.units = H;
    run.reverse = a.reverse, run.of_halves = of_halves;
    run.gates = gates, run.inputs = cell->inputs, run.stored = cell->stored;
    run.state_count = cell->states, run.parameters = cell->parameters;
    run.shown = cell->shown, run.late = cell->late;
    for (int g = 0; g < gates; ++g) run.columns[g] = cell->columns[static_cast<std::size_t>(g)];
    run.program = program_of(cell->forward), run.early = program_of(cell->early);
    run.weight = recurrent.data(), run.packed = packed.data();
    run.blocks = blocks.data(), run.states = states.data();
    run.state_stride = (T + 1) * B * H;
    run.seen = data_or_null(seen), run.late_seen = data_or_null(late_seen), run.mask = data_or_null(mask);
    run.unit = data_or_null(parameters);
    run.scale = data_or_null(scale), run.eps = a.eps;
    for (int k = 0; k < 2; ++k) run.rates[k] = a.rates[k], run.moves[k] = data_or_null(moves[k]);
    run.lengths = a.lengths.defined() ? a.lengths.data<std::int64_t>() : nullptr;
    current_stream().launch(require(table.program_forward[static_cast<int>(x.dtype())], kOp, x.device()), run);

    out.y = slots_after(all_h(states), a.reverse);
    if (a.lengths.defined()) out.y = where(running(a.lengths, T), out.y, Arg(Scalar(0.0)));
    out.last = clone(final_slot(states, a.reverse));
    if (recorded) {
      const auto keep = [](const Tensor& t) { return t.defined() ? save_output(t) : SavedTensor(); };
      run.packed = nullptr;
      s = Saved{cell,
                keep(x),
                keep(a.input_weight),
                keep(recurrent),
                keep(blocks),
                keep(states),
                keep(seen),
                keep(late_seen),
                keep(parameters),
                keep(scale),
                keep(a.lengths),
                keep(mask),
                {keep(moves[0]), keep(moves[1])},
                run};
    }
  }
  if (!recorded) return out;

  record(kOp, {out.y, out.last}, {input, a.input_weight, a.recurrent_weight, a.parameters, a.first, a.probe},
         [s = std::move(s)](Gradients& g) {
           const Tensor x = s.x.get();
           const auto fresh = [&](const Dims& shape) { return empty(shape, x.dtype(), x.device()); };
           const Tensor dx = g.wants(0) ? fresh(x.shape()) : Tensor();
           const Tensor dw = g.wants(1) ? fresh(s.input_weight.get().shape()) : Tensor();
           const Tensor du = g.wants(2) ? fresh(s.recurrent_weight.get().shape()) : Tensor();
           const Tensor every = g.wants(5) ? fresh({s.run.steps, s.run.batch, s.run.units}) : Tensor();
           Sweep sweep(s, g.of_output(0), g.of_output(1), every);
           sweep.run([&](std::int64_t first, std::int64_t steps, const Tensor& dblocks, bool begins) {
             const Tensor from_input = narrow(dblocks, 1, 0, s.run.inputs * s.run.units);
             const auto rows = [&](const Tensor& t) {
               return view(narrow(t, 0, first, steps), {dblocks.size(0), t.size(2)});
             };
             if (dx.defined()) write_product(rows(dx), from_input, s.input_weight.get());
             if (dw.defined()) give_product(dw, transpose(from_input, 0, 1), rows(x), begins);
             if (du.defined()) give_recurrent_gradient(s, du, dblocks, first, steps, begins);
           });
           const Tensor parameters = g.wants(3) ? sum(sweep.dparameters, Dims{0}) : Tensor();
           const Tensor gradients[] = {dx, dw, du, parameters, sweep.dstates, every};
           for (int i = 0; i < 6; ++i)
             if (g.wants(i)) g.give(i, gradients[i]);
         });
  return out;
}

}  // namespace

RnnProgramStates rnn_program(const RnnCellRef& cell, const Tensor& input, const RnnProgramArguments& a) {
  check_arguments(*cell, input, a);
  if (!is_half(input)) return run_program(cell, input, a, false);
  RnnProgramArguments wide = a;
  for (Tensor* t : {&wide.input_weight, &wide.recurrent_weight, &wide.parameters, &wide.first, &wide.moves[0],
                    &wide.moves[1], &wide.mask, &wide.probe})
    *t = widened(*t);
  const RnnProgramStates out = run_program(cell, widened(input), wide, true);
  return {narrowed(out.y, input.dtype()), narrowed(out.last, input.dtype())};
}

}  // namespace lamina
