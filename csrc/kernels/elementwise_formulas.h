// One struct per row of the lists in elementwise.h: f, and the derivative times dy. V is Vec<float>, Vec<double> or a
// plain number; p holds the row's parameters in order. df receives what the row saves: the input x or the output y.
#pragma once
#include "kernels/elementwise.h"
#include "kernels/elementwise_arith.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {
namespace formula {

using P = const double*;

template <class V>
LAMINA_DEVICE V gate(V dy, decltype(V() < V()) open) {  // dy where open, else 0
  return select(open, dy, V(0));
}

// Value and derivative, a line each.
// clang-format off

// ---- exponentials and logarithms ----
struct exp_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return exp(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return dy * y; }
};
struct exp2_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return exp2(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return dy * y * V(0.69314718055994531); }
};
struct expm1_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return expm1(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return fma(dy, y, dy); }
};
struct log_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return log(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy / x; }
};
struct log2_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return log2(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy / (x * V(0.69314718055994531)); }
};
struct log10_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return log10(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy / (x * V(2.3025850929940457)); }
};
struct log1p_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return log1p(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy / (x + V(1)); }
};

// ---- roots ----
struct sqrt_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return sqrt(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return dy / (y + y); }
};
struct rsqrt_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return rsqrt(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return V(-0.5) * dy * y * y * y; }
};
struct reciprocal_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return V(1) / x; }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return -dy * y * y; }
};

// ---- trigonometry ----
struct sin_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return sin(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * cos(x); }
};
struct cos_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return cos(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return -dy * sin(x); }
};
struct tan_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return tan(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return dy * fma(y, y, V(1)); }
};
struct asin_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return asin(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy / sqrt((V(1) - x) * (V(1) + x)); }
};
struct acos_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return acos(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return -dy / sqrt((V(1) - x) * (V(1) + x)); }
};
struct atan_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return atan(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy / fma(x, x, V(1)); }
};
struct sinh_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return sinh(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * cosh(x); }
};
struct cosh_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return cosh(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * sinh(x); }
};

// ---- sigmoids and the error function ----
struct tanh_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return tanh(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return dy * fnma(y, y, V(1)); }
};
struct sigmoid_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return sigmoid(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return dy * y * (V(1) - y); }
};
struct erf_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return erf(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * V(1.1283791670955126) * exp(-(x * x)); }
};
struct erfc_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return erfc(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * V(-1.1283791670955126) * exp(-(x * x)); }
};

// ---- arithmetic and rounding ----
struct neg_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return -x; }
  template <class V> LAMINA_DEVICE static V df(V dy, V, P) { return -dy; }
};
struct abs_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return abs(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return select(x == V(0), V(0), select(x < V(0), -dy, dy)); }
};
struct sign_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) {
    return select(x > V(0), V(1), select(x < V(0), V(-1), V(0)));
  }
  template <class V> LAMINA_DEVICE static V df(V, V, P) { return V(0); }
};
struct square_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return x * x; }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * (x + x); }
};
struct small_power_op {  // x³ and x⁴
  template <class V> LAMINA_DEVICE static V f(V x, P p) {
    const V x2 = x * x;
    return p[0] == 3 ? x2 * x : x2 * x2;
  }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) {
    const V x2 = x * x;
    return dy * (p[0] == 3 ? V(3) * x2 : V(4) * x2 * x);
  }
};
struct floor_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return floor(x); }
  template <class V> LAMINA_DEVICE static V df(V, V, P) { return V(0); }
};
struct ceil_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return ceil(x); }
  template <class V> LAMINA_DEVICE static V df(V, V, P) { return V(0); }
};
struct round_op {  // half to even
  template <class V> LAMINA_DEVICE static V f(V x, P) { return round(x); }
  template <class V> LAMINA_DEVICE static V df(V, V, P) { return V(0); }
};
struct trunc_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return trunc(x); }
  template <class V> LAMINA_DEVICE static V df(V, V, P) { return V(0); }
};

