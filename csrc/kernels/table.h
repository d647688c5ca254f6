// All kernels of one device or instruction set: a struct of function pointers per family.
#pragma once
#include "kernels/elementwise.h"

namespace lamina {

struct KernelTable {
  const char* target;
  ElementwiseTable elementwise;
};

}  // namespace lamina
