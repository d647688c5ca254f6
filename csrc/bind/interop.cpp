// Memory shared with NumPy and every other buffer.
#include <cstring>

#include "bind/common.h"

namespace lamina::bind {
namespace {

bool dtype_from_format(const char* format, Py_ssize_t itemsize, DType& out) {
  const char code = *format && std::strchr("@=<", *format) ? format[1] : *format;
  switch (code) {
    case 'f': return out = DType::f32, itemsize == 4;
    case 'd': return out = DType::f64, itemsize == 8;
    case 'e': return out = DType::f16, itemsize == 2;
    case 'q': case 'l': case 'i':
      out = itemsize == 8 ? DType::i64 : DType::i32;
      return itemsize == 8 || itemsize == 4;
    case 'B': return out = DType::u8, itemsize == 1;
    case '?': return out = DType::b8, itemsize == 1;
    default: return false;
  }
}

}  // namespace

bool looks_like_array(PyObject* o) { return PyObject_CheckBuffer(o) && !PyBytes_Check(o); }

Tensor tensor_from_buffer(PyObject* o) {
  auto buffer = std::make_unique<Py_buffer>();
  bool writable = true;
  if (PyObject_GetBuffer(o, buffer.get(), PyBUF_FULL) != 0) {
    PyErr_Clear();
    writable = false;
    if (PyObject_GetBuffer(o, buffer.get(), PyBUF_FULL_RO) != 0) throw py::error_already_set();
  }
  auto release = [](Py_buffer* b) {
    if (!Py_IsInitialized()) return;
    py::gil_scoped_acquire gil;
    PyBuffer_Release(b);
    delete b;
  };
  std::shared_ptr<Py_buffer> owner(buffer.release(), release);
  DType dtype;
  check_as(ErrorKind::type, dtype_from_format(owner->format ? owner->format : "B", owner->itemsize, dtype),
           "elements of format '", owner->format, "' have no lamina dtype");
  Dims shape, strides;
  for (int i = 0; i < owner->ndim; ++i) {
    shape.push_back(owner->shape[i]);
    check(owner->strides[i] % owner->itemsize == 0, "array strides are not multiples of the element size; copy it first");
    strides.push_back(owner->strides[i] / owner->itemsize);
  }
  const Extent e = extent(shape, strides);
  char* first = static_cast<char*>(owner->buf) + e.first * owner->itemsize;
  check(reinterpret_cast<std::uintptr_t>(first) % static_cast<std::uintptr_t>(owner->itemsize) == 0, "array memory is not aligned to its elements; copy it first");
  Ref<Storage> storage(new Storage(first, static_cast<std::size_t>((e.last - e.first) * owner->itemsize), {}, writable, [owner] {}));
  return Tensor(new TensorImpl(std::move(storage), -e.first * owner->itemsize, shape, strides, dtype));
}

void bind_interop(py::module_& m) {
  m.def("_from_buffer", [](py::object o) { return tensor_from_buffer(o.ptr()); });
}

}  // namespace lamina::bind
