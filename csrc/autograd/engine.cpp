#include "autograd/engine.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace lamina {

void (*check_interrupt)() = [] {};

namespace {

// A node waiting for the gradients of its outputs.
struct Pending {
  Node* node;
  int missing;                 // edges into it that have not delivered yet
  Tensor first;                // gradient of output 0
  std::vector<Tensor> others;  // of outputs 1…
};

// One backward pass. All its state is here and none in the nodes, so passes on several threads never meet.
class Pass final : public GradientHomes {
 public:
  Pass() : slots_(64, kFree) {}
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;
  ~Pass() {
    for (const Ref<GradSlot>& slot : lent_) return_gradient_home(*slot);
  }

  void discover(Node* root) {
    std::vector<Node*> stack;
    if (add(root)) stack.push_back(root);
    while (!stack.empty()) {
      Node* node = stack.back();
      stack.pop_back();
      for (int i = 0; i < node->edges.size(); ++i) {
        Node* next = node->edges[i].node.get();
        if (!next) continue;
        if (add(next)) stack.push_back(next);
        ++pending_[find(next)].missing;
      }
    }
  }

  void deliver(Node* node, std::uint32_t output_nr, Tensor grad) {
    if (grad.defined()) accumulate(slot(pending_[find(node)], output_nr), std::move(grad));
  }

  // Only the gradients at these edges are wanted: what does not lead there is left out, and no leaf accumulates.
  void capture(const std::vector<Edge>& edges) {
    wanted_ = edges;
    captured_.resize(edges.size());
    leads_.assign(pending_.size(), false);
    for (const Edge& e : edges)
      if (const std::uint32_t at = find_or_none(e.node.get()); at != kFree) leads_[at] = true;
    const std::vector<std::uint32_t> order = sources_first();
    for (std::size_t i = order.size(); i-- > 0;) {
      const Edges& next = pending_[order[i]].node->edges;
      for (int k = 0; k < next.size() && !leads_[order[i]]; ++k)
        if (next[k].node) leads_[order[i]] = leads_[find(next[k].node.get())];
    }
  }

  void run(const std::vector<Edge>& roots, bool retain_graph) {
    std::vector<std::uint32_t> ready;
    for (const Edge& e : roots) {
      const std::uint32_t at = find(e.node.get());
      if (pending_[at].missing == 0) {
        pending_[at].missing = -1;  // a root given twice runs once
        if (leads(at)) ready.push_back(at);
      }
    }
    std::vector<Tensor> outputs, inputs;
    for (std::uint32_t steps = 1; !ready.empty(); ++steps) {
      if (steps % 256 == 0) check_interrupt();
      Pending& p = pending_[ready.back()];
      ready.pop_back();
      outputs.clear();
      outputs.push_back(std::move(p.first));
      for (Tensor& t : p.others) outputs.push_back(std::move(t));
      outputs.resize(p.node->outputs);
      visit(*p.node, outputs, inputs, retain_graph);
      const Edges& edges = p.node->edges;
      for (int i = 0; i < edges.size(); ++i) {
        Node* next = edges[i].node.get();
        if (!next) continue;
        const std::uint32_t at = find(next);
        if (!leads(at)) continue;
        if (inputs[i].defined()) accumulate(slot(pending_[at], edges[i].input_nr), std::move(inputs[i]));
        if (--pending_[at].missing == 0) ready.push_back(at);
      }
    }
  }

  // Only to the one gradient that will arrive, and if no hook looks at it before the leaf has it.
  Tensor lend(const Edge& edge) override {
    GradSlot* const slot = edge.node ? edge.node->accumulates_to() : nullptr;
    if (!slot || capturing() || edge.node->hooks.get()) return {};
    const Pending& leaf = pending_[find(edge.node.get())];
    if (leaf.missing != 1 || leaf.first.defined()) return {};
    const Tensor home = lend_gradient_home(*slot);
    if (home.defined()) lent_.emplace_back(slot);
    return home;
  }

  // Each a tensor of its own, that the caller may change.
  std::vector<Tensor> take_captured() {
    for (Tensor& t : captured_)
      if (t.defined() && !(only_ours(t) && t.contiguous())) t = clone_gradient(t, contiguous_strides(t.shape()));
    return std::move(captured_);
  }

 private:
  static constexpr std::uint32_t kFree = ~0u;

