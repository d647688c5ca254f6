// Instructions that C++ has no words for, and what they mean where they are emulated (see launch.h).
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "cuda/launch.h"
#include "cuda/tile_layout.h"
#include "simd/half_scalar.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE float fused(float a, float b, float c) { return ::fmaf(a, b, c); }
LAMINA_INLINE double fused(double a, double b, double c) { return ::fma(a, b, c); }

// A function that is part of a kernel's body.
#ifdef __CUDACC__
#define LAMINA_IN_KERNEL __device__ __forceinline__
#else
#define LAMINA_IN_KERNEL inline
#endif

#ifdef __CUDACC__
LAMINA_IN_KERNEL std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}
#endif

// The same number, but unknown to the compiler: what follows from it is computed anew instead of being kept in
// registers through a loop.
LAMINA_IN_KERNEL int forgotten(int x) {
#ifdef __CUDACC__
  asm volatile("mov.b32 %0, %0;" : "+r"(x));
#endif
  return x;
}

// ---- cp.async: copies from global to shared memory that land later ----

// One thread's copies, in groups. wait<N>() returns when all but its last N groups have landed; other threads see them
// after a barrier. Where a copy is emulated it lands at once or as late as it may (LAMINA_EMULATE_COPIES=late), so that
// a buffer overwritten too early and a wait too few both show.
class AsyncCopies {
 public:
  // The first `valid` of kBytes are copied, the rest become zeros; with valid == 0 nothing is read.
  template <int kBytes>
  LAMINA_IN_KERNEL void copy(void* to, const void* from, int valid);
  LAMINA_IN_KERNEL void commit();
  template <int kPending>
  LAMINA_IN_KERNEL void wait();

#ifndef __CUDACC__
 private:
  struct Copy {
    void* to;
    const void* from;
    int bytes, valid;
    void land() const {
      std::memset(to, 0, bytes);
      if (valid > 0) std::memcpy(to, from, valid);
    }
  };
  static constexpr int kMostCopies = 512, kMostGroups = 8;
  Copy copies_[kMostCopies];
  int ends_[kMostGroups];
  int copies = 0, groups = 0;
  static bool late() {
    static const bool value = [] {
      const char* asked = std::getenv("LAMINA_EMULATE_COPIES");
      return asked && std::strcmp(asked, "late") == 0;
    }();
    return value;
  }
#endif
};

#ifdef __CUDACC__
template <int kBytes>
LAMINA_IN_KERNEL void AsyncCopies::copy(void* to, const void* from, int valid) {
  if constexpr (kBytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(kBytes),
                 "r"(valid)
                 : "memory");
}
LAMINA_IN_KERNEL void AsyncCopies::commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
LAMINA_IN_KERNEL void AsyncCopies::wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}
#else
template <int kBytes>
void AsyncCopies::copy(void* to, const void* from, int valid) {
  const Copy c{to, from, kBytes, valid};
  if (!late()) return c.land();
  if (copies == kMostCopies) std::abort();
  copies_[copies++] = c;
}
void AsyncCopies::commit() {
  if (groups == kMostGroups) std::abort();
  ends_[groups++] = copies;
}
template <int kPending>
void AsyncCopies::wait() {
  if (groups <= kPending) return;
  const int landing = groups - kPending, landed = ends_[landing - 1];
  for (int i = 0; i < landed; ++i) copies_[i].land();
  for (int i = landed; i < copies; ++i) copies_[i - landed] = copies_[i];
  for (int i = landing; i < groups; ++i) ends_[i - landing] = ends_[i] - landed;
  copies -= landed;
  groups = kPending;
}
#endif

// ---- ldmatrix: four matrices of 8 rows of 16 bytes, a row's address from each lane ----

