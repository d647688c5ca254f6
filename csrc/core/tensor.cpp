#include "core/tensor.h"

#include <algorithm>
#include <utility>

namespace lamina {

TensorImpl::TensorImpl(Ref<Storage> storage, std::int64_t offset_bytes, const Dims& shape, const Dims& strides,
                       DType dtype)
    : storage(std::move(storage)), data(static_cast<char*>(this->storage->data) + offset_bytes), dtype(dtype) {
  set_geometry(shape, strides);
}

void TensorImpl::set_geometry(const Dims& new_shape, const Dims& new_strides) {
  shape = new_shape;
  strides = new_strides;
  numel = 1;
  for (std::int64_t s : shape) numel *= s;
  contiguous = true;
  std::int64_t expected = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    if (shape[i] != 1 && strides[i] != expected) contiguous = false;
    expected *= shape[i];
  }
  if (numel == 0) contiguous = true;
}

TensorImpl::~TensorImpl() {
  GradState* state = grad_state_.get();
  GradSlot* slot = state ? state->slot.get() : nullptr;
  if (!slot) return;
  const std::lock_guard lock(slot->mutex);
  slot->owner = nullptr;
}

GradSlot& TensorImpl::grad_slot() {
  return grad_state().slot.get_or([this] { return new GradSlot(this); });
}

Tensor TensorImpl::grad() const {
  GradState* state = grad_state_.get();
  GradSlot* slot = state ? state->slot.get() : nullptr;
  if (!slot) return {};
  const std::lock_guard lock(slot->mutex);
  return slot->grad;
}

void TensorImpl::set_grad(Tensor grad) {  // what was there dies with the argument, after the lock is let go
  if (!grad.defined() && !grad_state_.get()) return;
  GradSlot& slot = grad_slot();
  const std::lock_guard lock(slot.mutex);
  std::swap(slot.grad, grad);
}

bool TensorImpl::base_got_history() const {
  const GradState& state = *grad_state_.get();
  if (!state.base.defined() || !is_floating(dtype)) return false;
  const GradState* base = state.base.impl()->grad_state_or_null();
  return base && base->history != state.base_history && state.base.requires_grad();
}

Tensor empty(const Dims& shape, DType dtype, Device device) {
  const std::int64_t n = count(shape);
  if (n > (std::int64_t{1} << 62) / static_cast<std::int64_t>(item_size(dtype))) [[unlikely]]
    fail_unnamed(ErrorKind::value, "shape ", shape, " has too many elements");
  Ref<Storage> storage(new Storage(static_cast<std::size_t>(n) * item_size(dtype), device));
  return Tensor(new TensorImpl(std::move(storage), 0, shape, contiguous_strides(shape), dtype));
}

Extent extent(const Dims& shape, const Dims& strides) {
  Extent e{0, 1};
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return {0, 0};
    std::int64_t reach;
    const bool overflow = __builtin_mul_overflow(shape[i] - 1, strides[i], &reach) ||
                          __builtin_add_overflow(reach < 0 ? e.first : e.last, reach, reach < 0 ? &e.first : &e.last);
    if (overflow) fail_unnamed(ErrorKind::value, "strides ", strides, " are out of range for shape ", shape);
  }
  return e;
}

bool dense(const Tensor& t) {
  // Each dimension, taken by growing stride, must begin where the smaller ones end.
  bool done[kMaxDims] = {};
  std::int64_t expected = 1;
  for (int round = 0; round < t.ndim(); ++round) {
    int next = -1;
    for (int d = 0; d < t.ndim(); ++d)
      if (!done[d] && (t.shape()[d] == 1 || t.strides()[d] == expected)) next = d;
    if (next < 0) return t.numel() == 0;
    done[next] = true;
    expected *= t.shape()[next];
  }
  return true;
}

namespace {

// Looks for two indices of one element: their difference d, not all zero, with Σ d·stride = 0.
class OverlapSearch {
 public:
  explicit OverlapSearch(const Tensor& t) {
    for (int d = 0; d < t.ndim(); ++d) {
      if (t.shape()[d] == 1) continue;
      int at = dims_++;
      const std::int64_t stride = t.strides()[d] < 0 ? -t.strides()[d] : t.strides()[d];
      for (; at > 0 && stride_[at - 1] < stride; --at) stride_[at] = stride_[at - 1], most_[at] = most_[at - 1];
      stride_[at] = stride;
      most_[at] = t.shape()[d] - 1;
    }
    for (int i = dims_ - 1; i > 0; --i) reach_[i - 1] = reach_[i] + most_[i] * stride_[i];
  }
  // Each dimension steps over all that the finer ones reach.
  bool nested() const {
    for (int i = 0; i < dims_; ++i)
      if (stride_[i] <= reach_[i]) return false;
    return true;
  }
  bool found(int i = 0, std::int64_t sum = 0, bool differ = false) {
    if (i == dims_) return differ && sum == 0;
    if (stride_[i] == 0 || ++steps_ > kMostSteps) return true;
    // What is left must be within the reach of the finer dimensions. d and −d are one case.
    const std::int64_t most = std::min(most_[i], (reach_[i] - sum) / stride_[i]);
    const std::int64_t least = differ ? -std::min(most_[i], (reach_[i] + sum) / stride_[i]) : 0;
    for (std::int64_t d = least; d <= most; ++d)
      if (found(i + 1, sum + d * stride_[i], differ || d != 0)) return true;
    return false;
  }

 private:
  static constexpr int kMostSteps = 100'000;
  std::int64_t stride_[kMaxDims] = {}, most_[kMaxDims] = {};  // by falling stride
  std::int64_t reach_[kMaxDims] = {};                         // of the dimensions behind
  int dims_ = 0, steps_ = 0;
};

}  // namespace

bool overlaps_itself(const Tensor& t) {
  if (t.contiguous()) return false;
  OverlapSearch search(t);
  return !search.nested() && search.found();
}

Tensor view_of(const Tensor& t, const Dims& shape, const Dims& strides, std::int64_t offset_bytes) {
  const Extent e = extent(shape, strides);
  const auto item = static_cast<std::int64_t>(t.item_size());
  const auto bytes = static_cast<std::int64_t>(t.storage().bytes);
  const bool inside = e.first == e.last || (e.first >= -(offset_bytes / item) &&
                                            e.last <= (bytes - offset_bytes) / item && offset_bytes >= 0);
  if (!inside)
    fail_unnamed(ErrorKind::value, "a view of shape ", shape, " and strides ", strides,
                 " reaches outside its storage of ", bytes, " bytes");
  return Tensor(new TensorImpl(t.impl()->storage, offset_bytes, shape, strides, t.dtype()));
}

Tensor detach(const Tensor& t) {
  return Tensor(new TensorImpl(t.impl()->storage, t.offset_bytes(), t.shape(), t.strides(), t.dtype()));
}

}  // namespace lamina
