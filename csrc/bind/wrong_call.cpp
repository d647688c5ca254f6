// What a wrong call of a function says, and whose call it was where the error does not know. pybind11 lists signatures
// in the language of types; here lamina/_wrong_call.py names the argument, what was expected and what came. It is asked
// only once a call has failed: between the caller and pybind11 stands one more jump, and nothing else.
#include "bind/common.h"

namespace lamina::bind {
namespace {

_PyCFunctionFastWithKeywords pybind11_entry = nullptr;

bool is_about_arguments(const py::error_already_set& e) {
  if (!e.matches(PyExc_TypeError) && !e.matches(PyExc_RuntimeError)) return false;
  const std::string message = py::str(e.value()).cast<std::string>();
  return message.find("(): incompatible ") != std::string::npos || message.rfind("Unable to cast Python ", 0) == 0;
}

std::string explanation(const PyMethodDef& function, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  py::list positional;
  for (Py_ssize_t i = 0; i < nargs; ++i) positional.append(py::handle(args[i]));
  py::dict named;
  for (Py_ssize_t k = 0; keywords && k < PyTuple_GET_SIZE(keywords); ++k)
    named[py::handle(PyTuple_GET_ITEM(keywords, k))] = py::handle(args[nargs + k]);
  const py::object explain = py::module_::import("lamina._wrong_call").attr("explain");
  return explain(function.ml_name, function.ml_doc, positional, named).cast<std::string>();
}

PyObject* entry(PyObject* record, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  PyObject* result = pybind11_entry(record, args, nargs, keywords);
  if (result) return result;
  return guarded([&]() -> PyObject* {
    py::error_already_set error;
    const PyMethodDef& function = *py::detail::function_record_ptr_from_PyObject(record)->def;
    if (py::hasattr(error.value(), kUnnamed)) {
      const char* name = function.ml_name + (*function.ml_name == '_');  // lamina.randperm calls _C._randperm
      return PyErr_Format(error.type().ptr(), "%s: %S", name, error.value().ptr());
    }
    if (!is_about_arguments(error)) return error.restore(), nullptr;
    fail(ErrorKind::type, explanation(function, args, nargs, keywords));
  });
}

PyMethodDef* definition_of(PyObject* function) {
  if (PyInstanceMethod_Check(function)) function = PyInstanceMethod_GET_FUNCTION(function);
  return PyCFunction_Check(function) ? reinterpret_cast<PyCFunctionObject*>(function)->m_ml : nullptr;
}

_PyCFunctionFastWithKeywords entry_of(const PyMethodDef& d) {
  return reinterpret_cast<_PyCFunctionFastWithKeywords>(reinterpret_cast<void*>(d.ml_meth));
}

void take_over(const py::object& attributes) {
  for (const auto item : py::dict(attributes)) {
    PyMethodDef* d = definition_of(item.second.ptr());
    if (!d || d->ml_flags != (METH_FASTCALL | METH_KEYWORDS) || entry_of(*d) != pybind11_entry) continue;
    d->ml_meth = reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&entry));
  }
}

}  // namespace

// After all others: it takes over what they defined.
void bind_wrong_call(py::module_& m) {
  pybind11_entry = entry_of(*definition_of(py::cpp_function([] {}).ptr()));
  take_over(m.attr("__dict__"));
  for (const auto item : py::dict(m.attr("__dict__")))
    if (PyType_Check(item.second.ptr())) take_over(item.second.attr("__dict__"));
}

}  // namespace lamina::bind
