#include "ops/view.h"

#include "bind/common.h"

namespace lamina::bind {
namespace {

// x.reshape(2, 3) and x.reshape((2, 3)).
Dims dims_from(const py::args& args, const char* op) {
  Dims d;
  const bool packed = args.size() == 1 && !PyIndex_Check(args[0].ptr());
  check_as(ErrorKind::type, to_dims(packed ? args[0].ptr() : args.ptr(), d), op, ": expected integers");
  return d;
}

template <class F>
void def_dims(const char* name, F f) {
  def_method(name, [name, f](const Tensor& t, const py::args& dims) { return f(t, dims_from(dims, name)); });
}

}  // namespace

void bind_view(py::module_& m) {
  def_dims("reshape", &reshape);
  def_method("view", py::overload_cast<const Tensor&, DType>(&view), py::arg("dtype"));
  def_dims("view", py::overload_cast<const Tensor&, const Dims&>(&view));
  def_dims("permute", &permute);
  def_dims("expand", &expand);
  def_dims("broadcast_to", &expand);
  m.def("reshape", &reshape, py::arg("input"), py::arg("shape"));
  m.def("permute", &permute, py::arg("input"), py::arg("dims"));
  m.def("broadcast_to", &expand, py::arg("input"), py::arg("size"));
  def_method(
      "expand_as", [](const Tensor& t, const Tensor& other) { return expand(t, other.shape()); }, py::arg("other"));
  def_method(
      "view_as", [](const Tensor& t, const Tensor& other) { return view(t, other.shape()); }, py::arg("other"));
  def_method(
      "reshape_as", [](const Tensor& t, const Tensor& other) { return reshape(t, other.shape()); }, py::arg("other"));
  def_both(m, "transpose", &transpose, py::arg("dim0"), py::arg("dim1"));
  def_both(m, "swapaxes", &transpose, py::arg("axis0"), py::arg("axis1"));
  def_both(m, "t", [](const Tensor& t) {
    check(t.ndim() <= 2, "t: expects at most 2 dimensions, got shape ", t.shape());
    return t.ndim() == 2 ? transpose(t, 0, 1) : t;
  });
  def_both(m, "flatten", &flatten, py::arg("start_dim") = 0, py::arg("end_dim") = -1);
  def_both(m, "squeeze", py::overload_cast<const Tensor&, std::optional<std::int64_t>>(&squeeze),
           py::arg("dim") = py::none());
  def_both(m, "squeeze", py::overload_cast<const Tensor&, const Dims&>(&squeeze), py::arg("dim"));
  def_both(m, "unsqueeze", &unsqueeze, py::arg("dim"));
  def_both(m, "select", &select, py::arg("dim"), py::arg("index"));
  def_both(m, "narrow", &narrow, py::arg("dim"), py::arg("start"), py::arg("length"));
  def_both(m, "diagonal", &diagonal, py::arg("offset") = 0, py::arg("dim1") = 0, py::arg("dim2") = 1);
  def_method("unfold", &unfold, py::arg("dimension"), py::arg("size"), py::arg("step"));
  def_both(m, "as_strided", &as_strided, py::arg("size"), py::arg("stride"), py::arg("storage_offset") = py::none());
  def_method("detach", [](const Tensor& t) { return detach(t); });
  for (const char* name : {"numel", "nelement"}) def_method(name, [](const Tensor& t) { return t.numel(); });
  def_method("element_size", [](const Tensor& t) { return t.item_size(); });
  def_method("dim", [](const Tensor& t) { return t.ndim(); });
  def_method("data_ptr", [](const Tensor& t) {
    t.storage().exposed = true;
    return reinterpret_cast<std::uintptr_t>(t.data());
  });
  def_method("storage_offset",
             [](const Tensor& t) { return t.offset_bytes() / static_cast<std::int64_t>(t.item_size()); });
  def_method("is_contiguous", [](const Tensor& t) { return t.contiguous(); });
  def_method("is_floating_point", [](const Tensor& t) { return is_floating(t.dtype()); });
  def_method("stride", [](const Tensor& t) { return t.strides(); });
  def_method(
      "stride", [](const Tensor& t, std::int64_t dim) { return t.strides()[wrap_dim(dim, t.ndim(), "stride")]; },
      py::arg("dim"));
  def_method("size", [](const Tensor& t) { return t.shape(); });
  def_method(
      "size",
      [](const Tensor& t, std::int64_t dim) {
        check_as(ErrorKind::index, t.ndim() > 0, "size: a 0-d tensor has no dimensions");
        return t.shape()[wrap_dim(dim, t.ndim(), "size")];
      },
      py::arg("dim"));
}

}  // namespace lamina::bind
