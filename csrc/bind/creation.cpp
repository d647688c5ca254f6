// Functions that make tensors. Vectorcall, for lamina.zeros(4, 4) is hot.
#include "autograd/node.h"
#include "bind/arguments.h"
#include "bind/nested.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

PyObject* finish(const Tensor& made, const Factory& factory) {
  const Tensor t = factory.device ? to_device(made, *factory.device) : made;
  if (factory.requires_grad) set_requires_grad(t, true);
  return wrap(t);
}

enum class Content { undefined, zeros, ones };

Tensor filled(Content content, const Dims& shape, DType dtype, Device device) {
  if (content == Content::undefined) return empty(shape, dtype, device);
  return full(shape, Scalar(content == Content::ones), dtype, device);
}

constexpr const char* kPlainNames[] = {"empty", "zeros", "ones"};
constexpr const char* kLikeNames[] = {"empty_like", "zeros_like", "ones_like"};
constexpr const char* kNewNames[] = {"new_empty", "new_zeros", "new_ones"};

template <Content content>
PyObject* plain(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  const char* name = kPlainNames[static_cast<int>(content)];
  return guarded(name, [&] {
    const Arguments a(name, {"size", "dtype", "device", "requires_grad"}, 0, args + nargs, 0, keywords);
    PyObject* const size = a.get(0);
    const Dims shape = size ? sizes_from(name, &size, 1) : sizes_from(name, args, nargs);
    const Factory factory(a, 1);
    return finish(filled(content, shape, factory.dtype.value_or(DType::f32), factory.device.value_or(Device{})),
                  factory);
  });
}

template <Content content>
PyObject* like(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded(kLikeNames[static_cast<int>(content)], [&] {
    const Arguments a(kLikeNames[static_cast<int>(content)], {"input", "dtype", "device", "requires_grad"}, 1, args,
                      nargs, keywords);
    const Tensor x = a.tensor(0);
    const Factory factory(a, 1);
    return finish(filled(content, x.shape(), factory.dtype.value_or(x.dtype()), factory.device.value_or(x.device())),
                  factory);
  });
}

template <Content content>
PyObject* new_from(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  const char* name = kNewNames[static_cast<int>(content)];
  return guarded(name, [&] {
    const Arguments a(name, {"size", "dtype", "device", "requires_grad"}, 0, args + nargs, 0, keywords);
    PyObject* const size = a.get(0);
    const Dims shape = size ? sizes_from(name, &size, 1) : sizes_from(name, args, nargs);
    const Factory factory(a, 1);
    const Tensor& t = tensor_of(self);
    return finish(filled(content, shape, factory.dtype.value_or(t.dtype()), factory.device.value_or(t.device())),
                  factory);
  });
}

PyObject* full_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("full", [&] {
    const Arguments a("full", {"size", "fill_value", "dtype", "device", "requires_grad"}, 2, args, nargs, keywords);
    PyObject* const size = a.require(0);
    const Scalar value = a.number(1);
    const Factory factory(a, 2);
    return finish(full(sizes_from("full", &size, 1), value, factory.dtype.value_or(value.dtype()),
                       factory.device.value_or(Device{})),
                  factory);
  });
}

PyObject* full_like(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("full_like", [&] {
    const Arguments a("full_like", {"input", "fill_value", "dtype", "device", "requires_grad"}, 2, args, nargs,
                      keywords);
    const Tensor x = a.tensor(0);
    const Factory factory(a, 2);
    return finish(full(x.shape(), a.number(1), factory.dtype.value_or(x.dtype()), factory.device.value_or(x.device())),
                  factory);
  });
}

PyObject* new_full(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("new_full", [&] {
    const Arguments a("new_full", {"size", "fill_value", "dtype", "device", "requires_grad"}, 2, args, nargs, keywords);
    PyObject* const size = a.require(0);
    const Factory factory(a, 2);
    const Tensor& t = tensor_of(self);
    return finish(full(sizes_from("new_full", &size, 1), a.number(1), factory.dtype.value_or(t.dtype()),
                       factory.device.value_or(t.device())),
                  factory);
  });
}

PyObject* arange_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("arange", [&] {
    const Arguments a("arange", {"start", "end", "step", "dtype", "device", "requires_grad"}, 3, args, nargs, keywords);
    const bool only_end = !a.get(1);
    const Scalar start = only_end ? Scalar(0) : a.number(0, 0), end = a.number(only_end ? 0 : 1), step = a.number(2, 1);
    const Factory factory(a, 3);
    const bool real = start.is_real() || end.is_real() || step.is_real();
    return finish(arange(start, end, step, factory.dtype.value_or(real ? DType::f32 : DType::i64)), factory);
  });
}

