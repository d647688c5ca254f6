// Clipping of gradients. The norm and the factor stay on the device: nothing here waits for a number.
#include <cmath>

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/optim.h"
#include "ops/elementwise.h"
#include "ops/optim.h"

namespace lamina {
namespace {

const OptimTable& table(Device device) { return kernels(device).optim; }

void check_order(const char* op, double p) { check(p >= 0, op, ": norm_type must be 0 or more, got ", p); }

struct Norm {
  Tensor total, factor;  // one double each
};

// Runs are of contiguous memory.
Norm norm_of(const std::vector<GradientRun>& runs, Device device, double p, double limit, double eps) {
  std::int64_t chunks = 0;
  for (const GradientRun& r : runs) chunks += optim_chunks(r.numel);
  const Tensor partial = empty({chunks}, DType::f64, device);
  Stream& stream = current_stream();
  double* at = partial.data<double>();
  for (const GradientRun& r : runs) {
    stream.launch(table(device).norm_partial[static_cast<int>(r.first.dtype())], r.data, r.numel, p, at);
    at += optim_chunks(r.numel);
  }
  const Norm norm{empty({}, DType::f64, device), empty({}, DType::f64, device)};
  stream.launch(table(device).norm_finish, partial.data<double>(), chunks, p, limit, eps, norm.total.data<double>(),
                norm.factor.data<double>());
  return norm;
}

Tensor as_result(const Norm& norm, const std::vector<GradientRun>& runs) {
  for (const GradientRun& r : runs)
    if (r.first.dtype() == DType::f64) return norm.total;
  return to_dtype(norm.total, DType::f32);
}

Device device_of(const std::vector<GradientRun>& runs) { return runs.empty() ? Device{} : runs[0].first.device(); }

// Gradients with holes or in another order are worked on in a copy, which goes back afterwards.
class Gathered {
 public:
  explicit Gathered(std::vector<GradientRun> found) : runs(std::move(found)) {
    for (GradientRun& r : runs) {
      if (r.first.contiguous()) continue;
      const Tensor copy = clone(detach(r.first));
      scattered_.push_back({r.first, copy});
      r.data = copy.data();
    }
  }
  void put_back() const {
    for (const auto& [grad, copy] : scattered_) write_copy(grad, copy);
  }
  std::vector<GradientRun> runs;

 private:
  std::vector<std::pair<Tensor, Tensor>> scattered_;
};

void changed(const std::vector<Tensor>& parameters) {
  for (const Tensor& p : parameters)
    if (const Tensor grad = grad_of(p); grad.defined()) bump_version(grad);
}

}  // namespace

Tensor clip_grad_norm_(const std::vector<Tensor>& parameters, double limit, double p, double eps) {
  check_order("clip_grad_norm_", p);
  check(limit >= 0, "clip_grad_norm_: max_norm must be 0 or more, got ", limit);
  const Gathered grads(gradient_runs(parameters));
  const Device device = device_of(grads.runs);
  const Norm norm = norm_of(grads.runs, device, p, limit, eps);
  for (const GradientRun& r : grads.runs)
    current_stream().launch(table(device).scale[static_cast<int>(r.first.dtype())], r.data, r.numel,
                            norm.factor.data<double>());
  grads.put_back();
  changed(parameters);
  return as_result(norm, grads.runs);
}

Tensor total_norm(const std::vector<Tensor>& tensors, double p) {
  check_order("get_total_norm", p);
  std::vector<GradientRun> runs;
  for (const Tensor& t : tensors) {
    check_as(ErrorKind::type, is_floating(t.dtype()), "get_total_norm: expected floating-point tensors, got ",
             name_of(t.dtype()));
    const Tensor dense = contiguous(detach(t));
    if (t.numel() > 0) runs.push_back({dense.data(), dense.numel(), dense});
  }
  return as_result(norm_of(runs, device_of(runs), p, 0, 0), runs);
}

void clip_grad_value_(const std::vector<Tensor>& parameters, double limit) {
  check(limit >= 0, "clip_grad_value_: clip_value must be 0 or more, got ", limit);
  const Gathered grads(gradient_runs(parameters));
  for (const GradientRun& r : grads.runs)
    current_stream().launch(table(r.first.device()).clip_value[static_cast<int>(r.first.dtype())], r.data, r.numel,
                            limit);
  grads.put_back();
  changed(parameters);
}

}  // namespace lamina
