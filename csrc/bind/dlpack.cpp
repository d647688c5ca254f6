// DLPack for Python: capsules, the protocol's methods, and the table for C. And the older CUDA array interface.
#include "core/dlpack.h"

#include "bind/common.h"
#include "ops/cuda_copies.h"
#include "ops/elementwise.h"

namespace lamina::bind {
namespace {

using dlpack::Unversioned;
using dlpack::Versioned;

template <class Managed>
constexpr bool kIsVersioned = std::is_same_v<Managed, Versioned>;
// A consumer renames a capsule to say that the tensor is now its own.
template <class Managed>
constexpr const char* kFresh = kIsVersioned<Managed> ? "dltensor_versioned" : "dltensor";
template <class Managed>
constexpr const char* kUsed = kIsVersioned<Managed> ? "used_dltensor_versioned" : "used_dltensor";

// Keeps an exception that is on its way apart from the Python code that a deleter may be.
class ErrorAside {
 public:
  ErrorAside() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ~ErrorAside() { PyErr_Restore(type_, value_, traceback_); }
  ErrorAside(const ErrorAside&) = delete;
  ErrorAside& operator=(const ErrorAside&) = delete;

 private:
  PyObject *type_, *value_, *traceback_;
};

template <class Managed>
void drop(Managed* managed) {
  if (!managed || !managed->deleter) return;
  const ErrorAside aside;
  managed->deleter(managed);
}

void wait_for(Device device) noexcept {
  try {
    synchronize(device);
  } catch (const Error&) {  // told to whoever synchronises next, if the device can still tell anything
  }
}

template <class Managed>
using Owner = std::unique_ptr<Managed, decltype(&drop<Managed>)>;

template <class Managed>
PyObject* capsule_of(Managed* managed) {
  Owner<Managed> owner(managed, drop<Managed>);
  PyObject* capsule = PyCapsule_New(managed, kFresh<Managed>, [](PyObject* c) {
    if (PyCapsule_IsValid(c, kFresh<Managed>)) drop(static_cast<Managed*>(PyCapsule_GetPointer(c, kFresh<Managed>)));
  });
  if (!capsule) throw py::error_already_set();
  owner.release();
  return capsule;
}

// The tensor that dies last may do so on any thread, and a producer may expect to be called with the GIL. What a GPU
// may still read is not given back before it has.
template <class Managed>
Tensor adopt(const dlpack::Geometry& geometry, bool writable, Owner<Managed> owner) {
  std::shared_ptr<Managed> shared(owner.release(), [device = geometry.device](Managed* managed) {
    if (!Py_IsInitialized()) return;
    wait_for(device);
    py::gil_scoped_acquire gil;
    drop(managed);
  });
  return geometry.tensor(writable, [shared = std::move(shared)] {});
}

bool is_writable(const Unversioned&) { return true; }
bool is_writable(const Versioned& m) { return !(m.flags & dlpack::kReadOnly); }
void check_understood(const Unversioned&) {}
void check_understood(const Versioned& m) { dlpack::check_version(m); }

// As long as the tensor is not found sound the capsule keeps it, and lets go of it when it dies.
template <class Managed>
Tensor consume(PyObject* capsule) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kFresh<Managed>));
  if (!managed) throw py::error_already_set();
  check_understood(*managed);
  const dlpack::Geometry geometry(managed->view);
  if (PyCapsule_SetName(capsule, kUsed<Managed>) != 0) throw py::error_already_set();
  return adopt(geometry, is_writable(*managed), Owner<Managed>(managed, drop<Managed>));
}

Tensor from_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, kFresh<Versioned>)) return consume<Versioned>(capsule);
  if (PyCapsule_IsValid(capsule, kFresh<Unversioned>)) return consume<Unversioned>(capsule);
  const char* name = PyCapsule_GetName(capsule);
  if (PyErr_Occurred()) throw py::error_already_set();
  fail(ErrorKind::buffer, "from_dlpack: expected a capsule named 'dltensor_versioned' or 'dltensor', got '",
       name ? name : "", "'; a capsule can be consumed only once");
}

