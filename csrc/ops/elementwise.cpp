#include "ops/elementwise.h"

#include <cmath>
#include <limits>
#include <optional>

#include "autograd/engine.h"
#include "core/cuda_library.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/elementwise.h"
#include "ops/loops.h"
#include "ops/reduce.h"

namespace lamina {
namespace {

struct UnaryRow {
  const char* name;
  Kind kind;
  Saves saves;
};
struct BinaryRow {
  const char* name;
  Kind kind;
  Saves saves;
};
#define LAMINA_UNARY_ROW(name, kind, saves, params) {#name, Kind::kind, Saves::saves},
#define LAMINA_BINARY_ROW(name, kind, saves) {#name, Kind::kind, Saves::saves},
constexpr UnaryRow kUnary[] = {LAMINA_UNARY_OPS(LAMINA_UNARY_ROW)};
constexpr BinaryRow kBinary[] = {LAMINA_BINARY_OPS(LAMINA_BINARY_ROW)};

const UnaryRow& row(UnaryOp op) { return kUnary[static_cast<int>(op)]; }
const BinaryRow& row(BinaryOp op) { return kBinary[static_cast<int>(op)]; }

// The types an operation computes in and gives, for operands of type `t`.
struct Types {
  DType compute, result;
};
Types types_of(const char* name, Kind kind, DType t) {
  const bool allowed = kind == Kind::bits ? !is_floating(t) : kind == Kind::arithmetic ? t != DType::b8 : true;
  check_as(ErrorKind::type, allowed, name, " is not defined for ", lamina::name_of(t));
  if (kind == Kind::floating && !is_floating(t)) return {DType::f32, DType::f32};
  return {compute_type(t), kind == Kind::predicate ? DType::b8 : t};
}

void run(const Tensor& like, const Loop& loop, Inner inner, DType in, DType out, const Params& params = {}) {
  if (loop.numel > 0) current_stream().launch(kernels(like.device()).elementwise.run, loop, inner, in, out, params);
}

Inner slot(const Inner (&slots)[kDTypeCount], DType t, const char* name, Device device) {
  return require(slots[static_cast<int>(t)], name, device);
}

// ---- unary ----

void write_unary(UnaryOp op, const Tensor& out, const Tensor& x, const Params& params) {
  const Types types = types_of(row(op).name, row(op).kind, x.dtype());
  const DType inner_out = row(op).kind == Kind::predicate ? DType::b8 : types.compute;
  const Inner inner =
      slot(kernels(x.device()).elementwise.unary[static_cast<int>(op)], types.compute, row(op).name, x.device());
  run(x, LoopBuilder(x.shape()).add(out).add(x).build(), inner, types.compute, inner_out, params);
}

Ref<Node> unary_node(UnaryOp op, const Tensor& x, SavedTensor saved, const Params& params) {
  return make_node(row(op).name, {&x}, [op, params, saved = std::move(saved), type = x.dtype()](Gradients& g) {
    const Tensor& dy = g.of_output();
    g.give(0, to_dtype(unary_gradient(op, dy, row(op).saves == Saves::nothing ? dy : saved.get(), params), type));
  });
}

// ---- binary ----

void write_binary(BinaryOp op, const Tensor& out, const Arg& a, const Arg& b, DType compute) {
  const DType inner_out = row(op).kind == Kind::predicate ? DType::b8 : compute;
  const Inner inner =
      slot(kernels(out.device()).elementwise.binary[static_cast<int>(op)], compute, row(op).name, out.device());
  run(out, LoopBuilder(out.shape()).add(out).add(a, compute).add(b, compute).build(), inner, compute, inner_out);
}

// An operand kept for backward: a tensor, or the number itself.
class SavedArg {
 public:
  SavedArg() = default;
  explicit SavedArg(const Arg& a) : is_tensor_(a.is_tensor()) {
    if (is_tensor_)
      tensor_ = save(a.tensor());
    else
      number_ = a.number();
  }
  Arg get() const { return is_tensor_ ? Arg(tensor_.get()) : Arg(number_); }