  bool capturing() const { return !wanted_.empty(); }
  bool leads(std::uint32_t at) const { return !capturing() || leads_[at]; }

  // The discovered nodes, each before those that its edges lead to.
  std::vector<std::uint32_t> sources_first() const {
    std::vector<int> missing;
    std::vector<std::uint32_t> order;
    for (std::uint32_t at = 0; at < pending_.size(); ++at) {
      missing.push_back(pending_[at].missing);
      if (pending_[at].missing == 0) order.push_back(at);
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Edges& edges = pending_[order[i]].node->edges;
      for (int k = 0; k < edges.size(); ++k) {
        if (!edges[k].node) continue;
        const std::uint32_t at = find(edges[k].node.get());
        if (--missing[at] == 0) order.push_back(at);
      }
    }
    return order;
  }

  void visit(Node& node, std::vector<Tensor>& outputs, std::vector<Tensor>& inputs, bool retain_graph) {
    inputs.assign(static_cast<std::size_t>(node.edges.size()), Tensor());
    bool any = false, on = true;
    for (const Tensor& t : outputs) any |= t.defined();
    if (any) {
      try {
        if (const Hooks* hooks = node.hooks.get()) run_hooks(*hooks, outputs);
        if (capturing()) on = take(node, outputs);
        if (on) {
          Gradients g(node.edges, outputs.data(), static_cast<int>(outputs.size()), inputs,
                      capturing() ? &unwanted_ : nullptr, *this);
          node.backward(g);
        }
      } catch (const Error& e) {
        throw Error(e.kind, concat("backward of ", node.name(), ": ", e.what()));
      }
    }
    if (on && !retain_graph) node.free_saved();
  }

  // Keeps what is wanted of a node's gradients. Does any of its edges lead on to more?
  bool take(const Node& node, const std::vector<Tensor>& outputs) {
    for (std::size_t i = 0; i < wanted_.size(); ++i)
      if (wanted_[i].node.get() == &node) captured_[i] = outputs[wanted_[i].input_nr];
    unwanted_.assign(static_cast<std::size_t>(node.edges.size()), true);
    bool on = false;
    for (int i = 0; i < node.edges.size(); ++i) {
      const Node* next = node.edges[i].node.get();
      if (!next || !leads_[find(next)]) continue;
      unwanted_[static_cast<std::size_t>(i)] = false;
      on = true;
    }
    return on;
  }

  static void run_hooks(const Hooks& hooks, std::vector<Tensor>& outputs) {
    if (const std::shared_ptr<const Hooks::List> list = hooks.list())
      for (const Hooks::Entry& h : *list) apply_hook(h, outputs);
  }

  static void apply_hook(const Hooks::Entry& h, std::vector<Tensor>& outputs) {
    Tensor& grad = outputs[h.output_nr];
    if (!grad.defined()) return;
    Tensor replaced = h.hook(grad);
    if (!replaced.defined()) return;
    check(replaced.shape() == grad.shape(), "a hook returned a gradient of shape ", replaced.shape(),
          " for one of shape ", grad.shape());
    check_as(ErrorKind::type, replaced.dtype() == grad.dtype(), "a hook returned a gradient of type ",
             name_of(replaced.dtype()), " for one of type ", name_of(grad.dtype()));
    grad = replaced.requires_grad() ? detach(replaced) : std::move(replaced);
  }

  static Tensor& slot(Pending& p, std::uint32_t output_nr) {
    if (output_nr == 0) return p.first;
    if (p.others.size() < output_nr) p.others.resize(output_nr);
    return p.others[output_nr - 1];
  }

  static void accumulate(Tensor& sum, Tensor grad) {
    if (!sum.defined())
      sum = std::move(grad);
    else if (only_ours(sum) && sum.contiguous())
      add_gradient_in_place(sum, grad);
    else
      sum = add_gradients(sum, grad);
  }

