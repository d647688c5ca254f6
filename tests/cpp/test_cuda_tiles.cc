// Index arithmetic of the CUDA kernels against brute force: division, tile order, splits, layouts of shared memory
// (bank conflicts are counted), and the lanes of tensor-core fragments.
#include <set>
#include <utility>

#include "check.h"
#include "cuda/divide.h"
#include "cuda/tile_layout.h"
#include "cuda/tile_order.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

uint64_t state = 1;
int random_below(int64_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<int>((state >> 33) % static_cast<uint64_t>(n));
}

void test_divisor() {
  const auto one = [](int x, int d) {
    int quotient, rest;
    Divisor(d).divmod(x, quotient, rest);
    check(quotient == x / d && rest == x % d, "divide", x, d, quotient, rest);
  };
  constexpr int kLast = 0x7fffffff;
  for (int d = 1; d < 2000; ++d) {
    for (int x = 0; x < 2000; ++x) one(x, d);
    for (int i = 0; i < 50; ++i) one(random_below(int64_t{kLast} + 1), d);
    for (const int x : {kLast, kLast - 1, kLast / d * d, kLast / d * d - 1}) one(x, d);
  }
  for (int bit = 0; bit < 31; ++bit)
    for (int d = -2; d <= 2; ++d) {
      const int64_t divisor = (int64_t{1} << bit) + d;
      if (divisor < 1 || divisor > kLast) continue;
      for (int i = 0; i < 5000; ++i) one(random_below(int64_t{kLast} + 1), static_cast<int>(divisor));
      for (int64_t x = kLast; x > kLast - 4; --x) one(static_cast<int>(x), static_cast<int>(divisor));
    }
  for (int i = 0; i < 1000000; ++i) one(random_below(int64_t{kLast} + 1), 1 + random_below(kLast));
}

// Every tile once; and while the blocks of a bundle run, few different panels are read.
void test_tile_order() {
  for (int rows = 1; rows < 40; ++rows)
    for (int cols = 1; cols < 20; ++cols) {
      const TileOrder order(rows, cols);
      std::set<std::pair<int, int>> seen;
      for (int i = 0; i < rows * cols; ++i) {
        int row, col;
        order.at(i, row, col);
        check(row >= 0 && row < rows && col >= 0 && col < cols, "tile within", rows, cols, i, row, col);
        check(seen.insert({row, col}).second, "tile once", rows, cols, i);
      }
    }
  const TileOrder order(64, 64);
  std::set<int> panels;
  for (int i = 0; i < 64; ++i) {
    int row, col;
    order.at(i, row, col);
    panels.insert(row);
    panels.insert(1000 + col);
  }
  check(panels.size() == 16, "64 blocks read 8 panels of either side", panels.size());
}

void test_split() {
  for (int k = 0; k < 70000; k = k < 2000 ? k + 1 : k * 5 / 4)
    for (const int depth : {8, 16, 32, 64})
      for (const int tiles : {1, 2, 7, 100, 264, 5000}) {
        const SplitDepth s = SplitDepth::of(k, depth, tiles);
        check(s.parts >= 1 && s.parts <= SplitDepth::kMostParts, "parts", k, depth, tiles, s.parts);
        if (k == 0) continue;
        check(s.length % depth == 0 || s.parts == 1, "length", k, depth, tiles, s.length);
        check((s.parts - 1) * s.length < k && s.parts * s.length >= k, "parts cover k", k, depth, tiles, s.parts);
      }
}

// ---- shared memory ----

// How often the worst bank is used by lanes that want different 4-byte words of it.
int conflicts(const std::vector<int>& words) {
  std::set<int> banks[32];
  size_t worst = 0;
  for (const int word : words) {
    banks[word % 32].insert(word);
    worst = std::max(worst, banks[word % 32].size());
  }
  return static_cast<int>(worst);
}

template <int kChunks>
void test_swizzle() {
  std::set<int> seen;
  for (int row = 0; row < 64; ++row)
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const int at = swizzled<kChunks>(row, chunk);
      check(at / kChunks == row && seen.insert(at).second, "swizzle stays in its row", kChunks, row, chunk);
    }
  for (int first = 0; first < 64; first += 8)  // ldmatrix: 8 rows, one chunk
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      std::vector<int> words;
      for (int lane = 0; lane < 8; ++lane)
        for (int w = 0; w < 4; ++w) words.push_back(swizzled<kChunks>(first + lane, chunk) * 4 + w);
      check(conflicts(words) == 1, "ldmatrix without conflicts", kChunks, first, chunk);
    }
  for (int first = 0; first < 64 * kChunks; first += 8) {  // a copy: 8 successive chunks
    std::vector<int> words;
    for (int lane = 0; lane < 8; ++lane)
      for (int w = 0; w < 4; ++w)
        words.push_back(swizzled<kChunks>((first + lane) / kChunks, (first + lane) % kChunks) * 4 + w);
    check(conflicts(words) == 1, "copy without conflicts", kChunks, first);
  }
}