Tensor take_over(Versioned* managed) {
  Owner<Versioned> owner(managed, drop<Versioned>);
  dlpack::check_version(*managed);
  const dlpack::Geometry geometry(managed->view);
  return adopt(geometry, is_writable(*managed), std::move(owner));
}

// The producer's table for C, if its type has one that we understand.
const dlpack::ExchangeTable* table_of(PyTypeObject* type) {
  static PyObject* const name = PyUnicode_InternFromString("__dlpack_c_exchange_api__");
  const py::object capsule =
      py::reinterpret_steal<py::object>(PyObject_GetAttr(reinterpret_cast<PyObject*>(type), name));
  if (!capsule) {
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
    PyErr_Clear();
    return nullptr;
  }
  constexpr const char* kName = "dlpack_exchange_api";
  if (!PyCapsule_IsValid(capsule.ptr(), kName)) return nullptr;
  const auto* header = static_cast<const dlpack::ExchangeHeader*>(PyCapsule_GetPointer(capsule.ptr(), kName));
  while (header && header->version.major != dlpack::kVersion.major) header = header->older;
  const auto* table = reinterpret_cast<const dlpack::ExchangeTable*>(header);
  return table && table->from_object ? table : nullptr;
}

py::tuple device_pair(std::int32_t type, std::int32_t index) { return py::make_tuple(type, index); }

// What PyTorch's table hands over although it is more than memory: a gradient would silently end here, and a lazy minus
// sign be lost.
void refuse_more_than_memory(PyObject* o) {
  const py::object recorded = py::getattr(o, "requires_grad", py::none()),
                   negated = py::getattr(o, "is_neg", py::none());
  check_as(ErrorKind::buffer, recorded.ptr() != Py_True,
           "from_dlpack: a tensor that requires grad cannot be shared; use detach()");
  check_as(ErrorKind::buffer, negated.is_none() || negated().ptr() != Py_True,
           "from_dlpack: a tensor with a lazy minus sign cannot be shared; use resolve_neg()");
}

// A producer on a GPU lets the stream that it is told wait for what it has begun. Producers from before version 1.0
// take no arguments.
py::object ask_for_capsule(const py::handle& producer, const std::optional<Device>& gpu) {
  py::dict wishes;
  if (gpu) wishes["stream"] = reinterpret_cast<std::uintptr_t>(cuda_stream(*gpu));
  wishes["max_version"] = py::make_tuple(dlpack::kVersion.major, dlpack::kVersion.minor);
  try {
    return producer.attr("__dlpack__")(**wishes);
  } catch (const py::error_already_set& e) {
    if (!e.matches(PyExc_TypeError)) throw;
  }
  check_as(ErrorKind::buffer, !gpu, "from_dlpack: ", Py_TYPE(producer.ptr())->tp_name,
           ".__dlpack__ takes no stream; memory of a GPU cannot be shared without one");
  return producer.attr("__dlpack__")();
}

}  // namespace

Tensor tensor_from_dlpack(PyObject* o) {
  if (PyCapsule_CheckExact(o)) return from_capsule(o);
  if (const auto* table = table_of(Py_TYPE(o))) {
    refuse_more_than_memory(o);
    Versioned* managed = nullptr;
    if (table->from_object(o, &managed) != 0) throw py::error_already_set();
    check_as(ErrorKind::buffer, managed != nullptr, "from_dlpack: ", Py_TYPE(o)->tp_name, " exported nothing");
    const dlpack::DeviceId id = managed->view.device;
    const Tensor shared = take_over(managed);
    void* theirs = nullptr;
    if (id.type != dlpack::kCpu && table->current_stream) {
      if (table->current_stream(id.type, id.index, &theirs) != 0) throw py::error_already_set();
      order_streams(shared.device(), theirs, cuda_stream(shared.device()));
    }
    return shared;
  }
  const py::handle producer(o);
  check_as(ErrorKind::type, py::hasattr(producer, "__dlpack__") && py::hasattr(producer, "__dlpack_device__"),
           "from_dlpack: expected an object with __dlpack__ and __dlpack_device__ or a DLPack capsule, got ",
           Py_TYPE(o)->tp_name);
  const py::object device = producer.attr("__dlpack_device__")();
  const int type = device.attr("__getitem__")(0).cast<int>();
  check_as(ErrorKind::buffer, type == dlpack::kCpu || type == dlpack::kCuda,
           "from_dlpack: expected memory of the CPU or of a CUDA device (device type 1 or 2), got ",
           py::str(device).cast<std::string>());
  std::optional<Device> gpu;
  if (type == dlpack::kCuda) gpu = Device{DeviceType::cuda, device.attr("__getitem__")(1).cast<std::int8_t>()};
  const py::object capsule = ask_for_capsule(producer, gpu);
  check_as(ErrorKind::type, PyCapsule_CheckExact(capsule.ptr()), "from_dlpack: __dlpack__ returned ",
           Py_TYPE(capsule.ptr())->tp_name, " instead of a capsule");
  return from_capsule(capsule.ptr());
}

