#include "ops/augment.h"

#include "bind/common.h"

namespace lamina::bind {

void bind_augment(py::module_& m) {
  m.def(
      "_sample_places",
      [](const Tensor& x, const Tensor& matrices, const std::optional<Tensor>& shifts, std::int64_t height,
         std::int64_t width, double fill, bool edge) {
        const py::gil_scoped_release released;
        return sample_places(x, matrices, shifts.value_or(Tensor()), height, width, fill, edge);
      },
      py::arg("images"), py::arg("matrices"), py::arg("shifts"), py::arg("height"), py::arg("width"),
      py::arg("fill") = 0.0, py::arg("edge") = false);
  m.def("_recolour", &recolour, py::arg("images"), py::arg("matrices"), py::arg("offsets"), py::arg("to_float"),
        ReleaseGil());
  m.def("_colour_means", &colour_means, py::arg("images"), ReleaseGil());
  m.def("_erase_boxes", &erase_boxes, py::arg("images"), py::arg("boxes"), py::arg("fill"), ReleaseGil());
}

}  // namespace lamina::bind
