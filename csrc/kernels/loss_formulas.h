// One struct per LossOp: the term of one element, and its derivatives d0, d1, d2 by the operands. V is a vector; p
// holds the loss's parameters in order. `allowed` are the operands that the loss is defined for; a NaN is, for it shows
// in the result.
#pragma once
#include "kernels/loss.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {
namespace losses {

using P = const double*;

template <class V>
LAMINA_INLINE V param(double p) {
  return V(static_cast<Lane<V>>(p));
}
template <class V>
LAMINA_INLINE V sign(V x) {
  return select(x == V(0), V(0), copysign(V(1), x));
}
template <class V>
LAMINA_INLINE V times_log(V x, V y) {  // x log y, 0 for x = 0
  return select(x == V(0), V(0), x * log(y));
}

struct Everywhere {
  static constexpr bool checked = false;
  static constexpr int operands = 2;
};

// clang-format off
struct mse : Everywhere {
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P) { return (x - y) * (x - y); }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P) { return (x - y) + (x - y); }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V, P) { return (y - x) + (y - x); }
};
struct half_squared : Everywhere {
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P) { return V(0.5) * (x - y) * (x - y); }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P) { return x - y; }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V, P) { return y - x; }
};
struct l1 : Everywhere {
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P) { return abs(x - y); }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P) { return sign(x - y); }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V, P) { return sign(y - x); }
};
struct smooth_l1 : Everywhere {  // p: beta
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P p) {
    const V z = abs(x - y), beta = param<V>(p[0]);
    return select(z < beta, V(0.5) * z * z / beta, z - V(0.5) * beta);
  }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P p) {
    const V z = x - y, beta = param<V>(p[0]);
    return select(abs(z) < beta, z / beta, sign(z));
  }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V w, P p) { return -d0(x, y, w, p); }
};
struct huber : Everywhere {  // p: delta
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P p) {
    const V z = abs(x - y), delta = param<V>(p[0]);
    return select(z <= delta, V(0.5) * z * z, delta * (z - V(0.5) * delta));
  }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P p) {
    const V z = x - y, delta = param<V>(p[0]);
    return select(abs(z) <= delta, z, delta * sign(z));
  }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V w, P p) { return -d0(x, y, w, p); }
};

// ---- Bernoulli ----
struct binary_cross_entropy {  // x a probability; logarithms are not taken below -100
  static constexpr bool checked = true;
  static constexpr int operands = 2;
  template <class V> LAMINA_DEVICE static auto allowed(V x, V, V) { return ~((x < V(0)) | (x > V(1))); }
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P) {
    return (y - V(1)) * maximum(log1p(-x), V(-100)) - y * maximum(log(x), V(-100));
  }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P) { return (x - y) / maximum(x * (V(1) - x), V(1e-12)); }
  template <class V> LAMINA_DEVICE static V d1(V x, V, V, P) { return maximum(log1p(-x), V(-100)) - maximum(log(x), V(-100)); }
};
struct binary_cross_entropy_with_logits {  // third: the weight of y = 1; all ones if absent
  static constexpr bool checked = false;
  static constexpr int operands = 3;
  // (1 - y) x + (1 + (w - 1) y) softplus(-x), so that neither tail is lost
  template <class V> LAMINA_DEVICE static V term(V x, V y, V w, P) {
    const V tail = log1p(exp(-abs(x)));
    return select(x < V(0), -(w * y * x), (V(1) - y) * x) + fma(w - V(1), y, V(1)) * tail;
  }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V w, P) { return fma(w - V(1), y, V(1)) * sigmoid(x) - w * y; }
  template <class V> LAMINA_DEVICE static V d1(V x, V, V w, P) { return (w - V(1)) * softplus(-x) - x; }
  template <class V> LAMINA_DEVICE static V d2(V x, V y, V, P) { return y * softplus(-x); }
};

