// What the machine can do at best, which benchmarks are measured against: multiply-adds on registers, a copy of memory.
#pragma once
#include <cstdint>

namespace lamina {

struct PeakTable {
  // Every thread does `rounds` of multiply-adds, each of flops_per_round operations; operands[0…1] keep the compiler
  // honest.
  void (*multiply_add)(std::int64_t rounds, const float* operands, float* sink);
  std::int64_t flops_per_round;
  void (*copy)(void* to, const void* from, std::int64_t bytes);
};

}  // namespace lamina
