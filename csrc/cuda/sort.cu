// Sorting rows: a block sorts tiles in shared memory, then neighbouring runs are merged, twice as long with every pass,
// each entry finding its place by a search in the other run. Where only the first few of a row are wanted no run grows
// longer than that. Entries hold their positions and are never equal: nothing depends on the order of threads.
#include "cuda/launch.h"
#include "kernels/elementwise_convert.h"
#include "kernels/sort.h"
#include "kernels/sort_keys.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kSortThreads = 256;
constexpr std::int64_t kSortTile = 1024;
constexpr char kSort[] = "sort";

template <class In>
using Key = typename KeysOf<In>::Bits;
template <class In>
LAMINA_INLINE Key<In> key_of(In x, bool descending) {
  const Key<In> key = KeysOf<In>::of(x);
  return descending ? static_cast<Key<In>>(~key) : key;
}

// Runs of a row begin `width` apart; of each the first `most` entries are kept.
struct Runs {
  std::int64_t length, width, most;
  LAMINA_INLINE std::int64_t size(std::int64_t run) const {
    const std::int64_t left = length - run * width, whole = left < width ? left : width;
    return whole < 0 ? 0 : whole < most ? whole : most;
  }
};

template <class In>
struct SortTiles {
  static constexpr int kThreads = kSortThreads;
  static constexpr bool kCollective = true;
  using Entry = EntryOf<In>;
  struct Shared {
    Entry entries[kSortTile];
  };
  const In* x;
  Entry* out;
  std::int64_t length, tiles;
  int padded;  // a power of two that holds a tile, or a shorter row
  bool descending;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Entry* const e = t.template shared<SortTiles>().entries;
    const std::int64_t row = t.block() / tiles, first = t.block() % tiles * kSortTile;
    const int n = static_cast<int>(length - first < padded ? length - first : padded);
    for (int i = t.thread(); i < padded; i += kThreads)
      e[i] = i < n ? Entry::make(key_of(x[row * length + first + i], descending), first + i)
                   : Entry::make(static_cast<typename Entry::Key>(~typename Entry::Key(0)), kLongestSort + i);
    for (int size = 2; size <= padded; size *= 2)
      for (int apart = size / 2; apart > 0; apart /= 2) {
        t.sync();
        for (int pair = t.thread(); pair < padded / 2; pair += kThreads) {
          const int low = pair / apart * 2 * apart + pair % apart, high = low + apart;
          const bool ascending = (low & size) == 0;
          const Entry a = e[low], b = e[high];
          if (b.before(a) == ascending) {
            e[low] = b;
            e[high] = a;
          }
        }
      }
    t.sync();
    for (int i = t.thread(); i < n; i += kThreads) out[row * length + first + i] = e[i];
  }
};

template <class Entry>
struct MergeRuns {
  static constexpr int kThreads = kSortThreads;
  static constexpr bool kCollective = false;
  const Entry* from;
  Entry* to;
  std::int64_t rows;
  Runs runs;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t row = t.global() / runs.length, place = t.global() % runs.length;
    if (row >= rows) return;
    const std::int64_t run = place / runs.width, within = place % runs.width;
    if (within >= runs.size(run)) return;
    const Entry* const entries = from + row * runs.length;
    const Entry mine = entries[place], *const other = entries + (run ^ 1) * runs.width;
    std::int64_t low = 0, high = runs.size(run ^ 1);  // how many of the other run come before
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (other[middle].before(mine))
        low = middle + 1;
      else
        high = middle;
    }
    if (within + low < runs.most) to[row * runs.length + run / 2 * 2 * runs.width + within + low] = mine;
  }
};

template <class In>
struct WriteSorted {
  static constexpr int kThreads = kSortThreads;
  static constexpr bool kCollective = false;
  const EntryOf<In>* entries;
  const In* x;
  In* values;             // or null
  std::int64_t* indices;  // or null
  std::int64_t rows, length, first, kept;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t row = t.global() / kept, i = t.global() % kept;
    if (row >= rows) return;
    const std::int64_t at = entries[row * length + first + i].at();
    if (values) values[t.global()] = x[row * length + at];
    if (indices) indices[t.global()] = at;
  }
};

