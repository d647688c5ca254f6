// All kernels of one device or instruction set: a table of function pointers per family, in kernels/<family>.h. Only
// named here, so that a change to one family recompiles that family alone.
#pragma once

namespace lamina {

struct AugmentTable;
struct ConvTable;
struct DetectTable;
struct ElementwiseTable;
struct GemmTable;
struct IndexTable;
struct LossTable;
struct NormTable;
struct OptimTable;
struct PeakTable;
struct PoolTable;
struct RandomTable;
struct ReduceTable;
struct RnnTable;
struct SortTable;

struct KernelTable {
  const char* target;
  const AugmentTable& augment;
  const ConvTable& conv;
  const DetectTable& detect;
  const ElementwiseTable& elementwise;
  const GemmTable& gemm;
  const IndexTable& index;
  const LossTable& loss;
  const NormTable& norm;
  const OptimTable& optim;
  const PeakTable& peak;
  const PoolTable& pool;
  const RandomTable& random;
  const ReduceTable& reduce;
  const RnnTable& rnn;
  const SortTable& sort;
};

}  // namespace lamina
