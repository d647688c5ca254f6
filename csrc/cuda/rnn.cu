// The recurrent family: a kernel for a whole sequence (rnn_resident.h) or for every step (rnn_step.h), an instance for
// every cell and type.
#include "cuda/rnn_resident.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_rnn_lstm(RnnTable&);
void fill_rnn_program(RnnTable&);
void fill_rnn_two_stages(RnnTable&);

void fill_rnn(RnnTable& t) {
  t.packed_bytes = [](RnnCell, DType, std::int64_t, std::int64_t) -> std::size_t { return 0; };
  t.returned_bytes = [](RnnCell, DType, std::int64_t, std::int64_t, std::int64_t) -> std::size_t { return 0; };
  fill<cell::Elman<RnnCell::tanh>>(t);
  fill<cell::Elman<RnnCell::relu>>(t);
  fill<cell::Gru>(t);
  fill_rnn_lstm(t);
  fill_rnn_program(t);
  fill_rnn_two_stages(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
