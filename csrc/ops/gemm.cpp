#include "ops/gemm.h"

#include "autograd/engine.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/gemm.h"
#include "ops/elementwise.h"
#include "ops/gemm_pack_cache.h"
#include "ops/half.h"
#include "ops/loops.h"
#include "ops/place_of_gradient.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

// ---- from tensors to the kernel's arguments ----

// t as matrices (…, rows, columns), its leading dimensions broadcast to `batch`.
GemmOperand operand(const Tensor& t, const Dims& batch) {
  GemmOperand o;
  o.data = t.data();
  o.row = t.strides()[t.ndim() - 2];
  o.col = t.strides()[t.ndim() - 1];
  const int missing = batch.size() - (t.ndim() - 2);
  for (int i = missing; i < batch.size(); ++i) o.batch[i] = t.shape()[i - missing] == 1 ? 0 : t.strides()[i - missing];
  return o;
}

Dims batch_of(const Tensor& t) {
  Dims batch = t.shape();
  batch.pop_back();
  batch.pop_back();
  return batch;
}

void check_types(const char* op, const Tensor& a, const Tensor& b) {
  check_as(ErrorKind::type, a.dtype() == b.dtype(), op, ": the operands are of different types, ", name_of(a.dtype()),
           " and ", name_of(b.dtype()));
  check_as(ErrorKind::type, a.dtype() != DType::b8, op, " is not defined for bool");
  check(a.device() == b.device(), op, ": the operands are on different devices, ", a.device(), " and ", b.device());
}

void check_inner(const char* op, const Tensor& a, const Tensor& b) {
  check(a.size(-1) == b.size(-2), op, ": inner dimensions differ: a ", a.shape(), " @ b ", b.shape(), ": ", a.size(-1),
        " vs ", b.size(-2));
}

// The arguments of out = a @ b, all at least 2-d, out of the broadcast batch.
GemmArgs arguments(const Tensor& out, const Tensor& a, const Tensor& b) {
  const Dims batch = batch_of(out);
  GemmArgs g;
  g.dtype = out.dtype();
  g.batch_ndim = batch.size();
  for (int i = 0; i < batch.size(); ++i) g.batch[i] = batch[i];
  g.m = out.size(-2);
  g.n = out.size(-1);
  g.k = a.size(-1);
  g.a = operand(a, batch);
  g.b = operand(b, batch);
  g.c = operand(out, batch);
  return g;
}

void launch(const Tensor& out, const GemmArgs& args) {
  if (out.numel() > 0)
    current_stream().launch(require(kernels(out.device()).gemm.multiply, "matmul", out.device()), args);
}

// The same where b, the tensor behind args.b, may be a weight that is kept packed.
void launch(const Tensor& out, GemmArgs& args, const Tensor& b) {
  const Tensor packed = packed_matrix(b, args.m);
  args.packed_b = packed.defined() ? packed.data() : nullptr;
  launch(out, args);
}

Tensor empty_product(const Tensor& a, const Tensor& b, const char* op) {
  Dims shape = broadcast_shapes(batch_of(a), batch_of(b), op);
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  return empty(shape, a.dtype(), a.device());
}

// ---- a @ b of at least 2-d operands ----

Tensor product(const Tensor& a, const Tensor& b, double alpha = 1);

// Gradients of alpha · a @ b. A batch that was broadcast is summed; where the sum runs over one operand's whole batch
// and the other is a plain matrix, it happens inside the product.
Tensor product_gradient_a(const Tensor& dy, const Tensor& b, const Dims& shape, double alpha) {
  return sum_to(product(dy, transpose(b, -2, -1), alpha), shape);
}
Tensor product_gradient_b(const Tensor& dy, const Tensor& a, const Dims& shape, double alpha) {
  return sum_to(product(transpose(a, -2, -1), dy, alpha), shape);
}

Tensor product(const Tensor& a, const Tensor& b, double alpha) {
  check_types("matmul", a, b);
  check_inner("matmul", a, b);
  if (multiplies_widened(a)) return to_dtype(product(widened(a), widened(b), alpha), a.dtype());
  const Tensor out = empty_product(a, b, "matmul");
  GemmArgs args = arguments(out, a, b);
  args.alpha = alpha;
  launch(out, args, b);
  if (is_floating(a.dtype()) && needs_grad(a, b)) {
    const bool da = a.requires_grad(), db = b.requires_grad();
    record("matmul", out, {&a, &b},
           [a = db ? save(a) : SavedTensor(), b = da ? save(b) : SavedTensor(), sa = a.shape(), sb = b.shape(),
            alpha](Gradients& g) {
             if (g.wants(0)) g.give(0, product_gradient_a(g.of_output(), b.get(), sa, alpha));
             if (g.wants(1)) g.give(1, product_gradient_b(g.of_output(), a.get(), sb, alpha));
           });
  }
  return out;
}