// ---- distributions ----
struct kl_div : Everywhere {  // x the logarithm of a probability; p: is y one too?
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P p) {
    return p[0] != 0 ? exp(y) * (y - x) : times_log(y, y) - y * x;
  }
  template <class V> LAMINA_DEVICE static V d0(V, V y, V, P p) { return p[0] != 0 ? -exp(y) : -y; }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V, P p) {
    return p[0] != 0 ? exp(y) * (y - x + V(1)) : select(y == V(0), V(0), log(y) + V(1)) - x;
  }
};
struct gaussian_nll {  // third: the variance; p: what the variance is not taken below, a constant to add
  static constexpr bool checked = true;
  static constexpr int operands = 3;
  template <class V> LAMINA_DEVICE static auto allowed(V, V, V v) { return ~(v < V(0)); }
  template <class V> LAMINA_DEVICE static V term(V x, V y, V v, P p) {
    const V variance = maximum(v, param<V>(p[0])), d = x - y;
    return V(0.5) * (log(variance) + d * d / variance) + param<V>(p[1]);
  }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V v, P p) { return (x - y) / maximum(v, param<V>(p[0])); }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V v, P p) { return (y - x) / maximum(v, param<V>(p[0])); }
  template <class V> LAMINA_DEVICE static V d2(V x, V y, V v, P p) {
    const V variance = maximum(v, param<V>(p[0])), d = x - y;
    return V(0.5) * (V(1) - d * d / variance) / variance;
  }
};
struct poisson_nll : Everywhere {  // p: what is added to the rate x before its logarithm, or < 0 if x is that already; full?
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P p) {
    const V plain = p[0] < 0 ? exp(x) - y * x : x - y * log(x + param<V>(p[0]));
    if (p[1] == 0) return plain;
    const V stirling = y * log(y) - y + V(0.5) * log(V(6.283185307179586) * y);
    return plain + select(y > V(1), stirling, V(0));
  }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P p) { return p[0] < 0 ? exp(x) - y : V(1) - y / (x + param<V>(p[0])); }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V, P p) {
    const V plain = p[0] < 0 ? -x : -log(x + param<V>(p[0]));
    return p[1] == 0 ? plain : plain + select(y > V(1), log(y) + V(0.5) / y, V(0));
  }
};

// ---- margins: y is 1 or -1 ----
struct soft_margin : Everywhere {
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P) { return softplus(-(x * y)); }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P) { return -(y * sigmoid(-(x * y))); }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V, P) { return -(x * sigmoid(-(x * y))); }
};
struct hinge_embedding : Everywhere {  // p: margin
  template <class V> LAMINA_DEVICE static V term(V x, V y, V, P p) {
    return select(y == V(1), x, maximum(param<V>(p[0]) - x, V(0)));
  }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V, P p) {
    return select(y == V(1), V(1), select(param<V>(p[0]) - x >= V(0), V(-1), V(0)));
  }
  template <class V> LAMINA_DEVICE static V d1(V, V, V, P) { return V(0); }
};
struct margin_ranking {  // third: 1 where x should be the larger, -1 where y; p: margin
  static constexpr bool checked = false;
  static constexpr int operands = 3;
  template <class V> LAMINA_DEVICE static V excess(V x, V y, V w, P p) { return param<V>(p[0]) - w * (x - y); }
  template <class V> LAMINA_DEVICE static V term(V x, V y, V w, P p) { return maximum(excess(x, y, w, p), V(0)); }
  template <class V> LAMINA_DEVICE static V d0(V x, V y, V w, P p) { return select(excess(x, y, w, p) >= V(0), -w, V(0)); }
  template <class V> LAMINA_DEVICE static V d1(V x, V y, V w, P p) { return select(excess(x, y, w, p) >= V(0), w, V(0)); }
  template <class V> LAMINA_DEVICE static V d2(V x, V y, V w, P p) { return select(excess(x, y, w, p) >= V(0), y - x, V(0)); }
};
// clang-format on

}  // namespace losses
}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
