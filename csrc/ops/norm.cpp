#include "ops/norm.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/norm.h"
#include "ops/elementwise.h"
#include "ops/promote.h"

namespace lamina {
namespace {

struct Kind {
  const char* name;
  NormTable::Forward (NormTable::*forward)[kDTypeCount];
  NormTable::Backward (NormTable::*backward)[kDTypeCount];
};
constexpr Kind kLayer{"layer_norm", &NormTable::layer_norm, &NormTable::layer_norm_grad};
constexpr Kind kRms{"rms_norm", &NormTable::rms_norm, &NormTable::rms_norm_grad};

void check_parameter(const char* op, const char* name, const Tensor& t, const Tensor& x, const Dims& shape) {
  if (!t.defined()) return;
  check(t.shape() == shape, op, ": ", name, " must have the shape that is normalised, ", shape, ", got ", t.shape());
  check_as(ErrorKind::type, is_floating(t.dtype()), op, ": ", name, " must be of a floating type, got ",
           name_of(t.dtype()));
  check(t.device() == x.device(), op, ": ", name, " is on ", t.device(), ", input on ", x.device());
}

void check_shape(const char* op, const Tensor& x, const Dims& shape) {
  check_as(ErrorKind::type, is_floating(x.dtype()), op, ": input must be of a floating type, got ", name_of(x.dtype()));
  check(!shape.empty(), op, ": normalized_shape must name at least one dimension");
  bool fits = shape.size() <= x.ndim();
  for (int i = 1; fits && i <= shape.size(); ++i) fits = shape[shape.size() - i] == x.shape()[x.ndim() - i];
  check(fits, op, ": an input whose last dimensions are ", shape, " was expected, got shape ", x.shape());
}

// The kernel's view of saved tensors; weight and bias may be undefined.
RowNorm arguments(const Tensor& x, std::int64_t n, const Tensor& weight, const Tensor& bias, double eps) {
  return {n > 0 ? x.numel() / n : 0,
          n,
          x.data(),
          weight.defined() ? weight.data() : nullptr,
          bias.defined() ? bias.data() : nullptr,
          eps};
}

Tensor as_computed(const Tensor& t, DType wide) {
  return t.defined() ? contiguous(to_dtype(detach(t), wide)) : Tensor();
}

Tensor normalise(const Kind& kind, const Tensor& input, const Dims& shape, const Tensor& weight, const Tensor& bias,
                 double eps) {
  check_shape(kind.name, input, shape);
  check_parameter(kind.name, "weight", weight, input, shape);
  check_parameter(kind.name, "bias", bias, input, shape);
  check(eps >= 0, kind.name, ": eps must not be negative, got ", eps);
  const Tensor x = contiguous(input), y = empty(x.shape(), x.dtype(), x.device());
  const DType wide = compute_type(x.dtype());
  const Tensor w = as_computed(weight, wide), b = as_computed(bias, wide);
  const std::int64_t n = count(shape);
  const RowNorm args = arguments(x, n, w, b, eps);
  const bool recorded = grad_enabled() && (x.requires_grad() || (weight.defined() && weight.requires_grad()) ||
                                           (bias.defined() && bias.requires_grad()));
  const Tensor kept = recorded ? empty({args.rows, kRowStatistics}, wide, x.device()) : Tensor();
  const NormTable& table = kernels(x.device()).norm;
  const int slot = static_cast<int>(x.dtype());
  if (x.numel() > 0)
    current_stream().launch(require((table.*kind.forward)[slot], kind.name, x.device()), args, y.data(),
                            recorded ? kept.data() : nullptr);
  if (!recorded) return y;

  const auto type_of = [](const Tensor& t) { return t.defined() ? t.dtype() : DType::f32; };
  record(kind.name, y, {&x, &weight, &bias},
         [kernel = require((table.*kind.backward)[slot], kind.name, x.device()), x = save(x),
          w = w.defined() ? save(w) : SavedTensor(), has_weight = w.defined(), kept, shape, n, wide,
          weight_type = type_of(weight), bias_type = type_of(bias)](Gradients& g) {
           const Tensor& x0 = x.get();
           const Device device = x0.device();
           const Tensor dy = contiguous(g.of_output()), w0 = has_weight ? w.get() : Tensor();
           const Tensor dx = g.wants(0) ? empty(x0.shape(), x0.dtype(), device) : Tensor();
           const Tensor dweight = g.wants(1) ? empty(shape, wide, device) : Tensor();
           const Tensor dbias = g.wants(2) ? empty(shape, wide, device) : Tensor();
           const RowNorm args = arguments(x0, n, w0, Tensor(), 0);
           const bool sums = dweight.defined() || dbias.defined();
           const Tensor scratch = sums ? empty({norm_cuts(args.rows, n), 2, n}, wide, device) : Tensor();
           const auto data = [](const Tensor& t) { return t.defined() ? t.data() : nullptr; };
           current_stream().launch(kernel, args, dy.data(), kept.data(), data(dx), data(dweight), data(dbias),
                                   data(scratch));
           if (dx.defined()) g.give(0, dx);
           if (dweight.defined()) g.give(1, to_dtype(dweight, weight_type));
           if (dbias.defined()) g.give(2, to_dtype(dbias, bias_type));
         });
  return y;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Dims& shape, const Tensor& weight, const Tensor& bias, double eps) {
  return normalise(kLayer, x, shape, weight, bias, eps);
}
Tensor rms_norm(const Tensor& x, const Dims& shape, const Tensor& weight, double eps) {
  return normalise(kRms, x, shape, weight, Tensor(), eps);
}

}  // namespace lamina
