// Positions that index tensors name in a tensor: checked, then read or written.
#pragma once
#include <vector>

#include "autograd/node.h"
#include "core/tensor.h"

namespace lamina {

// An index tensor in the place of `span` neighbouring dimensions; more than one are counted through as if merged.
struct IndexTensor {
  int dim;
  int span;
  int named_dim;  // dim, as the user of x[…] counts
  Tensor tensor;  // int64 or int32
};

// What x[…, a, …, b] names: index tensors with ascending dimensions, broadcast to one shape.
struct PositionSet {
  std::vector<IndexTensor> tensors;
  Dims shape;             // broadcast of theirs
  int place = 0;          // the dimension of the result at which `shape` stands
  bool distinct = false;  // no position comes twice
  bool from_end = true;   // negative indices count from the end

  // One index tensor of any shape in the place of one dimension.
  static PositionSet along(int dim, const Tensor& index, bool from_end);
  Dims result_shape(const Dims& source) const;
};

// A position set kept for backward. Knows when an index tensor was changed in place since.
class SavedPositions {
 public:
  explicit SavedPositions(PositionSet set) : set_(std::move(set)) {
    for (const IndexTensor& t : set_.tensors) watched_.push_back(save(t.tensor));
  }
  const PositionSet& get() const {
    for (const SavedTensor& t : watched_) t.get();
    return set_;
  }

 private:
  PositionSet set_;
  std::vector<SavedTensor> watched_;
};

// An index tensor must hold int64 or int32.
void check_index_dtype(const char* op, const Tensor& index);
// Every value of `index` must be an index of a dimension of `size`; for indices that are used element by element.
void check_in_range(const char* op, const Tensor& index, int dim, std::int64_t size);
// Every position must lie in a tensor of this shape. A kernel behind the launch seam: it runs on replay too.
void check_positions(const char* op, const Dims& shape, const PositionSet& set);

// ---- unrecorded; they rely on checked positions. `values` broadcasts to the result's shape and has the tensor's type.
Tensor read_at(const Tensor& t, const PositionSet& set);
void write_at(const Tensor& t, const PositionSet& set, const Tensor& values);
void add_at(const Tensor& t, const PositionSet& set, const Tensor& values);
// Zeros of `shape` with values added at the positions: the gradient of read_at.
Tensor spread_at(const Dims& shape, const PositionSet& set, const Tensor& values);

// ---- recorded ----
Tensor read_recorded(const char* op, const Tensor& t, const PositionSet& set);
// Values are converted to t's type; their leading dimensions of size 1 may go.
void put_recorded(const char* op, const Tensor& t, const PositionSet& set, const Tensor& values, bool accumulate);
Tensor without_leading_ones(Tensor value, int ndim);

// Do the dimensions [dim, dim + span) of t step as one?
bool steps_as_one(const Tensor& t, int dim, int span);

}  // namespace lamina
