// One recurrent layer in one direction over whole sequences, as a single node of the graph.
#pragma once
#include "core/tensor.h"
#include "kernels/rnn.h"

namespace lamina {

struct RnnWeights {
  Tensor input;                       // [inputs H, I]
  Tensor recurrent;                   // [(first + second) H, H]
  Tensor input_bias, recurrent_bias;  // [inputs H], [(first + second) H]; both or neither
  Tensor peephole;                    // [3, H]: of i, f and o; for kPeephole only
};

struct RnnStates {
  Tensor y;       // [T, B, H]: h after each time, 0 beyond a sequence's length
  Tensor h_last;  // [B, H]: h after all
  Tensor c_last;  // likewise, undefined without a cell state
};

// x: [T, B, I]. h and c: first states [B, H], undefined for zeros. lengths: int64 [B] of 1 … T, undefined: all are T;
// no state moves beyond a sequence's end, and a reverse run begins there.
RnnStates rnn(RnnCell cell, const Tensor& x, const RnnWeights& weights, const Tensor& h, const Tensor& c,
              const Tensor& lengths, bool reverse, std::uint32_t options, double leak);

const char* name_of(RnnCell cell);

}  // namespace lamina
