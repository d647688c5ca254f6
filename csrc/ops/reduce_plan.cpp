#include "ops/reduce_plan.h"

#include <algorithm>

#include "ops/elementwise.h"
#include "ops/view.h"

namespace lamina {
namespace {

struct Dimension : Axis {
  bool reduced;
};

struct Dimensions {
  int count = 0;
  Dimension d[kMaxDims];
  void push_back(const Dimension& x) { d[count++] = x; }
  void erase(int at) {
    for (int i = at; i + 1 < count; ++i) d[i] = d[i + 1];
    --count;
  }
};

// Sorted from far to near in memory; neighbours that step as one are one. Broadcast dimensions come first.
Dimensions merged_dimensions(const Tensor& t, DimSet dims) {
  Dimensions all;
  std::int64_t out = 1;
  for (int i = t.ndim() - 1; i >= 0; --i) {
    const bool reduced = contains(dims, i);
    const std::int64_t size = t.shape()[i];
    if (size != 1) all.push_back({{size, t.strides()[i], reduced ? 0 : out}, reduced});
    if (!reduced) out *= size;
  }
  const auto distance = [](const Dimension& x) { return x.in == 0 ? INT64_MAX : std::abs(x.in); };
  // Insertion sort: stable, and there are at most 8.
  for (int i = 1; i < all.count; ++i)
    for (int j = i; j > 0 && distance(all.d[j - 1]) > distance(all.d[j]); --j) std::swap(all.d[j - 1], all.d[j]);
  Dimensions merged;
  for (int i = 0; i < all.count; ++i) {
    const Dimension& next = all.d[i];
    if (merged.count > 0) {
      Dimension& last = merged.d[merged.count - 1];
      if (last.reduced == next.reduced && next.in == last.in * last.size && next.out == last.out * last.size) {
        last.size *= next.size;
        continue;
      }
    }
    merged.push_back(next);
  }
  std::reverse(merged.d, merged.d + merged.count);
  return merged;
}

Dims kept_before_reduced(int ndim, DimSet dims) {
  Dims order;
  for (int i = 0; i < ndim; ++i)
    if (!contains(dims, i)) order.push_back(i);
  for (int i = 0; i < ndim; ++i)
    if (contains(dims, i)) order.push_back(i);
  return order;
}

std::int64_t pieces_of(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

void cut_rows(Reduction& g) {
  const std::int64_t all = g.runs * g.length;
  if (all < 2 * kRowChunk) {
    g.chunk = g.length, g.cuts = 1, g.group = g.runs;
  } else if (g.length > kRowChunk) {
    g.chunk = kRowChunk, g.cuts = pieces_of(g.length, kRowChunk), g.group = 1;
  } else {
    g.chunk = g.length, g.cuts = 1, g.group = kRowChunk / g.length;
  }
  g.pieces = g.cuts > 1 ? g.runs * g.cuts : pieces_of(g.runs, g.group);
}

void cut_columns(Reduction& g) {
  g.chunk = kBandRows;
  if (folds_rows(g))
    while (g.chunk * g.width < kRowChunk / 2 && g.chunk < kFoldedRows * kBandRows) g.chunk *= 2;
  g.cuts = pieces_of(g.length, g.chunk), g.group = 1;
  g.pieces = g.runs * g.cuts;
}

}  // namespace

DimSet dim_set(const std::optional<Dims>& dims, int ndim, const char* op) {
  if (!dims || dims->empty()) return all_dims(ndim);
  DimSet set = 0;
  for (std::int64_t dim : *dims) {
    const int d = wrap_dim(dim, ndim, op);
    check(!contains(set, d), op, ": dimension ", d, " appears twice in ", *dims);
    set |= DimSet{1} << d;
  }
  return ndim == 0 ? 0 : set;
}

Dims reduced_shape(const Dims& shape, DimSet dims, bool keepdim) {
  Dims out;
  for (int i = 0; i < shape.size(); ++i) {
    if (!contains(dims, i))
      out.push_back(shape[i]);
    else if (keepdim)
      out.push_back(1);
  }
  return out;
}

std::int64_t reduced_count(const Dims& shape, DimSet dims) {
  std::int64_t n = 1;
  for (int i = 0; i < shape.size(); ++i)
    if (contains(dims, i)) n *= shape[i];
  return n;
}

ReductionPlan plan_reduction(const Tensor& t, DimSet dims) {
  Dimensions d = merged_dimensions(t, dims);
  if (d.count > 0 && d.d[d.count - 1].in != 1) {
    const Tensor dense = contiguous(permute(detach(t), kept_before_reduced(t.ndim(), dims)));
    int kept = 0;
    for (int i = 0; i < t.ndim(); ++i) kept += !contains(dims, i);
    return plan_reduction(dense, all_dims(t.ndim()) & ~all_dims(kept));
  }
  ReductionPlan plan;
  plan.input = t;
  Reduction& g = plan.geometry;
  g.in = t.data();
  g.out = g.second = g.scratch = nullptr;
  g.other = nullptr;
  g.p = 0;
  g.root = false;
  g.count = reduced_count(t.shape(), dims);
  g.kept_count = g.reduced_count = 0;
  g.outputs = g.runs = g.length = g.row_stride = g.width = g.width_out = 1;
  g.columns = d.count > 0 && !d.d[d.count - 1].reduced;
  if (d.count > 0) {
    const Dimension& near = d.d[--d.count];
    if (g.columns)
      g.width = near.size, g.width_out = near.out;
    else
      g.length = near.size;
  }
  if (g.columns) {  // the longest of the other reduced dimensions is walked inside a band
    int rows = -1;
    for (int i = 0; i < d.count; ++i)
      if (d.d[i].reduced && (rows < 0 || d.d[i].size > d.d[rows].size)) rows = i;
    if (rows >= 0) {
      g.length = d.d[rows].size, g.row_stride = d.d[rows].in;
      d.erase(rows);
    }
  }
  for (int i = 0; i < d.count; ++i) {
    const Dimension& x = d.d[i];
    (x.reduced ? g.reduced[g.reduced_count++] : g.kept[g.kept_count++]) = x;
    (x.reduced ? g.runs : g.outputs) *= x.size;
  }
  g.columns ? cut_columns(g) : cut_rows(g);
  if (g.pieces > 1) {
    plan.scratch = empty({g.outputs * g.pieces * g.width * kPartialBytes}, DType::u8, t.device());
    g.scratch = plan.scratch.data();
  }
  return plan;
}

}  // namespace lamina
