// What is done to finished sums of a convolution where they lie.
#pragma once
#include "kernels/conv.h"
#include "kernels/elementwise_formulas.h"
#include "kernels/table.h"

namespace lamina {
namespace LAMINA_TARGET {

const KernelTable& table();  // of this target: activations are element-wise operations

namespace {

template <class T>
constexpr DType kTypeOf = sizeof(T) == 4 ? DType::f32 : DType::f64;

template <class T>
struct Finish {
  const T *bias = nullptr, *residual = nullptr;
  T* z = nullptr;
  bool relu = false;
  Inner activation = nullptr;

  Finish() = default;
  explicit Finish(const ConvEpilogue& e)
      : bias(static_cast<const T*>(e.bias)),
        residual(static_cast<const T*>(e.residual)),
        z(static_cast<T*>(e.z)),
        relu(e.activation == UnaryOp::relu && !e.z),
        activation(relu || e.activation == UnaryOp::count
                       ? nullptr
                       : table().elementwise.unary[static_cast<int>(e.activation)][static_cast<int>(kTypeOf<T>)]) {}

  // For a part of the result that begins so many elements into it.
  Finish from(std::int64_t offset) const {
    Finish part = *this;
    if (residual) part.residual += offset;
    if (z) part.z += offset;
    return part;
  }

  bool nothing() const { return !bias && !residual && !z && !relu && !activation; }

  // The vector that begins `offset` elements into the result; `lanes` of it exist.
  LAMINA_INLINE Vec<T> linear_part(Vec<T> x, Vec<T> shift, std::int64_t offset, int lanes) const {
    x = x + shift;
    return residual ? x + Vec<T>::load(residual + offset, lanes) : x;
  }
  LAMINA_INLINE Vec<T> shift_of(std::int64_t channel) const { return Vec<T>(bias ? bias[channel] : T(0)); }

  // n sums of one channel, the first `offset` elements into the result.
  void run(T* result, std::int64_t channel, std::int64_t offset, std::int64_t n) const {
    constexpr int W = Vec<T>::width;
    if (nothing()) return;
    T* const p = result + offset;
    const Vec<T> shift = shift_of(channel);
    for (std::int64_t i = 0; i < n; i += W) {
      const int lanes = n - i < W ? static_cast<int>(n - i) : W;
      put(result, Vec<T>::load(p + i, lanes), shift, offset + i, lanes);
    }
    if (activation) activate(p, n);
  }

  // All but `activation`, which then takes whole lines.
  LAMINA_INLINE void put(T* result, Vec<T> x, Vec<T> shift, std::int64_t offset, int lanes) const {
    x = linear_part(x, shift, offset, lanes);
    if (z) x.store(z + offset, lanes);
    if (relu) x = formula::relu_op::f(x, nullptr);
    x.store(result + offset, lanes);
  }
  void activate(T* p, std::int64_t n) const {
    void* const operands[] = {p, p};
    activation(operands, n, nullptr);
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
