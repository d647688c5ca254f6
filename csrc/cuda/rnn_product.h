// Products of a few rows with the recurrent weights: strict float32 or float64, or TF32 on the tensor cores. A block
// takes 16 rows of the batch and 32 columns, those of all gates of its units, so that the cell can follow at once. Its
// warps share out the terms and add up what each of them has in order. Weights come from memory or, in kernels that
// stay, from a slice that the block keeps; the sums are the same to the bit.
#pragma once
#include "cuda/launch.h"
#include "cuda/ptx.h"
#include "kernels/rnn.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kStepRows = 16, kStepThreads = 256, kStepWarps = kStepThreads / kWarp;

// Resident on a multiprocessor, for float: registers for two.
template <class T>
constexpr int kStepBlocks = sizeof(T) == 4 ? 2 : 1;

// Of a warp's tile of rows: pitches with which neither the exact product nor the tensor cores' fragments ask a bank
// twice. Columns of the gates' gradients are their own gate's, so theirs is a tile for every gate, of 8 terms.
template <class T>
constexpr int kRowPitch = sizeof(T) == 4 ? kWarp + 4 : kWarp;
template <class T>
constexpr int kRowTile = kStepRows* kRowPitch<T>;
constexpr int kReturnTerms = 8, kReturnPitch = kReturnTerms + 4, kReturnGate = kStepRows * kReturnPitch + 8;
constexpr int return_tile(int gates) { return gates * kReturnGate; }
template <class T>
constexpr int kLargestTile = return_tile(4) > kRowTile<T> ? return_tile(4) : kRowTile<T>;
constexpr int kSlicePitch = kWarp + 1;  // or all lanes that write one would ask the same bank

template <class T>
using SumsOfWarps = T[kStepWarps][kStepRows][kWarp];
template <class T>
union RowsShared {
  alignas(16) T rows[kStepWarps][kLargestTile<T>];
  SumsOfWarps<T> sums;
};
template <class T>
union StepShared {
  struct {
    alignas(16) T rows[kStepWarps][kRowTile<T>];
    T weight[kStepWarps][kWarp][kWarp + 1];
  } tiles;
  SumsOfWarps<T> sums;
};

// Units of a block whose columns are `blocks` to a unit: column c is block c / units of unit c % units.
constexpr int units_of_block(int blocks) { return kWarp / blocks; }
// Likewise where every gate has columns of its own: whole tiles of 8 of them.
constexpr int units_of_return(int gates, int blocks) { return kWarp / gates / 8 * 8 / blocks; }

inline std::int64_t row_groups(std::int64_t batch) { return (batch + kStepRows - 1) / kStepRows; }
inline Grid grid_of_units(std::int64_t batch, std::int64_t units, std::int64_t each) {
  return {(units + each - 1) / each, row_groups(batch)};
}
inline Grid step_grid(std::int64_t batch, std::int64_t units, int blocks) {
  return grid_of_units(batch, units, units_of_block(blocks));
}

// What a warp has of the sums, then those of the whole block: sum(row, column) after finish().
template <class T, bool tf32 = false>
struct StepSums {
  static_assert(!tf32 || sizeof(T) == 4);
  T mine[4][4] = {};  // rows of the lane's column; on the tensor cores the lane's part of four tiles of 8 columns
  SumsOfWarps<T>& all;

  LAMINA_KERNEL explicit StepSums(SumsOfWarps<T>& all) : all(all) {}
  LAMINA_KERNEL void finish(const Thread& t) {
    t.sync();  // the tiles have been read
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int r = 0; r < 4; ++r)
        if constexpr (tf32)
          all[t.warp()][MmaLanes::c_row(t.lane(), r)][8 * i + MmaLanes::c_col(t.lane(), r)] = mine[i][r];
        else
          all[t.warp()][4 * i + r][t.lane()] = mine[i][r];
    t.sync();
  }
  LAMINA_KERNEL T sum(int row, int column) const {
    T total = all[0][row][column];
#pragma unroll
    for (int w = 1; w < kStepWarps; ++w) total += all[w][row][column];
    return total;
  }
  // Terms 0 … terms - 1 of the tile: row(column, r) is where row r lies for a column, weight(column, k) its weight.
  template <int terms, class Row, class Weight>
  LAMINA_KERNEL void add(const Thread& t, Row row, Weight weight) {
    if constexpr (tf32) {
#pragma unroll 1
      for (int k = 0; k < terms; k += 8)
#pragma unroll
        for (int tile = 0; tile < 4; ++tile) {
          const auto bits = [](float x) { return to_tf32(__builtin_bit_cast(std::uint32_t, x)); };
          std::uint32_t a[4], b[2];
#pragma unroll
          for (int r = 0; r < 4; ++r)
            a[r] = bits(row(8 * tile, MmaLanes::a_row(t.lane(), r))[k + MmaLanes::a_word(t.lane(), r)]);
#pragma unroll
          for (int r = 0; r < 2; ++r)
            b[r] = bits(weight(8 * tile + MmaLanes::b_col(t.lane()), k + MmaLanes::b_word(t.lane(), r)));
          multiply_fragments<float>(t, mine[tile], a, b[0], b[1]);
        }
    } else {
      struct alignas(sizeof(T) == 4 ? 16 : 8) Four {
        T v[4];
      };
#pragma unroll 2
      for (int k = 0; k < terms; k += 4) {
        T w[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) w[i] = weight(t.lane(), k + i);
#pragma unroll
        for (int r = 0; r < kStepRows; ++r) {
          const Four x = *reinterpret_cast<const Four*>(row(t.lane(), r) + k);
#pragma unroll
          for (int i = 0; i < 4; ++i) mine[r / 4][r % 4] = fma(x.v[i], w[i], mine[r / 4][r % 4]);
        }
      }
    }
  }
};

