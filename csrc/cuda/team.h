// Pairs of sums over rows, channels or groups: a team of threads takes one of them, or a part of one. Where they lie
// side by side in memory a block takes 32, so that neighbours read neighbours.
#pragma once
#include "cuda/along.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kTeamThreads = 256;

// How a grid shares out `count` channels, each in `parts` parts.
struct Teams {
  std::int64_t count, blocks;  // blocks: of one part of all channels
  int size;                    // threads of a team
  bool side_by_side;

  Teams(std::int64_t count, std::int64_t elements, bool side_by_side)
      : count(count),
        size(side_by_side       ? kTeamThreads / kWarp
             : elements <= 1024 ? kWarp
                                : kTeamThreads),
        side_by_side(side_by_side) {
    const std::int64_t each = kTeamThreads / size;
    blocks = (count + each - 1) / each;
  }
  Grid grid(std::int64_t parts = 1) const { return grid_for(blocks * parts, 1); }
};

struct Two {
  double first, second;
};

// A thread's sums: some dozens of elements at a time in the type that is computed in, these in double.
template <class T>
class TwoSums {
 public:
  LAMINA_INLINE void add(T a, T b) {
    near_[0] += a, near_[1] += b;
    if (++added_ == 64) flush();
  }
  LAMINA_INLINE Two total() {
    flush();
    return far_;
  }

 private:
  LAMINA_INLINE void flush() {
    far_.first += static_cast<double>(near_[0]), far_.second += static_cast<double>(near_[1]);
    near_[0] = near_[1] = 0;
    added_ = 0;
  }
  T near_[2] = {};
  Two far_{0, 0};
  int added_ = 0;
};

// Where a thread stands.
struct Team {
  std::int64_t channel, part;
  int number, size, slot;  // slot: threads of a team have neighbouring ones
  bool there;

  LAMINA_KERNEL Team(const Thread& t, const Teams& teams) : size(teams.size) {
    part = t.block() / teams.blocks;
    const std::int64_t block = t.block() - part * teams.blocks;
    number = teams.side_by_side ? t.warp() : t.thread() % size;
    channel = block * (kTeamThreads / size) + (teams.side_by_side ? t.lane() : t.thread() / size);
    slot = teams.side_by_side ? t.lane() * size + t.warp() : t.thread();
    there = channel < teams.count;
  }
  // The team's values joined, for each of its threads; every thread of the block calls it.
  template <class Value, class Join>
  LAMINA_KERNEL Value join(const Thread& t, Totals<Value>& shared, Value mine, Join join) const {
    t.sync();  // whoever still reads what was joined before
    shared.all[slot] = mine;
    for (int half = size / 2; half > 0; half /= 2) {
      t.sync();
      if (number < half) shared.all[slot] = join(shared.all[slot], shared.all[slot + half]);
    }
    t.sync();
    return shared.all[slot - number];
  }
  LAMINA_KERNEL Two sum(const Thread& t, Totals<Two>& shared, Two mine) const {
    return join(t, shared, mine, [](Two a, Two b) { return Two{a.first + b.first, a.second + b.second}; });
  }
};

// first[n] and second[n], the sums over `cuts` of sums[cuts][2][n]; either may be null.
template <class T>
struct SumCuts {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Two>;
  Teams teams;
  const T* sums;
  std::int64_t cuts;
  T *first, *second;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, teams);
    Two mine{0, 0};
    if (team.there)
      for (std::int64_t cut = team.number; cut < cuts; cut += team.size) {
        const T* const at = sums + 2 * cut * teams.count + team.channel;
        mine.first += static_cast<double>(at[0]), mine.second += static_cast<double>(at[teams.count]);
      }
    const Two all = team.sum(t, t.shared<SumCuts>(), mine);
    if (!team.there || team.number != 0) return;
    if (first) first[team.channel] = static_cast<T>(all.first);
    if (second) second[team.channel] = static_cast<T>(all.second);
  }
};
template <class T>
void sum_cuts(const char* op, const T* sums, std::int64_t cuts, std::int64_t n, void* first, void* second) {
  const Teams teams(n, cuts, true);
  launch(op, teams.grid(), SumCuts<T>{teams, sums, cuts, static_cast<T*>(first), static_cast<T*>(second)});
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
