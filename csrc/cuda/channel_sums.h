// Sums over all but the channels: gradients of biases.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {
namespace LAMINA_TARGET {

// sums[channels] of x[outer][channels][inner]. Takes the workspace.
void sum_channels(const char* op, DType dtype, const void* x, void* sums, std::int64_t outer, std::int64_t channels,
                  std::int64_t inner);

}  // namespace LAMINA_TARGET
}  // namespace lamina
