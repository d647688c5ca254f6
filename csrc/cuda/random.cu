// Distributions, integers, dropout and orders, each drawn as cuda/random_draw.h says.
#include "cuda/random_draw.h"
#include "kernels/elementwise_convert.h"
#include "kernels/random.h"
#include "kernels/random_quantile.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// ---- state ----

struct Claim {
  static constexpr int kThreads = 1;
  static constexpr bool kCollective = false;
  std::uint64_t *state, counters, *claimed;
  LAMINA_KERNEL void operator()(const Thread&) const {
    claimed[0] = state[0];
    claimed[1] = state[1];
    state[1] += counters;
  }
};
void claim(std::uint64_t* state, std::uint64_t counters, std::uint64_t* claimed) {
  launch("random numbers", {}, Claim{state, counters, claimed});
}

struct Reseed {
  static constexpr int kThreads = 1;
  static constexpr bool kCollective = false;
  std::uint64_t *state, seed, counter;
  LAMINA_KERNEL void operator()(const Thread&) const {
    state[0] = seed;
    state[1] = counter;
  }
};
void reseed(std::uint64_t* state, std::uint64_t seed, std::uint64_t counter) {
  launch("manual_seed", {}, Reseed{state, seed, counter});
}

// ---- distributions ----

template <class T>
using WordOf = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;

// Each element from its own word, by f.one(word).
template <class Self, class Word_, class Out_>
struct EachFromItsWord {
  using Word = Word_;
  using Out = Out_;
  LAMINA_INLINE void four(const Word (&w)[4], const PhiloxStream&, std::int64_t, int, std::int64_t,
                          Out (&to)[4]) const {
#pragma unroll
    for (int k = 0; k < 4; ++k) to[k] = static_cast<const Self*>(this)->one(w[k]);
  }
};

template <class T>
struct Uniform : EachFromItsWord<Uniform<T>, WordOf<T>, T> {
  T from, span, limit;
  WordOf<T> kept;
  explicit Uniform(const DistributionParams& p)
      : from(static_cast<T>(p.v[0])),
        span(static_cast<T>(p.v[1])),
        limit(static_cast<T>(p.v[2])),
        kept(static_cast<WordOf<T>>(~std::uint64_t{0}
                                    << (8 * static_cast<int>(sizeof(T)) - static_cast<int>(p.v[3])))) {}
  LAMINA_INLINE T one(WordOf<T> w) const { return min(from + span * unit(static_cast<WordOf<T>>(w & kept)), limit); }
};

template <class T>
struct Exponential : EachFromItsWord<Exponential<T>, WordOf<T>, T> {
  T scale;
  explicit Exponential(const DistributionParams& p) : scale(static_cast<T>(p.v[0])) {}
  LAMINA_INLINE T one(WordOf<T> w) const { return scale * minus_log(inner_unit(w)); }
};

template <class T>
struct TruncatedNormal : EachFromItsWord<TruncatedNormal<T>, std::uint64_t, T> {
  DistributionParams p;
  explicit TruncatedNormal(const DistributionParams& p) : p(p) {}
  LAMINA_INLINE T one(std::uint64_t w) const {
    return static_cast<T>(p.v[0] + p.v[1] * normal_quantile(p.v[2] + inner_unit(w) * (p.v[3] - p.v[2])));
  }
};

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
struct Bernoulli : EachFromItsWord<Bernoulli<T>, std::uint32_t, T> {
  Chance happens;
  explicit Bernoulli(const DistributionParams& p) : happens(p.v[0]) {}
  LAMINA_INLINE T one(std::uint32_t w) const { return static_cast<T>(happens(w)); }
};

// The words of two elements make two elements, those that lie 64 bytes apart.
template <class T>
struct Normal {
  using Word = WordOf<T>;
  using Out = T;
  T mean, deviation;
  explicit Normal(const DistributionParams& p) : mean(static_cast<T>(p.v[0])), deviation(static_cast<T>(p.v[1])) {}
  LAMINA_INLINE void four(const Word (&w)[4], const PhiloxStream&, std::int64_t, int, std::int64_t, T (&to)[4]) const {
#pragma unroll
    for (int k = 0; k < 4; k += 2) {
      const Pair<T> z = normal_pair(w[k], w[k + 1]);
      to[k] = mean + deviation * z.first;
      to[k + 1] = mean + deviation * z.second;
    }
  }
};

// ---- integers ----

// Uniform in [0, range): multiplied into the range; the few words that would make some numbers likelier are rejected
// (D. Lemire, Fast random integer generation in an interval, 2019).
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

