// What the cuts of a loss come to, joined in their order.
#pragma once
#include "kernels/loss.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LossPartial join_partials(const LossPartial* p, std::int64_t n) {
  LossPartial total{0, 0, -1};
  for (std::int64_t i = 0; i < n; ++i) {
    total.loss += p[i].loss;
    total.weight += p[i].weight;
    if (total.fault < 0) total.fault = p[i].fault;
  }
  return total;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
