#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/norm.h"
#include "ops/elementwise.h"
#include "ops/half.h"
#include "ops/norm.h"
#include "ops/remade.h"

namespace lamina {
namespace {

void check_input(const char* op, const Tensor& x, int least) {
  check_as(ErrorKind::type, x.dtype() == DType::f32 || x.dtype() == DType::f64 || is_half(x), op,
           ": input must be float32, float64, float16 or bfloat16, got ", name_of(x.dtype()));
  check(x.ndim() >= least, op, ": input must be (N, C, …), got shape ", x.shape());
}

void check_of_channels(const char* op, const char* name, const Tensor& t, const Tensor& x) {
  if (!t.defined()) return;
  check(t.shape() == Dims{x.shape()[1]}, op, ": ", name, " must have one element to each of input's ", x.shape()[1],
        " channels, got shape ", t.shape());
  check_as(ErrorKind::type, t.dtype() == x.dtype() || (is_half(x) && t.dtype() == DType::f32), op, ": ", name,
           " must be ", name_of(x.dtype()), is_half(x) ? " like input or float32, got " : " like input, got ",
           name_of(t.dtype()));
  check(t.device() == x.device(), op, ": ", name, " is on ", t.device(), ", input on ", x.device());
}

Tensor packed(const Tensor& t) { return t.defined() ? contiguous(detach(t)) : Tensor(); }
void* data_of(const Tensor& t) { return t.defined() ? t.data() : nullptr; }
SavedTensor saved(const Tensor& t) { return t.defined() ? save(t) : SavedTensor(); }

ChannelNorm arguments(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  ChannelNorm a{};
  a.batch = x.shape()[0], a.channels = x.shape()[1];
  a.spatial = a.batch && a.channels ? x.numel() / (a.batch * a.channels) : 0;
  a.x = x.data(), a.weight = data_of(weight), a.bias = data_of(bias), a.eps = eps;
  return a;
}

bool is_recorded(std::initializer_list<const Tensor*> inputs) {
  if (!grad_enabled()) return false;
  for (const Tensor* t : inputs)
    if (t->defined() && t->requires_grad()) return true;
  return false;
}

// Running statistics are written where they lie.
void check_running(const char* name, const Tensor& t, bool updated) {
  if (!t.defined()) return;
  check(t.contiguous(), "batch_norm: ", name, " must be contiguous");
  if (updated) check_writable("batch_norm", t);
}

// In float32; running statistics of half the width are converted both ways.
Tensor widened_batch_norm(const Tensor& input, const BatchNorm& n) {
  BatchNorm wide = n;
  wide.weight = widened(n.weight), wide.bias = widened(n.bias), wide.residual = widened(n.residual);
  wide.running_mean = widened(n.running_mean), wide.running_var = widened(n.running_var);
  const Tensor y = batch_norm(widened(input), wide);
  const auto put_back = [&](const Tensor& running, const Tensor& updated) {
    if (!n.training || !running.defined() || !is_half(running)) return;
    write_copy(running, updated);
    bump_version(running);
  };
  put_back(n.running_mean, wide.running_mean);
  put_back(n.running_var, wide.running_var);
  return to_dtype(y, input.dtype());
}

}  // namespace

Tensor batch_norm(const Tensor& input, const BatchNorm& n) {
  constexpr const char* op = "batch_norm";
  check_input(op, input, 2);
  check_of_channels(op, "weight", n.weight, input);
  check_of_channels(op, "bias", n.bias, input);
  check_of_channels(op, "running_mean", n.running_mean, input);
  check_of_channels(op, "running_var", n.running_var, input);
  check(n.eps >= 0, op, ": eps must not be negative, got ", n.eps);
  const Dims& shape = input.shape();
  check(!n.residual.defined() || (n.residual.shape() == shape && n.residual.dtype() == input.dtype()), op,
        ": residual must have input's shape and type, ", shape, ", ", name_of(input.dtype()), ", got ",
        n.residual.defined() ? n.residual.shape() : Dims());
  check(n.training || (n.running_mean.defined() && n.running_var.defined()), op,
        ": without training, running_mean and running_var must be given");
  check(!n.training || input.numel() == 0 || input.numel() > shape[1], op,
        ": in training more than one value to a channel is needed, got input ", shape);
  check(!n.batches.defined() || (n.batches.dtype() == DType::i64 && n.batches.numel() == 1), op,
        ": momentum must be a number, or the number of batches as one int64");
  check_running("running_mean", n.running_mean, n.training);
  check_running("running_var", n.running_var, n.training);
  if (is_half(input)) return widened_batch_norm(input, n);

  const Tensor x = contiguous(input), w = packed(n.weight), b = packed(n.bias), residual = packed(n.residual);
  const Tensor y = empty(shape, x.dtype(), x.device());
  const Tensor statistics = empty({shape[1], kRowStatistics}, x.dtype(), x.device());
  ChannelNorm a = arguments(x, w, b, n.eps);
  a.residual = data_of(residual), a.relu = n.relu, a.own_statistics = n.training;
  const NormTable& table = kernels(x.device()).norm;
  const int slot = static_cast<int>(x.dtype());
  const RunningStatistics running{data_of(n.running_mean), data_of(n.running_var),
                                  n.batches.defined() ? n.batches.data<std::int64_t>() : nullptr, n.momentum};
  if (x.numel() > 0) {
    current_stream().launch(require(table.batch_norm[slot], op, x.device()), a, running, y.data(), statistics.data());
    if (n.training && n.running_mean.defined()) bump_version(n.running_mean);
    if (n.training && n.running_var.defined()) bump_version(n.running_var);
  }
  if (!is_recorded({&x, &n.weight, &n.bias, &n.residual})) return y;

  const bool by_result = n.relu && residual.defined();
  record(op, y, {&x, &n.weight, &n.bias, &n.residual},
         [kernel = require(table.batch_norm_grad[slot], op, x.device()), x = save(x), w = saved(w), b = saved(b),
          has_weight = w.defined(), has_bias = b.defined(), y = by_result ? save_output(y) : SavedTensor(), by_result,
          statistics, relu = n.relu, training = n.training](Gradients& g) {
           const Tensor &x0 = x.get(), dy = contiguous(g.of_output());
           const Tensor w0 = has_weight ? w.get() : Tensor(), b0 = has_bias ? b.get() : Tensor();
           const auto like = [&](bool wanted, const Dims& shape) {
             return wanted ? empty(shape, x0.dtype(), x0.device()) : Tensor();
           };
           const Dims channels{x0.shape()[1]};
           const Tensor dx = like(g.wants(0), x0.shape()), dweight = like(g.wants(1), channels),
                        dbias = like(g.wants(2), channels), dresidual = like(g.wants(3) && relu, x0.shape());
           ChannelNorm a = arguments(x0, w0, b0, 0);
           a.relu = relu, a.own_statistics = training;
           if (x0.numel() > 0) {
             if (dx.defined() || dweight.defined() || dbias.defined() || dresidual.defined())
               current_stream().launch(kernel, a, dy.data(), by_result ? y.get().data() : nullptr, statistics.data(),
                                       data_of(dx), data_of(dresidual), data_of(dweight), data_of(dbias));
           } else {
             if (dweight.defined()) write_fill(dweight, Scalar(0));
             if (dbias.defined()) write_fill(dbias, Scalar(0));
           }
           if (dx.defined()) g.give(0, dx);
           if (dweight.defined()) g.give(1, dweight);
           if (dbias.defined()) g.give(2, dbias);
           if (g.wants(3)) g.give(3, relu ? dresidual : dy);
         });
  if (!residual.defined())
    can_be_remade(y, [kernel = require(table.batch_norm[slot], op, x.device()), x = save(x), w = saved(w), b = saved(b),
                      has_weight = w.defined(), has_bias = b.defined(), statistics, relu = n.relu] {
      const Tensor &x0 = x.get(), again = empty(x0.shape(), x0.dtype(), x0.device());
      ChannelNorm a = arguments(x0, has_weight ? w.get() : Tensor(), has_bias ? b.get() : Tensor(), 0);
      a.relu = relu;
      current_stream().launch(kernel, a, RunningStatistics{}, again.data(), statistics.data());
      return again;
    });
  return y;
}

Tensor group_norm(const Tensor& input, std::int64_t groups, const Tensor& weight, const Tensor& bias, double eps) {
  constexpr const char* op = "group_norm";
  check_input(op, input, 2);
  check(groups >= 1 && input.shape()[1] % groups == 0, op, ": num_groups must divide input's ", input.shape()[1],
        " channels, got ", groups);
  check_of_channels(op, "weight", weight, input);
  check_of_channels(op, "bias", bias, input);
  check(eps >= 0, op, ": eps must not be negative, got ", eps);
  if (is_half(input))
    return to_dtype(group_norm(widened(input), groups, widened(weight), widened(bias), eps), input.dtype());
  const Tensor x = contiguous(input), w = packed(weight), b = packed(bias);
  const Tensor y = empty(x.shape(), x.dtype(), x.device());
  const Tensor statistics = empty({x.shape()[0], groups, kRowStatistics}, x.dtype(), x.device());
  ChannelNorm a = arguments(x, w, b, eps);
  a.groups = groups;
  const NormTable& table = kernels(x.device()).norm;
  const int slot = static_cast<int>(x.dtype());
  if (x.numel() > 0)
    current_stream().launch(require(table.group_norm[slot], op, x.device()), a, y.data(), statistics.data());
  if (!is_recorded({&x, &weight, &bias})) return y;

  record(op, y, {&x, &weight, &bias},
         [kernel = require(table.group_norm_grad[slot], op, x.device()), x = save(x), w = saved(w),
          has_weight = w.defined(), statistics, groups](Gradients& g) {
           const Tensor &x0 = x.get(), dy = contiguous(g.of_output()), w0 = has_weight ? w.get() : Tensor();
           const Dims channels{x0.shape()[1]};
           const auto like = [&](bool wanted, const Dims& shape) {
             return wanted ? empty(shape, x0.dtype(), x0.device()) : Tensor();
           };
           const Tensor dx = like(g.wants(0), x0.shape()), dweight = like(g.wants(1), channels),
                        dbias = like(g.wants(2), channels);
           const Tensor sums = empty({x0.shape()[0], 2, channels[0]}, x0.dtype(), x0.device());
           ChannelNorm a = arguments(x0, w0, Tensor(), 0);
           a.groups = groups;
           if (x0.numel() > 0) {
             current_stream().launch(kernel, a, dy.data(), statistics.data(), data_of(dx), data_of(dweight),
                                     data_of(dbias), sums.data());
           } else {
             if (dweight.defined()) write_fill(dweight, Scalar(0));
             if (dbias.defined()) write_fill(dbias, Scalar(0));
           }
           if (dx.defined()) g.give(0, dx);
           if (dweight.defined()) g.give(1, dweight);
           if (dbias.defined()) g.give(2, dbias);
         });
  return y;
}

}  // namespace lamina
