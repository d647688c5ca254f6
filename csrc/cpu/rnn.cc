// The recurrent family: one driver (rnn_driver.h), an instance for every cell and type.
#include "cpu/rnn_driver.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T, class Cell>
void forward(RnnRun run) {
  constexpr RnnLayout layout = layout_of(Cell::kCell);
  drive<Forward<T, Cell>>(run, run.batch, run.units, layout.first * layout.seen + layout.second);
}
template <class T, class Cell>
void pack_weights(void* packed, const void* weight, const void* second, std::int64_t units) {
  RnnRun run{};
  run.units = units;
  run.packed = packed;
  run.weight = weight;
  run.second = second;
  Forward<T, Cell>(run).pack_all();
}
template <class T, class Cell>
void backward(RnnGradRun run) {
  constexpr RnnLayout layout = layout_of(Cell::kCell);
  drive<Backward<T, Cell>>(run, run.forward.batch, run.forward.units, layout.first * layout.seen + layout.second);
}

template <class T>
std::size_t packed_size(RnnCell cell, std::int64_t units, std::int64_t projected) {
  const RnnLayout layout = layout_of(cell);
  const std::int64_t padded = (units + kTileCols<T> - 1) / kTileCols<T> * kTileCols<T>;  // the widest panel
  const int second = projected ? 1 : layout.second;  // there are fewer features than units
  return static_cast<std::size_t>((layout.first * layout.seen + second) * padded * units) * sizeof(T);
}

std::size_t packed_bytes(RnnCell cell, DType dtype, std::int64_t units, std::int64_t projected) {
  return dtype == DType::f32 ? packed_size<float>(cell, units, projected) : packed_size<double>(cell, units, projected);
}

template <class T>
std::size_t returned_size(RnnCell cell, std::int64_t batch, std::int64_t units, std::int64_t projected) {
  using Panels = ReturnPanels<T>;
  const RnnLayout layout = layout_of(cell);
  const std::int64_t slots = layout.second || projected ? 3 : 2;
  return static_cast<std::size_t>(slots * Panels::kHalves * batch * Panels::padded(layout.seen * units)) * sizeof(T);
}

std::size_t returned_bytes(RnnCell cell, DType dtype, std::int64_t batch, std::int64_t units, std::int64_t projected) {
  return dtype == DType::f32 ? returned_size<float>(cell, batch, units, projected)
                             : returned_size<double>(cell, batch, units, projected);
}

template <class Cell>
void fill(RnnTable& t) {
  constexpr int cell = static_cast<int>(Cell::kCell);
  t.pack[cell][static_cast<int>(DType::f32)] = pack_weights<float, Cell>;
  t.pack[cell][static_cast<int>(DType::f64)] = pack_weights<double, Cell>;
  t.forward[cell][static_cast<int>(DType::f32)] = forward<float, Cell>;
  t.forward[cell][static_cast<int>(DType::f64)] = forward<double, Cell>;
  t.backward[cell][static_cast<int>(DType::f32)] = backward<float, Cell>;
  t.backward[cell][static_cast<int>(DType::f64)] = backward<double, Cell>;
}

}  // namespace

void fill_rnn_program(RnnTable&);

void fill_rnn(RnnTable& t) {
  fill_rnn_program(t);
  t.packed_bytes = packed_bytes;
  t.returned_bytes = returned_bytes;
  fill<cell::Elman<RnnCell::tanh>>(t);
  fill<cell::Elman<RnnCell::relu>>(t);
  fill<cell::Lstm<RnnCell::lstm>>(t);
  fill<cell::Lstm<RnnCell::lstm_variant>>(t);
  fill<cell::Lstm<RnnCell::lstm_full>>(t);
  fill<cell::Gru>(t);
  fill<cell::ResetBefore<RnnCell::gru_reset_before>>(t);
  fill<cell::ResetBefore<RnnCell::mut1>>(t);
  fill<cell::ResetBefore<RnnCell::mut2>>(t);
  fill<cell::ResetBefore<RnnCell::mut3>>(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
