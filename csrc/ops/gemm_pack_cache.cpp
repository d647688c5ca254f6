#include "ops/gemm_pack_cache.h"

#include <mutex>

#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/gemm.h"
#include "ops/view.h"

namespace lamina {
namespace {

constexpr std::int64_t kFewestElements = 1 << 14;  // smaller ones are packed faster than found
constexpr std::int64_t kFewestRows = 5;            // fewer are met by dot products, which read B as it lies
constexpr std::int64_t kMostRows = 1024;           // more hide the packing of every call
constexpr std::size_t kMostEntries = 256;          // of one storage: all parameters of a model may share one

struct Form {
  std::size_t bytes;
  PackKernel kernel;
  int form;
};

struct Entry {
  const void* data;
  Dims shape, strides;
  DType dtype;
  PackKernel kernel;
  int form;
  std::uint32_t version;
  Tensor packed;  // undefined until the second use
};

struct PackedMatrices final : StorageCache {
  std::vector<Entry> entries;
};

std::mutex mutex;  // guards the caches of all storages; held while packing, so that it is done once

Entry* find(std::vector<Entry>& entries, const Tensor& b, const Form& form) {
  for (Entry& e : entries)
    if (e.data == b.data() && e.kernel == form.kernel && e.form == form.form && e.dtype == b.dtype() &&
        e.shape == b.shape() && e.strides == b.strides())
      return &e;
  return nullptr;
}

PackSource source_of(const Tensor& b, const Form& form) {
  return {b.data(), b.size(0), b.size(1), b.strides()[0], b.strides()[1], b.dtype(), b.device(), form.form};
}
Tensor empty_packed(const Tensor& b, const Form& form) {
  return empty({static_cast<std::int64_t>(form.bytes)}, DType::u8, b.device());
}

Tensor pack(const Tensor& b, const Form& form) {
  const Tensor packed = empty_packed(b, form);
  current_stream().launch(form.kernel, packed.data(), source_of(b, form));
  return packed;
}

// For a recording there is no version to go by: a replay packs anew what was changed since the last one. Where every
// step changes the weights that gains nothing.
Tensor pack_for(Recording& recording, const Tensor& b, const Form& form) {
  if (recording.weights_change || b.storage().home() == &recording.memory() || recording.writes(b.storage())) return {};
  if (const Tensor known = recording.derived_from(b, form.form, form.kernel); known.defined()) return known;
  const Tensor packed = empty_packed(b, form);
  recording.derive(b, form.form, packed, form.kernel, packed.data(), source_of(b, form));
  const Unrecorded beside;
  current_stream().launch(form.kernel, packed.data(), source_of(b, form));
  return packed;
}

void pack_for_products(void* packed, PackSource s) {
  kernels(s.device).gemm.pack_b(packed, s.dtype, s.dtype,
                                {.data = const_cast<void*>(s.data), .row = s.row_stride, .col = s.col_stride}, s.rows,
                                s.cols);
}

}  // namespace

Tensor packed_matrix(const Tensor& b, std::int64_t rows) {
  if (b.ndim() != 2 || rows < kFewestRows || rows > kMostRows || !kernels(b.device()).gemm.pack_b) return {};
  return kept_packed(b, kernels(b.device()).gemm.packed_bytes(b.dtype(), b.size(0), b.size(1)), pack_for_products, 0);
}

Tensor kept_packed(const Tensor& b, std::size_t bytes, PackKernel kernel, int kind) {
  Storage& storage = b.storage();
  if (b.ndim() != 2 || b.numel() < kFewestElements) return {};
  if (b.dtype() != DType::f32 && b.dtype() != DType::f64) return {};
  // Memory that others may write without a word to us cannot be cached.
  if (storage.exposed) return {};
  const Form form{bytes, kernel, kind};
  if (Recording* recording = open_recording()) return pack_for(*recording, b, form);

  const std::lock_guard lock(mutex);
  if (!storage.cache) storage.cache = std::make_shared<PackedMatrices>();
  std::vector<Entry>& entries = static_cast<PackedMatrices&>(*storage.cache).entries;
  Entry* entry = find(entries, b, form);
  if (!entry) {
    if (entries.size() < kMostEntries)
      entries.push_back({b.data(), b.shape(), b.strides(), b.dtype(), kernel, kind, b.version(), {}});
    return {};
  }
  if (entry->version != b.version()) {
    entry->version = b.version();
    entry->packed = {};
    return {};
  }
  if (!entry->packed.defined()) entry->packed = pack(b, form);
  return entry->packed;
}

}  // namespace lamina
