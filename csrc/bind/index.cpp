// What stands between the brackets of x[…], parsed against the C API: this is on every hot path.
#include "ops/index.h"

#include "bind/common.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

using Item = Subscript::Kind;

Subscript integer(std::int64_t i) { return {.kind = Item::integer, .start = i, .tensor = {}}; }
Subscript mask(bool on) { return {.kind = Item::tensor, .tensor = full({}, on, DType::b8)}; }

std::int64_t to_int64(PyObject* o) {
  const Py_ssize_t i = PyNumber_AsSsize_t(o, PyExc_IndexError);
  if (i == -1 && PyErr_Occurred()) throw py::error_already_set();
  return i;
}

// ---- lists of integers or truth values, nested as a tensor's shape ----

class NestedList {
 public:
  explicit NestedList(PyObject* o) {
    measure(o);
    collect(o, 0);
  }
  Tensor tensor() const {
    const Tensor t = empty(shape_, booleans_ ? DType::b8 : DType::i64);
    for (std::size_t i = 0; i < values_.size(); ++i) {
      if (booleans_)
        t.data<bool>()[i] = values_[i] != 0;
      else
        t.data<std::int64_t>()[i] = values_[i];
    }
    return t;
  }

 private:
  static bool nested(PyObject* o) { return PyList_Check(o) || PyTuple_Check(o); }
  void measure(PyObject* o) {
    while (nested(o)) {
      const Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
      shape_.push_back(n);
      if (n == 0) return;
      o = PySequence_Fast_GET_ITEM(o, 0);
    }
    booleans_ = PyBool_Check(o);
  }
  void collect(PyObject* o, int depth) {
    if (depth < shape_.size()) {
      check(nested(o) && PySequence_Fast_GET_SIZE(o) == shape_[depth],
            "index: the lists of an index must all have the same length");
      for (Py_ssize_t i = 0; i < shape_[depth]; ++i) collect(PySequence_Fast_GET_ITEM(o, i), depth + 1);
      return;
    }
    check_as(ErrorKind::index, PyIndex_Check(o) && PyBool_Check(o) == booleans_,
             "index: a list must hold integers only or truth values only, found ", Py_TYPE(o)->tp_name);
    values_.push_back(to_int64(o));
  }
  Dims shape_;
  bool booleans_ = false;
  std::vector<std::int64_t> values_;
};

// ---- items ----

Subscript from_tensor(const Tensor& t) {
  if (t.ndim() == 0 && is_integral(t.dtype())) return integer(*to_dtype(detach(t), DType::i64).data<std::int64_t>());
  return {.kind = Item::tensor, .tensor = t};
}

Subscript item_from(PyObject* o) {
  if (PyLong_CheckExact(o)) return integer(to_int64(o));
  if (PySlice_Check(o)) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(o, &start, &stop, &step) != 0) throw py::error_already_set();
    return {.kind = Item::slice, .start = start, .stop = stop, .step = step, .tensor = {}};
  }
  if (o == Py_Ellipsis) return {.kind = Item::ellipsis, .tensor = {}};
  if (o == Py_None) return {.kind = Item::new_axis, .tensor = {}};
  if (is_tensor(o)) return from_tensor(tensor_of(o));
  if (PyList_Check(o) || PyTuple_Check(o)) return {.kind = Item::tensor, .tensor = NestedList(o).tensor()};
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
  return guarded([&] {
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
    set_python_error();
    return -1;
  }
}


}  // namespace lamina::bind
