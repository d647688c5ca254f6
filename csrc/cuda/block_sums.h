// Running sums of integers over the threads of a block.
#pragma once
#include "cuda/launch.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <int kCount>
struct BlockSums {
  std::int64_t all[kCount];

  // The sum over this thread and those before it; `total` becomes that over all. Every thread calls it.
  LAMINA_KERNEL std::int64_t up_to(const Thread& t, std::int64_t mine, std::int64_t& total) {
    const int me = t.thread();
    t.sync();  // whoever still reads the ones before
    all[me] = mine;
    for (int reach = 1; reach < kCount; reach *= 2) {
      t.sync();
      const std::int64_t left = me >= reach ? all[me - reach] : 0;
      t.sync();
      all[me] = mine += left;
    }
    t.sync();
    total = all[kCount - 1];
    return mine;
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
