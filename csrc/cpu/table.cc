// This target's table, filled family by family.
#include "kernels/table.h"

#define LAMINA_STRING_(x) #x
#define LAMINA_STRING(x) LAMINA_STRING_(x)

namespace lamina {
namespace LAMINA_TARGET {

void fill_elementwise(ElementwiseTable&);
void fill_gemm(GemmTable&);
void fill_peak(PeakTable&);
void fill_reduce(ReduceTable&);
void fill_random(RandomTable&);
void fill_index(IndexTable&);
void fill_rnn(RnnTable&);
void fill_loss(LossTable&);
void fill_norm(NormTable&);
void fill_optim(OptimTable&);
void fill_sort(SortTable&);

// Filled when first asked for (by the import, on one thread) and not as the library loads: this very code may use
// instructions that the machine lacks.
const KernelTable& table() {
  static KernelTable table;  // all null
  if (!table.target) {
    fill_elementwise(table.elementwise);
    fill_gemm(table.gemm);
    fill_peak(table.peak);
    fill_reduce(table.reduce);
    fill_random(table.random);
    fill_index(table.index);
    fill_rnn(table.rnn);
    fill_loss(table.loss);
    fill_norm(table.norm);
    fill_optim(table.optim);
    fill_sort(table.sort);
    table.target = LAMINA_STRING(LAMINA_TARGET);
  }
  return table;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
