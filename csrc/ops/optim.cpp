// A group of parameters and its steps.
#include "ops/optim.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "autograd/engine.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/optim.h"
#include "ops/elementwise.h"

namespace lamina {
namespace {

const OptimTable& table(Device device) { return kernels(device).optim; }

DType state_type(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

void check_parameter(const Tensor& p, std::size_t i) {
  check_as(ErrorKind::type, is_floating(p.dtype()), "optimizer: parameter ", i, " is of type ", name_of(p.dtype()),
           "; only floating-point tensors can be trained");
  check(!p.impl()->grad_fn, "optimizer: parameter ", i, " of shape ", p.shape(),
        " is the result of recorded operations; only leaves can be trained");
  GradMode off(false);
  check_writable("optimizer", p);
}

}  // namespace

const std::vector<OptimOption>& optim_options() {
  using O = OptimOptions;
  static const std::vector<OptimOption> options = {{"lr", &O::lr},
                                                   {"weight_decay", &O::weight_decay},
                                                   {"l1", &O::l1},
                                                   {"decoupled_weight_decay", &O::decoupled},
                                                   {"maximize", &O::maximize},
                                                   {"momentum", &O::momentum},
                                                   {"dampening", &O::dampening},
                                                   {"nesterov", &O::nesterov},
                                                   {"lr_in_momentum", &O::lr_in_momentum},
                                                   {"beta1", &O::beta1},
                                                   {"beta2", &O::beta2},
                                                   {"eps", &O::eps},
                                                   {"eps_inside_sqrt", &O::eps_inside_sqrt},
                                                   {"amsgrad", &O::amsgrad},
                                                   {"centered", &O::centered},
                                                   {"lr_decay", &O::lr_decay},
                                                   {"momentum_decay", &O::momentum_decay},
                                                   {"max_norm", &O::max_norm},
                                                   {"max_norm_per_tensor", &O::max_norm_per_tensor}};
  return options;
}

OptimRule optim_rule(const std::string& name) {
  for (int r = 0; r < kOptimRules; ++r)
    if (name == kOptimRuleNames[r]) return static_cast<OptimRule>(r);
  fail(ErrorKind::value, "optimizer: there is no rule '", name, "'");
}

OptimGroup::OptimGroup(OptimRule rule, const OptimOptions& options, const std::vector<Tensor>& parameters)
    : rule_(rule), options_(options) {
  check(!parameters.empty(), "optimizer: a group of parameters is empty");
  std::set<const TensorImpl*> seen;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    check_parameter(parameters[i], i);
    check(seen.insert(parameters[i].impl()).second, "optimizer: parameter ", i, " of shape ", parameters[i].shape(),
          " is in its group twice");
    check(parameters[i].device() == parameters[0].device(), "optimizer: parameter ", i, " is on ",
          parameters[i].device(), ", others of its group are on ", parameters[0].device());
    numel_ += parameters[i].numel();
  }
  const Unrecorded once;  // replays must not set up anew
  device_ = parameters[0].device();
  arrange(parameters);
  const auto doubles = [](std::size_t bytes) { return Dims{static_cast<std::int64_t>(bytes / sizeof(double))}; };
  numbers_ = full(doubles(sizeof(OptimOptions)), Scalar(0.0), DType::f64, device_);
  for (const OptimOption& o : optim_options()) set(o, options.*o.number);
  clocks_ = full(doubles(parameters.size() * sizeof(OptimClock)), Scalar(0.0), DType::f64, device_);
  clock_use_.push_back({static_cast<int>(parameters.size()), 0});
}

void OptimGroup::arrange(const std::vector<Tensor>& parameters) {
  slots_.clear();
  slots_.reserve(parameters.size());
  slot_of_.resize(parameters.size());
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < parameters.size(); ++i)
      if (parameters[i].dtype() == dtype) indices.push_back(i);
    if (!indices.empty()) adopt(indices, parameters, dtype);
  }
}

