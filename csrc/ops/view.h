// Views: new windows on the same storage, recorded so that gradients find their way back through them.
#pragma once
#include <optional>

#include "core/tensor.h"

namespace lamina {

Tensor permute(const Tensor& t, const Dims& order);
Tensor transpose(const Tensor& t, std::int64_t a, std::int64_t b);
Tensor view(const Tensor& t, const Dims& shape);     // one size may be -1; an error when memory does not allow it
Tensor view(const Tensor& t, DType dtype);           // the same bytes, read as another type; without a gradient
bool viewable(const Tensor& t, const Dims& shape);   // would view() succeed?
Tensor reshape(const Tensor& t, const Dims& shape);  // copies when memory does not allow a view
Tensor flatten(const Tensor& t, std::int64_t start, std::int64_t end);
Tensor expand(const Tensor& t, const Dims& shape);                 // -1 keeps a size
Tensor squeeze(const Tensor& t, std::optional<std::int64_t> dim);  // none: all of size 1
Tensor squeeze(const Tensor& t, const Dims& dims);
Tensor unsqueeze(const Tensor& t, std::int64_t dim);
Tensor select(const Tensor& t, std::int64_t dim, std::int64_t index);
Tensor slice(const Tensor& t, std::int64_t dim, std::int64_t start, std::int64_t stop,
             std::int64_t step);  // 0 <= start <= size, step > 0
Tensor narrow(const Tensor& t, std::int64_t dim, std::int64_t start, std::int64_t length);
Tensor diagonal(const Tensor& t, std::int64_t offset, std::int64_t a, std::int64_t b);
Tensor unfold(const Tensor& t, std::int64_t dim, std::int64_t size, std::int64_t step);
Tensor as_strided(const Tensor& t, const Dims& shape, const Dims& strides, std::optional<std::int64_t> offset);

}  // namespace lamina
