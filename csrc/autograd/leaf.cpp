// Grad mode, leaves and their accumulators, hooks, and the iterative teardown of long graphs.
#include <atomic>

#include "autograd/engine.h"
#include "core/stream.h"

namespace lamina {
namespace {

thread_local bool enabled = true;

// An open recording is told, for .grad is state that a replay must find and leave.
void tell_recording(GradSlot& slot) {
  Recording* recording = open_recording();
  if (!recording) return;
  Tensor owner;
  {
    const std::lock_guard lock(slot.mutex);
    if (!slot.owner || !slot.owner->retain_if_alive()) return;
    owner = Tensor(slot.owner);
    slot.owner->release();
  }
  recording->grad_read(owner);
  recording->grad_written(owner);
}

bool home_is_free(const GradSlot& slot) {
  return slot.home.defined() && !slot.lent && !slot.home.impl()->wrapper && slot.home.dtype() == slot.owner->dtype;
}

// Several threads' graphs may share a leaf, hence the lock.
void add_to(GradSlot& slot, const Tensor& grad) {
  tell_recording(slot);
  Tensor before;  // dies after the lock is let go, for foreign memory may be freed by a Python function
  const std::lock_guard lock(slot.mutex);
  if (!slot.owner) return;
  const TensorImpl& owner = *slot.owner;  // its destructor waits for the lock
  check_as(ErrorKind::runtime, grad.shape() == owner.shape && grad.dtype() == owner.dtype, "a gradient of shape ",
           grad.shape(), " and type ", name_of(grad.dtype()), " arrived at a tensor of shape ", owner.shape,
           " and type ", name_of(owner.dtype));
  Tensor& sum = slot.grad;
  if (sum.defined()) {
    if (sum.storage().writable && !overlaps_itself(sum)) return add_gradient_in_place(sum, grad);
    before = std::exchange(sum, add_gradients(sum, grad));  // a user set it
  } else if (grad == slot.home) {                           // it was lent, and written there
    bump_version(grad);
    sum = grad;
  } else if (home_is_free(slot)) {
    set_gradient(slot.home, grad);
    sum = slot.home;
  } else {  // a buffer that nobody else holds becomes the gradient as it is
    sum = only_ours(grad) && grad.contiguous() ? grad : clone_gradient(grad, contiguous_strides(grad.shape()));
  }
}

// Adds what arrives to the .grad of one leaf. It holds the slot and not the leaf, so that either may die first.
class Accumulator final : public Node {
 public:
  explicit Accumulator(const Tensor& leaf) : slot_(&leaf.impl()->grad_slot()) {}
  const char* name() const override { return "accumulate"; }
  GradSlot* accumulates_to() const override { return slot_.get(); }
  void backward(Gradients& g) override { add_to(*slot_, g.of_output()); }

