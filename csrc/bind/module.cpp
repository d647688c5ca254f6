#include <pybind11/pybind11.h>

namespace lamina::bind {

namespace py = pybind11;

// One function per family.
void bind_types(py::module_& m);
void bind_tensor_type(py::module_& m);
void bind_creation(py::module_& m);
void bind_convert(py::module_& m);
void bind_conv(py::module_& m);
void bind_decode(py::module_& m);
void bind_elementwise(py::module_& m);
void bind_view(py::module_& m);
void bind_gemm(py::module_& m);
void bind_augment(py::module_& m);
void bind_detect(py::module_& m);
void bind_index(py::module_& m);
void bind_reduce(py::module_& m);
void bind_loss(py::module_& m);
void bind_norm(py::module_& m);
void bind_parameter(py::module_& m);
void bind_pool(py::module_& m);
void bind_sort(py::module_& m);
void bind_interop(py::module_& m);
void bind_dlpack(py::module_& m);
void bind_autograd(py::module_& m);
void bind_function(py::module_& m);
void bind_random(py::module_& m);
void bind_capture(py::module_& m);
void bind_rnn(py::module_& m);
void bind_optim(py::module_& m);
void bind_runtime(py::module_& m);
void bind_wrong_call(py::module_& m);

}  // namespace lamina::bind

PYBIND11_MODULE(_C, m) {
  using namespace lamina::bind;
  m.doc() = "lamina's compiled core.";
  bind_types(m);
  bind_tensor_type(m);
  bind_creation(m);
  bind_convert(m);
  bind_elementwise(m);
  bind_view(m);
  bind_gemm(m);
  bind_augment(m);
  bind_detect(m);
  bind_conv(m);
  bind_index(m);
  bind_reduce(m);
  bind_loss(m);
  bind_norm(m);
  bind_parameter(m);
  bind_pool(m);
  bind_sort(m);
  bind_interop(m);
  bind_dlpack(m);
  bind_autograd(m);
  bind_function(m);
  bind_random(m);
  bind_capture(m);
  bind_rnn(m);
  bind_decode(m);
  bind_optim(m);
  bind_runtime(m);
  bind_wrong_call(m);  // of all the functions above
}
