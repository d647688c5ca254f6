// What is made of sums over a channel or a group, forward and backward.
#pragma once
#include "kernels/norm.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// The normalised element is (x - center) · scale + shift: center is the mean as rounded, shift makes up for that.
template <class T>
struct Statistics {
  T center, scale, shift;
};

struct Moments {
  double mean, squares;  // squares: Σ (x - mean)²
};

template <class T>
LAMINA_INLINE Statistics<T> statistics_of(double mean, double variance, double eps) {
  const T center = static_cast<T>(mean);
  const double scale = 1 / sqrt(variance + eps);
  return {center, static_cast<T>(scale), static_cast<T>((mean - static_cast<double>(center)) * -scale)};
}

// The normalised element times weight plus bias is (x - center) · by + add.
template <class T>
struct Scaling {
  T by, add;
  LAMINA_INLINE Scaling(const Statistics<T>& s, const ChannelNorm& a, std::int64_t channel) {
    const T weight = a.weight ? static_cast<const T*>(a.weight)[channel] : T(1);
    by = s.scale * weight;
    add = fma(s.shift, weight, a.bias ? static_cast<const T*>(a.bias)[channel] : T(0));
  }
};

// With g the gradient of the normalised element, dx = scale (g - mean(g) - z mean(g z)): as a factor of g, one of
// x - center and a number.
template <class T>
struct Slope {
  T of_g, of_x, rest;
  LAMINA_INLINE Slope(const Statistics<T>& s, double weight, double mean_g, double mean_gz) {
    const double scale = s.scale;
    of_g = static_cast<T>(scale * weight);
    of_x = static_cast<T>(-scale * scale * mean_gz);
    rest = static_cast<T>(-scale * (mean_g + s.shift * mean_gz));
  }
};

// What a batch adds to the running statistics.
struct Update {
  const RunningStatistics& running;
  double momentum, count;

  LAMINA_INLINE Update(const RunningStatistics& r, double count)
      : running(r), momentum(r.batches ? 1 / static_cast<double>(*r.batches) : r.momentum), count(count) {}
  template <class T>
  LAMINA_INLINE void operator()(std::int64_t channel, const Moments& m) const {
    const auto move = [&](void* to, double value) {
      T& old = static_cast<T*>(to)[channel];
      old = static_cast<T>(momentum * value + (1 - momentum) * static_cast<double>(old));
    };
    if (running.mean) move(running.mean, m.mean);
    if (running.variance) move(running.variance, m.squares / (count - 1));
  }
};

template <class T>
LAMINA_INLINE Statistics<T> running_statistics(const RunningStatistics& r, std::int64_t channel, double eps) {
  return statistics_of<T>(static_cast<const T*>(r.mean)[channel], static_cast<const T*>(r.variance)[channel], eps);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