// Memory of a GPU as the CUDA array interface describes it (python/lamina/cuda.py reads that); which GPU, the address
// itself says.
Tensor tensor_from_cuda_memory(std::uintptr_t address, Dims shape, Dims strides, DType dtype, bool writable,
                               const py::object& owner) {
  const CudaAbi& cuda = use_cuda({DeviceType::cuda, 0});
  void* const data = reinterpret_cast<void*>(address);
  CudaMemory kind = CudaMemory::host;
  int index = 0;
  if (data) check_cuda(cuda.kind_of(data, &kind, &index), "as_tensor");
  const dlpack::Geometry geometry({data,
                                   {dlpack::kCuda, kind == CudaMemory::device ? index : 0},
                                   shape.size(),
                                   dlpack::element_type(dtype),
                                   shape.begin(),
                                   strides.begin(),
                                   0});
  std::shared_ptr<PyObject> shared(Py_NewRef(owner.ptr()), [device = geometry.device](PyObject* object) {
    if (!Py_IsInitialized()) return;
    wait_for(device);
    py::gil_scoped_acquire gil;
    Py_DECREF(object);
  });
  return geometry.tensor(writable, [shared = std::move(shared)] {});
}

namespace {

// ---- the table for C ----

template <class F>
int guarded(F f) noexcept {
  try {
    f();
    return 0;
  } catch (...) {
    set_python_error();
    return -1;
  }
}

int table_allocate(dlpack::View* prototype, Versioned** out, void* error_context,
                   void (*set_error)(void*, const char*, const char*)) noexcept {
  try {
    check(prototype->device.type == dlpack::kCpu, "expected the CPU (device type 1), got device type ",
          prototype->device.type);
    check(prototype->ndim >= 0 && prototype->ndim <= kMaxDims, "expected 0 to ", kMaxDims, " dimensions, got ",
          prototype->ndim);
    check(prototype->ndim == 0 || prototype->shape, "the shape is null");
    Dims shape;
    for (int i = 0; i < prototype->ndim; ++i) shape.push_back(prototype->shape[i]);
    *out = dlpack::export_versioned(empty(shape, dlpack::dtype_of(prototype->type)), 0);
    return 0;
  } catch (const Error& e) {
    set_error(error_context, e.kind == ErrorKind::memory ? "MemoryError" : "BufferError", e.what());
  } catch (const std::exception& e) {
    set_error(error_context, "RuntimeError", e.what());
  }
  return -1;
}

const Tensor& checked_tensor(void* object) {
  auto* o = static_cast<PyObject*>(object);
  check_as(ErrorKind::type, is_tensor(o), "__dlpack_c_exchange_api__: expected a lamina.Tensor, got ",
           Py_TYPE(o)->tp_name);
  return tensor_of(o);
}

int table_from_object(void* object, Versioned** out) noexcept {
  return guarded([&] { *out = dlpack::export_versioned(checked_tensor(object), 0); });
}
int table_to_object(Versioned* managed, void** out_object) noexcept {
  return guarded([&] { *out_object = wrap(take_over(managed)); });
}
int table_borrow(void* object, dlpack::View* out) noexcept {
  return guarded([&] {
    const Tensor& t = checked_tensor(object);
    check_as(ErrorKind::buffer, t.storage().writable,
             "a read-only tensor cannot be borrowed, for a borrower could not tell");
    check_as(ErrorKind::buffer, !t.requires_grad(), "a tensor that requires grad cannot be borrowed; use detach()");
    t.storage().exposed = true;
    *out = dlpack::borrow(t);
  });
}
int table_current_stream(std::int32_t type, std::int32_t index, void** out) noexcept {
  return guarded([&] {
    *out = type == dlpack::kCuda ? cuda_stream({DeviceType::cuda, static_cast<std::int8_t>(index)}) : nullptr;
  });
}

// Lets the stream that a consumer names wait for ours. None stands for CUDA's default stream.
void let_wait(const py::object& stream, Device device) {
  if (device.type == DeviceType::cpu) {
    check(stream.is_none() || stream.equal(py::int_(-1)), "__dlpack__: stream must be None for CPU tensors, got ",
          py::repr(stream).cast<std::string>());
    return;
  }
  const auto number = stream.is_none() ? 1 : stream.cast<std::intptr_t>();
  check(number == -1 || number > 0, "__dlpack__: stream must be None, -1, 1, 2 or a stream's address, got ", number);
  if (number != -1) order_streams(device, cuda_stream(device), reinterpret_cast<void*>(number));
}

const dlpack::ExchangeTable exchange_table{
    {dlpack::kVersion, nullptr}, table_allocate, table_from_object, table_to_object, table_borrow,
    table_current_stream};

}  // namespace

