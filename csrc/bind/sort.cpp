#include "ops/sort.h"

#include "bind/common.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

using MaybeDim = std::optional<std::int64_t>;

// The values alone, or a tuple with what else was asked for.
py::object chosen(const Unique& u, bool inverse, bool counts) {
  if (!inverse && !counts) return py::cast(u.values);
  py::list parts;
  parts.append(u.values);
  if (inverse) parts.append(u.inverse);
  if (counts) parts.append(u.counts);
  return py::tuple(parts);
}

template <class F>
Unique without_gil(F f) {
  const py::gil_scoped_release no_gil;
  return f();
}

}  // namespace

void bind_sort(py::module_& m) {
  def_both(
      m, "sort", [](const Tensor& t, std::int64_t dim, bool descending, bool) { return sort(t, dim, descending); },
      py::arg("dim") = -1, py::arg("descending") = false, py::kw_only(), py::arg("stable") = true, ReleaseGil(),
      "Values and indices in order along dim; equal elements keep theirs. NaN counts as the largest.");
  def_both(
      m, "argsort",
      [](const Tensor& t, std::int64_t dim, bool descending, bool) { return argsort(t, dim, descending); },
      py::arg("dim") = -1, py::arg("descending") = false, py::arg("stable") = true, ReleaseGil(),
      "The indices that sort along dim.");
  def_both(
      m, "topk",
      [](const Tensor& t, std::int64_t k, std::int64_t dim, bool largest, bool) { return topk(t, k, dim, largest); },
      py::arg("k"), py::arg("dim") = -1, py::arg("largest") = true, py::arg("sorted") = true, ReleaseGil(),
      "The k largest or smallest elements along dim, the best first.");
  def_both(m, "kthvalue", &kthvalue, py::arg("k"), py::arg("dim") = -1, py::arg("keepdim") = false, ReleaseGil(),
           "The k-th smallest element along dim, counted from 1.");
  def_both(
      m, "median",
      [](const Tensor& t, MaybeDim dim, bool keepdim) -> py::object {
        if (!dim) {
          check_as(ErrorKind::type, !keepdim, "median: keepdim needs a dim");
          return py::cast([&] {
            const py::gil_scoped_release no_gil;
            return median(t);
          }());
        }
        return py::cast([&] {
          const py::gil_scoped_release no_gil;
          return median(t, *dim, keepdim);
        }());
      },
      py::arg("dim") = py::none(), py::arg("keepdim") = false,
      "The lower median; with dim, (values, indices) along it.");
  def_both(
      m, "unique",
      [](const Tensor& t, bool, bool return_inverse, bool return_counts, MaybeDim dim) {
        const Unique u = without_gil([&] { return dim ? unique_slices(t, *dim) : unique(t); });
        return chosen(u, return_inverse, return_counts);
      },
      py::arg("sorted") = true, py::arg("return_inverse") = false, py::arg("return_counts") = false,
      py::arg("dim") = py::none(), "The distinct elements in order, or with dim the distinct slices.");
  def_both(
      m, "unique_consecutive",
      [](const Tensor& t, bool return_inverse, bool return_counts) {
        return chosen(without_gil([&] { return unique_consecutive(t); }), return_inverse, return_counts);
      },
      py::arg("return_inverse") = false, py::arg("return_counts") = false, "The first of every run of equal elements.");
  m.def(
      "searchsorted",
      [](const Tensor& sorted, const ArgHolder& values, bool out_int32, bool right) {
        return searchsorted(
            sorted,
            values.tensor.defined() ? values.tensor : full({}, values.number, values.number.dtype(), sorted.device()),
            out_int32, right);
      },
      py::arg("sorted_sequence"), py::arg("input"), py::kw_only(), py::arg("out_int32") = false,
      py::arg("right") = false, "Where each value would be inserted into the sorted rows to keep them sorted.");
  m.def(
      "bucketize",
      [](const ArgHolder& values, const Tensor& boundaries, bool out_int32, bool right) {
        check(boundaries.ndim() == 1, "bucketize: boundaries must have one dimension, got shape ", boundaries.shape());
        return searchsorted(boundaries,
                            values.tensor.defined()
                                ? values.tensor
                                : full({}, values.number, values.number.dtype(), boundaries.device()),
                            out_int32, right);
      },
      py::arg("input"), py::arg("boundaries"), py::kw_only(), py::arg("out_int32") = false, py::arg("right") = false,
      "The bucket between sorted boundaries that each value lies in.");
}

}  // namespace lamina::bind
