// Sorting and selecting along rows, searching sorted ones.
#include "cpu/sort_radix.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class In>
struct Rows {
  using Keys = KeysOf<In>;
  using E = EntryOf<In>;
  using Key = typename E::Key;
  static constexpr int kBytes = sizeof(typename Keys::Bits);

  SortShape shape;
  const In* x;
  In* values;
  std::int64_t* indices;
  typename Keys::Bits flip;  // descending: keys are complemented, so that the first is always the least

  LAMINA_INLINE Key key(std::int64_t at) const { return static_cast<typename Keys::Bits>(Keys::of(x[at]) ^ flip); }
  void make_entries(std::int64_t row, std::int64_t begin, std::int64_t end, E* e) const {
    const std::int64_t at = row * shape.length;
    for (std::int64_t i = begin; i < end; ++i) *e++ = E::make(key(at + i), i);
  }
  // Entries begin … end of those that are kept.
  void write(std::int64_t row, std::int64_t begin, std::int64_t end, const E* e) const {
    const std::int64_t to = row * shape.kept;
    if (indices)
      for (std::int64_t i = begin; i < end; ++i) indices[to + i] = e[shape.first + i].at();
    if (!values) return;
    for (std::int64_t i = begin; i < end; ++i) {
      const auto k = static_cast<typename Keys::Bits>(e[shape.first + i].key() ^ flip);
      values[to + i] = Keys::ambiguous(k) ? x[row * shape.length + e[shape.first + i].at()] : Keys::value(k);
    }
  }
};

template <class In>
void sort_long_row(const Rows<In>& r, std::int64_t row, EntryOf<In>* scratch, std::uint32_t* counts) {
  const std::int64_t n = r.shape.length;
  parallel_for(n, kSortChunk,
               [&](std::int64_t begin, std::int64_t end) { r.make_entries(row, begin, end, scratch + begin); });
  const EntryOf<In>* sorted = sort_long(scratch, scratch + n, n, Rows<In>::kBytes, counts);
  parallel_for(r.shape.kept, kSortChunk,
               [&](std::int64_t begin, std::int64_t end) { r.write(row, begin, end, sorted); });
}

template <class In>
void sort_row(const Rows<In>& r, std::int64_t row, EntryOf<In>* e, EntryOf<In>* spare) {
  r.make_entries(row, 0, r.shape.length, e);
  r.write(row, 0, r.shape.kept, sort_entries(e, spare, r.shape.length, Rows<In>::kBytes));
}

constexpr std::int64_t kSortGrain = 4096;  // elements a thread takes at once where rows are short

template <class In>
void sort_rows(const Rows<In>& r, EntryOf<In>* scratch) {
  const std::int64_t n = r.shape.length, grain = n >= kSortGrain ? 1 : kSortGrain / n;
  if (n <= kSortOnStack)
    return parallel_for(r.shape.rows, grain, [&](std::int64_t begin, std::int64_t end) {
      EntryOf<In> e[kSortOnStack], spare[kSortOnStack];
      for (std::int64_t row = begin; row < end; ++row) sort_row(r, row, e, spare);
    });
  const std::int64_t together = sort_rows_together(r.shape);
  for (std::int64_t first = 0; first < r.shape.rows; first += together) {
    const std::int64_t rows = r.shape.rows - first < together ? r.shape.rows - first : together;
    parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t k = begin; k < end; ++k) sort_row(r, first + k, scratch + 2 * k * n, scratch + (2 * k + 1) * n);
    });
  }
}

constexpr std::int64_t kFewWanted = 32;  // up to here an entry is put into its place at once: few get that far

// The `wanted` least entries of those that come by, in a buffer of `room`.
template <class E>
class Best {
 public:
  Best(E* held, E* spare, std::int64_t wanted, std::int64_t room, int bytes)
      : held_(held), spare_(spare), wanted_(wanted), room_(room), bytes_(bytes) {}
  // Could an entry with this key be among them? Entries come in the order of their positions: with the key of the worst
  // it is not.
  LAMINA_INLINE bool open() const { return !full_; }
  LAMINA_INLINE typename E::Key limit() const { return limit_; }
  void push(E e) {
    if (wanted_ <= kFewWanted) return insert(e);
    held_[count_++] = e;
    if (count_ == room_) settle();
  }
  const E* settle() {
    if (wanted_ <= kFewWanted) return held_;
    E* const sorted = sort_entries(held_, spare_, count_, bytes_);
    if (sorted != held_) spare_ = held_, held_ = sorted;
    if (count_ >= wanted_) {
      count_ = wanted_, full_ = true;
      limit_ = held_[wanted_ - 1].key();
    }
    return held_;
  }

