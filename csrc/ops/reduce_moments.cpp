// Variance and standard deviation, alone or with the mean; one walk over the elements gives both.
#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/reduce.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

enum class Spread { variance, deviation };

struct Moments {
  Tensor spread, mean;
};

Moments moments(Spread which, const char* name, const Tensor& x, const MaybeDims& dims, double correction, bool keepdim,
                bool wants_mean) {
  check_as(ErrorKind::type, is_floating(x.dtype()), name, ": expected a floating type, got ", name_of(x.dtype()));
  const DimSet set = dim_set(dims, x.ndim(), name);
  const bool recorded = needs_grad(x);
  const Dims shape = reduced_shape(x.shape(), set, keepdim);
  const DType type = compute_type(x.dtype());
  Moments m{empty(shape, type, x.device()), wants_mean || recorded ? empty(shape, type, x.device()) : Tensor()};
  if (x.numel() == 0) {
    write_fill(m.spread, Scalar(std::numeric_limits<double>::quiet_NaN()));
    if (m.mean.defined()) write_fill(m.mean, Scalar(std::numeric_limits<double>::quiet_NaN()));
  } else {
    const Reduce kernel = require(kernels(x.device()).reduce.var[static_cast<int>(type)], name, x.device());
    ReductionPlan plan = plan_reduction(to_dtype(detach(x), type), set);
    plan.geometry.out = m.spread.data();
    plan.geometry.second = m.mean.defined() ? m.mean.data() : nullptr;
    plan.geometry.p = correction;
    plan.geometry.root = which == Spread::deviation;
    current_stream().launch(kernel, plan.geometry);
  }
  m = {to_dtype(m.spread, x.dtype()), m.mean.defined() ? to_dtype(m.mean, x.dtype()) : Tensor()};
  if (!recorded) return m;
  record(name, std::vector<Tensor>{m.spread, m.mean}, {x},
         [x = save(x), y = save_output(m.spread), mean = save_output(m.mean), set, which, correction](Gradients& g) {
           const Tensor in = x.get();
           const auto count = static_cast<double>(reduced_count(in.shape(), set));
           const double freedom = count > correction ? count - correction : 0;
           Tensor dx;
           if (g.of_output(0).defined()) {
             Tensor factor = mul(g.of_output(0), Scalar((which == Spread::variance ? 2 : 1) / freedom));
             if (which == Spread::deviation) {  // a deviation of 0 is a corner: its gradient is taken to be 0
               const Tensor flat = binary(BinaryOp::eq, y.get(), Scalar(0.0));
               factor = where(flat, Scalar(0.0), div(factor, y.get()));
             }
             dx = mul(sub(in, with_reduced_dims(mean.get(), in.shape(), set)),
                      with_reduced_dims(factor, in.shape(), set));
           }
           if (g.of_output(1).defined()) {
             const Tensor from_mean = spread(div(g.of_output(1), Scalar(count)), in.shape(), set);
             dx = dx.defined() ? add(dx, from_mean) : from_mean;
           }
           g.give(0, dx);
         });
  return m;
}

}  // namespace

Tensor variance(const Tensor& x, const MaybeDims& dims, double correction, bool keepdim) {
  return moments(Spread::variance, "var", x, dims, correction, keepdim, false).spread;
}
Tensor deviation(const Tensor& x, const MaybeDims& dims, double correction, bool keepdim) {
  return moments(Spread::deviation, "std", x, dims, correction, keepdim, false).spread;
}
std::pair<Tensor, Tensor> variance_mean(const Tensor& x, const MaybeDims& dims, double correction, bool keepdim) {
  const Moments m = moments(Spread::variance, "var_mean", x, dims, correction, keepdim, true);
  return {m.spread, m.mean};
}
std::pair<Tensor, Tensor> deviation_mean(const Tensor& x, const MaybeDims& dims, double correction, bool keepdim) {
  const Moments m = moments(Spread::deviation, "std_mean", x, dims, correction, keepdim, true);
  return {m.spread, m.mean};
}

}  // namespace lamina
