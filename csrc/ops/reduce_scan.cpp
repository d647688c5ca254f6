// Running sums, products and extremes, and the gradient of a product.
#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/reduce.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/reduce_along.h"
#include "ops/view.h"

namespace lamina {
namespace {

Tensor scan(const Scan (&slots)[kDTypeCount], const char* name, const Tensor& input, int dim, bool reverse) {
  const Tensor x = contiguous(input), y = empty(x.shape(), x.dtype(), x.device());
  if (x.numel() == 0) return y;
  const Along shape = along(x, dim);
  Tensor scratch;
  if (scan_in_two_steps(shape)) scratch = empty({scan_chunks(shape)}, DType::i64, x.device());
  current_stream().launch(require(slots[static_cast<int>(x.dtype())], name, x.device()), shape, reverse, x.data(),
                          y.data(), scratch.defined() ? scratch.data() : nullptr);
  return y;
}

// Integers and bool are added up and multiplied in int64.
Tensor prepared(const Tensor& x, MaybeDType dtype) {
  const Tensor converted = convert_first(x, dtype);
  return is_floating(converted.dtype()) ? converted : to_dtype(converted, DType::i64);
}

Tensor scan_gradient(const ScanGrad (&slots)[kDTypeCount], const char* name, const Tensor& x, const Tensor& y,
                     const Tensor& dy, int dim) {
  const Tensor in = contiguous(x), out = contiguous(y), gradient = contiguous(dy);
  const Tensor dx = empty(x.shape(), x.dtype(), x.device());
  if (x.numel() > 0)
    current_stream().launch(require(slots[static_cast<int>(x.dtype())], name, x.device()), along(in, dim), in.data(),
                            out.data(), gradient.data(), dx.data());
  return dx;
}

}  // namespace

Tensor cumsum(const Tensor& input, std::int64_t dimension, MaybeDType dtype) {
  const Tensor x = prepared(input, dtype);
  const int dim = wrap_dim(dimension, x.ndim(), "cumsum");
  const Tensor y = scan(kernels(x.device()).reduce.cumsum, "cumsum", x, dim, false);
  if (needs_grad(x))
    record("cumsum", y, {&x}, [dim](Gradients& g) {
      const Tensor& dy = g.of_output();
      g.give(0, scan(kernels(dy.device()).reduce.cumsum, "cumsum", dy, dim, true));
    });
  return as_asked(y, dtype);
}

Tensor cumprod(const Tensor& input, std::int64_t dimension, MaybeDType dtype) {
  const Tensor x = prepared(input, dtype);
  const int dim = wrap_dim(dimension, x.ndim(), "cumprod");
  const Tensor y = scan(kernels(x.device()).reduce.cumprod, "cumprod", x, dim, false);
  if (needs_grad(x))
    record("cumprod", y, {&x}, [dim, x = save(x), y = save_output(y)](Gradients& g) {
      const auto& slots = kernels(g.of_output().device()).reduce.cumprod_grad;
      g.give(0, scan_gradient(slots, "cumprod", x.get(), y.get(), g.of_output(), dim));
    });
  return as_asked(y, dtype);
}

Tensor logcumsumexp(const Tensor& input, std::int64_t dimension) {
  const int dim = wrap_dim(dimension, input.ndim(), "logcumsumexp");
  const Tensor whole = contiguous(to_dtype(input, compute_type(input.dtype())));
  const Tensor x = detach(whole), y = empty(x.shape(), x.dtype(), x.device());
  const auto kernel =
      require(kernels(x.device()).reduce.logcumsumexp[static_cast<int>(x.dtype())], "logcumsumexp", x.device());
  if (x.numel() > 0) current_stream().launch(kernel, along(x, dim), x.data(), y.data());
  if (needs_grad(whole))
    record("logcumsumexp", y, {&whole}, [dim, x = save(x), y = save_output(y)](Gradients& g) {
      const auto& slots = kernels(g.of_output().device()).reduce.logcumsumexp_grad;
      g.give(0, scan_gradient(slots, "logcumsumexp", x.get(), y.get(), g.of_output(), dim));
    });
  return to_dtype(y, input.dtype());
}

namespace {
ValuesIndices scan_extreme(const ScanExtreme (&slots)[kDTypeCount], const char* name, const Tensor& input,
                           std::int64_t dimension) {
  const int dim = wrap_dim(dimension, input.ndim(), name);
  const Tensor x = contiguous(input);
  const ValuesIndices y{empty(x.shape(), x.dtype(), x.device()), empty(x.shape(), DType::i64, x.device())};
  if (x.numel() > 0)
    current_stream().launch(require(slots[static_cast<int>(x.dtype())], name, x.device()), along(x, dim), x.data(),
                            y.values.data(), y.indices.data<std::int64_t>());
  if (is_floating(x.dtype()) && needs_grad(x))
    record(name, y.values, {&x}, [dim, indices = save_output(y.indices)](Gradients& g) {
      const Tensor& dy = g.of_output();
      const Tensor dx = full(dy.shape(), Scalar(0.0), dy.dtype(), dy.device());
      scatter_add_(dx, dim, indices.get(), dy);
      g.give(0, dx);
    });
  return y;
}
}  // namespace

ValuesIndices cummax(const Tensor& x, std::int64_t dim) {
  return scan_extreme(kernels(x.device()).reduce.cummax, "cummax", x, dim);
}
ValuesIndices cummin(const Tensor& x, std::int64_t dim) {
  return scan_extreme(kernels(x.device()).reduce.cummin, "cummin", x, dim);
}

Tensor prod_gradient(const Tensor& x, const Tensor& y, const Tensor& dy, int dim) {
  // Products of what stands before and after an element need more range than 16 bits have.
  const DType type = compute_type(x.dtype());
  const auto& slots = kernels(x.device()).reduce.prod_grad;
  return to_dtype(scan_gradient(slots, "prod", to_dtype(x, type), to_dtype(y, type), to_dtype(dy, type), dim),
                  x.dtype());
}

}  // namespace lamina
