#include "ops/loops.h"

#include <utility>

namespace lamina {

Dims broadcast_shapes(const Dims& a, const Dims& b, const char* op) {
  if (a == b) return a;
  const int ndim = a.size() > b.size() ? a.size() : b.size();
  Dims out(ndim);
  for (int i = 1; i <= ndim; ++i) {
    const std::int64_t x = i <= a.size() ? a[a.size() - i] : 1, y = i <= b.size() ? b[b.size() - i] : 1;
    check(x == y || x == 1 || y == 1, op, ": shapes ", a, " and ", b, " do not broadcast: ", x, " against ", y,
          " in dimension ", -i);
    out[ndim - i] = x == 1 ? y : x;
  }
  return out;
}

LoopBuilder& LoopBuilder::add(const Scalar& s, DType type) {
  tensors_[count_] = nullptr;
  Operand& o = loop_.operands[count_++];
  o.dtype = type;
  switch (type) {
    case DType::f64: o.immediate.f64 = s.as_double(); break;
    case DType::i64: o.immediate.i64 = s.as_int64(); break;
    case DType::i32: o.immediate.i32 = static_cast<std::int32_t>(s.as_int64()); break;
    case DType::u8: o.immediate.u8 = static_cast<std::uint8_t>(s.as_int64()); break;
    case DType::b8: o.immediate.u8 = s.as_bool(); break;
    default:
      o.immediate.f32 = static_cast<float>(s.as_double());
      o.dtype = DType::f32;
      break;
  }
  return *this;
}

void LoopBuilder::move_dimension(int to, int from) {
  loop_.shape[to] = loop_.shape[from];
  for (int k = 0; k < loop_.operand_count; ++k) loop_.operands[k].strides[to] = loop_.operands[k].strides[from];
}

// Outermost the dimension in which the output takes the longest steps, so that its memory is written in order.
void LoopBuilder::sort_by_memory() {
  const auto step = [&](int d) {
    const std::int64_t s = loop_.operands[0].strides[d];
    return s < 0 ? -s : s;
  };
  for (int i = 1; i < loop_.ndim; ++i)
    for (int j = i; j > 0 && step(j - 1) < step(j); --j) {
      std::swap(loop_.shape[j - 1], loop_.shape[j]);
      for (int k = 0; k < loop_.operand_count; ++k)
        std::swap(loop_.operands[k].strides[j - 1], loop_.operands[k].strides[j]);
    }
}

// Two dimensions through which every operand steps as through one become one.
void LoopBuilder::merge_dimensions() {
  int kept = 1;
  for (int i = 1; i < loop_.ndim; ++i) {
    bool merge = true;
    for (int k = 0; k < loop_.operand_count && merge; ++k) {
      const auto& s = loop_.operands[k].strides;
      merge = s[kept - 1] == s[i] * loop_.shape[i];
    }
    const std::int64_t size = merge ? loop_.shape[kept - 1] * loop_.shape[i] : loop_.shape[i];
    if (!merge) ++kept;
    move_dimension(kept - 1, i);
    loop_.shape[kept - 1] = size;
  }
  loop_.ndim = kept;
}

// Every operand's strides in the dimensions of the whole, without those of size 1.
void LoopBuilder::spread_operands() {
  loop_.ndim = 0;
  for (int i = 0; i < shape_.size(); ++i)
    if (shape_[i] != 1) loop_.shape[loop_.ndim++] = shape_[i];
  for (int k = 0; k < count_; ++k) {
    const Tensor* t = tensors_[k];
    const int missing = t ? shape_.size() - t->ndim() : 0;
    for (int i = 0, to = 0; i < shape_.size(); ++i) {
      if (shape_[i] == 1) continue;
      const bool steps = t && i >= missing && t->shape()[i - missing] != 1;
      loop_.operands[k].strides[to++] = steps ? t->strides()[i - missing] : 0;
    }
  }
}

const Loop& LoopBuilder::build() {
  loop_.operand_count = count_;
  loop_.numel = 1;
  for (std::int64_t s : shape_) loop_.numel *= s;
  for (int k = 0; k < count_; ++k) {
    Operand& o = loop_.operands[k];
    o.data = tensors_[k] ? tensors_[k]->data() : nullptr;
    if (!tensors_[k]) continue;
    o.dtype = tensors_[k]->dtype();
    check(tensors_[k]->device() == tensors_[0]->device(), "operands are on different devices: ", tensors_[0]->device(),
          " and ", tensors_[k]->device());
  }
  if (!flat_) spread_operands();
  if (flat_ || loop_.ndim == 0) {  // numbers step by zero in one dimension as in many
    loop_.ndim = 1;
    loop_.shape[0] = loop_.numel;
    for (int k = 0; k < count_; ++k) loop_.operands[k].strides[0] = loop_.operands[k].data ? 1 : 0;
    return loop_;
  }
  sort_by_memory();
  merge_dimensions();
  return loop_;
}

Tensor empty_like_layout(const Tensor& t, DType dtype) {
  if (t.contiguous() || !dense(t)) return empty(t.shape(), dtype, t.device());
  const Tensor flat = empty({t.numel()}, dtype, t.device());
  return view_of(flat, t.shape(), t.strides(), 0);
}

bool overlaps_askew(const Tensor& a, const Tensor& b) {
  if (&a.storage() != &b.storage()) return false;
  if (a.data() == b.data() && a.strides() == b.strides() && a.shape() == b.shape() && a.dtype() == b.dtype())
    return false;
  const Extent x = extent(a.shape(), a.strides()), y = extent(b.shape(), b.strides());
  const char *a0 = a.data<char>(), *b0 = b.data<char>();
  const auto sa = static_cast<std::int64_t>(a.item_size()), sb = static_cast<std::int64_t>(b.item_size());
  return a0 + x.first * sa < b0 + y.last * sb && b0 + y.first * sb < a0 + x.last * sa;
}

}  // namespace lamina
