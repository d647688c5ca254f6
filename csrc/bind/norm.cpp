#include "ops/norm.h"

#include <cstring>

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
  return guarded("layer_norm", [&] {
    const Arguments a("layer_norm", {"input", "normalized_shape", "weight", "bias", "eps"}, 5, args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = optional_tensor(a, 2), bias = optional_tensor(a, 3);
    const Dims shape = shape_of(a, 1);
    const double eps = a.number(4, Scalar(1e-5)).as_double();
    return run(x, [&] { return layer_norm(x, shape, weight, bias, eps); });
  });
}

PyObject* rms_norm_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("rms_norm", [&] {
    const Arguments a("rms_norm", {"input", "normalized_shape", "weight", "eps"}, 4, args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = optional_tensor(a, 2);
    const Dims shape = shape_of(a, 1);
    const double eps = a.number(3).as_double();
    return run(x, [&] { return rms_norm(x, shape, weight, eps); });
  });
}

// Only ReLU: what else follows a normalisation is a pass of its own.
bool is_relu(const Arguments& a, int i) {
  PyObject* const given = a.get(i);
  if (!given) return false;
  check(PyUnicode_Check(given) && std::strcmp(text_of(given), "relu") == 0,
        "batch_norm: activation must be 'relu' or None, got ", py::repr(given).cast<std::string>());
  return true;
}

PyObject* batch_norm_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("batch_norm", [&] {
    const Arguments a("batch_norm",
                      {"input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps",
                       "activation", "residual"},
                      8, args, nargs, keywords);
    const Tensor x = a.tensor(0);
    BatchNorm n;
    n.running_mean = optional_tensor(a, 1), n.running_var = optional_tensor(a, 2);
    n.weight = optional_tensor(a, 3), n.bias = optional_tensor(a, 4);
    n.training = a.flag(5, false);
    if (a.get(6) && is_tensor(a.get(6)))
      n.batches = tensor_of(a.get(6));
    else
      n.momentum = a.number(6, Scalar(0.1)).as_double();
    n.eps = a.number(7, Scalar(1e-5)).as_double();
    n.relu = is_relu(a, 8);
    n.residual = optional_tensor(a, 9);
    return run(x, [&] { return batch_norm(x, n); });
  });
}

PyObject* group_norm_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("group_norm", [&] {
    const Arguments a("group_norm", {"input", "num_groups", "weight", "bias", "eps"}, 5, args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = optional_tensor(a, 2), bias = optional_tensor(a, 3);
    const std::int64_t groups = a.integer(1);
    const double eps = a.number(4, Scalar(1e-5)).as_double();
    return run(x, [&] { return group_norm(x, groups, weight, bias, eps); });
  });
}

}  // namespace

void bind_norm(py::module_& m) {
  add_function(m, "layer_norm", "input, normalized_shape, weight=None, bias=None, eps=1e-05",
               "Normalises the last dimensions to mean 0 and variance 1, then times weight plus bias.",
               layer_norm_function);
  add_function(
      m, "batch_norm",
      "input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05, *, "
      "activation=None, residual=None",
      "Normalises each channel of (N, C, …) to mean 0 and variance 1, then times weight plus bias: in training "
      "by the batch's mean and variance, which the running ones then follow, else by the running ones. "
      "residual is added to the result, and activation 'relu' applied to that, in the same pass. momentum may "
      "be the number of batches so far, this one included, as an int64 tensor: the running ones are then means.",
      batch_norm_function);
  add_function(m, "group_norm", "input, num_groups, weight=None, bias=None, eps=1e-05",
               "Normalises each group of channels of each sample to mean 0 and variance 1, then times weight plus bias "
               "to each channel.",
               group_norm_function);
  add_function(m, "_rms_norm", "input, normalized_shape, weight, eps", "See nn.functional.rms_norm.",
               rms_norm_function);
}

}  // namespace lamina::bind
