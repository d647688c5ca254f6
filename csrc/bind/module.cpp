#include "bind/common.h"

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
  bind_index(m);
  bind_reduce(m);
  bind_interop(m);
  bind_dlpack(m);
  bind_autograd(m);
  bind_function(m);
  bind_random(m);
  bind_capture(m);
  bind_rnn(m);
  bind_runtime(m);
}
