// The update rules, each written once. tick() counts a step and derives, in double, what the step multiplies by; the
// constructor spreads that over the lanes; step(w, g, s) returns the new w and leaves the new states in s. V is
// Vec<float>, Vec<double> or a plain number. What PyTorch computes is named as PyTorch names it.
#pragma once
#include "kernels/optim.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {
namespace rules {

template <class V>
LAMINA_INLINE V lanes(double x) {
  return V(static_cast<Lane<V>>(x));
}
template <class V>
LAMINA_INLINE V lerp(V from, V to, V share) {
  return fma(share, to - from, from);
}
// √s + ε, or √(s + ε).
template <class V>
LAMINA_INLINE V root(V s, V eps, bool inside) {
  return inside ? sqrt(s + eps) : sqrt(s) + eps;
}
LAMINA_INLINE double power(double base, double exponent) { return ::pow(base, exponent); }

// What every rule shares: the sign of the goal, L2 and L1, in the gradient or beside it.
template <class V>
struct Penalty {
  bool maximize, any, decoupled;
  V shrink, decay, l1;

  LAMINA_INLINE explicit Penalty(const OptimOptions& o)
      : maximize(o.maximize != 0),
        any(o.weight_decay != 0 || o.l1 != 0),
        decoupled(o.decoupled != 0),
        shrink(lanes<V>(1 - o.lr * o.weight_decay)),
        decay(lanes<V>(o.weight_decay)),
        l1(lanes<V>(decoupled ? o.lr * o.l1 : o.l1)) {}

  LAMINA_INLINE V toll(V w) const { return select(w > V(0), l1, select(w < V(0), -l1, V(0))); }
  LAMINA_INLINE void apply(V& w, V& g) const {
    if (maximize) g = -g;
    if (!any) return;
    if (decoupled)
      w = w * shrink - toll(w);
    else
      g = fma(decay, w, g) + toll(w);
  }
};

// Momentum in PyTorch's form, b ← μb + (1-δ)g, w ← w - ηb, or with the rate inside, b ← μb + η(1-δ)g, w ← w - b: the
// same but for how a change of η acts on what has gathered. The first step takes g whole.
struct sgd {
  static LAMINA_INLINE void tick(const OptimOptions& o, OptimClock& c) {
    c.step += 1;
    if (o.momentum == 0) return;
    const bool first = c.memory == 0;
    c.memory = 1;
    const double rate = o.lr_in_momentum != 0 ? o.lr : 1;
    c.v[0] = first ? 0 : o.momentum;
    c.v[1] = rate * (first ? 1 : 1 - o.dampening);
    c.v[2] = rate;
    c.v[3] = o.lr_in_momentum != 0 ? 1 : o.lr;
  }
  template <class V>
  struct Step {
    bool nesterov;
    V lr, keep, take, whole, out, momentum;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock& c)
        : nesterov(o.nesterov != 0),
          lr(lanes<V>(o.lr)),
          keep(lanes<V>(c.v[0])),
          take(lanes<V>(c.v[1])),
          whole(lanes<V>(c.v[2])),
          out(lanes<V>(c.v[3])),
          momentum(lanes<V>(o.momentum)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      if constexpr (states == 0) {
        return fnma(lr, g, w);
      } else {
        s[0] = fma(keep, s[0], take * g);
        return fnma(out, nesterov ? fma(momentum, s[0], whole * g) : s[0], w);
      }
    }
  };
};

// Where momentum alone would carry w: what Nesterov's gradient is taken at.
template <class V>
struct Ahead {
  V reach;
  LAMINA_INLINE explicit Ahead(const OptimOptions& o)
      : reach(lanes<V>(o.momentum * (o.lr_in_momentum != 0 ? 1 : o.lr))) {}
  LAMINA_INLINE V operator()(V w, V gathered) const { return fnma(reach, gathered, w); }
};

struct adagrad {
  static LAMINA_INLINE void tick(const OptimOptions& o, OptimClock& c) {
    c.step += 1;
    c.v[0] = o.lr / (1 + (c.step - 1) * o.lr_decay);
  }
  template <class V>
  struct Step {
    bool inside;
    V lr, eps;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock& c)
        : inside(o.eps_inside_sqrt != 0), lr(lanes<V>(c.v[0])), eps(lanes<V>(o.eps)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      s[0] = fma(g, g, s[0]);
      return w - lr * g / root(s[0], eps, inside);
    }
  };
};

// States: the mean square, then the momentum and the mean, each if asked for.
struct rmsprop {
  static LAMINA_INLINE void tick(const OptimOptions&, OptimClock& c) { c.step += 1; }
  template <class V>
  struct Step {
    bool inside, centered;
    V lr, keep, take, eps, momentum;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock&)
        : inside(o.eps_inside_sqrt != 0),
          centered(o.centered != 0),
          lr(lanes<V>(o.lr)),
          keep(lanes<V>(o.beta2)),
          take(lanes<V>(1 - o.beta2)),
          eps(lanes<V>(o.eps)),
          momentum(lanes<V>(o.momentum)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      s[0] = fma(take * g, g, keep * s[0]);
      V square = s[0];
      if (states > 1 && centered) {
        V& mean = s[states - 1];
        mean = lerp(mean, g, take);
        square = fnma(mean, mean, square);
      }
      V move = g / root(square, eps, inside);
      if (states == 3 || (states == 2 && !centered)) s[1] = move = fma(momentum, s[1], move);
      return fnma(lr, move, w);
    }
  };
};

