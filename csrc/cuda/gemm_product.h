// The kernel of every tiled product: matrices and convolutions differ in their sources and in the map of the result,
// types in the core.
#pragma once
#include "cuda/gemm_output.h"
#include "cuda/gemm_source.h"
#include "cuda/tile_order.h"
#include "kernels/gemm.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Where each matrix of a batch begins. Dimensions run outermost first.
struct BatchOffsets {
  struct Of {
    std::int64_t a = 0, b = 0, c = 0, d = 0, bias = 0;
  };
  int ndim = 0;
  Divisor size[kGemmBatchDims];
  Of stride[kGemmBatchDims];

  LAMINA_IN_KERNEL Of at(int index) const {
    Of sum;
    for (int i = ndim - 1; i >= 0; --i) {
      int within;
      size[i].divmod(index, index, within);
      sum.a += within * stride[i].a;
      sum.b += within * stride[i].b;
      sum.c += within * stride[i].c;
      sum.d += within * stride[i].d;
      sum.bias += within * stride[i].bias;
    }
    return sum;
  }
};

// Blocks count tiles of C first, then parts of the sum, then matrices.
struct ProductShape {
  int m = 0, n = 0, k = 0;
  int part_length = 0;  // of k
  Divisor tiles, parts;
  TileOrder order;
  BatchOffsets batch;
};

template <class Core, class SourceA, class SourceB, class Map>
struct TileProduct {
  using T = typename Core::T;
  using Compute = typename Core::Compute;
  using TileA = typename Core::template TileA<SourceA>;
  using TileB = typename Core::template TileB<SourceB>;
  static constexpr int kThreads = Core::kThreads, kMinBlocks = Core::kMinBlocks, kStages = Core::kStages;
  static constexpr bool kCollective = true;
  union Shared {
    struct Stage {
      alignas(128) T a[TileA::kElements];
      alignas(128) T b[TileB::kElements];
    } stages[kStages];
    alignas(128) Compute finished[Core::kRows * Core::kPitch];
  };

  ProductShape shape;
  SourceA a;
  SourceB b;
  Output<T, Map> out;
  Compute* parts = nullptr;  // [matrix][part][m][n] sums, where k is cut; then `out` is of no use here

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.template shared<TileProduct>();
    const Place place(shape, t.block());
    const int begin = place.part * shape.part_length, end = clamped(begin + shape.part_length, shape.k);
    const BatchOffsets::Of offset = shape.batch.at(place.matrix);

    Core core(t);
    const auto from_a = a.template loader<TileA, kThreads>(offset.a, place.row, t.thread());
    const auto from_b = b.template loader<TileB, kThreads>(offset.b, place.col, t.thread());
    AsyncCopies copies;
    const auto fetch = [&](int depth, int stage) {
      if (depth < end) {
        from_a.fetch(copies, shared.stages[stage].a, t.thread(), depth, end);
        from_b.fetch(copies, shared.stages[stage].b, t.thread(), depth, end);
      }
      copies.commit();
    };
    for (int stage = 0; stage < kStages - 1; ++stage) fetch(begin + stage * Core::kDepth, stage);
    int stage = 0, free_stage = kStages - 1;
    for (int depth = begin; depth < end; depth += Core::kDepth) {
      copies.wait<kStages - 2>();
      t.sync();  // this stage has landed for all, and all have read the stage before it
      fetch(depth + (kStages - 1) * Core::kDepth, free_stage);
      core.template multiply<SourceA, SourceB>(t, shared.stages[stage].a, shared.stages[stage].b);
      free_stage = stage;
      stage = stage + 1 == kStages ? 0 : stage + 1;
    }
    copies.wait<0>();
    t.sync();
    core.store(t, shared.finished);
    t.sync();
    put(t, shared.finished);
  }

 private:
  struct Place {
    int matrix, part, row, col;
    LAMINA_IN_KERNEL Place(const ProductShape& shape, int block) {
      int index, tile;
      shape.tiles.divmod(block, index, tile);
      shape.parts.divmod(index, matrix, part);
      shape.order.at(tile, row, col);
      row *= Core::kRows;
      col *= Core::kCols;
    }
  };

  LAMINA_IN_KERNEL void put(const Thread& t, const Compute* finished) const {
    const Place place(shape, forgotten(t.block()));
    const BatchOffsets::Of offset = shape.batch.at(place.matrix);
    const int row = place.row, col = place.col;
    const int rows = clamped(shape.m - row, Core::kRows), cols = clamped(shape.n - col, Core::kCols);
    const bool down = !parts && out.down;
    const std::int64_t slab = static_cast<std::int64_t>(place.matrix) * shape.parts.value + place.part;
    Compute* const sums = parts ? parts + slab * shape.m * shape.n : nullptr;
#pragma unroll 1
    for (int e = t.thread(); e < Core::kRows * Core::kCols; e += kThreads) {
      const int i = down ? e % Core::kRows : e / Core::kCols, j = down ? e / Core::kRows : e % Core::kCols;
      if (i >= rows || j >= cols) continue;
      const Compute sum = finished[i * Core::kPitch + j];
      if (parts)
        sums[static_cast<std::int64_t>(row + i) * shape.n + col + j] = sum;
      else
        out.put(offset.c, offset.d, offset.bias, row + i, col + j, sum);
    }
  }
};

