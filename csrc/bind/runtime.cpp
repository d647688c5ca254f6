// Threads, memory, build.
#include "bind/common.h"
#include "core/allocator.h"
#include "core/cuda_library.h"
#include "core/dispatch.h"
#include "core/parallel.h"
#include "ops/peak.h"

namespace lamina::bind {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;  // says clang itself
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

}  // namespace

void bind_runtime(py::module_& m) {
  m.def("get_num_threads", &thread_count);
  m.def(
      "set_num_threads",
      [](int n) {
        check(n >= 1 && n <= 1024, "set_num_threads: expected 1 to 1024, got ", n);
        set_thread_count(n);
      },
      py::arg("threads"));
  m.def("_target", [] { return kernels().target; });
  m.def("_supported_targets", &supported_targets);
  m.def(
      "_measure_peak",
      [](double seconds) {
        const Peak peak = measure_peak(seconds);
        return std::pair(peak.flops, peak.bytes);
      },
      py::arg("seconds"), ReleaseGil());
  m.def(
      "_memory_stats",
      [](Device device) {
        const MemoryStats s = memory_stats(device);
        py::dict d;
        d["allocated"] = s.allocated;
        d["peak"] = s.peak;
        d["reserved"] = s.reserved;
        d["allocations"] = s.allocations;
        d["cache_hits"] = s.cache_hits;
        return d;
      },
      py::arg("device") = Device{});
  m.def("_reset_peak_memory", &reset_peak_memory, py::arg("device") = Device{});
  m.def("_release_cached_memory", &release_cached_memory, py::arg("device") = Device{});
  m.def("_cuda_device_count", [] {
    std::string why;
    const int count = cuda_device_count(&why);
    return std::pair(count, why);
  });
  m.def("_allow_tf32", &allow_tf32, py::arg("allowed"));
  m.def("_tf32_allowed", &tf32_allowed);
  m.def("_synchronize", &synchronize, py::arg("device"), ReleaseGil());
  m.def(
      "_cuda_facts",
      [](Device device) {
        CudaFacts f{};
        check_cuda(use_cuda(device).facts(device.index, &f), "device cuda");
        py::dict d;
        d["name"] = f.name;
        d["major"] = f.major;
        d["minor"] = f.minor;
        d["multi_processor_count"] = f.multiprocessors;
        d["total_memory"] = f.total_memory;
        return d;
      },
      py::arg("device"));
  m.attr("_version") = LAMINA_VERSION;
  m.attr("_build") = py::make_tuple(LAMINA_BUILD_TYPE, kCompiler);
  kernels();  // a wrong LAMINA_ISA is told at import
}

}  // namespace lamina::bind