template <class T, class Word_>
struct Integers {
  using Word = Word_;
  using Out = T;
  std::uint64_t low, range;
  LAMINA_INLINE void four(const Word (&w)[4], const PhiloxStream& stream, std::int64_t first, int apart, std::int64_t n,
                          T (&to)[4]) const {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const std::int64_t j = first + k * apart;
      if (j >= n) break;
      if constexpr (sizeof(Word) == 8) {
        to[k] = static_cast<T>(low + bounded(stream, w[k], j, range));
      } else {
        const auto surplus = static_cast<std::uint32_t>((std::uint64_t{1} << 32) % range);
        std::uint64_t product = w[k] * range;
        for (std::uint32_t attempt = 1; static_cast<std::uint32_t>(product) < surplus; ++attempt)
          product = stream.word(j, attempt) * range;
        to[k] = static_cast<T>(low + (product >> 32));
      }
    }
  }
};
template <class T>
void integers(void* out, std::int64_t n, const std::uint64_t* claimed, std::int64_t low, std::uint64_t range) {
  const auto first = static_cast<std::uint64_t>(low);  // sums wrap
  if (range != 0 && range <= std::uint64_t{1} << 32)
    return draw("random_", out, n, claimed, Integers<T, std::uint32_t>{first, range});
  draw("random_", out, n, claimed, Integers<T, std::uint64_t>{first, range});
}

// Each number in turn goes to a random place among those before it, whose holder moves to the end (R. A. Fisher, F.
// Yates): one after the other, for the order to be that of the CPU.
struct Permutation {
  static constexpr int kThreads = 1;
  static constexpr bool kCollective = false;
  std::int64_t *out, n;
  const std::uint64_t* claimed;
  LAMINA_KERNEL void operator()(const Thread&) const {
    const PhiloxStream stream(claimed);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::uint64_t j = bounded(stream, stream.long_word(i, 0), i, static_cast<std::uint64_t>(i) + 1);
      out[i] = i;
      out[i] = out[j];
      out[j] = i;
    }
  }
};
void permutation(std::int64_t* out, std::int64_t n, const std::uint64_t* claimed) {
  if (n > 0) launch("randperm", {}, Permutation{out, n, claimed});
}

// ---- dropout ----

template <class T>
struct Dropout {
  using Word = std::uint32_t;
  using Out = T;
  using Real = std::conditional_t<sizeof(T) == 8, double, float>;
  const T* x;
  Chance dropped;
  Real scale;
  LAMINA_INLINE void four(const Word (&w)[4], const PhiloxStream&, std::int64_t first, int apart, std::int64_t n,
                          T (&to)[4]) const {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (first + k * apart < n)
        to[k] = convert<T>(dropped(w[k]) ? Real(0) : static_cast<Real>(widen(x[first + k * apart])) * scale);
  }
};
template <class T>
void dropout(void* out, const void* x, std::int64_t n, const std::uint64_t* claimed, double p, double scale) {
  using Real = typename Dropout<T>::Real;
  draw("dropout", out, n, claimed, Dropout<T>{static_cast<const T*>(x), Chance(p), static_cast<Real>(scale)});
}

// ---- the table ----

template <class F>
void fill(void* out, std::int64_t n, const std::uint64_t* claimed, DistributionParams params) {
  draw("random numbers", out, n, claimed, F(params));
}

template <class T>
void fill_type(RandomTable& table, DType type) {
  const int t = static_cast<int>(type);
  table.fill[static_cast<int>(Distribution::uniform)][t] = fill<Uniform<T>>;
  table.fill[static_cast<int>(Distribution::normal)][t] = fill<Normal<T>>;
  table.fill[static_cast<int>(Distribution::truncated_normal)][t] = fill<TruncatedNormal<T>>;
  table.fill[static_cast<int>(Distribution::exponential)][t] = fill<Exponential<T>>;
}

}  // namespace

void fill_random_multinomial(RandomTable&);

void fill_random(RandomTable& table) {
  table.claim = claim;
  table.reseed = reseed;
  fill_type<float>(table, DType::f32);
  fill_type<double>(table, DType::f64);
  auto* bernoulli = table.fill[static_cast<int>(Distribution::bernoulli)];
  bernoulli[static_cast<int>(DType::f32)] = fill<Bernoulli<float>>;
  bernoulli[static_cast<int>(DType::f64)] = fill<Bernoulli<double>>;
  bernoulli[static_cast<int>(DType::b8)] = fill<Bernoulli<std::uint8_t>>;
  table.integers[static_cast<int>(DType::i64)] = integers<std::int64_t>;
  table.integers[static_cast<int>(DType::i32)] = integers<std::int32_t>;
  table.integers[static_cast<int>(DType::u8)] = integers<std::uint8_t>;
  table.dropout[static_cast<int>(DType::f32)] = dropout<float>;
  table.dropout[static_cast<int>(DType::f64)] = dropout<double>;
  table.dropout[static_cast<int>(DType::f16)] = dropout<float16>;
  table.dropout[static_cast<int>(DType::bf16)] = dropout<bfloat16>;
  table.permutation = permutation;
  fill_random_multinomial(table);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
