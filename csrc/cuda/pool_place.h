// A thread for every element that pooling writes: where it stands, and backward which windows cover it.
#pragma once
#include "cuda/conv_map.h"
#include "cuda/launch.h"
#include "kernels/pool_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// f(plane, place in it, element) for the elements of some planes.
template <class F>
struct ForPlaces {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  F f;
  Counter3 places;
  std::int64_t first, count;  // planes before these; elements

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t e = t.global();
    if (e >= count) return;
    int at[3];
    const std::int64_t plane = first + places.within(static_cast<int>(e), at);
    f(plane, at, first * places.all.value + e);
  }
};

// Indices count in 32 bits: as many planes at a time as these hold.
template <class F>
void for_places(const char* op, std::int64_t planes, const std::int64_t (&size)[3], const F& f) {
  const std::int64_t all = size[0] * size[1] * size[2];
  if (all > kLargestIndex) return cuda_runtime::note(op, cuda_runtime::kTooManyElements);
  const std::int64_t chunk = kLargestIndex / all;
  for (std::int64_t first = 0; first < planes; first += chunk) {
    const std::int64_t count = smaller(chunk, planes - first) * all;
    launch(op, grid_for(count, ForPlaces<F>::kThreads),
           ForPlaces<F>{f, Counter3(size[0], size[1], size[2]), first, count});
  }
}
inline void for_inputs(const char* op, const Pool& p, const auto& f) {
  for_places(op, p.planes, {p.axis[0].in, p.axis[1].in, p.axis[2].in}, f);
}
inline void for_outputs(const char* op, const Pool& p, const auto& f) {
  for_places(op, p.planes, {p.axis[0].out, p.axis[1].out, p.axis[2].out}, f);
}

// The windows o of one dimension that reach element i: those of begin <= o < end of which position_in() is not -1.
struct Covering {
  PoolAxis axis;
  Divisor stride, dilation;

  Covering() = default;
  explicit Covering(const PoolAxis& a) : axis(a), stride(a.stride), dilation(a.dilation) {}
  // Are all its numbers ones that a Divisor takes?
  static bool takes(const PoolAxis& a) { return a.in + a.padding <= kLargestIndex; }

  struct Range {
    std::int64_t begin, end;
  };
  LAMINA_INLINE Range range(std::int64_t i) const {
    const PoolAxis& a = axis;
    if (a.kernel == 0) return {i * a.out / a.in, ((i + 1) * a.out + a.in - 1) / a.in};
    const std::int64_t from = i + a.padding - (a.kernel - 1) * a.dilation;
    return {from <= 0 ? 0 : stride.divide(static_cast<int>(from - 1)) + 1,
            smaller(a.out, stride.divide(static_cast<int>(i + a.padding)) + 1)};
  }
  LAMINA_INLINE std::int64_t position_in(std::int64_t o, std::int64_t i) const {
    if (axis.kernel == 0) return 0;  // every one of the range reaches it
    const std::int64_t off = i + axis.padding - o * axis.stride;
    if (axis.dilation == 1) return off;
    const int k = dilation.divide(static_cast<int>(off));
    return k * axis.dilation == off ? k : -1;
  }
};

struct Coverings {
  Pool p;
  Covering axis[3];

  explicit Coverings(const Pool& p) : p(p), axis{Covering(p.axis[0]), Covering(p.axis[1]), Covering(p.axis[2])} {}
  // f(window's index in its plane, the windows' places, position of the element in it), in order of windows.
  template <class F>
  LAMINA_INLINE void for_windows(const int (&at)[3], F f) const {
    const Covering::Range d = axis[0].range(at[0]), h = axis[1].range(at[1]), w = axis[2].range(at[2]);
    for (std::int64_t z = d.begin; z < d.end; ++z) {
      const std::int64_t pz = axis[0].position_in(z, at[0]);
      if (pz < 0) continue;
      for (std::int64_t y = h.begin; y < h.end; ++y) {
        const std::int64_t py = axis[1].position_in(y, at[1]);
        if (py < 0) continue;
        for (std::int64_t x = w.begin; x < w.end; ++x) {
          const std::int64_t px = axis[2].position_in(x, at[2]);
          if (px < 0) continue;
          const std::int64_t o[3] = {z, y, x};
          f((z * p.axis[1].out + y) * p.axis[2].out + x, o, (pz * p.axis[1].kernel + py) * p.axis[2].kernel + px);
        }
      }
    }
  }
};

// Backward: a thread for every element of dx.
template <class F>
void for_gradients(const char* op, const Pool& p, const F& f) {
  for (const PoolAxis& a : p.axis)
    if (!Covering::takes(a)) return cuda_runtime::note(op, cuda_runtime::kTooManyElements);
  for_inputs(op, p, f);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
