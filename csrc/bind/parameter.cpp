#include "ops/parameter.h"

#include "bind/common.h"

namespace lamina::bind {

void bind_parameter(py::module_& m) { m.def("_take_over", &take_over, py::arg("tensor"), py::arg("from_")); }

}  // namespace lamina::bind
