// Max pooling.
#include "cuda/pool_place.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kName[] = "max_pool";

// Where a thread keeps what it found: the maximum's place in its window, in a byte, or in the plane.
template <class T, class Kept>
struct Max {
  Pool p;
  const T* x;
  T* y;
  Kept* kept;  // or null

  LAMINA_KERNEL void operator()(std::int64_t plane, const int (&at)[3], std::int64_t element) const {
    const Window d = window_of(p.axis[0], at[0]), h = window_of(p.axis[1], at[1]), w = window_of(p.axis[2], at[2]);
    constexpr bool in_window = sizeof(Kept) == 1;
    const T* const from = x + plane * plane_in(p);
    const std::int64_t step_z = in_window ? 1 : d.step, step_y = in_window ? 1 : h.step,
                       step_x = in_window ? 1 : w.step;
    const std::int64_t height = in_window ? p.axis[1].kernel : p.axis[1].in,
                       width = in_window ? p.axis[2].kernel : p.axis[2].in;
    std::int64_t kz = in_window ? d.first : d.begin;
    const std::int64_t first_y = in_window ? h.first : h.begin, first_x = in_window ? w.first : w.begin;
    std::int64_t where = (kz * height + first_y) * width + first_x;
    T best = static_cast<T>(-HUGE_VAL);
    for (std::int64_t z = d.begin; z < d.end; z += d.step, kz += step_z) {
      std::int64_t ky = first_y;
      for (std::int64_t v = h.begin; v < h.end; v += h.step, ky += step_y) {
        const T* const line = from + (z * p.axis[1].in + v) * p.axis[2].in;
        std::int64_t place = (kz * height + ky) * width + first_x;
        for (std::int64_t u = w.begin; u < w.end; u += w.step, place += step_x) {
          const Vec<T> challenger(line[u]);
          if (beats(challenger, Vec<T>(best)).m) best = challenger.v, where = place;
        }
      }
    }
    y[element] = best;
    if (kept) kept[element] = static_cast<Kept>(where);
  }
};

template <class T, class Kept>
void forward(Pool p, const void* x, void* y, Kept* kept) {
  for_outputs(kName, p, Max<T, Kept>{p, static_cast<const T*>(x), static_cast<T*>(y), kept});
}

template <class T, class Kept>
struct MaxGradient {
  Coverings windows;
  const T* dy;
  const Kept* kept;
  T* dx;

  LAMINA_KERNEL void operator()(std::int64_t plane, const int (&at)[3], std::int64_t element) const {
    const Pool& p = windows.p;
    const std::int64_t first = plane * plane_out(p),
                       here = (std::int64_t{at[0]} * p.axis[1].in + at[1]) * p.axis[2].in + at[2];
    T sum = 0;
    windows.for_windows(at, [&](std::int64_t window, const std::int64_t(&)[3], std::int64_t position) {
      if (kept[first + window] == static_cast<Kept>(sizeof(Kept) == 1 ? position : here)) sum += dy[first + window];
    });
    dx[element] = sum;
  }
};

template <class T, class Kept>
void backward(Pool p, const void* dy, const Kept* kept, void* dx) {
  for_gradients(kName, p, MaxGradient<T, Kept>{Coverings(p), static_cast<const T*>(dy), kept, static_cast<T*>(dx)});
}

template <class T>
void fill(PoolTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.max[i] = forward<T, std::uint8_t>;
  t.max_grad[i] = backward<T, std::uint8_t>;
  t.indexed_max[i] = forward<T, std::int64_t>;
  t.indexed_max_grad[i] = backward<T, std::int64_t>;
}

}  // namespace

void fill_pool_average(PoolTable& t);
void fill_pool_resize(PoolTable& t);

void fill_pool(PoolTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill_pool_average(t);
  fill_pool_resize(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
