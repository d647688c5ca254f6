// A recurrent layer whose cell is a program (kernels/rnn_program.h), in one direction over whole sequences, as a single
// node of the graph.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "kernels/rnn_program.h"

namespace lamina {

std::vector<std::string> cell_op_names();  // in the order of their codes

// One of a cell's two programs: code int32 [instructions, kProgramFields], constants float64.
struct CellCode {
  Tensor code, constants;
};

struct RnnCellDescription {
  std::vector<int> columns;  // of each gate that h feeds: the block that its share goes to
  int inputs, stored, states, parameters;
  int shown;  // of the states, the last: gates see them beside h
  int late;   // of the gates, the last: they see a value of the cell's own instead
  CellCode forward, backward;
  CellCode early, early_backward;  // of that value; without late gates undefined
};
using RnnCellRef = std::shared_ptr<const RnnCellDescription>;

// Checks that the programs reach nothing beyond their slots.
RnnCellRef rnn_cell(RnnCellDescription description);

struct RnnProgramArguments {
  Tensor input_weight, recurrent_weight;  // [inputs H, I], [gates H, (1 + shown) H]
  Tensor parameters;                      // [parameters, H], or undefined
  Tensor first;                           // states [states, B, H]; undefined: zeros
  Tensor lengths;                         // int64 [B], or undefined
  bool reverse = false;
  double eps = 0;            // of the layer norm; 0: none
  double rates[2] = {1, 1};  // as in RnnTransition, of the first two states
  Tensor moves[2], mask, probe;
};

struct RnnProgramStates {
  Tensor y;     // [T, B, H]
  Tensor last;  // [states, B, H]
};

RnnProgramStates rnn_program(const RnnCellRef& cell, const Tensor& x, const RnnProgramArguments& arguments);

}  // namespace lamina
