// The LSTM and its variants.
#include "cuda/rnn_resident.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_rnn_lstm(RnnTable& t) {
  fill<cell::Lstm<RnnCell::lstm>>(t);
  fill<cell::Lstm<RnnCell::lstm_variant>>(t);
  fill<cell::Lstm<RnnCell::lstm_full>>(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
