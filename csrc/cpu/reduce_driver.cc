// Walks the geometry of a reduction and hands pieces of it to the operation.
#include "cpu/reduce_driver.h"

#include "cpu/reduce_tile.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Place {
  std::int64_t in, out;
};
Place locate(const Axis* axes, int count, std::int64_t flat) {
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

// One operation on one geometry.
struct Job {
  const ReduceSteps& s;
  const Reduction& g;

  const char* element(std::int64_t at) const { return static_cast<const char*>(g.in) + at * s.in_bytes; }
  char* partial(std::int64_t i) const { return static_cast<char*>(g.scratch) + i * s.partial_bytes; }
};

struct AnyPartial {
  alignas(8) char bytes[kPartialBytes];
};

// p[0 … width) = the join of `n` such groups, one after the other, as a balanced tree; from column `first` to `last`.
void merge_tree(const Job& j, char* p, std::int64_t n, std::int64_t width, std::int64_t first, std::int64_t last) {
  const std::int64_t bytes = j.s.partial_bytes;
  for (std::int64_t step = 1; step < n; step *= 2)
    for (std::int64_t i = 0; i + step < n; i += 2 * step)
      j.s.merge(p + (i * width + first) * bytes, p + ((i + step) * width + first) * bytes, last - first);
}

// ---- rows ----

void piece_of_rows(const Job& j, std::int64_t in, std::int64_t piece, void* partial) {
  const Reduction& g = j.g;
  const auto run_at = [&](std::int64_t run) { return j.element(in + locate(g.reduced, g.reduced_count, run).in); };
  if (g.cuts > 1) {
    const std::int64_t begin = piece % g.cuts * g.chunk;
    const char* x = run_at(piece / g.cuts) + begin * j.s.in_bytes;
    return j.s.run(g, x, smaller(g.chunk, g.length - begin), begin, partial);
  }
  const std::int64_t first = piece * g.group, last = smaller(first + g.group, g.runs);
  if (last == first + 1) return j.s.run(g, run_at(first), g.length, 0, partial);
  const auto merge = [&](AnyPartial a, const AnyPartial& b) {
    j.s.merge(&a, &b, 1);
    return a;
  };
  Cascade<AnyPartial, decltype(merge)> cascade(merge);
  for (std::int64_t run = first; run < last; ++run) {
    AnyPartial p;
    j.s.run(g, run_at(run), g.length, 0, &p);
    cascade.push(p);
  }
  const AnyPartial whole = cascade.result();
  __builtin_memcpy(partial, &whole, static_cast<std::size_t>(j.s.partial_bytes));
}

void turn_into_tile(const char* x, std::int64_t bytes, std::int64_t stride, std::int64_t rows, std::int64_t n,
                    std::int64_t readable, void* tile) {
  const auto as = [&](auto type) {
    using T = decltype(type);
    turn_into_tile(reinterpret_cast<const T*>(x), stride, rows, n, readable, static_cast<T*>(tile));
  };
  switch (bytes) {
    case 1: return as(std::uint8_t{});
    case 2: return as(std::uint16_t{});
    case 4: return as(float{});
    default: return as(double{});
  }
}

// `count` outputs that step evenly, one row each.
void short_rows(const Job& j, Place at, Axis along, std::int64_t count) {
  alignas(64) double tile[kTile];
  const std::int64_t n = j.g.length;
  for (std::int64_t i = 0; i < count; i += kTileRows) {
    const std::int64_t rows = smaller(kTileRows, count - i), readable = (count - i - 1) * along.in + n;
    turn_into_tile(j.element(at.in + i * along.in), j.s.in_bytes, along.in, rows, n, readable, tile);
    j.s.strip(j.g, tile, {n, kTileRows, 0}, rows, nullptr, {at.out + i * along.out, along.out});
  }
}
void other_rows(const Job& j, Place at, Axis along, std::int64_t count) {
  constexpr std::int64_t kStored = 64;  // so many at once
  AnyPartial partials[kStored];
  for (std::int64_t i = 0; i < count; i += kStored) {
    const std::int64_t rows = smaller(kStored, count - i);
    char* p = partials[0].bytes;
    for (std::int64_t r = 0; r < rows; ++r) piece_of_rows(j, at.in + (i + r) * along.in, 0, p + r * j.s.partial_bytes);
    j.s.store(j.g, p, rows, {at.out + i * along.out, along.out});
  }
}

void reduce_rows(const Job& j) {
  const Reduction& g = j.g;
  if (g.pieces == 1) {
    const Axis along = g.kept_count > 0 ? g.kept[g.kept_count - 1] : Axis{1, 0, 0};
    const bool short_ones = g.runs == 1 && g.length <= kShortRow && along.in >= g.length;
    parallel_for(g.outputs, grain_for(g.runs * g.length), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin, count; k < end; k += count) {
        count = smaller(end - k, along.size - k % along.size);
        const Place at = locate(g.kept, g.kept_count, k);
        short_ones&& count > 1 ? short_rows(j, at, along, count) : other_rows(j, at, along, count);
      }
    });
    return;
  }
  parallel_for(g.outputs * g.pieces, 1, [&](std::int64_t t, std::int64_t) {
    piece_of_rows(j, locate(g.kept, g.kept_count, t / g.pieces).in, t % g.pieces, j.partial(t));
  });
  parallel_for(g.outputs, grain_for(g.pieces), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      char* p = j.partial(k * g.pieces);
      merge_tree(j, p, g.pieces, 1, 0, 1);
      j.s.store(g, p, 1, {locate(g.kept, g.kept_count, k).out, 1});
    }
  });
}