 private:
  bool is_tensor_ = false;
  SavedTensor tensor_;
  Scalar number_{false};
};

Tensor binary_gradient(BinaryOp op, int side, const Tensor& dy, const Arg& a, const Arg& b) {
  const DType t = compute_type(dy.dtype());
  const Inner inner =
      slot(kernels(dy.device()).elementwise.binary_grad[side][static_cast<int>(op)], t, row(op).name, dy.device());
  const Tensor d = empty_like_layout(dy, dy.dtype());
  run(dy, LoopBuilder(dy.shape()).add(d).add(dy).add(a, t).add(b, t).build(), inner, t, t);
  return d;
}

struct Target {  // what a gradient must look like in the end
  Dims shape;
  DType dtype = DType::f32;
  explicit Target(const Arg& a) {
    if (a.is_tensor()) shape = a.tensor().shape(), dtype = a.dtype();
  }
  Tensor fit(const Tensor& grad) const { return to_dtype(sum_to(grad, shape), dtype); }
};

// The node of op(a, b). `before` stands for a in what is saved (see unary_node).
Ref<Node> binary_node(BinaryOp op, const Arg& a, const Arg& b, const Arg& before) {
  const Tensor* inputs[2] = {a.is_tensor() ? &a.tensor() : nullptr, b.is_tensor() ? &b.tensor() : nullptr};
  if (row(op).saves == Saves::nothing)  // add and sub: the gradient passes through
    return make_node(row(op).name, {inputs[0], inputs[1]}, [op, ta = Target(a), tb = Target(b)](Gradients& g) {
      const Tensor& dy = g.of_output();
      if (g.wants(0)) g.give(0, ta.fit(dy));
      if (g.wants(1)) g.give(1, tb.fit(op == BinaryOp::sub ? neg(dy) : dy));
    });
  if (op == BinaryOp::mul) {  // each side needs only the other
    const bool da = a.is_tensor() && a.tensor().requires_grad(), db = b.is_tensor() && b.tensor().requires_grad();
    return make_node("mul", {inputs[0], inputs[1]},
                     [a = db ? SavedArg(before) : SavedArg(), b = da ? SavedArg(b) : SavedArg(), ta = Target(a),
                      tb = Target(b)](Gradients& g) {
                       const Tensor& dy = g.of_output();
                       if (g.wants(0)) g.give(0, ta.fit(mul(dy, b.get())));
                       if (g.wants(1)) g.give(1, tb.fit(mul(dy, a.get())));
                     });
  }
  return make_node(row(op).name, {inputs[0], inputs[1]},
                   [op, a = SavedArg(before), b = SavedArg(b), ta = Target(a), tb = Target(b)](Gradients& g) {
                     const Tensor& dy = g.of_output();
                     if (g.wants(0)) g.give(0, ta.fit(binary_gradient(op, 0, dy, a.get(), b.get())));
                     if (g.wants(1)) g.give(1, tb.fit(binary_gradient(op, 1, dy, a.get(), b.get())));
                   });
}

bool records(BinaryOp op, const Arg& a, const Arg& b) {
  return row(op).saves != Saves::no_gradient && grad_enabled() &&
         ((a.is_tensor() && a.tensor().requires_grad()) || (b.is_tensor() && b.tensor().requires_grad()));
}

// Integers have no infinity to divide into: a zero divisor is an error, as in Python.
void check_divisor(BinaryOp op, const Arg& b, DType result) {
  if (op == BinaryOp::pow && !is_floating(result) && !b.is_tensor())
    check(b.number().as_int64() >= 0, "pow: integers to negative integer powers are not allowed");
  if (op != BinaryOp::floor_divide && op != BinaryOp::remainder && op != BinaryOp::fmod) return;
  if (is_floating(result)) return;
  constexpr const char* kProblem = "integer division by zero";
  if (b.is_tensor()) return refuse_zeros(b.tensor(), row(op).name, kProblem);
  check(b.number().as_bool(), row(op).name, ": ", kProblem);
}

const Device& device_of(const Arg& a, const Arg& b, const char* name) {
  if (!a.is_tensor()) return b.tensor().storage().device;
  if (b.is_tensor())
    check(a.tensor().device() == b.tensor().device(), name,
          ": operands are on different devices: ", a.tensor().device(), " and ", b.tensor().device());
  return a.tensor().storage().device;
}

// Memory for the result of a and b: laid out as the first operand that has its full shape.
Tensor empty_result(const Arg& a, const Arg& b, DType type, Device device, const char* name) {
  if (!a.is_tensor()) return empty_like_layout(b.tensor(), type);
  if (!b.is_tensor() || a.tensor().shape() == b.tensor().shape()) return empty_like_layout(a.tensor(), type);
  const Dims shape = broadcast_shapes(a.tensor().shape(), b.tensor().shape(), name);
  if (shape == a.tensor().shape()) return empty_like_layout(a.tensor(), type);
  if (shape == b.tensor().shape()) return empty_like_layout(b.tensor(), type);
  return empty(shape, type, device);
}

}  // namespace

const char* name_of(UnaryOp op) { return row(op).name; }
const char* name_of(BinaryOp op) { return row(op).name; }
Saves saves_of(UnaryOp op) { return row(op).saves; }

Tensor unary_gradient(UnaryOp op, const Tensor& dy, const Tensor& saved, const Params& params) {
  const DType t = compute_type(dy.dtype());
  const Inner inner =
      slot(kernels(dy.device()).elementwise.unary_grad[static_cast<int>(op)], t, row(op).name, dy.device());
  const Tensor dx = empty_like_layout(dy, dy.dtype());
  run(dy, LoopBuilder(dy.shape()).add(dx).add(dy).add(saved).build(), inner, t, t, params);
  return dx;
}

namespace {

// The bits of a bool are those of a byte, of which only one counts: its complement is the other truth value.
UnaryOp for_type(UnaryOp op, DType type) {
  return op == UnaryOp::bitwise_not && type == DType::b8 ? UnaryOp::logical_not : op;
}

}  // namespace

Tensor unary(UnaryOp op, const Tensor& x, Params params) {
  op = for_type(op, x.dtype());
  const Types types = types_of(row(op).name, row(op).kind, x.dtype());
  Tensor y = empty_like_layout(x, types.result);
  write_unary(op, y, x, params);
  if (row(op).saves != Saves::no_gradient && needs_grad(x)) {
    SavedTensor saved = row(op).saves == Saves::output  ? save_output(y)
                        : row(op).saves == Saves::input ? save(x)
                                                        : SavedTensor();
    set_history(y, unary_node(op, x, std::move(saved), params));
  }
  return y;
}

void unary_in_place(UnaryOp op, const Tensor& x, Params params) {
  op = for_type(op, x.dtype());
  const Types types = types_of(row(op).name, row(op).kind, x.dtype());
  check_as(ErrorKind::type, types.result == x.dtype(), row(op).name, "_: the result is ", lamina::name_of(types.result),
           " and cannot be kept in a tensor of ", lamina::name_of(x.dtype()));
  check_writable(row(op).name, x);
  if (row(op).saves == Saves::no_gradient || !needs_grad(x)) {
    write_unary(op, x, x, params);
    return bump_version(x);
  }
  // The input is set aside before it is overwritten.
  SavedTensor saved = row(op).saves == Saves::input ? save(clone(detach(x))) : SavedTensor();
  write_unary(op, x, x, params);
  if (row(op).saves == Saves::output) saved = save_output_in_place(x);
  rebase_history(x, unary_node(op, x, std::move(saved), params));
}

namespace {

// The usual powers have formulas of one or two instructions, where any power takes a logarithm and an exponential.
struct UnaryForm {
  UnaryOp op;
  Params params{};
};
std::optional<UnaryForm> unary_form(BinaryOp op, const Arg& a, const Arg& b) {
  if (op != BinaryOp::pow || !a.is_tensor() || b.is_tensor() || !is_floating(a.dtype())) return {};
  const double power = b.number().as_double();
  if (power == 2) return UnaryForm{UnaryOp::square};
  if (power == 3 || power == 4) return UnaryForm{UnaryOp::small_power, {{power}}};
  if (power == 0.5) return UnaryForm{UnaryOp::sqrt};
  if (power == -0.5) return UnaryForm{UnaryOp::rsqrt};
  if (power == -1) return UnaryForm{UnaryOp::reciprocal};
  return {};
}

}  // namespace

Tensor binary(BinaryOp op, const Arg& a, const Arg& b) {
  if (a.is_tensor() && b.is_tensor() && a.tensor().device() != b.tensor().device()) {  // a number of the other device
    if (b.tensor().ndim() == 0) return binary(op, a, Arg(to_device(b.tensor(), a.tensor().device())));
    if (a.tensor().ndim() == 0) return binary(op, Arg(to_device(a.tensor(), b.tensor().device())), b);
  }
  if (const auto form = unary_form(op, a, b)) return unary(form->op, a.tensor(), form->params);
  const char* name = row(op).name;
  const Device device = device_of(a, b, name);
  const Types types = types_of(name, row(op).kind, result_type({&a, &b}));
  check_divisor(op, b, types.result);
  Tensor y = empty_result(a, b, types.result, device, name);
  write_binary(op, y, a, b, types.compute);
  if (records(op, a, b)) set_history(y, binary_node(op, a, b, a));
  return y;
}

void binary_in_place(BinaryOp op, const Tensor& a, const Arg& b) {
  if (b.is_tensor() && b.tensor().ndim() == 0 && b.tensor().device() != a.device())
    return binary_in_place(op, a, Arg(to_device(b.tensor(), a.device())));
  const Arg a_arg(a);
  if (const auto form = unary_form(op, a_arg, b)) return unary_in_place(form->op, a, form->params);
  const char* name = row(op).name;
  device_of(a, b, name);
  const Types types = types_of(name, row(op).kind, result_type({&a_arg, &b}));
  const bool keeps = types.result == a.dtype() || (is_floating(types.result) && is_floating(a.dtype())) ||
                     (is_integral(types.result) && is_integral(a.dtype()));
  check_as(ErrorKind::type, keeps, name, "_: the result is ", lamina::name_of(types.result),
           " and cannot be kept in a tensor of ", lamina::name_of(a.dtype()));
  check_divisor(op, b, types.result);
  check_writable(name, a);
  if (b.is_tensor()) {
    const Dims shape = broadcast_shapes(a.shape(), b.tensor().shape(), name);
    check(shape == a.shape(), name, "_: the result has shape ", shape, " and cannot be kept in a tensor of shape ",
          a.shape());
    if (overlaps_askew(a, b.tensor())) return binary_in_place(op, a, clone(b.tensor()));
  }
  if (!records(op, a, b)) {
    write_binary(op, a, a, b, types.compute);
    return bump_version(a);
  }
  // What backward needs of a is set aside before it is overwritten; b may be a itself (x *= x).
  const Tensor before = row(op).saves == Saves::input ? clone(detach(a)) : Tensor();
  const Arg old = before.defined() ? Arg(before) : a_arg;
  const bool same = b.is_tensor() && before.defined() && &b.tensor().storage() == &a.storage();
  Ref<Node> node = same ? binary_node(op, a, clone(b.tensor()), old) : binary_node(op, a, b, old);
  write_binary(op, a, a, b, types.compute);
  rebase_history(a, std::move(node));
}

Tensor where(const Tensor& condition, const Arg& a, const Arg& b) {
  check_as(ErrorKind::type, condition.dtype() == DType::b8, "where: the condition must be bool, got ",
           name_of(condition.dtype()));
  const DType type = result_type({&a, &b});
  Dims shape = condition.shape();
  for (const Arg* arg : {&a, &b})
    if (arg->is_tensor()) shape = broadcast_shapes(shape, arg->tensor().shape(), "where");
  const Tensor out = empty(shape, type, condition.device());
  const Tensor ta = a.is_tensor() ? to_dtype(a.tensor(), type) : Tensor(),
               tb = b.is_tensor() ? to_dtype(b.tensor(), type) : Tensor();
  const bool half = type == DType::f16 || type == DType::bf16;  // no immediates of these types
  const Tensor ha = half && !a.is_tensor() ? full({}, a.number(), type) : ta,
               hb = half && !b.is_tensor() ? full({}, b.number(), type) : tb;
  if (out.numel() > 0) {
    LoopBuilder loop(shape);
    loop.add(out).add(condition);
    loop.add(ha.defined() ? Arg(ha) : a, type).add(hb.defined() ? Arg(hb) : b, type);
    current_stream().launch(kernels(out.device()).elementwise.where, loop.build());
  }
  const bool ga = a.is_tensor() && needs_grad(a.tensor()), gb = b.is_tensor() && needs_grad(b.tensor());
  if (ga || gb)
    record("where", out, {a.is_tensor() ? &a.tensor() : nullptr, b.is_tensor() ? &b.tensor() : nullptr},
           [c = save(condition), ta = Target(a), tb = Target(b)](Gradients& g) {
             const Scalar zero(0.0);
             if (g.wants(0)) g.give(0, ta.fit(where(c.get(), g.of_output(), zero)));
             if (g.wants(1)) g.give(1, tb.fit(where(c.get(), zero, g.of_output())));
           });
  return out;
}

Tensor clamp(const Tensor& x, const Arg* low, const Arg* high) {
  check(low || high, "clamp: give min, max or both");
  if (is_floating(x.dtype()) && !(low && low->is_tensor()) && !(high && high->is_tensor())) {
    const double infinity = std::numeric_limits<double>::infinity();
    return unary(UnaryOp::clamp_to_numbers, x,
                 {{low ? low->number().as_double() : -infinity, high ? high->number().as_double() : infinity}});
  }
  // Inside the bounds, bounds included, the gradient passes whole; maximum would halve it at a tie.
  const auto bound = [](const Tensor& t, const Arg& limit, BinaryOp worse, BinaryOp pick) {
    if (!needs_grad(t) && !(limit.is_tensor() && needs_grad(limit.tensor()))) return binary(pick, t, limit);
    return where(binary(worse, detach(t), limit), limit, t);
  };
  Tensor y = x;
  if (low) y = bound(y, *low, BinaryOp::lt, BinaryOp::maximum);
  if (high) y = bound(y, *high, BinaryOp::gt, BinaryOp::minimum);
  return y;
}

// ---- making, copying, converting ----

namespace {

// To the other device go bytes: what is converted or rearranged is so on the device that it comes from or gets to.
void write_across(const Tensor& to, const Tensor& from) {
  const bool to_host = to.device().type == DeviceType::cpu;
  if (!to_host && from.device().type == DeviceType::cuda) return write_copy(to, to_device(from, {}));
  Tensor bytes = to_dtype(detach(from), to.dtype());
  if (bytes.shape() != to.shape() || !bytes.contiguous()) {
    const Tensor spread = empty(to.shape(), to.dtype(), from.device());
    write_copy(spread, bytes);
    bytes = spread;
  }
  const Tensor landing = to.contiguous() ? to : empty(to.shape(), to.dtype(), to.device());
  current_stream().launch(copy_bytes, landing.data(), bytes.data(),
                          static_cast<std::size_t>(to.numel()) * to.item_size(), to_host ? from.device() : to.device(),
                          to_host ? CudaCopy::to_host : CudaCopy::to_device);
  if (!to.contiguous()) write_copy(to, landing);
}

}  // namespace

Tensor to_device(const Tensor& t, Device device) {
  if (t.device() == device) return t;
  if (device.type == DeviceType::cpu) check_host_read("a copy to the host");
  Tensor out = empty(t.shape(), t.dtype(), device);
  write_copy(out, t);
  if (needs_grad(t))
    record("to", out, {&t}, [back = t.device()](Gradients& g) { g.give(0, to_device(g.of_output(), back)); });
  return out;
}

void write_copy(const Tensor& to, const Tensor& from) {
  if (to.numel() == 0) return;
  if (to.device() != from.device()) return write_across(to, from);
  current_stream().launch(kernels(to.device()).elementwise.copy, LoopBuilder(to.shape()).add(to).add(from).build());
}

void write_fill(const Tensor& t, const Scalar& value) {
  if (t.numel() == 0) return;
  current_stream().launch(kernels(t.device()).elementwise.copy,
                          LoopBuilder(t.shape()).add(t).add(value, t.dtype()).build());
}

Tensor full(const Dims& shape, const Scalar& value, DType dtype, Device device) {
  value.check_fits(dtype, "full");
  Tensor t = empty(shape, dtype, device);
  write_fill(t, value);
  return t;
}

void fill_(const Tensor& t, const Scalar& value) {
  check_writable("fill_", t);
  value.check_fits(t.dtype(), "fill_");
  const bool recorded = needs_grad(t);
  Ref<Node> node = recorded ? make_node("fill", {&t}, [](Gradients&) {}) : Ref<Node>();
  write_fill(t, value);
  recorded ? rebase_history(t, std::move(node)) : bump_version(t);
}

void copy_(const Tensor& to, const Tensor& from) {
  const Dims shape = broadcast_shapes(to.shape(), from.shape(), "copy_");
  check(shape == to.shape(), "copy_: shape ", from.shape(), " does not broadcast to ", to.shape());
  const bool same = to.data() == from.data() && to.shape() == from.shape() && to.strides() == from.strides() &&
                    to.dtype() == from.dtype();
  check_writable("copy_", to);
  if (same && share_history(to, from)) return;  // x[i] += y ends by assigning the view to itself
  if (overlaps_askew(to, from)) return copy_(to, clone(from));
  const bool recorded = is_floating(to.dtype()) && needs_grad(to, from);
  Ref<Node> node;
  if (recorded)
    node = make_node("copy", {&to, &from}, [target = Target(from)](Gradients& g) {
      if (g.wants(1)) g.give(1, target.fit(g.of_output()));
    });
  write_copy(to, from);
  recorded ? rebase_history(to, std::move(node)) : bump_version(to);
}

Tensor clone(const Tensor& t) {
  Tensor out = empty(t.shape(), t.dtype(), t.device());
  write_copy(out, t);
  if (needs_grad(t)) record("clone", out, {&t}, [](Gradients& g) { g.give(0, g.of_output()); });
  return out;
}

Tensor contiguous(const Tensor& t) { return t.contiguous() ? t : clone(t); }

Tensor to_dtype(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  Tensor out = empty(t.shape(), dtype, t.device());
  write_copy(out, t);
  if (needs_grad(t) && is_floating(dtype))
    record("to", out, {&t}, [type = t.dtype()](Gradients& g) { g.give(0, to_dtype(g.of_output(), type)); });
  return out;
}

Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, DType dtype, Device device) {
  check(step.as_double() != 0, "arange: step must not be zero");
  std::int64_t n;
  if (start.is_real() || end.is_real() || step.is_real()) {
    const double steps = std::ceil((end.as_double() - start.as_double()) / step.as_double());
    check(std::isfinite(steps) && steps < 9e18, "arange: from ", start.as_double(), " to ", end.as_double(), " by ",
          step.as_double(), " is not a finite range");
    n = static_cast<std::int64_t>(steps);
  } else {
    const __int128 span = static_cast<__int128>(end.as_int64()) - start.as_int64(), by = step.as_int64();
    n = static_cast<std::int64_t>((span + by - (by > 0 ? 1 : -1)) / by);
  }
  check(n >= 0, "arange: the sign of step does not lead from start to end");
  const Tensor t = empty({n}, dtype, device);
  if (n > 0)
    current_stream().launch(require(kernels(device).elementwise.iota, "arange", device), t.data(), dtype,
                            start.as_double(), step.as_double(), start.as_int64(), step.as_int64(), n);
  return t;
}

