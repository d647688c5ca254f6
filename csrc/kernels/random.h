// Random numbers. Every draw is two launches: `claim` sets a run of Philox counters aside, and a drawing kernel reads
// what was claimed. The state lies in memory and not in an argument, so a replayed recording draws fresh numbers each
// time, and whoever keeps the claim can draw the same numbers again (the backward of dropout).
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

// What a distribution makes of random words, and the parameters v[0], v[1] … it takes.
enum class Distribution : int {
  uniform,           // min(v0 + v1 u, v2), u the multiples of 2^-v3 in [0, 1)
  normal,            // mean v0, standard deviation v1
  truncated_normal,  // mean v0, deviation v1, cut where the standard normal distribution reaches v2 and v3
  exponential,       // v0 times the standard one, never 0
  bernoulli,         // 1 with probability v0, else 0
  count
};
constexpr int kDistributions = static_cast<int>(Distribution::count);

struct DistributionParams {
  double v[4];
};

// Bits: rows may differ.
enum class MultinomialProblem : std::int64_t { none = 0, not_a_weight = 1, no_weight = 2, too_few = 4 };

struct RandomTable {
  // state: the seed and the next counter. claimed receives both as they were, then the state moves on.
  void (*claim)(std::uint64_t* state, std::uint64_t counters, std::uint64_t* claimed);
  void (*reseed)(std::uint64_t* state, std::uint64_t seed, std::uint64_t counter);

  // n elements of a contiguous tensor; null: not drawn in that type.
  using Fill = void (*)(void* out, std::int64_t n, const std::uint64_t* claimed, DistributionParams params);
  Fill fill[kDistributions][kDTypeCount];

  // Integers low, low + 1 … low + range - 1 with equal probability; range 0 stands for 2^64. One word an element when
  // range <= 2^32, else two.
  using Integers = void (*)(void* out, std::int64_t n, const std::uint64_t* claimed, std::int64_t low,
                            std::uint64_t range);
  Integers integers[kDTypeCount];

  // out = x · scale, or 0 with probability p; one word an element. out may be x.
  using Dropout = void (*)(void* out, const void* x, std::int64_t n, const std::uint64_t* claimed, double p,
                           double scale);
  Dropout dropout[kDTypeCount];

  // 0, 1 … n - 1 in random order; one word an element, two from n = 2^32 on.
  void (*permutation)(std::int64_t* out, std::int64_t n, const std::uint64_t* claimed);

  // Each row of out (rows, samples) draws columns of weights (rows, columns) in proportion to them; two words a sample
  // with replacement, two a weight without. weights are overwritten, keys (rows, samples) is work space. problem
  // receives what is wrong with the weights.
  void (*multinomial)(double* weights, std::int64_t rows, std::int64_t columns, std::int64_t samples, bool replacement,
                      double* keys, std::int64_t* out, const std::uint64_t* claimed, std::int64_t* problem);
};

}  // namespace lamina
