// Cells whose reset gate acts before the product.
#include "cuda/rnn_resident.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_rnn_two_stages(RnnTable& t) {
  fill<cell::ResetBefore<RnnCell::gru_reset_before>>(t);
  fill<cell::ResetBefore<RnnCell::mut1>>(t);
  fill<cell::ResetBefore<RnnCell::mut2>>(t);
  fill<cell::ResetBefore<RnnCell::mut3>>(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
