#include "core/dlpack.h"

#include <cstddef>
#include <memory>
#include <string>

#include "core/cuda_library.h"
#include "core/stream.h"

namespace lamina::dlpack {
namespace {

static_assert(sizeof(View) == 48 && offsetof(View, type) == 20 && offsetof(View, byte_offset) == 40);
static_assert(sizeof(Unversioned) == 64 && sizeof(Versioned) == 80 && offsetof(Versioned, view) == 32);

enum Code : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };
constexpr ElementType kTypes[kDTypeCount] = {{kFloat, 32, 1}, {kFloat, 64, 1}, {kFloat, 16, 1}, {kBfloat, 16, 1},
                                             {kInt, 64, 1},   {kInt, 32, 1},   {kUInt, 8, 1},   {kBool, 8, 1}};

// Keeps the memory alive, and gives shape and strides a place of their own.
template <class Managed>
struct Exported {
  Managed managed;
  Ref<Storage> storage;
  Dims shape, strides;

  explicit Exported(const Tensor& t) : managed{}, storage(t.impl()->storage), shape(t.shape()), strides(t.strides()) {
    storage->exposed = true;
    managed.view = borrow(t);
    managed.view.shape = shape.begin();
    managed.view.strides = strides.begin();
    managed.context = this;
    managed.deleter = [](Managed* m) { delete static_cast<Exported*>(m->context); };
  }
};

void check_exportable(const Tensor& t) {
  check_as(ErrorKind::buffer, !t.requires_grad(),
           "__dlpack__: a tensor that requires grad cannot be exported; use detach()");
}

// No pointer of a process lies beyond this, whatever the paging mode.
constexpr std::int64_t kAddressSpace = std::int64_t{1} << 57;

}  // namespace

ElementType element_type(DType t) { return kTypes[static_cast<int>(t)]; }

DType dtype_of(ElementType t) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (kTypes[i].code == t.code && kTypes[i].bits == t.bits && t.lanes == 1) return static_cast<DType>(i);
  fail(ErrorKind::buffer, "from_dlpack: no lamina dtype has type code ", int{t.code}, ", ", int{t.bits}, " bits and ",
       t.lanes, t.lanes == 1 ? " lane" : " lanes");
}

View borrow(const Tensor& t) {
  check_host_read("sharing memory by DLPack");
  View v{};
  v.data = t.numel() == 0 ? nullptr : t.data();
  v.device = device_id(t.device());
  v.ndim = t.ndim();
  v.type = element_type(t.dtype());
  v.shape = t.impl()->shape.begin();
  v.strides = t.impl()->strides.begin();
  return v;
}

Versioned* export_versioned(const Tensor& t, std::uint64_t flags) {
  check_exportable(t);
  auto* e = new Exported<Versioned>(t);
  e->managed.version = kVersion;
  e->managed.flags = flags | (t.storage().writable ? 0 : kReadOnly);
  return &e->managed;
}

Unversioned* export_unversioned(const Tensor& t) {
  check_exportable(t);
  check_as(ErrorKind::buffer, t.storage().writable,
           "__dlpack__: a read-only tensor can be exported only to max_version (1, 0) or later");
  return &(new Exported<Unversioned>(t))->managed;
}

void check_version(const Versioned& managed) {
  check_as(ErrorKind::buffer, managed.version.major == kVersion.major, "from_dlpack: expected DLPack version ",
           kVersion.major, ".x, got ", managed.version.major, ".", managed.version.minor);
}

DeviceId device_id(Device device) {
  return device.type == DeviceType::cpu ? DeviceId{kCpu, 0} : DeviceId{kCuda, device.index};
}

namespace {

Device device_of(DeviceId id) {
  if (id.type == kCpu) return {};
  check_as(ErrorKind::buffer, id.type == kCuda && id.index >= 0 && id.index < 64,
           "from_dlpack: expected memory of the CPU or of a CUDA device (device type 1 or 2), got device type ",
           id.type, ", number ", id.index);
  return {DeviceType::cuda, static_cast<std::int8_t>(id.index)};
}

// What is said to lie on a device and does not would kill whoever reads it there.
void check_on_device(const char* address, Device device) {
  CudaMemory kind = CudaMemory::host;
  int index = -1;
  check_cuda(use_cuda(device).kind_of(address, &kind, &index), "from_dlpack");
  check_as(ErrorKind::buffer, kind == CudaMemory::device, "from_dlpack: the memory is said to lie on ", device,
           ", but its address is one of the host");
  check_as(ErrorKind::buffer, index == device.index, "from_dlpack: the memory is said to lie on ", device,
           ", but it is on cuda:", index);
}

}  // namespace

Geometry::Geometry(const View& view) : device(device_of(view.device)) {
  dtype = dtype_of(view.type);
  const auto item = static_cast<std::int64_t>(item_size(dtype));
  check(view.ndim >= 0 && view.ndim <= kMaxDims, "from_dlpack: expected 0 to ", kMaxDims, " dimensions, got ",
        view.ndim);
  check(view.ndim == 0 || view.shape, "from_dlpack: the shape is null");
  for (int i = 0; i < view.ndim; ++i) shape.push_back(view.shape[i]);
  const std::int64_t n = count(shape);
  strides = contiguous_strides(shape);
  for (int i = 0; i < view.ndim && view.strides; ++i)
    if (n > 0 && shape[i] > 1) strides[i] = view.strides[i];  // others are never used and may be anything

  check(n == 0 || view.data, "from_dlpack: the data pointer is null, but shape ", shape, " has ", n, " elements");
  const auto start = reinterpret_cast<std::uintptr_t>(view.data);
  const Extent e = extent(shape, strides);
  const auto in_reach = [&](std::int64_t elements) {
    return elements > -kAddressSpace / item && elements < kAddressSpace / item;
  };
  check(in_reach(n) && in_reach(e.first) && in_reach(e.last), "from_dlpack: shape ", shape, " with strides ", strides,
        " reaches beyond memory");
  check(view.byte_offset < kAddressSpace && start < kAddressSpace, "from_dlpack: byte_offset ", view.byte_offset,
        " reaches beyond memory");
  const auto address = static_cast<std::int64_t>(start + view.byte_offset);
  check(n == 0 || (address + e.first * item > 0 && address + e.last * item < kAddressSpace), "from_dlpack: shape ",
        shape, " with strides ", strides, " reaches beyond memory");
  check(address % item == 0 || n == 0, "from_dlpack: the memory is not aligned to its elements of ", item,
        " bytes; copy it first");
  first_byte = n == 0 ? nullptr : reinterpret_cast<char*>(address + e.first * item);
  bytes = static_cast<std::size_t>((e.last - e.first) * item);
  offset_bytes = -e.first * item;
  if (device.type == DeviceType::cpu) return;
  std::string why;
  const int devices = cuda_device_count(&why);
  check_as(ErrorKind::buffer, device.index < devices, "from_dlpack: memory of device type ", kCuda, ", number ",
           int{device.index}, ", but there are ", devices, " CUDA devices here. ", why);
  if (n == 0) return;
  check_on_device(first_byte, device);
  check_on_device(first_byte + bytes - 1, device);
}

Tensor Geometry::tensor(bool writable, std::function<void()> free) const {
  Ref<Storage> storage(new Storage(first_byte, bytes, device, writable, std::move(free)));
  return Tensor(new TensorImpl(std::move(storage), offset_bytes, shape, strides, dtype));
}

}  // namespace lamina::dlpack
