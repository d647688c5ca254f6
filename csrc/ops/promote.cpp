#include "ops/promote.h"

namespace lamina {
namespace {

int category(DType t) { return t == DType::b8 ? 0 : is_integral(t) ? 1 : 2; }

}  // namespace

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (category(a) == 1) return item_size(a) > item_size(b) ? a : b;  // uint8 < int32 < int64
  if (item_size(a) == item_size(b)) return DType::f32;               // float16 with bfloat16
  return item_size(a) > item_size(b) ? a : b;
}

DType result_type(std::initializer_list<const Arg*> args) {
  // rank 0: with dimensions, 1: 0-d tensors, 2: numbers
  bool seen[3] = {};
  DType of_rank[3] = {};
  for (const Arg* arg : args) {
    const int rank = !arg->is_tensor() ? 2 : arg->tensor().ndim() == 0 ? 1 : 0;
    of_rank[rank] = seen[rank] ? promote(of_rank[rank], arg->dtype()) : arg->dtype();
    seen[rank] = true;
  }
  bool any = false;
  DType result = DType::f32;
  for (int rank = 0; rank < 3; ++rank) {
    if (!seen[rank]) continue;
    if (!any)
      result = of_rank[rank];
    else if (category(of_rank[rank]) > category(result))
      result = of_rank[rank];
    any = true;
  }
  return result;
}

}  // namespace lamina
