// Functions and methods of the index family.
#include <string>

#include "bind/common.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/view.h"

namespace lamina::bind {
namespace {

// From f, which changes its first argument: x.name_(…), and name(x, …), x.name(…) on a copy.
template <class... A, class... Extra>
void def_changing(py::module_& m, const char* name, void (*f)(const Tensor&, A...), const Extra&... extra) {
  def_both(
      m, name,
      [f](const Tensor& t, A... a) {
        const Tensor out = clone(t);
        f(out, a...);
        return out;
      },
      extra..., ReleaseGil());
  def_method((std::string(name) + "_").c_str(), [f](const Tensor& t, A... a) { return f(t, a...), t; }, extra...,
             ReleaseGil());
}

void bind_masks(py::module_& m) {
  def_both(
      m, "nonzero",
      [](const Tensor& t, bool as_tuple) -> py::object {
        std::vector<Tensor> columns;
        Tensor all;
        {
          const py::gil_scoped_release no_gil;
          as_tuple ? void(columns = nonzero_tuple(t)) : void(all = nonzero(t));
        }
        return as_tuple ? py::object(py::tuple(py::cast(columns))) : py::cast(all);
      },
      py::kw_only(), py::arg("as_tuple") = false);
  m.def(
      "where", [](const Tensor& condition) { return py::tuple(py::cast(nonzero_tuple(condition))); },
      py::arg("condition"));
  m.def("argwhere", &nonzero, py::arg("input"), ReleaseGil());
  def_both(m, "masked_select", &masked_select, py::arg("mask"), ReleaseGil());
  def_method(
      "masked_fill_",
      [](const Tensor& t, const Tensor& mask, const ArgHolder& value) { return masked_fill_(t, mask, value), t; },
      py::arg("mask"), py::arg("value"), ReleaseGil());
  def_changing(m, "masked_scatter", &masked_scatter_, py::arg("mask"), py::arg("source"));
}

ScatterFold scatter_fold(const std::string& name) {
  if (name == "sum") return ScatterFold::sum;
  if (name == "prod") return ScatterFold::prod;
  if (name == "mean") return ScatterFold::mean;
  if (name == "amax") return ScatterFold::amax;
  check(name == "amin", "scatter_reduce: reduce must be 'sum', 'prod', 'mean', 'amax' or 'amin', got '", name, "'");
  return ScatterFold::amin;
}

void bind_along(py::module_& m) {
  def_both(m, "gather", &gather, py::arg("dim"), py::arg("index"), ReleaseGil());
  def_both(m, "take_along_dim", &take_along_dim, py::arg("indices"), py::arg("dim") = py::none(), ReleaseGil());
  const auto scatter = +[](const Tensor& t, std::int64_t dim, const Tensor& index, const ArgHolder& source,
                           const std::optional<std::string>& reduce) {
    check(!reduce || *reduce == "add", "scatter: reduce must be 'add' or absent, got '", reduce.value_or(""), "'");
    if (!reduce) return scatter_(t, dim, index, source);
    scatter_add_(t, dim, index,
                 source.tensor.defined() ? source.tensor : expand(full({}, source.number, t.dtype()), index.shape()));
  };
  def_changing(m, "scatter", scatter, py::arg("dim"), py::arg("index"), py::arg("src"), py::kw_only(),
               py::arg("reduce") = py::none());
  def_changing(m, "scatter", scatter, py::arg("dim"), py::arg("index"), py::arg("value"), py::kw_only(),
               py::arg("reduce") = py::none());
  def_changing(m, "scatter_add", &scatter_add_, py::arg("dim"), py::arg("index"), py::arg("src"));
  def_both(
      m, "scatter_reduce",
      [](const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source, const std::string& reduce,
         bool include_self) { return scatter_reduce(t, dim, index, source, scatter_fold(reduce), include_self); },
      py::arg("dim"), py::arg("index"), py::arg("src"), py::arg("reduce"), py::kw_only(),
      py::arg("include_self") = true, ReleaseGil(),
      "Every element becomes the sum, prod, mean, amax or amin of itself and of those that the index sends to it.");
  m.def("one_hot", &one_hot, py::arg("input"), py::arg("num_classes") = -1, ReleaseGil());
}

void bind_rows(py::module_& m) {
  def_both(m, "index_select", &index_select, py::arg("dim"), py::arg("index"), ReleaseGil());
  def_changing(m, "index_copy", &index_copy_, py::arg("dim"), py::arg("index"), py::arg("source"));
  const auto index_add = +[](const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source,
                             const Scalar& alpha) { index_add_(t, dim, index, source, alpha); };
  def_changing(m, "index_add", index_add, py::arg("dim"), py::arg("index"), py::arg("source"), py::kw_only(),
               py::arg("alpha") = 1);
  const auto index_fill = +[](const Tensor& t, std::int64_t dim, const Tensor& index, const ArgHolder& value) {
    index_fill_(t, dim, index, value);
  };
  def_changing(m, "index_fill", index_fill, py::arg("dim"), py::arg("index"), py::arg("value"));
  def_both(m, "take", &take, py::arg("index"), ReleaseGil());
  m.def("embedding", &embedding, py::arg("input"), py::arg("weight"), py::arg("padding_idx") = py::none(),
        ReleaseGil());
  def_both(m, "bincount", &bincount, py::arg("weights") = py::none(), py::arg("minlength") = 0, ReleaseGil());
  def_both(
      m, "repeat_interleave",
      [](const Tensor& t, const ArgHolder& repeats, std::optional<std::int64_t> dim) {
        return repeat_interleave(t, repeats.tensor.defined() ? repeats.tensor : full({}, repeats.number, DType::i64),
                                 dim);
      },
      py::arg("repeats"), py::arg("dim") = py::none(), ReleaseGil());
}

}  // namespace

void bind_index_functions(py::module_& m) {
  bind_masks(m);
  bind_along(m);
  bind_rows(m);
}

}  // namespace lamina::bind
