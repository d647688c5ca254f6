// Drawing random numbers, a group of 64 words at a time.
#include "kernels/random.h"

#include "core/parallel.h"
#include "kernels/random_formulas.h"
#include "kernels/random_quantile.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kGrain = 512;  // groups a thread takes at once

void claim(std::uint64_t* state, std::uint64_t counters, std::uint64_t* claimed) {
  claimed[0] = __atomic_load_n(&state[0], __ATOMIC_RELAXED);
  claimed[1] = __atomic_fetch_add(&state[1], counters, __ATOMIC_RELAXED);
}

void reseed(std::uint64_t* state, std::uint64_t seed, std::uint64_t counter) {
  __atomic_store_n(&state[0], seed, __ATOMIC_RELAXED);
  __atomic_store_n(&state[1], counter, __ATOMIC_RELAXED);
}

// body(stream, words, first element, how many of them) for every group of a draw of n elements.
template <int per_group, class Body>
void for_each_group(std::int64_t n, const std::uint64_t* claimed, Body body) {
  parallel_for((n + per_group - 1) / per_group, kGrain, [&](std::int64_t begin, std::int64_t end) {
    const PhiloxStream stream(claimed);
    alignas(64) std::uint32_t words[kGroupWords];
    for (std::int64_t g = begin; g < end; ++g) {
      stream.group(g, words);
      const std::int64_t at = g * per_group;
      body(stream, words, at, n - at < per_group ? static_cast<int>(n - at) : per_group);
    }
  });
}

// write(stream, words, first element, out) makes a whole group; the last one is cut to what is asked for.
template <int per_group, class Out, class Write>
void draw(void* to, std::int64_t n, const std::uint64_t* claimed, Write write) {
  Out* out = static_cast<Out*>(to);
  for_each_group<per_group>(n, claimed,
                            [&](const PhiloxStream& stream, const std::uint32_t* words, std::int64_t at, int count) {
                              if (count == per_group) return write(stream, words, at, out + at);
                              Out rest[per_group];
                              write(stream, words, at, rest);
                              __builtin_memcpy(out + at, rest, static_cast<std::size_t>(count) * sizeof(Out));
                            });
}

template <class T>
constexpr int kPerGroup = kGroupWords * 4 / static_cast<int>(sizeof(T));

// ---- distributions ----

// Each element from its own word.
template <class T, class F>
void draw_each(void* out, std::int64_t n, const std::uint64_t* claimed, F f) {
  draw<kPerGroup<T>, T>(out, n, claimed, [f](const PhiloxStream&, const std::uint32_t* words, std::int64_t, T* to) {
    for (int i = 0; i < kPerGroup<T>; i += Vec<T>::width) f(Ints<T>::load(words + i * (sizeof(T) / 4))).store(to + i);
  });
}

template <class T>
void uniform(void* out, std::int64_t n, const std::uint64_t* claimed, DistributionParams p) {
  using Word = typename Real32or64<T>::Word;
  const Vec<T> from(static_cast<T>(p.v[0])), span(static_cast<T>(p.v[1])), limit(static_cast<T>(p.v[2]));
  const int dropped = 8 * static_cast<int>(sizeof(T)) - static_cast<int>(p.v[3]);
  const Ints<T> kept(static_cast<Word>(~std::uint64_t{0} << dropped));
  draw_each<T>(out, n, claimed, [=](Ints<T> w) { return min(from + span * unit(w & kept), limit); });
}

template <class T>
void exponential(void* out, std::int64_t n, const std::uint64_t* claimed, DistributionParams p) {
  const Vec<T> scale(static_cast<T>(p.v[0]));
  draw_each<T>(out, n, claimed, [=](Ints<T> w) { return scale * minus_log(inner_unit(w)); });
}

// The words of two elements make two elements: those that lie 64 bytes apart, so that every vector width pairs the
// same.
template <class T>
void normal(void* out, std::int64_t n, const std::uint64_t* claimed, DistributionParams p) {
  constexpr int apart = 64 / sizeof(T);
  const Vec<T> mean(static_cast<T>(p.v[0])), deviation(static_cast<T>(p.v[1]));
  draw<kPerGroup<T>, T>(out, n, claimed, [=](const PhiloxStream&, const std::uint32_t* words, std::int64_t, T* to) {
    for (int i = 0; i < kPerGroup<T>; i += 2 * apart) {
      for (int k = i; k < i + apart; k += Vec<T>::width) {
        const std::uint32_t* w = words + k * (sizeof(T) / 4);
        const Pair<Vec<T>> z = normal_pair(Ints<T>::load(w), Ints<T>::load(w + 16));
        (mean + deviation * z.first).store(to + k);
        (mean + deviation * z.second).store(to + k + apart);
      }
    }
  });
}