// A model converted to another type since has parameters of that type in memory of their own: they need new places, and
// states of the type that goes with them.
void OptimGroup::follow_conversions() {
  const auto as_known = [](const Slot& s) { return s.parameter.dtype() == s.dtype; };
  if (std::all_of(slots_.begin(), slots_.end(), as_known)) [[likely]]
    return;
  const Unrecorded once;
  const std::vector<Slot> before = std::move(slots_);
  const std::vector<std::size_t> slot_before = slot_of_;
  std::vector<Tensor> parameters;
  for (const std::size_t s : slot_before) parameters.push_back(before[s].parameter);
  arrange(parameters);
  for (std::size_t i = 0; i < parameters.size(); ++i) slots_[slot_of_[i]].clock = before[slot_before[i]].clock;
  for (int k = 0; k < kOptimStates; ++k) {
    if (!before[0].state[k].defined()) continue;
    make_state(k);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      write_copy(slots_[slot_of_[i]].state[k], before[slot_before[i]].state[k]);
  }
}

void OptimGroup::adopt(const std::vector<std::size_t>& indices, const std::vector<Tensor>& parameters, DType dtype) {
  std::vector<Tensor> group;
  for (const std::size_t i : indices) group.push_back(parameters[i]);
  const std::vector<Tensor> places = make_arena(group, dtype), homes = make_arena(group, dtype);
  for (std::size_t k = 0; k < group.size(); ++k) {
    const Tensor& p = group[k];
    Slot slot{};
    slot.parameter = p;
    slot.dtype = dtype;
    slot.moved = move_to_slot(p, places[k]);
    if (!slot.moved && !p.contiguous()) slot.staging = places[k];
    slot.pitch = slot_elements(p.numel(), dtype);
    set_gradient_home(p, homes[k]);
    slot_of_[indices[k]] = slots_.size();
    slots_.push_back(std::move(slot));
  }
}

void OptimGroup::set(const OptimOption& option, double value) {
  options_.*option.number = value;
  const auto* first = reinterpret_cast<const double*>(&options_);
  const std::ptrdiff_t at = &(options_.*option.number) - first;
  current_stream().launch(require(table(device_).set, "optimizer", device_), numbers_.data<double>() + at, value);
  make_states();
}

// ---- states ----

// Which of the rule's states the options ask for.
int OptimGroup::states(int (&which)[kOptimStates]) const {
  int count = 0;
  const auto use = [&](int k, bool wanted = true) {
    if (wanted) which[count++] = k;
  };
  switch (rule_) {
    case OptimRule::sgd: use(0, options_.momentum != 0); break;
    case OptimRule::adagrad: use(0); break;
    case OptimRule::rmsprop:
      use(0);
      use(1, options_.momentum != 0);
      use(2, options_.centered != 0);
      break;
    case OptimRule::adam:
      use(0);
      use(1);
      use(2, options_.amsgrad != 0);
      break;
    default:
      use(0);
      use(1);
      break;
  }
  return count;
}

void OptimGroup::make_states() {
  int which[kOptimStates];
  const int count = states(which);
  for (int c = 0; c < count; ++c)
    if (!slots_[0].state[which[c]].defined()) make_state(which[c]);
}

void OptimGroup::make_state(int k) {
  const Unrecorded once;
  for_each_type([&](std::size_t from, const std::vector<Tensor>& like, DType dtype) {
    const std::vector<Tensor> arena = make_arena(like, state_type(dtype));
    for (std::size_t s = 0; s < arena.size(); ++s) slots_[from + s].state[k] = arena[s];
  });
}

// body(first slot, parameters, their type) for every stretch of slots of one type.
template <class Body>
void OptimGroup::for_each_type(Body body) {
  for (std::size_t from = 0, to; from < slots_.size(); from = to) {
    std::vector<Tensor> like;
    for (to = from; to < slots_.size() && slots_[to].dtype == slots_[from].dtype; ++to)
      like.push_back(slots_[to].parameter);
    body(from, like, slots_[from].dtype);
  }
}

Tensor OptimGroup::state(std::size_t i, int k) const { return slots_.at(slot_of_.at(i)).state[k]; }