// ---- activations ----
struct relu_op {  // NaN stays NaN
  template <class V> LAMINA_DEVICE static V f(V x, P) { return select(x < V(0), V(0), x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V y, P) { return gate(dy, y > V(0)); }
};
struct relu6_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return minimum(maximum(x, V(0)), V(6)); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return gate(dy, (x > V(0)) & (x < V(6))); }
};
struct leaky_relu_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return select(x > V(0), x, x * V(p[0])); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return select(x > V(0), dy, dy * V(p[0])); }
};
struct threshold_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return select(x <= V(p[0]), V(p[1]), x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return select(x <= V(p[0]), V(0), dy); }
};
struct elu_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return select(x > V(0), x, V(p[0]) * expm1(x)); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return select(x > V(0), dy, dy * V(p[0]) * exp(x)); }
};
struct celu_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return select(x > V(0), x, V(p[0]) * expm1(x / V(p[0]))); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return select(x > V(0), dy, dy * exp(x / V(p[0]))); }
};
struct selu_op {  // Klambauer et al. 2017
  static constexpr double scale = 1.0507009873554804934193349852946;
  static constexpr double alpha = 1.6732632423543772848170429916717;
  template <class V> LAMINA_DEVICE static V f(V x, P) { return select(x > V(0), V(scale) * x, V(scale * alpha) * expm1(x)); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * select(x > V(0), V(scale), V(scale * alpha) * exp(x)); }
};
struct gelu_op {  // x Φ(x)
  template <class V> LAMINA_DEVICE static V f(V x, P) { return gelu(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * gelu_slope(x); }
};
struct gelu_tanh_op {  // ½x(1 + tanh u), u = √(2/π)(x + 0.044715x³), as x σ(2u): no cancellation on the left
  template <class V> LAMINA_DEVICE static V twice_u(V x) { return V(1.5957691216057308) * x * fma(V(0.044715) * x, x, V(1)); }
  template <class V> LAMINA_DEVICE static V f(V x, P) { return x * sigmoid(twice_u(x)); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) {
    const V s = sigmoid(twice_u(x));
    const V slope = V(1.5957691216057308) * fma(V(3 * 0.044715) * x, x, V(1));
    return dy * s * fma(x * (V(1) - s), slope, V(1));
  }
};
struct silu_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return x * sigmoid(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) {
    const V s = sigmoid(x);
    return dy * s * fma(x, V(1) - s, V(1));
  }
};
struct mish_op {  // x tanh(log(1 + eˣ)), Misra 2019: x n / (n + 2) with n = eˣ (eˣ + 2)
  template <class V> LAMINA_DEVICE static V f(V x, P) {
    const V e = exp(minimum(x, V(40))), n = e * (e + V(2));
    return x * (n / (n + V(2)));
  }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) {
    const V e = exp(minimum(x, V(40))), n = e * (e + V(2)), w = V(1) / (n + V(2));
    return dy * fma(x * V(4) * (e * w), (e + V(1)) * w, n * w);
  }
};
struct softplus_op {  // log(1 + e^βx)/β, the identity above the threshold
  template <class V> LAMINA_DEVICE static V f(V x, P p) {
    const V b = x * V(p[0]);
    return select(b > V(p[1]), x, softplus(b) / V(p[0]));
  }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) {
    const V b = x * V(p[0]);
    return select(b > V(p[1]), dy, dy * sigmoid(b));
  }
};
struct softsign_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return x / (V(1) + abs(x)); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) {
    const V d = V(1) + abs(x);
    return dy / (d * d);
  }
};
struct logsigmoid_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return log_sigmoid(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return dy * sigmoid(-x); }
};
struct tanhshrink_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return x - tanh(x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) {
    const V t = tanh(x);
    return dy * t * t;
  }
};
struct clamp_to_numbers_op {  // p[0] ≤ x ≤ p[1]; the bounds themselves pass the gradient
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return minimum(maximum(x, V(p[0])), V(p[1])); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return gate(dy, (x >= V(p[0])) & (x <= V(p[1]))); }
};
struct hardtanh_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return minimum(maximum(x, V(p[0])), V(p[1])); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return gate(dy, (x > V(p[0])) & (x < V(p[1]))); }
};
struct hardsigmoid_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return minimum(maximum(x + V(3), V(0)), V(6)) / V(6); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) { return gate(dy / V(6), (x > V(-3)) & (x < V(3))); }
};
struct hardswish_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return x * hardsigmoid_op::f(x, p); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P) {
    return select(x <= V(-3), V(0), select(x >= V(3), dy, dy * (x / V(3) + V(0.5))));  // NaN goes the last way
  }
};
struct hardshrink_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) { return select((x >= V(-p[0])) & (x <= V(p[0])), V(0), x); }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return select((x >= V(-p[0])) & (x <= V(p[0])), V(0), dy); }
};
struct softshrink_op {
  template <class V> LAMINA_DEVICE static V f(V x, P p) {
    return select(x > V(p[0]), x - V(p[0]), select(x < V(-p[0]), x + V(p[0]), x * V(0)));
  }
  template <class V> LAMINA_DEVICE static V df(V dy, V x, P p) { return select((x >= V(-p[0])) & (x <= V(p[0])), V(0), dy); }
};

// ---- bits and predicates ----
struct bitwise_not_op {
  template <class V> LAMINA_DEVICE static V f(V x, P) { return static_cast<V>(~x); }
};
struct isnan_op {
  template <class V> LAMINA_DEVICE static auto f(V x, P) { return x != x; }
};
struct isinf_op {
  template <class V> LAMINA_DEVICE static auto f(V x, P) { return isinf(x); }
};
struct isfinite_op {
  template <class V> LAMINA_DEVICE static auto f(V x, P) { return (x - x) == V(0); }
};
struct signbit_op {
  template <class V> LAMINA_DEVICE static auto f(V x, P) { return copysign(V(1), x) < V(0); }
};
struct logical_not_op {
  template <class V> LAMINA_DEVICE static auto f(V x, P) { return x == V(0); }
};

