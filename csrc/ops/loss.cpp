#include "ops/loss.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/loss.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace lamina {
namespace {

constexpr const char* kNames[] = {"mse_loss",
                                  "squared_error",
                                  "l1_loss",
                                  "smooth_l1_loss",
                                  "huber_loss",
                                  "binary_cross_entropy",
                                  "binary_cross_entropy_with_logits",
                                  "kl_div",
                                  "gaussian_nll_loss",
                                  "poisson_nll_loss",
                                  "soft_margin_loss",
                                  "hinge_embedding_loss",
                                  "margin_ranking_loss"};
static_assert(sizeof kNames / sizeof *kNames == kLosses);

Tensor room_for_partials(std::int64_t cuts, Device device) {
  if (cuts <= 1) return {};
  return empty({cuts, static_cast<std::int64_t>(sizeof(LossPartial))}, DType::u8, device);
}
LossPartial* partials_in(const Tensor& t) { return t.defined() ? t.data<LossPartial>() : nullptr; }

// What a message about a number that is not allowed needs to say; plain data, for it travels through the launch seam.
struct FaultReport {
  LossOp op;
  const void* numbers;
  DType dtype;
  Device device;
};
// " (-0.5)", for the types that C++ can print.
std::string number_at(const FaultReport& r, std::int64_t i) {
  if (r.dtype == DType::f32) return concat(" (", fetch(static_cast<const float*>(r.numbers) + i, r.device), ")");
  if (r.dtype == DType::f64) return concat(" (", fetch(static_cast<const double*>(r.numbers) + i, r.device), ")");
  return "";
}
void report_fault(const std::int64_t* fault, FaultReport report) {
  if (*fault < 0) return;
  const std::string number = number_at(report, *fault);
  if (report.op == LossOp::gaussian_nll)
    fail(ErrorKind::value, "gaussian_nll_loss: a variance must not be negative, but element ", *fault, number, " is");
  fail(ErrorKind::value, kNames[static_cast<int>(report.op)],
       ": input must be probabilities between 0 and 1, but element ", *fault, number,
       " is not; for logits there is binary_cross_entropy_with_logits");
}

struct Operands {
  Tensor x, target, third;
  LossOperands raw(LossReduction reduction, double p0, double p1) const {
    return {x.data(), target.data(), third.defined() ? third.data() : nullptr, x.numel(), {p0, p1}, reduction};
  }
};

}  // namespace

const char* name_of(LossOp op) { return kNames[static_cast<int>(op)]; }

Tensor pointwise_loss(LossOp op, const Tensor& input, const Tensor& given_target, const Tensor& given_third,
                      LossReduction reduction, double p0, double p1) {
  const char* name = name_of(op);
  check_as(ErrorKind::type, is_floating(input.dtype()), name, ": input must be of a floating type, got ",
           name_of(input.dtype()));
  check(input.device() == given_target.device(), name, ": input is on ", input.device(), ", target on ",
        given_target.device());
  check(!given_third.defined() || given_third.device() == input.device(), name, ": input is on ", input.device(),
        ", the third tensor on ", given_third.defined() ? given_third.device() : Device{});
  check(input.shape() == given_target.shape(), name, ": input and target must have the same shape, got ", input.shape(),
        " and ", given_target.shape());
  const Arg a(input), b(given_target);
  const DType type =
      given_third.defined() ? promote(result_type({&a, &b}), given_third.dtype()) : result_type({&a, &b});
  const bool checked = op == LossOp::binary_cross_entropy || op == LossOp::gaussian_nll;
  Operands o{contiguous(to_dtype(input, type)), contiguous(to_dtype(given_target, type)), given_third};
  if (o.third.defined()) o.third = contiguous(expand(to_dtype(o.third, type), input.shape()));

  const Device device = input.device();
  const int slot = static_cast<int>(type);
  const LossTable& table = kernels(device).loss;
  const Tensor out = empty(reduction == LossReduction::none ? input.shape() : Dims(), type, device);
  const Tensor partials = room_for_partials((input.numel() + kLossCut - 1) / kLossCut, device),
               fault = empty({}, DType::i64, device);
  const LossOperands raw = o.raw(reduction, p0, p1);
  current_stream().launch(require(table.forward[static_cast<int>(op)][slot], name, device), raw, out.data(),
                          partials_in(partials), fault.data<std::int64_t>());
  if (checked)
    current_stream().report(device, report_fault, fault.data<const std::int64_t>(),
                            FaultReport{op, op == LossOp::gaussian_nll ? raw.third : raw.first, type, device});

  const bool recorded = o.third.defined() ? needs_grad(o.x, o.target, o.third) : needs_grad(o.x, o.target);
  if (recorded) {
    const auto kernel = require(table.backward[static_cast<int>(op)][slot], name, device);
    record(name, out, {&o.x, &o.target, &o.third},
           [kernel, reduction, p0, p1, x = save(o.x), target = save(o.target),
            third = o.third.defined() ? save(o.third) : SavedTensor(), has_third = o.third.defined()](Gradients& g) {
             const Operands saved{x.get(), target.get(), has_third ? third.get() : Tensor()};
             const Tensor dy = contiguous(g.of_output());
             for (int which = 0; which < (has_third ? 3 : 2); ++which) {
               if (!g.wants(which)) continue;
               const Tensor dx = empty(saved.x.shape(), saved.x.dtype(), saved.x.device());
               current_stream().launch(kernel, saved.raw(reduction, p0, p1), which, dy.data(), dx.data());
               g.give(which, dx);
             }
           });
  }
  return out;
}

}  // namespace lamina
