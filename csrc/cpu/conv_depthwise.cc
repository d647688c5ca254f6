// The weight gradient where a group has one input channel: for every tap, a sum over pixels of dy times the input seen
// through it. Vectors run along lines of pixels; the sums of several taps stay in registers.
//
// A piece is a channel and a segment of the batch; within it images follow in order, and segments are summed in order.
#include "core/scratch.h"
#include "cpu/conv_grid.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kPatchElements = 1 << 15;
constexpr std::int64_t kFewestPieces = 32;
constexpr int kTapsAtOnce = 9;
constexpr std::int64_t kLinesAtOnce = 16;  // summed by themselves, for the sake of the last digits

// sums[tap] += dy · x through the tap, over `lines` of n pixels.
template <class T>
using TapTile = void (*)(std::int64_t lines, std::int64_t n, const T* dy, std::int64_t dy_line, const T* x,
                         std::int64_t x_line, const std::int64_t* offsets, T* sums);

template <class T, int taps>
void tap_tile(std::int64_t lines, std::int64_t n, const T* dy, std::int64_t dy_line, const T* x, std::int64_t x_line,
              const std::int64_t* offsets, T* sums) {
  constexpr int W = Vec<T>::width;
  Vec<T> total[taps];
#pragma GCC unroll 16
  for (int t = 0; t < taps; ++t) total[t] = Vec<T>(T(0));
  for (std::int64_t y = 0; y < lines; ++y, dy += dy_line, x += x_line) {
    std::int64_t i = 0;
    for (; i + W <= n; i += W) {
      const Vec<T> d = Vec<T>::load(dy + i);
#pragma GCC unroll 16
      for (int t = 0; t < taps; ++t) total[t] = fma(d, Vec<T>::load(x + offsets[t] + i), total[t]);
    }
    if (i < n) {
      const int rest = static_cast<int>(n - i);
      const Vec<T> d = Vec<T>::load(dy + i, rest);
#pragma GCC unroll 16
      for (int t = 0; t < taps; ++t) total[t] = fma(d, Vec<T>::load(x + offsets[t] + i, rest), total[t]);
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < taps; ++t) (Vec<T>::load(sums + t * W) + total[t]).store(sums + t * W);
}

template <class T>
struct TapTiles {
  TapTile<T> at[kTapsAtOnce];
};
template <class T, int taps = kTapsAtOnce>
constexpr void list_tiles(TapTiles<T>& list) {
  list.at[taps - 1] = tap_tile<T, taps>;
  if constexpr (taps > 1) list_tiles<T, taps - 1>(list);
}
template <class T>
constexpr TapTiles<T> all_tiles() {
  TapTiles<T> list{};
  list_tiles(list);
  return list;
}
template <class T>
constexpr TapTiles<T> kTapTiles = all_tiles<T>();

std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }

template <class T>
void weight_gradient(const ConvWeightGradient& f) {
  constexpr int W = Vec<T>::width;
  const ConvShape& s = f.shape;
  const Grid grid = forward_grid(s);
  const Boxes boxes(grid, 1, kPatchElements);
  const Patch patch(grid, boxes.size);
  const std::int64_t taps = s.taps(), multiplier = s.group_out(), outputs = s.out_size();
  const std::int64_t segments = most(1, least(s.batch, kFewestPieces / s.groups)), pieces = s.groups * segments;
  const std::int64_t patch_size = round(patch.size + W), sums_size = round(multiplier * taps * W);
  const std::int64_t offsets_size = round(taps * ceil_div(sizeof(std::int64_t), sizeof(T)));
  const int team = team_for(2.0 * static_cast<double>(s.batch * s.out_channels * outputs * taps), pieces);
  T* const memory =
      static_cast<T*>(scratch(Scratch::conv, (offsets_size + pieces * sums_size + team * patch_size) * sizeof(T)));
  std::int64_t* const offsets = reinterpret_cast<std::int64_t*>(memory);
  T *const sums = memory + offsets_size, *const patches = sums + pieces * sums_size;
  patch.put_taps(grid, grid, 1, 0, offsets);
  const bool framed = boxes.total() == 1;  // all patches are of whole images, with zeros in the same places
  if (framed) zero_spilling(patches, patch_size * team);

  const Cut cut(s.batch, segments);
  share_out(team, pieces, [&](int thread, std::int64_t piece) {
    const std::int64_t group = piece / segments, segment = piece % segments;
    T *const seen = patches + thread * patch_size, *const own = sums + piece * sums_size;
    zero_spilling(own, sums_size);
    for (std::int64_t n = cut.begin(segment); n < cut.begin(segment + 1); ++n)
      for (std::int64_t i = 0; i < boxes.total(); ++i) {
        const Box box = boxes.at(i);
        if (box.columns() == 0) continue;
        fill_patch(seen, static_cast<const T*>(f.x) + (n * s.groups + group) * s.in_size(), grid, patch, box.first,
                   framed);
        for (std::int64_t m = 0; m < multiplier; ++m)
          for (std::int64_t z = 0; z < box.count[0]; ++z) {
            const std::int64_t first = ((box.first[0] + z) * s.out[1] + box.first[1]) * s.out[2] + box.first[2];
            const T* const dy =
                static_cast<const T*>(f.dy) + ((n * s.groups + group) * multiplier + m) * outputs + first;
            for (std::int64_t t = 0; t < taps; t += kTapsAtOnce)
              for (std::int64_t y = 0; y < box.count[1]; y += kLinesAtOnce)
                kTapTiles<T>.at[least(kTapsAtOnce, taps - t) - 1](
                    least(kLinesAtOnce, box.count[1] - y), box.count[2], dy + y * s.out[2], s.out[2],
                    seen + z * patch.stride[0] + y * patch.stride[1], patch.stride[1], offsets + t,
                    own + (m * taps + t) * W);
          }
      }
  });

  for (std::int64_t group = 0; group < s.groups; ++group)
    for (std::int64_t i = 0; i < multiplier * taps; ++i) {
      Vec<T> total = Vec<T>::load(sums + group * segments * sums_size + i * W);
      for (std::int64_t segment = 1; segment < segments; ++segment)
        total = total + Vec<T>::load(sums + (group * segments + segment) * sums_size + i * W);
      static_cast<T*>(f.dweight)[group * multiplier * taps + i] = sum(total);
    }
}

}  // namespace

void fill_conv_depthwise(ConvTable& t) {
  t.weight_gradient[static_cast<int>(ConvAlgorithm::depthwise)] = [](ConvWeightGradient f) {
    f.shape.dtype == DType::f64 ? weight_gradient<double>(f) : weight_gradient<float>(f);
  };
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
