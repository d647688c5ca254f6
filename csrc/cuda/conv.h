// What the units of the conv family offer each other.
#pragma once
#include "kernels/conv.h"

namespace lamina {
namespace LAMINA_TARGET {

// Implicit products.
void convolve_float32(const ConvForward& args);
void convolve_float32(const ConvDataGradient& args);
void convolve_float32(const ConvWeightGradient& args);
void convolve_float64(const ConvForward& args);
void convolve_float64(const ConvDataGradient& args);
void convolve_float64(const ConvWeightGradient& args);
void convolve_tf32(const ConvForward& args);
void convolve_tf32(const ConvDataGradient& args);
void convolve_tf32(const ConvWeightGradient& args);
void convolve_bfloat16(const ConvForward& args);
void convolve_bfloat16(const ConvDataGradient& args);
void convolve_bfloat16(const ConvWeightGradient& args);
void convolve_float16(const ConvForward& args);
void convolve_float16(const ConvDataGradient& args);
void convolve_float16(const ConvWeightGradient& args);

}  // namespace LAMINA_TARGET
}  // namespace lamina