LAMINA_INLINE std::uint64_t long_word(const std::uint32_t* words, int i) {
  return words[2 * i] | static_cast<std::uint64_t>(words[2 * i + 1]) << 32;
}

template <class T>
void truncated_normal(void* out, std::int64_t n, const std::uint64_t* claimed, DistributionParams p) {
  draw<kGroupWords / 2, T>(out, n, claimed, [p](const PhiloxStream&, const std::uint32_t* words, std::int64_t, T* to) {
    for (int i = 0; i < kGroupWords / 2; ++i) {
      const double u = inner_unit(long_word(words, i));
      to[i] = static_cast<T>(p.v[0] + p.v[1] * normal_quantile(p.v[2] + u * (p.v[3] - p.v[2])));
    }
  });
}

// word < p 2^32: with probability p to within 2^-33, and surely for p = 1.
struct Chance {
  bool always;
  std::uint32_t below;
  explicit Chance(double p) {
    const auto limit = static_cast<std::uint64_t>(p * 0x1p32 + 0.5);
    always = limit >> 32 != 0;
    below = static_cast<std::uint32_t>(limit);
  }
  LAMINA_INLINE bool operator()(std::uint32_t word) const { return always | (word < below); }
};

template <class T>
void bernoulli(void* out, std::int64_t n, const std::uint64_t* claimed, DistributionParams p) {
  const Chance happens(p.v[0]);
  draw<kGroupWords, T>(out, n, claimed, [=](const PhiloxStream&, const std::uint32_t* words, std::int64_t, T* to) {
    for (int i = 0; i < kGroupWords; ++i) to[i] = static_cast<T>(happens(words[i]));
  });
}

// ---- integers ----

// Number j of a draw, uniform in [0, range), from its long word: multiplied into the range; the few words that would
// make some numbers likelier are rejected (D. Lemire, Fast random integer generation in an interval, 2019).
LAMINA_INLINE std::uint64_t bounded(const PhiloxStream& stream, std::uint64_t word, std::int64_t j,
                                    std::uint64_t range) {
  if (range == 0) return word;
  unsigned __int128 product = static_cast<unsigned __int128>(word) * range;
  if (static_cast<std::uint64_t>(product) < range) {
    const std::uint64_t surplus = (0 - range) % range;
    for (std::uint32_t attempt = 1; static_cast<std::uint64_t>(product) < surplus; ++attempt)
      product = static_cast<unsigned __int128>(stream.long_word(j, attempt)) * range;
  }
  return static_cast<std::uint64_t>(product >> 64);
}

// The same from one word, for range <= 2^32; a group is made without a branch and mended if it must be.
template <class T>
void short_integers(void* out, std::int64_t n, const std::uint64_t* claimed, std::uint64_t low, std::uint64_t range) {
  const auto surplus = static_cast<std::uint32_t>((std::uint64_t{1} << 32) % range);
  draw<kGroupWords, T>(out, n, claimed,
                       [=](const PhiloxStream& stream, const std::uint32_t* words, std::int64_t at, T* to) {
                         bool rejected = false;
                         for (int i = 0; i < kGroupWords; ++i) {
                           const std::uint64_t product = words[i] * range;
                           to[i] = static_cast<T>(low + (product >> 32));
                           rejected |= static_cast<std::uint32_t>(product) < surplus;
                         }
                         if (!rejected) return;
                         for (int i = 0; i < kGroupWords; ++i) {
                           std::uint64_t product = words[i] * range;
                           for (std::uint32_t attempt = 1; static_cast<std::uint32_t>(product) < surplus; ++attempt)
                             product = stream.word(at + i, attempt) * range;
                           to[i] = static_cast<T>(low + (product >> 32));
                         }
                       });
}

template <class T>
void integers(void* out, std::int64_t n, const std::uint64_t* claimed, std::int64_t low, std::uint64_t range) {
  const auto first = static_cast<std::uint64_t>(low);  // sums wrap
  if (range != 0 && range <= std::uint64_t{1} << 32) return short_integers<T>(out, n, claimed, first, range);
  draw<kGroupWords / 2, T>(out, n, claimed,
                           [=](const PhiloxStream& stream, const std::uint32_t* words, std::int64_t at, T* to) {
                             for (int i = 0; i < kGroupWords / 2; ++i)
                               to[i] = static_cast<T>(first + bounded(stream, long_word(words, i), at + i, range));
                           });
}

