#include "ops/rnn.h"

#include <algorithm>

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/rnn.h"
#include "ops/gemm.h"
#include "ops/gemm_pack_cache.h"
#include "ops/half.h"
#include "ops/index.h"
#include "ops/index_positions.h"
#include "ops/place_of_gradient.h"
#include "ops/reduce.h"
#include "ops/rnn_shared.h"

namespace lamina {

const char* name_of(RnnCell cell) {
  constexpr const char* names[kRnnCells] = {"rnn_tanh", "rnn_relu",         "lstm", "lstm_variant", "lstm_full",
                                            "gru",      "gru_reset_before", "mut1", "mut2",         "mut3"};
  return names[static_cast<int>(cell)];
}

RnnCell rnn_cell_named(const std::string& name) {
  for (int i = 0; i < kRnnCells; ++i)
    if (name == name_of(static_cast<RnnCell>(i))) return static_cast<RnnCell>(i);
  fail(ErrorKind::value, "rnn: unknown cell '", name, "'");
}

namespace {

std::int64_t units_of(RnnCell cell, const RnnWeights& w) {
  return w.projection.defined() ? w.projection.size(1) : w.recurrent.size(1) / layout_of(cell).seen;
}

// Gates with a weight for the input: all, or all but the one that is given the input itself.
struct Weighted {
  int first, count;
  explicit Weighted(const RnnLayout& layout)
      : first(layout.raw == 0 ? 1 : 0), count(layout.inputs - (layout.raw >= 0 ? 1 : 0)) {}
};

// The features of the input: it, or the table that it names rows of.
const Tensor& features_of(const Tensor& x, const RnnWeights& w) { return w.table.defined() ? w.table : x; }

void check_transition(const char* op, const RnnLayout& layout, const RnnTransition& t, const Dims& every_step,
                      const Tensor& x) {
  check(t.h_rate > 0 && t.h_rate <= 1, op, ": leak must be in (0, 1], got ", t.h_rate);
  check(t.c_rate > 0 && t.c_rate <= 1, op, ": the cell's rate must be in (0, 1], got ", t.c_rate);
  check(layout.cell || (t.c_rate == 1 && !t.c_moves.defined()), op, " has no cell state");
  if (t.h_moves.defined()) check_argument(op, "the moves of h", t.h_moves, every_step, x);
  if (t.c_moves.defined()) check_argument(op, "the moves of c", t.c_moves, every_step, x);
  if (t.probe.defined()) check_argument(op, "the probe", t.probe, every_step, x);
  if (t.mask.defined()) check_argument(op, "the mask", t.mask, {every_step[1], every_step[2]}, x);
}

void check_projection(const char* op, const RnnLayout& layout, const RnnTransition& t, const Tensor& projection,
                      const Tensor& x) {
  check(layout.cell, op, " has no projected state");
  check_as(ErrorKind::runtime, x.device() == Device(), op, " has no CUDA kernel for a projected state");
  check(projection.ndim() == 2 && projection.size(0) > 0 && projection.size(0) < projection.size(1), op,
        ": the projection must have 2 dimensions, fewer rows than columns, got shape ", projection.shape());
  check_argument(op, "the projection", projection, projection.shape(), x);
  check(t.h_rate == 1 && !t.h_moves.defined() && !t.mask.defined() && !t.probe.defined(), op,
        ": a projected state takes no rate, moves, mask or probe");
}

void check_input(const char* op, const RnnLayout& layout, const Tensor& x, const RnnWeights& w) {
  if (w.table.defined()) {
    check(layout.raw < 0, op, " adds the input to its gates and takes no table of it");
    check(w.table.ndim() == 2, op, ": the table must have 2 dimensions, got shape ", w.table.shape());
    check(x.ndim() == 2, op, ": input must have 2 dimensions (steps, batch), got shape ", x.shape());
    check_as(ErrorKind::type, x.dtype() == DType::i64, op, ": input must be int64, got ", name_of(x.dtype()));
    check(x.device() == w.table.device(), op, ": the input is on ", x.device(), ", the table on ", w.table.device());
  } else {
    check(x.ndim() == 3, op, ": input must have 3 dimensions (steps, batch, features), got shape ", x.shape());
  }
  check(x.size(0) > 0, op, ": a sequence needs at least one step, got input of shape ", x.shape());
}

void check_arguments(RnnCell cell, const Tensor& input, const RnnWeights& w, const Tensor& h, const Tensor& c,
                     const Tensor& lengths, std::uint32_t options) {
  const char* op = name_of(cell);
  const RnnLayout layout = layout_of(cell);
  check_input(op, layout, input, w);
  const Tensor& x = features_of(input, w);
  check_as(ErrorKind::type, is_floating(x.dtype()), op, " is not defined for ", name_of(x.dtype()));
  check(w.recurrent.ndim() == 2 && w.recurrent.size(1) > 0, op,
        ": the recurrent weight must have 2 dimensions, got shape ", w.recurrent.shape());
  const std::int64_t B = input.size(1), H = units_of(cell, w), recurrent = (layout.first + layout.second) * H;
  const std::int64_t features = x.size(x.ndim() - 1);
  const std::int64_t weighted = Weighted(layout).count * H;
  const std::int64_t state = w.projection.defined() ? w.projection.size(0) : H;
  check(layout.seen == 1 || layout.second == 0 || w.second.defined(), op, ": expected a second recurrent weight");
  check_argument(op, "the recurrent weight", w.recurrent,
                 {w.second.defined() ? layout.first * H : recurrent, state + (layout.seen - 1) * H}, x);
  if (w.second.defined()) check_argument(op, "the second recurrent weight", w.second, {layout.second * H, H}, x);
  check_argument(op, "the input weight", w.input, {weighted, features}, x);
  check(layout.raw < 0 || features == H, op, " adds the input to its gates, so it must have their ", H,
        " features, got ", features);
  check(w.input_bias.defined() == w.recurrent_bias.defined(), op, ": expected both biases or neither");
  if (w.input_bias.defined()) {
    check_argument(op, "the input bias", w.input_bias, {weighted}, x);
    check_argument(op, "the recurrent bias", w.recurrent_bias, {recurrent}, x);
  }
  check(w.peephole.defined() == ((options & kPeephole) != 0), op, ": peephole weights go with peepholes");
  if (w.peephole.defined()) check_argument(op, "the peephole weight", w.peephole, {3, H}, x);
  if (h.defined()) check_argument(op, "the first h", h, {B, state}, x);
  if (c.defined()) {
    check(layout.cell, op, " has no cell state");
    check_argument(op, "the first c", c, {B, H}, x);
  }
  check_lengths(op, lengths, B);
}

// What the input adds to every gate of every step.
void project_input(RnnCell cell, const Tensor& gates, const Tensor& x, const RnnWeights& w) {
  const RnnLayout layout = layout_of(cell);
  const Weighted weighted(layout);
  const std::int64_t H = units_of(cell, w);
  const Tensor rows = view(x, {x.size(0) * x.size(1), x.size(2)});
  write_product(gate_columns(gates, H, weighted.first, weighted.count), rows, transpose(w.input, 0, 1));
  if (layout.raw >= 0) write_copy(gate_columns(gates, H, layout.raw, 1), rows);
}

// The same for each row of the table: [words, inputs H].
Tensor shares_of_table(RnnCell cell, const RnnWeights& w) {
  const Tensor shares =
      empty({w.table.size(0), layout_of(cell).inputs * units_of(cell, w)}, w.table.dtype(), w.table.device());
  write_product(shares, w.table, transpose(w.input, 0, 1));
  return shares;
}

// Both biases in one, as the cell adds them: [inputs H], or undefined.
Tensor shared_bias(RnnCell cell, const RnnWeights& w) {
  if (!w.input_bias.defined()) return Tensor();
  const RnnLayout layout = layout_of(cell);
  const Weighted weighted(layout);
  const std::int64_t H = units_of(cell, w);
  const int recurrent = layout.first + layout.second - (layout.bias_apart ? 1 : 0);
  if (weighted.count == layout.inputs && recurrent == layout.inputs) return add(w.input_bias, w.recurrent_bias);
  const Tensor bias = zeros({layout.inputs * H}, w.input_bias);
  write_copy(narrow(bias, 0, weighted.first * H, weighted.count * H), w.input_bias);
  for (int g = 0; g < recurrent; ++g) {
    const Tensor part = narrow(bias, 0, layout.columns[g] * H, H);
    write_copy(part, add(part, narrow(w.recurrent_bias, 0, g * H, H)));
  }
  return bias;
}

// Parameters of single units as the cell wants them: [unit, H], or undefined.
Tensor unit_parameters(RnnCell cell, const RnnWeights& w) {
  const RnnLayout layout = layout_of(cell);
  if (layout.bias_apart && w.recurrent_bias.defined()) {
    const std::int64_t H = units_of(cell, w);
    return contiguous(narrow(w.recurrent_bias, 0, (layout.first + layout.second - 1) * H, H));
  }
  return w.peephole.defined() ? contiguous(w.peephole) : Tensor();
}

// What the gates see of the states, [T + 1, B, depth], with the first in its slot; undefined where it is h itself.
Tensor seen_states(const RnnLayout& layout, const Tensor& h, const Tensor& mask, bool reverse) {
  if (layout.seen == 1 && !mask.defined()) return Tensor();
  const std::int64_t H = h.size(2), first = reverse ? h.size(0) - 1 : 0;
  const Tensor all = empty({h.size(0), h.size(1), layout.seen * H}, h.dtype(), h.device());
  const Tensor slot = select(all, 0, first), state = select(h, 0, first);
  write_fill(slot, Scalar(0.0));
  const Tensor masked = mask.defined() ? mul(state, mask) : state;
  write_copy(narrow(slot, 1, 0, H), masked);
  if (layout.seen == 2) write_copy(narrow(slot, 1, H, H), unary(UnaryOp::tanh, masked));
  return all;
}
// The same of projected states: first the projection, then what the cell shows beside h.
Tensor seen_projections(const Tensor& first, const Dims& shape, bool reverse, const Tensor& like) {
  const Tensor all = empty(shape, like.dtype(), like.device());
  const Tensor slot = select(all, 0, reverse ? shape[0] - 1 : 0);
  write_fill(slot, Scalar(0.0));
  if (first.defined()) write_copy(narrow(slot, 1, 0, first.size(1)), first);
  return all;
}

// [T + 1, B, H] with the first state in its slot.
Tensor states(const Tensor& first, const Dims& shape, bool reverse, const Tensor& like) {
  const Tensor all = empty(shape, like.dtype(), like.device());
  const Tensor slot = select(all, 0, reverse ? shape[0] - 1 : 0);
  if (first.defined())
    write_copy(slot, first);
  else
    write_fill(slot, Scalar(0.0));
  return all;
}
// Everything a layer's forward leaves for its backward.
struct Saved {
  RnnCell cell;
  SavedTensor x, input_weight, recurrent_weight, second_weight;
  SavedTensor gates, h, c, seen, masked, unit, lengths;  // from c on, these may be undefined
  SavedTensor h_moves, c_moves, mask, table, projection;
  RnnRun run;
};

Tensor get_if(const void* there, const SavedTensor& t) { return there ? t.get() : Tensor(); }

// Some consecutive times of what was saved.
struct Stretch {
  RnnCell cell;
  std::int64_t first, steps;
  Tensor x, gates, h, c, seen, masked, h_moves, c_moves;  // states: a slot more than steps

