// From tensors to the iteration space of a kernel: broadcasting, merging of dimensions, overlap.
#pragma once
#include "core/tensor.h"
#include "kernels/loop.h"
#include "ops/promote.h"

namespace lamina {

// The broadcast of two shapes; `op` is named in the error.
Dims broadcast_shapes(const Dims& a, const Dims& b, const char* op);

class LoopBuilder {
 public:
  explicit LoopBuilder(const Dims& shape) : shape_(shape) {}
  LoopBuilder& add(const Tensor& t) {  // broadcast to the shape; t must live until build()
    tensors_[count_] = &t;
    flat_ &= t.contiguous() && t.shape() == shape_;
    ++count_;
    return *this;
  }
  LoopBuilder& add(const Scalar& s, DType type);  // an immediate
  LoopBuilder& add(const Arg& a, DType type) { return a.is_tensor() ? add(a.tensor()) : add(a.number(), type); }
  const Loop& build();  // merges dimensions that every operand steps through alike; ours until the builder dies

 private:
  void spread_operands();
  void move_dimension(int to, int from);
  void sort_by_memory();
  void merge_dimensions();

  const Dims& shape_;
  const Tensor* tensors_[kLoopOperands];  // null for immediates
  int count_ = 0;
  bool flat_ = true;  // every tensor so far is contiguous and of the full shape
  Loop loop_;
};

// An uninitialised result for an operation on t: of its shape, and of its memory order where t is dense (as a
// transposed matrix is), so that both are walked straight through.
Tensor empty_like_layout(const Tensor& t, DType dtype);

// Do a and b share memory, but not element for element? Writing one while reading the other would then go wrong.
bool overlaps_askew(const Tensor& a, const Tensor& b);

}  // namespace lamina
