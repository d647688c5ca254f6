// Recurrent sequences: the cells, what a kernel sees of one layer's run in one direction, and the table.
//
// T steps, B sequences, H units. Blocks of H columns are gates, in PyTorch's order: LSTM i f g o, GRU r z n.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

enum class RnnCell : int { tanh, relu, lstm, lstm_variant, gru, gru_reset_before, count };
constexpr int kRnnCells = static_cast<int>(RnnCell::count);

// What sets lstm_variant apart from the LSTM (the variants of K. Greff et al., LSTM: A Search Space Odyssey, 2017).
enum LstmOption : std::uint32_t {
  kNoInputGate = 1,
  kNoForgetGate = 2,
  kNoOutputGate = 4,
  kNoInputActivation = 8,
  kNoOutputActivation = 16,
  kPeephole = 32,  // i and f see the cell as it was, o as it becomes, each through H weights
  kCoupled = 64,   // f = 1 - i
};

// What callers must know of a cell to lay out its memory.
struct RnnLayout {
  int inputs;      // gates fed by the input: the first columns of `gates`
  int first;       // gates fed by h: the first rows of the recurrent weight
  int second;      // gates fed by a masked h, which needs the first gates: the rest of its rows
  int stored;      // blocks of `gates`: at first the inputs' share, then what backward needs
  int columns[4];  // block of `stored` that belongs to each recurrent gate
  int unit;        // vectors of H parameters that act on single units
  bool cell;       // is there a state c beside h?
};
static constexpr RnnLayout layout_of(RnnCell cell) {
  switch (cell) {
    case RnnCell::lstm: return {4, 4, 0, 4, {0, 1, 2, 3}, 0, true};
    case RnnCell::lstm_variant: return {4, 4, 0, 4, {0, 1, 2, 3}, 3, true};
    case RnnCell::gru:  // the candidate's recurrent part is kept apart: the reset gate multiplies it
      return {3, 3, 0, 4, {0, 1, 3}, 1, false};
    case RnnCell::gru_reset_before: return {3, 2, 1, 3, {0, 1, 2}, 0, false};
    default: return {1, 1, 0, 1, {0}, 0, false};
  }
}

// State s is what holds after s steps; a reverse run begins at the other end, so that its state after time t lies in
// slot t instead of t + 1, and its first in slot T.
struct RnnRun {
  std::int64_t steps, batch, units;
  bool reverse;
  std::uint32_t options;        // LstmOption
  double leak;                  // h = (1 - leak) h_before + leak · (what the cell gives); 1: no leak
  const void* weight;           // recurrent, [(first + second) H, H]
  void* packed;                 // work space of packed_bytes()
  void* gates;                  // [T, B, stored, H]; forward turns the inputs' share into what backward needs
  void* h;                      // [T + 1, B, H], the first state filled in
  void* c;                      // likewise, or null
  void* masked;                 // [T, B, H], the masked h of cells with a second stage, or null
  const void* bias;             // [inputs, H], what every step adds to the inputs' share, or null
  const void* unit;             // [unit, H], or null
  const std::int64_t* lengths;  // [B], or null: beyond its length a sequence keeps its state
};

struct RnnGradRun {
  RnnRun forward;  // as the forward run left it; `packed` is fresh
  void* dgates;    // [T, B, stored, H]: receives the gradients of the gates before their activations
  const void* dy;  // gradients of the states after each time, rows of H at dy_step and dy_row; null: none
  std::int64_t dy_step, dy_row;
  void* dh;  // [B, H]: in: the gradient of the last h, out: of the first
  void* dc;  // likewise, or null
};

struct RnnTable {
  std::size_t (*packed_bytes)(RnnCell cell, DType dtype, std::int64_t units);  // enough for both directions of travel
  // By cell and type; float32 and float64 only.
  void (*forward[kRnnCells][kDTypeCount])(RnnRun run);
  void (*backward[kRnnCells][kDTypeCount])(RnnGradRun run);
};

}  // namespace lamina
