// All kernels of one device or instruction set: a struct of function pointers per family.
#pragma once
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/index.h"
#include "kernels/loss.h"
#include "kernels/norm.h"
#include "kernels/optim.h"
#include "kernels/peak.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/rnn.h"
#include "kernels/sort.h"

namespace lamina {

struct KernelTable {
  const char* target;
  ElementwiseTable elementwise;
  GemmTable gemm;
  PeakTable peak;
  ReduceTable reduce;
  RandomTable random;
  IndexTable index;
  RnnTable rnn;
  LossTable loss;
  NormTable norm;
  OptimTable optim;
  SortTable sort;
};

}  // namespace lamina
