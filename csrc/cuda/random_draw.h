// Drawing random numbers: the same Philox words for the same elements as on the CPU (kernels/random_philox.h), so the
// same numbers to the bit. A thread takes one counter of a group (of 64-bit numbers, two), whose words belong to
// elements that lie 64 bytes apart: what its neighbours write lies beside it.
#pragma once
#include "cuda/launch.h"
#include "kernels/random_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kDrawThreads = 256;

// f.four(words, stream, elements, out) makes four elements of their words; element k is 16 (of 64-bit words: 8) after
// element k - 1. `read_from`, if not null, holds what the elements are made of beside chance.
template <class F>
struct Draw {
  static constexpr int kThreads = kDrawThreads;
  static constexpr bool kCollective = false;
  using Word = typename F::Word;
  using Out = typename F::Out;
  static constexpr bool is_long = sizeof(Word) == 8;
  static constexpr int units = is_long ? kGroupCounters / 2 : kGroupCounters;  // threads of a group
  Out* out;
  std::int64_t n;
  const std::uint64_t* claimed;
  F f;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t group = t.global() / units;
    const int unit = static_cast<int>(t.global() % units);
    const std::int64_t first = group * 4 * units + unit;
    if (first >= n) return;
    const PhiloxStream stream(claimed);
    const std::uint64_t counter = stream.first + static_cast<std::uint64_t>(group) * kGroupCounters +
                                  static_cast<std::uint64_t>(is_long ? 2 * unit : unit);
    Word words[4];
    const auto low = stream.at(counter, 0);
    if constexpr (is_long) {
      const auto high = stream.at(counter + 1, 0);
#pragma unroll
      for (int k = 0; k < 4; ++k) words[k] = (low.word[k] & 0xffffffff) | high.word[k] << 32;
    } else {
#pragma unroll
      for (int k = 0; k < 4; ++k) words[k] = static_cast<std::uint32_t>(low.word[k]);
    }
    Out made[4];
    f.four(words, stream, first, units, n, made);
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (first + k * units < n) out[first + k * units] = made[k];
  }
};

template <class F>
void draw(const char* op, void* out, std::int64_t n, const std::uint64_t* claimed, F f) {
  constexpr int per_block = 4 * kDrawThreads;
  if (n > 0)
    launch(op, grid_for(n + 4 * Draw<F>::units, per_block), Draw<F>{static_cast<typename F::Out*>(out), n, claimed, f});
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