// TF32 from memory that is contiguous along the outer index: single words, 8 rows × 4 words a warp.
template <int kChunks>
void test_swizzled_words() {
  for (int first = 0; first < 64; first += 8)
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      std::vector<int> words;
      for (int lane = 0; lane < 32; ++lane) words.push_back(swizzled<kChunks>(first + lane % 8, chunk) * 4 + lane / 8);
      check(conflicts(words) == 1, "words without conflicts", kChunks, first, chunk);
    }
}

template <class T, int kOuter, int kDepth>
void test_padded() {
  using Tile = PaddedTile<T, kOuter, kDepth>;
  constexpr int kWords = sizeof(T) / 4, kElements = kOuter * kDepth;
  std::set<int> seen, by_depth, by_outer;
  for (int o = 0; o < kOuter; ++o)
    for (int d = 0; d < kDepth; ++d) check(seen.insert(Tile::at(o, d)).second, "padded tile", o, d);
  check(*seen.rbegin() < Tile::kElements, "padded tile's size");
  for (int e = 0; e < kElements; ++e) {
    const TilePlace p = along_depth<kOuter, kDepth>(e), q = along_outer<kOuter>(e);
    check(p.outer < kOuter && p.depth < kDepth && by_depth.insert(Tile::at(p.outer, p.depth)).second, "along depth", e);
    check(q.outer < kOuter && q.depth < kDepth && by_outer.insert(Tile::at(q.outer, q.depth)).second, "along outer", e);
  }
  constexpr int kLanes = 32 / kWords;  // 8-byte stores go by halves of a warp
  for (int e = 0; e < kElements; e += kLanes)
    for (const bool depth : {false, true}) {
      std::vector<int> words;
      for (int lane = 0; lane < kLanes; ++lane) {
        const TilePlace p = depth ? along_depth<kOuter, kDepth>(e + lane) : along_outer<kOuter>(e + lane);
        for (int w = 0; w < kWords; ++w) words.push_back(Tile::at(p.outer, p.depth) * kWords + w);
      }
      check(conflicts(words) == 1, "stores to a padded tile", sizeof(T), kOuter, kDepth, e, depth);
    }
}

template <int kRows, int kCols>
void test_thread_grid() {
  using Grid = ThreadGrid<kRows, kCols>;
  std::set<std::pair<int, int>> seen;
  for (int t = 0; t < kRows * kCols; ++t) {
    const int row = Grid::row(t), col = Grid::col(t);
    check(row < kRows && col < kCols && seen.insert({row, col}).second, "thread grid", kRows, kCols, t);
  }
  for (int warp = 0; warp < kRows * kCols; warp += 32) {  // each lane reads 16 bytes of its row, then of its column
    std::vector<int> rows, cols;
    for (int lane = 0; lane < 32; ++lane)
      for (int w = 0; w < 4; ++w) {
        rows.push_back(Grid::row(warp + lane) * 4 + w);
        cols.push_back(Grid::col(warp + lane) * 4 + w);
      }
    check(conflicts(rows) == 1 && conflicts(cols) == 1, "fragments without conflicts", kRows, kCols, warp);
  }
}

// ---- tensor cores ----

void test_fragments() {
  std::set<std::pair<int, int>> a, b, c;
  for (int lane = 0; lane < 32; ++lane) {
    for (int r = 0; r < 4; ++r) {
      a.insert({MmaLanes::a_row(lane, r), MmaLanes::a_word(lane, r)});
      c.insert({MmaLanes::c_row(lane, r), MmaLanes::c_col(lane, r)});
    }
    for (int r = 0; r < 2; ++r) b.insert({MmaLanes::b_word(lane, r), MmaLanes::b_col(lane)});
  }
  check(a.size() == 128 && a.rbegin()->first == 15 && b.size() == 64 && c.size() == 128, "fragments cover their tiles");
  // What ldmatrix leaves in a register is what mma.sync expects there.
  for (int lane = 0; lane < 32; ++lane)
    for (int r = 0; r < 4; ++r) {
      const int giver = 8 * r + lane / 4;
      const int row = LdmatrixLanes::row(giver), word = LdmatrixLanes::chunk(giver) * 4 + lane % 4;
      check(row == MmaLanes::a_row(lane, r) && word == MmaLanes::a_word(lane, r), "ldmatrix of A", lane, r);
      const int col = LdmatrixLanes::b_row(giver), k = LdmatrixLanes::b_chunk(giver) * 4 + lane % 4;
      check(col == 8 * (r / 2) + MmaLanes::b_col(lane) && k == MmaLanes::b_word(lane, r % 2), "ldmatrix of B", lane, r);
    }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

int main() {
  using namespace lamina::LAMINA_TARGET;
  test_divisor();
  test_tile_order();
  test_split();
  test_swizzle<4>();
  test_swizzle<8>();
  test_swizzle<16>();
  test_swizzled_words<4>();
  test_swizzled_words<8>();
  test_padded<float, 128, 16>();
  test_padded<float, 64, 16>();
  test_padded<float, 32, 16>();
  test_padded<double, 64, 16>();
  test_padded<double, 64, 8>();
  test_thread_grid<16, 16>();
  test_thread_grid<8, 8>();
  test_thread_grid<8, 16>();
  test_fragments();
  return failures != 0;
}
