// log(exp(x[0]) + … + exp(x[i])) for every i, and its gradient.
#include "cpu/elementwise_move.h"
#include "cpu/reduce_lanes.h"
#include "cpu/reduce_strips.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// exp(a - b) for a ≤ b, where both may be infinite.
LAMINA_INLINE double share(double a, double b) { return a == b ? 1.0 : exp(a - b); }

// The sum is kept relative to the largest element so far: nothing overflows.
template <class In>
void logcumsumexp(Along s, const void* input, void* output) {
  const In* x = static_cast<const In*>(input);
  In* y = static_cast<In*>(output);
  for_each_strip(s, [&](std::int64_t first, std::int64_t columns) {
    alignas(64) double largest[kColumns], sum[kColumns];
    for (std::int64_t c = 0; c < columns; ++c) largest[c] = -__builtin_inf(), sum[c] = 0;
    for (std::int64_t r = 0; r < s.length; ++r)
      for (std::int64_t c = 0, i = first + r * s.inner; c < columns; ++c, ++i) {
        const double v = static_cast<double>(x[i]);
        if (v > largest[c]) {
          sum[c] = sum[c] * share(largest[c], v) + 1;
          largest[c] = v;
        } else {
          sum[c] += share(v, largest[c]);
        }
        y[i] = static_cast<In>(largest[c] + log(sum[c]));
      }
  });
}

// dx[k] = Σ_{j ≥ k} dy[j] exp(x[k] - y[j]). y never falls, so that with s[k] = dy[k] + exp(y[k] - y[k + 1]) s[k + 1]
// no exponential is above 1: dx[k] = exp(x[k] - y[k]) s[k].
template <class In>
void logcumsumexp_grad(Along s, const void* input, const void* output, const void* out_grad, void* in_grad) {
  const In *x = static_cast<const In*>(input), *y = static_cast<const In*>(output),
           *dy = static_cast<const In*>(out_grad);
  In* dx = static_cast<In*>(in_grad);
  for_each_strip(s, [&](std::int64_t first, std::int64_t columns) {
    alignas(64) double sums[kColumns];
    for (std::int64_t c = 0; c < columns; ++c) sums[c] = 0;
    for (std::int64_t r = s.length - 1; r >= 0; --r)
      for (std::int64_t c = 0, i = first + r * s.inner; c < columns; ++c, ++i) {
        const double here = static_cast<double>(y[i]);
        // Infinities and NaNs further on are of no account to what nothing flows back from.
        if (sums[c] != 0) sums[c] *= share(here, static_cast<double>(y[i + s.inner]));
        sums[c] += static_cast<double>(dy[i]);
        dx[i] = static_cast<In>(share(static_cast<double>(x[i]), here) * sums[c]);
      }
  });
}

template <class In>
void fill(ReduceTable& t, DType type) {
  t.logcumsumexp[static_cast<int>(type)] = logcumsumexp<In>;
  t.logcumsumexp_grad[static_cast<int>(type)] = logcumsumexp_grad<In>;
}

}  // namespace

void fill_reduce_scan_log(ReduceTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