// Kingma and Ba (2015); the largest mean square so far in s[2] is AMSGrad, Reddi et al. (2018).
struct adam {
  static LAMINA_INLINE void tick(const OptimOptions& o, OptimClock& c) {
    c.step += 1;
    c.v[0] = o.lr / (1 - power(o.beta1, c.step));
    const double correction = 1 - power(o.beta2, c.step);
    c.v[1] = 1 / (o.eps_inside_sqrt != 0 ? correction : ::sqrt(correction));
  }
  template <class V>
  struct Step {
    bool inside;
    V rate, scale, take1, keep2, take2, eps;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock& c)
        : inside(o.eps_inside_sqrt != 0),
          rate(lanes<V>(c.v[0])),
          scale(lanes<V>(c.v[1])),
          take1(lanes<V>(1 - o.beta1)),
          keep2(lanes<V>(o.beta2)),
          take2(lanes<V>(1 - o.beta2)),
          eps(lanes<V>(o.eps)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      s[0] = lerp(s[0], g, take1);
      s[1] = fma(take2 * g, g, keep2 * s[1]);
      V square = s[1];
      if constexpr (states == 3) square = s[2] = maximum(s[2], square);
      const V below = inside ? sqrt(fma(square, scale, eps)) : fma(sqrt(square), scale, eps);
      return w - rate * s[0] / below;
    }
  };
};

// Zeiler (2012): ε stands inside the roots.
struct adadelta {
  static LAMINA_INLINE void tick(const OptimOptions&, OptimClock& c) { c.step += 1; }
  template <class V>
  struct Step {
    V lr, keep, take, eps;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock&)
        : lr(lanes<V>(o.lr)), keep(lanes<V>(o.beta2)), take(lanes<V>(1 - o.beta2)), eps(lanes<V>(o.eps)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      s[0] = fma(take * g, g, keep * s[0]);
      const V delta = sqrt(s[1] + eps) / sqrt(s[0] + eps) * g;
      s[1] = fma(take * delta, delta, keep * s[1]);
      return fnma(lr, delta, w);
    }
  };
};

struct adamax {
  static LAMINA_INLINE void tick(const OptimOptions& o, OptimClock& c) {
    c.step += 1;
    c.v[0] = o.lr / (1 - power(o.beta1, c.step));
  }
  template <class V>
  struct Step {
    V rate, take1, keep2, eps;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock& c)
        : rate(lanes<V>(c.v[0])), take1(lanes<V>(1 - o.beta1)), keep2(lanes<V>(o.beta2)), eps(lanes<V>(o.eps)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      s[0] = lerp(s[0], g, take1);
      s[1] = maximum(keep2 * s[1], abs(g) + eps);
      return w - rate * s[0] / s[1];
    }
  };
};

// Dozat (2016). The clock's memory is the product of the momenta so far.
struct nadam {
  static LAMINA_INLINE void tick(const OptimOptions& o, OptimClock& c) {
    c.step += 1;
    const double mu = o.beta1 * (1 - 0.5 * power(0.96, c.step * o.momentum_decay));
    const double next = o.beta1 * (1 - 0.5 * power(0.96, (c.step + 1) * o.momentum_decay));
    const double product = c.memory = (c.step == 1 ? 1 : c.memory) * mu;
    c.v[0] = o.lr * (1 - mu) / (1 - product);
    c.v[1] = o.lr * next / (1 - product * next);
    c.v[2] = 1 / (1 - power(o.beta2, c.step));
  }
  template <class V>
  struct Step {
    bool inside;
    V of_g, of_m, scale, take1, keep2, take2, eps;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock& c)
        : inside(o.eps_inside_sqrt != 0),
          of_g(lanes<V>(c.v[0])),
          of_m(lanes<V>(c.v[1])),
          scale(lanes<V>(c.v[2])),
          take1(lanes<V>(1 - o.beta1)),
          keep2(lanes<V>(o.beta2)),
          take2(lanes<V>(1 - o.beta2)),
          eps(lanes<V>(o.eps)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      s[0] = lerp(s[0], g, take1);
      s[1] = fma(take2 * g, g, keep2 * s[1]);
      return w - fma(of_m, s[0], of_g * g) / root(s[1] * scale, eps, inside);
    }
  };
};

// Liu et al. (2020): without the adaptive part until its variance is tractable.
struct radam {
  static LAMINA_INLINE void tick(const OptimOptions& o, OptimClock& c) {
    c.step += 1;
    const double decayed = power(o.beta2, c.step), correction = 1 - decayed;
    const double limit = 2 / (1 - o.beta2) - 1, length = limit - 2 * c.step * decayed / correction;
    const double rate = o.lr / (1 - power(o.beta1, c.step));
    const bool adapt = length > 5;
    const double rectify =
        ::sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)) * ::sqrt(correction);
    c.v[0] = adapt;
    c.v[1] = adapt ? rate * rectify : rate;
  }
  template <class V>
  struct Step {
    bool adapt, inside;
    V rate, take1, keep2, take2, eps;
    LAMINA_INLINE Step(const OptimOptions& o, const OptimClock& c)
        : adapt(c.v[0] != 0),
          inside(o.eps_inside_sqrt != 0),
          rate(lanes<V>(c.v[1])),
          take1(lanes<V>(1 - o.beta1)),
          keep2(lanes<V>(o.beta2)),
          take2(lanes<V>(1 - o.beta2)),
          eps(lanes<V>(o.eps)) {}
    template <int states>
    LAMINA_INLINE V step(V w, V g, V* s) const {
      s[0] = lerp(s[0], g, take1);
      s[1] = fma(take2 * g, g, keep2 * s[1]);
      return adapt ? w - rate * s[0] / root(s[1], eps, inside) : fnma(rate, s[0], w);
    }
  };
};

}  // namespace rules
}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