// ---- what autograd needs ----

Tensor add_gradients(const Tensor& a, const Tensor& b) { return add(a, b); }
void add_gradient_in_place(const Tensor& sum, const Tensor& grad) {
  write_binary(BinaryOp::add, sum, sum, grad, compute_type(sum.dtype()));
  bump_version(sum);
}
void set_gradient(const Tensor& to, const Tensor& grad) {
  write_copy(to, grad);
  bump_version(to);
}
void set_gradient_to_zero(const Tensor& grad) { write_fill(grad, Scalar(0.0)); }
Tensor clone_gradient(const Tensor& grad, const Dims& strides) {
  if (strides != contiguous_strides(grad.shape())) {
    const Tensor copy = zero_gradient(grad, grad.shape(), strides);
    write_copy(copy, grad);
    return copy;
  }
  const Tensor copy = empty(grad.shape(), grad.dtype(), grad.device());
  write_copy(copy, grad);
  return copy;
}
Tensor zero_gradient(const Tensor& like, const Dims& shape, const Dims& strides) {
  const Extent e = extent(shape, strides);
  const Tensor all = full({e.last - e.first}, Scalar(0.0), like.dtype(), like.device());
  return view_of(all, shape, strides, -e.first * static_cast<std::int64_t>(all.item_size()));
}
Tensor ones_like_gradient(const Tensor& root) { return full(root.shape(), Scalar(1.0), root.dtype(), root.device()); }

}  // namespace lamina
