#include "ops/gemm_pack_cache.h"

#include <mutex>

#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/gemm.h"

namespace lamina {
namespace {

constexpr std::int64_t kFewestElements = 1 << 14;  // smaller ones are packed faster than found
constexpr std::int64_t kFewestRows = 5;            // fewer are met by dot products, which read B as it lies
constexpr std::int64_t kMostRows = 1024;           // more hide the packing of every call
constexpr std::size_t kMostEntries = 256;          // of one storage: all parameters of a model may share one

struct Entry {
  const void* data;
  Dims shape, strides;
  DType dtype;
  std::uint32_t version;
  Tensor packed;  // undefined until the second use
};

struct PackedMatrices final : StorageCache {
  std::vector<Entry> entries;
};

std::mutex mutex;  // guards the caches of all storages; held while packing, so that it is done once

Entry* find(std::vector<Entry>& entries, const Tensor& b) {
  for (Entry& e : entries)
    if (e.data == b.data() && e.dtype == b.dtype() && e.shape == b.shape() && e.strides == b.strides()) return &e;
  return nullptr;
}

Tensor empty_packed(const Tensor& b) {
  const std::size_t bytes = kernels(b.device()).gemm.packed_bytes(b.dtype(), b.size(0), b.size(1));
  return empty({static_cast<std::int64_t>(bytes)}, DType::u8, b.device());
}
GemmOperand operand(const Tensor& b) { return {.data = b.data(), .row = b.strides()[0], .col = b.strides()[1]}; }

Tensor pack(const Tensor& b) {
  const Tensor packed = empty_packed(b);
  current_stream().launch(kernels(b.device()).gemm.pack_b, packed.data(), b.dtype(), b.dtype(), operand(b), b.size(0),
                          b.size(1));
  return packed;
}

// For a recording there is no version to go by: a replay packs anew what was changed since the last one. Where every
// step changes the weights that gains nothing.
Tensor pack_for(Recording& recording, const Tensor& b) {
  if (recording.weights_change || b.storage().home() == &recording.memory() || recording.writes(b.storage())) return {};
  if (const Tensor known = recording.derived_from(b); known.defined()) return known;
  const Tensor packed = empty_packed(b);
  const auto kernel = kernels(b.device()).gemm.pack_b;
  recording.derive(b, packed, kernel, packed.data(), b.dtype(), b.dtype(), operand(b), b.size(0), b.size(1));
  const Unrecorded beside;
  current_stream().launch(kernel, packed.data(), b.dtype(), b.dtype(), operand(b), b.size(0), b.size(1));
  return packed;
}

}  // namespace

Tensor packed_matrix(const Tensor& b, std::int64_t rows) {
  Storage& storage = b.storage();
  if (b.ndim() != 2 || b.numel() < kFewestElements || rows < kFewestRows || rows > kMostRows) return {};
  if (b.dtype() != DType::f32 && b.dtype() != DType::f64) return {};
  // Memory that others may write without a word to us cannot be cached.
  if (storage.exposed || !kernels(b.device()).gemm.pack_b) return {};
  if (Recording* recording = open_recording()) return pack_for(*recording, b);

  const std::lock_guard lock(mutex);
  if (!storage.cache) storage.cache = std::make_shared<PackedMatrices>();
  std::vector<Entry>& entries = static_cast<PackedMatrices&>(*storage.cache).entries;
  Entry* entry = find(entries, b);
  if (!entry) {
    if (entries.size() < kMostEntries)
      entries.push_back({b.data(), b.shape(), b.strides(), b.dtype(), b.version(), {}});
    return {};
  }
  if (entry->version != b.version()) {
    entry->version = b.version();
    entry->packed = {};
    return {};
  }
  if (!entry->packed.defined()) entry->packed = pack(b);
  return entry->packed;
}

}  // namespace lamina