// sum(row, column) = Σ a[row, k] weight[block · units + unit, k], of weights [blocks units, depth].
template <class T, int blocks, bool tf32 = false>
struct GateProduct {
  static constexpr int kUnits = units_of_block(blocks);
  const T *a, *weight;
  std::int64_t batch, units, depth;

  LAMINA_KERNEL T weight_at(int column, std::int64_t first_unit, std::int64_t k) const {
    const std::int64_t unit = first_unit + column % kUnits;
    const bool there = k < depth && column / kUnits < blocks && unit < units;
    return there ? weight[(column / kUnits * units + unit) * depth + k] : T(0);
  }
  // f(a tile of 32 rows' terms, the first of them) for all that are this warp's.
  template <class F>
  LAMINA_KERNEL void for_terms(const Thread& t, std::int64_t first_row, T* rows, F f) const {
    for (std::int64_t begin = t.warp() * kWarp; begin < depth; begin += kStepThreads) {
      const std::int64_t k = begin + t.lane();
#pragma unroll 8
      for (int r = 0; r < kStepRows; ++r)
        rows[r * kRowPitch<T> + t.lane()] = k < depth && first_row + r < batch ? a[(first_row + r) * depth + k] : T(0);
      f(begin);
      t.sync_warp();
    }
  }

  LAMINA_KERNEL void run(const Thread& t, std::int64_t first_unit, std::int64_t first_row, StepShared<T>& shared,
                         StepSums<T, tf32>& to) const {
    T* const rows = shared.tiles.rows[t.warp()];
    auto& columns = shared.tiles.weight[t.warp()];
    for_terms(t, first_row, rows, [&](std::int64_t begin) {
#pragma unroll 8
      for (int c = 0; c < kWarp; ++c) columns[c][t.lane()] = weight_at(c, first_unit, begin + t.lane());
      t.sync_warp();
      to.template add<kWarp>(
          t, [&](int, int r) { return rows + r * kRowPitch<T>; }, [&](int c, int k) { return columns[c][k]; });
    });
  }

  // The same with the block's weights kept: slice[k][column].
  static std::int64_t slice(std::int64_t depth) { return (depth + kWarp - 1) / kWarp * kWarp * kSlicePitch; }
  LAMINA_KERNEL void keep(const Thread& t, std::int64_t first_unit, T* slice) const {
    for (std::int64_t begin = 0; begin < depth; begin += kWarp)
      for (int c = t.warp(); c < kWarp; c += kStepWarps)
        slice[(begin + t.lane()) * kSlicePitch + c] = weight_at(c, first_unit, begin + t.lane());
  }
  LAMINA_KERNEL void run_kept(const Thread& t, std::int64_t first_row, RowsShared<T>& shared, const T* slice,
                              StepSums<T, tf32>& to) const {
    T* const rows = shared.rows[t.warp()];
    for_terms(t, first_row, rows, [&](std::int64_t begin) {
      const T* const from = slice + begin * kSlicePitch;
      t.sync_warp();
      to.template add<kWarp>(
          t, [&](int, int r) { return rows + r * kRowPitch<T>; },
          [&](int c, int k) { return from[k * kSlicePitch + c]; });
    });
  }
};

// Blocks of H columns in a matrix whose rows have `stored` of them.
struct GateColumns {
  int count, stored;
  int column[kProgramGates];
};

// What returns to what the gates saw, of weights [gates units, depth]: sum(row, column) = Σ over gates and units n of
// d[row, column of the gate, n] weight[gate · units + n, block · units + unit]. Each gate's part has columns of its
// own: a block then has few units and its slice of the weights is no larger than that of the way there.
template <class T, int gates, int blocks, bool tf32 = false>
struct ReturnProduct {
  static constexpr int kUnits = units_of_return(gates, blocks), kColumns = kUnits * blocks;  // of a gate
  const T *d, *weight;
  std::int64_t batch, units, depth;  // depth: from one row of the weights to the next
  const GateColumns& columns;