  Stretch(const Saved& s, std::int64_t first, std::int64_t steps) : cell(s.cell), first(first), steps(steps) {
    const auto part = [&](const SavedTensor& t, bool there, std::int64_t more) {
      return there ? narrow(t.get(), 0, first, steps + more) : Tensor();
    };
    x = part(s.x, true, 0), gates = part(s.gates, true, 0), masked = part(s.masked, s.run.masked, 0);
    h = part(s.h, true, 1), c = part(s.c, s.run.c, 1), seen = part(s.seen, s.run.seen, 1);
    h_moves = part(s.h_moves, s.run.h_moves, 0), c_moves = part(s.c_moves, s.run.c_moves, 0);
  }
};

// The sweep back over a sequence, stretch by stretch.
class Sweep {
 public:
  Sweep(const Saved& s, const Tensor& dy, const Tensor& dh_last, const Tensor& dc_last, const Tensor& every)
      : s_(s), layout_(layout_of(s.cell)), every_(every) {
    const Tensor gates = s.gates.get();
    const RnnTable& table = kernels(gates.device()).rnn;
    const auto begin = [&](const Tensor& t, std::int64_t features) {
      const Tensor fresh = empty({s.run.batch, features}, gates.dtype(), gates.device());
      if (t.defined())
        write_copy(fresh, t);
      else
        write_fill(fresh, Scalar(0.0));
      return fresh;
    };
    dh = begin(dh_last, s.run.features());
    if (layout_.cell) dc = begin(dc_last, s.run.units);
    dy_ = !dy.defined() || dy.strides()[2] == 1 || s.run.features() == 1 ? dy : contiguous(dy);
    const auto work_space = [&](std::size_t bytes) {
      return empty({static_cast<std::int64_t>(bytes)}, DType::u8, gates.device());
    };
    packed_ = work_space(table.packed_bytes(s.cell, gates.dtype(), s.run.units, s.run.projected));
    returned_ = work_space(table.returned_bytes(s.cell, gates.dtype(), s.run.batch, s.run.units, s.run.projected));
    // What a cell shows beside h is not carried over.
    length_ = layout_.seen > 1 ? s.run.steps
                               : stretch_of(s.run.steps, s.run.batch, gates.device(),
                                            layout_.remade() ? kStretchRowsRemade : kStretchRows);
    dgates_ = empty({length_, s.run.batch, layout_.gradients * s.run.units}, gates.dtype(), gates.device());
    if (s.run.projected) dprojected_ = empty({length_, s.run.batch, s.run.projected}, gates.dtype(), gates.device());
  }

