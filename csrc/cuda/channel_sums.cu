// Sums of x[outer][channels][inner] over all but the channels: gradients of biases. Parts whose size depends on the
// shape alone, then the parts in order.
#include "cuda/channel_sums.h"
#include "cuda/gemm_output.h"
#include "cuda/tile_order.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kSumsRows = 512, kSumsElements = 1 << 14, kMostSumParts = 256;

// inner == 1: 32 channels with each block, its 8 warps taking every eighth row of a part.
template <class T>
struct SumRows {
  static constexpr int kThreads = 256, kLanes = 32, kWarps = kThreads / kLanes;
  static constexpr bool kCollective = true;
  using Compute = ComputeOf<T>;
  struct Shared {
    Compute sums[kWarps][kLanes];
  };
  const T* x;
  Compute* parts;
  std::int64_t rows, channels, part_rows;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.template shared<SumRows>();
    const std::int64_t channel = std::int64_t{t.block()} * kLanes + t.lane(), part = t.template block<1>();
    const std::int64_t last = (part + 1) * part_rows < rows ? (part + 1) * part_rows : rows;
    Compute sum = 0;
    if (channel < channels)
      for (std::int64_t r = part * part_rows + t.warp(); r < last; r += kWarps)
        sum += widened(x[r * channels + channel]);
    shared.sums[t.warp()][t.lane()] = sum;
    t.sync();
    if (t.warp() != 0 || channel >= channels) return;
    for (int w = 1; w < kWarps; ++w) sum += shared.sums[w][t.lane()];
    parts[part * channels + channel] = sum;
  }
};

// One channel, one part of outer × inner with each block.
template <class T>
struct SumPlanes {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = true;
  using Compute = ComputeOf<T>;
  struct Shared {
    Compute sums[kThreads];
  };
  const T* x;
  Compute* parts;
  std::int64_t elements, part_elements, channels;
  Divisor inner;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.template shared<SumPlanes>();
    const std::int64_t channel = t.block(), part = t.template block<1>();
    const std::int64_t last = (part + 1) * part_elements < elements ? (part + 1) * part_elements : elements;
    Compute sum = 0;
    for (std::int64_t e = part * part_elements + t.thread(); e < last; e += kThreads) {
      int outer, i;
      inner.divmod(static_cast<int>(e), outer, i);
      sum += widened(x[(outer * channels + channel) * inner.value + i]);
    }
    shared.sums[t.thread()] = sum;
    for (int half = kThreads / 2; half > 0; half /= 2) {
      t.sync();
      if (t.thread() < half) shared.sums[t.thread()] += shared.sums[t.thread() + half];
    }
    if (t.thread() == 0) parts[part * channels + channel] = shared.sums[0];
  }
};

template <class T>
struct JoinSums {
  static constexpr int kThreads = 128;
  static constexpr bool kCollective = false;
  using Compute = ComputeOf<T>;
  const Compute* parts;
  T* sums;
  std::int64_t count, channels;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t channel = t.global();
    if (channel >= channels) return;
    Compute sum = 0;
    for (std::int64_t p = 0; p < count; ++p) sum += parts[p * channels + channel];
    sums[channel] = narrowed<T>(sum);
  }
};

template <class T>
void sum_channels_of(const char* op, const void* x, void* sums, std::int64_t outer, std::int64_t channels,
                     std::int64_t inner) {
  const std::int64_t each = inner == 1 ? kSumsRows : kSumsElements, elements = outer * inner;
  if (channels == 0) return;
  if (inner > 1 && elements > kLargestIndex) return cuda_runtime::note(op, cuda_runtime::kTooManyElements);
  std::int64_t count = tiles_in(elements, each);
  count = count < 1 ? 1 : count > kMostSumParts ? kMostSumParts : count;
  const std::int64_t part = tiles_in(elements, count);
  auto* const parts = static_cast<ComputeOf<T>*>(
      cuda_runtime::workspace(static_cast<std::size_t>(count * channels) * sizeof(ComputeOf<T>)));
  if (!parts) return;
  if (inner == 1) {
    SumRows<T> k{static_cast<const T*>(x), parts, elements, channels, part};
    launch(op, {tiles_in(channels, k.kLanes), count}, k);
  } else {
    SumPlanes<T> k{static_cast<const T*>(x), parts, elements, part, channels, Divisor(inner)};
    launch(op, {channels, count}, k);
  }
  launch(op, grid_for(channels, JoinSums<T>::kThreads), JoinSums<T>{parts, static_cast<T*>(sums), count, channels});
}

}  // namespace

void sum_channels(const char* op, DType dtype, const void* x, void* sums, std::int64_t outer, std::int64_t channels,
                  std::int64_t inner) {
  switch (dtype) {
    case DType::f64: return sum_channels_of<double>(op, x, sums, outer, channels, inner);
    case DType::bf16: return sum_channels_of<bfloat16>(op, x, sums, outer, channels, inner);
    case DType::f16: return sum_channels_of<float16>(op, x, sums, outer, channels, inner);
    default: return sum_channels_of<float>(op, x, sums, outer, channels, inner);
  }
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