template <class In>
void sort_rows(const SortShape& s, std::int64_t rows, const In* x, In* values, std::int64_t* indices,
               EntryOf<In>* entries) {
  using Entry = EntryOf<In>;
  int padded = 2;
  while (padded < s.length && padded < kSortTile) padded *= 2;
  const std::int64_t tiles = (s.length + kSortTile - 1) / kSortTile, elements = rows * s.length;
  Entry *from = entries, *to = entries + elements;
  launch(kSort, grid_for(rows * tiles, 1), SortTiles<In>{x, from, s.length, tiles, padded, s.descending});
  for (Runs runs{s.length, kSortTile, sort_wanted(s)}; runs.width < s.length; runs.width *= 2) {
    launch(kSort, grid_for(elements, kSortThreads), MergeRuns<Entry>{from, to, rows, runs});
    Entry* const sorted = to;
    to = from;
    from = sorted;
  }
  launch(kSort, grid_for(rows * s.kept, kSortThreads),
         WriteSorted<In>{from, x, values, indices, rows, s.length, s.first, s.kept});
}

template <class In>
void sort(SortShape s, const void* x, void* values, std::int64_t* indices, void*, std::uint32_t*) {
  constexpr std::int64_t kTogether = std::int64_t{1} << 25;  // elements
  const std::int64_t fitting = kTogether / s.length, together = fitting < 1 ? 1 : fitting < s.rows ? fitting : s.rows;
  auto* const entries = static_cast<EntryOf<In>*>(
      cuda_runtime::workspace(static_cast<std::size_t>(2 * together * s.length) * sizeof(EntryOf<In>)));
  if (!entries) return;
  for (std::int64_t row = 0; row < s.rows; row += together)
    sort_rows(s, s.rows - row < together ? s.rows - row : together, static_cast<const In*>(x) + row * s.length,
              values ? static_cast<In*>(values) + row * s.kept : nullptr, indices ? indices + row * s.kept : nullptr,
              entries);
}

template <class T>
struct SearchSorted {
  static constexpr int kThreads = kSortThreads;
  static constexpr bool kCollective = false;
  SearchShape s;
  const T *sorted, *values;
  std::int64_t* out;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global();
    if (i >= s.rows * s.values) return;
    const T* const row = sorted + (s.one_row ? 0 : i / s.values * s.length);
    const auto wanted = KeysOf<T>::of(values[i]);
    std::int64_t at = 0;
    for (std::int64_t n = s.length; n > 0;) {
      const std::int64_t half = n / 2;
      const auto key = KeysOf<T>::of(row[at + half]);
      const bool beyond = s.right ? key <= wanted : key < wanted;
      at = beyond ? at + half + 1 : at;
      n = beyond ? n - half - 1 : half;
    }
    out[i] = at;
  }
};
template <class T>
void search(SearchShape s, const void* sorted, const void* values, std::int64_t* out) {
  launch("searchsorted", grid_for(s.rows * s.values, kSortThreads),
         SearchSorted<T>{s, static_cast<const T*>(sorted), static_cast<const T*>(values), out});
}

}  // namespace

void fill_sort(SortTable& t) {
  t.sort[static_cast<int>(DType::f32)] = sort<float>;
  t.sort[static_cast<int>(DType::f64)] = sort<double>;
  t.sort[static_cast<int>(DType::f16)] = sort<float16>;
  t.sort[static_cast<int>(DType::bf16)] = sort<bfloat16>;
  t.sort[static_cast<int>(DType::i64)] = sort<std::int64_t>;
  t.sort[static_cast<int>(DType::i32)] = sort<std::int32_t>;
  t.sort[static_cast<int>(DType::u8)] = sort<std::uint8_t>;
  t.sort[static_cast<int>(DType::b8)] = sort<std::uint8_t>;
  t.search[static_cast<int>(DType::f32)] = search<float>;
  t.search[static_cast<int>(DType::f64)] = search<double>;
  t.search[static_cast<int>(DType::i64)] = search<std::int64_t>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