  // body(stretch, gradients of its gates [rows, gradients H] and of its projected states [rows, features] or undefined,
  // is it the first?) for all stretches on the way back.
  template <class Body>
  void run(Body body) {
    const std::int64_t T = s_.run.steps;
    for (std::int64_t done = 0; done < T;) {
      const std::int64_t steps = std::min(length_, T - done), first = s_.run.reverse ? done : T - done - steps;
      const Stretch stretch(s_, first, steps);
      const Tensor dgates = narrow(dgates_, 0, 0, steps);
      const Tensor rows = view(dgates, {steps * s_.run.batch, dgates.size(2)});
      if (layout_.remade()) remake(stretch, rows);
      launch(stretch, dgates, done > 0);
      const Tensor projected =
          s_.run.projected ? view(narrow(dprojected_, 0, 0, steps), {rows.size(0), s_.run.projected}) : Tensor();
      body(stretch, rows, projected, done == 0);
      done += steps;
    }
  }

  Tensor dh, dc;  // at last: of the first states

 private:
  // The product that a cell uses apart takes less time than a block of it for every step would take memory.
  void remake(const Stretch& part, const Tensor& dgates) const {
    const std::int64_t H = s_.run.units;
    const Tensor seen = slots_before(part.seen.defined() ? part.seen : part.h, s_.run.reverse);
    const Tensor weight = narrow(s_.recurrent_weight.get(), 0, (layout_.first - 1) * H, H);
    write_product(narrow(dgates, 1, layout_.inputs * H, H), view(seen, {dgates.size(0), H}), transpose(weight, 0, 1));
  }
  void launch(const Stretch& part, const Tensor& dgates, bool is_packed) const {
    const Tensor weight = s_.recurrent_weight.get(), projection = s_.run.projected ? s_.projection.get() : Tensor(),
                 second = s_.run.projected ? projection : get_if(s_.run.second, s_.second_weight),
                 unit = get_if(s_.run.unit, s_.unit), lengths = get_if(s_.run.lengths, s_.lengths),
                 mask = get_if(s_.run.mask, s_.mask);
    RnnGradRun run{};
    run.forward = s_.run;
    run.forward.first_time = part.first;
    run.forward.steps = part.steps;
    // Asked for again: a recording of the backward alone holds what it sees asked for.
    run.forward.weight = weight.data();
    run.forward.packed = packed_.data();
    run.forward.is_packed = is_packed;
    run.forward.gates = part.gates.data();
    run.forward.h = part.h.data();
    run.forward.c = data_or_null(part.c);
    run.forward.second = data_or_null(second);
    run.forward.seen = data_or_null(part.seen);
    run.forward.masked = data_or_null(part.masked);
    run.forward.mask = data_or_null(mask);
    run.forward.h_moves = data_or_null(part.h_moves);
    run.forward.c_moves = data_or_null(part.c_moves);
    run.forward.unit = data_or_null(unit);
    run.forward.lengths = lengths.defined() ? lengths.data<std::int64_t>() : nullptr;
    run.dgates = dgates.data();
    const Tensor rows = dy_.defined() ? narrow(dy_, 0, part.first, part.steps) : dy_;
    run.dy = data_or_null(rows);
    run.dy_step = rows.defined() ? rows.strides()[0] : 0;
    run.dy_row = rows.defined() ? rows.strides()[1] : 0;
    run.dh = dh.data();
    run.dc = data_or_null(dc);
    run.dprojected = data_or_null(dprojected_);
    run.returned = returned_.data();
    run.every = every_.defined() ? narrow(every_, 0, part.first, part.steps).data() : nullptr;
    const auto kernel =
        kernels(dgates.device()).rnn.backward[static_cast<int>(s_.cell)][static_cast<int>(dgates.dtype())];
    current_stream().launch(require(kernel, name_of(s_.cell), dgates.device()), run);
  }

