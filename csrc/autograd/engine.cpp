#include "autograd/engine.h"

#include <bit>

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
class Pass {
 public:
  Pass() : slots_(64, kFree) {}

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

  // Tensors whose gradients are wanted instead of the leaves' accumulation.
  void capture(const std::vector<Edge>& edges) {
    capturing_ = true;
    wanted_ = edges;
    captured_.resize(edges.size());
  }

  void run(const std::vector<Edge>& roots, bool retain_graph) {
    std::vector<std::uint32_t> ready;
    for (const Edge& e : roots) {
      const std::uint32_t at = find(e.node.get());
      if (pending_[at].missing == 0) {
        pending_[at].missing = -1;  // a root given twice runs once
        ready.push_back(at);
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
        if (inputs[i].defined()) accumulate(slot(pending_[at], edges[i].input_nr), std::move(inputs[i]));
        if (--pending_[at].missing == 0) ready.push_back(at);
      }
    }
  }

  std::vector<Tensor> take_captured() { return std::move(captured_); }

 private:
  static constexpr std::uint32_t kFree = ~0u;

  void visit(Node& node, std::vector<Tensor>& outputs, std::vector<Tensor>& inputs, bool retain_graph) {
    inputs.assign(static_cast<std::size_t>(node.edges.size()), Tensor());
    bool any = false;
    for (const Tensor& t : outputs) any |= t.defined();
    if (any) {
      try {
        for (const Node::HookEntry& h : node.hooks) apply_hook(h, outputs);
        if (capturing_) {
          for (std::size_t i = 0; i < wanted_.size(); ++i)
            if (wanted_[i].node.get() == &node) captured_[i] = outputs[wanted_[i].input_nr];
        }
        if (!(capturing_ && node.is_accumulator())) {
          Gradients g(node.edges, outputs.data(), static_cast<int>(outputs.size()), inputs);
          node.backward(g);
        }
      } catch (const Error& e) {
        throw Error(e.kind, concat("backward of ", node.name(), ": ", e.what()));
      }
    }
    if (!retain_graph) node.free_saved();
  }

  static void apply_hook(const Node::HookEntry& h, std::vector<Tensor>& outputs) {
    Tensor& grad = outputs[h.output_nr];
    if (!grad.defined()) return;
    Tensor replaced = h.hook(grad);
    if (!replaced.defined()) return;
    check(replaced.shape() == grad.shape(), "a hook returned a gradient of shape ", replaced.shape(),
          " for one of shape ", grad.shape());
    grad = std::move(replaced);
  }

  static Tensor& slot(Pending& p, std::uint32_t output_nr) {
    if (output_nr == 0) return p.first;
    if (p.others.size() < output_nr) p.others.resize(output_nr);
    return p.others[output_nr - 1];
  }

  static void accumulate(Tensor& sum, Tensor grad) {
    if (!sum.defined())
      sum = std::move(grad);
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
  bool capturing_ = false;
  std::vector<Edge> wanted_;
  std::vector<Tensor> captured_;
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

std::vector<Tensor> gradients(const std::vector<Tensor>& roots, const std::vector<Tensor>& grads,
                              const std::vector<Tensor>& inputs, bool retain_graph) {
  GradMode off(false);
  Pass pass;
  const std::vector<Edge> edges = start(pass, roots, grads);
  std::vector<Edge> wanted;
  for (const Tensor& t : inputs) {
    check_as(ErrorKind::runtime, t.requires_grad(), "grad: an input does not require grad");
    wanted.push_back(gradient_edge(t));
  }
  pass.capture(wanted);
  pass.run(edges, retain_graph);
  return pass.take_captured();
}

}  // namespace lamina