// Each number in turn goes to a random place among those before it, whose holder moves to the end (R. A. Fisher, F.
// Yates).
void permutation(std::int64_t* out, std::int64_t n, const std::uint64_t* claimed) {
  const PhiloxStream stream(claimed);
  std::uint32_t words[kGroupWords];
  for (std::int64_t i = 0; i < n; ++i) {
    const int place = static_cast<int>(i % (kGroupWords / 2));
    if (place == 0) stream.group(i / (kGroupWords / 2), words);
    const std::uint64_t j = bounded(stream, long_word(words, place), i, static_cast<std::uint64_t>(i) + 1);
    out[i] = i;
    out[i] = out[j];
    out[j] = i;
  }
}

// ---- dropout ----

template <class T>
void dropout(void* to, const void* from, std::int64_t n, const std::uint64_t* claimed, double p, double factor) {
  using V = Vec<std::conditional_t<sizeof(T) == 8, double, float>>;
  const Chance dropped(p);
  const V scale(static_cast<Lane<V>>(factor));
  T* out = static_cast<T*>(to);
  const T* x = static_cast<const T*>(from);
  for_each_group<kGroupWords>(
      n, claimed, [&](const PhiloxStream&, const std::uint32_t* words, std::int64_t at, int count) {
        std::uint8_t kept[kGroupWords];
        for (int i = 0; i < kGroupWords; ++i) kept[i] = !dropped(words[i]);
        int i = 0;
        for (; i + V::width <= count; i += V::width)
          select(MaskFor<V>::load_bytes(kept + i), V::load(x + at + i) * scale, V(0)).store(out + at + i);
        if (const int rest = count - i)
          select(MaskFor<V>::load_bytes(kept + i, rest), V::load(x + at + i, rest) * scale, V(0))
              .store(out + at + i, rest);
      });
}

// ---- multinomial ----

template <class Body>
void for_each_row(std::int64_t rows, std::int64_t columns, Body body) {
  parallel_for(rows, 1 + 8192 / columns, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) body(row);
  });
}

void report(std::int64_t* problem, MultinomialProblem what) {
  __atomic_fetch_or(problem, static_cast<std::int64_t>(what), __ATOMIC_RELAXED);
}

bool check_weights(const double* w, std::int64_t columns, std::int64_t needed, std::int64_t* problem) {
  std::int64_t positive = 0;
  double total = 0;
  for (std::int64_t c = 0; c < columns; ++c) {
    if (!(w[c] >= 0)) return report(problem, MultinomialProblem::not_a_weight), false;
    positive += w[c] > 0;
    total += w[c];
  }
  if (isinf(total)) return report(problem, MultinomialProblem::not_a_weight), false;
  if (positive == 0) return report(problem, MultinomialProblem::no_weight), false;
  if (positive < needed) return report(problem, MultinomialProblem::too_few), false;
  return true;
}

// How many of the n ascending sums are not above x, for a last one that is. Without branches: they would be guesses.
LAMINA_INLINE std::int64_t count_up_to(const double* sums, std::int64_t n, double x) {
  const double* from = sums;
  while (n > 1) {
    const std::int64_t half = n / 2;
    from = from[half - 1] <= x ? from + half : from;
    n -= half;
  }
  return from - sums;
}

// The first column up to which the weights sum to more than a random part of their total.
void sample_with_replacement(double* weights, std::int64_t rows, std::int64_t columns, std::int64_t samples,
                             std::int64_t* out, const std::uint64_t* claimed) {
  for_each_row(rows, columns, [&](std::int64_t row) {
    double* w = weights + row * columns;
    for (std::int64_t c = 1; c < columns; ++c) w[c] += w[c - 1];
  });
  for_each_group<kGroupWords / 2>(
      rows * samples, claimed, [&](const PhiloxStream&, const std::uint32_t* words, std::int64_t at, int count) {
        for (int i = 0; i < count; ++i) {
          const double* sums = weights + (at + i) / samples * columns;
          out[at + i] = count_up_to(sums, columns, unit(long_word(words, i)) * sums[columns - 1]);
        }
      });
}

// A heap of the smallest keys seen, the largest on top; of equal keys the later column counts as larger.
struct Smallest {
  double* keys;
  std::int64_t* columns;
  std::int64_t size = 0;

