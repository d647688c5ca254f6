// What backward needs of an input need not be kept where the operation that made the input can make it again: batch
// norm with ReLU reads what it saves anyway, in one pass. Convolutional networks keep half as much between their norms.
// (The idea: S. Rota Bulò, L. Porzi, P. Kontschieder, In-Place Activated BatchNorm, CVPR 2018, which inverts instead.)
#pragma once
#include "autograd/node.h"

namespace lamina {

// Stands between a result and the operation that recorded it, lets gradients pass and can compute the result again.
class Remaker : public Node {
 public:
  virtual Tensor remake() = 0;
  const char* name() const override { return edges[0].node->name(); }
  void backward(Gradients& g) override { g.give(0, g.of_output()); }
};

template <class Make>
class RemakerWith final : public Remaker {
 public:
  explicit RemakerWith(Make make) : make_(std::make_shared<const Make>(std::move(make))) {}
  // Passes on several threads may meet here: what was saved goes with the last of them.
  Tensor remake() override {
    std::shared_ptr<const Make> make;
    {
      const std::lock_guard lock(mutex_);
      make = make_;
    }
    check_as(ErrorKind::runtime, make != nullptr, "an input cannot be computed again, for what ", name(),
             " saved is already freed; pass retain_graph=True to the first backward");
    return (*make)();
  }
  void free_saved() override {
    std::shared_ptr<const Make> freed;
    const std::lock_guard lock(mutex_);
    std::swap(freed, make_);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<const Make> make_;
};

// `make()` gives the values of `result`, which was just recorded, with the same bits.
template <class Make>
void can_be_remade(const Tensor& result, Make make) {
  constexpr std::int64_t kWorthAPass = std::int64_t{1} << 16;  // elements; of fewer the call costs more than they do
  if (result.numel() < kWorthAPass) return;
  Ref<Node> node(new RemakerWith<Make>(std::move(make)));
  node->edges.push_back(gradient_edge(result));
  set_history(result, std::move(node));
}

class SavedInput {
 public:
  // `values`: those of `input`, contiguous.
  SavedInput(const Tensor& input, const Tensor& values) {
    if (input.version() == 0) maker_ = dynamic_cast<Remaker*>(input.impl()->grad_fn.get());
    if (maker_)
      node_ = input.impl()->grad_fn;
    else
      saved_ = save(values);
  }
  Tensor get() const { return maker_ ? maker_->remake() : saved_.get(); }
  Tensor if_kept() const { return maker_ ? Tensor() : saved_.get(); }  // else undefined

 private:
  SavedTensor saved_;
  Remaker* maker_ = nullptr;
  Ref<GraphNode> node_;
};

}  // namespace lamina