void bind_dlpack(py::module_& m) {
  def_method(
      "__dlpack__",
      [](const Tensor& t, const py::object& stream,
         const std::optional<std::pair<std::int64_t, std::int64_t>>& max_version,
         const std::optional<std::pair<std::int64_t, std::int64_t>>& dl_device, const std::optional<bool>& copy) {
        const dlpack::DeviceId here = dlpack::device_id(t.device());
        check_as(ErrorKind::buffer,
                 !dl_device || *dl_device == std::pair<std::int64_t, std::int64_t>(here.type, here.index),
                 "__dlpack__: expected dl_device (", here.type, ", ", here.index, "), where the tensor is, got (",
                 dl_device ? dl_device->first : 0, ", ", dl_device ? dl_device->second : 0, ")");
        check_as(ErrorKind::buffer, !t.requires_grad(),
                 "__dlpack__: a tensor that requires grad cannot be exported; use detach()");
        const bool copied = copy.value_or(false);
        const Tensor shared = copied ? clone(t) : t;
        let_wait(stream, t.device());
        const bool versioned = max_version && max_version->first >= 1;
        return py::reinterpret_steal<py::object>(
            versioned ? capsule_of(dlpack::export_versioned(shared, copied ? dlpack::kCopied : 0))
                      : capsule_of(dlpack::export_unversioned(shared)));
      },
      py::arg("stream") = py::none(), py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
      py::arg("copy") = py::none());
  def_method("__dlpack_device__", [](const Tensor& t) {
    const dlpack::DeviceId id = dlpack::device_id(t.device());
    return device_pair(id.type, id.index);
  });
  m.def(
      "from_dlpack",
      [](const py::object& producer, const std::optional<Device>& device, const std::optional<bool>& copy) {
        const Tensor shared = tensor_from_dlpack(producer.ptr());
        check_as(ErrorKind::buffer, !device || *device == shared.device(), "from_dlpack: the memory is on ",
                 shared.device(), ", not on ", device ? concat(*device) : "", "; use to()");
        return copy.value_or(false) ? clone(shared) : shared;
      },
      py::arg("ext_tensor"), py::kw_only(), py::arg("device") = py::none(), py::arg("copy") = py::none(),
      "A tensor that shares the memory of any object with __dlpack__.");
  m.def("_from_cuda_memory", &tensor_from_cuda_memory, py::arg("address"), py::arg("shape"), py::arg("strides"),
        py::arg("dtype"), py::arg("writable"), py::arg("owner"));
  const py::object type = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(tensor_type()));
  type.attr("__dlpack_c_exchange_api__") = py::capsule(&exchange_table, "dlpack_exchange_api");
}

}  // namespace lamina::bind
