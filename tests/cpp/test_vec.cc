// Every operation of Vec<T> against the same operation on plain numbers; built once per target.
#include "check.h"
#include "simd/convert.h"
#include "simd/half_scalar.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

template <class T, class OnVec, class OnPlain>
void compare(const char* what, OnVec on_vec, OnPlain on_plain) {
  using V = Vec<T>;
  const std::vector<T> a = interesting_numbers<T, Word<T>>();
  for (size_t shift : {0, 1, 37, 2048}) {
    for (size_t i = 0; i < a.size(); i += V::width) {
      const size_t j = (i + shift) % a.size(), k = (i + 3 * shift) % a.size();
      T x[V::width], y[V::width], z[V::width], got[V::width];
      for (size_t l = 0; l < V::width; ++l) {
        x[l] = a[i + l], y[l] = a[(j + l) % a.size()], z[l] = a[(k + l) % a.size()];
      }
      on_vec(V::load(x), V::load(y), V::load(z)).store(got);
      for (size_t l = 0; l < V::width; ++l) {
        const T want = on_plain(x[l], y[l], z[l]);
        check(same(got[l], want), what, sizeof(T), x[l], y[l], z[l], got[l], want);
      }
    }
  }
}

template <class T>
void test_arithmetic() {
  const auto both = [](const char* what, auto f) { compare<T>(what, f, f); };
  both("+", [](auto a, auto b, auto) { return a + b; });
  both("-", [](auto a, auto b, auto) { return a - b; });
  both("*", [](auto a, auto b, auto) { return a * b; });
  both("/", [](auto a, auto b, auto) { return a / b; });
  both("negate", [](auto a, auto, auto) { return -a; });
  both("+=", [](auto a, auto b, auto) { return a += b; });
  both("*=", [](auto a, auto b, auto) { return a *= b; });
  both("plain operand", [](auto a, auto, auto) { return T(1) - a * T(0.5); });
  both("fma", [](auto a, auto b, auto c) { return fma(a, b, c); });
  both("fnma", [](auto a, auto b, auto c) { return fnma(a, b, c); });
  both("maximum", [](auto a, auto b, auto) { return select(a == b, a, maximum(a, b)); });  // of ±0 either will do
  both("minimum", [](auto a, auto b, auto) { return select(a == b, a, minimum(a, b)); });
  both("max", [](auto a, auto b, auto) { return select((a > b) | (b > a), max(a, b), a); });
  both("min", [](auto a, auto b, auto) { return select((a > b) | (b > a), min(a, b), a); });
  both("abs", [](auto a, auto, auto) { return abs(a); });
  both("sqrt", [](auto a, auto, auto) { return sqrt(a); });
  both("floor", [](auto a, auto, auto) { return floor(a); });
  both("ceil", [](auto a, auto, auto) { return ceil(a); });
  both("trunc", [](auto a, auto, auto) { return trunc(a); });
  both("round", [](auto a, auto, auto) { return round(a); });
  both("copysign", [](auto a, auto b, auto) { return copysign(a, b); });
  both("<", [](auto a, auto b, auto) { return select(a < b, a, b); });
  both("<=", [](auto a, auto b, auto) { return select(a <= b, a, b); });
  both(">", [](auto a, auto b, auto) { return select(a > b, a, b); });
  both(">=", [](auto a, auto b, auto) { return select(a >= b, a, b); });
  both("==", [](auto a, auto b, auto) { return select(a == b, a, b); });
  both("!=", [](auto a, auto b, auto) { return select(a != b, a, b); });
  both("isnan", [](auto a, auto b, auto) { return select(isnan(a), b, a); });
  both("isinf", [](auto a, auto b, auto) { return select(isinf(a), b, a); });
  both("mask &", [](auto a, auto b, auto c) { return select((a < b) & (b < c), a, b); });
  both("mask |", [](auto a, auto b, auto c) { return select((a < b) | (b < c), a, b); });
  compare<T>(
      "mask ^", [](auto a, auto b, auto c) { return select((a < b) ^ (b < c), a, b); },
      [](T a, T b, T c) { return (a < b) != (b < c) ? a : b; });
  compare<T>(
      "mask ~", [](auto a, auto b, auto) { return select(~(a < b), a, b); },
      [](T a, T b, T) { return !(a < b) ? a : b; });
}

