// How element-wise kernels reach their operands: straight through, sixteen bytes at a time, or by strides. Types that
// are not computed in are converted on the way.
#pragma once
#include "cuda/divide.h"
#include "cuda/launch.h"
#include "kernels/elementwise_convert.h"
#include "kernels/loop.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kElementwiseThreads = 256;
constexpr std::int64_t kLargestPart = (std::int64_t{1} << 31) - 1;

// f(null pointer of the element type) for a type that is known at run time only.
template <class F>
LAMINA_INLINE void for_type(DType t, F f) {
  switch (t) {
    case DType::f32: return f(static_cast<float*>(nullptr));
    case DType::f64: return f(static_cast<double*>(nullptr));
    case DType::f16: return f(static_cast<float16*>(nullptr));
    case DType::bf16: return f(static_cast<bfloat16*>(nullptr));
    case DType::i64: return f(static_cast<std::int64_t*>(nullptr));
    case DType::i32: return f(static_cast<std::int32_t*>(nullptr));
    case DType::u8: return f(static_cast<std::uint8_t*>(nullptr));
    case DType::b8: return f(static_cast<Bool*>(nullptr));
  }
}
template <class T>
LAMINA_INLINE T read_as(const void* p, std::int64_t i, DType t) {
  T x{};
  for_type(t, [&](auto* type) {
    using From = std::remove_pointer_t<decltype(type)>;
    x = convert<T>(static_cast<const From*>(p)[i]);
  });
  return x;
}
template <class T>
LAMINA_INLINE void write_as(void* p, std::int64_t i, DType t, T x) {
  for_type(t, [&](auto* type) {
    using To = std::remove_pointer_t<decltype(type)>;
    static_cast<To*>(p)[i] = convert<To>(x);
  });
}

// ---- straight through ----

template <int bytes>
struct alignas(bytes) Bytes {
  std::uint8_t byte[bytes];
};

// n neighbours at p, which is aligned to their size or to 16 bytes.
template <int n, class T>
LAMINA_INLINE void read_run(const T* p, T (&x)[n]) {
  constexpr int size = n * sizeof(T), word = size < 16 ? size : 16;
  Bytes<word> words[size / word];
#pragma unroll
  for (int k = 0; k < size / word; ++k) words[k] = reinterpret_cast<const Bytes<word>*>(p)[k];
  __builtin_memcpy(x, words, size);
}
template <int n, class T>
LAMINA_INLINE void write_run(T* p, const T (&x)[n]) {
  constexpr int size = n * sizeof(T), word = size < 16 ? size : 16;
  Bytes<word> words[size / word];
  __builtin_memcpy(words, x, size);
#pragma unroll
  for (int k = 0; k < size / word; ++k) reinterpret_cast<Bytes<word>*>(p)[k] = words[k];
}

// Elements that a thread takes at once.
template <class T>
constexpr int kRun = sizeof(T) == 8   ? 2
                     : sizeof(T) == 1 ? 8
                                      : 4;

// How an operand is stored that a kernel computes with in T: as T, or for float in 16 bits.
enum class Stored : std::uint8_t { plain, half, brain };
inline Stored stored(DType t) {
  return t == DType::f16 ? Stored::half : t == DType::bf16 ? Stored::brain : Stored::plain;
}

