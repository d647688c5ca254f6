#include "ops/gemm.h"

#include <algorithm>

#include "bind/activation_named.h"
#include "bind/rows.h"

namespace lamina::bind {
namespace {

// Vectorcall: the most frequent call of all.
PyObject* linear_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("linear", [&] {
    const Arguments a("linear", {"input", "weight", "bias", "activation"}, 3, args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = a.tensor(1), bias = a.get(2) ? a.tensor(2) : Tensor();
    const std::optional<UnaryOp> activation = activation_named(a, 3);
    const Tensor result = [&] {
      MaybeReleaseGil gil(std::max(x.numel(), weight.numel()) * 16);
      return linear(x, weight, bias, activation);
    }();
    return wrap(result);
  });
}

template <Tensor (*f)(const Tensor&, const Tensor&)>
PyObject* product(const Arguments& a) {
  const Tensor x = a.tensor(0), y = a.tensor(1);
  return run(std::max(x.numel(), y.numel()) * 16, [&] { return f(x, y); });
}
constexpr CallRow kProducts[] = {
    {"matmul", "other", "The product of matrices, of batches of them, of vectors, as in PyTorch.", product<matmul>},
    {"mm", "mat2", "The product of two matrices.", product<mm>},
    {"bmm", "mat2", "The products of two batches of matrices.", product<bmm>},
    {"mv", "vec", "The product of a matrix and a vector.", product<mv>},
    {"dot", "other", "The sum of the products of two vectors' elements.", product<dot>},
    {"vdot", "other", "dot, by another name.", product<dot>},
    {"outer", "vec2", "All products of an element of one vector and one of the other.", product<outer>},
};

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
    set_python_error("matmul");
    return nullptr;
  }
}

void bind_gemm(py::module_& m) {
  add_rows<kProducts>(m);
  def_both(m, "addmm", &addmm, py::arg("mat1"), py::arg("mat2"), py::kw_only(), py::arg("beta") = Scalar(1),
           py::arg("alpha") = Scalar(1), ReleaseGil());
  def_both(m, "baddbmm", &baddbmm, py::arg("batch1"), py::arg("batch2"), py::kw_only(), py::arg("beta") = Scalar(1),
           py::arg("alpha") = Scalar(1), ReleaseGil());
  add_function(m, "linear", "input, weight, bias=None, *, activation=None",
               "activation(input @ weightᵀ + bias) in one kernel; activation: the name of an element-wise function.",
               linear_function);
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