  bool larger(std::int64_t a, std::int64_t b) const {
    return keys[a] > keys[b] || (keys[a] == keys[b] && columns[a] > columns[b]);
  }
  void exchange(std::int64_t a, std::int64_t b) {
    const double key = keys[a];
    const std::int64_t column = columns[a];
    keys[a] = keys[b], columns[a] = columns[b];
    keys[b] = key, columns[b] = column;
  }
  void sink(std::int64_t at) {
    for (std::int64_t child; (child = 2 * at + 1) < size; at = child) {
      if (child + 1 < size && larger(child + 1, child)) ++child;
      if (!larger(child, at)) return;
      exchange(child, at);
    }
  }
  void add(double key, std::int64_t column) {
    std::int64_t at = size++;
    keys[at] = key, columns[at] = column;
    for (; at > 0 && larger(at, (at - 1) / 2); at = (at - 1) / 2) exchange(at, (at - 1) / 2);
  }
  void replace_largest(double key, std::int64_t column) {
    keys[0] = key, columns[0] = column;
    sink(0);
  }
  void sort() {
    while (size > 1) {
      exchange(0, --size);
      sink(0);
    }
  }
};

// Columns wait for exponential times of rate weight: the order in which they come is that of drawing one after the
// other among those left (P. S. Efraimidis and P. G. Spirakis, Weighted random sampling with a reservoir, 2006).
void sample_without_replacement(double* weights, std::int64_t rows, std::int64_t columns, std::int64_t samples,
                                double* keys, std::int64_t* out, const std::uint64_t* claimed) {
  for_each_group<kGroupWords / 2>(rows * columns, claimed,
                                  [&](const PhiloxStream&, const std::uint32_t* words, std::int64_t at, int count) {
                                    for (int i = 0; i < count; ++i)
                                      weights[at + i] = minus_log(inner_unit(long_word(words, i))) / weights[at + i];
                                  });
  for_each_row(rows, columns, [&](std::int64_t row) {
    Smallest first{keys + row * samples, out + row * samples};
    const double* times = weights + row * columns;
    for (std::int64_t c = 0; c < columns; ++c) {
      if (first.size < samples)
        first.add(times[c], c);
      else if (times[c] < first.keys[0])
        first.replace_largest(times[c], c);
    }
    first.sort();
  });
}

void multinomial(double* weights, std::int64_t rows, std::int64_t columns, std::int64_t samples, bool replacement,
                 double* keys, std::int64_t* out, const std::uint64_t* claimed, std::int64_t* problem) {
  *problem = 0;
  for_each_row(rows, columns, [&](std::int64_t row) {
    double* w = weights + row * columns;
    if (check_weights(w, columns, replacement ? 1 : samples, problem)) return;
    for (std::int64_t c = 0; c < columns; ++c) w[c] = 1;  // nothing that follows may go astray
  });
  if (replacement)
    sample_with_replacement(weights, rows, columns, samples, out, claimed);
  else
    sample_without_replacement(weights, rows, columns, samples, keys, out, claimed);
}

// ---- the table ----

template <class T>
void fill_floating(RandomTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.fill[static_cast<int>(Distribution::uniform)][i] = uniform<T>;
  t.fill[static_cast<int>(Distribution::normal)][i] = normal<T>;
  t.fill[static_cast<int>(Distribution::truncated_normal)][i] = truncated_normal<T>;
  t.fill[static_cast<int>(Distribution::exponential)][i] = exponential<T>;
  t.fill[static_cast<int>(Distribution::bernoulli)][i] = bernoulli<T>;
}

}  // namespace

void fill_random(RandomTable& t) {
  t.claim = claim;
  t.reseed = reseed;
  fill_floating<float>(t, DType::f32);
  fill_floating<double>(t, DType::f64);
  t.fill[static_cast<int>(Distribution::bernoulli)][static_cast<int>(DType::b8)] = bernoulli<std::uint8_t>;
  t.integers[static_cast<int>(DType::i64)] = integers<std::int64_t>;
  t.integers[static_cast<int>(DType::i32)] = integers<std::int32_t>;
  t.integers[static_cast<int>(DType::u8)] = integers<std::uint8_t>;
  t.dropout[static_cast<int>(DType::f32)] = dropout<float>;
  t.dropout[static_cast<int>(DType::f64)] = dropout<double>;
  t.dropout[static_cast<int>(DType::f16)] = dropout<float16>;
  t.dropout[static_cast<int>(DType::bf16)] = dropout<bfloat16>;
  t.permutation = permutation;
  t.multinomial = multinomial;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
