// Vec<T>: as many T (float or double) as one register of the target holds, with the same interface everywhere, so that
// a kernel is written once and compiled per target.
//
//   Vec<T>::width                   lanes: float 1 scalar, 8 AVX2, 16 AVX-512, 4 NEON; double half of that (1 scalar)
//   Vec<T>(x), implicit             x in every lane; Vec<T>() is uninitialised
//   Vec<T>::load(p), load(p, n)     unaligned; with n in [0, width]: only n elements are read, the other lanes are zero
//   v.store(p), v.store(p, n)       likewise; float vectors also load from and store to float16* and bfloat16*
//   + - * /  unary -  += -= *= /=
//   < <= > >= == !=                 give Mask<T>, with & | ^ ~, any, all, load_bytes, store_bytes (a byte 0 or 1 a
//   lane) select(m, a, b)                 m ? a : b fma(a, b, c), fnma(a, b, c)     a * b + c, c - a * b; rounded once
//   if kFusedMultiplyAdd, else twice maximum, minimum                NaN if either is NaN, as in PyTorch max, min
//   fastest; either operand may come back if one is NaN abs, sqrt, copysign, isnan, isinf floor, ceil, trunc, round
//   round: halves to even fold(v, op), sum, hmax, hmin    across lanes by halving: first lanes i and i + width/2, then
//   width/4, …; hmax and
//                                   hmin give NaN if any lane is NaN
//   Ints<T>                         integers of T's size, one a lane, for work on bits: see the end of vec_ops.h
//
// The same functions exist for plain numbers (plain.h): formulas are templates over Vec<float>, Vec<double>, float,
// int….
#pragma once

#include "simd/plain.h"
#include "simd/target.h"
#include "simd/vec_ops.h"

#if defined(LAMINA_TARGET_AVX512)
#include "simd/vec_avx512.h"
#elif defined(LAMINA_TARGET_AVX2)
#include "simd/vec_avx2.h"
#elif defined(LAMINA_TARGET_NEON)
#include "simd/vec_neon.h"
#elif defined(LAMINA_TARGET_SCALAR)
#include "simd/vec_scalar.h"
#else
#error "define one of LAMINA_TARGET_SCALAR, LAMINA_TARGET_AVX2, LAMINA_TARGET_AVX512, LAMINA_TARGET_NEON"
#endif