void check_rank(const char* op, const char* argument, const Tensor& t, int rank) {
  check(t.ndim() == rank, op, ": ", argument, " must have ", rank, rank == 1 ? " dimension" : " dimensions",
        ", got shape ", t.shape());
}

// beta · input + alpha · a @ b.
Tensor add_product(const char* op, const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta_number,
                   const Scalar& alpha_number) {
  check_types(op, a, b);
  check_types(op, input, a);
  check_inner(op, a, b);
  if (multiplies_widened(a))
    return to_dtype(add_product(op, widened(input), widened(a), widened(b), beta_number, alpha_number), a.dtype());
  const double beta = beta_number.as_double(), alpha = alpha_number.as_double();
  const Tensor out = empty_product(a, b, op);
  check(broadcast_shapes(input.shape(), out.shape(), op) == out.shape(), op, ": input of shape ", input.shape(),
        " does not broadcast to the product's shape ", out.shape());
  GemmArgs args = arguments(out, a, b);
  args.alpha = alpha;
  args.beta = beta;
  const Tensor wide = expand(detach(input), out.shape());
  if (beta != 0) args.d = operand(wide, batch_of(out));
  launch(out, args);
  if (needs_grad(input, a, b))
    record(op, out, {&input, &a, &b}, [a = save(a), b = save(b), si = input.shape(), alpha, beta](Gradients& g) {
      const Tensor& dy = g.of_output();
      if (g.wants(0)) g.give(0, mul(sum_to(dy, si), Scalar(beta)));
      if (g.wants(1)) g.give(1, product_gradient_a(dy, b.get(), a.get().shape(), alpha));
      if (g.wants(2)) g.give(2, product_gradient_b(dy, a.get(), b.get().shape(), alpha));
    });
  return out;
}

// ---- the backward of a layer ----

constexpr std::int64_t kMostRowsInOnePass = 4096;  // more are summed by many threads, and by halves

// The gradient before the activation, in dy's own memory if nobody else needs that; its sum over the rows goes to
// `dbias`, if defined.
Tensor bias_gradient(const Tensor& dy, const Tensor& saved, std::optional<UnaryOp> activation, const Tensor& dbias) {
  if (!activation && !dbias.defined()) return dy;
  if (dy.size(0) == 0 || dy.size(0) > kMostRowsInOnePass || !dy.contiguous()) {
    const Tensor dz = activation ? unary_gradient(*activation, dy, saved) : dy;
    if (dbias.defined()) write_copy(dbias, sum_to(dz, dbias.shape()));
    return dz;
  }
  const Tensor dz = activation && !only_ours(dy) ? empty(dy.shape(), dy.dtype(), dy.device()) : dy;
  BiasGradient args{.dtype = dy.dtype(), .rows = dy.size(0), .cols = dy.size(1), .dy = dy.data()};
  if (activation) {
    const int op = static_cast<int>(*activation), type = static_cast<int>(computed_in(dy.dtype()));
    require(kernels(dy.device()).elementwise.unary_grad[op][type], name_of(*activation), dy.device());
    args.activation = *activation;
    args.saved = saved.data();
    args.dz = dz.data();
  }
  if (dbias.defined()) args.dbias = dbias.data();
  current_stream().launch(require(kernels(dy.device()).gemm.bias_gradient, "linear", dy.device()), args);
  return dz;
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  check(a.ndim() > 0 && b.ndim() > 0, "matmul: operands need at least 1 dimension, got ", a.shape(), " and ",
        b.shape());
  if (a.ndim() == 2 && b.ndim() == 2) return product(a, b);
  if (a.ndim() == 1 && b.ndim() == 1) {
    check(a.size(0) == b.size(0), "matmul: inner dimensions differ: a ", a.shape(), " @ b ", b.shape(), ": ", a.size(0),
          " vs ", b.size(0));
    return reshape(product(unsqueeze(a, 0), unsqueeze(b, 1)), {});
  }
  if (a.ndim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), -2);
  if (b.ndim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  // A batch against one matrix is one tall product, if memory allows.
  if (b.ndim() == 2 && viewable(a, {-1, a.size(-1)}) && a.size(-1) > 0) {
    check_inner("matmul", a, b);
    Dims shape = a.shape();
    shape.back() = b.size(1);
    return reshape(product(view(a, {-1, a.size(-1)}), b), shape);
  }
  return product(a, b);
}

