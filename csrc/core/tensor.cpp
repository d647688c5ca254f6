#include "core/tensor.h"

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

Tensor empty(const Dims& shape, DType dtype, Device device) {
  const std::int64_t n = count(shape);
  check(n <= (std::int64_t{1} << 62) / static_cast<std::int64_t>(item_size(dtype)), "shape ", shape,
        " has too many elements");
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
    check(!overflow, "strides ", strides, " are out of range for shape ", shape);
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

Tensor view_of(const Tensor& t, const Dims& shape, const Dims& strides, std::int64_t offset_bytes) {
  const Extent e = extent(shape, strides);
  const auto item = static_cast<std::int64_t>(t.item_size());
  const auto bytes = static_cast<std::int64_t>(t.storage().bytes);
  const bool inside = e.first == e.last || (e.first >= -(offset_bytes / item) &&
                                            e.last <= (bytes - offset_bytes) / item && offset_bytes >= 0);
  check(inside, "a view of shape ", shape, " and strides ", strides, " reaches outside its storage of ", bytes,
        " bytes");
  return Tensor(new TensorImpl(t.impl()->storage, offset_bytes, shape, strides, t.dtype()));
}

Tensor detach(const Tensor& t) {
  return Tensor(new TensorImpl(t.impl()->storage, t.offset_bytes(), t.shape(), t.strides(), t.dtype()));
}

}  // namespace lamina