  const Saved& s_;
  const RnnLayout layout_;
  const Tensor every_;
  Tensor dy_, packed_, returned_, dgates_, dprojected_;
  std::int64_t length_;
};

// Recurrent gates [from, to) of the gradient, side by side where they lie side by side.
template <class Body>
void for_each_run_of_gates(const RnnLayout& layout, int from, int to, Body body) {
  for (int g = from; g < to;) {
    int end = g + 1;
    while (end < to && layout.columns[end] == layout.columns[end - 1] + 1) ++end;
    body(g, layout.columns[g], end - g);
    g = end;
  }
}

// Of the gates [from, to): what they saw times their gradients.
void give_recurrent_gradient(const RnnLayout& layout, const Tensor& dw, const Tensor& dgates, const Tensor& factor,
                             int from, int to, std::int64_t H, bool fresh) {
  for_each_run_of_gates(layout, from, to, [&](int gate, int column, int count) {
    give_product(narrow(dw, 0, (gate - from) * H, count * H), transpose(narrow(dgates, 1, column * H, count * H), 0, 1),
                 view(factor, {dgates.size(0), factor.size(2)}), fresh);
  });
}

// The gradients of a layer's parameters, summed over stretches. Undefined: not wanted.
struct ParameterGradients {
  Tensor input, first, second, input_bias, recurrent_bias, peephole, table, projection;