Tensor mm(const Tensor& a, const Tensor& b) {
  check_rank("mm", "a", a, 2);
  check_rank("mm", "b", b, 2);
  return product(a, b);
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  check_rank("bmm", "a", a, 3);
  check_rank("bmm", "b", b, 3);
  check(a.size(0) == b.size(0), "bmm: batch sizes differ: a ", a.shape(), ", b ", b.shape());
  return product(a, b);
}

Tensor mv(const Tensor& a, const Tensor& b) {
  check_rank("mv", "a", a, 2);
  check_rank("mv", "b", b, 1);
  return matmul(a, b);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  check_rank("dot", "a", a, 1);
  check_rank("dot", "b", b, 1);
  return matmul(a, b);
}

Tensor outer(const Tensor& a, const Tensor& b) {
  check_rank("outer", "a", a, 1);
  check_rank("outer", "b", b, 1);
  return mul(unsqueeze(a, 1), b);
}

Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  check_rank("addmm", "a", a, 2);
  check_rank("addmm", "b", b, 2);
  return add_product("addmm", input, a, b, beta, alpha);
}

Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  check_rank("baddbmm", "a", a, 3);
  check_rank("baddbmm", "b", b, 3);
  check(a.size(0) == b.size(0), "baddbmm: batch sizes differ: a ", a.shape(), ", b ", b.shape());
  return add_product("baddbmm", input, a, b, beta, alpha);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, std::optional<UnaryOp> activation) {
  check(x.ndim() >= 1, "linear: input needs at least 1 dimension");
  check_rank("linear", "weight", weight, 2);
  check_types("linear", x, weight);
  check(x.size(-1) == weight.size(1), "linear: weight expects ", weight.size(1), " input features but input has ",
        x.size(-1), ": input ", x.shape(), ", weight ", weight.shape());
  check_as(ErrorKind::type, is_floating(x.dtype()), "linear is not defined for ", name_of(x.dtype()));
  if (bias.defined()) {
    check_types("linear", x, bias);
    check(bias.shape() == Dims{weight.size(0)}, "linear: bias must have shape ", Dims{weight.size(0)}, ", got ",
          bias.shape());
  }
  if (multiplies_widened(x)) return to_dtype(linear(widened(x), widened(weight), widened(bias), activation), x.dtype());
  if (x.ndim() != 2) {
    Dims shape = x.shape();
    shape.back() = weight.size(0);
    return reshape(
        linear(reshape(x, {count(shape) == 0 ? 0 : x.numel() / x.size(-1), x.size(-1)}), weight, bias, activation),
        shape);
  }

  const Tensor y = empty({x.size(0), weight.size(0)}, x.dtype(), x.device());
  const Tensor b = transpose(detach(weight), 0, 1);
  GemmArgs args = arguments(y, x, b);
  if (bias.defined()) args.bias = GemmOperand{.data = bias.data(), .row = 0, .col = bias.strides()[0]};
  const bool recorded = bias.defined() ? needs_grad(x, weight, bias) : needs_grad(x, weight);
  Tensor z;
  if (activation) {
    args.activation = *activation;
    if (recorded && saves_of(*activation) == Saves::input) {
      z = empty(y.shape(), y.dtype(), y.device());
      args.z = z.data();
    }
  }
  launch(y, args, b);
  if (recorded) {
    const SavedTensor after = !activation ? SavedTensor() : z.defined() ? save(z) : save_output(y);
    record("linear", y, {&x, &weight, &bias}, [x = save(x), w = save(weight), after, activation](Gradients& g) {
      const Tensor saved = activation ? after.get() : Tensor();
      const Tensor db = g.wants(2) ? place_of_gradient(g, 2, {w.get().size(0)}, {saved, x.get(), w.get()}) : Tensor();
      const Tensor dz = bias_gradient(g.of_output(), saved, activation, db);
      if (db.defined()) g.give(2, db);
      if (g.wants(0)) g.give(0, product(dz, w.get()));
      if (g.wants(1)) {
        const Tensor dw = place_of_gradient(g, 1, w.get().shape(), {dz, x.get(), w.get()});
        write_product(dw, transpose(dz, 0, 1), x.get());
        g.give(1, dw);
      }
    });
  }
  return y;
}

void add_product(const Tensor& out, const Tensor& a, const Tensor& b) {
  GemmArgs args = arguments(out, a, b);
  args.accumulate = true;
  launch(out, args);
}

void write_product(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& bias) {
  GemmArgs args = arguments(out, a, b);
  if (bias.defined()) args.bias = GemmOperand{.data = bias.data(), .row = 0, .col = bias.strides()[0]};
  launch(out, args);
}

}  // namespace lamina
