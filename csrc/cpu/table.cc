// This target's table, filled family by family.
#include "kernels/table.h"

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

#define LAMINA_STRING_(x) #x
#define LAMINA_STRING(x) LAMINA_STRING_(x)

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
void fill_peak(PeakTable&);
void fill_pool(PoolTable&);
void fill_random(RandomTable&);
void fill_reduce(ReduceTable&);
void fill_rnn(RnnTable&);
void fill_sort(SortTable&);

// Filled when first asked for (by the import, on one thread) and not as the library loads: this very code may use
// instructions that the machine lacks.
const KernelTable& table() {
  static AugmentTable augment;  // all null
  static ConvTable conv;
  static DetectTable detect;
  static ElementwiseTable elementwise;
  static GemmTable gemm;
  static IndexTable index;
  static LossTable loss;
  static NormTable norm;
  static OptimTable optim;
  static PeakTable peak;
  static PoolTable pool;
  static RandomTable random;
  static ReduceTable reduce;
  static RnnTable rnn;
  static SortTable sort;
  static const KernelTable table{LAMINA_STRING(LAMINA_TARGET),
                                 augment,
                                 conv,
                                 detect,
                                 elementwise,
                                 gemm,
                                 index,
                                 loss,
                                 norm,
                                 optim,
                                 peak,
                                 pool,
                                 random,
                                 reduce,
                                 rnn,
                                 sort};
  static bool filled = false;
  if (!filled) {
    fill_augment(augment);
    fill_conv(conv);
    fill_detect(detect);
    fill_elementwise(elementwise);
    fill_gemm(gemm);
    fill_index(index);
    fill_loss(loss);
    fill_norm(norm);
    fill_optim(optim);
    fill_peak(peak);
    fill_pool(pool);
    fill_random(random);
    fill_reduce(reduce);
    fill_rnn(rnn);
    fill_sort(sort);
    filled = true;
  }
  return table;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
