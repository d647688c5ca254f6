// Philox4x32-10: 128-bit counters and a 64-bit key to four random words each (J. K. Salmon, M. A. Moraes, R. O. Dror,
// D. E. Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011). Nothing is carried from one counter to the next,
// so every element of a draw knows its bits by itself: they depend on (seed, offset, element) alone.
//
// How a draw uses its words. Counters are taken in groups of 16, a group gives 64 words, and word j of the group is
// output j / 16 of its counter j % 16. These words, in memory order, are the bits of 64 elements of 32 bits or of 32
// elements of 64. Vectors of any width thus write whole registers, and a GPU thread with one counter four neighbours'
// lines. A draw that must reject some word looks at the same place of another attempt, a number within the counter.
#pragma once
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kGroupCounters = 16;
constexpr int kGroupWords = 4 * kGroupCounters;

// The integer lanes of vec.h, one plain word at a time.
template <int k>
LAMINA_INLINE uint32_t shift_right(uint32_t a) {
  return a >> k;
}
template <int k>
LAMINA_INLINE uint64_t shift_right(uint64_t a) {
  return a >> k;
}
template <int k>
LAMINA_INLINE uint32_t shift_left(uint32_t a) {
  return a << k;
}
template <int k>
LAMINA_INLINE uint64_t shift_left(uint64_t a) {
  return a << k;
}
LAMINA_INLINE uint64_t product_of_low_halves(uint64_t a, uint64_t b) { return (a & 0xffffffff) * (b & 0xffffffff); }

// One word in the low half of each 64-bit lane; what stands in the high halves does not matter.
template <class L>
struct PhiloxWords {
  L word[4];
};

template <class L>
LAMINA_INLINE PhiloxWords<L> philox(PhiloxWords<L> c, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const L a = product_of_low_halves(c.word[0], L(int64_t{0xD2511F53})),
            b = product_of_low_halves(c.word[2], L(int64_t{0xCD9E8D57}));
    c = {shift_right<32>(b) ^ (c.word[1] ^ L(int64_t{k0})), b, shift_right<32>(a) ^ (c.word[3] ^ L(int64_t{k1})), a};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// The stream of one draw: what a claim (kernels/random.h) set aside.
struct PhiloxStream {
  uint64_t seed, first;  // first: its first counter

  explicit LAMINA_INLINE PhiloxStream(const uint64_t* claimed) : seed(claimed[0]), first(claimed[1]) {}

  // 64-bit lanes hold counters, so that they carry into their high words by themselves.
  template <class L>
  LAMINA_INLINE PhiloxWords<L> at(L counter, uint32_t attempt) const {
    return philox<L>({counter, shift_right<32>(counter), L(int64_t{attempt}), L(int64_t{0})}, seed);
  }

  // Word j of the draw.
  LAMINA_INLINE uint32_t word(int64_t j, uint32_t attempt) const {
    const uint64_t counter = static_cast<uint64_t>(j / kGroupWords * kGroupCounters + j % kGroupCounters);
    return static_cast<uint32_t>(at(first + counter, attempt).word[j % kGroupWords / kGroupCounters]);
  }
  LAMINA_INLINE uint64_t long_word(int64_t j, uint32_t attempt) const {
    return word(2 * j, attempt) | static_cast<uint64_t>(word(2 * j + 1, attempt)) << 32;
  }

  // All kGroupWords words of a group: even and odd counters side by side, each pair of 64-bit lanes packed into one.
  LAMINA_INLINE void group(int64_t index, uint32_t* words) const {
    using L = Ints<double>;
    constexpr int pairs = Vec<double>::width;
    constexpr int64_t steps[8] = {0, 2, 4, 6, 8, 10, 12, 14};
    const L start = L(static_cast<int64_t>(first + static_cast<uint64_t>(index * kGroupCounters))) + L::load(steps);
    const L low(int64_t{0xffffffff}), one(int64_t{1});
    for (int i = 0; i < kGroupCounters; i += 2 * pairs) {
      const L even = start + L(int64_t{i});
      const PhiloxWords<L> a = at(even, 0), b = at(even + one, 0);
      for (int k = 0; k < 4; ++k) ((a.word[k] & low) | shift_left<32>(b.word[k])).store(words + k * kGroupCounters + i);
    }
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
