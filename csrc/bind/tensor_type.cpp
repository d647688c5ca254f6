// The Python type `Tensor`. It is written against the C API because it is on every hot path: an operator costs a type
// slot, not a pybind11 dispatch. Everything else about tensors is bound with pybind11 in the families' own files.
#include <algorithm>
#include <new>

#include "autograd/engine.h"
#include "bind/common.h"
#include "core/stream.h"
#include "ops/elementwise.h"
#include "ops/view.h"
#include "structmember.h"  // quoted, to be sorted behind Python.h

namespace lamina::bind {
namespace {

struct PyTensor {
  PyObject_HEAD
  Tensor tensor;
  PyObject* weak_references;
};

PyTypeObject* type = nullptr;
PyObject* python_hooks =
    nullptr;  // lamina._tensor: what is written in Python (repr, construction, indexing by lists …)

Tensor& unwrap(PyObject* o) { return reinterpret_cast<PyTensor*>(o)->tensor; }

PyObject* call_python(const char* function, PyObject* args, PyObject* kwargs = nullptr) {
  if (!python_hooks && !(python_hooks = PyImport_ImportModule("lamina._tensor"))) return nullptr;
  PyObject* f = PyObject_GetAttrString(python_hooks, function);
  PyObject* result = f ? PyObject_Call(f, args, kwargs) : nullptr;
  Py_XDECREF(f);
  return result;
}

PyObject* allocate(PyTypeObject* t, const Tensor& tensor) {
  PyObject* o = t->tp_alloc(t, 0);
  if (!o) return nullptr;
  new (&unwrap(o)) Tensor(tensor);
  reinterpret_cast<PyTensor*>(o)->weak_references = nullptr;
  tensor.impl()->wrapper = o;
  return o;
}

void dealloc(PyObject* self) {
  PyTypeObject* t = Py_TYPE(self);
  if (reinterpret_cast<PyTensor*>(self)->weak_references) PyObject_ClearWeakRefs(self);
  Tensor& tensor = unwrap(self);
  if (tensor.impl()->wrapper == self) tensor.impl()->wrapper = nullptr;
  tensor.~Tensor();
  t->tp_free(self);
  Py_DECREF(t);
}

PyObject* construct(PyTypeObject* t, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    PyObject* made = call_python("construct", args, kwargs);
    if (!made) return nullptr;
    py::object owner = py::reinterpret_steal<py::object>(made);
    if (t == type) return owner.release().ptr();
    const Tensor own = detach(unwrap(made));
    if (unwrap(made).requires_grad()) set_requires_grad(own, true);
    return wrap_as(t, own);
  });
}

// ---- operators ----

std::int64_t elements(const Arg& a) { return a.is_tensor() ? a.tensor().numel() : 1; }

template <BinaryOp op>
PyObject* binary_slot(PyObject* a, PyObject* b) {
  return guarded(name_of(op), [&]() -> PyObject* {
    ArgHolder other;
    if (!(is_tensor(a) && is_tensor(b)) && !to_arg(is_tensor(a) ? b : a, other)) Py_RETURN_NOTIMPLEMENTED;
    const Arg x = is_tensor(a) ? Arg(unwrap(a)) : Arg(other), y = is_tensor(b) ? Arg(unwrap(b)) : Arg(other);
    Tensor result;
    {
      MaybeReleaseGil gil(std::max(elements(x), elements(y)));
      result = binary(op, x, y);
    }
    return wrap(result);
  });
}

template <BinaryOp op>
PyObject* in_place_slot(PyObject* a, PyObject* b) {
  return guarded(name_of(op), [&]() -> PyObject* {
    ArgHolder other;
    if (!to_arg(b, other)) Py_RETURN_NOTIMPLEMENTED;
    {
      MaybeReleaseGil gil(unwrap(a).numel());
      binary_in_place(op, unwrap(a), Arg(other));
    }
    return Py_NewRef(a);
  });
}

template <UnaryOp op>
PyObject* unary_slot(PyObject* a) {
  return guarded(name_of(op), [&] {
    Tensor result;
    {
      MaybeReleaseGil gil(unwrap(a).numel());
      result = unary(op, unwrap(a));
    }
    return wrap(result);
  });
}

PyObject* positive_slot(PyObject* a) { return Py_NewRef(a); }

PyObject* power_slot(PyObject* a, PyObject* b, PyObject* modulus) {
  if (modulus != Py_None) Py_RETURN_NOTIMPLEMENTED;
  return binary_slot<BinaryOp::pow>(a, b);
}
PyObject* power_in_place_slot(PyObject* a, PyObject* b, PyObject*) { return in_place_slot<BinaryOp::pow>(a, b); }

