#include "bind/nested.h"

#include <cmath>
#include <vector>

#include "core/stream.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

py::object steal(PyObject* o) {
  if (!o) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(o);
}

bool is_sequence(PyObject* o) { return PySequence_Check(o) && !PyUnicode_Check(o) && !PyBytes_Check(o); }

// float64, int64 or bool: wide enough for every element of the type.
DType wide_type(DType t) { return is_floating(t) ? DType::f64 : t == DType::b8 ? DType::b8 : DType::i64; }

Scalar element(const Tensor& wide, std::int64_t i) {
  if (wide.dtype() == DType::f64) return Scalar(wide.data<double>()[i]);
  if (wide.dtype() == DType::b8) return Scalar(wide.data<std::uint8_t>()[i] != 0);
  return Scalar(wide.data<std::int64_t>()[i]);
}

// An array without a type or layout of ours is first converted by NumPy.
Tensor from_buffer(PyObject* o, std::optional<DType> wanted) {
  try {
    return tensor_from_buffer(o);
  } catch (const Error&) {
    if (!PyObject_HasAttrString(o, "astype")) throw;
  }
  const py::handle array(o);
  const bool half = wanted == DType::bf16;  // NumPy has no such type
  const py::object type =
      wanted ? py::str(half ? "float32" : name_of(*wanted)) : array.attr("dtype").attr("newbyteorder")("=");
  return tensor_from_buffer(array.attr("astype")(type).ptr());
}

// Spares the common cases the look at their attributes.
bool may_be_array(PyObject* o) {
  return !(PyList_Check(o) || PyTuple_Check(o) || PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyBool_Check(o));
}

// Anything that is an array already, without a copy if possible; undefined for everything else.
Tensor shared_array(PyObject* o, std::optional<DType> wanted) {
  if (is_tensor(o)) return tensor_of(o);
  if (looks_like_array(o)) return from_buffer(o, wanted);
  if (PyType_Check(o)) return {};
  if (PyObject_HasAttrString(o, "__dlpack__")) return tensor_from_dlpack(o);
  if (PyObject_HasAttrString(o, "__cuda_array_interface__"))
    return tensor_of(py::module_::import("lamina.cuda").attr("_from_array")(py::handle(o)).ptr());
  if (PyObject_HasAttrString(o, "__array__"))
    return from_buffer(py::module_::import("numpy").attr("asarray")(py::handle(o)).ptr(), wanted);
  return {};
}

// Walks nested sequences once, gathering shape, elements and their common type.
class Reader {
 public:
  Reader(const char* function, std::optional<DType> wanted) : function_(function), wanted_(wanted) {}

  void read(PyObject* o, int depth) {
    Scalar number(0);
    if (exact_number(o, number)) return leaf(number, number.dtype(), depth);
    if (may_be_array(o)) {
      const Tensor array = shared_array(o, wanted_);  // NumPy numbers too, with their type
      if (array.defined()) return block(array, depth);
      if (to_scalar(o, number)) return leaf(number, number.dtype(), depth);
    }
    check_as(ErrorKind::type, is_sequence(o), function_,
             ": expected numbers, nested sequences of numbers, arrays or tensors, got ", Py_TYPE(o)->tp_name);
    const Py_ssize_t n = PySequence_Size(o);
    if (n < 0) throw py::error_already_set();
    check(depth < kMaxDims, function_, ": the data is nested more than ", kMaxDims,
          " levels deep; a tensor has at most ", kMaxDims, " dimensions");
    level(n, depth);
    for (Py_ssize_t i = 0; i < n; ++i) read(item(o, i, n).ptr(), depth + 1);
    if (n == 0) settle(depth + 1);
  }

  Tensor result() const {
    const DType type = wanted_.value_or(type_.value_or(DType::f32));
    const Tensor wide = empty(shape_, wide_type(type));
    for (std::size_t i = 0; i < elements_.size(); ++i) {
      const Scalar& s = elements_[i];
      if (wide.dtype() == DType::f64) {
        wide.data<double>()[i] = s.as_double();
      } else if (wide.dtype() == DType::b8) {
        wide.data<std::uint8_t>()[i] = s.as_bool();
      } else {
        check(!s.is_real() || std::fabs(s.as_double()) < 9.2e18, function_, ": ", s.as_double(), " does not fit ",
              name_of(type));
        const Scalar integer(s.as_int64());
        integer.check_fits(type, function_);
        wide.data<std::int64_t>()[i] = integer.as_int64();
      }
    }
    if (Recording* recording = open_recording()) recording->keep(wide);  // written here and not by a launch
    return to_dtype(wide, type);
  }

