#include "ops/gemm.h"

#include "bind/common.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

std::optional<UnaryOp> activation_named(const std::optional<std::string>& name) {
  if (!name) return std::nullopt;
  for (int i = 0; i < kUnaryOps; ++i)
    if (*name == name_of(static_cast<UnaryOp>(i))) return static_cast<UnaryOp>(i);
  fail(ErrorKind::value, "linear: unknown activation '", *name, "'");
}

}  // namespace

PyObject* matmul_slot(PyObject* a, PyObject* b) {
  try {
    ArgHolder x, y;
    if (!to_arg(a, x) || !to_arg(b, y) || !x.tensor.defined() || !y.tensor.defined()) Py_RETURN_NOTIMPLEMENTED;
    Tensor result;
    {
      MaybeReleaseGil gil(std::max(x.tensor.numel(), y.tensor.numel()) * 16);
      result = matmul(x.tensor, y.tensor);
    }
    return wrap(result);
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

void bind_gemm(py::module_& m) {
  def_both(m, "matmul", &matmul, py::arg("other"), ReleaseGil());
  def_both(m, "mm", &mm, py::arg("mat2"), ReleaseGil());
  def_both(m, "bmm", &bmm, py::arg("mat2"), ReleaseGil());
  def_both(m, "mv", &mv, py::arg("vec"), ReleaseGil());
  def_both(m, "dot", &dot, py::arg("other"), ReleaseGil());
  def_both(m, "vdot", &dot, py::arg("other"), ReleaseGil());
  def_both(m, "outer", &outer, py::arg("vec2"), ReleaseGil());
  def_both(m, "addmm", &addmm, py::arg("mat1"), py::arg("mat2"), py::kw_only(), py::arg("beta") = Scalar(1),
           py::arg("alpha") = Scalar(1), ReleaseGil());
  def_both(m, "baddbmm", &baddbmm, py::arg("batch1"), py::arg("batch2"), py::kw_only(), py::arg("beta") = Scalar(1),
           py::arg("alpha") = Scalar(1), ReleaseGil());
  m.def(
      "linear",
      [](const Tensor& x, const Tensor& weight, const std::optional<Tensor>& bias,
         const std::optional<std::string>& activation) {
        return linear(x, weight, bias.value_or(Tensor()), activation_named(activation));
      },
      py::arg("input"), py::arg("weight"), py::arg("bias") = py::none(), py::kw_only(),
      py::arg("activation") = py::none(), ReleaseGil());
  m.def(
      "einsum",
      [](const std::string& equation, const py::args& operands) {
        const bool packed =
            operands.size() == 1 && py::isinstance<py::sequence>(operands[0]) && !is_tensor(operands[0].ptr());
        const auto tensors = (packed ? py::reinterpret_borrow<py::object>(operands[0]) : py::object(operands))
                                 .cast<std::vector<Tensor>>();
        py::gil_scoped_release released;
        return einsum(equation, tensors);
      },
      py::arg("equation"));
}

}  // namespace lamina::bind
