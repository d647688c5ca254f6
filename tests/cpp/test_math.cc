// The functions of math.h against the C library in double, over the whole float range in strides; built once per
// target.
//
//   test_math [stride [function]]
//
// prints for each function the largest error in units in the last place (ulp) of float and where it is.
#include <cstdlib>
#include <string>

#include "check.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

uint32_t stride = 4093;
std::string only;

// Distance from the exact value in units in the last place of `size`, where a denormal's unit is 2^-149 and infinity is
// the number after the largest.
double ulps_off(float got, double exact, double size) {
  if (std::isnan(got) || std::isnan(exact)) return std::isnan(got) && std::isnan(exact) ? 0 : 1e30;
  if (std::isinf(exact)) return static_cast<double>(got) == exact ? 0 : 1e30;
  int exponent;
  std::frexp(size, &exponent);
  exponent = exponent - 24 < -149 ? -149 : exponent - 24 > 104 ? 104 : exponent - 24;
  const double value = std::isinf(got) ? std::copysign(0x1p128, got) : static_cast<double>(got);
  if (std::isinf(got) && std::fabs(exact) >= 0x1p128) return std::signbit(got) == std::signbit(exact) ? 0 : 1e30;
  return std::fabs(value - exact) * std::ldexp(1.0, -exponent);
}

struct Worst {
  double error = 0, x = 0, y = 0, got = 0, want = 0;
  void see(float x_, float y_, float got_, double want_, double size) {
    const double e = ulps_off(got_, want_, size);
    if (e > error) *this = {e, x_, y_, got_, want_};
  }
  void report(const char* name, double limit) const {
    std::printf("%-12s %8.3f ulp at %a", name, error, x);
    if (y != 0) std::printf(", %a", y);
    std::printf("\n");
    check(error <= limit, name, x, y, got, want);
  }
};

// x φ(x), 0 at infinity.
double bell_times(double x) { return std::fabs(x) > 40 ? 0 : x * 0.39894228040143268 * std::exp(-0.5 * x * x); }

// Units are those of size(x) where that is not the exact value: of the terms of a sum that cancel.
template <class F, class G, class Size>
void one(const char* name, double limit, F f, G exact, Size size) {
  if (!only.empty() && only != name) return;
  constexpr int w = Vec<float>::width;
  Worst worst;
  float x[w], got[w];
  for (uint64_t bits = 0; bits < uint64_t{1} << 32;) {
    for (float& lane : x) {
      const uint32_t word = static_cast<uint32_t>(bits);
      std::memcpy(&lane, &word, sizeof lane);
      bits += stride;
    }
    f(Vec<float>::load(x)).store(got);
    for (int i = 0; i < w; ++i) worst.see(x[i], 0, got[i], exact(x[i]), size(x[i]));
  }
  // Where strides would miss: the neighbourhood of small integers and halves, zeros, denormals, and the extremes.
  for (float start :
       {0.0f,  0x1p-126f, 0.25f, 0.5f,  1.0f,   1.5f,   2.0f,   4.0f,   8.0f,   9.0f,   16.0f,  17.0f,  87.0f,
        88.0f, 88.7f,     89.0f, 89.4f, 103.0f, 104.0f, 126.0f, 127.0f, 128.0f, 149.0f, 150.0f, 3.4e38f}) {
    for (float sign : {1.0f, -1.0f}) {
      float up = start, down = start;
      for (int k = 0; k < 2000; ++k) {
        for (float at : {up, down}) {
          const float value = sign * at;
          for (float& lane : x) lane = value;
          f(Vec<float>::load(x)).store(got);
          const double want = exact(value);
          worst.see(value, 0, got[0], want, size(value));
          if (value == 0 && want == 0) check(same(got[0], static_cast<float>(want)), name, value, got[0]);
        }
        up = std::nextafter(up, INFINITY);
        down = std::nextafter(down, -INFINITY);
      }
    }
  }
  worst.report(name, limit);
  // In each lane by itself, among lanes of all kinds: a slow path must not disturb its neighbours.
  const std::vector<float> mixed = interesting_numbers<float, uint32_t>();
  for (size_t i = 0; i + w <= mixed.size(); i += w) {
    f(Vec<float>::load(&mixed[i])).store(got);
    for (int l = 0; l < w; ++l) {
      const double want = exact(mixed[i + l]);
      check(ulps_off(got[l], want, size(mixed[i + l])) <= limit, name, mixed[i + l], got[l], want);
      if (want == 0 || std::isinf(want)) check(same(got[l], static_cast<float>(want)), name, mixed[i + l], got[l]);
    }
  }
}

template <class F, class G>
void one(const char* name, double limit, F f, G exact) {
  one(name, limit, f, exact, exact);
}

