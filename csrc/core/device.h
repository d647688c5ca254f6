#pragma once
#include <cstdint>
#include <ostream>

namespace lamina {

enum class DeviceType : std::uint8_t { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  std::int8_t index = 0;
  friend bool operator==(Device a, Device b) { return a.type == b.type && a.index == b.index; }
  friend std::ostream& operator<<(std::ostream& out, Device d) {
    if (d.type == DeviceType::cpu) return out << "cpu";
    return out << "cuda:" << int{d.index};
  }
};

}  // namespace lamina
