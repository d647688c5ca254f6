#include "ops/detect.h"

#include "bind/common.h"

namespace lamina::bind {

void bind_detect(py::module_& m) {
  m.def("_box_iou", &box_iou, py::arg("boxes1"), py::arg("boxes2"), ReleaseGil());
  m.def(
      "_kept_boxes",
      [](const Tensor& boxes, const Tensor& order, const std::optional<Tensor>& classes, double threshold) {
        const py::gil_scoped_release released;
        return kept_boxes(boxes, order, classes.value_or(Tensor()), threshold);
      },
      py::arg("boxes"), py::arg("order"), py::arg("classes"), py::arg("iou_threshold"));
}

}  // namespace lamina::bind
