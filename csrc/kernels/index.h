// Reading and writing at positions that other tensors name, and finding positions.
#pragma once
#include "kernels/loop.h"

namespace lamina {

constexpr int kMaxIndices = kLoopDims;

// One index tensor of x[a, b, …] and the dimension that it stands for.
struct IndexOperand {
  const void* data;
  std::int64_t strides[kLoopDims];  // over the common shape, 0 where broadcast
  std::int64_t size, step;          // of the dimension
  DType dtype;                      // int64 or int32
};

// Index tensors over their common shape. Position p lies Σ_k wrap(index_k[p]) · step_k elements after the first.
struct Positions {
  int operand_count, ndim;
  bool from_end;  // are negative indices allowed, counting from the end?
  std::int64_t count;
  std::int64_t shape[kLoopDims];
  IndexOperand operands[kMaxIndices];
};

// The first position that is out of range; operand is -1 when there is none.
struct IndexFault {
  std::int64_t operand, value;
};

// Elements that move between a dense tensor and places in another. The loop runs over the dimensions that no index
// stands for: operand 0 is the dense side, operand 1 the indexed one.
struct IndexedLoop {
  Loop loop;
  Positions positions;
  std::int64_t dense_step;  // elements of operand 0 from one position to the next
};

// The same for an index of the tensor's own rank that stands for one dimension, as in gather and scatter. The loop runs
// over the other dimensions: operand 0 is the dense side, operand 1 the index, operand 2 the indexed side.
struct AlongLoop {
  Loop loop;
  std::int64_t length;                      // of the index along the dimension
  std::int64_t dense_stride, index_stride;  // along the dimension
  std::int64_t size, indexed_stride;        // of the indexed side
};

struct IndexTable {
  // Are all positions in range? The kernels below rely on it.
  void (*check)(Positions positions, IndexFault* fault);

  void (*gather)(IndexedLoop loop);
  // Where a position comes twice the later one stays, whatever the number of threads; `distinct` promises that none
  // does.
  void (*put)(IndexedLoop loop, bool distinct);
  void (*add[kDTypeCount])(IndexedLoop loop);  // null for 16-bit floats: they accumulate in float32

  void (*along_gather)(AlongLoop loop);
  void (*along_put)(AlongLoop loop);
  // An element that an index names several times gets all of them, in their order; null as for add.
  void (*along_add[kDTypeCount])(AlongLoop loop);
  void (*along_multiply[kDTypeCount])(AlongLoop loop);
  void (*along_largest[kDTypeCount])(AlongLoop loop);
  void (*along_smallest[kDTypeCount])(AlongLoop loop);

  // Masks, one byte an element. counts[c] becomes the number of true elements before chunk c of kMaskChunk elements;
  // one more entry has the total.
  void (*count_true)(const std::uint8_t* mask, std::int64_t n, std::int64_t* counts);
  // The flat positions of the true elements, in order.
  void (*list_true)(const std::uint8_t* mask, std::int64_t n, const std::int64_t* counts, std::int64_t* out);
  // The true elements' index in each dimension: row d of `out`, each `total` long.
  void (*unravel_true)(const std::uint8_t* mask, Loop shape, const std::int64_t* counts, std::int64_t total,
                       std::int64_t* out);

  // out = {smallest, largest, sum} of n ≥ 1 integers.
  void (*survey)(const std::int64_t* values, std::int64_t n, std::int64_t* out);
  // i repeated repeats[i] times, for every i.
  void (*repeat_index)(const std::int64_t* repeats, std::int64_t n, std::int64_t* out);
};

constexpr std::int64_t kMaskChunk = 32768;

}  // namespace lamina
