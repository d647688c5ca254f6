// Sorting entries by their keys, byte by byte from the lowest: stable, and no slower for any order of the input. A byte
// that is the same everywhere is passed over. Few entries are merged instead.
#pragma once
#include "core/parallel.h"
#include "kernels/sort.h"
#include "kernels/sort_keys.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kBuckets = 256;
constexpr std::int64_t kMergeAtMost = 40, kInsertAtMost = 8;

template <class E>
LAMINA_INLINE int byte_of(E e, int b) {
  return static_cast<int>(e.key() >> 8 * b & 0xff);
}

template <class E>
void insertion_sort(E* e, std::int64_t n) {
  for (std::int64_t i = 1; i < n; ++i) {
    const E moving = e[i];
    std::int64_t j = i;
    for (; j > 0 && moving.before(e[j - 1]); --j) e[j] = e[j - 1];
    e[j] = moving;
  }
}

// Sorts e[0 … n) with the help of `spare`, as long; returns the one of the two that has the result.
template <class E>
E* merge_sort(E* e, E* spare, std::int64_t n) {
  for (std::int64_t at = 0; at < n; at += kInsertAtMost)
    insertion_sort(e + at, n - at < kInsertAtMost ? n - at : kInsertAtMost);
  for (std::int64_t run = kInsertAtMost; run < n; run *= 2) {
    for (std::int64_t at = 0; at < n; at += 2 * run) {
      std::int64_t a = at, b = at + run < n ? at + run : n;
      const std::int64_t a_end = b, b_end = at + 2 * run < n ? at + 2 * run : n;
      std::int64_t to = at;
      while (a < a_end && b < b_end) {
        const bool second = e[b].before(e[a]);
        spare[to++] = second ? e[b] : e[a];
        b += second;
        a += !second;
      }
      while (a < a_end) spare[to++] = e[a++];
      while (b < b_end) spare[to++] = e[b++];
    }
    E* const sorted = spare;
    spare = e;
    e = sorted;
  }
  return e;
}

// From how many there are of each byte to where the first of them goes.
inline void to_starts(std::uint32_t* counts) {
  std::uint32_t start = 0;
  for (int b = 0; b < kBuckets; ++b) {
    const std::uint32_t n = counts[b];
    counts[b] = start;
    start += n;
  }
}

// Entries whose keys have `bytes` bytes, in the order of their positions.
template <class E>
E* sort_entries(E* e, E* spare, std::int64_t n, int bytes) {
  if (n <= kMergeAtMost) return merge_sort(e, spare, n);
  std::uint32_t counts[sizeof(typename E::Key)][kBuckets];
  for (int b = 0; b < bytes; ++b)
    for (std::uint32_t& c : counts[b]) c = 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (int b = 0; b < bytes; ++b) ++counts[b][byte_of(e[i], b)];
  for (int b = 0; b < bytes; ++b) {
    if (counts[b][byte_of(e[0], b)] == n) continue;
    to_starts(counts[b]);
    for (std::int64_t i = 0; i < n; ++i) spare[counts[b][byte_of(e[i], b)]++] = e[i];
    E* const sorted = spare;
    spare = e;
    e = sorted;
  }
  return e;
}

// The same by all threads: each chunk is counted, and then knows where its entries of every byte go.
template <class E>
E* sort_long(E* e, E* spare, std::int64_t n, int bytes, std::uint32_t* counts) {
  const std::int64_t chunks = (n + kSortChunk - 1) / kSortChunk;
  for (int b = 0; b < bytes; ++b) {
    parallel_for(chunks, 1, [&](std::int64_t c, std::int64_t) {
      std::uint32_t* const mine = counts + c * kBuckets;
      for (int k = 0; k < kBuckets; ++k) mine[k] = 0;
      const std::int64_t end = (c + 1) * kSortChunk < n ? (c + 1) * kSortChunk : n;
      for (std::int64_t i = c * kSortChunk; i < end; ++i) ++mine[byte_of(e[i], b)];
    });
    std::uint32_t start = 0;
    bool all_alike = false;
    for (int k = 0; k < kBuckets; ++k) {
      const std::uint32_t before = start;
      for (std::int64_t c = 0; c < chunks; ++c) {
        const std::uint32_t here = counts[c * kBuckets + k];
        counts[c * kBuckets + k] = start;
        start += here;
      }
      all_alike |= start - before == n;
    }
    if (all_alike) continue;
    parallel_for(chunks, 1, [&](std::int64_t c, std::int64_t) {
      std::uint32_t to[kBuckets];
      for (int k = 0; k < kBuckets; ++k) to[k] = counts[c * kBuckets + k];
      const std::int64_t end = (c + 1) * kSortChunk < n ? (c + 1) * kSortChunk : n;
      for (std::int64_t i = c * kSortChunk; i < end; ++i) spare[to[byte_of(e[i], b)]++] = e[i];
    });
    E* const sorted = spare;
    spare = e;
    e = sorted;
  }
  return e;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
