// A node is one recorded operation: edges to what made its inputs, and a backward that turns the gradients of its
// outputs into gradients of its inputs. It knows no operation; those live in ops/, each backward right beside its
// forward.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/tensor.h"

namespace lamina {

class Node;

// Where a gradient flows to: input `input_nr` of `node`, that is, output `input_nr` of the operation it recorded.
struct Edge {
  Ref<Node> node;  // null: this input needs no gradient
  std::uint32_t input_nr = 0;
};

constexpr int kInlineEdges = 3;

// Edges, the first few in place: most operations have one or two.
class Edges {
 public:
  void push_back(Edge e) {
    if (size_ < kInlineEdges)
      inline_[size_] = std::move(e);
    else
      more_.push_back(std::move(e));
    ++size_;
  }
  int size() const { return size_; }
  const Edge& operator[](int i) const { return i < kInlineEdges ? inline_[i] : more_[i - kInlineEdges]; }

 private:
  int size_ = 0;
  Edge inline_[kInlineEdges];
  std::vector<Edge> more_;
};

using Hook = std::function<Tensor(const Tensor&)>;  // an undefined result leaves the gradient as it is

// The hooks of one node. Hooks may come and go, from any thread, while others run: a pass runs those it found.
class Hooks : public RefCounted {
 public:
  struct Entry {
    std::uint32_t output_nr;
    std::uint64_t id;
    Hook hook;
    bool last;  // sees the gradient after all others: retain_grad's
  };
  using List = std::vector<Entry>;

  void add(Entry entry);
  void remove(std::uint64_t id);
  void remove_last(std::uint32_t output_nr);
  std::shared_ptr<const List> list() const;  // may be null
  static void destroy(Hooks* h) { delete h; }

 private:
  template <class Condition>
  void remove_if(Condition condition);

  mutable std::mutex mutex_;
  std::shared_ptr<const List> list_;
};

// Whoever runs a backward pass, and knows what else will arrive at the end of an edge.
class GradientHomes {
 public:
  virtual Tensor lend(const Edge& edge) = 0;

 protected:
  ~GradientHomes() = default;
};

// What a backward sees: the gradients of the outputs, and places for those of the inputs.
class Gradients {
 public:
  // `unwanted`, where given, marks edges that lead nowhere in this pass.
  Gradients(const Edges& edges, Tensor* outputs, int output_count, std::vector<Tensor>& inputs,
            const std::vector<bool>* unwanted, GradientHomes& homes)
      : edges_(edges),
        outputs_(outputs),
        output_count_(output_count),
        inputs_(inputs),
        unwanted_(unwanted),
        homes_(homes) {}
  // The gradient of output i; undefined when nothing downstream used that output. Never undefined for i = 0 of a node
  // with one output.
  const Tensor& of_output(int i = 0) const { return outputs_[i]; }
  int outputs() const { return output_count_; }
  // Is a gradient for input i worth computing?
  bool wants(int i) const { return edges_[i].node && !(unwanted_ && (*unwanted_)[static_cast<std::size_t>(i)]); }
  // The memory that the gradient of input i, a leaf, will end up in, if it may be written there at once. The tensor is
  // to be filled and given. Often undefined: it is only a short cut.
  Tensor home(int i) { return homes_.lend(edges_[i]); }
  void give(int i, Tensor grad) { inputs_[i] = std::move(grad); }

 private:
  const Edges& edges_;
  Tensor* outputs_;
  int output_count_;
  std::vector<Tensor>& inputs_;
  const std::vector<bool>* unwanted_;
  GradientHomes& homes_;
};

class Node : public GraphNode {
 public:
  virtual const char* name() const = 0;
  virtual void backward(Gradients& g) = 0;
  // Lets go of what was saved for backward; a second backward is then an error.
  virtual void free_saved() {}
  virtual GradSlot* accumulates_to() const { return nullptr; }  // of a leaf's accumulator

  Edges edges;
  std::uint32_t outputs = 1;
  Lazy<Hooks> hooks;  // run on the gradients of the outputs, before backward sees them
};

// An input saved for backward. Knows when the tensor was changed in place since.
class SavedTensor {
 public:
  SavedTensor() = default;
  explicit SavedTensor(Tensor t, std::uint32_t changes_to_come = 0)
      : tensor_(std::move(t)), version_(tensor_.version() + changes_to_come) {}
  const Tensor& get() const {
    check_as(ErrorKind::runtime, tensor_.version() == version_, "a tensor of shape ", tensor_.shape(),
             " that backward needs was changed in place after it was used (saved at version ", version_,
             ", now at version ", tensor_.version(), "); clone it before the change");
    return tensor_;
  }

 private:
  Tensor tensor_;
  std::uint32_t version_ = 0;
};

// An input to be saved. (Storage is shared; nothing is copied.)
inline SavedTensor save(const Tensor& t) { return SavedTensor(t); }
// An operation's own output: saved outside the graph, for the node must not own itself.
inline SavedTensor save_output(const Tensor& t) { return SavedTensor(detach(t)); }
// The same for an operation in place, whose change rebase_history has yet to count.
inline SavedTensor save_output_in_place(const Tensor& t) { return SavedTensor(detach(t), 1); }

// A node whose backward is a closure; what the closure captured is what was saved.
template <class Backward>
class ClosureNode final : public Node {
 public:
  ClosureNode(const char* name, Backward b) : name_(name), backward_(std::move(b)) {}
  const char* name() const override { return name_; }
  void backward(Gradients& g) override {
    const Visit visit(*this);
    (*backward_)(g);
  }
  void free_saved() override {
    if (state_.fetch_or(kFreed) == 0) backward_.reset();
  }

