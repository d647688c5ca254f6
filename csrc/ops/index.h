// Reading and writing tensors at positions: subscripts, gathers and scatters, joins and splits.
#pragma once
#include <optional>
#include <vector>

#include "ops/promote.h"
#include "ops/values_indices.h"

namespace lamina {

// One item between the brackets of x[…].
struct Subscript {
  enum class Kind : std::uint8_t { integer, slice, ellipsis, new_axis, tensor };
  Kind kind;
  std::int64_t start = 0;  // an integer's value too
  std::int64_t stop = 0;   // as Python has it: negative counts from the end, past the end is clipped
  std::int64_t step = 1;
  Tensor tensor;  // integers, or a bool mask that takes as many dimensions as it has
};
using Subscripts = std::vector<Subscript>;

// x[items] and x[items] = value. Without tensors among the items the result is a view.
Tensor subscript(const Tensor& t, Subscripts items);
void set_subscript(const Tensor& t, Subscripts items, const Arg& value);
// x[items] = value, or += value with every repetition counted.
void index_put_(const Tensor& t, Subscripts items, const Tensor& value, bool accumulate);

// ---- masks (index_mask.cpp) ----
// The positions of the elements that are not zero: (count, ndim), or one index tensor a dimension.
Tensor nonzero(const Tensor& t);
std::vector<Tensor> nonzero_tuple(const Tensor& t);
Tensor flat_nonzero(const Tensor& mask);  // of the flattened, contiguous mask
void masked_fill_(const Tensor& t, const Tensor& mask, const Arg& value);
Tensor masked_select(const Tensor& t, const Tensor& mask);
void masked_scatter_(const Tensor& t, const Tensor& mask, const Tensor& source);

// ---- an index of the tensor's own rank (index_along.cpp) ----
Tensor gather(const Tensor& t, std::int64_t dim, const Tensor& index);
void scatter_(const Tensor& t, std::int64_t dim, const Tensor& index, const Arg& source);
void scatter_add_(const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source);
// x[index[i]] becomes the fold of itself, unless it is left out, and of all source[i] (index_scatter_reduce.cpp).
enum class ScatterFold { sum, prod, mean, amax, amin };
Tensor scatter_reduce(const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source, ScatterFold fold,
                      bool include_self);
Tensor take_along_dim(const Tensor& t, const Tensor& indices, std::optional<std::int64_t> dim);
Tensor one_hot(const Tensor& t, std::int64_t classes);  // classes -1: as many as there are

// ---- a list of places along one dimension (index_rows.cpp) ----
Tensor index_select(const Tensor& t, std::int64_t dim, const Tensor& index);
void index_add_(const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source, const Scalar& alpha);
void index_copy_(const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source);
void index_fill_(const Tensor& t, std::int64_t dim, const Tensor& index, const Arg& value);
Tensor take(const Tensor& t, const Tensor& index);
Tensor embedding(const Tensor& input, const Tensor& weight, std::optional<std::int64_t> padding_idx);
Tensor bincount(const Tensor& t, const std::optional<Tensor>& weights, std::int64_t minlength);
Tensor repeat_interleave(const Tensor& t, const Tensor& repeats, std::optional<std::int64_t> dim);

// {smallest, largest, sum} of at least one integer.
struct Survey {
  std::int64_t least, most, sum;
};
Tensor surveyed(const Tensor& integers);  // the same three numbers, left in memory
Survey survey(const char* op, const Tensor& integers);

// ---- joining and taking apart (index_join.cpp); the parts are views ----
Tensor cat(const std::vector<Tensor>& tensors, std::int64_t dim);
Tensor stack(const std::vector<Tensor>& tensors, std::int64_t dim);
Tensor hstack(const std::vector<Tensor>& tensors);
Tensor vstack(const std::vector<Tensor>& tensors);
std::vector<Tensor> split(const Tensor& t, std::int64_t size, std::int64_t dim);
std::vector<Tensor> split(const Tensor& t, const std::vector<std::int64_t>& sizes, std::int64_t dim);
std::vector<Tensor> chunk(const Tensor& t, std::int64_t chunks, std::int64_t dim);
std::vector<Tensor> tensor_split(const Tensor& t, std::int64_t sections, std::int64_t dim);
std::vector<Tensor> tensor_split(const Tensor& t, const std::vector<std::int64_t>& bounds, std::int64_t dim);
std::vector<Tensor> unbind(const Tensor& t, std::int64_t dim);

// ---- in another order, or more than once (index_rearrange.cpp) ----
Tensor flip(const Tensor& t, const Dims& dims);
Tensor roll(const Tensor& t, const Dims& shifts, const Dims& dims);  // without dims: as if flat
Tensor repeat(const Tensor& t, const Dims& repeats);
Tensor tile(const Tensor& t, const Dims& dims);
Tensor tril(const Tensor& t, std::int64_t diagonal);
Tensor triu(const Tensor& t, std::int64_t diagonal);
Tensor diag(const Tensor& t, std::int64_t offset);
Tensor diag_embed(const Tensor& t, std::int64_t offset, std::int64_t dim1, std::int64_t dim2);
Tensor movedim(const Tensor& t, const Dims& source, const Dims& destination);
std::vector<Tensor> meshgrid(const std::vector<Tensor>& tensors, bool swap_first);

// ---- borders (index_pad.cpp) ----
enum class PadMode : std::uint8_t { constant, reflect, replicate, circular };
Tensor pad(const Tensor& t, const std::vector<std::int64_t>& pads, PadMode mode, const Scalar& value);

}  // namespace lamina