PyObject* tensor_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("tensor", [&] {
    const Arguments a("tensor", {"data", "dtype", "device", "requires_grad"}, 1, args, nargs, keywords);
    const Factory factory(a, 1);
    return finish(tensor_from_data(a.require(0), factory.dtype, "tensor"), factory);
  });
}

PyObject* as_tensor(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("as_tensor", [&] {
    const Arguments a("as_tensor", {"data", "dtype", "device"}, 1, args, nargs, keywords);
    const Tensor t = tensor_sharing_data(a.require(0), a.dtype(1), "as_tensor");
    const std::optional<Device> device = a.device(2);
    return wrap(device ? to_device(t, *device) : t);
  });
}

PyObject* new_tensor(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return guarded("new_tensor", [&] {
    const Arguments a("new_tensor", {"data", "dtype", "device", "requires_grad"}, 1, args, nargs, keywords);
    const Factory factory(a, 1);
    const Tensor& like = tensor_of(self);
    const Tensor made = tensor_from_data(a.require(0), factory.dtype.value_or(like.dtype()), "new_tensor");
    return finish(to_device(made, factory.device.value_or(like.device())), factory);
  });
}

PyObject* to_list_method(PyObject* self, PyObject*) {
  return guarded([&] { return to_list(tensor_of(self)); });
}

PyCFunction plain_function(_PyCFunctionFastWithKeywords f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(f));
}
constexpr int kFlags = METH_FASTCALL | METH_KEYWORDS;

PyMethodDef functions[] = {
    {"empty", plain_function(plain<Content::undefined>), kFlags,
     "empty(*size, dtype=float32, device='cpu', requires_grad=False)\n\nA tensor of undefined contents."},
    {"zeros", plain_function(plain<Content::zeros>), kFlags,
     "zeros(*size, dtype=float32, device='cpu', requires_grad=False)"},
    {"ones", plain_function(plain<Content::ones>), kFlags,
     "ones(*size, dtype=float32, device='cpu', requires_grad=False)"},
    {"empty_like", plain_function(like<Content::undefined>), kFlags,
     "empty_like(input, *, dtype=None, device=None, requires_grad=False)"},
    {"zeros_like", plain_function(like<Content::zeros>), kFlags,
     "zeros_like(input, *, dtype=None, device=None, requires_grad=False)"},
    {"ones_like", plain_function(like<Content::ones>), kFlags,
     "ones_like(input, *, dtype=None, device=None, requires_grad=False)"},
    {"full", plain_function(full_function), kFlags,
     "full(size, fill_value, *, dtype=None, device='cpu', requires_grad=False)\n\nThe type is that of fill_value "
     "unless given."},
    {"full_like", plain_function(full_like), kFlags,
     "full_like(input, fill_value, *, dtype=None, device=None, requires_grad=False)"},
    {"arange", plain_function(arange_function), kFlags,
     "arange(start, end=None, step=1, *, dtype=None, device='cpu', requires_grad=False)\n\nstart, start + step, … up "
     "to but without end; arange(end) starts at 0."},
    {"tensor", plain_function(tensor_function), kFlags,
     "tensor(data, *, dtype=None, device='cpu', requires_grad=False)\n\nA copy of numbers, nested sequences, arrays or "
     "tensors."},
    {"as_tensor", plain_function(as_tensor), kFlags,
     "as_tensor(data, *, dtype=None, device=None)\n\nLike tensor, but shares the memory of arrays and tensors where it "
     "can."},
    {nullptr, nullptr, 0, nullptr},
};
PyMethodDef methods[] = {
    {"new_empty", plain_function(new_from<Content::undefined>), kFlags,
     "new_empty(*size, dtype=None, device=None, requires_grad=False)"},
    {"new_zeros", plain_function(new_from<Content::zeros>), kFlags,
     "new_zeros(*size, dtype=None, device=None, requires_grad=False)"},
    {"new_ones", plain_function(new_from<Content::ones>), kFlags,
     "new_ones(*size, dtype=None, device=None, requires_grad=False)"},
    {"new_full", plain_function(new_full), kFlags,
     "new_full(size, fill_value, *, dtype=None, device=None, requires_grad=False)"},
    {"new_tensor", plain_function(new_tensor), kFlags,
     "new_tensor(data, *, dtype=None, device=None, requires_grad=False)"},
    {"tolist", to_list_method, METH_NOARGS, "tolist()\n\nNested lists of Python numbers."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void bind_creation(py::module_& m) {
  if (PyModule_AddFunctions(m.ptr(), functions) != 0) throw py::error_already_set();
  py::object type = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(tensor_type()));
  for (PyMethodDef* d = methods; d->ml_name; ++d) {
    PyObject* method = PyDescr_NewMethod(tensor_type(), d);
    if (!method) throw py::error_already_set();
    py::setattr(type, d->ml_name, py::reinterpret_steal<py::object>(method));
  }
}

}  // namespace lamina::bind
