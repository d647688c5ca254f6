// Cross-entropy and the negative log-likelihood.
#include <algorithm>

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/loss.h"
#include "ops/elementwise.h"
#include "ops/loss.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

// What the message of a label that is no class needs to say; plain data, for it travels through the launch seam.
struct LabelReport {
  const char* op;
  const void* labels;
  DType dtype;
  Device device;
  Dims shape;
  std::int64_t classes, ignore_index;
};
std::int64_t label_at(const LabelReport& r, std::int64_t i) {
  if (r.dtype == DType::i32) return fetch(static_cast<const std::int32_t*>(r.labels) + i, r.device);
  if (r.dtype == DType::u8) return fetch(static_cast<const std::uint8_t*>(r.labels) + i, r.device);
  return fetch(static_cast<const std::int64_t*>(r.labels) + i, r.device);
}
void report_label(const std::int64_t* fault, LabelReport r) {
  if (*fault < 0) return;
  Dims place = r.shape;
  std::int64_t rest = *fault;
  for (int d = place.size() - 1; d >= 0; --d) {
    place[d] = rest % r.shape[d];
    rest /= r.shape[d];
  }
  fail(ErrorKind::index, r.op, ": label ", label_at(r, *fault), " at ", place,
       " of the target is no class: expected 0 to ", r.classes - 1, ", or ignore_index ", r.ignore_index);
}

// The classes' dimension: 1, or 0 where there is no batch.
int class_dim(const Tensor& x) { return x.ndim() == 1 ? 0 : 1; }

Dims positions_shape(const Tensor& x) {
  Dims shape = x.shape();
  shape.erase(class_dim(x));
  return shape;
}

void check_operands(const char* op, const Tensor& x, const Tensor& target, const Tensor& weight,
                    const CrossEntropyOptions& o, bool soft) {
  check_as(ErrorKind::type, is_floating(x.dtype()), op, ": input must be of a floating type, got ", name_of(x.dtype()));
  check(x.ndim() >= 1, op, ": input must have the shape (N, C), (N, C, …) or (C,), got ", x.shape());
  const std::int64_t classes = x.shape()[class_dim(x)];
  check(classes > 0, op, ": there are no classes in an input of shape ", x.shape());
  check(o.label_smoothing >= 0 && o.label_smoothing <= 1, op, ": label_smoothing must be between 0 and 1, got ",
        o.label_smoothing);
  if (soft) {
    check(target.shape() == x.shape(), op, ": a target of a floating type must be probabilities of the input's shape ",
          x.shape(), ", got shape ", target.shape(), "; class indices are integers");
  } else {
    check_as(ErrorKind::type, is_integral(target.dtype()), op,
             ": target must be class indices (int64) or probabilities, got ", name_of(target.dtype()));
    check(target.shape() == positions_shape(x), op, ": class indices for an input of shape ", x.shape(),
          " must have the shape ", positions_shape(x), ", got ", target.shape());
  }
  if (!weight.defined()) return;
  check(weight.shape() == Dims{classes}, op, ": weight must have the shape ", Dims{classes},
        ", one for each class, got ", weight.shape());
  check_as(ErrorKind::type, is_floating(weight.dtype()), op, ": weight must be of a floating type, got ",
           name_of(weight.dtype()));
}

// d/d target of the loss of distributions: -(1 - smoothing) w log p, times dy. Rarely wanted, so made of other
// operations.
Tensor target_gradient(const Tensor& x, const Tensor& weight, const Tensor& dy, const CrossEntropyOptions& o) {
  const int dim = class_dim(x);
  const double positions = static_cast<double>(x.numel() / x.shape()[dim]);
  Tensor d =
      mul(log_softmax(x, dim), Scalar((o.label_smoothing - 1) / (o.reduction == LossReduction::mean ? positions : 1)));
  if (weight.defined()) {
    Dims along(x.ndim() - dim, 1);
    along[0] = weight.numel();
    d = mul(d, reshape(to_dtype(weight, x.dtype()), along));
  }
  return mul(d, o.reduction == LossReduction::none ? unsqueeze(dy, dim) : dy);
}

