// Grad mode, leaves and their accumulators, hooks, and the iterative teardown of long graphs.
#include <atomic>

#include "autograd/engine.h"
#include "core/stream.h"

namespace lamina {
namespace {

thread_local bool enabled = true;

// Adds what arrives to the .grad of one leaf. Several threads' graphs may share the leaf, hence the lock; the leaf owns
// its accumulator, so the way back is a plain pointer that the leaf clears as it dies.
class Accumulator final : public Node {
 public:
  explicit Accumulator(TensorImpl* leaf) : leaf_(leaf) {}
  const char* name() const override { return "accumulate"; }
  bool is_accumulator() const override { return true; }

  void backward(Gradients& g) override {
    Tensor alive;  // dies after the lock
    std::lock_guard lock(mutex_);
    if (!leaf_) return;
    const Tensor& grad = g.of_output();
    check_as(ErrorKind::runtime, grad.shape() == leaf_->shape, "a gradient of shape ", grad.shape(),
             " arrived at a leaf of shape ", leaf_->shape);
    if (Recording* recording = open_recording(); recording && leaf_->retain_if_alive()) {
      alive = Tensor(leaf_);
      leaf_->release();
      recording->grad_read(alive);
      recording->grad_written(alive);
    }
    Tensor& sum = leaf_->grad_state().grad;
    if (sum.defined()) {
      add_gradient_in_place(sum, grad);
      return;
    }
    if (home.defined() && home.dtype() == leaf_->dtype && !home.impl()->wrapper) {
      set_gradient(home, grad);
      sum = home;
      return;
    }
    // A buffer that nobody else holds becomes the gradient as it is.
    const bool ours = grad.impl()->use_count() == 1 && grad.impl()->storage->use_count() == 1 && grad.contiguous() &&
                      grad.dtype() == leaf_->dtype;
    sum = ours ? grad : clone_gradient(grad, contiguous_strides(grad.shape()));
  }
  void forget_leaf() {
    std::lock_guard lock(mutex_);
    leaf_ = nullptr;
  }

  Tensor home;

 private:
  std::mutex mutex_;
  TensorImpl* leaf_;
};

std::mutex accumulator_creation;

Accumulator& accumulator_of(TensorImpl& leaf) {
  std::lock_guard lock(accumulator_creation);
  GradState& state = leaf.grad_state();
  if (!state.accumulator) state.accumulator = Ref<GraphNode>(new Accumulator(&leaf));
  return static_cast<Accumulator&>(*state.accumulator);
}

}  // namespace

bool grad_enabled() { return enabled; }
void set_grad_enabled(bool on) { enabled = on; }

// Chains of a million nodes die here one after another instead of within each other.
void GraphNode::destroy(GraphNode* dead) {
  thread_local std::vector<GraphNode*> waiting;
  thread_local bool draining = false;
  waiting.push_back(dead);
  if (draining) return;
  draining = true;
  while (!waiting.empty()) {
    GraphNode* next = waiting.back();
    waiting.pop_back();
    delete next;
  }
  draining = false;
}

TensorImpl::~TensorImpl() {
  if (grad_state_ && grad_state_->accumulator) static_cast<Accumulator*>(grad_state_->accumulator.get())->forget_leaf();
}

Edge gradient_edge(const Tensor& t) {
  TensorImpl& impl = *t.impl();
  refresh_view(t);
  if (impl.grad_fn) return {Ref<Node>(static_cast<Node*>(impl.grad_fn.get())), impl.output_nr};
  if (!impl.leaf_requires_grad) return {};
  return {Ref<Node>(&accumulator_of(impl)), 0};
}

void set_gradient_home(const Tensor& leaf, const Tensor& home) { accumulator_of(*leaf.impl()).home = home; }

Tensor gradient_home(const Tensor& leaf) {
  const GradState* state = leaf.impl()->grad_state_or_null();
  return state && state->accumulator ? static_cast<const Accumulator&>(*state->accumulator).home : Tensor();
}

void set_requires_grad(const Tensor& t, bool on) {
  TensorImpl& impl = *t.impl();
  check_as(ErrorKind::type, !on || is_floating(impl.dtype),
           "requires_grad: only floating-point tensors can require gradients, not ", name_of(impl.dtype));
  check_as(ErrorKind::runtime, on || !impl.grad_fn,
           "requires_grad: cannot be switched off on a result of recorded operations; use detach()");
  impl.leaf_requires_grad = on && !impl.grad_fn;
}

void forget_history(const Tensor& t) {
  TensorImpl& impl = *t.impl();
  const GradState* state = impl.grad_state_or_null();
  check_as(ErrorKind::runtime, !state || !state->base.defined(),
           "detach_: a view cannot leave the history of what it views; use detach()");
  impl.grad_fn = {};
  impl.output_nr = 0;
  impl.leaf_requires_grad = false;
}

Tensor grad_of(const Tensor& t) {
  if (Recording* recording = open_recording()) recording->grad_read(t);
  const GradState* state = t.impl()->grad_state_or_null();
  return state ? state->grad : Tensor();
}

void set_grad(const Tensor& t, const Tensor& grad) {
  if (Recording* recording = open_recording()) recording->grad_written(t);
  if (!grad.defined()) {
    if (t.impl()->grad_state_or_null()) t.impl()->grad_state().grad = Tensor();
    return;
  }
  check(grad.shape() == t.shape(), "grad: expected shape ", t.shape(), ", got ", grad.shape());
  check_as(ErrorKind::type, grad.dtype() == t.dtype(), "grad: expected type ", name_of(t.dtype()), ", got ",
           name_of(grad.dtype()));
  check(!(grad == t), "grad: a tensor cannot be its own gradient");
  t.impl()->grad_state().grad = grad;
}

HookHandle add_hook(const Tensor& t, Hook hook) {
  static std::atomic<std::uint64_t> next_id{0};
  const Edge edge = gradient_edge(t);
  check_as(ErrorKind::runtime, static_cast<bool>(edge.node), "register_hook: the tensor does not require grad");
  const std::uint64_t id = next_id++;
  edge.node->hooks.push_back({edge.input_nr, id, std::move(hook)});
  return {edge.node, id};
}

void remove_hook(const HookHandle& handle) {
  std::erase_if(handle.node->hooks, [&](const Node::HookEntry& h) { return h.id == handle.id; });
}

void retain_grad(const Tensor& t) {
  check_as(ErrorKind::runtime, t.requires_grad(), "retain_grad: the tensor does not require grad");
  if (!t.impl()->grad_fn || t.impl()->grad_state().retains_grad) return;
  t.impl()->grad_state().retains_grad = true;
  // The hook must not keep the tensor alive: the tensor's grad_fn owns the hook.
  add_hook(t, [weak = t.impl()->weak_grad_state()](const Tensor& grad) {
    if (const auto state = weak.lock()) state->grad = state->grad.defined() ? add_gradients(state->grad, grad) : grad;
    return Tensor();
  });
}

}  // namespace lamina
