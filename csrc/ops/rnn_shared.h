// What recurrent layers of built-in cells (rnn.cpp) and of programs (rnn_program.cpp) share.
#pragma once
#include "ops/elementwise.h"
#include "ops/gemm.h"
#include "ops/view.h"

namespace lamina {

inline void check_argument(const char* op, const char* argument, const Tensor& t, const Dims& shape, const Tensor& x) {
  check(t.shape() == shape, op, ": ", argument, " must have shape ", shape, ", got ", t.shape());
  check_as(ErrorKind::type, t.dtype() == x.dtype(), op, ": ", argument, " is ", name_of(t.dtype()), ", the input ",
           name_of(x.dtype()));
  check(t.device() == x.device(), op, ": ", argument, " is on ", t.device(), ", the input on ", x.device());
}

inline Tensor zeros(const Dims& shape, const Tensor& like) {
  const Tensor t = empty(shape, like.dtype(), like.device());
  write_fill(t, Scalar(0.0));
  return t;
}

// Blocks of H columns of [T, B, gates H], as a matrix.
inline Tensor gate_columns(const Tensor& gates, std::int64_t units, int first, int count) {
  const std::int64_t rows = gates.size(0) * gates.size(1);
  return narrow(view(gates, {rows, gates.size(2)}), 1, first * units, count * units);
}

inline Tensor slots_before(const Tensor& states, bool reverse) {
  return narrow(states, 0, reverse ? 1 : 0, states.size(0) - 1);
}
inline Tensor slots_after(const Tensor& states, bool reverse) {
  return narrow(states, 0, reverse ? 0 : 1, states.size(0) - 1);
}
inline Tensor last_slot(const Tensor& states, bool reverse) {
  return clone(select(states, 0, reverse ? 0 : states.size(0) - 1));
}

// true where a sequence has not ended: [T, B, 1].
inline Tensor running(const Tensor& lengths, std::int64_t steps) {
  const Tensor times =
      arange(Scalar(std::int64_t{0}), Scalar(steps), Scalar(std::int64_t{1}), DType::i64, lengths.device());
  return unsqueeze(binary(BinaryOp::lt, unsqueeze(times, 1), unsqueeze(lengths, 0)), 2);
}

inline void* data_or_null(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

inline void check_lengths(const char* op, const Tensor& lengths, std::int64_t batch) {
  if (!lengths.defined()) return;
  check(lengths.shape() == Dims{batch}, op, ": lengths must have shape ", Dims{batch}, ", got ", lengths.shape());
  check_as(ErrorKind::type, lengths.dtype() == DType::i64, op, ": lengths must be int64, got ",
           name_of(lengths.dtype()));
  check(lengths.contiguous(), op, ": lengths must be contiguous");
}

// The gradient of a long sequence goes through it in even stretches of about so many rows: those of the gates need
// memory for one stretch only and, on the CPU, are still in the cache when the products over them run. Elsewhere
// products are the better the longer they are.
constexpr std::int64_t kStretchRows = 512, kStretchRowsOfDevices = 32768;
// Of a GRU: its step then takes less than 0.7 of PyTorch's memory, for 1 to 2 % of its time.
constexpr std::int64_t kStretchRowsRemade = 448;
inline std::int64_t stretch_of(std::int64_t steps, std::int64_t batch, Device device,
                               std::int64_t rows_here = kStretchRows) {
  const std::int64_t rows = device == Device() ? rows_here : kStretchRowsOfDevices, stretch = 1 + rows / (batch + 1);
  if (steps <= 2 * stretch) return steps;
  const std::int64_t stretches = (steps + stretch / 2) / stretch;
  return (steps + stretches - 1) / stretches;
}

// Writes or adds a stretch's share of a gradient.
inline void give_product(const Tensor& to, const Tensor& a, const Tensor& b, bool fresh) {
  if (fresh)
    write_product(to, a, b);
  else
    add_product(to, a, b);
}
inline void give_rows(const Tensor& to, const Tensor& from, bool fresh) {
  write_copy(to, fresh ? from : add(to, from));
}

}  // namespace lamina
