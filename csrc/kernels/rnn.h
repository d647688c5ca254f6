// Recurrent sequences: the cells, what a kernel sees of one layer's run in one direction, and the table.
//
// T steps, B sequences, H units. Blocks of H columns are gates, in PyTorch's order: LSTM i f g o, GRU r z n.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "kernels/rnn_program.h"

namespace lamina {

enum class RnnCell : int {
  tanh,
  relu,
  lstm,
  lstm_variant,
  lstm_full,  // a variant whose gates see the gates of the step before ("full gate recurrence")
  gru,
  gru_reset_before,
  mut1,  // R. Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, 2015
  mut2,
  mut3,
  count
};
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
  int inputs;               // gates fed by the input: the blocks of `gates`
  int first;                // gates fed by what they see of the state: the rows of the recurrent weight
  int second;               // gates fed by a masked h, which needs the first gates: the rows of the second weight
  int gradients;            // blocks of `dgates`: the inputs' gates, then a recurrent share that is used apart
  int columns[4];           // block of `dgates` that belongs to each recurrent gate
  int unit;                 // vectors of H parameters that act on single units
  bool cell;                // is there a state c beside h?
  int seen = 1;             // blocks of H that the first gates see: h, then what the cell shows them
  int raw = -1;             // the gate whose share is the input itself, without a weight; the others lie side by side
  bool bias_apart = false;  // the last recurrent gate's bias is the first vector of the unit's parameters

  // The last of the first gates' product with h, which is not stored but made again for backward: how many blocks.
  constexpr int remade() const { return gradients - inputs; }
};
static constexpr RnnLayout layout_of(RnnCell cell) {
  switch (cell) {
    case RnnCell::lstm: return {4, 4, 0, 4, {0, 1, 2, 3}, 0, true};
    case RnnCell::lstm_variant: return {4, 4, 0, 4, {0, 1, 2, 3}, 3, true};
    case RnnCell::lstm_full: return {4, 4, 0, 4, {0, 1, 2, 3}, 3, true, 4};
    case RnnCell::gru:  // the candidate's recurrent part is kept apart: the reset gate multiplies it
      return {3, 3, 0, 4, {0, 1, 3}, 1, false, 1, -1, true};
    case RnnCell::gru_reset_before: return {3, 2, 1, 3, {0, 1, 2}, 0, false};
    case RnnCell::mut1: return {3, 1, 1, 3, {0, 2}, 1, false, 1, 2, true};
    case RnnCell::mut2: return {3, 2, 1, 3, {0, 1, 2}, 0, false, 1, 0};
    case RnnCell::mut3: return {3, 2, 1, 3, {0, 1, 2}, 0, false, 2};
    default: return {1, 1, 0, 1, {0}, 0, false};
  }
}

// State s is what holds after s steps; a reverse run begins at the other end, so that its state after time t lies in
// slot t instead of t + 1, and its first in slot T.
struct RnnRun {
  std::int64_t steps, batch, units;
  std::int64_t first_time;  // of these steps, for `lengths`: a part of a sequence may run by itself
  bool reverse;
  std::uint32_t options;  // LstmOption
  bool of_halves;         // the weights are float16's or bfloat16's, widened: TF32 holds them exactly
  // H. Sak et al., 2014: what the gates see of h, and the layer gives, is a product of so many features; 0: h itself.
  std::int64_t projected;
  double h_rate, c_rate;  // a state moves this part of its way to what the cell gives; 1: all of it
  const void* h_moves;    // [T, B, H], factors of the rates, or null
  const void* c_moves;    // likewise
  const void* weight;     // of the first gates, [first H, depth of what they see]
  const void* second;     // of the others, [second H, H], or of the projection, [projected, H], or null
  void* packed;           // work space of packed_bytes(), or what `pack` left there
  bool is_packed;
  bool keeps_gates;              // for backward
  void* gates;                   // [T, B, inputs, H]: the inputs' share; forward turns it into what backward needs
  const void* shares;            // [rows, inputs, H]: what the input gives each gate; null: that lies in `gates`
  const std::int64_t* share_of;  // [T, B]: which of these a sequence gets at a time
  void* h;                       // [T + 1, B, H], the first state filled in (if projected: finite, and read by nobody)
  void* c;                       // likewise, or null
  void* seen;                    // [T + 1, B, depth], the first filled in; null: the gates see h itself
  const void* mask;              // [B, H], factors of h as the gates see it, or null
  void* masked;                  // [T, B, H], the masked h of cells with a second stage, or null
  const void* bias;              // [inputs, H], what every step adds to the inputs' share, or null
  const void* unit;              // [unit, H], or null
  const std::int64_t* lengths;   // [B], or null: beyond its length a sequence keeps its state

  // Features of the state: of what callers get, and of the first block that the gates see.
  constexpr std::int64_t features() const { return projected ? projected : units; }
};

struct RnnGradRun {
  RnnRun forward;  // as the forward run left it; `packed` is fresh
  // [T, B, gradients, H]: receives the gradients of the gates before their activations; what is remade lies where its
  // gradient will.
  void* dgates;
  const void* dy;  // gradients of the states after each time, rows of H at dy_step and dy_row; null: none
  std::int64_t dy_step, dy_row;
  void* dh;        // [B, features]: in: the gradient of the last h, or of its projection, out: of the first
  void* dc;        // [B, H], likewise, or null
  void* every;     // [T, B, H]: receives the gradient of h after each time; or null
  void* returned;  // work space of returned_bytes()
  // [T, B, projected]: receives the gradient of the projection after each time, 0 where no h was projected; or null.
  void* dprojected;
};

struct RnnTable {
  // Enough for both directions of travel.
  std::size_t (*packed_bytes)(RnnCell cell, DType dtype, std::int64_t units, std::int64_t projected);
  std::size_t (*returned_bytes)(RnnCell cell, DType dtype, std::int64_t batch, std::int64_t units,
                                std::int64_t projected);
  // By cell and type; float32 and float64 only. `pack` is for weights that serve several forward runs.
  void (*pack[kRnnCells][kDTypeCount])(void* packed, const void* weight, const void* second, std::int64_t units);
  void (*forward[kRnnCells][kDTypeCount])(RnnRun run);
  void (*backward[kRnnCells][kDTypeCount])(RnnGradRun run);
  std::size_t (*program_packed_bytes)(DType dtype, std::int64_t units, int gates,
                                      int seen);  // blocks of H that they see
  void (*program_pack[kDTypeCount])(void* packed, const void* weight, std::int64_t units, int gates, int seen);
  std::int64_t (*row_blocks)(std::int64_t batch);
  void (*program_forward[kDTypeCount])(RnnProgramRun run);
  void (*program_backward[kDTypeCount])(RnnProgramGradRun run);
};

}  // namespace lamina