// Register i of a lane holds word lane % 4 of row lane / 4 of matrix i, whose rows lie where lanes 8i … 8i + 7 say.
// Transposed, of 16-bit elements: column lane / 4 of rows 2 (lane % 4) and the next.
template <bool kTransposed>
LAMINA_IN_KERNEL void load_matrices([[maybe_unused]] const Thread& t, std::uint32_t (&r)[4], const void* row) {
#ifdef __CUDACC__
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
#else
  const void* rows[32];
  t.exchange(row, rows);
  const int lane = t.lane();
  for (int i = 0; i < 4; ++i) {
    std::uint16_t pair[2];
    for (int j = 0; j < 2; ++j) {
      const int at_row = kTransposed ? lane % 4 * 2 + j : lane / 4, at_col = kTransposed ? lane / 4 : lane % 4 * 2 + j;
      pair[j] = static_cast<const std::uint16_t*>(rows[8 * i + at_row])[at_col];
    }
    std::memcpy(&r[i], pair, sizeof pair);
  }
#endif
}

// ---- mma.sync: D[16][8] += A[16][8 words] B[8 words][8], products exact, sums in float32 ----

#ifndef __CUDACC__
template <class T>
float word_part(std::uint32_t word, int part) {
  const std::uint16_t bits = static_cast<std::uint16_t>(word >> 16 * part);
  if constexpr (std::is_same_v<T, bfloat16>) return brain_to_float({bits});
  if constexpr (std::is_same_v<T, float16>) return half_to_float({bits});
  return float_of_bits(word & 0xffffe000u);  // TF32: what is below is not looked at
}
#endif

template <class T>  // bfloat16, float16, or float: TF32
LAMINA_IN_KERNEL void multiply_fragments([[maybe_unused]] const Thread& t, float (&d)[4], const std::uint32_t (&a)[4],
                                         std::uint32_t b0, std::uint32_t b1) {
#ifdef __CUDACC__
#define LAMINA_MMA(shape, types)                                     \
  asm volatile("mma.sync.aligned." shape ".row.col.f32." types       \
               ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, " \
               "{%0, %1, %2, %3};"                                   \
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])      \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
  if constexpr (sizeof(T) == 4)
    LAMINA_MMA("m16n8k8", "tf32.tf32");
  else if constexpr (std::is_same_v<T, bfloat16>)
    LAMINA_MMA("m16n8k16", "bf16.bf16");
  else
    LAMINA_MMA("m16n8k16", "f16.f16");
#undef LAMINA_MMA
#else
  struct Words {
    std::uint32_t a[4], b[2];
  };
  Words all[32];
  t.exchange(Words{{a[0], a[1], a[2], a[3]}, {b0, b1}}, all);
  float wide_a[16][16], wide_b[16][8];
  constexpr int kParts = sizeof(T) == 4 ? 1 : 2;
  const int lane = t.lane();
  for (int other = 0; other < 32; ++other)
    for (int r = 0; r < 4; ++r)
      for (int part = 0; part < kParts; ++part) {
        wide_a[MmaLanes::a_row(other, r)][MmaLanes::a_word(other, r) * kParts + part] =
            word_part<T>(all[other].a[r], part);
        if (r < 2)
          wide_b[MmaLanes::b_word(other, r) * kParts + part][MmaLanes::b_col(other)] =
              word_part<T>(all[other].b[r], part);
      }
  for (int r = 0; r < 4; ++r) {
    double sum = d[r];
    for (int k = 0; k < 8 * kParts; ++k)
      sum += static_cast<double>(wide_a[MmaLanes::c_row(lane, r)][k]) * wide_b[k][MmaLanes::c_col(lane, r)];
    d[r] = static_cast<float>(sum);
  }
#endif
}

// float32 to the nearest TF32, ties away from zero, in the same 32 bits.
LAMINA_IN_KERNEL std::uint32_t to_tf32(std::uint32_t word) {
#ifdef __CUDACC__
  std::uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "r"(word));
  return rounded;
#else
  return (word & 0x7f800000u) == 0x7f800000u ? word : word + 0x1000u;
#endif
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
