// Walks the geometry of a reduction and hands pieces of it to R, which knows the operation:
//
//   In, Partial               element type; result of a piece, plain data of at most kPartialBytes
//   kBlock                    elements that block() takes at most
//   block(x, n, at, g)        the Partial of n > 0 contiguous elements, the first of which is element `at` of its run
//   merge(a, b)               a's elements come before b's
//   Band                      the state of up to kStripColumns columns, and
//   band(b, x, rows, stride, n, at, g), partial(b, c)   the same for n columns of `rows` rows, from row `at` of the run
//   store(g, offset, p)       finishes p and writes it
#pragma once
#include "core/parallel.h"
#include "kernels/reduce.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kReduceGrain = 32768;  // elements a thread takes at once where rows are short

struct Place {
  std::int64_t in, out;
};
LAMINA_INLINE Place locate(const Axis* axes, int count, std::int64_t flat) {
  Place p{0, 0};
  for (int d = count - 1; d >= 0; --d) {
    std::int64_t i = flat;
    if (d > 0) {
      flat /= axes[d].size;
      i -= flat * axes[d].size;
    }
    p.in += i * axes[d].in;
    p.out += i * axes[d].out;
  }
  return p;
}

LAMINA_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
LAMINA_INLINE std::int64_t grain_for(std::int64_t elements) {
  return elements >= kReduceGrain ? 1 : kReduceGrain / (elements > 0 ? elements : 1);
}

// Joins blocks as a balanced tree while they come, so that errors grow with the logarithm of their number.
template <class R>
class Cascade {
 public:
  void push(typename R::Partial p) {
    int i = 0;
    for (; filled_ >> i & 1; ++i) p = R::merge(level_[i], p);
    level_[i] = p;
    ++filled_;
  }
  typename R::Partial result() const {
    int i = __builtin_ctzll(filled_);
    typename R::Partial p = level_[i];
    while (filled_ >> ++i)
      if (filled_ >> i & 1) p = R::merge(level_[i], p);
    return p;
  }

 private:
  std::uint64_t filled_ = 0;
  typename R::Partial level_[48];
};

template <class R>
void merge_tree(typename R::Partial* p, std::int64_t n) {
  for (std::int64_t step = 1; step < n; step *= 2)
    for (std::int64_t i = 0; i + step < n; i += 2 * step) p[i] = R::merge(p[i], p[i + step]);
}

// n contiguous elements.
template <class R>
typename R::Partial reduce_run(const typename R::In* x, std::int64_t n, const Reduction& g) {
  if (n <= R::kBlock) return R::block(x, n, 0, g);
  Cascade<R> cascade;
  for (std::int64_t at = 0; at < n; at += R::kBlock) cascade.push(R::block(x + at, smaller(R::kBlock, n - at), at, g));
  return cascade.result();
}

template <class R>
typename R::Partial piece_of_rows(const Reduction& g, const typename R::In* x, std::int64_t piece) {
  if (g.runs == 1 && g.cuts == 1) return reduce_run<R>(x, g.length, g);
  Cascade<R> cascade;
  const auto add = [&](std::int64_t run, std::int64_t begin, std::int64_t end) {
    const typename R::In* row = x + locate(g.reduced, g.reduced_count, run).in;
    for (std::int64_t at = begin; at < end; at += R::kBlock)
      cascade.push(R::block(row + at, smaller(R::kBlock, end - at), at, g));
  };
  if (g.cuts > 1) {
    const std::int64_t run = piece / g.cuts, begin = piece % g.cuts * g.chunk;
    add(run, begin, smaller(begin + g.chunk, g.length));
  } else {
    const std::int64_t last = smaller((piece + 1) * g.group, g.runs);
    for (std::int64_t run = piece * g.group; run < last; ++run) add(run, 0, g.length);
  }
  return cascade.result();
}

template <class R>
void reduce_rows(const Reduction& g) {
  const auto* in = static_cast<const typename R::In*>(g.in);
  if (g.pieces == 1) {
    parallel_for(g.outputs, grain_for(g.runs * g.length), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) {
        const Place at = locate(g.kept, g.kept_count, k);
        R::store(g, at.out, piece_of_rows<R>(g, in + at.in, 0));
      }
    });
    return;
  }
  auto* partials = static_cast<typename R::Partial*>(g.scratch);
  parallel_for(g.outputs * g.pieces, 1, [&](std::int64_t t, std::int64_t) {
    partials[t] = piece_of_rows<R>(g, in + locate(g.kept, g.kept_count, t / g.pieces).in, t % g.pieces);
  });
  parallel_for(g.outputs, grain_for(g.pieces), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      merge_tree<R>(partials + k * g.pieces, g.pieces);
      R::store(g, locate(g.kept, g.kept_count, k).out, partials[k * g.pieces]);
    }
  });
}

template <class R>
void reduce_columns(const Reduction& g) {
  const auto* in = static_cast<const typename R::In*>(g.in);
  auto* partials = static_cast<typename R::Partial*>(g.scratch);
  const std::int64_t strips = (g.width + kStripColumns - 1) / kStripColumns, tasks = g.outputs * g.pieces * strips;
  const std::int64_t grain = grain_for(smaller(g.chunk, g.length) * smaller(g.width, kStripColumns));
  parallel_for(tasks, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t first = t % strips * kStripColumns, n = smaller(kStripColumns, g.width - first);
      const std::int64_t piece = t / strips % g.pieces, row = piece % g.cuts * g.chunk;
      const Place at = locate(g.kept, g.kept_count, t / strips / g.pieces);
      const std::int64_t run = locate(g.reduced, g.reduced_count, piece / g.cuts).in;
      typename R::Band band;
      R::band(band, in + at.in + run + row * g.row_stride + first, smaller(g.chunk, g.length - row), g.row_stride, n,
              row, g);
      if (g.pieces == 1)
        for (std::int64_t c = 0; c < n; ++c) R::store(g, at.out + (first + c) * g.width_out, R::partial(band, c));
      else
        for (std::int64_t c = 0; c < n; ++c) partials[t / strips * g.width + first + c] = R::partial(band, c);
    }
  });
  if (g.pieces == 1) return;
  parallel_for(g.outputs * strips, grain_for(g.pieces * smaller(g.width, kStripColumns)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t t = begin; t < end; ++t) {
                   const std::int64_t first = t % strips * kStripColumns,
                                      last = smaller(first + kStripColumns, g.width), k = t / strips;
                   typename R::Partial* p = partials + k * g.pieces * g.width;
                   // merge_tree for a strip of columns at once
                   for (std::int64_t step = 1; step < g.pieces; step *= 2)
                     for (std::int64_t i = 0; i + step < g.pieces; i += 2 * step)
                       for (std::int64_t c = first; c < last; ++c)
                         p[i * g.width + c] = R::merge(p[i * g.width + c], p[(i + step) * g.width + c]);
                   const Place at = locate(g.kept, g.kept_count, k);
                   for (std::int64_t c = first; c < last; ++c) R::store(g, at.out + c * g.width_out, p[c]);
                 }
               });
}

template <class R>
void reduce(Reduction g) {
  static_assert(sizeof(typename R::Partial) <= kPartialBytes);
  g.columns ? reduce_columns<R>(g) : reduce_rows<R>(g);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
