// What an operation R must bring to be reduced by, and how the driver, which is compiled once and not for each of them,
// calls it:
//
//   In, Partial               element type; result of a piece, plain data of at most kPartialBytes
//   kBlock                    elements that block() takes at most
//   kOrdered                  merge(a, b) wants a's elements to come before b's
//   block(x, n, at, g)        the Partial of n > 0 contiguous elements, the first of which is element `at` of its run
//   merge(a, b)               the Partial of both
//   Band                      the state of up to kStripColumns columns, and
//   band(b, x, rows, stride, n, at, g), partial(b, c)   the same for n columns of `rows` rows, from row `at` of the run
//   store(g, offset, p)       finishes p and writes it
#pragma once
#include "core/parallel.h"
#include "kernels/reduce.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {

struct RowsOfStrip {
  std::int64_t count, stride, first;  // first: its number in the run
};
struct Results {  // where they go: every `step` elements from `at` on
  std::int64_t at, step;
};

// The operation as the driver sees it.
struct ReduceSteps {
  std::int64_t in_bytes, partial_bytes;
  bool ordered;
  // The Partial of n contiguous elements, the first of which is element `at` of its run.
  void (*run)(const Reduction&, const void* x, std::int64_t n, std::int64_t at, void* partial);
  // The Partials of n columns; finished and stored if `partials` is null.
  void (*strip)(const Reduction&, const void* x, RowsOfStrip, std::int64_t n, void* partials, Results);
  void (*merge)(void* into, const void* later, std::int64_t n);  // element by element
  void (*store)(const Reduction&, const void* partials, std::int64_t n, Results);
};

void reduce_by(const ReduceSteps&, const Reduction&);

namespace {

constexpr std::int64_t kReduceGrain = 32768;  // elements a thread takes at once where rows are short

LAMINA_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
LAMINA_INLINE std::int64_t grain_for(std::int64_t elements) {
  return elements >= kReduceGrain ? 1 : kReduceGrain / (elements > 0 ? elements : 1);
}

// Joins parts as a balanced tree while they come, so that errors grow with the logarithm of their number.
template <class Partial, class Merge>
class Cascade {
 public:
  explicit Cascade(Merge merge) : merge_(merge) {}
  void push(Partial p) {
    int i = 0;
    for (; filled_ >> i & 1; ++i) p = merge_(level_[i], p);
    level_[i] = p;
    ++filled_;
  }
  Partial result() const {
    int i = __builtin_ctzll(filled_);
    Partial p = level_[i];
    while (filled_ >> ++i)
      if (filled_ >> i & 1) p = merge_(level_[i], p);
    return p;
  }

 private:
  Merge merge_;
  std::uint64_t filled_ = 0;
  Partial level_[48];
};

// n contiguous elements, the first of which is element `at` of its run.
template <class R>
typename R::Partial reduce_run(const typename R::In* x, std::int64_t n, std::int64_t at, const Reduction& g) {
  using Partial = typename R::Partial;
  if (n <= R::kBlock) return R::block(x, n, at, g);
  const auto merge = [](const Partial& a, const Partial& b) { return R::merge(a, b); };
  Cascade<Partial, decltype(merge)> cascade(merge);
  for (std::int64_t i = 0; i < n; i += R::kBlock) cascade.push(R::block(x + i, smaller(R::kBlock, n - i), at + i, g));
  return cascade.result();
}

template <class R, class Get>
LAMINA_INLINE void store_each(const Reduction& shared, std::int64_t n, Results to, Get get) {
  const Reduction g = shared;  // for all the compiler knows, a result could be written over what is shared
  if (to.step == 1)
    for (std::int64_t c = 0; c < n; ++c) R::store(g, to.at + c, get(c));
  else
    for (std::int64_t c = 0; c < n; ++c) R::store(g, to.at + c * to.step, get(c));
}

template <class R>
struct StepsOf {
  using In = typename R::In;
  using Partial = typename R::Partial;
  static_assert(sizeof(Partial) <= kPartialBytes);

  static void run(const Reduction& g, const void* x, std::int64_t n, std::int64_t at, void* partial) {
    *static_cast<Partial*>(partial) = reduce_run<R>(static_cast<const In*>(x), n, at, g);
  }
  static void strip(const Reduction& g, const void* x, RowsOfStrip rows, std::int64_t n, void* partials, Results to) {
    typename R::Band band;
    R::band(band, static_cast<const In*>(x), rows.count, rows.stride, n, rows.first, g);
    if (!partials) return store_each<R>(g, n, to, [&](std::int64_t c) { return R::partial(band, c); });
    auto* p = static_cast<Partial*>(partials);
    for (std::int64_t c = 0; c < n; ++c) p[c] = R::partial(band, c);
  }
  static void merge(void* into, const void* later, std::int64_t n) {
    auto* a = static_cast<Partial*>(into);
    const auto* b = static_cast<const Partial*>(later);
    for (std::int64_t c = 0; c < n; ++c) a[c] = R::merge(a[c], b[c]);
  }
  static void store(const Reduction& g, const void* partials, std::int64_t n, Results to) {
    const auto* p = static_cast<const Partial*>(partials);
    store_each<R>(g, n, to, [p](std::int64_t c) { return p[c]; });
  }
  static constexpr ReduceSteps steps{sizeof(In), sizeof(Partial), R::kOrdered, run, strip, merge, store};
};

template <class R>
void reduce(Reduction g) {
  reduce_by(StepsOf<R>::steps, g);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
