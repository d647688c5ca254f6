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
void fill_index(IndexTable&);

namespace {
struct Filled {
  KernelTable table;
  Filled() : table{} {
    table.target = LAMINA_STRING(LAMINA_TARGET);
    fill_elementwise(table.elementwise);
    fill_gemm(table.gemm);
    fill_peak(table.peak);
    fill_reduce(table.reduce);
    fill_index(table.index);
  }
};
}  // namespace

// Filled when first asked for and not as the library loads: this very code may use instructions that the machine lacks.
const KernelTable& table() {
  static const Filled filled;
  return filled.table;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
