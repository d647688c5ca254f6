// Where an element of a tile lies in shared memory, and which elements of it a lane holds in registers.
#pragma once
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// ---- tiles for tensor cores: rows of 16-byte chunks, permuted ----

// Shared memory has 32 banks of 4 bytes; 8 lanes at a time read or write a chunk of 16 bytes each. ldmatrix reads the
// same chunk of 8 successive rows: the chunk's number is combined with the row's, so that they lie in different banks.
// Where a row is shorter than all banks (128 bytes), the rows that share a line of banks count as one.
template <int kChunks>  // in a row: a power of two
LAMINA_INLINE int swizzled(int row, int chunk) {
  constexpr int kRowsInLine = kChunks >= 8 ? 1 : 8 / kChunks;
  constexpr int kMask = kChunks >= 8 ? 7 : kChunks - 1;
  return row * kChunks + (chunk ^ ((row / kRowsInLine) & kMask));
}

// ---- registers of mma.sync.m16n8, by the lanes of a warp (PTX ISA, "Matrix fragments for mma") ----

// A register holds one 32-bit word: two neighbours of 16 bits, or one number of TF32. The pattern is the same, counted
// in words along k.
struct MmaLanes {
  // A[16][8 words]: register r of four.
  LAMINA_INLINE static int a_row(int lane, int r) { return lane / 4 + 8 * (r & 1); }
  LAMINA_INLINE static int a_word(int lane, int r) { return lane % 4 + 4 * (r >> 1); }
  // B[8 words][8]: register r of two.
  LAMINA_INLINE static int b_word(int lane, int r) { return lane % 4 + 4 * r; }
  LAMINA_INLINE static int b_col(int lane) { return lane / 4; }
  // C[16][8]: number r of four.
  LAMINA_INLINE static int c_row(int lane, int r) { return lane / 4 + 8 * (r >> 1); }
  LAMINA_INLINE static int c_col(int lane, int r) { return lane % 4 * 2 + (r & 1); }
};

// ldmatrix.x4 reads four matrices of 8 rows of 16 bytes; lane 8i + j gives the address of row j of matrix i, and
// afterwards holds in register i the word lane % 4 of row lane / 4 of matrix i. So that the registers are those of
// A[16][8 words], matrices 0 and 1 are rows 0-7 and 8-15 of the first four words, 2 and 3 of the last four.
struct LdmatrixLanes {
  LAMINA_INLINE static int row(int lane) { return lane % 16; }
  LAMINA_INLINE static int chunk(int lane) { return lane / 16; }
  // The same for B kept as rows of n, two tiles of 8 columns: registers 0 and 1 are the first tile's, 2 and 3 the
  // second's.
  LAMINA_INLINE static int b_row(int lane) { return lane % 8 + lane / 16 * 8; }
  LAMINA_INLINE static int b_chunk(int lane) { return lane / 8 % 2; }
};

// ---- tiles for the scalar units: [depth][outer], rows padded by a chunk ----

// A thread copies single elements with the lanes of its warp along whichever index memory is contiguous in. Along the
// depth eight lanes take eight successive elements (a 32-byte sector), four such runs make a warp; with rows 16 bytes
// longer than all banks these 32 stores meet 32 banks.
template <class T, int kOuter_, int kDepth_>
struct PaddedTile {
  using Element = T;
  static constexpr int kOuter = kOuter_, kDepth = kDepth_, kChunk = 16 / sizeof(T), kPitch = kOuter + kChunk;
  static constexpr int kElements = kDepth * kPitch;
  LAMINA_INLINE static int at(int outer, int depth) { return depth * kPitch + outer; }
};

struct TilePlace {
  int outer, depth;
};
// Element number e of a tile in the order in which threads copy it.
template <int kOuter, int kDepth>
LAMINA_INLINE TilePlace along_depth(int e) {
  constexpr int kRun = kDepth < 8 ? kDepth : 8;
  return {e / kRun % kOuter, e % kRun + e / (kRun * kOuter) * kRun};
}
template <int kOuter>
LAMINA_INLINE TilePlace along_outer(int e) {
  return {e % kOuter, e / kOuter};
}

// Threads as a grid over the tile, a warp as 4 × 8 of them, each with chunks of kChunk successive rows (columns),
// spread evenly: a warp then reads at most 8 different chunks, next to each other.
template <int kRows, int kCols>  // of threads
struct ThreadGrid {
  static_assert(kRows % 4 == 0 && kCols % 8 == 0);
  LAMINA_INLINE static int row(int thread) { return thread / 32 / (kCols / 8) * 4 + thread % 32 / 8; }
  LAMINA_INLINE static int col(int thread) { return thread / 32 % (kCols / 8) * 8 + thread % 8; }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