 private:
  // Reading an element may run Python code that shortens the list, and what __len__ says need not be true.
  py::object item(PyObject* o, Py_ssize_t i, Py_ssize_t n) const {
    check_as(ErrorKind::runtime, !PyList_CheckExact(o) || PyList_GET_SIZE(o) == n, function_,
             ": a list changed its size while it was read");
    PyObject* item = PySequence_GetItem(o, i);
    if (!item && PyErr_ExceptionMatches(PyExc_IndexError)) {
      PyErr_Clear();
      fail(ErrorKind::value, function_, ": the length of a ", Py_TYPE(o)->tp_name, " is ", n, ", but it has only ", i,
           " elements");
    }
    return steal(item);
  }

  bool exact_number(PyObject* o, Scalar& out) const {
    if (PyFloat_CheckExact(o)) return out = Scalar(PyFloat_AS_DOUBLE(o)), true;
    if (PyBool_Check(o)) return out = Scalar(o == Py_True), true;
    if (!PyLong_CheckExact(o)) return false;
    int overflow;
    const long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow) {
      check(wanted_ && is_floating(*wanted_), function_, ": an integer is out of the range of int64");
      const double d = PyLong_AsDouble(o);
      if (d == -1.0 && PyErr_Occurred()) throw py::error_already_set();
      return out = Scalar(d), true;
    }
    return out = Scalar(static_cast<std::int64_t>(v)), true;
  }

  // The first path down to an element fixes the shape; every other must agree.
  void level(std::int64_t n, int depth) {
    if (depth == shape_.size() && !settled_) return shape_.push_back(n);
    check(depth < shape_.size(), function_, ": a sequence of length ", n, " where the shape ", shape_, " has numbers");
    check(shape_[depth] == n, function_, ": expected sequences of length ", shape_[depth], " at dimension ", depth,
          ", got one of length ", n);
  }
  void settle(int depth) {
    if (!settled_) make_room();
    check(!settled_ || depth == shape_.size(), function_, ": a number where the shape ", shape_, " has a sequence");
    settled_ = true;
  }
  // As soon as the shape is known; a length like 2^60 is found to be absurd before its elements are counted off.
  void make_room() {
    const std::int64_t n = count(shape_);
    try {
      elements_.reserve(static_cast<std::size_t>(n));
    } catch (const std::exception&) {
      fail(ErrorKind::memory, function_, ": data of shape ", shape_, ", ", n, " elements, does not fit into memory");
    }
  }
  void leaf(const Scalar& s, DType type, int depth) {
    settle(depth);
    type_ = type_ ? promote(*type_, type) : type;
    elements_.push_back(s);
  }
  void block(const Tensor& t, int depth) {
    for (int i = 0; i < t.ndim(); ++i) level(t.shape()[i], depth + i);
    settle(depth + t.ndim());
    type_ = type_ ? promote(*type_, t.dtype()) : t.dtype();
    check_host_read("a tensor in a list of data");
    const Tensor wide = contiguous(to_dtype(to_device(detach(t), {}), wide_type(t.dtype())));
    for (std::int64_t i = 0; i < wide.numel(); ++i) elements_.push_back(element(wide, i));
  }

  const char* function_;
  std::optional<DType> wanted_;
  Dims shape_;
  bool settled_ = false;
  std::optional<DType> type_;
  std::vector<Scalar> elements_;
};

PyObject* list_of(const Tensor& wide, int dim, std::int64_t& next) {
  if (dim == wide.ndim()) return py::cast(element(wide, next++)).release().ptr();
  const py::object list = steal(PyList_New(wide.shape()[dim]));
  for (std::int64_t i = 0; i < wide.shape()[dim]; ++i) PyList_SET_ITEM(list.ptr(), i, list_of(wide, dim + 1, next));
  return Py_NewRef(list.ptr());
}

// A private copy, for the caller may change what it was made of.
Tensor copy_as(const Tensor& t, std::optional<DType> dtype) {
  const Tensor source = detach(t);
  return dtype && *dtype != t.dtype() ? contiguous(to_dtype(source, *dtype)) : clone(source);
}

}  // namespace

Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, const char* function) {
  if (may_be_array(data)) {
    const Tensor array = shared_array(data, dtype);
    if (array.defined()) return copy_as(array, dtype);
  }
  Reader reader(function, dtype);
  reader.read(data, 0);
  return reader.result();
}

Tensor tensor_sharing_data(PyObject* data, std::optional<DType> dtype, const char* function) {
  if (may_be_array(data)) {
    const Tensor array = shared_array(data, dtype);
    if (array.defined()) return dtype ? to_dtype(array, *dtype) : array;
  }
  return tensor_from_data(data, dtype, function);
}

PyObject* to_list(const Tensor& t) {
  check_host_read("tolist()");
  const Tensor wide = contiguous(to_dtype(to_device(detach(t), {}), wide_type(t.dtype())));
  std::int64_t next = 0;
  return list_of(wide, 0, next);
}

}  // namespace lamina::bind
