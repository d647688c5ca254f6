// Reductions: the list of folds, what a kernel sees of a reduction, and the table.
#pragma once
#include "kernels/loop.h"

namespace lamina {

// The types a fold takes and gives.
enum class FoldKind : std::uint8_t {
  widening,   // floating types to themselves, integers and bool to int64
  floating,   // floating types only
  same,       // any type to itself
  predicate,  // any type to bool
  counting,   // any type to int64
};

// A fold maps every element, joins the results in any grouping and finishes the total. Formulas: reduce_formulas.h.
// clang-format off
#define LAMINA_FOLDS(X)        \
  X(sum, widening)             \
  X(mean, floating)            \
  X(nansum, widening)          \
  X(prod, widening)            \
  X(amax, same)                \
  X(amin, same)                \
  X(any, predicate)            \
  X(all, predicate)            \
  X(count_nonzero, counting)   \
  X(norm_1, floating)          \
  X(norm_2, floating)          \
  X(norm_inf, floating)        \
  X(norm_minus_inf, floating)  \
  X(norm_p, floating)
// clang-format on

#define LAMINA_FOLD_NAME(name, ...) name,
enum class FoldOp : int { LAMINA_FOLDS(LAMINA_FOLD_NAME) count };
constexpr int kFolds = static_cast<int>(FoldOp::count);

// One dimension of the input after merging; `out` is the step in the output, for dimensions that are kept.
struct Axis {
  std::int64_t size, in, out;
};

// The input is seen as
//   rows:    kept… × reduced… × [length], the last contiguous, or
//   columns: kept… × reduced… × [length, stepping by row_stride] × [width], the last kept and contiguous.
// A run is one index of reduced…; there are `runs` of them. What goes into one output is cut into `pieces`: each is
// `group` whole runs or, where a run is long, `chunk` rows or elements of one (`cuts` to a run). The cuts follow from
// the shape alone, and the pieces are joined as a balanced tree: the bits do not depend on the number of threads.
struct Reduction {
  const void* in;
  void* out;
  void* second;       // a second output of the same geometry, or null
  const void* other;  // a second input, laid out like `in`, or null
  void* scratch;      // outputs · width · pieces · kPartialBytes; null for one piece
  bool columns;
  int kept_count, reduced_count;
  Axis kept[kLoopDims], reduced[kLoopDims];
  std::int64_t outputs, runs, length, row_stride, width, width_out;
  std::int64_t pieces, group, cuts, chunk;
  std::int64_t count;  // elements that go into one output
  double p;            // the operation's parameter
  bool root;           // of a variance: its root
};

constexpr std::int64_t kPartialBytes = 24;    // the largest intermediate result
constexpr std::int64_t kRowChunk = 32768;     // elements of a long row that one thread takes at once
constexpr std::int64_t kBandRows = 128;       // rows of a column reduction that are joined one after the other
constexpr std::int64_t kStripColumns = 1024;  // columns that one thread takes at once

// Columns so narrow and dense that several rows of them are read as one.
constexpr std::int64_t kFoldedRows = 16;
static constexpr bool folds_rows(const Reduction& g) {
  return g.row_stride == g.width && g.width * kFoldedRows <= kStripColumns;
}

using Reduce = void (*)(Reduction);

// What softmax and the scans see: contiguous tensors of outer × length × inner elements, worked on along `length`.
struct Along {
  std::int64_t outer, length, inner;
};

// A softmax needs something of all elements of a row before it can write one. Where a row (or, for inner > 1, a strip
// of columns) fits a thread's cache, one task does both; longer ones are first reduced by all threads: `statistics`
// then is the plan of that reduction, with room for its results in out and second.
constexpr std::int64_t kLongestColumn = 512;
constexpr std::int64_t kStatisticsPadding = 16;  // elements beyond the last: they are read in whole vectors
static constexpr bool softmax_in_two_steps(const Along& a) {
  return a.inner == 1 ? a.length >= 2 * kRowChunk : a.length > kLongestColumn;
}
using Softmax = void (*)(Along shape, Reduction statistics, const void* x, void* y);
using SoftmaxGrad = void (*)(Along shape, Reduction statistics, const void* y, const void* dy, void* dx);

static constexpr bool scan_in_two_steps(const Along& a) { return a.inner == 1 && a.length >= 2 * kRowChunk; }
static constexpr std::int64_t scan_chunks(const Along& a) { return a.outer * ((a.length + kRowChunk - 1) / kRowChunk); }
using Scan = void (*)(Along shape, bool reverse, const void* x, void* y, void* scratch);
using ScanExtreme = void (*)(Along shape, const void* x, void* y, std::int64_t* indices);
using LogScan = void (*)(Along shape, const void* x, void* y);
using ScanGrad = void (*)(Along shape, const void* x, const void* y, const void* dy, void* dx);

// By input type; null: not defined for it. Of 16-bit floats sums, means and scans are read as they are; for the others
// they are converted to float32 first.
struct ReduceTable {
  Reduce fold[kFolds][kDTypeCount];
  // out: the extreme, or null; second: the index of its first occurrence, int64. A NaN is more extreme than any number.
  Reduce max[kDTypeCount], min[kDTypeCount];
  // out: the variance or its root; second: the mean, or null; p: the correction.
  Reduce var[kDTypeCount];
  Reduce logsumexp[kDTypeCount];
  Softmax softmax[kDTypeCount], log_softmax[kDTypeCount];
  SoftmaxGrad softmax_grad[kDTypeCount], log_softmax_grad[kDTypeCount];
  // In two steps `scratch` has room for scan_chunks() numbers of 8 bytes.
  Scan cumsum[kDTypeCount], cumprod[kDTypeCount];
  ScanGrad cumprod_grad[kDTypeCount];
  ScanExtreme cummax[kDTypeCount], cummin[kDTypeCount];  // of the last of equal elements; a NaN stays
  LogScan logcumsumexp[kDTypeCount];
  ScanGrad logcumsumexp_grad[kDTypeCount];
  ScanGrad prod_grad[kDTypeCount];  // y and dy have length 1
};

}  // namespace lamina
