// What happens to one element, or a run of them, when a dense tensor and an indexed one meet.
#pragma once
#include <cstddef>
#include <type_traits>

#include "kernels/bits.h"
#include "kernels/index.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
LAMINA_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
LAMINA_INLINE std::int64_t pieces(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

template <class T>
LAMINA_INLINE void copy_run(T* to, std::int64_t to_stride, const T* from, std::int64_t from_stride, std::int64_t n) {
  if (to_stride == 1 && from_stride == 1)
    __builtin_memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
  else
    for (std::int64_t i = 0; i < n; ++i) to[i * to_stride] = from[i * from_stride];
}

template <class T>
struct Gather {
  static LAMINA_INLINE void one(T& dense, T& indexed) { dense = indexed; }
  static LAMINA_INLINE void run(T* dense, std::int64_t ds, T* indexed, std::int64_t is, std::int64_t n) {
    copy_run(dense, ds, indexed, is, n);
  }
};

template <class T>
struct Put {
  static LAMINA_INLINE void one(T& dense, T& indexed) { indexed = dense; }
  static LAMINA_INLINE void run(T* dense, std::int64_t ds, T* indexed, std::int64_t is, std::int64_t n) {
    copy_run(indexed, is, dense, ds, n);
  }
};

struct Truth {  // a sum of truth values is their disjunction
  std::uint8_t value;
};
LAMINA_INLINE void accumulate(Truth& sum, Truth x) { sum.value = sum.value | x.value; }
template <class T>
LAMINA_INLINE void accumulate(T& sum, T x) {
  if constexpr (std::is_integral_v<T>)
    sum = static_cast<T>(static_cast<std::uint64_t>(sum) + static_cast<std::uint64_t>(x));  // wraps
  else
    sum += x;
}

template <class T>
struct Add {
  static LAMINA_INLINE void one(T& dense, T& indexed) { accumulate(indexed, dense); }
  static LAMINA_INLINE void run(T* dense, std::int64_t ds, T* indexed, std::int64_t is, std::int64_t n) {
    if (ds == 1 && is == 1)
      for (std::int64_t i = 0; i < n; ++i) accumulate(indexed[i], dense[i]);
    else
      for (std::int64_t i = 0; i < n; ++i) accumulate(indexed[i * is], dense[i * ds]);
  }
};

template <class T>
struct Multiply {
  static LAMINA_INLINE void one(T& dense, T& indexed) { indexed = static_cast<T>(indexed * dense); }
};
// A NaN is more extreme than any number.
template <class T>
struct Largest {
  static LAMINA_INLINE void one(T& dense, T& indexed) {
    if (dense > indexed || dense != dense) indexed = dense;
  }
};
template <class T>
struct Smallest {
  static LAMINA_INLINE void one(T& dense, T& indexed) {
    if (dense < indexed || dense != dense) indexed = dense;
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