template <class T>
LAMINA_INLINE T read(const void* p, std::int64_t i, Stored s) {
  if constexpr (std::is_same_v<T, float>) {
    if (s == Stored::half) return half_to_float(static_cast<const float16*>(p)[i]);
    if (s == Stored::brain) return brain_to_float(static_cast<const bfloat16*>(p)[i]);
  }
  return static_cast<const T*>(p)[i];
}
template <class T>
LAMINA_INLINE void write(void* p, std::int64_t i, Stored s, T x) {
  if constexpr (std::is_same_v<T, float>) {
    if (s == Stored::half) return static_cast<void>(static_cast<float16*>(p)[i] = float_to_half(x));
    if (s == Stored::brain) return static_cast<void>(static_cast<bfloat16*>(p)[i] = float_to_brain(x));
  }
  static_cast<T*>(p)[i] = x;
}
template <int n, class T>
LAMINA_INLINE void read_run(const void* p, std::int64_t i, Stored s, T (&x)[n]) {
  if constexpr (std::is_same_v<T, float>) {
    if (s != Stored::plain) {
      std::uint16_t raw[n];
      read_run(static_cast<const std::uint16_t*>(p) + i, raw);
#pragma unroll
      for (int k = 0; k < n; ++k)
        x[k] = s == Stored::half ? half_to_float(float16{raw[k]}) : brain_to_float(bfloat16{raw[k]});
      return;
    }
  }
  read_run(static_cast<const T*>(p) + i, x);
}
template <int n, class T>
LAMINA_INLINE void write_run(void* p, std::int64_t i, Stored s, const T (&x)[n]) {
  if constexpr (std::is_same_v<T, float>) {
    if (s != Stored::plain) {
      std::uint16_t raw[n];
#pragma unroll
      for (int k = 0; k < n; ++k) raw[k] = s == Stored::half ? float_to_half(x[k]).bits : float_to_brain(x[k]).bits;
      write_run(static_cast<std::uint16_t*>(p) + i, raw);
      return;
    }
  }
  write_run(static_cast<T*>(p) + i, x);
}

// Is every operand one run, or a number?
inline bool straight(const Loop& loop) {
  if (loop.ndim != 1) return false;
  for (int k = 0; k < loop.operand_count; ++k) {
    const Operand& o = loop.operands[k];
    if (o.data && (o.strides[0] != 1 || reinterpret_cast<std::uintptr_t>(o.data) % 16 != 0)) return false;
  }
  return true;
}

// ---- by strides ----

// The loop with its sizes made ready for division; fewer than 2^31 elements.
struct Walk {
  int ndim;
  std::uint32_t numel;
  Divisor shape[kLoopDims];
  std::int64_t strides[kLoopOperands][kLoopDims];

  explicit Walk(const Loop& loop) : ndim(loop.ndim), numel(static_cast<std::uint32_t>(loop.numel)) {
    for (int d = 0; d < ndim; ++d) {
      shape[d] = Divisor(loop.shape[d]);
      for (int k = 0; k < loop.operand_count; ++k)
        strides[k][d] = loop.operands[k].data ? loop.operands[k].strides[d] : 0;
    }
  }
  // The element that each operand has at a flat index.
  template <int operands>
  LAMINA_INLINE void seek(std::uint32_t flat, std::int64_t (&offset)[operands]) const {
#pragma unroll
    for (int k = 0; k < operands; ++k) offset[k] = 0;
    for (int d = ndim - 1; d >= 0; --d) {
      int rows, at;
      shape[d].divmod(static_cast<int>(flat), rows, at);
      flat = static_cast<std::uint32_t>(rows);
#pragma unroll
      for (int k = 0; k < operands; ++k) offset[k] += at * strides[k][d];
    }
  }
};

// Calls body(loop) for parts of the loop that 31 bits can count.
template <class Body>
void in_parts(const Loop& loop, Body body) {
  if (loop.numel <= kLargestPart) return body(loop);
  int d = 0;  // the outermost dimension that can be cut
  while (loop.shape[d] == 1) ++d;
  Loop half = loop;
  half.shape[d] = loop.shape[d] / 2;
  half.numel = loop.numel / loop.shape[d] * half.shape[d];
  in_parts(half, body);
  for (int k = 0; k < loop.operand_count; ++k) {
    Operand& o = half.operands[k];
    if (o.data)
      o.data =
          static_cast<char*>(o.data) + half.shape[d] * o.strides[d] * static_cast<std::int64_t>(item_size(o.dtype));
  }
  const std::int64_t rest = loop.shape[d] - half.shape[d];
  half.numel = loop.numel - half.numel;
  half.shape[d] = rest;
  in_parts(half, body);
}

// A number in the place of a tensor, as the type that is computed in.
template <class T>
T number_of(const Operand& o) {
  return read_as<T>(&o.immediate, 0, o.dtype);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
