// Hopper's kernel run on the CPU, with the meaning of its instructions as the manuals tell it, against float64; and the
// arithmetic of its layouts.
#include <algorithm>
#include <set>

#include "cuda/gemm_hopper.h"
#include "cuda_stand_in.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

void test_layouts() {
  std::set<int> seen;
  for (int row = 0; row < 256; ++row)
    for (int byte = 0; byte < kSwizzleRow; ++byte) {
      const int at = swizzled_128(row, byte);
      check(at / kSwizzleRow == row && seen.insert(at).second, "swizzle stays in its row", row, byte);
      check(at % 16 == byte % 16, "chunks stay whole", row, byte);
    }
  for (int first = 0; first < 256; first += 8)
    for (int chunk = 0; chunk < 8; ++chunk) {
      std::set<int> banks;
      for (int row = first; row < first + 8; ++row) banks.insert(swizzled_128(row, 16 * chunk) / 16 % 8);
      check(banks.size() == 8, "a column of chunks without conflicts", first, chunk);
    }
  for (const std::uint32_t address : {0u, 1024u, 8192u, 0x33c00u}) {
    const std::uint64_t d = swizzled_descriptor(address);
    check((d & 0x3fff) == address / 16 && (d >> 32 & 0x3fff) == 64 && d >> 62 == 1 && (d >> 46 & 0xffff) == 0,
          "descriptor", address);
    check(advanced(d, 32) - d == 2, "a step along k", address);
  }
  std::set<std::pair<int, int>> sums;
  for (int thread = 0; thread < 128; ++thread)
    for (int r = 0; r < 128; ++r) {
      check(WgmmaLanes::row(thread, r) / 16 == thread / 32, "a warp has 16 rows", thread, r);
      sums.insert({WgmmaLanes::row(thread, r), WgmmaLanes::col(thread, r)});
    }
  check(sums.size() == 64 * 256 && sums.rbegin()->first == 63, "sums cover 64 × 256");
  check(mappable(32, 5, 7, 8) && !mappable(8, 5, 7, 8) && !mappable(32, 5, 7, 7) && !mappable(32, 0, 7, 8), "mappable");
}

TensorMap map_of(const Guarded<bfloat16>& x, std::int64_t outer, std::int64_t depth, std::int64_t stride, int rows) {
  return {x.data, {depth, outer}, stride, {HopperProduct::kDepth, rows}};
}

void test_product(Random& random, int m, int n, int k, int blocks) {
  const std::int64_t stride = (k + 7) / 8 * 8 + 8 * random.below(2), c_stride = n + n % 2;
  Guarded<bfloat16> a((m - 1) * stride + k), b((n - 1) * stride + k), c((m - 1) * c_stride + n), bias(n);
  for (auto* x : {&a, &b, &bias})
    for (std::int64_t i = 0; i < x->size; ++i) x->data[i] = float_to_brain(static_cast<float>(random.number()));
  GemmArgs g;
  g.m = m;
  g.n = n;
  g.k = k;
  g.alpha = 0.5;
  g.c = {c.data, c_stride, 1, {}};
  const bool with_bias = random.below(2), relu = random.below(2);
  if (with_bias) g.bias = {bias.data, 0, 1, {}};
  if (relu) g.activation = UnaryOp::relu;
  HopperProduct kernel;
  kernel.a = map_of(a, m, k, stride, HopperProduct::kRows);
  kernel.b = map_of(b, n, k, stride, HopperProduct::kCols);
  kernel.set(g);
  launch("test", {static_cast<unsigned>(std::min(blocks, kernel.tiles))}, kernel);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double want = 0;
      for (int d = 0; d < k; ++d)
        want +=
            0.5 * static_cast<double>(brain_to_float(a.data[i * stride + d])) * brain_to_float(b.data[j * stride + d]);
      if (with_bias) want += brain_to_float(bias.data[j]);
      if (relu && want < 0) want = 0;
      const double got = brain_to_float(c.data[i * c_stride + j]);
      check(std::fabs(got - want) <= 0x1p-8 * std::fabs(want) + 1e-5 * k, "product", m, n, k, blocks, i, j, got, want);
    }
    if (c_stride > n && i + 1 < m) check(c.data[i * c_stride + n].bits == 0xffff, "a gap was written to", m, n, i);
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

int main(int argc, char** argv) {
  using namespace lamina::LAMINA_TARGET;
  Random random{argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1};
  test_layouts();
  test_product(random, 1, 1, 1, 1);
  test_product(random, 128, 256, 64, 1);
  test_product(random, 131, 259, 100, 1);
  test_product(random, 200, 300, 330, 3);
  check(lamina::cuda_runtime::noted == 0, "an error was noted", lamina::cuda_runtime::noted);
  return failures != 0;
}
