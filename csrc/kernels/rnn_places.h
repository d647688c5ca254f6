// Where things lie in the memory of a run.
#pragma once
#include "kernels/rnn.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T, class Cell>
struct RunPlaces {
  const RnnRun& run;

  LAMINA_INLINE std::int64_t time(std::int64_t step) const { return run.reverse ? run.steps - 1 - step : step; }
  LAMINA_INLINE std::int64_t state_size() const { return run.batch * run.units; }
  LAMINA_INLINE std::int64_t slot(std::int64_t time, bool after) const { return time + (run.reverse != after ? 1 : 0); }
  LAMINA_INLINE T* state(void* states, std::int64_t time, bool after) const {
    return states ? static_cast<T*>(states) + slot(time, after) * state_size() : nullptr;
  }
  // What the gates see of a state: rows of `depth` columns, where block k begins at seen_at(k).
  LAMINA_INLINE std::int64_t depth() const { return seen_at(layout_of(Cell::kCell).seen); }
  LAMINA_INLINE std::int64_t seen_at(int k) const { return k ? run.features() + (k - 1) * run.units : 0; }
  LAMINA_INLINE T* seen(std::int64_t time, bool after) const {
    return static_cast<T*>(run.seen ? run.seen : run.h) + slot(time, after) * run.batch * depth();
  }
  LAMINA_INLINE T* gates(std::int64_t time) const {
    return static_cast<T*>(run.gates) + time * state_size() * layout_of(Cell::kCell).inputs;
  }
  LAMINA_INLINE T* gradients(void* dgates, std::int64_t time) const {
    return static_cast<T*>(dgates) + time * state_size() * layout_of(Cell::kCell).gradients;
  }
  // What the input gives the gates of one row: in `gates`, or in the table that its rows are taken from.
  LAMINA_INLINE const T* shares(std::int64_t time, std::int64_t row) const {
    if (run.shares)
      return static_cast<const T*>(run.shares) +
             run.share_of[time * run.batch + row] * layout_of(Cell::kCell).inputs * run.units;
    return gates(time) + row * layout_of(Cell::kCell).inputs * run.units;
  }
  LAMINA_INLINE T* masked(std::int64_t time) const { return static_cast<T*>(run.masked) + time * state_size(); }
  LAMINA_INLINE const T* unit(int which, std::int64_t u) const {
    return static_cast<const T*>(run.unit) + which * run.units + u;
  }
  LAMINA_INLINE bool active(std::int64_t row, std::int64_t time) const {
    return !run.lengths || run.first_time + time < run.lengths[row];
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
