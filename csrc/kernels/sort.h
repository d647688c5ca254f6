// Sorting rows, picking their first elements, and searching sorted rows.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

// Contiguous rows of `length` elements. Of each row in order, elements first … first + kept come out. NaN counts as the
// largest number; equal elements keep their order.
struct SortShape {
  std::int64_t rows, length, first, kept;
  bool descending;
};

constexpr std::int64_t kSortOnStack = 2048;        // entries that a task keeps on its stack
constexpr std::int64_t kSortChunk = 65536;         // elements of a long row that one thread takes at once
constexpr std::int64_t kSortTogether = 1 << 20;    // elements of rows that are sorted at the same time
constexpr std::int64_t kLongestSort = 0xffffffff;  // positions in a row are kept in 32 bits

static constexpr std::int64_t sort_chunks(const SortShape& s) { return (s.length + kSortChunk - 1) / kSortChunk; }
static constexpr std::int64_t sort_rows_together(const SortShape& s) {
  const std::int64_t fitting = kSortTogether / (s.length > 0 ? s.length : 1);
  return s.length > 2 * kSortChunk || fitting < 1 ? 1 : fitting < s.rows ? fitting : s.rows;
}

// Few elements are not sorted for but selected: the best so far are held in a buffer of sort_room(), anything worse
// than the worst of them is passed over. Long rows are cut and their chunks' best compete.
static constexpr std::int64_t sort_wanted(const SortShape& s) { return s.first + s.kept; }
static constexpr bool sort_selects(const SortShape& s) { return sort_wanted(s) <= s.length / 8; }
static constexpr std::int64_t sort_room(const SortShape& s) { return 2 * sort_wanted(s) + 16; }
static constexpr std::int64_t sort_cut(const SortShape& s) {  // elements of a row that one task selects from
  const std::int64_t least = 8 * sort_wanted(s) > kSortChunk ? 8 * sort_wanted(s) : kSortChunk;
  return s.length < 2 * least ? s.length : least;
}
static constexpr std::int64_t sort_cuts(const SortShape& s) { return (s.length + sort_cut(s) - 1) / sort_cut(s); }

// Entries (8 bytes, or 16 for types of 8 bytes) that `scratch` has room for.
static constexpr std::int64_t sort_scratch(const SortShape& s) {
  if (!sort_selects(s)) return s.length <= kSortOnStack ? 0 : 2 * s.length * sort_rows_together(s);
  const std::int64_t held = sort_room(s) <= kSortOnStack ? 0 : 2 * sort_room(s) * s.rows * sort_cuts(s);
  return held + (sort_cuts(s) > 1 ? 2 * s.rows * sort_cuts(s) * sort_wanted(s) : 0);
}
// Counters of 4 bytes, 256 for every chunk of a long row, that `counts` has room for.
static constexpr std::int64_t sort_counts(const SortShape& s) {
  return sort_selects(s) || s.length <= 2 * kSortChunk ? 0 : 256 * sort_chunks(s);
}

// values or indices may be null.
using Sort = void (*)(SortShape shape, const void* x, void* values, std::int64_t* indices, void* scratch,
                      std::uint32_t* counts);

// out[i] is how many elements of a sorted row are less than values[i] or, from the `right`, not greater. Row r of
// `values` is looked up in row r of `sorted`, or in the only one there is.
struct SearchShape {
  std::int64_t rows, length, values;  // values: of a row
  bool one_row, right;
};
using Search = void (*)(SearchShape shape, const void* sorted, const void* values, std::int64_t* out);

// By type; null: not defined for it.
struct SortTable {
  Sort sort[kDTypeCount];
  Search search[kDTypeCount];  // float32, float64, int64
};

}  // namespace lamina
