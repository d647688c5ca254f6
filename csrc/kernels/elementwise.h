// Element-wise operations: the list. A row gives the name, the types it takes, what its gradient needs and the Python
// signature of its parameters (kInternal: no Python name of its own; an operation that has one goes this way where it
// can). Formula and derivative stand under the same name in elementwise_formulas.h; the CPU and CUDA instances, the
// autograd node, the Python function and method come from these rows.
#pragma once
#include "kernels/loop.h"

namespace lamina {

// The types that an operation takes and gives.
enum class Kind : std::uint8_t {
  floating,    // computes in float32/float64; integers are promoted to float32
  arithmetic,  // any type but bool, result of the same type
  numeric,     // any type, bool too
  bits,        // integers and bool
  predicate,   // any type in, bool out
};

// What the gradient formula reads beside dy.
enum class Saves : std::uint8_t { nothing, input, output, no_gradient };

inline constexpr char kInternal[] = "internal";

// clang-format off
#define LAMINA_UNARY_OPS(X)                                 \
  X(exp, floating, output, "")                              \
  X(exp2, floating, output, "")                             \
  X(expm1, floating, output, "")                            \
  X(log, floating, input, "")                               \
  X(log2, floating, input, "")                              \
  X(log10, floating, input, "")                             \
  X(log1p, floating, input, "")                             \
  X(sqrt, floating, output, "")                             \
  X(rsqrt, floating, output, "")                            \
  X(reciprocal, floating, output, "")                       \
  X(sin, floating, input, "")                               \
  X(cos, floating, input, "")                               \
  X(tan, floating, output, "")                              \
  X(asin, floating, input, "")                              \
  X(acos, floating, input, "")                              \
  X(atan, floating, input, "")                              \
  X(sinh, floating, input, "")                              \
  X(cosh, floating, input, "")                              \
  X(tanh, floating, output, "")                             \
  X(sigmoid, floating, output, "")                          \
  X(erf, floating, input, "")                               \
  X(erfc, floating, input, "")                              \
  X(neg, arithmetic, nothing, "")                           \
  X(abs, arithmetic, input, "")                             \
  X(sign, arithmetic, nothing, "")                          \
  X(square, arithmetic, input, "")                          \
  X(small_power, floating, input, kInternal)                \
  X(floor, arithmetic, nothing, "")                         \
  X(ceil, arithmetic, nothing, "")                          \
  X(round, arithmetic, nothing, "")                         \
  X(trunc, arithmetic, nothing, "")                         \
  X(relu, arithmetic, output, "")                           \
  X(relu6, floating, input, "")                             \
  X(leaky_relu, floating, input, "negative_slope=0.01")     \
  X(threshold, floating, input, "threshold, value")         \
  X(elu, floating, input, "alpha=1.0")                      \
  X(celu, floating, input, "alpha=1.0")                     \
  X(selu, floating, input, "")                              \
  X(gelu, floating, input, "")                              \
  X(gelu_tanh, floating, input, "")                         \
  X(silu, floating, input, "")                              \
  X(mish, floating, input, "")                              \
  X(softplus, floating, input, "beta=1.0, threshold=20.0")  \
  X(softsign, floating, input, "")                          \
  X(logsigmoid, floating, input, "")                        \
  X(tanhshrink, floating, input, "")                        \
  X(clamp_to_numbers, floating, input, kInternal)           \
  X(hardtanh, floating, input, "min_val=-1.0, max_val=1.0") \
  X(hardsigmoid, floating, input, "")                       \
  X(hardswish, floating, input, "")                         \
  X(hardshrink, floating, input, "lambd=0.5")               \
  X(softshrink, floating, input, "lambd=0.5")               \
  X(bitwise_not, bits, no_gradient, "")                     \
  X(isnan, predicate, no_gradient, "")                      \
  X(isinf, predicate, no_gradient, "")                      \
  X(isfinite, predicate, no_gradient, "")                   \
  X(signbit, predicate, no_gradient, "")                    \
  X(logical_not, predicate, no_gradient, "")

#define LAMINA_BINARY_OPS(X)                                \
  X(add, numeric, nothing)                                  \
  X(sub, arithmetic, nothing)                               \
  X(mul, numeric, input)                                    \
  X(div, floating, input)                                   \
  X(pow, arithmetic, input)                                 \
  X(maximum, numeric, input)                                \
  X(minimum, numeric, input)                                \
  X(atan2, floating, input)                                 \
  X(hypot, floating, input)                                 \
  X(floor_divide, arithmetic, no_gradient)                  \
  X(remainder, arithmetic, input)                           \
  X(fmod, arithmetic, input)                                \
  X(bitwise_and, bits, no_gradient)                         \
  X(bitwise_or, bits, no_gradient)                          \
  X(bitwise_xor, bits, no_gradient)                         \
  X(bitwise_left_shift, bits, no_gradient)                  \
  X(bitwise_right_shift, bits, no_gradient)                 \
  X(eq, predicate, no_gradient)                             \
  X(ne, predicate, no_gradient)                             \
  X(lt, predicate, no_gradient)                             \
  X(le, predicate, no_gradient)                             \
  X(gt, predicate, no_gradient)                             \
  X(ge, predicate, no_gradient)                             \
  X(logical_and, predicate, no_gradient)                    \
  X(logical_or, predicate, no_gradient)                     \
  X(logical_xor, predicate, no_gradient)
// clang-format on

#define LAMINA_OP_NAME(name, ...) name,
enum class UnaryOp : int { LAMINA_UNARY_OPS(LAMINA_OP_NAME) count };
enum class BinaryOp : int { LAMINA_BINARY_OPS(LAMINA_OP_NAME) count };
constexpr int kUnaryOps = static_cast<int>(UnaryOp::count);
constexpr int kBinaryOps = static_cast<int>(BinaryOp::count);

struct ElementwiseTable {
  // Runs `inner` over the loop; operands not of the given compute types are converted on the way in and out.
  void (*run)(Loop loop, Inner inner, DType in_type, DType out_type, Params params);
  // operand 0 = operand 1, converted: copies, casts, fills.
  void (*copy)(Loop loop);
  // operand 0 = operand 1 (bool) ? operand 2 : operand 3; the last three of one type with operand 0.
  void (*where)(Loop loop);
  // out[i] = start + i · step, in double for floating types, in int64 for the others.
  void (*iota)(void* out, DType dtype, double start, double step, std::int64_t int_start, std::int64_t int_step,
               std::int64_t n);
  Inner unary[kUnaryOps][kDTypeCount];       // null: not defined for the type
  Inner unary_grad[kUnaryOps][kDTypeCount];  // dx from (dy, what is saved)
  Inner binary[kBinaryOps][kDTypeCount];
  Inner binary_grad[2][kBinaryOps][kDTypeCount];  // [0] da, [1] db from (dy, a, b)
};

}  // namespace lamina
