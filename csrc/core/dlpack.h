// DLPack 1.3: the memory layout by which array libraries hand tensors to each other, and our side of it. The layout is
// a binary interface: order and width of the fields are fixed by its specification (github.com/dmlc/dlpack).
#pragma once
#include <cstdint>

#include "core/tensor.h"

namespace lamina::dlpack {

struct Version {
  std::uint32_t major, minor;
};
constexpr Version kVersion{1, 3};

constexpr std::int32_t kCpu = 1, kCuda = 2;
struct DeviceId {
  std::int32_t type, index;
};

struct ElementType {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};

struct View {
  void* data;
  DeviceId device;
  std::int32_t ndim;
  ElementType type;
  std::int64_t* shape;
  std::int64_t* strides;  // in elements; null means contiguous (before 1.2)
  std::uint64_t byte_offset;
};

// Before 1.0.
struct Unversioned {
  View view;
  void* context;
  void (*deleter)(Unversioned*);  // may be null
};

constexpr std::uint64_t kReadOnly = 1, kCopied = 2;
struct Versioned {
  Version version;
  void* context;
  void (*deleter)(Versioned*);  // may be null; the fields up to here are the same in every major version
  std::uint64_t flags;
  View view;
};

// What a tensor type offers to C as __dlpack_c_exchange_api__: the same exchange without Python calls in between.
// Functions that return int give 0, or -1 with a Python exception set.
struct ExchangeHeader {
  Version version;
  ExchangeHeader* older;
};
struct ExchangeTable {
  ExchangeHeader header;
  int (*allocate)(View* prototype, Versioned** out, void* error_context,
                  void (*set_error)(void* error_context, const char* kind, const char* message));
  int (*from_object)(void* object, Versioned** out);
  int (*to_object)(Versioned* managed, void** out_object);  // takes `managed` over
  int (*borrow)(void* object, View* out);                   // alive as long as the object; may be null
  int (*current_stream)(std::int32_t device_type, std::int32_t device_index, void** out);
};

// Refuses tensors that require grad.
Versioned* export_versioned(const Tensor& t, std::uint64_t flags);
Unversioned* export_unversioned(const Tensor& t);
View borrow(const Tensor& t);

// A foreign tensor's geometry, checked: nothing in it can lead outside of what it describes, or anywhere absurd.
struct Geometry {
  explicit Geometry(const View& view);
  // `free` is called once, when the last tensor on this memory dies.
  Tensor tensor(bool writable, std::function<void()> free) const;

  Device device;
  DType dtype;
  Dims shape, strides;
  char* first_byte;
  std::size_t bytes;
  std::int64_t offset_bytes;  // of element 0 from first_byte
};

DeviceId device_id(Device device);
void check_version(const Versioned& managed);
ElementType element_type(DType t);
DType dtype_of(ElementType t);

}  // namespace lamina::dlpack
