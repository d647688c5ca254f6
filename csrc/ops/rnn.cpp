#include "ops/rnn.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/rnn.h"
#include "ops/elementwise.h"
#include "ops/gemm.h"
#include "ops/index.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {

const char* name_of(RnnCell cell) {
  constexpr const char* names[kRnnCells] = {"rnn_tanh", "rnn_relu", "lstm", "lstm_variant", "gru", "gru_reset_before"};
  return names[static_cast<int>(cell)];
}

namespace {

void check_argument(const char* op, const char* argument, const Tensor& t, const Dims& shape, const Tensor& x) {
  check(t.shape() == shape, op, ": ", argument, " must have shape ", shape, ", got ", t.shape());
  check_as(ErrorKind::type, t.dtype() == x.dtype(), op, ": ", argument, " is ", name_of(t.dtype()), ", the input ",
           name_of(x.dtype()));
  check(t.device() == x.device(), op, ": ", argument, " is on ", t.device(), ", the input on ", x.device());
}

void check_arguments(RnnCell cell, const Tensor& x, const RnnWeights& w, const Tensor& h, const Tensor& c,
                     const Tensor& lengths, std::uint32_t options, double leak) {
  const char* op = name_of(cell);
  const RnnLayout layout = layout_of(cell);
  check(x.ndim() == 3, op, ": input must have 3 dimensions (steps, batch, features), got shape ", x.shape());
  check(x.size(0) > 0, op, ": a sequence needs at least one step, got input of shape ", x.shape());
  check_as(ErrorKind::type, x.dtype() == DType::f32 || x.dtype() == DType::f64, op, " is not defined for ",
           name_of(x.dtype()));
  check(w.recurrent.ndim() == 2 && w.recurrent.size(1) > 0, op,
        ": the recurrent weight must have 2 dimensions, got shape ", w.recurrent.shape());
  const std::int64_t B = x.size(1), H = w.recurrent.size(1), recurrent = (layout.first + layout.second) * H;
  check_argument(op, "the recurrent weight", w.recurrent, {recurrent, H}, x);
  check_argument(op, "the input weight", w.input, {layout.inputs * H, x.size(2)}, x);
  check(w.input_bias.defined() == w.recurrent_bias.defined(), op, ": expected both biases or neither");
  if (w.input_bias.defined()) {
    check_argument(op, "the input bias", w.input_bias, {layout.inputs * H}, x);
    check_argument(op, "the recurrent bias", w.recurrent_bias, {recurrent}, x);
  }
  check(w.peephole.defined() == ((options & kPeephole) != 0), op, ": peephole weights go with peepholes");
  if (w.peephole.defined()) check_argument(op, "the peephole weight", w.peephole, {3, H}, x);
  if (h.defined()) check_argument(op, "the first h", h, {B, H}, x);
  if (c.defined()) {
    check(layout.cell, op, " has no cell state");
    check_argument(op, "the first c", c, {B, H}, x);
  }
  if (lengths.defined()) {
    check(lengths.shape() == Dims{B}, op, ": lengths must have shape ", Dims{B}, ", got ", lengths.shape());
    check_as(ErrorKind::type, lengths.dtype() == DType::i64, op, ": lengths must be int64, got ",
             name_of(lengths.dtype()));
    check(lengths.contiguous(), op, ": lengths must be contiguous");
  }
  check(leak > 0 && leak <= 1, op, ": leak must be in (0, 1], got ", leak);
}

// What the input adds to every gate of every step: the first columns of `gates`.
void project_input(RnnCell cell, const Tensor& gates, const Tensor& x, const RnnWeights& w) {
  const RnnLayout layout = layout_of(cell);
  const std::int64_t H = w.recurrent.size(1), rows = x.size(0) * x.size(1);
  write_product(narrow(view(gates, {rows, layout.stored * H}), 1, 0, layout.inputs * H), view(x, {rows, x.size(2)}),
                transpose(w.input, 0, 1));
}

// Both biases in one, as the cell adds them: [inputs H], or undefined.
Tensor shared_bias(RnnCell cell, const RnnWeights& w) {
  if (!w.input_bias.defined()) return Tensor();
  // GRU: the candidate's recurrent bias goes through the reset gate, so it is a parameter of its own.
  const std::int64_t shared = (cell == RnnCell::gru ? 2 : layout_of(cell).inputs) * w.recurrent.size(1);
  if (shared == w.input_bias.size(0)) return add(w.input_bias, w.recurrent_bias);
  const Tensor bias = clone(w.input_bias);
  write_copy(narrow(bias, 0, 0, shared),
             add(narrow(w.input_bias, 0, 0, shared), narrow(w.recurrent_bias, 0, 0, shared)));
  return bias;
}

// Parameters of single units as the cell wants them: [unit, H], or undefined.
Tensor unit_parameters(RnnCell cell, const RnnWeights& w) {
  if (cell == RnnCell::gru && w.recurrent_bias.defined()) {
    const std::int64_t H = w.recurrent.size(1);
    return contiguous(narrow(w.recurrent_bias, 0, 2 * H, H));
  }
  return w.peephole.defined() ? contiguous(w.peephole) : Tensor();
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
Tensor slots_before(const Tensor& states, bool reverse) {
  return narrow(states, 0, reverse ? 1 : 0, states.size(0) - 1);
}
Tensor slots_after(const Tensor& states, bool reverse) {
  return narrow(states, 0, reverse ? 0 : 1, states.size(0) - 1);
}
Tensor last_slot(const Tensor& states, bool reverse) {
  return clone(select(states, 0, reverse ? 0 : states.size(0) - 1));
}

// true where a sequence has not ended: [T, B, 1].
Tensor running(const Tensor& lengths, std::int64_t steps) {
  const Tensor times = arange(Scalar(std::int64_t{0}), Scalar(steps), Scalar(std::int64_t{1}), DType::i64);
  return unsqueeze(binary(BinaryOp::lt, unsqueeze(times, 1), unsqueeze(lengths, 0)), 2);
}

void* data_or_null(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

// Everything a layer's forward leaves for its backward.
struct Saved {
  RnnCell cell;
  SavedTensor x, input_weight, recurrent_weight;
  SavedTensor gates, h, c, masked, unit, lengths;  // c, masked, unit and lengths may be undefined
  RnnRun run;
};

Tensor get(const SavedTensor& t, bool there) { return there ? t.get() : Tensor(); }

struct GateGradients {
  Tensor gates;  // [T B, stored H]
  Tensor h, c;   // of the first states
};

GateGradients run_backward(const Saved& s, const Tensor& dy, const Tensor& dh_last, const Tensor& dc_last) {
  const RnnLayout layout = layout_of(s.cell);
  const Tensor gates = s.gates.get(), h = s.h.get();
  const RnnTable& table = kernels(gates.device()).rnn;
  const DType dtype = gates.dtype();
  const Dims state{s.run.batch, s.run.units};
  const auto first = [&](const Tensor& t) {
    const Tensor fresh = empty(state, dtype, gates.device());
    if (t.defined())
      write_copy(fresh, t);
    else
      write_fill(fresh, Scalar(0.0));
    return fresh;
  };
  GateGradients d{empty(gates.shape(), dtype, gates.device()), first(dh_last), layout.cell ? first(dc_last) : Tensor()};
  const Tensor packed =
      empty({static_cast<std::int64_t>(table.packed_bytes(s.cell, dtype, s.run.units))}, DType::u8, gates.device());
  const Tensor weight = s.recurrent_weight.get(), unit = get(s.unit, s.run.unit),
               lengths = get(s.lengths, s.run.lengths), masked = get(s.masked, s.run.masked), c = get(s.c, s.run.c);
  const Tensor rows = !dy.defined() || dy.strides()[2] == 1 || s.run.units == 1 ? dy : contiguous(dy);
  RnnGradRun run;
  run.forward = s.run;
  // Asked for again: a recording of the backward alone holds what it sees asked for.
  run.forward.weight = weight.data();
  run.forward.packed = packed.data();
  run.forward.gates = gates.data();
  run.forward.h = h.data();
  run.forward.c = data_or_null(c);
  run.forward.masked = data_or_null(masked);
  run.forward.unit = data_or_null(unit);
  run.forward.lengths = lengths.defined() ? lengths.data<std::int64_t>() : nullptr;
  run.dgates = d.gates.data();
  run.dy = data_or_null(rows);
  run.dy_step = rows.defined() ? rows.strides()[0] : 0;
  run.dy_row = rows.defined() ? rows.strides()[1] : 0;
  run.dh = d.h.data();
  run.dc = data_or_null(d.c);
  current_stream().launch(
      require(table.backward[static_cast<int>(s.cell)][static_cast<int>(dtype)], name_of(s.cell), gates.device()), run);
  d.gates = view(d.gates, {s.run.steps * s.run.batch, layout.stored * s.run.units});
  return d;
}

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

Tensor recurrent_weight_gradient(const Saved& s, const Tensor& dgates) {
  const RnnLayout layout = layout_of(s.cell);
  const std::int64_t H = s.run.units, rows = dgates.size(0);
  const Tensor dw = empty({(layout.first + layout.second) * H, H}, dgates.dtype(), dgates.device());
  const auto add_stage = [&](const Tensor& factor, int from, int to) {
    for_each_run_of_gates(layout, from, to, [&](int gate, int column, int count) {
      write_product(narrow(dw, 0, gate * H, count * H), transpose(narrow(dgates, 1, column * H, count * H), 0, 1),
                    view(factor, {rows, H}));
    });
  };
  add_stage(slots_before(s.h.get(), s.run.reverse), 0, layout.first);
  if (layout.second) add_stage(s.masked.get(), layout.first, layout.first + layout.second);
  return dw;
}

// `input_bias`: the gradient of the other bias, where it is there already.
Tensor recurrent_bias_gradient(const Saved& s, const Tensor& dgates, const Tensor& input_bias) {
  const RnnLayout layout = layout_of(s.cell);
  if (input_bias.defined() && s.cell != RnnCell::gru) return clone(input_bias);
  const std::int64_t H = s.run.units;
  const Tensor db = empty({(layout.first + layout.second) * H}, dgates.dtype(), dgates.device());
  for_each_run_of_gates(layout, 0, layout.first + layout.second, [&](int gate, int column, int count) {
    write_copy(narrow(db, 0, gate * H, count * H), sum(narrow(dgates, 1, column * H, count * H), Dims{0}));
  });
  return db;
}

// i and f looked at the cell as it was, o at what it became.
Tensor peephole_gradient(const Saved& s, const Tensor& dgates) {
  const std::int64_t H = s.run.units, rows = dgates.size(0);
  const Tensor dp = empty({3, H}, dgates.dtype(), dgates.device()), c = s.c.get();
  const Tensor before = view(slots_before(c, s.run.reverse), {rows, H}),
               after = view(slots_after(c, s.run.reverse), {rows, H});
  const int gates[3] = {0, 1, 3};
  for (int k = 0; k < 3; ++k)
    write_copy(select(dp, 0, k), sum(mul(narrow(dgates, 1, gates[k] * H, H), k == 2 ? after : before), Dims{0}));
  return dp;
}

}  // namespace

RnnStates rnn(RnnCell cell, const Tensor& input, const RnnWeights& w, const Tensor& h_first, const Tensor& c_first,
              const Tensor& lengths, bool reverse, std::uint32_t options, double leak) {
  check_arguments(cell, input, w, h_first, c_first, lengths, options, leak);
  const RnnLayout layout = layout_of(cell);
  const bool recorded =
      needs_grad(input, w.input, w.recurrent) || (h_first.defined() && needs_grad(h_first)) ||
      (c_first.defined() && needs_grad(c_first)) || (w.input_bias.defined() && needs_grad(w.input_bias)) ||
      (w.recurrent_bias.defined() && needs_grad(w.recurrent_bias)) || (w.peephole.defined() && needs_grad(w.peephole));
  RnnStates out;
  Saved s;
  {
    const GradMode off(false);
    const Tensor x = contiguous(input), recurrent = contiguous(w.recurrent);
    const std::int64_t T = x.size(0), B = x.size(1), H = recurrent.size(1);
    const RnnTable& table = kernels(x.device()).rnn;
    const Tensor gates = empty({T, B, layout.stored * H}, x.dtype(), x.device());
    project_input(cell, gates, x, w);
    const Tensor bias = shared_bias(cell, w), unit = unit_parameters(cell, w);
    const Tensor h = states(h_first, {T + 1, B, H}, reverse, x);
    const Tensor c = layout.cell ? states(c_first, {T + 1, B, H}, reverse, x) : Tensor();
    const Tensor masked = layout.second ? empty({T, B, H}, x.dtype(), x.device()) : Tensor();
    const Tensor packed =
        empty({static_cast<std::int64_t>(table.packed_bytes(cell, x.dtype(), H))}, DType::u8, x.device());

    RnnRun run{T,
               B,
               H,
               reverse,
               options,
               leak,
               recurrent.data(),
               packed.data(),
               gates.data(),
               h.data(),
               data_or_null(c),
               data_or_null(masked),
               data_or_null(bias),
               data_or_null(unit),
               lengths.defined() ? lengths.data<std::int64_t>() : nullptr};
    current_stream().launch(
        require(table.forward[static_cast<int>(cell)][static_cast<int>(x.dtype())], name_of(cell), x.device()), run);

    out.y = slots_after(h, reverse);
    if (lengths.defined()) out.y = where(running(lengths, T), out.y, Arg(Scalar(0.0)));
    out.h_last = last_slot(h, reverse);
    if (layout.cell) out.c_last = last_slot(c, reverse);
    if (recorded) {
      const auto keep = [](const Tensor& t) { return t.defined() ? save_output(t) : SavedTensor(); };
      run.packed = nullptr;
      run.bias = nullptr;
      s = Saved{cell,    keep(x),      keep(w.input), keep(recurrent), keep(gates), keep(h),
                keep(c), keep(masked), keep(unit),    keep(lengths),   run};
    }
  }
  if (!recorded) return out;

  record(name_of(cell), {out.y, out.h_last, out.c_last},
         {input, w.input, w.recurrent, w.input_bias, w.recurrent_bias, w.peephole, h_first, c_first},
         [s = std::move(s)](Gradients& g) {
           const RnnLayout layout = layout_of(s.cell);
           const GateGradients d =
               run_backward(s, g.of_output(0), g.of_output(1), layout.cell ? g.of_output(2) : Tensor());
           const Tensor from_input = narrow(d.gates, 1, 0, layout.inputs * s.run.units), x = s.x.get();
           const std::int64_t rows = d.gates.size(0);
           if (g.wants(0)) {
             const Tensor dx = empty(x.shape(), x.dtype(), x.device());
             write_product(view(dx, {rows, x.size(2)}), from_input, s.input_weight.get());
             g.give(0, dx);
           }
           if (g.wants(1)) {
             const Tensor dw = empty(s.input_weight.get().shape(), x.dtype(), x.device());
             write_product(dw, transpose(from_input, 0, 1), view(x, {rows, x.size(2)}));
             g.give(1, dw);
           }
           if (g.wants(2)) g.give(2, recurrent_weight_gradient(s, d.gates));
           const Tensor dbias = g.wants(3) ? sum(from_input, Dims{0}) : Tensor();
           if (g.wants(3)) g.give(3, dbias);
           if (g.wants(4)) g.give(4, recurrent_bias_gradient(s, d.gates, dbias));
           if (g.wants(5)) g.give(5, peephole_gradient(s, d.gates));
           if (g.wants(6)) g.give(6, d.h);
           if (g.wants(7)) g.give(7, d.c);
         });
  return out;
}

}  // namespace lamina