 private:
  static constexpr std::uint32_t kFreed = 1u << 31;

  // Passes on several threads may meet in one node: what was saved goes with the last of them.
  class Visit {
   public:
    explicit Visit(ClosureNode& node) : node_(node) {
      std::uint32_t visits = node.state_.load();
      do {
        check_as(ErrorKind::runtime, !(visits & kFreed),
                 "backward a second time through a graph whose saved tensors are already freed; pass retain_graph=True "
                 "to the first backward");
      } while (!node.state_.compare_exchange_weak(visits, visits + 1));
    }
    ~Visit() {
      if (node_.state_.fetch_sub(1) == (kFreed | 1)) node_.backward_.reset();
    }

   private:
    ClosureNode& node_;
  };

  const char* name_;
  std::atomic<std::uint32_t> state_{0};  // visits under way, and kFreed
  std::optional<Backward> backward_;
};

// ---- grad mode ----
bool grad_enabled();
void set_grad_enabled(bool on);
class GradMode {
 public:
  explicit GradMode(bool on) : before_(grad_enabled()) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before_); }
  GradMode(const GradMode&) = delete;
  GradMode& operator=(const GradMode&) = delete;

 private:
  bool before_;
};

// ---- recording ----
// The edge that leads to what made `t`; for a leaf that requires grad, to its accumulator.
Edge gradient_edge(const Tensor& t);

inline bool needs_grad(const Tensor& t) { return t.requires_grad() && grad_enabled(); }
template <class... T>
bool needs_grad(const Tensor& t, const T&... more) {
  return grad_enabled() && (t.requires_grad() || ... || more.requires_grad());
}

inline void set_history(const Tensor& output, Ref<Node> node, std::uint32_t output_nr = 0) {
  output.impl()->grad_fn = Ref<GraphNode>(node.get());
  output.impl()->output_nr = output_nr;
}

// A node whose backward(Gradients&) leads to `inputs`, in the order given; null or undefined ones need no gradient.
template <class Backward>
Ref<Node> make_node(const char* name, std::initializer_list<const Tensor*> inputs, Backward backward) {
  Ref<Node> node(new ClosureNode<Backward>(name, std::move(backward)));
  for (const Tensor* t : inputs) node->edges.push_back(t && t->defined() ? gradient_edge(*t) : Edge{});
  return node;
}
// Records an operation with one output.
template <class Backward>
void record(const char* name, const Tensor& output, std::initializer_list<const Tensor*> inputs, Backward backward) {
  set_history(output, make_node(name, inputs, std::move(backward)));
}
// The same for operations with several outputs or any number of inputs.
template <class Backward>
void record(const char* name, const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
            Backward backward) {
  Ref<Node> node(new ClosureNode<Backward>(name, std::move(backward)));
  for (const Tensor& t : inputs) node->edges.push_back(t.defined() ? gradient_edge(t) : Edge{});
  node->outputs = static_cast<std::uint32_t>(outputs.size());
  std::uint32_t nr = 0;
  for (const Tensor& t : outputs) {
    if (t.defined() && is_floating(t.dtype())) set_history(t, node, nr);
    ++nr;
  }
}

// ---- leaves and hooks (leaf.cpp) ----
void set_requires_grad(const Tensor& t, bool on);
void forget_history(const Tensor& t);  // t becomes a leaf that requires no gradient
Tensor grad_of(const Tensor& t);       // may be undefined
void set_grad(const Tensor& t, const Tensor& grad);
void accumulate_grad(const Tensor& t, const Tensor& grad);  // what backward does to a leaf
void retain_grad(const Tensor& t);                          // a non-leaf keeps its gradient in .grad too
struct HookHandle {
  Ref<Hooks> hooks;
  std::uint64_t id;
};
HookHandle add_hook(const Tensor& t, Hook hook);
void remove_hook(const HookHandle& handle);

// ---- in-place changes (inplace.cpp) ----
// Before t's memory is written: refuses leaves that require grad, read-only memory and tensors that overlap themselves.
void check_writable(const char* op, const Tensor& t);
// After it was written without being recorded.
void bump_version(const Tensor& t);
// Gives t another history; if it retains its gradient, it goes on doing so.
void replace_history(const Tensor& t, Ref<Node> node);
// After it was written by the operation `node` recorded (whose input 0 is t as it was): t, the tensor it is a view of
// and that tensor's other views all change their history.
void rebase_history(const Tensor& t, Ref<Node> node);
// Ties a new view to the tensor whose storage it shares, so that later changes to either are known to both. Under
// no_grad it only notes that they will not be.
void link_view(const Tensor& view, const Tensor& source);
// Do a and b see changes to each other: one tensor, or views of one?
bool share_history(const Tensor& a, const Tensor& b);
// Makes a view's history lead through its base again if the base was changed in place since.
void refresh_view(const Tensor& view);

}  // namespace lamina