void OptimGroup::fill_state(int k, double value) {
  for (const Slot& s : slots_) write_fill(s.state[k], Scalar(value));
}

std::vector<OptimGroup::Count> OptimGroup::counts() const {
  check_host_read("an optimizer's state_dict()");
  std::vector<Count> counts;
  for (const std::size_t s : slot_of_) {
    const OptimClock c = fetch(clock(slots_[s].clock), device_);
    counts.push_back({c.step, c.memory});
  }
  return counts;
}

void OptimGroup::set_counts(const std::vector<Count>& counts) {
  check(counts.size() == slots_.size(), "optimizer: expected ", slots_.size(), " step counts, got ", counts.size());
  const Unrecorded once;
  clock_use_.clear();
  write_fill(clocks_, Scalar(0.0));
  std::vector<Count> set;  // by clock
  for (std::size_t i = 0; i < counts.size(); ++i) {
    int c = 0;
    const int clocks = static_cast<int>(clock_use_.size());
    const auto same = [&](const Count& k) { return k.step == counts[i].step && k.memory == counts[i].memory; };
    while (c < clocks && !same(set[static_cast<std::size_t>(c)])) ++c;
    if (c == clocks) {
      clock_use_.push_back({0, 0});
      set.push_back(counts[i]);
      const OptimTable& kernels = table(device_);
      current_stream().launch(kernels.set, &clock(c)->step, counts[i].step);
      current_stream().launch(kernels.set, &clock(c)->memory, counts[i].memory);
    }
    ++clock_use_[static_cast<std::size_t>(c)].members;
    slots_[slot_of_[i]].clock = c;
  }
}

// ---- the step ----

void OptimGroup::find_present(bool all) {
  present_.clear();
  for (Slot& slot : slots_) {
    const Tensor& p = slot.parameter;
    Tensor grad = all ? Tensor() : grad_of(p);
    if (!all && !grad.defined()) continue;
    bool padded = slot.moved || slot.staging.defined();
    if (!all) {
      padded &= grad == gradient_home(p);
      if (!grad.contiguous()) grad = clone(detach(grad));
    }
    if (slot.staging.defined()) write_copy(slot.staging, p);
    present_.push_back({&slot, std::move(grad), slot.staging.defined() ? slot.staging : p, padded});
  }
}

// Where only some parameters of a clock are updated, these get one of their own.
void OptimGroup::split_clocks() {
  for (Clock& c : clock_use_) c.present = 0;
  for (const Present& p : present_) ++clock_use_[static_cast<std::size_t>(p.slot->clock)].present;
  for (std::size_t c = 0, before = clock_use_.size(); c < before; ++c) {
    if (clock_use_[c].present == 0 || clock_use_[c].present == clock_use_[c].members) continue;
    const int split = static_cast<int>(c), fresh = static_cast<int>(clock_use_.size());
    const int moved = clock_use_[c].present;
    clock_use_[c] = {clock_use_[c].members - moved, 0};
    clock_use_.push_back({moved, moved});
    for (const Present& p : present_)
      if (p.slot->clock == split) p.slot->clock = fresh;
    const Unrecorded once;
    constexpr std::size_t numbers = sizeof(OptimClock) / sizeof(double);
    const OptimClock from = fetch(clock(split), device_);
    double copied[numbers];
    std::memcpy(copied, &from, sizeof from);
    auto* to = reinterpret_cast<double*>(clock(fresh));
    for (std::size_t k = 0; k < numbers; ++k) current_stream().launch(table(device_).set, to + k, copied[k]);
  }
}

// Does b's slot follow a's in every arena?
bool OptimGroup::continues(const Present& a, const Present& b) const {
  const std::int64_t pitch = a.slot->pitch, numel = a.parameter.numel();
  if (a.slot->clock != b.slot->clock || a.slot + 1 != b.slot || a.parameter.dtype() != b.parameter.dtype())
    return false;
  if (pitch != numel && !(a.padded && b.padded)) return false;
  const std::int64_t bytes = pitch * static_cast<std::int64_t>(a.parameter.item_size());
  if (b.parameter.data<char>() - a.parameter.data<char>() != bytes) return false;
  return !a.grad.defined() || b.grad.data<char>() - a.grad.data<char>() == bytes;
}

