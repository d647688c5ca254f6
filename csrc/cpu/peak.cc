// Yardsticks, not operations: the loops here do nothing but keep the arithmetic or the memory busy.
#include "kernels/peak.h"

#include <string.h>

#include "core/parallel.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kChains = 12;  // two units of latency four need eight; AVX2 has registers for twelve and the operands
constexpr int kUnroll = 8;
constexpr std::int64_t kCopyGrain = 1 << 20;

void multiply_add(std::int64_t rounds, const float* operands, float* sink) {
  struct Context {
    std::int64_t rounds;
    const float* operands;
    float* sink;
  } context{rounds, operands, sink};
  parallel_team(
      thread_count(),
      [](void* p, int thread, int) {
        const Context& c = *static_cast<Context*>(p);
        const Vec<float> scale(c.operands[0]), step(c.operands[1]);
        Vec<float> chain[kChains];
        for (int k = 0; k < kChains; ++k) chain[k] = Vec<float>(static_cast<float>(k));
        for (std::int64_t round = 0; round < c.rounds; ++round)
          for (int u = 0; u < kUnroll; ++u)
            for (int k = 0; k < kChains; ++k) chain[k] = fma(chain[k], scale, step);
        for (int k = 1; k < kChains; ++k) chain[0] += chain[k];
        c.sink[thread] = sum(chain[0]);
      },
      &context);
}

void copy(void* to, const void* from, std::int64_t bytes) {
  parallel_for(bytes, kCopyGrain, [=](std::int64_t begin, std::int64_t end) {
    ::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, static_cast<size_t>(end - begin));
  });
}

}  // namespace

void fill_peak(PeakTable& table) {
  table.multiply_add = multiply_add;
  table.flops_per_round = std::int64_t{2} * kUnroll * kChains * static_cast<int>(Vec<float>::width);
  table.copy = copy;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