// ---- two operands ----
struct add_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return a + b; }
  template <class V> LAMINA_DEVICE static V da(V dy, V, V) { return dy; }
  template <class V> LAMINA_DEVICE static V db(V dy, V, V) { return dy; }
};
struct sub_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return a - b; }
  template <class V> LAMINA_DEVICE static V da(V dy, V, V) { return dy; }
  template <class V> LAMINA_DEVICE static V db(V dy, V, V) { return -dy; }
};
struct mul_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return a * b; }
  template <class V> LAMINA_DEVICE static V da(V dy, V, V b) { return dy * b; }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V) { return dy * a; }
};
struct div_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return a / b; }
  template <class V> LAMINA_DEVICE static V da(V dy, V, V b) { return dy / b; }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) { return -dy * ((a / b) / b); }
};
struct pow_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return pow(a, b); }
  template <class V> LAMINA_DEVICE static V da(V dy, V a, V b) { return select(b == V(0), V(0), dy * (b * pow(a, b - V(1)))); }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) {
    return select((a == V(0)) & (b >= V(0)), V(0), dy * (pow(a, b) * log(a)));
  }
};
struct maximum_op {  // a tie shares the gradient
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return maximum(a, b); }
  template <class V> LAMINA_DEVICE static V da(V dy, V a, V b) { return select(a == b, V(0.5) * dy, gate(dy, a > b)); }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) { return da(dy, b, a); }
};
struct minimum_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return minimum(a, b); }
  template <class V> LAMINA_DEVICE static V da(V dy, V a, V b) { return select(a == b, V(0.5) * dy, gate(dy, a < b)); }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) { return da(dy, b, a); }
};
struct atan2_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return atan2(a, b); }
  template <class V> LAMINA_DEVICE static V da(V dy, V a, V b) { return dy * (b / fma(a, a, b * b)); }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) { return -dy * (a / fma(a, a, b * b)); }
};
struct hypot_op {  // scaled so that squares neither overflow nor vanish
  template <class V> LAMINA_DEVICE static V f(V a, V b) {
    const V x = maximum(abs(a), abs(b)), n = minimum(abs(a), abs(b));
    const V r = n / x;
    const V y = select(x == V(0), V(0), x * sqrt(fma(r, r, V(1))));
    return select(isinf(a) | isinf(b), V(__builtin_inf()), y);
  }
  template <class V> LAMINA_DEVICE static V da(V dy, V a, V b) { return dy * (a / f(a, b)); }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) { return dy * (b / f(a, b)); }
};
struct remainder_op {  // the sign of the divisor, as in Python
  template <class V> LAMINA_DEVICE static V f(V a, V b) {
    const V r = fmod(a, b);
    return select((r != V(0)) & ((r < V(0)) ^ (b < V(0))), V(r + b), r);
  }
  template <class V> LAMINA_DEVICE static V da(V dy, V, V) { return dy; }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) { return -dy * floor(a / b); }
};
struct floor_divide_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return floor_divide(a, b); }
};
struct fmod_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return fmod(a, b); }
  template <class V> LAMINA_DEVICE static V da(V dy, V, V) { return dy; }
  template <class V> LAMINA_DEVICE static V db(V dy, V a, V b) { return -dy * trunc(a / b); }
};
struct bitwise_and_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return a & b; }
};
struct bitwise_or_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return a | b; }
};
struct bitwise_xor_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) { return a ^ b; }
};
struct bitwise_left_shift_op {  // by the width or more: nothing is left
  template <class V> LAMINA_DEVICE static V f(V a, V b) {
    return b < 0 || b >= V(8 * sizeof(V)) ? V(0) : static_cast<V>(static_cast<std::uint64_t>(a) << b);
  }
};
struct bitwise_right_shift_op {
  template <class V> LAMINA_DEVICE static V f(V a, V b) {
    const V last = V(8 * sizeof(V) - 1);
    return static_cast<V>(a >> (b < 0 || b > last ? last : b));
  }
};
struct eq_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return a == b; }
};
struct ne_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return a != b; }
};
struct lt_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return a < b; }
};
struct le_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return a <= b; }
};
struct gt_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return a > b; }
};
struct ge_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return a >= b; }
};
struct logical_and_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return (a != V(0)) & (b != V(0)); }
};
struct logical_or_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return (a != V(0)) | (b != V(0)); }
};
struct logical_xor_op {
  template <class V> LAMINA_DEVICE static auto f(V a, V b) { return (a != V(0)) ^ (b != V(0)); }
};

// clang-format on

}  // namespace formula
}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
