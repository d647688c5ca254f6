// The table of the kernels that run on every device from compute capability 8.0 on. A slot that no family fills stays
// null, and its operation says that it has no CUDA kernel.
#include "kernels/augment.h"
#include "kernels/conv.h"
#include "kernels/detect.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/index.h"
#include "kernels/loss.h"
#include "kernels/norm.h"
#include "kernels/optim.h"
#include "kernels/peak.h"
#include "kernels/pool.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/rnn.h"
#include "kernels/sort.h"
#include "kernels/table.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_augment(AugmentTable&);
void fill_conv(ConvTable&);
void fill_detect(DetectTable&);
void fill_elementwise(ElementwiseTable&);
void fill_gemm(GemmTable&);
void fill_index(IndexTable&);
void fill_loss(LossTable&);
void fill_norm(NormTable&);
void fill_optim(OptimTable&);
void fill_pool(PoolTable&);
void fill_random(RandomTable&);
void fill_reduce(ReduceTable&);
void fill_rnn(RnnTable&);
void fill_sort(SortTable&);

namespace {

struct Families {
  AugmentTable augment{};
  ConvTable conv{};
  DetectTable detect{};
  ElementwiseTable elementwise{};
  GemmTable gemm{};
  IndexTable index{};
  LossTable loss{};
  NormTable norm{};
  OptimTable optim{};
  PeakTable peak{};
  PoolTable pool{};
  RandomTable random{};
  ReduceTable reduce{};
  RnnTable rnn{};
  SortTable sort{};

  Families() {
    fill_augment(augment);
    fill_conv(conv);
    fill_detect(detect);
    fill_elementwise(elementwise);
    fill_gemm(gemm);
    fill_index(index);
    fill_loss(loss);
    fill_norm(norm);
    fill_optim(optim);
    fill_pool(pool);
    fill_random(random);
    fill_reduce(reduce);
    fill_rnn(rnn);
    fill_sort(sort);
  }
};

}  // namespace

const KernelTable& table() {
  static const Families f;
  static const KernelTable table{"cuda", f.augment, f.conv, f.detect, f.elementwise, f.gemm,   f.index, f.loss,
                                 f.norm, f.optim,   f.peak, f.pool,   f.random,      f.reduce, f.rnn,   f.sort};
  return table;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
