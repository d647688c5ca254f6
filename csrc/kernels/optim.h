// Optimisers: the list of rules, the numbers they read, what a kernel sees of an arena, and the table. Every number
// lies in memory and not in an argument, so that a replayed recording sees schedules and counts its steps.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

// Formulas: optim_formulas.h. A new rule needs a row here, its formula, and a class in python/lamina/optim.
enum class OptimRule : int { sgd, adagrad, rmsprop, adam, adadelta, adamax, nadam, radam, count };
constexpr int kOptimRules = static_cast<int>(OptimRule::count);
constexpr const char* kOptimRuleNames[kOptimRules] = {"sgd",      "adagrad", "rmsprop", "adam",
                                                      "adadelta", "adamax",  "nadam",   "radam"};

// What a group of parameters is updated with; each rule reads those that it knows. Flags are 0 or 1.
struct OptimOptions {
  double lr, weight_decay, l1, decoupled, maximize;
  double momentum, dampening, nesterov, lr_in_momentum;
  double beta1, beta2, eps, eps_inside_sqrt, amsgrad, centered;
  double lr_decay, momentum_decay;
  double max_norm, max_norm_per_tensor;
};

// Parameters that have always been updated together share a clock. A tick counts the step and derives from it what the
// rule multiplies by.
struct OptimClock {
  double step;
  double memory;  // what a rule carries from tick to tick beside the count
  double v[6];
};

constexpr int kOptimStates = 3;

// Neighbours in an arena that are updated alike: n elements of everything, padding between the slots included. Padding
// of gradients and states is zero, that of parameters never read by anybody.
struct OptimRun {
  void* w;
  const void* g;
  void* state[kOptimStates];  // float32 for 16-bit parameters, else of the parameters' type
  std::int64_t n;
  const OptimOptions* options;
  const OptimClock* clock;
};
using OptimUpdate = void (*)(OptimRun run, int states);

constexpr std::int64_t kOptimChunk = 16384;  // elements that one thread takes at once
static constexpr std::int64_t optim_chunks(std::int64_t n) { return (n + kOptimChunk - 1) / kOptimChunk; }

// A running average: the count of updates, β^count, and what the average is divided by.
struct AverageClock {
  double decay, count, correction;
};

struct OptimTable {
  void (*set)(double* number, double value);
  void (*tick[kOptimRules])(const OptimOptions* options, OptimClock* clock);
  OptimUpdate update[kOptimRules][kDTypeCount];

  // saved = w, then w moves to where momentum alone would carry it.
  void (*look_ahead[kDTypeCount])(OptimRun run, void* saved);
  // Scales each row of w (rows, length) whose norm exceeds the limit down to it.
  void (*max_norm[kDTypeCount])(void* w, std::int64_t rows, std::int64_t length, const double* limit);

  // partial[c] = sum of |g|^p over chunk c (the largest |g| for p = infinity, the number of non-zeros for p = 0).
  void (*norm_partial[kDTypeCount])(const void* g, std::int64_t n, double p, double* partial);
  // norm = the whole norm; factor = what brings it to at most `limit`: limit / (norm + eps), and 1 for less.
  void (*norm_finish)(const double* partial, std::int64_t chunks, double p, double limit, double eps, double* norm,
                      double* factor);
  void (*scale[kDTypeCount])(void* g, std::int64_t n, const double* factor);  // nothing is touched for 1
  void (*clip_value[kDTypeCount])(void* g, std::int64_t n, double limit);

  void (*average_tick)(AverageClock* clock, bool correct_bias);
  // average = decay · average + (1 - decay) · w
  void (*average[kDTypeCount])(void* average, const void* w, std::int64_t n, const AverageClock* clock);
  // w = average / correction
  void (*average_read[kDTypeCount])(void* w, const void* average, std::int64_t n, const AverageClock* clock);
};

}  // namespace lamina
