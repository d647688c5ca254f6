// Functions and methods of the reductions. Vectorcall throughout: x.sum() of a small tensor takes less than a pybind11
// call alone.
#include "ops/reduce.h"

#include <cstring>

#include "bind/rows.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

template <class F>
PyObject* run_pair(const Tensor& x, F f) {
  const std::pair<Tensor, Tensor> result = [&] {
    MaybeReleaseGil gil(x.numel());
    return f();
  }();
  py::object first = py::reinterpret_steal<py::object>(wrap(result.first)),
             second = py::reinterpret_steal<py::object>(wrap(result.second));
  return py::make_tuple(first, second).release().ptr();
}

// (input, dim, keepdim, *, dtype)
template <Tensor (*f)(const Tensor&, const MaybeDims&, bool, MaybeDType)>
PyObject* over_dims_as(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const MaybeDims dims = a.dims(1);
  const bool keepdim = a.flag(2, false);
  const MaybeDType dtype = a.dtype(3);
  return run(x.numel(), [&] { return f(x, dims, keepdim, dtype); });
}
// (input, dim, keepdim)
template <Tensor (*f)(const Tensor&, const MaybeDims&, bool)>
PyObject* over_dims(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const MaybeDims dims = a.dims(1);
  const bool keepdim = a.flag(2, false);
  return run(x.numel(), [&] { return f(x, dims, keepdim); });
}
template <Tensor (*f)(const Tensor&, MaybeDim, bool)>
PyObject* over_dim(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const MaybeDim dim = a.dim(1);
  const bool keepdim = a.flag(2, false);
  return run(x.numel(), [&] { return f(x, dim, keepdim); });
}
// (input, dim, dtype)
template <Tensor (*f)(const Tensor&, std::int64_t, MaybeDType)>
PyObject* along_dim(const Arguments& a) {
  const Tensor x = a.tensor(0);
  a.require(1);
  const std::int64_t dim = a.integer(1);
  const MaybeDType dtype = a.dtype(2);
  return run(x.numel(), [&] { return f(x, dim, dtype); });
}

PyObject* logcumsumexp_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const std::int64_t dim = a.integer(1);
  return run(x.numel(), [&] { return logcumsumexp(x, dim); });
}
template <ValuesIndices (*f)(const Tensor&, std::int64_t)>
PyObject* running_extreme(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const std::int64_t dim = a.integer(1);
  return run(x.numel(), [&] { return f(x, dim); });
}

PyObject* prod_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const MaybeDim dim = a.dim(1);
  const bool keepdim = a.flag(2, false);
  const MaybeDType dtype = a.dtype(3);
  return run(x.numel(), [&] { return prod(x, dim, keepdim, dtype); });
}
PyObject* count_nonzero_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const MaybeDims dims = a.dims(1);
  return run(x.numel(), [&] { return count_nonzero(x, dims); });
}
PyObject* logsumexp_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  a.require(1);
  const Dims dims = *a.dims(1);
  const bool keepdim = a.flag(2, false);
  return run(x.numel(), [&] { return logsumexp(x, dims, keepdim); });
}

// max(x), max(x, dim, keepdim), max(x, other)
template <Tensor (*whole)(const Tensor&, const MaybeDims&, bool),
          ValuesIndices (*along)(const Tensor&, std::int64_t, bool), BinaryOp pairwise>
PyObject* extreme_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  PyObject* const other = a.get(3) ? a.get(3) : a.get(1) && is_tensor(a.get(1)) ? a.get(1) : nullptr;
  if (other) {
    check_as(ErrorKind::type, is_tensor(other), a.function(), ": other must be a Tensor");
    const Tensor y = tensor_of(other);
    return run(x.numel(), [&] { return binary(pairwise, x, y); });
  }
  const bool keepdim = a.flag(2, false);
  if (!a.get(1)) {
    check_as(ErrorKind::type, !keepdim, a.function(), ": keepdim needs a dim");
    return run(x.numel(), [&] { return whole(x, MaybeDims(), false); });
  }
  const std::int64_t dim = a.integer(1);
  return run(x.numel(), [&] { return along(x, dim, keepdim); });
}