  LAMINA_KERNEL T weight_at(int column, std::int64_t first_unit, std::int64_t n) const {
    const int gate = column / kColumns, block = column % kColumns / kUnits;
    const std::int64_t unit = first_unit + column % kUnits;
    const bool there = n < units && gate < gates && unit < units;
    return there ? weight[(gate * units + n) * depth + block * units + unit] : T(0);
  }
  // Columns beyond those of the last gate are nobody's.
  LAMINA_KERNEL static int gate_of(int column) { return column / kColumns < gates ? column / kColumns : gates - 1; }

  template <class Weight>
  LAMINA_KERNEL void run(const Thread& t, std::int64_t first_row, RowsShared<T>& shared, StepSums<T, tf32>& to,
                         Weight weight_of) const {
    T* const rows = shared.rows[t.warp()];
    for (std::int64_t begin = t.warp() * kReturnTerms; begin < units; begin += kStepWarps * kReturnTerms) {
      const int term = t.lane() % kReturnTerms;
      const std::int64_t n = begin + term;
#pragma unroll
      for (int gate = 0; gate < gates; ++gate)
#pragma unroll
        for (int r = t.lane() / kReturnTerms; r < kStepRows; r += kWarp / kReturnTerms)
          rows[gate * kReturnGate + r * kReturnPitch + term] =
              n < units && first_row + r < batch
                  ? d[((first_row + r) * columns.stored + columns.column[gate]) * units + n]
                  : T(0);
      t.sync_warp();
      to.template add<kReturnTerms>(
          t, [&](int c, int r) { return rows + gate_of(c) * kReturnGate + r * kReturnPitch; },
          [&](int c, int k) { return weight_of(c, begin + k); });
      t.sync_warp();
    }
  }
  LAMINA_KERNEL void run(const Thread& t, std::int64_t first_unit, std::int64_t first_row, RowsShared<T>& shared,
                         StepSums<T, tf32>& to) const {
    run(t, first_row, shared, to, [&](int c, std::int64_t n) { return weight_at(c, first_unit, n); });
  }
  static std::int64_t slice(std::int64_t units) {
    return (units + kReturnTerms - 1) / kReturnTerms * kReturnTerms * kSlicePitch;
  }
  LAMINA_KERNEL void keep(const Thread& t, std::int64_t first_unit, T* slice) const {
    const std::int64_t padded = (units + kReturnTerms - 1) / kReturnTerms * kReturnTerms;
    for (std::int64_t n = t.warp(); n < padded; n += kStepWarps)
      slice[n * kSlicePitch + t.lane()] = weight_at(t.lane(), first_unit, n);
  }
  LAMINA_KERNEL void run_kept(const Thread& t, std::int64_t first_row, RowsShared<T>& shared, const T* slice,
                              StepSums<T, tf32>& to) const {
    run(t, first_row, shared, to, [&](int c, std::int64_t n) { return slice[n * kSlicePitch + c]; });
  }
  LAMINA_KERNEL static T sum(const StepSums<T, tf32>& sums, int row, int column) {
    T total = sums.sum(row, column);
#pragma unroll
    for (int gate = 1; gate < gates; ++gate) total += sums.sum(row, gate * kColumns + column);
    return total;
  }
};

// The same for any number of gates, one after the other, in the 32 columns of a block of one unit each.
template <class T, bool tf32 = false>
struct ReturnOfGates {
  const T *d, *weight;
  std::int64_t batch, units, depth;
  const GateColumns& gates;

  LAMINA_KERNEL void run(const Thread& t, std::int64_t first_unit, std::int64_t first_row, StepShared<T>& shared,
                         StepSums<T, tf32>& to) const {
    const std::int64_t chunks = (units + kWarp - 1) / kWarp;
    T* const rows = shared.tiles.rows[t.warp()];
    for (std::int64_t chunk = t.warp(); chunk < chunks * gates.count; chunk += kStepWarps) {
      const std::int64_t gate = chunk / chunks, begin = (chunk - gate * chunks) * kWarp, n = begin + t.lane();
#pragma unroll 8
      for (int r = 0; r < kStepRows; ++r)
        rows[r * kRowPitch<T> + t.lane()] = n < units && first_row + r < batch
                                                ? d[((first_row + r) * gates.stored + gates.column[gate]) * units + n]
                                                : T(0);
      t.sync_warp();
      const T* const from = weight + (gate * units + begin) * depth + first_unit;
      to.template add<kWarp>(
          t, [&](int, int r) { return rows + r * kRowPitch<T>; },
          [&](int c, int k) { return first_unit + c < units && begin + k < units ? from[k * depth + c] : T(0); });
      t.sync_warp();
    }
  }
};

// body(row of the batch, unit, row of the block, its first column) for `each` units of a block.
template <int each, class Body>
LAMINA_KERNEL void for_units(const Thread& t, std::int64_t first_unit, std::int64_t first_row, std::int64_t batch,
                             std::int64_t units, Body body) {
  for (int i = t.thread(); i < kStepRows * each; i += kStepThreads) {
    const std::int64_t row = first_row + i / each, unit = first_unit + i % each;
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