// Pairs from random bits, pairs of ordinary size, and every pair of special values.
template <class F, class G>
void two(const char* name, double limit, F f, G exact) {
  if (!only.empty() && only != name) return;
  constexpr int w = Vec<float>::width;
  Worst worst;
  float x[w], y[w], got[w];
  const auto compare = [&] {
    f(Vec<float>::load(x), Vec<float>::load(y)).store(got);
    for (int i = 0; i < w; ++i) {
      const double want = exact(x[i], y[i]);
      worst.see(x[i], y[i], got[i], want, want);
      if (want == 0) check(same(got[i], static_cast<float>(want)), name, x[i], y[i], got[i]);
    }
  };
  uint64_t state = 1;
  const auto random_word = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>(state >> 32);
  };
  for (uint64_t k = 0; k < (uint64_t{1} << 32) / stride; k += 2 * w) {
    for (int i = 0; i < w; ++i) {
      const uint32_t words[2] = {random_word(), random_word()};
      std::memcpy(&x[i], &words[0], 4), std::memcpy(&y[i], &words[1], 4);
    }
    compare();
    const float size = std::ldexp(1.0f, static_cast<int>(random_word() % 16) - 8);
    for (int i = 0; i < w; ++i) {
      x[i] = std::ldexp(static_cast<float>(random_word()), -30), y[i] = std::ldexp(random_word() - 0x1p31f, -30) * size;
    }
    compare();
  }
  const float inf = INFINITY;
  const std::vector<float> special = {0.0f,        1e-45f,      1e-40f, 1e-38f,        0.3f, 0.5f, 1.0f,
                                      1.5f,        2.0f,        3.0f,   4.0f,          5.0f, 1e5f, 16777215.0f,
                                      16777216.0f, 33554432.0f, 1e30f,  3.4028235e38f, inf,  NAN};
  for (float a : special) {
    for (float b : special) {
      for (int signs = 0; signs < 4; ++signs) {
        for (int i = 0; i < w; ++i) x[i] = signs & 1 ? -a : a, y[i] = signs & 2 ? -b : b;
        compare();
      }
    }
  }
  worst.report(name, limit);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

int main(int argc, char** argv) {
  using namespace lamina::LAMINA_TARGET;
  if (argc > 1) stride = static_cast<uint32_t>(std::atoi(argv[1]));
  if (argc > 2) only = argv[2];
  using D = double;
  one(
      "exp", 1.2, [](auto x) { return exp(x); }, [](D x) { return ::exp(x); });
  one(
      "exp2", 1.2, [](auto x) { return exp2(x); }, [](D x) { return ::exp2(x); });
  one(
      "expm1", 1.5, [](auto x) { return expm1(x); }, [](D x) { return ::expm1(x); });
  one(
      "log", 1, [](auto x) { return log(x); }, [](D x) { return ::log(x); });
  one(
      "log2", 1.7, [](auto x) { return log2(x); }, [](D x) { return ::log2(x); });
  one(
      "log10", 2, [](auto x) { return log10(x); }, [](D x) { return ::log10(x); });
  one(
      "log1p", 1.5, [](auto x) { return log1p(x); }, [](D x) { return ::log1p(x); });
  one(
      "sinh", 2, [](auto x) { return sinh(x); }, [](D x) { return ::sinh(x); });
  one(
      "cosh", 2, [](auto x) { return cosh(x); }, [](D x) { return ::cosh(x); });
  one(
      "tanh", 2.5, [](auto x) { return tanh(x); }, [](D x) { return ::tanh(x); });
  one(
      "sigmoid", 2.5, [](auto x) { return sigmoid(x); }, [](D x) { return 1 / (1 + ::exp(-x)); });
  one(
      "softplus", 2, [](auto x) { return softplus(x); },
      [](D x) { return std::fmax(x, 0.0) + (x != x ? x : ::log1p(::exp(-std::fabs(x)))); });
  one(
      "log_sigmoid", 2, [](auto x) { return log_sigmoid(x); },
      [](D x) { return -(std::fmax(-x, 0.0) + (x != x ? x : ::log1p(::exp(-std::fabs(x))))); });
  one(
      "erf", 2, [](auto x) { return erf(x); }, [](D x) { return ::erf(x); });
  one(
      "erfc", 2.5, [](auto x) { return erfc(x); }, [](D x) { return ::erfc(x); });
  one(
      "gelu", 2, [](auto x) { return gelu(x); },
      [](D x) { return x < -40 ? -0.0 : x * 0.5 * ::erfc(x * -0.70710678118654752); });
  one(
      "gelu_slope", 8, [](auto x) { return gelu_slope(x); },
      [](D x) { return x < -30 ? -0.0 : 0.5 * ::erfc(x * -0.70710678118654752) + bell_times(x); },
      [](D x) { return 0.5 * ::erfc(x * -0.70710678118654752) + std::fabs(bell_times(x)); });
  one(
      "sin", 2, [](auto x) { return sin(x); }, [](D x) { return ::sin(x); });
  one(
      "cos", 2, [](auto x) { return cos(x); }, [](D x) { return ::cos(x); });
  one(
      "tan", 2, [](auto x) { return tan(x); }, [](D x) { return ::tan(x); });
  one(
      "asin", 2, [](auto x) { return asin(x); }, [](D x) { return ::asin(x); });
  one(
      "acos", 2, [](auto x) { return acos(x); }, [](D x) { return ::acos(x); });
  one(
      "atan", 2, [](auto x) { return atan(x); }, [](D x) { return ::atan(x); });
  one(
      "rsqrt", 1.5, [](auto x) { return rsqrt(x); }, [](D x) { return 1 / ::sqrt(x); });
  one(
      "reciprocal", 0.5, [](auto x) { return reciprocal(x); }, [](D x) { return 1 / x; });
  two(
      "atan2", 2, [](auto x, auto y) { return atan2(x, y); }, [](D x, D y) { return ::atan2(x, y); });
  two(
      "pow", 1, [](auto x, auto y) { return pow(x, y); }, [](D x, D y) { return ::pow(x, y); });
  std::printf("%d failures\n", failures);
  return failures != 0;
}