template <class T>
void test_ints() {
  using I = Ints<T>;
  using W = Word<T>;
  const auto bitwise = [](const char* what, auto on_ints, auto on_words) {
    compare<T>(
        what, [=](Vec<T> a, Vec<T> b, Vec<T>) { return as_vec(on_ints(as_ints(a), as_ints(b))); },
        [=](T a, T b, T) {
          W x, y;
          std::memcpy(&x, &a, sizeof x), std::memcpy(&y, &b, sizeof y);
          const W z = on_words(x, y);
          std::memcpy(&a, &z, sizeof z);
          return a;
        });
  };
  bitwise(
      "ints +", [](I a, I b) { return a + b; }, [](W a, W b) { return W(a + b); });
  bitwise(
      "ints -", [](I a, I b) { return a - b; }, [](W a, W b) { return W(a - b); });
  bitwise(
      "ints &", [](I a, I b) { return a & b; }, [](W a, W b) { return W(a & b); });
  bitwise(
      "ints |", [](I a, I b) { return a | b; }, [](W a, W b) { return W(a | b); });
  bitwise(
      "ints ^", [](I a, I b) { return a ^ b; }, [](W a, W b) { return W(a ^ b); });
  bitwise(
      "ints ~", [](I a, I) { return ~a; }, [](W a, W) { return W(~a); });
  bitwise(
      "shift_left", [](I a, I) { return shift_left<5>(a); }, [](W a, W) { return W(a << 5); });
  bitwise(
      "shift_right", [](I a, I) { return shift_right<5>(a); }, [](W a, W) { return W(a >> 5); });
  bitwise(
      "ints ==", [](I a, I b) { return select(a == b, a, b); }, [](W a, W b) { return a == b ? a : b; });
  bitwise(
      "ints >", [](I a, I b) { return select(a > b, a, b); },
      [](W a, W b) { return std::make_signed_t<W>(a) > std::make_signed_t<W>(b) ? a : b; });
  const T limit = sizeof(T) == 4 ? T(0x1.fffffep30) : T(0x1.8p50);
  compare<T>(
      "to_ints", [=](Vec<T> a, Vec<T>, Vec<T>) { return to_vec(to_ints(select(abs(a) < limit, a, 0))); },
      [=](T a, T, T) { return abs(a) < limit ? round(a) + T(0) : T(0); });
}

template <class T>
void test_loads() {
  using V = Vec<T>;
  constexpr int w = V::width;
  // n elements end exactly at the end of the allocation, for the address sanitizer to watch.
  for (int n = 0; n <= w; ++n) {
    std::vector<T> numbers(static_cast<size_t>(n));
    std::vector<uint8_t> flags(static_cast<size_t>(n));
    T* p = numbers.data();
    uint8_t* bytes = flags.data();
    for (int l = 0; l < n; ++l) p[l] = T(l + 1), bytes[l] = l % 3 == 0 ? 0 : uint8_t(l + 1);
    T lanes[w];
    V::load(p, n).store(lanes);
    for (int l = 0; l < w; ++l) check(lanes[l] == (l < n ? T(l + 1) : T(0)), "load(p, n)", n, l, lanes[l]);
    (V::load(p, n) * 2).store(p, n);
    for (int l = 0; l < n; ++l) check(p[l] == T(2 * l + 2), "store(p, n)", n, l, p[l]);

    select(Mask<T>::load_bytes(bytes, n), V(1), V(2)).store(lanes);
    for (int l = 0; l < w; ++l) check(lanes[l] == (l < n && l % 3 ? 1 : 2), "load_bytes(p, n)", n, l, lanes[l]);
    (V::load(p, n) > T(3)).store_bytes(bytes, n);
    for (int l = 0; l < n; ++l) check(bytes[l] == (2 * l + 2 > 3), "store_bytes(p, n)", n, l, bytes[l]);
  }
  T x[w], lanes[w];
  uint8_t bytes[w];
  for (int l = 0; l < w; ++l) x[l] = T(l % 5);
  (V::load(x) > T(1)).store_bytes(bytes);
  select(Mask<T>::load_bytes(bytes), V(1), V(2)).store(lanes);
  for (int l = 0; l < w; ++l) check(bytes[l] == (l % 5 > 1) && lanes[l] == (l % 5 > 1 ? 1 : 2), "bytes", l, bytes[l]);

  check(any(V::load(x) == T(0)) && !any(V::load(x) == T(7)), "any");
  check(all(V::load(x) < T(5)) && !all(V::load(x) > T(0)), "all");
}

template <class T>
void test_folds() {
  using V = Vec<T>;
  constexpr int w = V::width;
  const std::vector<T> a = interesting_numbers<T, Word<T>>();
  for (size_t i = 64; i < 1024; i += w) {
    T lanes[w], most = a[i], least = a[i];
    for (int l = 0; l < w; ++l) {
      lanes[l] = a[i + l];
      most = maximum(most, a[i + l]), least = minimum(least, a[i + l]);
    }
    for (int half = w / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    }
    const V v = V::load(&a[i]);
    check(same(sum(v), lanes[0]), "sum", i, sum(v), lanes[0]);
    check(same(hmax(v), most) && same(hmin(v), least), "hmax, hmin", i, hmax(v), most, hmin(v), least);
  }
}

