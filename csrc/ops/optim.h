// Optimisers on tensors: arenas, steps, clipping, averages.
#pragma once
#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/optim.h"

namespace lamina {

// ---- optim_arena.cpp ----

// An arena gives every tensor a slot that begins on a cache line. Elements from the begin of a slot to that of the
// next:
std::int64_t slot_elements(std::int64_t numel, DType dtype);

// Tensors of one type, one behind the other in one block. Each has a storage of its own (its version, its cache of
// packed weights) and keeps the block alive. Zeros at first.
std::vector<Tensor> make_arena(const std::vector<Tensor>& like, DType dtype);

// Moves the memory of a parameter into a slot of an arena; the object, its values and its gradient stay. Memory that
// others can see (a view, a tied parameter, NumPy, a recorded step) stays where it is: false.
bool move_to_slot(const Tensor& parameter, const Tensor& slot);

// Gradients that lie one behind the other, padding between them included.
struct GradientRun {
  void* data;
  std::int64_t numel;
  Tensor first;
};
std::vector<GradientRun> gradient_runs(const std::vector<Tensor>& parameters);

// ---- optim.cpp ----

struct OptimOption {
  const char* name;
  double OptimOptions::*number;
};
const std::vector<OptimOption>& optim_options();
OptimRule optim_rule(const std::string& name);

// Parameters that are updated by one rule with one set of numbers. Those of one type share an arena for the parameters,
// one for their gradients and one for every state.
class OptimGroup {
 public:
  OptimGroup(OptimRule rule, const OptimOptions& options, const std::vector<Tensor>& parameters);

  void set(const OptimOption& option, double value);
  double get(const OptimOption& option) const { return options_.*option.number; }
  // Parameters without a gradient are left alone, and their clocks stand still.
  void step();
  void zero_grad(bool set_to_none);
  // Moves the parameters to where momentum alone would carry them, and back.
  void look_ahead();
  void look_back();

  // State `k` of parameter i, in its shape; undefined unless the options ask for it.
  Tensor state(std::size_t i, int k) const;
  void fill_state(int k, double value);
  struct Count {
    double step, memory;
  };
  std::vector<Count> counts() const;
  void set_counts(const std::vector<Count>& counts);
  std::int64_t numel() const { return numel_; }

 private:
  struct Slot {
    Tensor parameter;
    DType dtype;
    Tensor staging;  // where a parameter that is not contiguous is updated
    bool moved;      // lies in an arena
    int clock;
    std::int64_t pitch;  // elements to the next slot
    Tensor state[kOptimStates], before;
  };
  struct Clock {
    int members, present;
  };
  struct Present {
    Slot* slot;
    Tensor grad, parameter;
    bool padded;
  };
  void arrange(const std::vector<Tensor>& parameters);
  void follow_conversions();
  void adopt(const std::vector<std::size_t>& indices, const std::vector<Tensor>& parameters, DType dtype);
  void make_states();
  void make_state(int k);
  template <class Body>
  void for_each_type(Body body);
  int states(int (&which)[kOptimStates]) const;
  void find_present(bool all);
  void split_clocks();
  bool continues(const Present& a, const Present& b) const;
  template <class Launch>
  void for_each_run(Launch launch);
  void finish();
  OptimClock* clock(int c) const { return clocks_.data<OptimClock>() + c; }
  const OptimOptions* options_on_device() const { return numbers_.data<OptimOptions>(); }

  OptimRule rule_;
  OptimOptions options_;
  Device device_;
  Tensor numbers_, clocks_;
  std::vector<Slot> slots_;  // type by type
  std::vector<std::size_t> slot_of_;
  std::vector<Clock> clock_use_;
  std::vector<Present> present_;
  std::int64_t numel_ = 0;
};

// ---- optim_clip.cpp ----

// Scales the gradients of all parameters so that their norm is at most `limit`; returns the norm they had.
Tensor clip_grad_norm_(const std::vector<Tensor>& parameters, double limit, double p, double eps);
Tensor total_norm(const std::vector<Tensor>& tensors, double p);
void clip_grad_value_(const std::vector<Tensor>& parameters, double limit);

// ---- optim_average.cpp ----

// v ← βv + (1-β)θ, read as v / (1 - βᵗ) unless the average starts from θ itself.
class ParameterAverage {
 public:
  ParameterAverage(const std::vector<Tensor>& parameters, double decay, bool correct_bias);
  void update();
  void copy_to(const std::vector<Tensor>& tensors) const;
  void set_decay(double decay);
  const std::vector<Tensor>& averages() const { return averages_; }
  double count() const;
  void set_count(double count);

 private:
  std::vector<Tensor> parameters_, averages_;
  Tensor clock_;
  bool correct_bias_;
};

}  // namespace lamina