 private:
  const Ref<GradSlot> slot_;
};

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

bool only_ours(const Tensor& t) {
  return t.impl()->use_count() == 1 && t.storage().use_count() == 1 && !t.storage().exposed;
}

Edge gradient_edge(const Tensor& t) {
  TensorImpl& impl = *t.impl();
  refresh_view(t);
  if (impl.grad_fn) return {Ref<Node>(static_cast<Node*>(impl.grad_fn.get())), impl.output_nr};
  if (!impl.leaf_requires_grad) return {};
  GraphNode& accumulator = impl.grad_state().accumulator.get_or([&] { return new Accumulator(t); });
  return {Ref<Node>(static_cast<Node*>(&accumulator)), 0};
}

void set_gradient_home(const Tensor& leaf, const Tensor& home) {
  GradSlot& slot = leaf.impl()->grad_slot();
  Tensor before = home;
  const std::lock_guard lock(slot.mutex);
  std::swap(slot.home, before);
}

Tensor gradient_home(const Tensor& leaf) {
  const GradState* state = leaf.impl()->grad_state_or_null();
  GradSlot* slot = state ? state->slot.get() : nullptr;
  if (!slot) return {};
  const std::lock_guard lock(slot->mutex);
  return slot->home;
}

Tensor lend_gradient_home(GradSlot& slot) {
  const std::lock_guard lock(slot.mutex);
  if (!slot.owner || slot.grad.defined() || !home_is_free(slot) || slot.home.shape() != slot.owner->shape) return {};
  slot.lent = true;
  return slot.home;
}

void return_gradient_home(GradSlot& slot) {
  const std::lock_guard lock(slot.mutex);
  slot.lent = false;
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
  return t.impl()->grad();
}

void set_grad(const Tensor& t, const Tensor& grad) {
  if (grad.defined()) {
    check(grad.shape() == t.shape(), "grad: expected shape ", t.shape(), ", got ", grad.shape());
    check_as(ErrorKind::type, grad.dtype() == t.dtype(), "grad: expected type ", name_of(t.dtype()), ", got ",
             name_of(grad.dtype()));
    check(!(grad == t), "grad: a tensor cannot be its own gradient");
  }
  if (Recording* recording = open_recording()) recording->grad_written(t);
  t.impl()->set_grad(grad);
}

void accumulate_grad(const Tensor& t, const Tensor& grad) { add_to(t.impl()->grad_slot(), grad); }

// ---- hooks ----

std::shared_ptr<const Hooks::List> Hooks::list() const {
  const std::lock_guard lock(mutex_);
  return list_;
}

void Hooks::add(Entry entry) {
  std::shared_ptr<const List> before;  // dies after the lock is let go, for hooks are Python objects
  const std::lock_guard lock(mutex_);
  auto longer = std::make_shared<List>(list_ ? *list_ : List());
  auto at = longer->end();
  while (!entry.last && at != longer->begin() && std::prev(at)->last) --at;
  longer->insert(at, std::move(entry));
  before = std::exchange(list_, std::move(longer));
}

void Hooks::remove(std::uint64_t id) {
  remove_if([id](const Entry& e) { return e.id == id; });
}
void Hooks::remove_last(std::uint32_t output_nr) {
  remove_if([output_nr](const Entry& e) { return e.last && e.output_nr == output_nr; });
}

template <class Condition>
void Hooks::remove_if(Condition condition) {
  std::shared_ptr<const List> before;
  const std::lock_guard lock(mutex_);
  if (!list_) return;
  auto shorter = std::make_shared<List>(*list_);
  std::erase_if(*shorter, condition);
  before = std::exchange(list_, std::move(shorter));
}

namespace {

HookHandle add_to_node(const Tensor& t, Hook hook, bool last) {
  static std::atomic<std::uint64_t> next_id{0};
  const Edge edge = gradient_edge(t);
  check_as(ErrorKind::runtime, static_cast<bool>(edge.node), "register_hook: the tensor does not require grad");
  HookHandle handle{Ref<Hooks>(&edge.node->hooks.get_or_make()), next_id++};
  handle.hooks->add({edge.input_nr, handle.id, std::move(hook), last});
  return handle;
}

}  // namespace

HookHandle add_hook(const Tensor& t, Hook hook) { return add_to_node(t, std::move(hook), false); }
void remove_hook(const HookHandle& handle) { handle.hooks->remove(handle.id); }

namespace {

// The hook must not keep the tensor alive: the tensor's grad_fn owns the hook.
void keep_gradient_of(const Tensor& t) {
  add_to_node(
      t,
      [slot = Ref<GradSlot>(&t.impl()->grad_slot())](const Tensor& grad) {
        add_to(*slot, grad);
        return Tensor();
      },
      true);
}

}  // namespace

void retain_grad(const Tensor& t) {
  check_as(ErrorKind::runtime, t.requires_grad(), "retain_grad: the tensor does not require grad");
  refresh_view(t);
  if (!t.impl()->grad_fn || t.impl()->grad_state().retains_grad) return;
  t.impl()->grad_state().retains_grad = true;
  keep_gradient_of(t);
}

void replace_history(const Tensor& t, Ref<Node> node) {
  const GradState* state = t.impl()->grad_state_or_null();
  const bool retains = state && state->retains_grad;
  if (retains && t.impl()->grad_fn)
    static_cast<Node*>(t.impl()->grad_fn.get())->hooks.get_or_make().remove_last(t.impl()->output_nr);
  t.impl()->leaf_requires_grad = false;
  set_history(t, std::move(node));
  if (retains) keep_gradient_of(t);
}

}  // namespace lamina
