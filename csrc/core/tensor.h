// A tensor is a counted handle to a TensorImpl: a typed, strided window on a Storage, plus its place in the autograd
// graph.
#pragma once
#include <atomic>
#include <mutex>

#include "core/device.h"
#include "core/dims.h"
#include "core/dtype.h"
#include "core/storage.h"

namespace lamina {

// What core needs to know of an autograd node: that it is counted, and how a chain of them is torn down
// (autograd/node.h).
class GraphNode : public RefCounted {
 public:
  virtual ~GraphNode() = default;
  static void destroy(GraphNode*);
};

struct TensorImpl;

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(TensorImpl* impl) : impl_(impl) {}

  bool defined() const { return static_cast<bool>(impl_); }
  TensorImpl* impl() const { return impl_.get(); }
  inline const Dims& shape() const;
  inline const Dims& strides() const;
  inline std::int64_t size(int dim) const;
  inline int ndim() const;
  inline std::int64_t numel() const;
  inline DType dtype() const;
  inline Device device() const;
  inline bool contiguous() const;
  inline bool requires_grad() const;
  inline std::uint32_t version() const;
  inline Storage& storage() const;
  template <class T = void>
  inline T* data() const;
  std::size_t item_size() const { return lamina::item_size(dtype()); }
  inline std::int64_t offset_bytes() const;
  friend bool operator==(const Tensor& a, const Tensor& b) { return a.impl_ == b.impl_; }  // the same object

 private:
  Ref<TensorImpl> impl_;
};

// A tensor's .grad: read and written by Python while a backward pass of another thread adds to it. (A GraphNode, for a
// gradient may have a gradient, and so on: a chain like any other.)
struct GradSlot : GraphNode {
  explicit GradSlot(TensorImpl* owner) : owner(owner) {}
  std::mutex mutex;
  Tensor grad;
  Tensor home;        // memory that an optimiser sets aside for the gradient
  bool lent = false;  // a backward pass is writing there
  TensorImpl* owner;  // null once it is dead, for nodes hold on to the slot
};

// The rarer half of a tensor's autograd state: leaves with gradients, differentiable views.
struct GradState : RefCounted {
  static void destroy(GradState* s) { delete s; }
  Lazy<GradSlot> slot;
  Lazy<GraphNode> accumulator;            // a leaf's node that adds to the slot
  Tensor base;                            // a differentiable view's root: writing to one must tell the other
  std::uint32_t base_history = 0;         // value of the base's `history` when this view's grad_fn was made
  std::atomic<std::uint32_t> history{0};  // a base's count of in-place changes made to it or through its views
  bool retains_grad = false;
};

struct TensorImpl : RefCounted {
  TensorImpl(Ref<Storage> storage, std::int64_t offset_bytes, const Dims& shape, const Dims& strides, DType dtype);
  ~TensorImpl();
  static void destroy(TensorImpl* t) { delete t; }
  void set_geometry(const Dims& shape, const Dims& strides);
  GradState& grad_state() { return grad_state_.get_or_make(); }
  GradState* grad_state_or_null() const { return grad_state_.get(); }
  GradSlot& grad_slot();
  Tensor grad() const;  // may be undefined
  void set_grad(Tensor grad);
  bool base_got_history() const;  // a view's base came to require grad by a change in place since the view was made

  Ref<Storage> storage;
  void* data;  // first element
  std::int64_t numel;
  Dims shape, strides;  // strides in elements
  DType dtype;
  bool contiguous;
  bool leaf_requires_grad = false;
  bool unrecorded_view = false;  // made by no_grad of a tensor that requires grad, which it cannot tell of changes
  std::uint32_t output_nr = 0;   // which output of grad_fn this is
  Ref<GraphNode> grad_fn;        // null for leaves
  void* wrapper = nullptr;       // the live Python object of this tensor, if any (bind/tensor_type.cpp)

 private:
  Lazy<GradState> grad_state_;
};

const Dims& Tensor::shape() const { return impl_->shape; }
const Dims& Tensor::strides() const { return impl_->strides; }
std::int64_t Tensor::size(int dim) const { return impl_->shape[dim < 0 ? dim + impl_->shape.size() : dim]; }
int Tensor::ndim() const { return impl_->shape.size(); }
std::int64_t Tensor::numel() const { return impl_->numel; }
DType Tensor::dtype() const { return impl_->dtype; }
Device Tensor::device() const { return impl_->storage->device; }
bool Tensor::contiguous() const { return impl_->contiguous; }
bool Tensor::requires_grad() const {
  return impl_->leaf_requires_grad || impl_->grad_fn || (impl_->grad_state_or_null() && impl_->base_got_history());
}
std::uint32_t Tensor::version() const { return impl_->storage->version.load(std::memory_order_relaxed); }
Storage& Tensor::storage() const { return *impl_->storage; }
std::int64_t Tensor::offset_bytes() const {
  return static_cast<char*>(impl_->data) - static_cast<char*>(impl_->storage->data);
}
template <class T>
T* Tensor::data() const {
  // Where kernels get their pointers: what a recorded launch points to must live as long as the recording.
  if (open_recordings.load(std::memory_order_relaxed) != 0) [[unlikely]]
    touch_recorded(*impl_->storage);
  return static_cast<T*>(impl_->data);
}

// New contiguous memory, contents undefined.
Tensor empty(const Dims& shape, DType dtype, Device device = {});
// A window on existing storage. Checked: every element must lie inside it.
Tensor view_of(const Tensor& t, const Dims& shape, const Dims& strides, std::int64_t offset_bytes);
// The same elements outside the graph.
Tensor detach(const Tensor& t);
// The smallest run [first, last) of element offsets, relative to the first element, that a geometry touches.
struct Extent {
  std::int64_t first, last;
};
Extent extent(const Dims& shape, const Dims& strides);
// Do distinct indices reach distinct elements, with no holes between them?
bool dense(const Tensor& t);
// Do distinct indices reach one element? (Also true for strides too intricate to tell.)
bool overlaps_itself(const Tensor& t);

}  // namespace lamina
