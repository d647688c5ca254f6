// The little that the C++ tests need: counted checks that print what failed, and numbers worth testing with.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

inline int failures = 0;

template <class... Values>
void check(bool ok, const char* what, Values... values) {
  if (ok || ++failures > 40) return;
  std::printf("FAILED %s:", what);
  (std::printf(" %.17g", static_cast<double>(values)), ...);
  std::printf("\n");
}

// The same number, zeros by sign; any NaN equals any other.
template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

// Special values, then pseudo-random bit patterns; the count is a multiple of every vector width.
template <class T, class Word>
std::vector<T> interesting_numbers() {
  const T inf = std::numeric_limits<T>::infinity(), tiny = std::numeric_limits<T>::denorm_min();
  std::vector<T> x = {T(0),     T(-0.0), T(1),       T(-1),    T(0.5),
                      T(-0.5),  T(1.5),  T(-1.5),    T(2.5),   T(-2.5),
                      inf,      -inf,    tiny,       -tiny,    T(3),
                      T(1e9),   T(-1e9), T(8388609), T(65504), T(65519),
                      T(65520), T(1e-7), T(6e-8),    T(3e-5),  std::numeric_limits<T>::quiet_NaN()};
  uint64_t state = 12345;
  while (x.size() < 4096) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const Word bits = static_cast<Word>(state >> (64 - 8 * sizeof(Word)));
    T value;
    std::memcpy(&value, &bits, sizeof value);
    x.push_back(x.size() % 2 ? value : static_cast<T>(static_cast<double>(state >> 40) / 4096 - 2048));
  }
  return x;
}
