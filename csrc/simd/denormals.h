// Numbers too small to be normal, at whose sight processors stumble.
#pragma once
#include <cstdint>

#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// While one lives, this thread reads and writes them as zeros, where the processor has a switch for that.
class DenormalsAreZero {
 public:
#if defined(__x86_64__)
  DenormalsAreZero() {
    asm volatile("stmxcsr %0" : "=m"(before_)::"memory");
    constexpr std::uint32_t kFlush = 1 << 15, kZero = 1 << 6;
    const std::uint32_t now = before_ | kFlush | kZero;
    asm volatile("ldmxcsr %0" ::"m"(now) : "memory");
  }
  ~DenormalsAreZero() { asm volatile("ldmxcsr %0" ::"m"(before_) : "memory"); }

 private:
  std::uint32_t before_;
#elif defined(__aarch64__)
  DenormalsAreZero() {
    asm volatile("mrs %0, fpcr" : "=r"(before_)::"memory");
    constexpr std::uint64_t kFlush = 1 << 24;
    asm volatile("msr fpcr, %0" ::"r"(before_ | kFlush) : "memory");
  }
  ~DenormalsAreZero() { asm volatile("msr fpcr, %0" ::"r"(before_) : "memory"); }

 private:
  std::uint64_t before_;
#endif
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