  ParameterGradients(const Saved& s, Gradients& g, bool second_apart, bool peepholes) : second_apart_(second_apart) {
    const RnnLayout layout = layout_of(s.cell);
    const Tensor w = s.input_weight.get();
    const std::int64_t H = s.run.units, gates = layout.first + layout.second;
    const auto fresh = [&](const Dims& shape) { return empty(shape, w.dtype(), w.device()); };
    const RnnRun& run = s.run;
    const auto place = [&](int input, const Dims& shape) {
      return place_of_gradient(
          g, input, shape,
          {w, s.x.get(), s.recurrent_weight.get(),
           s.run.projected ? s.projection.get() : get_if(run.second, s.second_weight), get_if(run.shares, s.table),
           get_if(run.mask, s.mask), get_if(run.h_moves, s.h_moves), get_if(run.c_moves, s.c_moves)});
    };
    if (g.wants(1)) input = place(1, w.shape());
    if (run.shares && g.wants(10)) table = place(10, s.table.get().shape());
    if (run.shares && (g.wants(1) || g.wants(10))) shares_ = zeros({s.table.get().size(0), layout.inputs * H}, w);
    if (g.wants(2) || g.wants(3)) {
      const Dims shape{(second_apart ? layout.first : gates) * H, s.recurrent_weight.get().size(1)};
      first = g.wants(2) ? place(2, shape) : fresh(shape);
      if (second_apart) second = fresh({layout.second * H, H});
    }
    if (g.wants(4)) input_bias = place(4, {Weighted(layout).count * H});
    if (g.wants(5)) recurrent_bias = place(5, {gates * H});
    if (peepholes && g.wants(6)) peephole = fresh({3, H});
    if (run.projected && g.wants(11)) projection = place(11, {run.projected, H});
  }

