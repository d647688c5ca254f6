// Masks become positions: a block counts the true elements of a chunk, then every chunk knows where to write its own.
#include "cuda/block_sums.h"
#include "kernels/index.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kMaskThreads = 256;
using Sums = BlockSums<kMaskThreads>;

std::int64_t chunks_of(std::int64_t n) { return (n + kMaskChunk - 1) / kMaskChunk; }
LAMINA_INLINE std::int64_t chunk_end(std::int64_t chunk, std::int64_t n) {
  const std::int64_t end = (chunk + 1) * kMaskChunk;
  return end < n ? end : n;
}

struct CountChunk {
  static constexpr int kThreads = kMaskThreads;
  static constexpr bool kCollective = true;
  using Shared = Sums;
  const std::uint8_t* mask;
  std::int64_t n, *counts;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    std::int64_t mine = 0, total;
    for (std::int64_t i = t.block() * kMaskChunk + t.thread(), end = chunk_end(t.block(), n); i < end; i += kThreads)
      mine += mask[i] != 0;
    t.shared<CountChunk>().up_to(t, mine, total);
    if (t.thread() == 0) counts[t.block()] = total;
  }
};

// Each of n numbers becomes the sum of those before it; one more, the sum of all.
struct SumBefore {
  static constexpr int kThreads = kMaskThreads;
  static constexpr bool kCollective = true;
  using Shared = Sums;
  std::int64_t *numbers, n;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    std::int64_t before = 0;
    for (std::int64_t first = 0; first < n; first += kThreads) {
      const std::int64_t i = first + t.thread(), mine = i < n ? numbers[i] : 0;
      std::int64_t total;
      const std::int64_t sum = t.shared<SumBefore>().up_to(t, mine, total);
      if (i < n) numbers[i] = before + sum - mine;
      before += total;
    }
    if (t.thread() == 0) numbers[n] = before;
  }
};

void count_true(const std::uint8_t* mask, std::int64_t n, std::int64_t* counts) {
  if (n > 0) launch("mask", grid_for(chunks_of(n), 1), CountChunk{mask, n, counts});
  launch("mask", {}, SumBefore{counts, chunks_of(n)});
}

// write(element, how many true ones are before it) for every true element.
template <class Write>
struct EachTrue {
  static constexpr int kThreads = kMaskThreads;
  static constexpr bool kCollective = true;
  using Shared = Sums;
  const std::uint8_t* mask;
  std::int64_t n;
  const std::int64_t* counts;
  Write write;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    std::int64_t before = counts[t.block()];
    const std::int64_t end = chunk_end(t.block(), n);
    for (std::int64_t first = t.block() * kMaskChunk; first < end; first += kThreads) {
      const std::int64_t i = first + t.thread(), mine = i < end && mask[i] != 0;
      std::int64_t total;
      const std::int64_t sum = t.template shared<EachTrue>().up_to(t, mine, total);
      if (mine) write(i, before + sum - 1);
      before += total;
    }
  }
};

struct WriteFlat {
  std::int64_t* out;
  LAMINA_KERNEL void operator()(std::int64_t i, std::int64_t at) const { out[at] = i; }
};
struct WriteIndices {  // row d of out: the index in dimension d
  std::int64_t* out;
  std::int64_t total;
  int ndim;
  std::int64_t shape[kLoopDims];
  LAMINA_KERNEL void operator()(std::int64_t i, std::int64_t at) const {
    for (int d = ndim - 1; d >= 0; --d) {
      out[d * total + at] = i % shape[d];
      i /= shape[d];
    }
  }
};

template <class Write>
void each_true(const std::uint8_t* mask, std::int64_t n, const std::int64_t* counts, const Write& write) {
  if (n > 0) launch("mask", grid_for(chunks_of(n), 1), EachTrue<Write>{mask, n, counts, write});
}
void list_true(const std::uint8_t* mask, std::int64_t n, const std::int64_t* counts, std::int64_t* out) {
  each_true(mask, n, counts, WriteFlat{out});
}
void unravel_true(const std::uint8_t* mask, Loop shape, const std::int64_t* counts, std::int64_t total,
                  std::int64_t* out) {
  WriteIndices write{out, total, shape.ndim, {}};
  for (int d = 0; d < shape.ndim; ++d) write.shape[d] = shape.shape[d];
  each_true(mask, shape.numel, counts, write);
}

struct Survey {
  static constexpr int kThreads = kMaskThreads;
  static constexpr bool kCollective = true;
  struct Found {
    std::int64_t least, most;
    std::uint64_t sum;
  };
  struct Shared {
    Found all[kMaskThreads];
  };
  const std::int64_t* values;
  std::int64_t n, *out;

  LAMINA_INLINE static Found join(Found a, Found b) {
    return {b.least < a.least ? b.least : a.least, b.most > a.most ? b.most : a.most, a.sum + b.sum};
  }
  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.shared<Survey>();
    Found found{values[0], values[0], 0};
    for (std::int64_t i = t.thread(); i < n; i += kThreads)
      found = join(found, {values[i], values[i], static_cast<std::uint64_t>(values[i])});
    shared.all[t.thread()] = found;
    for (int half = kThreads / 2; half > 0; half /= 2) {
      t.sync();
      if (t.thread() < half) shared.all[t.thread()] = join(shared.all[t.thread()], shared.all[t.thread() + half]);
    }
    if (t.thread() != 0) return;
    out[0] = shared.all[0].least;
    out[1] = shared.all[0].most;
    out[2] = static_cast<std::int64_t>(shared.all[0].sum);
  }
};
void survey(const std::int64_t* values, std::int64_t n, std::int64_t* out) {
  launch("survey", {}, Survey{values, n, out});
}

struct RepeatIndex {  // begins: where the repetitions of each number begin, and where all end
  static constexpr int kThreads = kMaskThreads;
  static constexpr bool kCollective = false;
  const std::int64_t* begins;
  std::int64_t n, *out;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t total = begins[n];
    for (std::int64_t e = t.global(); e < total; e += t.globals()) {
      std::int64_t low = 0, high = n;  // the last that begins at or before e
      while (high - low > 1) {
        const std::int64_t middle = low + (high - low) / 2;
        (begins[middle] <= e ? low : high) = middle;
      }
      out[e] = low;
    }
  }
};
struct CopyNumbers {
  static constexpr int kThreads = kMaskThreads;
  static constexpr bool kCollective = false;
  const std::int64_t* from;
  std::int64_t n, *to;
  LAMINA_KERNEL void operator()(const Thread& t) const {
    if (t.global() < n) to[t.global()] = from[t.global()];
  }
};
void repeat_index(const std::int64_t* repeats, std::int64_t n, std::int64_t* out) {
  if (n == 0) return;
  constexpr unsigned kBlocks = 512;  // how many elements come out only the device knows
  auto* const begins = static_cast<std::int64_t*>(cuda_runtime::workspace(static_cast<std::size_t>(n + 1) * 8));
  if (!begins) return;
  launch("repeat_interleave", grid_for(n, kMaskThreads), CopyNumbers{repeats, n, begins});
  launch("repeat_interleave", {}, SumBefore{begins, n});
  launch("repeat_interleave", {kBlocks}, RepeatIndex{begins, n, out});
}

}  // namespace

void fill_index_mask(IndexTable& t) {
  t.count_true = count_true;
  t.list_true = list_true;
  t.unravel_true = unravel_true;
  t.survey = survey;
  t.repeat_index = repeat_index;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
