// Which instruction set runs: chosen once, at first use, by what the processor has and LAMINA_ISA asks for.
#pragma once
#include <string>
#include <vector>

#include "core/device.h"
#include "core/errors.h"
#include "kernels/table.h"

namespace lamina {

// The table of a device. Throws when the device has none.
const KernelTable& find_kernels(Device device);
extern const KernelTable* cpu_kernels;  // null until first asked for
inline const KernelTable& kernels(Device device = {}) {
  if (device.type == DeviceType::cpu && cpu_kernels) [[likely]]
    return *cpu_kernels;
  return find_kernels(device);
}

std::vector<std::string> supported_targets();  // best first, only those that this machine can run

// A slot that a device lacks is an error that says so, never a silent fallback.
template <class Kernel>
Kernel require(Kernel slot, const char* op, Device device) {
  if (!slot) [[unlikely]]
    fail(ErrorKind::not_implemented, op, " has no ", device.type == DeviceType::cpu ? "CPU" : "CUDA", " kernel");
  return slot;
}

}  // namespace lamina
