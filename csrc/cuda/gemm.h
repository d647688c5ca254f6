// What the units of the gemm family offer each other and convolutions. Activations but relu are not applied.
#pragma once
#include "kernels/gemm.h"

namespace lamina {
namespace LAMINA_TARGET {

// Cutting a long sum takes the workspace; a caller who uses it says no.
void multiply_float32(const GemmArgs& args, bool may_split);
void multiply_tf32(const GemmArgs& args, bool may_split);
void multiply_float64(const GemmArgs& args, bool may_split);
void multiply_bfloat16(const GemmArgs& args, bool may_split);
void multiply_float16(const GemmArgs& args, bool may_split);

// Whether Hopper's own kernel takes these; if so, it has.
bool multiply_bfloat16_sm90(const GemmArgs& args);

}  // namespace LAMINA_TARGET
}  // namespace lamina