 private:
  // Behind those with the same key; the worst of `wanted` falls off the end.
  void insert(E e) {
    std::int64_t i = full_ ? wanted_ - 1 : count_++;
    for (; i > 0 && e.key() < held_[i - 1].key(); --i) held_[i] = held_[i - 1];
    held_[i] = e;
    full_ = count_ == wanted_;
    if (full_) limit_ = held_[wanted_ - 1].key();
  }

  E *held_, *spare_;
  std::int64_t wanted_, room_, count_ = 0;
  int bytes_;
  bool full_ = false;
  typename E::Key limit_ = 0;
};

template <class In>
const EntryOf<In>* select_from(const Rows<In>& r, std::int64_t row, std::int64_t begin, std::int64_t end,
                               EntryOf<In>* held, EntryOf<In>* spare) {
  using E = EntryOf<In>;
  using Key = typename E::Key;
  Best<E> best(held, spare, sort_wanted(r.shape), sort_room(r.shape), Rows<In>::kBytes);
  const std::int64_t at = row * r.shape.length;
  std::int64_t i = begin;
  for (; i < end && best.open(); ++i) best.push(E::make(r.key(at + i), i));
  constexpr int kLook = 32;
  for (; i < end; i += kLook) {
    const int n = static_cast<int>(end - i < kLook ? end - i : kLook);
    Key keys[kLook];
    const Key limit = best.limit();
    bool any = false;
    const auto look = [&](int count) __attribute__((always_inline)) {
      for (int k = 0; k < count; ++k) keys[k] = r.key(at + i + k);
      for (int k = 0; k < count; ++k) any |= keys[k] < limit;
    };
    n == kLook ? look(kLook) : look(n);
    if (!any) continue;
    for (int k = 0; k < n; ++k)
      if (keys[k] < best.limit()) best.push(E::make(keys[k], i + k));
  }
  return best.settle();
}

template <class In>
void select_rows(const Rows<In>& r, EntryOf<In>* scratch) {
  using E = EntryOf<In>;
  const SortShape& s = r.shape;
  const std::int64_t cuts = sort_cuts(s), cut = sort_cut(s), room = sort_room(s), wanted = sort_wanted(s);
  const bool on_stack = room <= kSortOnStack;
  E* const finalists = scratch + (on_stack ? 0 : 2 * room * s.rows * cuts);
  parallel_for(s.rows * cuts, cut >= 8 * kSortGrain ? 1 : 8 * kSortGrain / cut,
               [&](std::int64_t first, std::int64_t last) {
                 E here[2 * kSortOnStack];
                 for (std::int64_t t = first; t < last; ++t) {
                   E* const held = on_stack ? here : scratch + 2 * room * t;
                   const std::int64_t row = t / cuts, begin = t % cuts * cut,
                                      end = begin + cut < s.length ? begin + cut : s.length;
                   const E* const best = select_from(r, row, begin, end, held, held + room);
                   if (cuts == 1) {
                     r.write(row, 0, s.kept, best);
                     continue;
                   }
                   // A short last piece may have fewer than are wanted: the rest of its place is filled with what never
                   // wins.
                   const std::int64_t have = end - begin < wanted ? end - begin : wanted;
                   for (std::int64_t i = 0; i < wanted; ++i)
                     finalists[t * wanted + i] =
                         i < have ? best[i] : E::make(static_cast<typename E::Key>(KeysOf<In>::ones), kLongestSort);
                 }
               });
  if (cuts == 1) return;
  E* const spare = finalists + s.rows * cuts * wanted;
  parallel_for(s.rows, 1, [&](std::int64_t row, std::int64_t) {
    const std::int64_t at = row * cuts * wanted;
    r.write(row, 0, s.kept, sort_entries(finalists + at, spare + at, cuts * wanted, Rows<In>::kBytes));
  });
}

template <class In>
void sort(SortShape shape, const void* x, void* values, std::int64_t* indices, void* scratch, std::uint32_t* counts) {
  using Bits = typename KeysOf<In>::Bits;
  const Rows<In> r{shape, static_cast<const In*>(x), static_cast<In*>(values), indices,
                   shape.descending ? KeysOf<In>::ones : Bits(0)};
  auto* const entries = static_cast<EntryOf<In>*>(scratch);
  if (sort_selects(shape)) return select_rows(r, entries);
  if (shape.length <= 2 * kSortChunk) return sort_rows(r, entries);
  for (std::int64_t row = 0; row < shape.rows; ++row) sort_long_row(r, row, entries, counts);
}

template <class T>
void search(SearchShape s, const void* sorted, const void* values, std::int64_t* out) {
  constexpr std::int64_t grain = 2048;
  parallel_for(s.rows * s.values, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T* const row = static_cast<const T*>(sorted) + (s.one_row ? 0 : i / s.values * s.length);
      const auto wanted = KeysOf<T>::of(static_cast<const T*>(values)[i]);
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
  });
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
