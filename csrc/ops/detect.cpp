#include "ops/detect.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/detect.h"
#include "ops/elementwise.h"

namespace lamina {
namespace {

Tensor checked_boxes(const char* op, const char* name, const Tensor& t) {
  check_as(ErrorKind::type, t.dtype() == DType::f32 || t.dtype() == DType::f64, op, ": ", name,
           " must be float32 or float64, got ", name_of(t.dtype()));
  check(t.ndim() == 2 && t.shape()[1] == 4, op, ": ", name, " must be (n, 4), got shape ", t.shape());
  return contiguous(detach(t));
}
Tensor checked_numbers(const char* op, const char* name, const Tensor& t, std::int64_t n, Device device) {
  check(t.device() == device, op, ": ", name, " is on ", t.device(), ", boxes on ", device);
  check_as(ErrorKind::type, t.dtype() == DType::i64, op, ": ", name, " must be int64, got ", name_of(t.dtype()));
  check(t.shape() == Dims{n}, op, ": ", name, " must have shape ", Dims{n}, ", got ", t.shape());
  return contiguous(t);
}

}  // namespace

Tensor box_iou(const Tensor& left, const Tensor& right) {
  constexpr const char* op = "iou";
  const Tensor a = checked_boxes(op, "boxes1", left), b = checked_boxes(op, "boxes2", right);
  check_as(ErrorKind::type, a.dtype() == b.dtype(), op, ": boxes2 must be ", name_of(a.dtype()), " like boxes1, got ",
           name_of(b.dtype()));
  check(a.device() == b.device(), op, ": boxes1 is on ", a.device(), ", boxes2 on ", b.device());
  const std::int64_t n = a.shape()[0], m = b.shape()[0];
  const Tensor out = empty({n, m}, a.dtype(), a.device());
  if (out.numel() > 0)
    current_stream().launch(require(kernels(a.device()).detect.iou[static_cast<int>(a.dtype())], op, a.device()),
                            a.data(), n, b.data(), m, out.data());
  return out;
}

Tensor kept_boxes(const Tensor& given, const Tensor& order, const Tensor& classes, double threshold) {
  constexpr const char* op = "nms";
  const Tensor boxes = checked_boxes(op, "boxes", given);
  const std::int64_t n = boxes.shape()[0];
  const Tensor numbers = checked_numbers(op, "order", order, n, boxes.device()),
               groups = classes.defined() ? checked_numbers(op, "classes", classes, n, boxes.device()) : Tensor();
  check(threshold >= 0 && threshold <= 1, op, ": iou_threshold must be between 0 and 1, got ", threshold);
  const Tensor kept = empty({n}, DType::b8, boxes.device()), work = empty({6, n}, DType::f64, boxes.device());
  if (n > 0)
    current_stream().launch(
        require(kernels(boxes.device()).detect.nms[static_cast<int>(boxes.dtype())], op, boxes.device()), boxes.data(),
        numbers.data<std::int64_t>(), groups.defined() ? groups.data<std::int64_t>() : nullptr, n, threshold,
        work.data<double>(), kept.data<std::uint8_t>());
  return kept;
}

}  // namespace lamina
