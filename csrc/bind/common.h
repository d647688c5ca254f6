// What every binding file shares: how Python objects become tensors, numbers, shapes and types, and back.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "core/scalar.h"
#include "core/tensor.h"
#include "ops/promote.h"
#include "ops/values_indices.h"

namespace py = pybind11;

namespace lamina::bind {

// ---- tensor_type.cpp ----
PyTypeObject* tensor_type();
bool is_tensor(PyObject* o);
const Tensor& tensor_of(PyObject* o);  // o must be one
PyObject* wrap(const Tensor& t);       // new reference; None for an undefined tensor; the same object while it lives
PyObject* wrap_as(PyTypeObject* type, const Tensor& t);
Scalar item_of(const Tensor& t, const char* what = "item()");  // the only element
// From the C++ exception being handled. An error that does not name its operation is given the name of the function;
// where that is not known either it is marked, for a caller who knows (wrong_call.cpp).
void set_python_error(const char* function = nullptr);
constexpr const char* kUnnamed = "_names_no_operation";
void add_note(py::error_already_set& e, const std::string& note);  // where Python knows notes (3.11)

// Runs `f` and turns C++ exceptions into Python ones.
template <class F>
PyObject* guarded(const char* function, F f) {
  try {
    return f();
  } catch (...) {
    set_python_error(function);
    return nullptr;
  }
}
template <class F>
PyObject* guarded(F f) {
  return guarded(nullptr, f);
}
template <class F>
int guarded_int(F f) {
  try {
    f();
    return 0;
  } catch (...) {
    set_python_error();
    return -1;
  }
}

// ---- types.cpp ----
const char* text_of(PyObject* str);  // UTF-8; alive as long as the str. Raises for lone surrogates
PyObject* wrap(DType t);             // new reference
PyObject* wrap(Device d);
PyObject* wrap(const ValuesIndices& v);    // the named tuple (values, indices)
bool to_dtype(PyObject* o, DType& out);    // lamina.float32, "float32", np.float32, float, int, bool
bool to_device(PyObject* o, Device& out);  // lamina.device("cpu"), "cpu"
std::int64_t to_int64(PyObject* o);        // what has __index__; larger numbers are an error
bool to_scalar(PyObject* o, Scalar& out);  // Python and NumPy numbers
bool to_dims(PyObject* o, Dims& out);      // a sequence of integers

// ---- interop.cpp ----
bool looks_like_array(PyObject* o);      // NumPy arrays and anything else with a buffer, but not bytes
Tensor tensor_from_buffer(PyObject* o);  // shares memory
int get_buffer(PyObject* self, Py_buffer* view, int flags);  // a tensor's memory for others to share
void release_buffer(PyObject* self, Py_buffer* view);

// ---- dlpack.cpp ----
Tensor tensor_from_dlpack(PyObject* producer);  // an object with __dlpack__, or a capsule

// A tensor or a number in the place of one.
struct ArgHolder {
  Tensor tensor;
  Scalar number{false};
  operator Arg() const { return tensor.defined() ? Arg(tensor) : Arg(number); }
};
bool to_arg(PyObject* o, ArgHolder& out);

// Lets other Python threads run while a kernel works on many elements; for few, the hand-over costs more than it gives.
class MaybeReleaseGil {
 public:
  explicit MaybeReleaseGil(std::int64_t elements) : state_(elements > 32768 ? PyEval_SaveThread() : nullptr) {}
  ~MaybeReleaseGil() {
    if (state_) PyEval_RestoreThread(state_);
  }
  MaybeReleaseGil(const MaybeReleaseGil&) = delete;
  MaybeReleaseGil& operator=(const MaybeReleaseGil&) = delete;

 private:
  PyThreadState* state_;
};
using ReleaseGil = py::call_guard<py::gil_scoped_release>;

// x.name(…); `extra` names the arguments after x. A second definition of a name overloads the first.
template <class F, class... Extra>
void def_method(const char* name, F f, const Extra&... extra) {
  py::object type = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(tensor_type()));
  py::object sibling = py::getattr(type, name, py::none());
  py::setattr(type, name, py::cpp_function(f, py::name(name), py::is_method(type), py::sibling(sibling), extra...));
}
// One C++ function as lamina.name(input, …) and as x.name(…).
template <class F, class... Extra>
void def_both(py::module_& m, const char* name, F f, const Extra&... extra) {
  m.def(name, f, py::arg("input"), extra...);
  def_method(name, f, extra...);
}

}  // namespace lamina::bind

namespace pybind11::detail {

template <>
struct type_caster<lamina::Tensor> {
  PYBIND11_TYPE_CASTER(lamina::Tensor, const_name("Tensor"));
  bool load(handle src, bool) {
    if (lamina::bind::is_tensor(src.ptr())) {
      value = lamina::bind::tensor_of(src.ptr());
      return true;
    }
    if (!lamina::bind::looks_like_array(src.ptr())) return false;
    value = lamina::bind::tensor_from_buffer(src.ptr());
    return true;
  }
  static handle cast(const lamina::Tensor& t, return_value_policy, handle) { return lamina::bind::wrap(t); }
};

template <>
struct type_caster<lamina::ValuesIndices> {
  PYBIND11_TYPE_CASTER(lamina::ValuesIndices, const_name("ValuesIndices"));
  bool load(handle, bool) { return false; }
  static handle cast(const lamina::ValuesIndices& v, return_value_policy, handle) { return lamina::bind::wrap(v); }
};

template <>
struct type_caster<lamina::bind::ArgHolder> {
  PYBIND11_TYPE_CASTER(lamina::bind::ArgHolder, const_name("Tensor | float | int | bool"));
  bool load(handle src, bool) { return lamina::bind::to_arg(src.ptr(), value); }
};

template <>
struct type_caster<lamina::DType> {
  PYBIND11_TYPE_CASTER(lamina::DType, const_name("dtype"));
  bool load(handle src, bool) { return lamina::bind::to_dtype(src.ptr(), value); }
  static handle cast(lamina::DType t, return_value_policy, handle) { return lamina::bind::wrap(t); }
};

template <>
struct type_caster<lamina::Device> {
  PYBIND11_TYPE_CASTER(lamina::Device, const_name("device | str"));
  bool load(handle src, bool) { return lamina::bind::to_device(src.ptr(), value); }
  static handle cast(lamina::Device d, return_value_policy, handle) { return lamina::bind::wrap(d); }
};

template <>
struct type_caster<lamina::Scalar> {
  lamina::Scalar value{false};
  static constexpr auto name = const_name("float | int | bool");
  template <class T>
  using cast_op_type = lamina::Scalar;
  operator lamina::Scalar() { return value; }
  bool load(handle src, bool) { return lamina::bind::to_scalar(src.ptr(), value); }
  static handle cast(const lamina::Scalar& s, return_value_policy, handle) {
    if (s.is_bool()) return PyBool_FromLong(s.as_bool());
    if (s.is_integer()) return PyLong_FromLongLong(s.as_int64());
    return PyFloat_FromDouble(s.as_double());
  }
};

template <>
struct type_caster<lamina::Dims> {
  PYBIND11_TYPE_CASTER(lamina::Dims, const_name("Sequence[int]"));
  bool load(handle src, bool) { return lamina::bind::to_dims(src.ptr(), value); }
  static handle cast(const lamina::Dims& d, return_value_policy, handle) {
    PyObject* t = PyTuple_New(d.size());
    if (!t) throw error_already_set();
    for (int i = 0; i < d.size(); ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(d[i]));
    return t;
  }
};

}  // namespace pybind11::detail
