#include "core/dispatch.h"

#include <cstdlib>
#include <cstring>

#include "core/cuda_library.h"
#include "core/errors.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// The instruction sets of this build, best first (CMakeLists.txt).
#ifdef LAMINA_WITH_AVX512
#define LAMINA_IF_AVX512(X) X(avx512)
#else
#define LAMINA_IF_AVX512(X)
#endif
#ifdef LAMINA_WITH_AVX2
#define LAMINA_IF_AVX2(X) X(avx2)
#else
#define LAMINA_IF_AVX2(X)
#endif
#ifdef LAMINA_WITH_NEON
#define LAMINA_IF_NEON(X) X(neon)
#else
#define LAMINA_IF_NEON(X)
#endif
#ifdef LAMINA_WITH_SCALAR
#define LAMINA_IF_SCALAR(X) X(scalar)
#else
#define LAMINA_IF_SCALAR(X)
#endif
#define LAMINA_CPU_TARGETS(X) LAMINA_IF_AVX512(X) LAMINA_IF_AVX2(X) LAMINA_IF_NEON(X) LAMINA_IF_SCALAR(X)

namespace lamina {

#define LAMINA_DECLARE_TARGET(target) \
  namespace target {                  \
  const KernelTable& table();         \
  }
LAMINA_CPU_TARGETS(LAMINA_DECLARE_TARGET)

namespace {

#if defined(__x86_64__)
bool machine_has_f16c() {  // a name that Clang 14's __builtin_cpu_supports does not know
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

bool machine_has(const char* target) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && machine_has_f16c() &&
                    __builtin_cpu_supports("bmi2");
  if (!std::strcmp(target, "avx2")) return avx2;
  if (!std::strcmp(target, "avx512"))
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
  return true;
}

struct Target {
  const char* name;
  const KernelTable& (*table)();
};
#define LAMINA_TARGET_ROW(target) {#target, target::table},
constexpr Target kTargets[] = {LAMINA_CPU_TARGETS(LAMINA_TARGET_ROW)};

const KernelTable& choose() {
  const char* forced = std::getenv("LAMINA_ISA");
  const bool automatic = !forced || !*forced;
  std::string known;
  for (const Target& t : kTargets) {
    known += known.empty() ? t.name : std::string(", ") + t.name;
    if (!automatic && std::strcmp(forced, t.name)) continue;
    if (machine_has(t.name)) return t.table();
    check_as(ErrorKind::runtime, automatic, "LAMINA_ISA=", forced, ": this processor lacks that instruction set");
  }
  fail(ErrorKind::runtime, "LAMINA_ISA=", forced, " is unknown; this build has ", known);
}

}  // namespace

const KernelTable* cpu_kernels = nullptr;

const KernelTable& find_kernels(Device device) {
  if (device.type == DeviceType::cuda) return cuda_kernels(device);
  cpu_kernels = &choose();  // every thread finds the same
  return *cpu_kernels;
}

std::vector<std::string> supported_targets() {
  std::vector<std::string> names;
  for (const Target& t : kTargets)
    if (machine_has(t.name)) names.emplace_back(t.name);
  return names;
}

}  // namespace lamina
