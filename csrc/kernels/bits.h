// Elements that are moved and not computed with: their size is all that matters.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Calls run with an unsigned integer of the type's size.
template <class Run>
void with_bits(DType t, Run run) {
  switch (item_size(t)) {
    case 8: return run(std::uint64_t{});
    case 4: return run(std::uint32_t{});
    case 2: return run(std::uint16_t{});
    default: return run(std::uint8_t{});
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