struct Spread {  // the arguments of var and std: (dim, unbiased, keepdim, *, correction), or unbiased alone
  MaybeDims dims;
  double correction = 1;
  bool keepdim;
  explicit Spread(const Arguments& a) {
    const bool only_unbiased = a.get(1) && PyBool_Check(a.get(1));
    if (!only_unbiased) dims = a.dims(1);
    const int unbiased = only_unbiased ? 1 : 2;
    check_as(ErrorKind::type, !a.get(unbiased) || !a.get(4), a.function(), ": give unbiased or correction, not both");
    if (a.get(unbiased)) correction = a.flag(unbiased, true);
    if (a.get(4)) correction = a.number(4).as_double();
    keepdim = a.flag(3, false);
  }
};
template <Tensor (*f)(const Tensor&, const MaybeDims&, double, bool)>
PyObject* spread_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const Spread s(a);
  return run(x.numel(), [&] { return f(x, s.dims, s.correction, s.keepdim); });
}
template <std::pair<Tensor, Tensor> (*f)(const Tensor&, const MaybeDims&, double, bool)>
PyObject* spread_and_mean_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const Spread s(a);
  return run_pair(x, [&] { return f(x, s.dims, s.correction, s.keepdim); });
}

double order_of(const Arguments& a) {
  PyObject* const p = a.get(1);
  if (!p) return 2;
  if (!PyUnicode_Check(p)) return a.number(1).as_double();
  check(!std::strcmp(text_of(p), "fro"), "norm: p must be a number or 'fro', got '", text_of(p), "'");
  return 2;
}
PyObject* norm_call(const Arguments& a) {
  const Tensor x = a.tensor(0);
  const double order = order_of(a);
  const MaybeDims dims = a.dims(2);
  const bool keepdim = a.flag(3, false);
  const MaybeDType dtype = a.dtype(4);
  return run(x.numel(), [&] { return vector_norm(x, order, dims, keepdim, dtype); });
}

constexpr const char* kDims = "dim=None, keepdim=False";
constexpr const char* kDimsAs = "dim=None, keepdim=False, *, dtype=None";
constexpr const char* kExtreme = "dim=None, keepdim=False, *, other=None";
constexpr const char* kSpread = "dim=None, unbiased=None, keepdim=False, *, correction=None";
constexpr CallRow kRows[] = {
    {"sum", kDimsAs, "The sum over some dimensions, or all.", over_dims_as<sum>},
    {"nansum", kDimsAs, "The sum, NaNs taken as 0.", over_dims_as<nansum>},
    {"mean", kDimsAs, "The mean over some dimensions, or all.", over_dims_as<mean>},
    {"prod", kDimsAs, "The product over one dimension, or all.", prod_call},
    {"any", kDims, "Is any element not zero?", over_dims<any>},
    {"all", kDims, "Is no element zero?", over_dims<all>},
    {"count_nonzero", "dim=None", "How many elements are not zero.", count_nonzero_call},
    {"amax", kDims, "The largest elements; those that tie share the gradient.", over_dims<amax>},
    {"amin", kDims, "The smallest elements; those that tie share the gradient.", over_dims<amin>},
    {"max", kExtreme,
     "The largest element; with dim, (values, indices) along it; with another tensor, the larger of each pair.",
     extreme_call<amax, max, BinaryOp::maximum>},
    {"min", kExtreme,
     "The smallest element; with dim, (values, indices) along it; with another tensor, the smaller of each pair.",
     extreme_call<amin, min, BinaryOp::minimum>},
    {"argmax", kDims, "Where the largest element stands first.", over_dim<argmax>},
    {"argmin", kDims, "Where the smallest element stands first.", over_dim<argmin>},
    {"var", kSpread, "The variance: squared distances from the mean over (count - correction), by default 1.",
     spread_call<variance>},
    {"std", kSpread, "The standard deviation; see var.", spread_call<deviation>},
    {"var_mean", kSpread, "Variance and mean.", spread_and_mean_call<variance_mean>},
    {"std_mean", kSpread, "Standard deviation and mean.", spread_and_mean_call<deviation_mean>},
    {"norm", "p='fro', dim=None, keepdim=False, *, dtype=None",
     "The vector norm of order p: any number, inf and -inf too.", norm_call},
    {"logsumexp", "dim, keepdim=False", "log(sum(exp(input))) without overflow.", logsumexp_call},
    {"softmax", "dim, dtype=None", "exp(input) over its sum along dim.", along_dim<softmax>},
    {"log_softmax", "dim, dtype=None", "The logarithm of softmax, without loss.", along_dim<log_softmax>},
    {"cumsum", "dim, *, dtype=None", "Running sums along dim.", along_dim<cumsum>},
    {"cumprod", "dim, *, dtype=None", "Running products along dim.", along_dim<cumprod>},
    {"logcumsumexp", "dim", "log(cumsum(exp(input))) along dim without overflow.", logcumsumexp_call},
    {"cummax", "dim", "The largest element so far along dim, and where the last such stands: (values, indices).",
     running_extreme<cummax>},
    {"cummin", "dim", "The smallest element so far along dim, and where the last such stands: (values, indices).",
     running_extreme<cummin>},
};
}  // namespace

void bind_reduce(py::module_& m) { add_rows<kRows>(m); }

}  // namespace lamina::bind
