// softmax, log_softmax, logsumexp.
#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/reduce.h"
#include "ops/elementwise.h"
#include "ops/reduce_along.h"
#include "ops/view.h"

namespace lamina {
namespace {

enum class Scale { plain, logarithm };

const char* name(Scale scale) { return scale == Scale::plain ? "softmax" : "log_softmax"; }

// What the kernel needs besides its operands. The tensors must live until the launch is made.
struct Statistics {
  Along shape;
  ReductionPlan plan;
  Tensor first, second;
};
Statistics statistics(const Tensor& x, const Tensor* dy, int dim) {
  Statistics s{along(x, dim), {}, {}, {}};
  if (softmax_in_two_steps(s.shape)) {
    s.plan = plan_reduction(x, DimSet{1} << dim);
    const DType type = compute_type(x.dtype());
    const Dims size{s.shape.outer * s.shape.inner + kStatisticsPadding};
    s.first = empty(size, type, x.device());
    s.plan.geometry.out = s.first.data();
    if (!dy) {
      s.second = empty(size, type, x.device());
      s.plan.geometry.second = s.second.data();
    }
  }
  s.plan.geometry.in = x.data();
  s.plan.geometry.other = dy ? dy->data() : nullptr;
  return s;
}

// In the type that kernels compute in, contiguous and outside the graph.
Tensor prepared(const Tensor& t) { return contiguous(to_dtype(detach(t), compute_type(t.dtype()))); }

Tensor softmax_gradient(Scale scale, const Tensor& result, const Tensor& gradient, int dim) {
  const Tensor y = prepared(result), dy = prepared(gradient), dx = empty(y.shape(), y.dtype(), y.device());
  if (y.numel() == 0) return dx;
  const ReduceTable& table = kernels(y.device()).reduce;
  const auto& slots = scale == Scale::plain ? table.softmax_grad : table.log_softmax_grad;
  const Statistics s = statistics(y, &dy, dim);
  current_stream().launch(require(slots[static_cast<int>(y.dtype())], name(scale), y.device()), s.shape,
                          s.plan.geometry, y.data(), dy.data(), dx.data());
  return to_dtype(dx, result.dtype());
}

Tensor softmax_of(Scale scale, const Tensor& input, std::int64_t dimension, MaybeDType dtype) {
  const Tensor converted = convert_first(input, dtype);
  check_as(ErrorKind::type, is_floating(converted.dtype()), name(scale), ": expected a floating type, got ",
           name_of(converted.dtype()), "; pass dtype=");
  const int dim = wrap_dim(dimension, converted.ndim(), name(scale));
  const Tensor x = prepared(converted), out = empty(x.shape(), x.dtype(), x.device());
  if (x.numel() > 0) {
    const ReduceTable& table = kernels(x.device()).reduce;
    const auto& slots = scale == Scale::plain ? table.softmax : table.log_softmax;
    const Statistics s = statistics(x, nullptr, dim);
    current_stream().launch(require(slots[static_cast<int>(x.dtype())], name(scale), x.device()), s.shape,
                            s.plan.geometry, x.data(), out.data());
  }
  const Tensor y = to_dtype(out, converted.dtype());
  if (needs_grad(converted))
    record(name(scale), y, {&converted}, [scale, y = save_output(y), dim](Gradients& g) {
      g.give(0, softmax_gradient(scale, y.get(), g.of_output(), dim));
    });
  return y;
}

}  // namespace

Tensor softmax(const Tensor& x, std::int64_t dim, MaybeDType dtype) { return softmax_of(Scale::plain, x, dim, dtype); }
Tensor log_softmax(const Tensor& x, std::int64_t dim, MaybeDType dtype) {
  return softmax_of(Scale::logarithm, x, dim, dtype);
}

Tensor logsumexp(const Tensor& input, const Dims& dims, bool keepdim) {
  const Tensor x = is_floating(input.dtype()) ? input : to_dtype(input, DType::f32);
  const DimSet set = dim_set(dims, x.ndim(), "logsumexp");
  const DType type = compute_type(x.dtype());
  const Tensor out = empty(reduced_shape(x.shape(), set, keepdim), type, x.device());
  if (x.numel() == 0) {
    write_fill(out, Scalar(-std::numeric_limits<double>::infinity()));
  } else {
    const Reduce kernel =
        require(kernels(x.device()).reduce.logsumexp[static_cast<int>(type)], "logsumexp", x.device());
    ReductionPlan plan = plan_reduction(to_dtype(detach(x), type), set);
    plan.geometry.out = out.data();
    current_stream().launch(kernel, plan.geometry);
  }
  const Tensor y = to_dtype(out, x.dtype());
  if (needs_grad(x))
    record("logsumexp", y, {&x}, [x = save(x), y = save_output(y), set](Gradients& g) {
      const Dims& shape = x.get().shape();
      const Tensor top = with_reduced_dims(y.get(), shape, set), dy = with_reduced_dims(g.of_output(), shape, set);
      g.give(0, mul(unary(UnaryOp::exp, sub(x.get(), top)), dy));
    });
  return y;
}

}  // namespace lamina
