// Products of a few rows with the recurrent weights, strict float32 or float64. A block takes 16 rows of the batch and
// 32 columns, those of all gates of its units, so that the cell can follow at once. Its warps share out the terms, 32
// at a time, and add up what each of them has in order.
#pragma once
#include "cuda/launch.h"
#include "kernels/rnn.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kStepRows = 16, kStepThreads = 256, kStepWarps = kStepThreads / kWarp;

// Resident on a multiprocessor, for float: registers for two.
template <class T>
constexpr int kStepBlocks = sizeof(T) == 4 ? 2 : 1;

template <class T>
union StepShared {
  struct {
    T rows[kStepWarps][kStepRows][kWarp];
    T weight[kStepWarps][kWarp][kWarp + 1];  // of forward; one more, or all lanes would ask the same bank
  } tiles;
  T sums[kStepWarps][kStepRows][kWarp];
};

// Units of a block whose columns are `blocks` to a unit: column c is block c / units of unit c % units.
constexpr int units_of_block(int blocks) { return kWarp / blocks; }

inline Grid step_grid(std::int64_t batch, std::int64_t units, int blocks) {
  const std::int64_t each = units_of_block(blocks);
  return {static_cast<unsigned>((units + each - 1) / each), static_cast<unsigned>((batch + kStepRows - 1) / kStepRows)};
}

// What a warp has of the sums, then those of the whole block: sum(row, column) after finish().
template <class T>
struct StepSums {
  T mine[kStepRows] = {};
  StepShared<T>& shared;

  LAMINA_KERNEL explicit StepSums(StepShared<T>& shared) : shared(shared) {}
  LAMINA_KERNEL void finish(const Thread& t) {
    t.sync();  // the tiles have been read
#pragma unroll
    for (int r = 0; r < kStepRows; ++r) shared.sums[t.warp()][r][t.lane()] = mine[r];
    t.sync();
  }
  LAMINA_KERNEL T sum(int row, int column) const {
    T total = shared.sums[0][row][column];
#pragma unroll
    for (int w = 1; w < kStepWarps; ++w) total += shared.sums[w][row][column];
    return total;
  }
  // 32 terms: rows of the tile times what weight(k) is for this lane's column.
  template <class Weight>
  LAMINA_KERNEL void add(const T (&rows)[kStepRows][kWarp], Weight weight) {
#pragma unroll 2
    for (int k = 0; k < kWarp; k += 4) {
      T w[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) w[i] = weight(k + i);
#pragma unroll
      for (int r = 0; r < kStepRows; ++r)
#pragma unroll
        for (int i = 0; i < 4; ++i) mine[r] = fma(rows[r][k + i], w[i], mine[r]);
    }
  }
};

// sum(row, column) = Σ a[row, k] weight[block · units + unit, k], of weights [blocks units, depth].
template <class T, int blocks>
struct GateProduct {
  const T *a, *weight;
  std::int64_t batch, units, depth;

  LAMINA_KERNEL void run(const Thread& t, StepSums<T>& to) const {
    constexpr int each = units_of_block(blocks);
    const std::int64_t first_row = static_cast<std::int64_t>(t.template block<1>()) * kStepRows,
                       first_unit = static_cast<std::int64_t>(t.block()) * each;
    auto& rows = to.shared.tiles.rows[t.warp()];
    auto& columns = to.shared.tiles.weight[t.warp()];
    for (std::int64_t begin = t.warp() * kWarp; begin < depth; begin += kStepThreads) {
      const std::int64_t k = begin + t.lane();
#pragma unroll 8
      for (int r = 0; r < kStepRows; ++r)
        rows[r][t.lane()] = k < depth && first_row + r < batch ? a[(first_row + r) * depth + k] : T(0);
#pragma unroll 8
      for (int c = 0; c < kWarp; ++c) {
        const std::int64_t unit = first_unit + c % each;
        const bool there = k < depth && c / each < blocks && unit < units;
        columns[c][t.lane()] = there ? weight[(c / each * units + unit) * depth + k] : T(0);
      }
      t.sync_warp();
      to.add(rows, [&](int i) { return columns[t.lane()][i]; });
      t.sync_warp();
    }
  }
};

// Blocks of H columns in a matrix whose rows have `stored` of them.
struct GateColumns {
  int count, stored;
  int column[kProgramGates];
};

// sum(row, column) = Σ over gates and units n of d[row, column of the gate, n] weight[gate · units + n, block · units +
// unit]: what returns to what the gates saw, of weights [gates units, depth].
template <class T, int blocks>
struct ReturnProduct {
  const T *d, *weight;
  std::int64_t batch, units, depth;  // depth: from one row of the weights to the next
  const GateColumns& gates;

  LAMINA_KERNEL void run(const Thread& t, StepSums<T>& to) const {
    constexpr int each = units_of_block(blocks);
    const std::int64_t first_row = static_cast<std::int64_t>(t.template block<1>()) * kStepRows,
                       unit = static_cast<std::int64_t>(t.block()) * each + t.lane() % each;
    const bool there = t.lane() / each < blocks && unit < units;
    const std::int64_t column = t.lane() / each * units + unit, chunks = (units + kWarp - 1) / kWarp;
    auto& rows = to.shared.tiles.rows[t.warp()];
    for (std::int64_t chunk = t.warp(); chunk < chunks * gates.count; chunk += kStepWarps) {
      const std::int64_t gate = chunk / chunks, begin = (chunk - gate * chunks) * kWarp, n = begin + t.lane();
#pragma unroll 8
      for (int r = 0; r < kStepRows; ++r)
        rows[r][t.lane()] = n < units && first_row + r < batch
                                ? d[((first_row + r) * gates.stored + gates.column[gate]) * units + n]
                                : T(0);
      t.sync_warp();
      const T* const from = weight + (gate * units + begin) * depth + column;
      to.add(rows, [&](int i) { return there && begin + i < units ? from[i * depth] : T(0); });
      t.sync_warp();
    }
  }
};

// body(row of the batch, unit, row of the block, its first column) for the units of a block; columns of a unit are
// units_of_block apart.
template <int blocks, class Body>
LAMINA_KERNEL void for_block_units(const Thread& t, std::int64_t batch, std::int64_t units, Body body) {
  constexpr int each = units_of_block(blocks);
  for (int i = t.thread(); i < kStepRows * each; i += kStepThreads) {
    const std::int64_t row = static_cast<std::int64_t>(t.template block<1>()) * kStepRows + i / each,
                       unit = static_cast<std::int64_t>(t.block()) * each + i % each;
    if (row < batch && unit < units) body(row, unit, i / each, i % each);
  }
}

// How far a state moves to what the cell gives.
template <class T>
struct Movement {
  bool all_the_way;
  T part;
  LAMINA_INLINE Movement(double rate, const void* moves, std::int64_t at)
      : all_the_way(rate == 1 && !moves),
        part(moves ? static_cast<T>(rate) * static_cast<const T*>(moves)[at] : static_cast<T>(rate)) {}
  LAMINA_INLINE Vec<T> moved(Vec<T> before, Vec<T> fresh) const {
    return all_the_way ? fresh : fma(Vec<T>(part), fresh - before, before);
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
