#include "core/dlpack.h"

#include <cstddef>
#include <memory>

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
  check_as(ErrorKind::buffer, t.device().type == DeviceType::cpu,
           "__dlpack__: memory of a GPU is not shared yet; use cpu()");
  View v{};
  v.data = t.numel() == 0 ? nullptr : t.data();
  v.device = {kCpu, 0};
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

Geometry::Geometry(const View& view) {
  check_as(ErrorKind::buffer, view.device.type == kCpu,
           "from_dlpack: expected CPU memory (device type 1), got device type ", view.device.type);
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
}

Tensor Geometry::tensor(bool writable, std::function<void()> free) const {
  Ref<Storage> storage(new Storage(first_byte, bytes, {}, writable, std::move(free)));
  return Tensor(new TensorImpl(std::move(storage), offset_bytes, shape, strides, dtype));
}

}  // namespace lamina::dlpack