// ---- columns ----

// A few narrow columns without a gap are kFoldedRows times as many columns of fewer rows, which fill vectors; these are
// then merged. `partials` has room for all of them.
void folded_strip(const Job& j, const char* x, RowsOfStrip rows, std::int64_t n, char* partials) {
  const std::int64_t folded = rows.count / kFoldedRows, rest = rows.count % kFoldedRows;
  j.s.strip(j.g, x, {folded, rows.stride * kFoldedRows, rows.first}, n * kFoldedRows, partials, {});
  merge_tree(j, partials, kFoldedRows, n, 0, n);
  if (rest == 0) return;
  const std::int64_t done = rows.count - rest;
  char* more = partials + n * j.s.partial_bytes;
  j.s.strip(j.g, x + done * rows.stride * j.s.in_bytes, {rest, rows.stride, rows.first + done}, n, more, {});
  j.s.merge(partials, more, n);
}

void reduce_columns(const Job& j) {
  const Reduction& g = j.g;
  const std::int64_t strips = (g.width + kStripColumns - 1) / kStripColumns, tasks = g.outputs * g.pieces * strips;
  const std::int64_t grain = grain_for(smaller(g.chunk, g.length) * smaller(g.width, kStripColumns));
  parallel_for(tasks, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t first = t % strips * kStripColumns, n = smaller(kStripColumns, g.width - first);
      const std::int64_t piece = t / strips % g.pieces, row = piece % g.cuts * g.chunk;
      const Place at = locate(g.kept, g.kept_count, t / strips / g.pieces);
      const std::int64_t run = locate(g.reduced, g.reduced_count, piece / g.cuts).in;
      const char* x = j.element(at.in + run + row * g.row_stride + first);
      const RowsOfStrip rows{smaller(g.chunk, g.length - row), g.row_stride, row};
      const Results to{at.out + first * g.width_out, g.width_out};
      char* partials = g.pieces > 1 ? j.partial(t / strips * g.width + first) : nullptr;
      if (!j.s.ordered && folds_rows(g) && rows.count >= 2 * kFoldedRows) {
        AnyPartial all[kStripColumns];
        folded_strip(j, x, rows, n, all[0].bytes);
        if (partials)
          __builtin_memcpy(partials, all, static_cast<std::size_t>(n * j.s.partial_bytes));
        else
          j.s.store(g, all, n, to);
      } else {
        j.s.strip(g, x, rows, n, partials, to);
      }
    }
  });
  if (g.pieces == 1) return;
  parallel_for(g.outputs * strips, grain_for(g.pieces * smaller(g.width, kStripColumns)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t t = begin; t < end; ++t) {
                   const std::int64_t first = t % strips * kStripColumns,
                                      last = smaller(first + kStripColumns, g.width), k = t / strips;
                   merge_tree(j, j.partial(k * g.pieces * g.width), g.pieces, g.width, first, last);
                   const Place at = locate(g.kept, g.kept_count, k);
                   j.s.store(g, j.partial(k * g.pieces * g.width + first), last - first,
                             {at.out + first * g.width_out, g.width_out});
                 }
               });
}

}  // namespace

void reduce_by(const ReduceSteps& steps, const Reduction& g) {
  const Job job{steps, g};
  g.columns ? reduce_columns(job) : reduce_rows(job);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
