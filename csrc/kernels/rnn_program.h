// Cells that are given as programs: gate arithmetic traced and differentiated in Python (nn/cells.py), run by the same
// sequence driver as the built-in cells, some dozens of units at a time (cpu/rnn_program.h).
#pragma once
#include <cstddef>
#include <cstdint>

namespace lamina {

// name, operands. An instruction applies one of them to rows of units.
#define LAMINA_CELL_OPS(X)              \
  X(copy, a)                            \
  X(neg, -a)                            \
  X(add, a + b)                         \
  X(sub, a - b)                         \
  X(mul, a* b)                          \
  X(div, a / b)                         \
  X(fma, fma(a, b, c))                  \
  X(fnma, fnma(a, b, c))                \
  X(sigmoid, sigmoid(a))                \
  X(tanh, tanh(a))                      \
  X(relu, maximum(a, V(0)))             \
  X(sigmoid_grad, a* b*(V(1) - b))      \
  X(tanh_grad, a* fnma(b, b, V(1)))     \
  X(exp, exp(a))                        \
  X(log, log(a))                        \
  X(sqrt, sqrt(a))                      \
  X(sin, sin(a))                        \
  X(cos, cos(a))                        \
  X(softplus, softplus(a))              \
  X(maximum, maximum(a, b))             \
  X(minimum, minimum(a, b))             \
  X(greater, select(a > b, V(1), V(0))) \
  X(where, select(a > V(0), b, c))

enum class CellOp : std::int32_t {
#define LAMINA_CELL_OP(name, formula) name,
  LAMINA_CELL_OPS(LAMINA_CELL_OP)
#undef LAMINA_CELL_OP
      count
};

constexpr int kProgramGates = 16, kProgramStates = 8;
constexpr int kProgramRows = 64;    // constants and values held at once
constexpr int kProgramSlots = 256;  // these and the rows in memory
constexpr int kProgramFields = 5;   // of an instruction: CellOp, result, three operands, all of them slots

// Slots: forward: blocks · states before · parameters · states after · constants · values; backward: blocks · states
// before · parameters · gradients of blocks · of states · of parameters · constants · values. The gradients of states
// and parameters are there before: a program turns those of the new states into those that reach the old ones directly,
// and adds to those of parameters.
//
// A cell of two stages has one more program for the value that its last gates see in the place of h: forward: blocks ·
// states before · parameters · the value; backward: as above, with the value's gradient before the constants, and all
// others are added to.
struct CellProgram {
  const std::int32_t* code;  // [instructions, kProgramFields]
  const double* constants;
  int instructions, constant_count;
};

// One layer's run in one direction over T steps, B sequences, H units, as RnnRun (kernels/rnn.h); what h gives a gate
// is added to a block of its step, or is one. All gates but the `late` ones see h, and the last `shown` states beside
// it.
struct RnnProgramRun {
  std::int64_t steps, batch, units;
  std::int64_t first_time;  // as in RnnRun
  bool reverse;
  bool of_halves;                                      // as in RnnRun
  int gates, inputs, stored, state_count, parameters;  // inputs: the first blocks of `stored`, fed by the input
  int shown, late;                                     // never both
  std::int32_t columns[kProgramGates];                 // block of a gate; below `inputs`: added to, else written
  CellProgram early, program;                          // `early`: of the value that the late gates see
  const void* weight;                                  // [gates H, (1 + shown) H]
  void* packed;  // work space of program_packed_bytes(), or what program_pack left there
  bool is_packed;
  void* blocks;               // [T, B, stored, H]; forward leaves the sums, normalised if `scale`
  std::int64_t state_stride;  // elements from one state to the next
  void* states;               // [states, T + 1, B, H], the first ones filled in; h is the first
  void* seen;        // [T + 1, B, (1 + shown) H], the first filled in: h under `mask`, then what is shown; or null: h
  void* late_seen;   // [T, B, H]: what the late gates saw, under `mask` too; or null
  const void* mask;  // [B, H], or null
  const void* unit;  // parameters of single units: [parameters, H], or null
  void* scale;       // [T, B, stored]: 1/σ of each block, left for backward; null: no layer norm
  double eps;
  double rates[2];              // of the first two states, as in RnnRun
  const void* moves[2];         // [T, B, H], or null
  const std::int64_t* lengths;  // [B], or null
};

struct RnnProgramGradRun {
  RnnProgramRun forward;  // as the forward run left it; the program is the gradient's, `packed` fresh
  void* dblocks;          // [T, B, stored, H]
  const void* dy;         // as in RnnGradRun
  std::int64_t dy_step, dy_row;
  void* dstates;      // [states, B, H]: in: of the last, out: of the first
  void* every;        // as in RnnGradRun
  void* dlate_seen;   // [B, H], work space of cells of two stages
  void* stays;        // work space like dstates; null if all states move all the way
  void* dparameters;  // [row blocks, parameters, H] of zeros
};

}  // namespace lamina
