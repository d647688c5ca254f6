// Average pooling, over windows of fixed size, adaptive ones, and whole planes.
#include "cuda/pool_place.h"
#include "cuda/team.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kName[] = "avg_pool";

// A team of threads sums up a plane.
template <class T>
struct WholeAverage {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Two>;
  Teams teams;
  std::int64_t elements;
  double divisor;
  const T* x;
  T* y;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, teams);
    TwoSums<T> sums;
    if (team.there)
      for (std::int64_t i = team.number; i < elements; i += team.size) sums.add(x[team.channel * elements + i], T(0));
    const double sum = team.sum(t, t.shared<WholeAverage>(), sums.total()).first;
    if (team.there && team.number == 0) y[team.channel] = static_cast<T>(sum / divisor);
  }
};

template <class T>
struct Average {
  Pool p;
  const T* x;
  T* y;

  LAMINA_KERNEL void operator()(std::int64_t plane, const int (&at)[3], std::int64_t element) const {
    const Window d = window_of(p.axis[0], at[0]), h = window_of(p.axis[1], at[1]), w = window_of(p.axis[2], at[2]);
    const T* const from = x + plane * plane_in(p);
    double sum = 0;
    for (std::int64_t z = d.begin; z < d.end; ++z)
      for (std::int64_t v = h.begin; v < h.end; ++v) {
        const T* const line = from + (z * p.axis[1].in + v) * p.axis[2].in;
        T row = 0;
        for (std::int64_t u = w.begin; u < w.end; ++u) row += line[u];
        sum += static_cast<double>(row);
      }
    y[element] = static_cast<T>(sum / divisor(p, d, h, w));
  }
};

template <class T>
void forward(Pool p, const void* in, void* out) {
  const auto* const x = static_cast<const T*>(in);
  auto* const y = static_cast<T*>(out);
  if (!is_global(p)) return for_outputs(kName, p, Average<T>{p, x, y});
  const std::int64_t elements = plane_in(p);
  const Teams teams(p.planes, elements, false);
  launch(kName, teams.grid(),
         WholeAverage<T>{teams, elements, static_cast<double>(p.divisor ? p.divisor : elements), x, y});
}

template <class T>
struct AverageGradient {
  Coverings windows;
  const T* dy;
  T* dx;

  LAMINA_KERNEL void operator()(std::int64_t plane, const int (&at)[3], std::int64_t element) const {
    const Pool& p = windows.p;
    const T* const from = dy + plane * plane_out(p);
    T sum = 0;
    windows.for_windows(at, [&](std::int64_t window, const std::int64_t(&o)[3], std::int64_t) {
      const double shared_by =
          divisor(p, window_of(p.axis[0], o[0]), window_of(p.axis[1], o[1]), window_of(p.axis[2], o[2]));
      sum += from[window] / static_cast<T>(shared_by);
    });
    dx[element] = sum;
  }
};

template <class T>
void backward(Pool p, const void* dy, void* dx) {
  for_gradients(kName, p, AverageGradient<T>{Coverings(p), static_cast<const T*>(dy), static_cast<T*>(dx)});
}

template <class T>
void fill(PoolTable& t, DType type) {
  t.average[static_cast<int>(type)] = forward<T>;
  t.average_grad[static_cast<int>(type)] = backward<T>;
}

}  // namespace

void fill_pool_average(PoolTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
