// Boxes: x₁, y₁, x₂, y₂ in a row. Sizes that are negative count as 0.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

struct DetectTable {
  // out (n, m): intersection over union of each of n boxes with each of m others, 0 where both are empty.
  void (*iou[kDTypeCount])(const void* a, std::int64_t n, const void* b, std::int64_t m, void* out);
  // boxes (n, 4), order: their numbers, the best first; classes: one to a box, or null. kept[i] becomes 1 if box
  // order[i] stays: no better one that stays, of its class, has an intersection over union with it above the threshold.
  // In double. work: 6 n numbers.
  void (*nms[kDTypeCount])(const void* boxes, const std::int64_t* order, const std::int64_t* classes, std::int64_t n,
                           double threshold, double* work, std::uint8_t* kept);
};

}  // namespace lamina