  void add(const Saved& s, const Stretch& part, const Tensor& dgates, const Tensor& dprojected, bool fresh) const {
    const RnnLayout layout = layout_of(s.cell);
    const Weighted weighted(layout);
    const std::int64_t H = s.run.units;
    const Tensor from_input = narrow(dgates, 1, weighted.first * H, weighted.count * H);
    if (shares_.defined())
      index_add_(shares_, 0, view(part.x, {dgates.size(0)}), from_input, Scalar(1.0));
    else if (input.defined())
      give_product(input, transpose(from_input, 0, 1), view(part.x, {dgates.size(0), part.x.size(2)}), fresh);
    if (first.defined()) add_recurrent(s, part, dgates, fresh);
    const Tensor sums = input_bias.defined() ? sum(from_input, Dims{0}) : Tensor();
    if (sums.defined()) give_rows(input_bias, sums, fresh);
    if (recurrent_bias.defined()) {
      if (sums.defined() && layout.raw < 0 && !layout.bias_apart)
        give_rows(recurrent_bias, sums, fresh);
      else
        for_each_run_of_gates(layout, 0, layout.first + layout.second, [&](int gate, int column, int count) {
          give_rows(narrow(recurrent_bias, 0, gate * H, count * H),
                    sum(narrow(dgates, 1, column * H, count * H), Dims{0}), fresh);
        });
    }
    if (peephole.defined()) add_peepholes(s, part, dgates, fresh);
    if (projection.defined())
      give_product(projection, transpose(dprojected, 0, 1),
                   view(slots_after(part.h, s.run.reverse), {dgates.size(0), H}), fresh);
  }

  // After all stretches: through the products that the rows of a table went through.
  void finish(const Saved& s) const {
    if (input.defined() && shares_.defined()) write_product(input, transpose(shares_, 0, 1), s.table.get());
    if (table.defined()) write_product(table, shares_, s.input_weight.get());
  }

 private:
  void add_recurrent(const Saved& s, const Stretch& part, const Tensor& dgates, bool fresh) const {
    const RnnLayout layout = layout_of(s.cell);
    const std::int64_t H = s.run.units;
    const Tensor seen = slots_before(part.seen.defined() ? part.seen : part.h, s.run.reverse);
    give_recurrent_gradient(layout, narrow(first, 0, 0, layout.first * H), dgates, seen, 0, layout.first, H, fresh);
    if (layout.second)
      give_recurrent_gradient(layout, second_apart_ ? second : narrow(first, 0, layout.first * H, layout.second * H),
                              dgates, part.masked, layout.first, layout.first + layout.second, H, fresh);
  }

  // i and f looked at the cell as it was, o at what it became.
  void add_peepholes(const Saved& s, const Stretch& part, const Tensor& dgates, bool fresh) const {
    const std::int64_t H = s.run.units, rows = dgates.size(0);
    const Tensor before = view(slots_before(part.c, s.run.reverse), {rows, H});
    Tensor after = view(slots_after(part.c, s.run.reverse), {rows, H});
    if (s.run.c_moves || s.run.c_rate != 1) {  // then c did not become what o saw
      const auto gate = [&](int g) { return gate_columns(part.gates, H, g, 1); };
      after = lamina::add(mul(gate(1), before), mul(gate(0), gate(2)));
    }
    const int gates[3] = {0, 1, 3};
    for (int k = 0; k < 3; ++k)
      give_rows(select(peephole, 0, k), sum(mul(narrow(dgates, 1, gates[k] * H, H), k == 2 ? after : before), Dims{0}),
                fresh);
  }