  // ---- node → index in pending_: open addressing ----
  std::size_t home(const Node* node) const {
    return (reinterpret_cast<std::uintptr_t>(node) >> 4) * 0x9E3779B97F4A7C15u >>
           (64 - std::countr_zero(slots_.size()));
  }
  std::uint32_t find(const Node* node) const {
    for (std::size_t i = home(node);; i = (i + 1) & (slots_.size() - 1))
      if (pending_[slots_[i]].node == node) return slots_[i];
  }
  std::uint32_t find_or_none(const Node* node) const {
    for (std::size_t i = home(node); slots_[i] != kFree; i = (i + 1) & (slots_.size() - 1))
      if (pending_[slots_[i]].node == node) return slots_[i];
    return kFree;
  }
  bool add(Node* node) {
    std::size_t i = home(node);
    for (; slots_[i] != kFree; i = (i + 1) & (slots_.size() - 1))
      if (pending_[slots_[i]].node == node) return false;
    slots_[i] = static_cast<std::uint32_t>(pending_.size());
    pending_.push_back({node, 0, {}, {}});
    if (pending_.size() * 2 > slots_.size()) grow();
    return true;
  }
  void grow() {
    slots_.assign(slots_.size() * 4, kFree);
    for (std::uint32_t at = 0; at < pending_.size(); ++at) {
      std::size_t i = home(pending_[at].node);
      while (slots_[i] != kFree) i = (i + 1) & (slots_.size() - 1);
      slots_[i] = at;
    }
  }

  std::vector<Pending> pending_;
  std::vector<std::uint32_t> slots_;
  // While capturing, one for each wanted edge; by number, does the node lead to one; of the visited node's edges.
  std::vector<Edge> wanted_;
  std::vector<Tensor> captured_;
  std::vector<bool> leads_, unwanted_;
  std::vector<Ref<GradSlot>> lent_;
};

std::vector<Edge> start(Pass& pass, const std::vector<Tensor>& roots, const std::vector<Tensor>& grads) {
  std::vector<Edge> edges;
  for (std::size_t i = 0; i < roots.size(); ++i) {
    const Tensor& root = roots[i];
    check_as(ErrorKind::runtime, root.requires_grad(), "backward: tensor ", i,
             " does not require grad and has no grad_fn");
    Tensor grad = i < grads.size() ? grads[i] : Tensor();
    if (!grad.defined()) {
      check_as(ErrorKind::runtime, root.numel() == 1,
               "backward: a gradient can be made up only for a single number, but the tensor has shape ", root.shape(),
               "; pass one");
      grad = ones_like_gradient(root);
    }
    check(grad.shape() == root.shape(), "backward: gradient of shape ", grad.shape(), " for a tensor of shape ",
          root.shape());
    check_as(ErrorKind::type, grad.dtype() == root.dtype(), "backward: gradient of type ", name_of(grad.dtype()),
             " for a tensor of type ", name_of(root.dtype()));
    edges.push_back(gradient_edge(root));
    pass.discover(edges.back().node.get());
    pass.deliver(edges.back().node.get(), edges.back().input_nr, detach(grad));
  }
  return edges;
}

}  // namespace

void backward(const std::vector<Tensor>& roots, const std::vector<Tensor>& grads, bool retain_graph) {
  GradMode off(false);
  Pass pass;
  const std::vector<Edge> edges = start(pass, roots, grads);
  pass.run(edges, retain_graph);
}

void backward_to(const std::vector<Tensor>& roots, const std::vector<Tensor>& grads, const std::vector<Tensor>& inputs,
                 bool retain_graph) {
  std::vector<Tensor> distinct;
  for (const Tensor& t : inputs)
    if (std::find(distinct.begin(), distinct.end(), t) == distinct.end()) distinct.push_back(t);
  std::vector<Tensor> found = gradients("backward", roots, grads, distinct, retain_graph);
  for (std::size_t i = 0; i < distinct.size(); ++i)
    if (const Tensor grad = std::exchange(found[i], {}); grad.defined()) accumulate_grad(distinct[i], grad);
}

std::vector<Tensor> gradients(const char* function, const std::vector<Tensor>& roots, const std::vector<Tensor>& grads,
                              const std::vector<Tensor>& inputs, bool retain_graph) {
  GradMode off(false);
  Pass pass;
  const std::vector<Edge> edges = start(pass, roots, grads);
  std::vector<Edge> wanted;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check_as(ErrorKind::runtime, inputs[i].requires_grad(), function, ": input ", i, " does not require grad");
    wanted.push_back(gradient_edge(inputs[i]));
  }
  if (wanted.empty()) return {};
  pass.capture(wanted);
  pass.run(edges, retain_graph);
  return pass.take_captured();
}

}  // namespace lamina