Tensor class_loss(const char* op, const Tensor& input, const Tensor& given_target, const Tensor& given_weight,
                  const CrossEntropyOptions& o, bool log_probabilities) {
  const bool soft = !log_probabilities && is_floating(given_target.dtype());
  check_operands(op, input, given_target, given_weight, o, soft);
  const Device device = input.device();
  check(given_target.device() == device, op, ": input is on ", device, ", target on ", given_target.device());
  check(!given_weight.defined() || given_weight.device() == device, op, ": input is on ", device, ", weight elsewhere");
  const DType type = input.dtype(), wide = compute_type(type);
  const Tensor x = contiguous(input), target = contiguous(soft ? to_dtype(given_target, type) : given_target);
  const Tensor weight = given_weight.defined() ? contiguous(to_dtype(detach(given_weight), wide)) : Tensor();

  CrossEntropy a{};
  a.shape = {1, x.shape()[class_dim(x)], 1};
  if (x.ndim() > 1) a.shape.outer = x.shape()[0];
  for (int d = 2; d < x.ndim(); ++d) a.shape.inner *= x.shape()[d];
  a.x = x.data();
  a.target = target.data();
  a.weight = weight.defined() ? weight.data() : nullptr;
  a.ignore_index = o.ignore_index;
  a.smoothing = o.label_smoothing;
  a.label_type = target.dtype();
  a.soft = soft;
  a.log_probabilities = log_probabilities;
  a.reduction = o.reduction;

  const bool recorded = needs_grad(x, target);
  const std::int64_t positions = a.shape.outer * a.shape.inner, cuts = cuts_of(a.shape).count;
  const Tensor out = empty(o.reduction == LossReduction::none ? positions_shape(x) : Dims(), type, device);
  const Tensor statistics =
      recorded && !log_probabilities ? empty({2 * positions + kStatisticsPadding}, wide, device) : Tensor();
  const Tensor notes = empty({2}, DType::i64, device);  // the divisor (a double), the fault
  const Tensor partials =
      cuts > 1 ? empty({cuts, static_cast<std::int64_t>(sizeof(LossPartial))}, DType::u8, device) : Tensor();
  double* const divisor = notes.data<double>();
  std::int64_t* const fault = notes.data<std::int64_t>() + 1;
  const LossTable& table = kernels(device).loss;
  const int slot = static_cast<int>(type);
  current_stream().launch(require(table.cross_entropy[slot], op, device), a, out.data(),
                          statistics.defined() ? statistics.data() : nullptr, divisor,
                          partials.defined() ? partials.data<LossPartial>() : nullptr, fault);
  if (!soft)
    current_stream().report(
        device, report_label, static_cast<const std::int64_t*>(fault),
        LabelReport{op, a.target, a.label_type, device, target.shape(), a.shape.length, o.ignore_index});
  if (recorded)
    record(op, out, {&x, &target},
           [a, o, kernel = require(table.cross_entropy_grad[slot], op, device), x = save(x), target = save(target),
            weight, statistics, notes](Gradients& g) {
             const Tensor dy = contiguous(g.of_output());
             if (g.wants(0)) {
               CrossEntropy now = a;
               now.x = x.get().data();
               now.target = target.get().data();
               now.weight = weight.defined() ? weight.data() : nullptr;
               const Tensor dx = empty(x.get().shape(), x.get().dtype(), x.get().device());
               current_stream().launch(kernel, now, dy.data(), statistics.defined() ? statistics.data() : nullptr,
                                       notes.data<double>(), dx.data());
               g.give(0, dx);
             }
             if (g.wants(1)) g.give(1, target_gradient(x.get(), weight, dy, o));
           });
  return out;
}

}  // namespace

Tensor cross_entropy(const Tensor& x, const Tensor& target, const Tensor& weight, const CrossEntropyOptions& options) {
  return class_loss("cross_entropy", x, target, weight, options, false);
}

Tensor nll_loss(const Tensor& x, const Tensor& target, const Tensor& weight, const CrossEntropyOptions& options) {
  return class_loss("nll_loss", x, target, weight, options, true);
}

}  // namespace lamina
