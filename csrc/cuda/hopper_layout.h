// Numbers that Hopper's copy engine and warpgroup products are told, and where they put things: plain arithmetic,
// tested on the CPU (PTX ISA 8.x, "Matrix Descriptor", "Shared Memory Matrix Layout", "Register fragments for wgmma").
#pragma once
#include <cstdint>

#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// ---- tiles in shared memory: rows of 128 bytes, 16-byte chunks swizzled over 8 rows ----

constexpr int kSwizzleRow = 128, kSwizzleRows = 8, kSwizzleAtom = kSwizzleRow * kSwizzleRows;

// Where CU_TENSOR_MAP_SWIZZLE_128B puts byte `byte` of row `row` of a tile that begins on a multiple of 1024 bytes:
// bits 4-6 of the address are combined with bits 7-9.
LAMINA_INLINE int swizzled_128(int row, int byte) {
  const int address = row * kSwizzleRow + byte;
  return address ^ (address >> 3 & 0x70);
}

// The descriptor of such a tile, rows along M or N and K inside the row ("K-major"): addresses and strides in units of
// 16 bytes, 1024 bytes from 8 rows to the next, layout 1: 128-byte swizzle. The leading offset means nothing here.
LAMINA_INLINE std::uint64_t swizzled_descriptor(std::uint32_t address) {
  const auto field = [](std::uint64_t bytes) { return (bytes & 0x3ffff) >> 4; };
  return field(address) | field(16) << 16 | field(kSwizzleAtom) << 32 | std::uint64_t{1} << 62;
}
// Advancing along K inside the swizzled row: the swizzle is a function of the address, so the start may move.
LAMINA_INLINE std::uint64_t advanced(std::uint64_t descriptor, int bytes) {
  return descriptor + static_cast<std::uint64_t>(bytes >> 4);
}

// ---- sums of wgmma.m64nN: number r of thread `thread` (of 128), r < N / 2 ----

struct WgmmaLanes {
  LAMINA_INLINE static int row(int thread, int r) { return thread / 32 * 16 + thread % 32 / 4 + 8 * (r / 2 % 2); }
  LAMINA_INLINE static int col(int thread, int r) { return r / 4 * 8 + thread % 4 * 2 + r % 2; }
};

// ---- the ring of stages: which one, and the parity that its barrier has when it is over ----

template <int kStages>
struct RingPlace {
  int stage = 0;
  std::uint32_t parity = 0;
  LAMINA_INLINE void step() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// ---- what may be copied by a tensor map ----

// A matrix of 2-byte elements whose rows are contiguous: begins on 16 bytes, rows a multiple of 16 bytes apart, fewer
// than 2^40 bytes, sizes at most 2^32.
inline bool mappable(std::uint64_t address, std::int64_t rows, std::int64_t cols, std::int64_t stride) {
  return address % 16 == 0 && stride % 8 == 0 && stride * 2 < (std::int64_t{1} << 40) && rows > 0 && cols > 0 &&
         rows <= 0x7fffffff && cols <= 0x7fffffff;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
