#include "ops/pool.h"

#include <cstring>

#include "bind/arguments.h"

namespace lamina::bind {
namespace {

Dims dims_or(const Arguments& a, int i, std::int64_t otherwise) { return a.dims(i).value_or(Dims{otherwise}); }
Dims required_dims(const Arguments& a, int i) {
  a.require(i);
  return *a.dims(i);
}

PyObject* both(const ValuesIndices& found, bool with_indices) {
  return with_indices ? wrap(found) : wrap(found.values);
}

template <int dims>
PyObject* max_pool_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  static constexpr const char* kNames[] = {"", "max_pool1d", "max_pool2d", "max_pool3d"};
  return guarded(kNames[dims], [&] {
    const Arguments a(kNames[dims],
                      {"input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"}, 7, args,
                      nargs, keywords);
    const Tensor x = a.tensor(0);
    const PoolArguments window{required_dims(a, 1), a.dims(2).value_or(Dims()), dims_or(a, 3, 0), dims_or(a, 4, 1),
                               a.flag(5, false)};
    const bool indices = a.flag(6, false);
    const ValuesIndices found = [&] {
      MaybeReleaseGil gil(x.numel());
      return max_pool(dims, x, window, indices);
    }();
    return both(found, indices);
  });
}

template <int dims>
PyObject* avg_pool_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  static constexpr const char* kNames[] = {"", "avg_pool1d", "avg_pool2d", "avg_pool3d"};
  return guarded(kNames[dims], [&] {
    const Arguments a(
        kNames[dims],
        {"input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"}, 7, args,
        nargs, keywords);
    const Tensor x = a.tensor(0);
    const PoolArguments window{
        required_dims(a, 1), a.dims(2).value_or(Dims()), dims_or(a, 3, 0), {1}, a.flag(4, false)};
    const bool count_include_pad = a.flag(5, true);
    const auto divisor = a.dim(6);
    const Tensor y = [&] {
      MaybeReleaseGil gil(x.numel());
      return avg_pool(dims, x, window, count_include_pad, divisor);
    }();
    return wrap(y);
  });
}

template <int dims, bool max>
PyObject* adaptive_pool_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  static constexpr const char* kNames[] = {"", "_adaptive_max_pool1d", "_adaptive_max_pool2d", "_adaptive_max_pool3d"};
  static constexpr const char* kAvgNames[] = {"", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"};
  return guarded((max ? kNames : kAvgNames)[dims] + max, [&] {
    const Arguments a((max ? kNames : kAvgNames)[dims] + max, {"input", "output_size"}, 2, args, nargs, keywords);
    const Tensor x = a.tensor(0);
    const Dims size = required_dims(a, 1);
    const ValuesIndices found = [&] {
      MaybeReleaseGil gil(x.numel());
      return max ? adaptive_max_pool(dims, x, size) : ValuesIndices{adaptive_avg_pool(dims, x, size), Tensor()};
    }();
    return both(found, max);
  });
}

PyObject* resize_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("interpolate", [&] {
    const Arguments a("interpolate", {"input", "size", "factors", "mode"}, 4, args, nargs, keywords);
    const Tensor x = a.tensor(0);
    const Dims size = required_dims(a, 1);
    double factors[kMaxDims];
    for (int i = 0; a.get(2) && i < size.size(); ++i)
      factors[i] = py::cast<double>(py::reinterpret_borrow<py::sequence>(a.get(2))[static_cast<std::size_t>(i)]);
    const auto how = static_cast<Resampling>(a.integer(3));
    const Tensor y = [&] {
      MaybeReleaseGil gil(x.numel());
      return resize(x, size, a.get(2) ? factors : nullptr, how);
    }();
    return wrap(y);
  });
}

constexpr const char* kMaxParameters =
    "input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False";
constexpr const char* kAvgParameters =
    "input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None";
constexpr const char* kMaxDoc =
    "The greatest element of each window, the first of equal ones; with return_indices also where in its plane it is.";
constexpr const char* kAvgDoc = "The mean of each window; divisor_override takes the place of its number of elements.";
constexpr const char* kAdaptiveDoc =
    "The mean of windows that divide the input into output_size parts, which overlap "
    "where they do not fit.";

}  // namespace

void bind_pool(py::module_& m) {
  add_function(m, "max_pool1d", kMaxParameters, kMaxDoc, max_pool_function<1>);
  add_function(m, "max_pool2d", kMaxParameters, kMaxDoc, max_pool_function<2>);
  add_function(m, "max_pool3d", kMaxParameters, kMaxDoc, max_pool_function<3>);
  add_function(m, "avg_pool1d", kAvgParameters, kAvgDoc, avg_pool_function<1>);
  add_function(m, "avg_pool2d", kAvgParameters, kAvgDoc, avg_pool_function<2>);
  add_function(m, "avg_pool3d", kAvgParameters, kAvgDoc, avg_pool_function<3>);
  add_function(m, "adaptive_avg_pool1d", "input, output_size", kAdaptiveDoc, adaptive_pool_function<1, false>);
  add_function(m, "adaptive_avg_pool2d", "input, output_size", kAdaptiveDoc, adaptive_pool_function<2, false>);
  add_function(m, "adaptive_avg_pool3d", "input, output_size", kAdaptiveDoc, adaptive_pool_function<3, false>);
  constexpr const char* see = "See nn.functional.";
  add_function(m, "_adaptive_max_pool1d", "input, output_size", see, adaptive_pool_function<1, true>);
  add_function(m, "_adaptive_max_pool2d", "input, output_size", see, adaptive_pool_function<2, true>);
  add_function(m, "_adaptive_max_pool3d", "input, output_size", see, adaptive_pool_function<3, true>);
  add_function(m, "_resize", "input, size, factors, mode", see, resize_function);
}

}  // namespace lamina::bind