PyObject* compare(PyObject* a, PyObject* b, int how) {
  switch (how) {
    case Py_EQ: return binary_slot<BinaryOp::eq>(a, b);
    case Py_NE: return binary_slot<BinaryOp::ne>(a, b);
    case Py_LT: return binary_slot<BinaryOp::lt>(a, b);
    case Py_LE: return binary_slot<BinaryOp::le>(a, b);
    case Py_GT: return binary_slot<BinaryOp::gt>(a, b);
    default: return binary_slot<BinaryOp::ge>(a, b);
  }
}

Py_hash_t hash(PyObject* self) {
  return static_cast<Py_hash_t>(reinterpret_cast<std::uintptr_t>(unwrap(self).impl()) >> 4);
}

// ---- one number ----

PyObject* item(PyObject* self, PyObject*) {
  return guarded([&] { return py::cast(item_of(unwrap(self))).release().ptr(); });
}
PyObject* to_float(PyObject* self) {
  return guarded([&] { return PyFloat_FromDouble(item_of(unwrap(self), "float()").as_double()); });
}
PyObject* to_int(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Scalar s = item_of(unwrap(self), "int()");
    return s.is_real() ? PyLong_FromDouble(s.as_double()) : PyLong_FromLongLong(s.as_int64());
  });
}
PyObject* to_index(PyObject* self) {
  return guarded([&]() -> PyObject* {
    const Tensor& t = unwrap(self);
    check_as(ErrorKind::type, !is_floating(t.dtype()) && t.numel() == 1,
             "only an integer tensor with one element can be used as an index");
    return PyLong_FromLongLong(item_of(t, "index").as_int64());
  });
}
int truth(PyObject* self) {
  try {
    const Tensor& t = unwrap(self);
    check(t.numel() == 1, "bool(): the truth of a tensor with shape ", t.shape(), " is ambiguous; use any() or all()");
    return item_of(t, "bool()").as_bool();
  } catch (...) {
    set_python_error();
    return -1;
  }
}

Py_ssize_t length(PyObject* self) {
  const Tensor& t = unwrap(self);
  if (t.ndim() == 0) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return t.shape()[0];
}

// ---- indexing: bind/index.cpp ----

PyObject* iterate(PyObject* self) {
  PyObject* args = PyTuple_Pack(1, self);
  PyObject* result = args ? call_python("iterate", args) : nullptr;
  Py_XDECREF(args);
  return result;
}

PyObject* representation(PyObject* self) {
  PyObject* args = PyTuple_Pack(1, self);
  PyObject* result = args ? call_python("represent", args) : nullptr;
  Py_XDECREF(args);
  return result;
}

// ---- attributes ----

PyObject* get_shape(PyObject* self, void*) { return py::cast(unwrap(self).shape()).release().ptr(); }
PyObject* get_dtype(PyObject* self, void*) { return wrap(unwrap(self).dtype()); }
PyObject* get_device(PyObject* self, void*) { return wrap(unwrap(self).device()); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(unwrap(self).ndim()); }
PyObject* get_version(PyObject* self, void*) { return PyLong_FromUnsignedLong(unwrap(self).version()); }
PyObject* get_is_leaf(PyObject* self, void*) { return PyBool_FromLong(!unwrap(self).impl()->grad_fn); }
PyObject* get_requires_grad(PyObject* self, void*) { return PyBool_FromLong(unwrap(self).requires_grad()); }
int set_requires_grad_attribute(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    check_as(ErrorKind::type, value && PyBool_Check(value), "requires_grad: expected True or False");
    set_requires_grad(unwrap(self), value == Py_True);
  });
}
PyObject* get_grad(PyObject* self, void*) {
  return guarded([&] { return wrap(grad_of(unwrap(self))); });
}
int set_grad_attribute(PyObject* self, PyObject* value, void*) {
  return guarded_int([&] {
    const bool none = !value || value == Py_None;
    check_as(ErrorKind::type, none || is_tensor(value), "grad: expected a Tensor or None");
    set_grad(unwrap(self), none ? Tensor() : unwrap(value));
  });
}
PyObject* get_grad_fn(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    if (unwrap(self).requires_grad()) refresh_view(unwrap(self));
    const auto* node = static_cast<const Node*>(unwrap(self).impl()->grad_fn.get());
    if (!node) Py_RETURN_NONE;
    return PyUnicode_FromFormat("<%s>", node->name());
  });
}
PyObject* get_transposed(PyObject* self, void*) {
  return guarded([&] {
    const Tensor& t = unwrap(self);
    Dims order;
    for (int i = t.ndim() - 1; i >= 0; --i) order.push_back(i);
    return wrap(permute(t, order));
  });
}
PyObject* get_matrix_transposed(PyObject* self, void*) {
  return guarded([&] {
    const Tensor& t = unwrap(self);
    check(t.ndim() >= 2, "mT: needs at least 2 dimensions, got shape ", t.shape());
    return wrap(transpose(t, -2, -1));
  });
}