// Against the integer code of half_scalar.h, to the bit; that in turn against arithmetic.
void test_halves() {
  const int64_t count = 65536;
  std::vector<float16> half(count), half_back(count);
  std::vector<bfloat16> brain(count), brain_back(count);
  std::vector<float> wide(count);
  for (uint32_t b = 0; b < count; ++b) half[b].bits = brain[b].bits = static_cast<uint16_t>(b);

  half_to_float(wide.data(), half.data(), count);
  float_to_half(half_back.data(), wide.data(), count);
  for (uint32_t b = 0; b < count; ++b) {
    const int exponent = b >> 10 & 31, fraction = b & 1023;
    const float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                            : exponent     ? std::ldexp(1024.0f + static_cast<float>(fraction), exponent - 25)
                                           : std::ldexp(static_cast<float>(fraction), -24);
    check(same(std::fabs(wide[b]), magnitude) && std::signbit(wide[b]) == (b >> 15 != 0), "half", b, wide[b]);
    check(bits_of_float(wide[b]) == bits_of_float(half_to_float(half[b])), "half_to_float bits", b, wide[b]);
    const bool is_nan = exponent == 31 && fraction;
    check(half_back[b].bits == (is_nan ? b | 0x200u : b), "half back", b, half_back[b].bits);
  }
  half_to_float(wide.data(), brain.data(), count);
  float_to_half(brain_back.data(), wide.data(), count);
  for (uint32_t b = 0; b < count; ++b) {
    check(bits_of_float(wide[b]) == b << 16, "bfloat16", b, wide[b]);
    const bool is_nan = std::isnan(wide[b]);
    check(brain_back[b].bits == (is_nan ? b | 0x40u : b), "bfloat16 back", b, brain_back[b].bits);
  }

  // Rounding: a stride through all floats, each compared with its two neighbours in the narrow format.
  const auto nearest = [](float x, auto from, uint16_t bits) {
    if (std::isnan(x)) return std::isnan(from(bits));
    const double got = from(bits), error = std::fabs(static_cast<double>(x) - got);
    if (std::isinf(got)) return std::isinf(x) || std::isfinite(from(static_cast<uint16_t>(bits - 1)));
    for (int step : {-1, 1}) {
      const double other = from(static_cast<uint16_t>(bits + step));
      if (!std::isfinite(other) || ((bits + step) & 0x7fff) == 0x7fff) continue;
      const double its = std::fabs(static_cast<double>(x) - other);
      if (its < error || (its == error && bits % 2)) return false;
    }
    return true;
  };
  std::vector<float> x(count + 5);
  half_back.resize(x.size()), brain_back.resize(x.size());
  for (uint32_t start = 0; start < 61; ++start) {
    for (size_t i = 0; i < x.size(); ++i) x[i] = float_of_bits(static_cast<uint32_t>((start + 61 * i) * 1069));
    float_to_half(half_back.data(), x.data(), static_cast<int64_t>(x.size()));
    float_to_half(brain_back.data(), x.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      check(half_back[i].bits == float_to_half(x[i]).bits, "float_to_half bits", x[i], half_back[i].bits);
      check(brain_back[i].bits == float_to_brain(x[i]).bits, "float_to_brain bits", x[i], brain_back[i].bits);
      const auto from_half = [](uint16_t bits) { return half_to_float(float16{bits}); };
      const auto from_brain = [](uint16_t bits) { return brain_to_float(bfloat16{bits}); };
      check(nearest(x[i], from_half, half_back[i].bits), "nearest half", x[i], half_back[i].bits);
      check(nearest(x[i], from_brain, brain_back[i].bits), "nearest bfloat16", x[i], brain_back[i].bits);
    }
  }
  for (float tie : {65519.99609375f, 65520.0f, 0x1p-25f, 0x1.000002p-25f, 0x1.8p-24f, 3.3895314e38f}) {
    float_to_half(half_back.data(), &tie, 1);
    check(half_back[0].bits == float_to_half(tie).bits, "tie", tie, half_back[0].bits);
  }
  check(float_to_half(65519.99609375f).bits == 0x7bff && float_to_half(65520.0f).bits == 0x7c00, "overflow");
  check(float_to_half(0x1p-25f).bits == 0 && float_to_half(0x1.000002p-25f).bits == 1, "underflow");
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

int main() {
  using namespace lamina::LAMINA_TARGET;
  test_arithmetic<float>();
  test_arithmetic<double>();
  test_ints<float>();
  test_ints<double>();
  test_loads<float>();
  test_loads<double>();
  test_folds<float>();
  test_folds<double>();
  test_halves();
  std::printf("%d failures\n", failures);
  return failures != 0;
}
