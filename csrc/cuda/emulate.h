// What runtime_emulated.cc needs of emulate.cc.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cuda/launch.h"

namespace lamina::emulation {
void run(const Work& work);
}
