// One recurrent layer in one direction over whole sequences, as a single node of the graph.
#pragma once
#include <string>

#include "core/tensor.h"
#include "kernels/rnn.h"

namespace lamina {

struct RnnWeights {
  Tensor input;                       // [gates with a weight · H, I]
  Tensor recurrent;                   // [first H, seen H]; or with the second's rows below, where the first see h alone
  Tensor second;                      // [second H, H]; undefined: part of `recurrent`
  Tensor input_bias, recurrent_bias;  // [gates with a weight · H], [(first + second) H]; both or neither
  Tensor peephole;                    // [3, H]: of i, f and o; for kPeephole only
  // [words, I], or undefined. Where there is one, x is int64 [T, B] and names rows of it: what a row gives the gates is
  // computed once, however often it comes.
  Tensor table;
  Tensor projection;  // [features, H], or undefined: what the gates see of h, and the layer gives
};

// How a step's result becomes the state. No gradient reaches any of it.
struct RnnTransition {
  double h_rate = 1, c_rate = 1;  // a state moves this part of its way: leaky integration; zoneout's expectation
  Tensor h_moves, c_moves;        // [T, B, H], factors of the rates: zoneout's masks; or undefined
  Tensor probe;  // [T, B, H], read by nobody; receives the gradients of h after each time; or undefined
  Tensor mask;   // [B, H], factors of h as the gates see it: variational dropout; or undefined
};

struct RnnStates {
  Tensor y;       // [T, B, H]: h, or its projection, after each time, 0 beyond a sequence's length
  Tensor h_last;  // [B, H]: the same after all
  Tensor c_last;  // [B, H], undefined without a cell state
};

// x: [T, B, I]. h and c: first states [B, H] (a projected h: [B, features]), undefined for zeros. lengths: int64 [B] of
// 1 … T, undefined: all are T; no state moves beyond a sequence's end, and a reverse run begins there.
RnnStates rnn(RnnCell cell, const Tensor& x, const RnnWeights& weights, const Tensor& h, const Tensor& c,
              const Tensor& lengths, bool reverse, std::uint32_t options, const RnnTransition& transition);

const char* name_of(RnnCell cell);
RnnCell rnn_cell_named(const std::string& name);

}  // namespace lamina
