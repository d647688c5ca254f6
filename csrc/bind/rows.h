// Functions and methods from a table, vectorcall throughout: for calls so frequent that pybind11's way of taking
// arguments apart would cost more than the work.
#pragma once
#include <cstring>
#include <utility>

#include "bind/arguments.h"

namespace lamina::bind {

struct CallRow {
  const char* name;
  const char* parameters;  // after the input
  const char* doc;
  PyObject* (*call)(const Arguments&);  // argument 0 is the input
};

// The result of `f`, which works on so many elements: for many, without the interpreter's lock.
template <class F>
PyObject* run(std::int64_t elements, F f) {
  const auto result = [&] {
    MaybeReleaseGil gil(elements);
    return f();
  }();
  return wrap(result);
}

namespace rows {

template <const auto& rows, std::size_t row>
PyObject* method(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  static const Signature signature(rows[row].parameters);
  return guarded(rows[row].name,
                 [&] { return rows[row].call(Arguments(rows[row].name, signature, self, args, nargs, keywords)); });
}
template <const auto& rows, std::size_t row>
PyObject* function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  if (nargs < 1) return PyErr_Format(PyExc_TypeError, "%s: the first argument, input, is missing", rows[row].name);
  return method<rows, row>(args[0], args + 1, nargs - 1, keywords);
}

// Python keeps pointers to definitions and their strings for ever.
inline PyMethodDef* definition(const CallRow& row, const char* first, _PyCFunctionFastWithKeywords f) {
  const std::string doc = concat(row.name, "(", first, ", ", row.parameters, ")\n--\n\n", row.doc);
  return new PyMethodDef{row.name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(f)),
                         METH_FASTCALL | METH_KEYWORDS, strdup(doc.c_str())};
}
inline py::object checked(PyObject* o) {
  if (!o) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(o);
}

inline void add_one_function(py::module_& m, const CallRow& row, _PyCFunctionFastWithKeywords f) {
  m.add_object(row.name, checked(PyCFunction_NewEx(definition(row, "input", f), nullptr, m.attr("__name__").ptr())));
}
inline void add_one_method(const CallRow& row, _PyCFunctionFastWithKeywords f) {
  const py::handle type = reinterpret_cast<PyObject*>(tensor_type());
  py::setattr(type, row.name, checked(PyDescr_NewMethod(tensor_type(), definition(row, "$self", f))));
}

}  // namespace rows

// x.name(…) for each row
template <const auto& table>
void add_methods() {
  [&]<std::size_t... row>(std::index_sequence<row...>) {
    (rows::add_one_method(table[row], rows::method<table, row>), ...);
  }
  (std::make_index_sequence<std::size(table)>());
}
// and lamina.name(x, …) too.
template <const auto& table>
void add_rows(py::module_& m) {
  add_methods<table>();
  [&]<std::size_t... row>(std::index_sequence<row...>) {
    (rows::add_one_function(m, table[row], rows::function<table, row>), ...);
  }
  (std::make_index_sequence<std::size(table)>());
}

}  // namespace lamina::bind
