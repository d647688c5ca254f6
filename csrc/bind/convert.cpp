// The same tensor in another type, on another device, as bytes.
#include "autograd/node.h"
#include "bind/arguments.h"
#include "ops/cuda_copies.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

// x.to(dtype), x.to(device), x.to(device, dtype), x.to(other), and the same by keyword.
PyObject* to(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  try {
    const Arguments a("to", {"dtype", "device", "non_blocking", "copy"}, 0, args + nargs, 0, keywords);
    std::optional<DType> dtype = a.dtype(0);
    std::optional<Device> device = a.device(1);
    const bool non_blocking = a.flag(2, false);
    for (Py_ssize_t i = 0; i < nargs; ++i) {
      DType type;
      Device place;
      if (is_tensor(args[i])) {
        dtype = tensor_of(args[i]).dtype();
        device = tensor_of(args[i]).device();
      } else if (to_dtype(args[i], type)) {
        dtype = type;
      } else {
        check_as(ErrorKind::type, to_device(args[i], place), "to: expected a dtype, a device or a Tensor, got ",
                 py::repr(args[i]).cast<std::string>());
        device = place;
      }
    }
    const Tensor& t = tensor_of(self);
    const Device there = device.value_or(t.device());
    Tensor out = non_blocking ? upload(t, there) : lamina::to_device(t, there);
    if (dtype) out = lamina::to_dtype(out, *dtype);
    return wrap(a.flag(3, false) && out == t ? clone(t) : out);
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

template <DType type>
PyObject* converted(PyObject* self, PyObject*) {
  try {
    return wrap(lamina::to_dtype(tensor_of(self), type));
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

PyMethodDef methods[] = {
    {"to", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(to)), METH_FASTCALL | METH_KEYWORDS,
     "to(*args, dtype=None, device=None, non_blocking=False, copy=False)\n\n"
     "to(dtype), to(device), to(device, dtype) or to(other): this tensor, converted if it is not like that already."},
    {"float", converted<DType::f32>, METH_NOARGS, "float($self, /)\n--\n\nThis tensor as float32."},
    {"double", converted<DType::f64>, METH_NOARGS, "double($self, /)\n--\n\nThis tensor as float64."},
    {"half", converted<DType::f16>, METH_NOARGS, "half($self, /)\n--\n\nThis tensor as float16."},
    {"bfloat16", converted<DType::bf16>, METH_NOARGS, "bfloat16($self, /)\n--\n\nThis tensor as bfloat16."},
    {"long", converted<DType::i64>, METH_NOARGS, "long($self, /)\n--\n\nThis tensor as int64."},
    {"int", converted<DType::i32>, METH_NOARGS, "int($self, /)\n--\n\nThis tensor as int32."},
    {"byte", converted<DType::u8>, METH_NOARGS, "byte($self, /)\n--\n\nThis tensor as uint8."},
    {"bool", converted<DType::b8>, METH_NOARGS, "bool($self, /)\n--\n\nThis tensor as bool: what is not zero is True."},
    {nullptr, nullptr, 0, nullptr},
};

// A contiguous tensor's memory as uint8; what pickling writes, for every type has it.
Tensor as_bytes(const Tensor& t) {
  const Tensor dense = contiguous(to_device(detach(t), {}));
  const Dims shape{dense.numel() * static_cast<std::int64_t>(dense.item_size())};
  return Tensor(new TensorImpl(dense.impl()->storage, dense.offset_bytes(), shape, {1}, DType::u8));
}

// Bytes seen as elements of another type, sharing the memory.
Tensor view_bytes(const py::object& buffer, DType dtype) {
  const Tensor bytes = tensor_from_buffer(buffer.ptr());
  const auto item = static_cast<std::int64_t>(item_size(dtype));
  check(bytes.dtype() == DType::u8 && bytes.ndim() == 1 && bytes.contiguous() && bytes.numel() % item == 0,
        "frombuffer: expected a multiple of ", item, " contiguous bytes");
  check(reinterpret_cast<std::uintptr_t>(bytes.data()) % static_cast<std::uintptr_t>(item) == 0,
        "frombuffer: the memory is not aligned to elements of ", item, " bytes; copy it first");
  return Tensor(new TensorImpl(bytes.impl()->storage, bytes.offset_bytes(), {bytes.numel() / item}, {1}, dtype));
}

// The reverse. Shares the memory if that is as good as our own: writable and aligned to cache lines.
Tensor from_bytes(const py::object& buffer, const Dims& shape, DType dtype) {
  const Tensor bytes = tensor_from_buffer(buffer.ptr());
  std::int64_t size;
  check(!__builtin_mul_overflow(count(shape), static_cast<std::int64_t>(item_size(dtype)), &size),
        "unpickling a tensor: shape ", shape, " has too many elements");
  check(bytes.dtype() == DType::u8 && bytes.ndim() == 1 && bytes.contiguous() && bytes.numel() == size,
        "unpickling a tensor: expected ", size, " bytes for ", shape, " of ", name_of(dtype), ", got ", bytes.numel());
  const bool shared = bytes.storage().writable && reinterpret_cast<std::uintptr_t>(bytes.data()) % 64 == 0;
  const Tensor own = shared ? bytes : clone(bytes);
  return Tensor(new TensorImpl(own.impl()->storage, 0, shape, contiguous_strides(shape), dtype));
}

}  // namespace

void bind_convert(py::module_& m) {
  const py::object type = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(tensor_type()));
  for (PyMethodDef* d = methods; d->ml_name; ++d) {
    PyObject* method = PyDescr_NewMethod(tensor_type(), d);
    if (!method) throw py::error_already_set();
    py::setattr(type, d->ml_name, py::reinterpret_steal<py::object>(method));
  }
  def_method(
      "type_as",
      [](const Tensor& t, const Tensor& other) {
        return lamina::to_dtype(lamina::to_device(t, other.device()), other.dtype());
      },
      py::arg("other"));
  def_method("cpu", [](const Tensor& t) { return lamina::to_device(t, {}); });
  def_method(
      "cuda",
      [](const Tensor& t, std::int8_t index, bool non_blocking) {
        const Device there{DeviceType::cuda, index};
        return non_blocking ? upload(t, there) : lamina::to_device(t, there);
      },
      py::arg("device") = 0, py::arg("non_blocking") = false);
  def_method("_as_bytes", &as_bytes);
  m.def("_view_bytes", &view_bytes, py::arg("buffer"), py::arg("dtype"));
  m.def("_from_bytes", &from_bytes, py::arg("buffer"), py::arg("shape"), py::arg("dtype"));
}

}  // namespace lamina::bind
