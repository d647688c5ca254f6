// Which algorithm computes a convolution: the one place where that is decided.
#pragma once
#include <optional>

#include "core/device.h"
#include "kernels/conv.h"

namespace lamina {

enum class ConvPass : std::uint8_t { forward, data_gradient, weight_gradient };

const char* name_of(ConvAlgorithm a);
std::optional<ConvAlgorithm> conv_algorithm_named(const char* name);

// Can this algorithm compute this pass of the shape on this device?
bool conv_suits(ConvAlgorithm a, ConvPass pass, const ConvShape& s, Device device);

// What the user asked for, in all threads: an algorithm that is taken wherever it suits, and whether Winograd's, less
// exact than the others, may be chosen. Read and written at once, for which Clang wants it aligned.
struct alignas(2) ConvPreference {
  ConvAlgorithm algorithm = ConvAlgorithm::count;  // count: none
  bool winograd = true;
};
ConvPreference conv_preference();
void set_conv_preference(ConvPreference preference);

ConvAlgorithm choose_conv(ConvPass pass, const ConvShape& s, Device device);

}  // namespace lamina