// launch(run, how many states, the first parameter) for every stretch of neighbours.
template <class Launch>
void OptimGroup::for_each_run(Launch launch) {
  int which[kOptimStates];
  const int count = states(which);
  for (std::size_t i = 0, next; i < present_.size(); i = next) {
    const Present& first = present_[i];
    OptimRun run{};
    for (next = i + 1; next < present_.size() && continues(present_[next - 1], present_[next]); ++next)
      run.n += present_[next - 1].slot->pitch;
    run.n += present_[next - 1].parameter.numel();
    if (run.n == 0) continue;
    run.w = first.parameter.data();
    run.g = first.grad.defined() ? first.grad.data() : nullptr;
    for (int s = 0; s < count; ++s) run.state[s] = first.slot->state[which[s]].data();
    run.options = options_on_device();
    run.clock = clock(first.slot->clock);
    launch(run, count, first);
  }
}

void OptimGroup::step() {
  follow_conversions();
  find_present(false);
  if (present_.empty()) return;
  split_clocks();
  const OptimTable& kernels = table(device_);
  Stream& stream = current_stream();
  const int rule = static_cast<int>(rule_);
  for (std::size_t c = 0; c < clock_use_.size(); ++c)
    if (clock_use_[c].present > 0) stream.launch(kernels.tick[rule], options_on_device(), clock(static_cast<int>(c)));
  for_each_run([&](const OptimRun& run, int states, const Present& first) {
    const OptimUpdate update = kernels.update[rule][static_cast<int>(first.parameter.dtype())];
    stream.launch(require(update, kOptimRuleNames[rule], device_), run, states);
  });
  if (options_.max_norm > 0) {
    const bool whole = options_.max_norm_per_tensor != 0;
    for (const Present& p : present_) {
      const Tensor& w = p.parameter;
      if (w.numel() == 0 || (!whole && w.ndim() < 2)) continue;
      const std::int64_t rows = whole ? 1 : w.shape()[0];
      stream.launch(kernels.max_norm[static_cast<int>(w.dtype())], w.data(), rows, w.numel() / rows,
                    &options_on_device()->max_norm);
    }
  }
  finish();
}

// What was updated goes to where the user sees it.
void OptimGroup::finish() {
  for (const Present& p : present_) {
    if (p.slot->staging.defined()) write_copy(p.slot->parameter, p.slot->staging);
    bump_version(p.slot->parameter);
  }
  present_.clear();
}

void OptimGroup::zero_grad(bool set_to_none) {
  for (const Slot& slot : slots_) {
    if (set_to_none) {
      set_grad(slot.parameter, Tensor());
    } else if (const Tensor grad = grad_of(slot.parameter); grad.defined()) {
      write_fill(grad, Scalar(0.0));
      bump_version(grad);
    }
  }
}

void OptimGroup::look_ahead() {
  check(rule_ == OptimRule::sgd && options_.momentum != 0, "look_ahead: needs momentum");
  follow_conversions();
  if (!slots_[0].before.defined()) {
    const Unrecorded once;
    for_each_type([&](std::size_t from, const std::vector<Tensor>& like, DType dtype) {
      const std::vector<Tensor> arena = make_arena(like, dtype);
      for (std::size_t s = 0; s < arena.size(); ++s) slots_[from + s].before = arena[s];
    });
  }
  find_present(true);
  for_each_run([&](const OptimRun& run, int, const Present& first) {
    const auto kernel = table(device_).look_ahead[static_cast<int>(first.parameter.dtype())];
    current_stream().launch(require(kernel, "look_ahead", device_), run, first.slot->before.data());
  });
  finish();
}

void OptimGroup::look_back() {
  for (const Slot& slot : slots_) {
    write_copy(slot.parameter, slot.before);
    bump_version(slot.parameter);
  }
}

}  // namespace lamina
