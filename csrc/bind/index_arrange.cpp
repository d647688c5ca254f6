// Functions and methods that join tensors, take them apart and rearrange them.
#include "bind/common.h"
#include "ops/index.h"

namespace lamina::bind {
namespace {

py::tuple tuple_of(const std::vector<Tensor>& tensors) { return py::tuple(py::cast(tensors)); }

// x.repeat(2, 3) and x.repeat((2, 3)).
Dims dims_from(const py::args& args, const char* op) {
  Dims d;
  const bool packed = args.size() == 1 && !PyIndex_Check(args[0].ptr());
  check_as(ErrorKind::type, to_dims(packed ? args[0].ptr() : args.ptr(), d), op, ": expected integers");
  return d;
}

// One integer or several.
Dims one_or_more(const py::object& o, const char* op, const char* name) {
  Dims d;
  if (o.is_none()) return d;
  const bool one = PyIndex_Check(o.ptr()) && !PySequence_Check(o.ptr());
  check_as(ErrorKind::type, to_dims(one ? py::make_tuple(o).ptr() : o.ptr(), d), op, ": ", name,
           " must be an integer or a sequence of integers");
  return d;
}

PadMode pad_mode(const std::string& name) {
  if (name == "constant") return PadMode::constant;
  if (name == "reflect") return PadMode::reflect;
  if (name == "replicate") return PadMode::replicate;
  check(name == "circular", "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '", name, "'");
  return PadMode::circular;
}

void bind_joins(py::module_& m) {
  for (const char* name : {"cat", "concat", "concatenate"}) {
    m.def(name, &cat, py::arg("tensors"), py::arg("dim") = 0, ReleaseGil());
    m.def(name, &cat, py::arg("tensors"), py::kw_only(), py::arg("axis"), ReleaseGil());
  }
  m.def("stack", &stack, py::arg("tensors"), py::arg("dim") = 0, ReleaseGil());
  m.def("hstack", &hstack, py::arg("tensors"), ReleaseGil());
  m.def("vstack", &vstack, py::arg("tensors"), ReleaseGil());
}

void bind_parts(py::module_& m) {
  // The size of every part, or the sizes of all.
  const auto split_by = [](const Tensor& t, const std::variant<std::int64_t, std::vector<std::int64_t>>& sizes,
                           std::int64_t dim) {
    return tuple_of(std::visit([&](const auto& s) { return split(t, s, dim); }, sizes));
  };
  m.def("split", split_by, py::arg("tensor"), py::arg("split_size_or_sections"), py::arg("dim") = 0);
  def_method("split", split_by, py::arg("split_size"), py::arg("dim") = 0);
  def_both(
      m, "tensor_split",
      [](const Tensor& t, const std::variant<std::int64_t, std::vector<std::int64_t>>& where_to, std::int64_t dim) {
        return tuple_of(std::visit([&](const auto& w) { return tensor_split(t, w, dim); }, where_to));
      },
      py::arg("indices_or_sections"), py::arg("dim") = 0);
  def_both(
      m, "chunk",
      [](const Tensor& t, std::int64_t chunks, std::int64_t dim) { return tuple_of(chunk(t, chunks, dim)); },
      py::arg("chunks"), py::arg("dim") = 0);
  def_both(
      m, "unbind", [](const Tensor& t, std::int64_t dim) { return tuple_of(unbind(t, dim)); }, py::arg("dim") = 0);
}

void bind_orders(py::module_& m) {
  m.def(
      "flip", [](const Tensor& t, const py::object& dims) { return flip(t, one_or_more(dims, "flip", "dims")); },
      py::arg("input"), py::arg("dims"));
  def_method("flip", [](const Tensor& t, const py::args& dims) { return flip(t, dims_from(dims, "flip")); });
  def_both(
      m, "roll",
      [](const Tensor& t, const py::object& shifts, const py::object& dims) {
        return roll(t, one_or_more(shifts, "roll", "shifts"), one_or_more(dims, "roll", "dims"));
      },
      py::arg("shifts"), py::arg("dims") = py::none());
  def_both(
      m, "movedim",
      [](const Tensor& t, const py::object& source, const py::object& destination) {
        return movedim(t, one_or_more(source, "movedim", "source"), one_or_more(destination, "movedim", "destination"));
      },
      py::arg("source"), py::arg("destination"));
  def_method("repeat",
             [](const Tensor& t, const py::args& repeats) { return repeat(t, dims_from(repeats, "repeat")); });
  m.def("tile", &tile, py::arg("input"), py::arg("dims"), ReleaseGil());
  def_method("tile", [](const Tensor& t, const py::args& dims) { return tile(t, dims_from(dims, "tile")); });
}

void bind_shapes(py::module_& m) {
  def_both(m, "tril", &tril, py::arg("diagonal") = 0, ReleaseGil());
  def_both(m, "triu", &triu, py::arg("diagonal") = 0, ReleaseGil());
  def_both(m, "diag", &diag, py::arg("diagonal") = 0, ReleaseGil());
  def_both(m, "diag_embed", &diag_embed, py::arg("offset") = 0, py::arg("dim1") = -2, py::arg("dim2") = -1,
           ReleaseGil());
  m.def(
      "meshgrid",
      [](const py::args& given, const std::string& indexing) {
        check(indexing == "ij" || indexing == "xy", "meshgrid: indexing must be 'ij' or 'xy', got '", indexing, "'");
        const bool packed = given.size() == 1 && (PyList_Check(given[0].ptr()) || PyTuple_Check(given[0].ptr()));
        const py::object tensors = packed ? py::object(given[0]) : py::object(given);
        return tuple_of(meshgrid(tensors.cast<std::vector<Tensor>>(), indexing == "xy"));
      },
      py::kw_only(), py::arg("indexing") = "ij");
  m.def(
      "pad",
      [](const Tensor& t, const std::vector<std::int64_t>& sizes, const std::string& mode,
         const std::optional<Scalar>& value) { return pad(t, sizes, pad_mode(mode), value.value_or(Scalar(0))); },
      py::arg("input"), py::arg("pad"), py::arg("mode") = "constant", py::arg("value") = py::none(), ReleaseGil());
}

}  // namespace

void bind_index_arrange(py::module_& m) {
  bind_joins(m);
  bind_parts(m);
  bind_orders(m);
  bind_shapes(m);
}

}  // namespace lamina::bind
