// Memory shared with NumPy and everything else that has a buffer, both ways.
#include <cstring>

#include "bind/common.h"
#include "core/stream.h"

namespace lamina::bind {
namespace {

// struct-module codes of the types that have one; bfloat16 has none.
constexpr const char* kFormats[kDTypeCount] = {"f", "d", "e", nullptr, "q", "i", "B", "?"};

bool dtype_from_format(const char* format, Py_ssize_t itemsize, DType& out) {
  const char* code = *format && std::strchr("@=<", *format) ? format + 1 : format;
  if (std::strlen(code) != 1) return false;
  switch (*code) {
    case 'f': return out = DType::f32, itemsize == 4;
    case 'd': return out = DType::f64, itemsize == 8;
    case 'e': return out = DType::f16, itemsize == 2;
    case 'q':
    case 'l':
    case 'i': out = itemsize == 8 ? DType::i64 : DType::i32; return itemsize == 8 || itemsize == 4;
    case 'B': return out = DType::u8, itemsize == 1;
    case '?': return out = DType::b8, itemsize == 1;
    default: return false;
  }
}

// Lets go of a buffer on whatever thread drops the last tensor.
void release(Py_buffer* buffer) {
  if (!Py_IsInitialized()) return;
  py::gil_scoped_acquire gil;
  PyBuffer_Release(buffer);
  delete buffer;
}

std::shared_ptr<Py_buffer> acquire(PyObject* o) {
  auto buffer = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(o, buffer.get(), PyBUF_RECORDS) != 0) {
    PyErr_Clear();  // read-only memory is welcome too
    if (PyObject_GetBuffer(o, buffer.get(), PyBUF_RECORDS_RO) != 0) throw py::error_already_set();
  }
  return {buffer.release(), release};
}

// What an exported buffer holds on to: the memory, whatever becomes of the tensor.
struct Export {
  Ref<Storage> storage;
  Py_ssize_t shape[kMaxDims], strides[kMaxDims];
};

}  // namespace

bool looks_like_array(PyObject* o) { return PyObject_CheckBuffer(o) && !PyBytes_Check(o); }

Tensor tensor_from_buffer(PyObject* o) {
  const std::shared_ptr<Py_buffer> buffer = acquire(o);
  const char* format = buffer->format ? buffer->format : "B";
  const std::int64_t item = buffer->itemsize;
  DType dtype;
  check_as(ErrorKind::type, dtype_from_format(format, item, dtype), "an array with elements of format '", format, "' (",
           item, " bytes) has no lamina dtype; convert it first, for example with .astype('float32')");
  Dims shape, strides;
  for (int i = 0; i < buffer->ndim; ++i) shape.push_back(buffer->shape[i]);
  strides = contiguous_strides(shape);
  for (int i = 0; i < buffer->ndim; ++i) {
    if (!buffer->strides) break;                       // as ctypes leaves it: contiguous
    if (count(shape) == 0 || shape[i] == 1) continue;  // such strides are never used and may be anything
    check(buffer->strides[i] % item == 0,
          "an array with strides that are not multiples of its element size cannot be shared; copy it first");
    strides[i] = buffer->strides[i] / item;
  }
  const Extent e = extent(shape, strides);
  char* first = static_cast<char*>(buffer->buf) + e.first * item;
  check(reinterpret_cast<std::uintptr_t>(first) % static_cast<std::uintptr_t>(item) == 0,
        "an array that is not aligned to its elements cannot be shared; copy it first");
  Ref<Storage> storage(
      new Storage(first, static_cast<std::size_t>((e.last - e.first) * item), {}, !buffer->readonly, [buffer] {}));
  return Tensor(new TensorImpl(std::move(storage), -e.first * item, shape, strides, dtype));
}

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  const auto refuse = [](PyObject* kind, const char* why) { return PyErr_SetString(kind, why), -1; };
  const auto asks_for = [flags](int what) { return (flags & what) == what; };
  if (guarded_int([] { check_host_read("numpy() (or sharing memory otherwise)"); }) != 0) return -1;
  const Tensor& t = tensor_of(self);
  const char* format = kFormats[static_cast<int>(t.dtype())];
  if (t.requires_grad())
    return refuse(PyExc_RuntimeError, "a tensor that requires grad cannot be shared with NumPy; use detach().numpy()");
  if (!format) return refuse(PyExc_TypeError, "NumPy has no bfloat16; use float().numpy()");
  if (t.device().type != DeviceType::cpu)
    return refuse(PyExc_TypeError, "a tensor on the GPU cannot be shared with NumPy; use cpu().numpy()");
  if (asks_for(PyBUF_WRITABLE) && !t.storage().writable)
    return refuse(PyExc_BufferError, "the memory of this tensor is read-only");
  if (!asks_for(PyBUF_STRIDES) && !t.contiguous()) return refuse(PyExc_BufferError, "the tensor is not contiguous");
  if (asks_for(PyBUF_F_CONTIGUOUS) && t.ndim() > 1)
    return refuse(PyExc_BufferError, "the tensor is not contiguous in Fortran's order");

  t.storage().exposed = true;
  auto* keep = new Export{t.impl()->storage, {}, {}};
  const auto item = static_cast<Py_ssize_t>(t.item_size());
  for (int i = 0; i < t.ndim(); ++i) {
    keep->shape[i] = t.shape()[i];
    keep->strides[i] = t.strides()[i] * item;
  }
  view->obj = Py_NewRef(self);
  view->buf = t.data();
  view->len = t.numel() * item;
  view->itemsize = item;
  view->readonly = !t.storage().writable;
  view->ndim = t.ndim();
  view->format = asks_for(PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = asks_for(PyBUF_ND) ? keep->shape : nullptr;
  view->strides = asks_for(PyBUF_STRIDES) ? keep->strides : nullptr;
  view->suboffsets = nullptr;
  view->internal = keep;
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Export*>(view->internal); }

void bind_interop(py::module_& m) {
  m.def(
      "from_numpy",
      [](py::handle array) {
        check_as(ErrorKind::type, looks_like_array(array.ptr()) && !is_tensor(array.ptr()),
                 "from_numpy: expected a NumPy array, got ", Py_TYPE(array.ptr())->tp_name);
        return tensor_from_buffer(array.ptr());
      },
      py::arg("ndarray"), "A tensor that shares the memory of a NumPy array or any other buffer.");
}

}  // namespace lamina::bind
