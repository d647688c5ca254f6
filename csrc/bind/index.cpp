#include "bind/common.h"

namespace lamina::bind {
PyObject* index_get(PyObject*, PyObject*) { return PyErr_Format(PyExc_NotImplementedError, "indexing"); }
int index_set(PyObject*, PyObject*, PyObject*) { PyErr_Format(PyExc_NotImplementedError, "indexing"); return -1; }
PyObject* matmul_slot(PyObject*, PyObject*) { return PyErr_Format(PyExc_NotImplementedError, "matmul"); }
}  // namespace lamina::bind
