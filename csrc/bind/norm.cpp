#include "ops/norm.h"

#include "bind/arguments.h"

namespace lamina::bind {
namespace {

Tensor optional_tensor(const Arguments& a, int i) { return a.get(i) ? a.tensor(i) : Tensor(); }

Dims shape_of(const Arguments& a, int i) {
  a.require(i);
  return *a.dims(i);
}

template <class F>
PyObject* run(const Tensor& x, F f) {
  const Tensor result = [&] {
    MaybeReleaseGil gil(x.numel());
    return f();
  }();
  return wrap(result);
}

PyObject* layer_norm_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded([&] {
    const Arguments a("layer_norm", {"input", "normalized_shape", "weight", "bias", "eps"}, 5, args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = optional_tensor(a, 2), bias = optional_tensor(a, 3);
    const Dims shape = shape_of(a, 1);
    const double eps = a.number(4, Scalar(1e-5)).as_double();
    return run(x, [&] { return layer_norm(x, shape, weight, bias, eps); });
  });
}

PyObject* rms_norm_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded([&] {
    const Arguments a("rms_norm", {"input", "normalized_shape", "weight", "eps"}, 4, args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = optional_tensor(a, 2);
    const Dims shape = shape_of(a, 1);
    const double eps = a.number(3).as_double();
    return run(x, [&] { return rms_norm(x, shape, weight, eps); });
  });
}

}  // namespace

void bind_norm(py::module_& m) {
  add_function(m, "layer_norm", "input, normalized_shape, weight=None, bias=None, eps=1e-05",
               "Normalises the last dimensions to mean 0 and variance 1, then times weight plus bias.",
               layer_norm_function);
  add_function(m, "_rms_norm", "input, normalized_shape, weight, eps", "See nn.functional.rms_norm.",
               rms_norm_function);
}

}  // namespace lamina::bind