// The parts of every sum, added in their order.
template <class T, class Map>
struct SumParts {
  using Compute = typename Output<T, Map>::Compute;
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;

  const Compute* parts;
  int count;
  std::int64_t elements, size;  // of all matrices; of one
  Divisor cols, one;            // one: size
  BatchOffsets batch;
  Output<T, Map> out;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t e = t.global();
    if (e >= elements) return;
    int matrix, within, row, col;
    one.divmod(static_cast<int>(e), matrix, within);
    cols.divmod(within, row, col);
    const Compute* p = parts + matrix * count * size + within;
    Compute sum = 0;
    for (int i = 0; i < count; ++i, p += size) sum += *p;
    const BatchOffsets::Of offset = batch.at(matrix);
    out.put(offset.c, offset.d, offset.bias, row, col, sum);
  }
};

// ---- at the host ----

// Everything about a product but its types.
template <class T, class Map>
struct Product {
  std::int64_t m = 0, n = 0, k = 0, matrices = 1;
  BatchOffsets batch;
  Output<T, Map> out;
};

// How the sum is cut. No more parts than 64 MiB of float32 hold.
template <class Core, class T, class Map>
SplitDepth split_of(const Product<T, Map>& p) {
  constexpr std::int64_t kMostSums = std::int64_t{1} << 24;
  const std::int64_t tiles = tiles_in(p.m, Core::kRows) * tiles_in(p.n, Core::kCols) * p.matrices;
  return SplitDepth::of(p.k, Core::kDepth, tiles, kMostSums / (p.m * p.n * p.matrices));
}
template <class Core, class T, class Map>
std::int64_t blocks_of(const Product<T, Map>& p) {
  return tiles_in(p.m, Core::kRows) * tiles_in(p.n, Core::kCols) * p.matrices * split_of<Core>(p).parts;
}
template <class Core, class T, class Map>
std::size_t parts_bytes(const Product<T, Map>& p) {
  const std::int64_t parts = split_of<Core>(p).parts;
  return parts == 1 ? 0 : static_cast<std::size_t>(parts * p.m * p.n * p.matrices) * sizeof(typename Core::Compute);
}

// `parts`: parts_bytes of device memory, or null: the sum is not cut.
template <class Core, class SourceA, class SourceB, class T, class Map>
void launch_product(const char* op, const Product<T, Map>& p, const SourceA& a, const SourceB& b, void* parts) {
  using Kernel = TileProduct<Core, SourceA, SourceB, Map>;
  using Compute = typename Core::Compute;
  const SplitDepth split = parts ? split_of<Core>(p) : SplitDepth{1, p.k};
  const std::int64_t tile_rows = tiles_in(p.m, Core::kRows), tile_cols = tiles_in(p.n, Core::kCols);
  const std::int64_t blocks = tile_rows * tile_cols * split.parts * p.matrices;
  if (blocks > kLargestIndex) return cuda_runtime::note(op, cuda_runtime::kTooManyElements);
  Kernel kernel;
  kernel.shape = {static_cast<int>(p.m),           static_cast<int>(p.n),
                  static_cast<int>(p.k),           static_cast<int>(split.length),
                  Divisor(tile_rows * tile_cols),  Divisor(split.parts),
                  TileOrder(tile_rows, tile_cols), p.batch};
  kernel.a = a;
  kernel.b = b;
  kernel.out = p.out;
  kernel.parts = split.parts > 1 ? static_cast<Compute*>(parts) : nullptr;
  launch(op, {blocks}, kernel);
  if (split.parts == 1) return;
  SumParts<T, Map> sum;
  sum.parts = kernel.parts;
  sum.count = static_cast<int>(split.parts);
  sum.size = p.m * p.n;
  sum.elements = sum.size * p.matrices;
  sum.cols = Divisor(p.n);
  sum.one = Divisor(sum.size);
  sum.batch = p.batch;
  sum.out = p.out;
  launch(op, grid_for(sum.elements, SumParts<T, Map>::kThreads), sum);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
