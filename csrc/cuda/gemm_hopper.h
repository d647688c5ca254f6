// Matrix products of bfloat16 on Hopper: blocks that stay and take tile after tile. One warp has the copy engine fill a
// ring of stages, two warpgroups multiply what has landed, 64 × 256 sums each, and write their results while the next
// tile's stages are being filled. For A[m, k] and B[k, n] that are both contiguous along k, as a layer's input and
// weight.
#pragma once
#include "cuda/gemm_product.h"
#include "cuda/hopper_ptx.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct HopperProduct {
  static constexpr int kRows = 128, kCols = 256, kDepth = 64, kStages = 4, kConsumers = 2;
  static constexpr int kThreads = 128 * (1 + kConsumers);
  static constexpr bool kCollective = true;
  static constexpr int kStageBytes = (kRows + kCols) * kDepth * 2;

  struct Ring {
    struct Stage {
      alignas(1024) bfloat16 a[kRows * kDepth];  // the swizzle counts from multiples of 1024 bytes
      alignas(1024) bfloat16 b[kCols * kDepth];
    } stages[kStages];
    std::uint64_t full[kStages], empty[kStages];
  };
  // A launch aligns shared memory to 16 bytes for certain: the ring begins on the next multiple of 1024.
  struct Shared {
    char bytes[sizeof(Ring) + 1024];
  };

  TensorMap a, b;
  TileOrder order;
  int tiles, m, n, k;
  Output<bfloat16, StridedMap> out;

  void set(const GemmArgs& g) {  // all but the maps
    const std::int64_t rows = tiles_in(g.m, kRows), cols = tiles_in(g.n, kCols);
    order = TileOrder(rows, cols);
    tiles = static_cast<int>(rows * cols);
    m = static_cast<int>(g.m);
    n = static_cast<int>(g.n);
    k = static_cast<int>(g.k);
    out = {};
    out.c = static_cast<bfloat16*>(g.c.data);
    out.bias = static_cast<const bfloat16*>(g.bias.data);
    out.map = {g.c.row, g.c.col};
    out.bias_map = {g.bias.row, g.bias.col};
    out.alpha = static_cast<float>(g.alpha);
    out.relu = g.activation == UnaryOp::relu;
  }

  LAMINA_KERNEL void operator()(const Thread& t) const {
    char* const memory = t.shared<HopperProduct>().bytes;
    Ring& shared = *reinterpret_cast<Ring*>(memory + (1024 - shared_address(memory) % 1024) % 1024);
    if (t.thread() == 0) {
      for (int s = 0; s < kStages; ++s) {
        barrier_init(&shared.full[s], 1);
        barrier_init(&shared.empty[s], 4 * kConsumers);  // a lane of every warp that multiplies
      }
      barriers_ready();
    }
    t.sync();
    if (t.thread() < 128)
      produce(t, shared);
    else
      consume(t, shared, t.thread() / 128 - 1);
  }

 private:
  LAMINA_IN_KERNEL void produce(const Thread& t, Ring& shared) const {
    give_registers<40>();
    if (t.thread() != 0) return;
    prefetch_map(&a);
    prefetch_map(&b);
    RingPlace<kStages> place;
    for (int tile = t.block(); tile < tiles; tile += t.blocks()) {
      int row, col;
      order.at(tile, row, col);
      for (int depth = 0; depth < k; depth += kDepth, place.step()) {
        barrier_wait(&shared.empty[place.stage], place.parity ^ 1);  // at first nobody has it: the phase before is over
        barrier_arrive_expecting(&shared.full[place.stage], kStageBytes);
        copy_box(shared.stages[place.stage].a, &a, depth, row * kRows, &shared.full[place.stage]);
        copy_box(shared.stages[place.stage].b, &b, depth, col * kCols, &shared.full[place.stage]);
      }
    }
  }

  LAMINA_IN_KERNEL void consume(const Thread& t, Ring& shared, int group) const {
    take_registers<232>();
    RingPlace<kStages> place;
    for (int tile = t.block(); tile < tiles; tile += t.blocks()) {
      int row, col;
      order.at(tile, row, col);
      float sums[128];
      int before = -1;  // the stage whose products may still be running
      for (int depth = 0; depth < k; depth += kDepth, place.step()) {
        barrier_wait(&shared.full[place.stage], place.parity);
        const std::uint64_t from_a =
            swizzled_descriptor(shared_address(shared.stages[place.stage].a) + group * 64 * kSwizzleRow);
        const std::uint64_t from_b = swizzled_descriptor(shared_address(shared.stages[place.stage].b));
        wgmma_begin();
#pragma unroll
        for (int step = 0; step < kDepth / 16; ++step)
          wgmma_64x256x16(sums, advanced(from_a, 32 * step), advanced(from_b, 32 * step), depth > 0 || step > 0,
                          t.thread() % 128, &shared);
        wgmma_commit();
        wgmma_wait<1>();
        if (before >= 0 && t.lane() == 0) barrier_arrive(&shared.empty[before]);
        before = place.stage;
      }
      wgmma_wait<0>();
      if (t.lane() == 0) barrier_arrive(&shared.empty[before]);
      put(t, sums, row * kRows + group * 64, col * kCols);
    }
  }

  LAMINA_IN_KERNEL void put(const Thread& t, const float (&sums)[128], int row, int col) const {
    const int thread = t.thread() % 128;
#pragma unroll
    for (int r = 0; r < 128; r += 2) {
      const int i = row + WgmmaLanes::row(thread, r), j = col + WgmmaLanes::col(thread, r);
      if (i >= m || j >= n) continue;
      float x = out.alpha * sums[r], y = out.alpha * sums[r + 1];
      if (out.bias) {
        x += widened(out.bias[out.bias_map.at(i, j)]);
        if (j + 1 < n) y += widened(out.bias[out.bias_map.at(i, j + 1)]);
      }
      if (out.relu) {
        x = x < 0 ? 0 : x;
        y = y < 0 ? 0 : y;
      }
      bfloat16* const to = out.c + out.map.at(i, j);
      if (j + 1 < n) {
        const std::uint32_t low = narrowed<bfloat16>(x).bits, high = narrowed<bfloat16>(y).bits;
        *reinterpret_cast<std::uint32_t*>(to) = low | high << 16;
      } else {
        *to = narrowed<bfloat16>(x);
      }
    }
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