  bool second_apart_;
  Tensor shares_;  // of a table's rows: [words, inputs H]
};

void write_input_gradient(const Saved& s, const Stretch& part, const Tensor& dgates, const Tensor& dx) {
  const RnnLayout layout = layout_of(s.cell);
  const Weighted weighted(layout);
  const std::int64_t H = s.run.units;
  const Tensor rows = view(narrow(dx, 0, part.first, part.steps), {dgates.size(0), dx.size(2)});
  write_product(rows, narrow(dgates, 1, weighted.first * H, weighted.count * H), s.input_weight.get());
  if (layout.raw < 0) return;
  Tensor itself = narrow(dgates, 1, layout.raw * H, H);
  if (s.cell == RnnCell::mut1) {  // which sees its tanh
    const Tensor shown = unary(UnaryOp::tanh, view(part.x, rows.shape()));
    itself = sub(itself, mul(itself, mul(shown, shown)));
  }
  write_copy(rows, add(rows, itself));
}

// For kept_packed: the form is the cell, from 1 on. The second weight, if there is one, lies behind the first.
void pack_recurrent(void* packed, PackSource s) {
  const int cell = s.form - 1;
  const RnnLayout layout = layout_of(static_cast<RnnCell>(cell));
  const std::int64_t H = s.cols / layout.seen;
  const void* const second =
      static_cast<const char*>(s.data) + static_cast<std::size_t>(layout.first * H * s.cols) * item_size(s.dtype);
  kernels(s.device).rnn.pack[cell][static_cast<int>(s.dtype)](packed, s.data, second, H);
}

// Of arguments that have been checked, in float32 or float64.
RnnStates run_rnn(RnnCell cell, const Tensor& input, const RnnWeights& w, const Tensor& h_first, const Tensor& c_first,
                  const Tensor& lengths, bool reverse, std::uint32_t options, const RnnTransition& transition,
                  bool of_halves) {
  const RnnLayout layout = layout_of(cell);
  const Tensor& features = features_of(input, w);
  bool recorded = needs_grad(features, w.input, w.recurrent);
  for (const Tensor& t :
       {w.second, w.input_bias, w.recurrent_bias, w.peephole, h_first, c_first, transition.probe, w.projection})
    recorded = recorded || (t.defined() && needs_grad(t));
  RnnStates out;
  Saved s;
  {
    const GradMode off(false);
    const auto as_rows = [](const Tensor& t) { return t.defined() ? contiguous(t) : Tensor(); };
    const std::int64_t H = units_of(cell, w);
    const Tensor x = contiguous(input), weights = contiguous(w.recurrent);
    const Tensor recurrent = narrow(weights, 0, 0, layout.first * H);
    const Tensor second = w.second.defined() ? contiguous(w.second)
                          : layout.second    ? narrow(weights, 0, layout.first * H, layout.second * H)
                                             : Tensor();
    const std::int64_t T = x.size(0), B = x.size(1);
    const RnnTable& table = kernels(x.device()).rnn;
    const auto fresh = [&](const Dims& shape) { return empty(shape, features.dtype(), features.device()); };
    const Tensor gates = fresh({T, B, layout.inputs * H});
    Tensor shares;
    if (w.table.defined()) {
      check_in_range(name_of(cell), x, 0, w.table.size(0));
      shares = shares_of_table(cell, w);
    } else {
      project_input(cell, gates, x, w);
    }
    const Tensor bias = shared_bias(cell, w), unit = unit_parameters(cell, w);
    const Tensor projection = as_rows(w.projection);
    const std::int64_t projected = projection.defined() ? projection.size(0) : 0;
    const Tensor h = states(projected ? Tensor() : h_first, {T + 1, B, H}, reverse, features);
    const Tensor c = layout.cell ? states(c_first, {T + 1, B, H}, reverse, features) : Tensor();
    const Tensor mask = as_rows(transition.mask), h_moves = as_rows(transition.h_moves),
                 c_moves = as_rows(transition.c_moves);
    const Tensor seen = projected ? seen_projections(h_first, {T + 1, B, weights.size(1)}, reverse, features)
                                  : seen_states(layout, h, mask, reverse);
    const Tensor masked = layout.second ? fresh({T, B, H}) : Tensor();
    const std::size_t bytes = table.packed_bytes(cell, features.dtype(), H, projected);
    const Tensor kept = recorded || w.second.defined() || projected
                            ? Tensor()
                            : kept_packed(weights, bytes, pack_recurrent, 1 + static_cast<int>(cell));
    const Tensor packed = kept.defined() ? kept : empty({static_cast<std::int64_t>(bytes)}, DType::u8, x.device());

    RnnRun run{};
    run.is_packed = kept.defined();
    run.keeps_gates = recorded;
    run.steps = T, run.batch = B, run.units = H;
    run.projected = projected;
    run.reverse = reverse;
    run.options = options, run.of_halves = of_halves;
    run.h_rate = transition.h_rate, run.c_rate = transition.c_rate;
    run.h_moves = data_or_null(h_moves), run.c_moves = data_or_null(c_moves);
    run.weight = recurrent.data(), run.second = data_or_null(projected ? projection : second);
    run.packed = packed.data();
    run.shares = data_or_null(shares), run.share_of = shares.defined() ? x.data<std::int64_t>() : nullptr;
    run.gates = gates.data(), run.h = h.data(), run.c = data_or_null(c);
    run.seen = data_or_null(seen), run.mask = data_or_null(mask), run.masked = data_or_null(masked);
    run.bias = data_or_null(bias), run.unit = data_or_null(unit);
    run.lengths = lengths.defined() ? lengths.data<std::int64_t>() : nullptr;
    current_stream().launch(
        require(table.forward[static_cast<int>(cell)][static_cast<int>(features.dtype())], name_of(cell), x.device()),
        run);

    const Tensor given = projected ? narrow(seen, 2, 0, projected) : h;
    out.y = slots_after(given, reverse);
    if (lengths.defined()) out.y = where(running(lengths, T), out.y, Arg(Scalar(0.0)));
    out.h_last = last_slot(given, reverse);
    if (layout.cell) out.c_last = last_slot(c, reverse);
    if (recorded) {
      const auto keep = [](const Tensor& t) { return t.defined() ? save_output(t) : SavedTensor(); };
      run.packed = nullptr;
      run.bias = nullptr;
      s = Saved{cell,          keep(x),       keep(w.input), keep(recurrent), keep(second),     keep(gates),
                keep(h),       keep(c),       keep(seen),    keep(masked),    keep(unit),       keep(lengths),
                keep(h_moves), keep(c_moves), keep(mask),    keep(w.table),   keep(projection), run};
    }
  }
  if (!recorded) return out;

  record(name_of(cell), {out.y, out.h_last, out.c_last},
         {input, w.input, w.recurrent, w.second, w.input_bias, w.recurrent_bias, w.peephole, h_first, c_first,
          transition.probe, w.table, w.projection},
         [s = std::move(s), apart = w.second.defined(), peepholes = w.peephole.defined()](Gradients& g) {
           const Tensor x = s.x.get(), like = s.input_weight.get();
           const auto fresh = [&](const Dims& shape) { return empty(shape, like.dtype(), like.device()); };
           const Tensor every = g.wants(9) ? fresh({s.run.steps, s.run.batch, s.run.units}) : Tensor();
           const Tensor dx = g.wants(0) ? fresh(x.shape()) : Tensor();
           const ParameterGradients d(s, g, apart, peepholes);
           Sweep sweep(s, g.of_output(0), g.of_output(1), layout_of(s.cell).cell ? g.of_output(2) : Tensor(), every);
           sweep.run([&](const Stretch& part, const Tensor& dgates, const Tensor& dprojected, bool first) {
             if (dx.defined()) write_input_gradient(s, part, dgates, dx);
             d.add(s, part, dgates, dprojected, first);
           });
           d.finish(s);
           const Tensor gradients[] = {dx,         d.input,  d.first,  d.second, d.input_bias, d.recurrent_bias,
                                       d.peephole, sweep.dh, sweep.dc, every,    d.table,      d.projection};
           for (int i = 0; i < 12; ++i)
             if (g.wants(i)) g.give(i, gradients[i]);
         });
  return out;
}

}  // namespace

RnnStates rnn(RnnCell cell, const Tensor& input, const RnnWeights& w, const Tensor& h, const Tensor& c,
              const Tensor& lengths, bool reverse, std::uint32_t options, const RnnTransition& t) {
  check_arguments(cell, input, w, h, c, lengths, options);
  const RnnLayout layout = layout_of(cell);
  const Tensor& features = features_of(input, w);
  check_transition(name_of(cell), layout, t, {input.size(0), input.size(1), units_of(cell, w)}, features);
  if (w.projection.defined()) check_projection(name_of(cell), layout, t, w.projection, features);
  if (!is_half(features)) return run_rnn(cell, input, w, h, c, lengths, reverse, options, t, false);
  const RnnWeights weights{widened(w.input),          widened(w.recurrent), widened(w.second), widened(w.input_bias),
                           widened(w.recurrent_bias), widened(w.peephole),  widened(w.table),  widened(w.projection)};
  const RnnTransition transition{t.h_rate,           t.c_rate,         widened(t.h_moves),
                                 widened(t.c_moves), widened(t.probe), widened(t.mask)};
  const RnnStates wide = run_rnn(cell, w.table.defined() ? input : widened(input), weights, widened(h), widened(c),
                                 lengths, reverse, options, transition, true);
  const DType type = features.dtype();
  return {narrowed(wide.y, type), narrowed(wide.h_last, type), narrowed(wide.c_last, type)};
}

}  // namespace lamina
