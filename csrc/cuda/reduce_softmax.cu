// softmax, log_softmax and their gradients.
#include "cuda/along.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <bool logarithm, class T>
struct Forward {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<ExpSum>;
  Along shape;
  int group;
  const T* x;
  T* y;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Member m(t, shape, group);
    const ExpSum s = exp_sum<T>(t, m, t.shared<Forward>(), x, shape.length);
    if (!m.there) return;
    const T largest = static_cast<T>(s.largest), sum = static_cast<T>(s.sum);
    const T log_sum = logarithm ? log(Vec<T>(sum)).v : T(0);
    for (std::int64_t c = m.number; c < shape.length; c += group) {
      const std::int64_t i = m.first + c * m.step;
      y[i] = logarithm ? (x[i] - largest) - log_sum : exp(Vec<T>(x[i] - largest)).v / sum;
    }
  }
};

template <bool logarithm, class T>
struct Backward {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<double>;
  Along shape;
  int group;
  const T *y, *dy;
  T* dx;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Member m(t, shape, group);
    double sum = 0;
    if (m.there)
      for (std::int64_t c = m.number; c < shape.length; c += group) {
        const std::int64_t i = m.first + c * m.step;
        sum += static_cast<double>(dy[i]) * (logarithm ? 1.0 : static_cast<double>(y[i]));
      }
    const T total = static_cast<T>(m.join(t, t.shared<Backward>(), sum, [](double a, double b) { return a + b; }));
    if (!m.there) return;
    for (std::int64_t c = m.number; c < shape.length; c += group) {
      const std::int64_t i = m.first + c * m.step;
      dx[i] = logarithm ? dy[i] - exp(Vec<T>(y[i])).v * total : y[i] * (dy[i] - total);
    }
  }
};

template <bool logarithm, class T>
void forward(Along shape, Reduction, const void* x, void* y) {
  const int group = group_for(shape);
  launch(logarithm ? "log_softmax" : "softmax", grid_of(shape, group),
         Forward<logarithm, T>{shape, group, static_cast<const T*>(x), static_cast<T*>(y)});
}
template <bool logarithm, class T>
void backward(Along shape, Reduction, const void* y, const void* dy, void* dx) {
  const int group = group_for(shape);
  launch(
      logarithm ? "log_softmax" : "softmax", grid_of(shape, group),
      Backward<logarithm, T>{shape, group, static_cast<const T*>(y), static_cast<const T*>(dy), static_cast<T*>(dx)});
}

template <class T>
void fill(ReduceTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.softmax[i] = forward<false, T>;
  t.log_softmax[i] = forward<true, T>;
  t.softmax_grad[i] = backward<false, T>;
  t.log_softmax_grad[i] = backward<true, T>;
}

}  // namespace

void fill_reduce_softmax(ReduceTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
