// What stands between the brackets of x[…], parsed against the C API: this is on every hot path.
#include "ops/index.h"

#include "bind/common.h"
#include "bind/nested.h"
#include "ops/elementwise.h"

namespace lamina::bind {

void bind_index_functions(py::module_& m);  // index_functions.cpp
void bind_index_arrange(py::module_& m);    // index_arrange.cpp

namespace {

using Item = Subscript::Kind;

Subscript integer(std::int64_t i) { return {.kind = Item::integer, .start = i, .tensor = {}}; }
Subscript mask(bool on) { return {.kind = Item::tensor, .tensor = full({}, on, DType::b8)}; }

std::int64_t to_position(PyObject* o) {
  const Py_ssize_t i = PyNumber_AsSsize_t(o, PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) throw py::error_already_set();
  return i;
}

// ---- items ----

// A list becomes a tensor of int64 or bool; an empty one names nothing.
Tensor tensor_from_list(PyObject* list) {
  const Tensor t = tensor_sharing_data(list, std::nullopt, "index");
  return t.numel() == 0 && is_floating(t.dtype()) ? to_dtype(t, DType::i64) : t;
}

// A tensor that may stand between brackets: a single integer is no different from a Python one.
Subscript from_tensor(const Tensor& t) {
  if (t.ndim() == 0 && is_integral(t.dtype())) return integer(item_of(t, "indexing by a 0-d tensor").as_int64());
  check_as(ErrorKind::index, t.dtype() == DType::i64 || t.dtype() == DType::i32 || t.dtype() == DType::b8,
           "a tensor used as an index must be int64, int32 or bool, got ", name_of(t.dtype()),
           t.dtype() == DType::u8 ? "; make a mask with .bool(), positions with .long()" : "");
  return {.kind = Item::tensor, .tensor = t};
}

Subscript item_from(PyObject* o) {
  if (PyLong_CheckExact(o)) return integer(to_position(o));
  if (PySlice_Check(o)) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(o, &start, &stop, &step) != 0) throw py::error_already_set();
    return {.kind = Item::slice, .start = start, .stop = stop, .step = step, .tensor = {}};
  }
  if (o == Py_Ellipsis) return {.kind = Item::ellipsis, .tensor = {}};
  if (o == Py_None) return {.kind = Item::new_axis, .tensor = {}};
  if (is_tensor(o)) return from_tensor(tensor_of(o));
  if (PyList_Check(o) || PyTuple_Check(o)) return from_tensor(tensor_from_list(o));
  Scalar number(false);
  if (to_scalar(o, number)) {
    check_as(ErrorKind::index, !number.is_real(), "an index must be an integer, got ", Py_TYPE(o)->tp_name);
    return number.is_bool() ? mask(number.as_bool()) : integer(number.as_int64());
  }
  check_as(ErrorKind::type, looks_like_array(o),
           "an index consists of integers, slices, ..., None, and tensors, arrays or lists of integers or bool; got ",
           Py_TYPE(o)->tp_name);
  return from_tensor(tensor_from_buffer(o));
}

Subscripts items_from(PyObject* key) {
  Subscripts items;
  if (!PyTuple_Check(key)) {
    items.push_back(item_from(key));
    return items;
  }
  const Py_ssize_t n = PyTuple_GET_SIZE(key);
  items.reserve(static_cast<std::size_t>(n));
  for (Py_ssize_t i = 0; i < n; ++i) items.push_back(item_from(PyTuple_GET_ITEM(key, i)));
  return items;
}

bool has_tensor(const Subscripts& items) {
  for (const Subscript& s : items)
    if (s.kind == Item::tensor) return true;
  return false;
}

}  // namespace

PyObject* index_get(PyObject* self, PyObject* key) {
  return guarded("indexing", [&] {
    const Tensor& t = tensor_of(self);
    Subscripts items = items_from(key);
    if (!has_tensor(items)) return wrap(subscript(t, std::move(items)));
    Tensor result;
    {
      MaybeReleaseGil gil(t.numel());
      result = subscript(t, std::move(items));
    }
    return wrap(result);
  });
}

int index_set(PyObject* self, PyObject* key, PyObject* value) {
  try {
    const Tensor& t = tensor_of(self);
    check_as(ErrorKind::type, value, "elements of a tensor cannot be deleted");
    ArgHolder holder;
    check_as(ErrorKind::type, to_arg(value, holder), "a value to assign must be a number, a Tensor or an array, got ",
             Py_TYPE(value)->tp_name);
    Subscripts items = items_from(key);
    MaybeReleaseGil gil(t.numel());
    set_subscript(t, std::move(items), holder);
    return 0;
  } catch (...) {
    set_python_error("assignment to an index");
    return -1;
  }
}

void bind_index(py::module_& m) {
  def_method(
      "index_put_",
      [](const Tensor& t, const py::tuple& indices, const ArgHolder& values, bool accumulate) {
        Subscripts items = items_from(indices.ptr());
        const py::gil_scoped_release no_gil;
        index_put_(t, std::move(items),
                   values.tensor.defined() ? values.tensor : full({}, values.number, t.dtype(), t.device()),
                   accumulate);
        return t;
      },
      py::arg("indices"), py::arg("values"), py::arg("accumulate") = false);
  bind_index_functions(m);
  bind_index_arrange(m);
}

}  // namespace lamina::bind
