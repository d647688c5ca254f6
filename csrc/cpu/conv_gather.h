// Both passes that gather (conv_grid.h), as one piece of work for the algorithms that do it.
#pragma once
#include "cpu/conv_epilogue.h"
#include "cpu/conv_grid.h"
#include "cpu/pool_halves.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// A result that is pooled (ConvPooledForward). Its grid has an even number of rows and columns.
struct Pooling {
  bool on = false;
  std::uint8_t* positions = nullptr;

  std::int64_t unit() const { return on ? 2 : 1; }  // of boxes: no window is cut
  // Of one channel of the result.
  std::int64_t plane(const Grid& g) const { return on ? rows(g) * columns(g) : g.result(); }
  std::int64_t rows(const Grid& g) const { return g.axis[1].result / 2; }
  std::int64_t columns(const Grid& g) const { return g.axis[2].result / 2; }
};

// What is left of four sums.
template <bool kept, class T>
LAMINA_INLINE Largest<T> largest_finished(const Finish<T>& finish, Vec<T> shift, Vec<T> a, Vec<T> b, Vec<T> c,
                                          Vec<T> d) {
  const Vec<T> zero(T(0));
  if constexpr (!kept) {
    const Vec<T> value = largest_of<false>(a, b, c, d).value + shift;
    return {finish.relu ? formula::relu_op::f(value, nullptr) : value, zero};
  }
  Largest<T> best = largest_of<true>(a + shift, b + shift, c + shift, d + shift);
  if (finish.relu) {
    best.position = select(best.value > zero, best.position, Vec<T>(T(kPooledAway)));
    best.value = formula::relu_op::f(best.value, nullptr);
  }
  return best;
}

template <class T>
struct Gather {
  Grid grid;
  std::int64_t batch, groups, channels, rows;  // of the source and of the result, to a group
  const T *source, *weight;
  GridWeight layout;
  T* result;
  Finish<T> finish;
  bool weights_lie_in_order;  // row by row, as k runs
  bool finish_apart;          // the result is complete only after several grids
  Pooling pooling = {};
};

// Panels of the weights as a tile reads them: to[k][row], k running over (channel, tap), for every panel of rows of
// every group.
template <class T>
void pack_weights(const Gather<T>& g, const Cut& cut, std::int64_t panels, T* to) {
  const Axis(&axis)[kConvDims] = g.grid.axis;
  const std::int64_t k = g.channels * g.grid.taps();
  parallel_for(g.groups * panels, 1 + (1 << 14) / (k + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t group = i / panels, row = cut.begin(i % panels), rows = cut.begin(i % panels + 1) - row;
      const T* const from = g.weight + group * g.layout.group + row * g.layout.row;
      T* out = to + (group * g.rows + row) * k;
      for (std::int64_t c = 0; c < g.channels; ++c)
        for (std::int64_t x = 0; x < axis[0].taps; ++x)
          for (std::int64_t y = 0; y < axis[1].taps; ++y)
            for (std::int64_t z = 0; z < axis[2].taps; ++z, out += rows) {
              const T* const w = from + c * g.layout.channel + g.layout.tap(g.grid, x, y, z);
              for (std::int64_t r = 0; r < rows; ++r) out[r] = w[r * g.layout.row];
            }
    }
  });
}

constexpr std::int64_t kNearElements = 1 << 20;
constexpr int kGridsTogether = 4;  // at most, in one call of an algorithm

template <class Algorithm, class T>
void forward_as(const ConvForward& f, const Pooling& pooling = {}) {
  const ConvShape& s = f.shape;
  Grid grid = forward_grid(s);
  for (int d = 1; pooling.on && d < kConvDims; ++d) grid.axis[d].count -= grid.axis[d].count % 2;
  const Gather<T> g{grid,
                    s.batch,
                    s.groups,
                    s.group_in(),
                    s.group_out(),
                    static_cast<const T*>(f.x),
                    static_cast<const T*>(f.weight),
                    forward_weight(s),
                    static_cast<T*>(f.y),
                    Finish<T>(f.epilogue),
                    true,
                    false,
                    pooling};
  Algorithm::run(&g, 1);
}

template <class Algorithm, class T>
void gradient_as(const ConvDataGradient& f) {
  const ConvShape& s = f.shape;
  const Finish<T> finish(f.epilogue);
  const bool apart = s.stride[2] != 1;
  // All grids write into the same lines of dx: some images at a time, so that these stay near.
  const bool several = s.stride[0] * s.stride[1] * s.stride[2] > 1;
  const std::int64_t image = s.in_channels * s.in_size();
  const std::int64_t images = several ? most(1, least(s.batch, kNearElements / image)) : s.batch;
  for (std::int64_t n = 0; n < s.batch; n += images) {
    Gather<T> ready[kGridsTogether];
    int count = 0;
    for_gradient_grids(s, [&](const Grid& grid) {
      ready[count++] = Gather<T>{grid,
                                 least(images, s.batch - n),
                                 s.groups,
                                 s.group_out(),
                                 s.group_in(),
                                 static_cast<const T*>(f.dy) + n * s.out_channels * s.out_size(),
                                 static_cast<const T*>(f.weight),
                                 gradient_weight(s),
                                 static_cast<T*>(f.dx) + n * image,
                                 apart ? Finish<T>(ConvEpilogue{}) : finish.from(n * image),
                                 false,
                                 apart};
      if (count == kGridsTogether) {
        Algorithm::run(ready, count);
        count = 0;
      }
    });
    if (count > 0) Algorithm::run(ready, count);
  }
  if (!apart || finish.nothing()) return;
  parallel_for(s.batch * s.in_channels, 1 + (1 << 14) / s.in_size(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      finish.run(static_cast<T*>(f.dx), i % s.in_channels, i * s.in_size(), s.in_size());
  });
}

// Slots of the table.
template <class Algorithm>
void gather_forward(ConvForward f) {
  f.shape.dtype == DType::f64 ? forward_as<Algorithm, double>(f) : forward_as<Algorithm, float>(f);
}
template <class Algorithm>
void gather_pooled(ConvPooledForward f) {
  const Pooling pooling{true, f.positions};
  f.conv.shape.dtype == DType::f64 ? forward_as<Algorithm, double>(f.conv, pooling)
                                   : forward_as<Algorithm, float>(f.conv, pooling);
}
template <class Algorithm>
void gather_gradient(ConvDataGradient f) {
  f.shape.dtype == DType::f64 ? gradient_as<Algorithm, double>(f) : gradient_as<Algorithm, float>(f);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
