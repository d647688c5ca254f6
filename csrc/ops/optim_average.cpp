// Running averages of parameters.
#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/optim.h"
#include "ops/elementwise.h"
#include "ops/optim.h"

namespace lamina {
namespace {

const OptimTable& table(Device device) { return kernels(device).optim; }

}  // namespace

ParameterAverage::ParameterAverage(const std::vector<Tensor>& parameters, double decay, bool correct_bias)
    : parameters_(parameters), correct_bias_(correct_bias) {
  const Unrecorded once;
  check(!parameters.empty(), "EMA: there are no parameters to average");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    check_as(ErrorKind::type, is_floating(parameters[i].dtype()), "EMA: parameter ", i, " is of type ",
             name_of(parameters[i].dtype()), "; only floating-point tensors can be averaged");
    const DType dtype = parameters[i].dtype() == DType::f64 ? DType::f64 : DType::f32;
    averages_.push_back(full(parameters[i].shape(), Scalar(0.0), dtype, parameters[i].device()));
    if (!correct_bias) write_copy(averages_[i], parameters[i]);
  }
  clock_ = full({sizeof(AverageClock) / sizeof(double)}, Scalar(0.0), DType::f64, parameters[0].device());
  set_decay(decay);
}

void ParameterAverage::set_decay(double decay) {
  check(decay >= 0 && decay <= 1, "EMA: decay must be between 0 and 1, got ", decay);
  current_stream().launch(table(clock_.device()).set, &clock_.data<AverageClock>()->decay, decay);
}

double ParameterAverage::count() const {
  check_host_read("an average's count of updates");
  return fetch(clock_.data<AverageClock>(), clock_.device()).count;
}

void ParameterAverage::set_count(double count) {
  const OptimTable& kernels = table(clock_.device());
  AverageClock* clock = clock_.data<AverageClock>();
  current_stream().launch(kernels.set, &clock->count, count - 1);
  current_stream().launch(kernels.average_tick, clock, correct_bias_);
}

void ParameterAverage::update() {
  const OptimTable& kernels = table(clock_.device());
  AverageClock* clock = clock_.data<AverageClock>();
  current_stream().launch(kernels.average_tick, clock, correct_bias_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor p = contiguous(detach(parameters_[i]));
    if (p.numel() > 0)
      current_stream().launch(kernels.average[static_cast<int>(p.dtype())], averages_[i].data(), p.data(), p.numel(),
                              clock);
  }
}

void ParameterAverage::copy_to(const std::vector<Tensor>& tensors) const {
  check(tensors.size() == averages_.size(), "EMA: expected ", averages_.size(), " tensors to copy to, got ",
        tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    check(t.shape() == averages_[i].shape(), "EMA: tensor ", i, " has shape ", t.shape(), ", its average ",
          averages_[i].shape());
    check_as(ErrorKind::type, is_floating(t.dtype()), "EMA: tensor ", i, " is of type ", name_of(t.dtype()));
    GradMode off(false);
    check_writable("EMA", t);
  }
  const OptimTable& kernels = table(clock_.device());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    const bool direct = t.contiguous() && t.dtype() == parameters_[i].dtype();
    const Tensor out = direct ? t : empty(t.shape(), parameters_[i].dtype(), t.device());
    if (t.numel() > 0)
      current_stream().launch(kernels.average_read[static_cast<int>(out.dtype())], out.data(), averages_[i].data(),
                              out.numel(), clock_.data<AverageClock>());
    if (!direct) write_copy(t, out);
    bump_version(t);
  }
}

}  // namespace lamina