PyGetSetDef attributes[] = {
    {"shape", get_shape, nullptr, "Sizes, outermost first.", nullptr},
    {"dtype", get_dtype, nullptr, "Type of the elements.", nullptr},
    {"device", get_device, nullptr, "Where the memory lies.", nullptr},
    {"ndim", get_ndim, nullptr, "Number of dimensions.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "True unless made by a recorded operation.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad_attribute, "Are operations on this tensor recorded?",
     nullptr},
    {"grad", get_grad, set_grad_attribute, "The accumulated gradient of a leaf, or None.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "Name of the operation that made this tensor, or None.", nullptr},
    {"T", get_transposed, nullptr, "The view with all dimensions reversed.", nullptr},
    {"mT", get_matrix_transposed, nullptr, "The view with the last two dimensions exchanged.", nullptr},
    {"_version", get_version, nullptr, "How often the memory was changed in place.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMethodDef methods[] = {
    {"item", item, METH_NOARGS, "item($self, /)\n--\n\nThe only element as a Python number."},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

template <class F>
void* slot_of(F f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace

PyObject* index_get(PyObject* self, PyObject* key);             // bind/index.cpp
int index_set(PyObject* self, PyObject* key, PyObject* value);  // bind/index.cpp
PyObject* matmul_slot(PyObject* a, PyObject* b);                // bind/gemm.cpp

PyTypeObject* tensor_type() { return type; }
bool is_tensor(PyObject* o) { return Py_TYPE(o) == type || PyType_IsSubtype(Py_TYPE(o), type); }
const Tensor& tensor_of(PyObject* o) { return unwrap(o); }

Scalar item_of(const Tensor& t, const char* what) {
  check_host_read(what);
  check(t.numel() == 1, what, ": only a tensor with one element can become a number, this one has shape ", t.shape());
  const Tensor wide = to_dtype(to_device(detach(t), {}), is_floating(t.dtype())   ? DType::f64
                                                         : t.dtype() == DType::b8 ? DType::b8
                                                                                  : DType::i64);
  if (wide.dtype() == DType::f64) return Scalar(*wide.data<double>());
  if (wide.dtype() == DType::b8) return Scalar(*wide.data<std::uint8_t>() != 0);
  return Scalar(*wide.data<std::int64_t>());
}

PyObject* wrap(const Tensor& t) {
  if (!t.defined()) Py_RETURN_NONE;
  if (void* alive = t.impl()->wrapper) return Py_NewRef(static_cast<PyObject*>(alive));
  return allocate(type, t);
}
PyObject* wrap_as(PyTypeObject* t, const Tensor& tensor) { return allocate(t, tensor); }

void add_note(py::error_already_set& e, const std::string& note) {
  if (py::hasattr(e.value(), "add_note")) e.value().attr("add_note")(note);
}

namespace {
void set_error(PyObject* kind, const char* message, bool names_operation, const char* function) {
  if (names_operation || !function)
    PyErr_SetString(kind, message);
  else
    PyErr_Format(kind, "%s: %s", function, message);
  if (!names_operation && !function) {
    py::error_already_set e;
    e.value().attr(kUnnamed) = true;
    e.restore();
  }
}
}  // namespace

void set_python_error(const char* function) {
  try {
    throw;
  } catch (py::error_already_set& e) {
    e.restore();
  } catch (const Error& e) {
    PyObject* kind = PyExc_RuntimeError;
    switch (e.kind) {
      case ErrorKind::value: kind = PyExc_ValueError; break;
      case ErrorKind::type: kind = PyExc_TypeError; break;
      case ErrorKind::index: kind = PyExc_IndexError; break;
      case ErrorKind::runtime: kind = PyExc_RuntimeError; break;
      case ErrorKind::buffer: kind = PyExc_BufferError; break;
      case ErrorKind::not_implemented: kind = PyExc_NotImplementedError; break;
      case ErrorKind::memory: kind = PyExc_MemoryError; break;
      case ErrorKind::interrupted: kind = PyExc_KeyboardInterrupt; break;
    }
    set_error(kind, e.what(), e.names_operation, function);
  } catch (const std::bad_alloc&) {
    set_error(PyExc_MemoryError, "out of memory", false, function);
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

void bind_tensor_type(py::module_& m) {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("A strided array of numbers with automatic differentiation.")},
      {Py_tp_new, slot_of(construct)},
      {Py_tp_dealloc, slot_of(dealloc)},
      {Py_tp_repr, slot_of(representation)},
      {Py_tp_hash, slot_of(hash)},
      {Py_tp_richcompare, slot_of(compare)},
      {Py_tp_iter, slot_of(iterate)},
      {Py_tp_getset, attributes},
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {Py_nb_add, slot_of(binary_slot<BinaryOp::add>)},
      {Py_nb_subtract, slot_of(binary_slot<BinaryOp::sub>)},
      {Py_nb_multiply, slot_of(binary_slot<BinaryOp::mul>)},
      {Py_nb_true_divide, slot_of(binary_slot<BinaryOp::div>)},
      {Py_nb_floor_divide, slot_of(binary_slot<BinaryOp::floor_divide>)},
      {Py_nb_remainder, slot_of(binary_slot<BinaryOp::remainder>)},
      {Py_nb_power, slot_of(power_slot)},
      {Py_nb_and, slot_of(binary_slot<BinaryOp::bitwise_and>)},
      {Py_nb_or, slot_of(binary_slot<BinaryOp::bitwise_or>)},
      {Py_nb_xor, slot_of(binary_slot<BinaryOp::bitwise_xor>)},
      {Py_nb_lshift, slot_of(binary_slot<BinaryOp::bitwise_left_shift>)},
      {Py_nb_rshift, slot_of(binary_slot<BinaryOp::bitwise_right_shift>)},
      {Py_nb_matrix_multiply, slot_of(matmul_slot)},
      {Py_nb_inplace_add, slot_of(in_place_slot<BinaryOp::add>)},
      {Py_nb_inplace_subtract, slot_of(in_place_slot<BinaryOp::sub>)},
      {Py_nb_inplace_multiply, slot_of(in_place_slot<BinaryOp::mul>)},
      {Py_nb_inplace_true_divide, slot_of(in_place_slot<BinaryOp::div>)},
      {Py_nb_inplace_floor_divide, slot_of(in_place_slot<BinaryOp::floor_divide>)},
      {Py_nb_inplace_remainder, slot_of(in_place_slot<BinaryOp::remainder>)},
      {Py_nb_inplace_power, slot_of(power_in_place_slot)},
      {Py_nb_inplace_lshift, slot_of(in_place_slot<BinaryOp::bitwise_left_shift>)},
      {Py_nb_inplace_rshift, slot_of(in_place_slot<BinaryOp::bitwise_right_shift>)},
      {Py_nb_inplace_and, slot_of(in_place_slot<BinaryOp::bitwise_and>)},
      {Py_nb_inplace_or, slot_of(in_place_slot<BinaryOp::bitwise_or>)},
      {Py_nb_inplace_xor, slot_of(in_place_slot<BinaryOp::bitwise_xor>)},
      {Py_nb_negative, slot_of(unary_slot<UnaryOp::neg>)},
      {Py_nb_positive, slot_of(positive_slot)},
      {Py_nb_absolute, slot_of(unary_slot<UnaryOp::abs>)},
      {Py_nb_invert, slot_of(unary_slot<UnaryOp::bitwise_not>)},
      {Py_nb_bool, slot_of(truth)},
      {Py_nb_float, slot_of(to_float)},
      {Py_nb_int, slot_of(to_int)},
      {Py_nb_index, slot_of(to_index)},
      {Py_bf_getbuffer, slot_of(get_buffer)},
      {Py_bf_releasebuffer, slot_of(release_buffer)},
      {Py_mp_length, slot_of(length)},
      {Py_mp_subscript, slot_of(index_get)},
      {Py_mp_ass_subscript, slot_of(index_set)},
      {0, nullptr},
  };
  PyType_Spec spec{"lamina.Tensor", sizeof(PyTensor), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  py::object o = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(type));
  o.attr("__array_ufunc__") = py::none();  // numpy_array + tensor is ours
  m.add_object("Tensor", o);
  m.def("_wrap_as", [](py::type t, const Tensor& tensor) {
    check_as(ErrorKind::type, PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(t.ptr()), type),
             "expected a subclass of Tensor");
    return py::reinterpret_steal<py::object>(wrap_as(reinterpret_cast<PyTypeObject*>(t.ptr()), detach(tensor)));
  });
  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const Error&) {
      set_python_error();
    }
  });
  check_interrupt = [] {
    py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
}

}  // namespace lamina::bind
