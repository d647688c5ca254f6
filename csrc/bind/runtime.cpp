// Threads, memory, build; CUDA devices, streams and events.
#include "bind/common.h"
#include "core/allocator.h"
#include "core/dispatch.h"
#include "core/parallel.h"
#include "ops/cuda_copies.h"
#include "ops/peak.h"

namespace lamina::bind {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;  // says clang itself
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

using Address = std::uintptr_t;
void* pointer(Address a) { return reinterpret_cast<void*>(a); }
Address address(void* p) { return reinterpret_cast<Address>(p); }

// What can be done with an event or a stream; query: with either, the other being null.
enum class EventAct { release, record, wait, synchronize, query };

// Streams and events are addresses here; python/lamina/cuda.py makes classes of them.
void bind_cuda(py::module_& m) {
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
  m.def(
      "_cuda_stream", [](Device device) { return address(cuda_stream(device)); }, py::arg("device"));
  m.def(
      "_cuda_order",
      [](Device device, Address before, Address after) { order_streams(device, pointer(before), pointer(after)); },
      py::arg("device"), py::arg("before"), py::arg("after"));
  m.def(
      "_event_make",
      [](Device device, bool timed) {
        void* event = nullptr;
        check_cuda(use_cuda(device).make_event(timed, &event), "Event");
        return address(event);
      },
      py::arg("device"), py::arg("timed"));
  m.def(
      "_event",
      [](Device device, int act, Address event, Address stream) {
        const CudaAbi& cuda = use_cuda(device);
        bool reached = true;
        int status = 0;
        switch (static_cast<EventAct>(act)) {
          case EventAct::release: status = cuda.release_event(pointer(event)); break;
          case EventAct::record: status = cuda.record_event(pointer(event), pointer(stream)); break;
          case EventAct::wait: status = cuda.wait_event(pointer(stream), pointer(event)); break;
          case EventAct::synchronize: status = cuda.synchronize_event(pointer(event)); break;
          case EventAct::query: status = cuda.query(pointer(event), pointer(stream), &reached); break;
        }
        check_cuda(status, "Event");
        return reached;
      },
      py::arg("device"), py::arg("act"), py::arg("event"), py::arg("stream"), ReleaseGil());
  m.def(
      "_event_elapsed",
      [](Address from, Address to) {
        float milliseconds = 0;
        check_cuda(cuda_library().elapsed(pointer(from), pointer(to), &milliseconds), "Event.elapsed_time");
        return milliseconds;
      },
      py::arg("start"), py::arg("end"));
  def_method(
      "pin_memory", [](const Tensor& t) { return pin_memory(t); }, ReleaseGil());
  def_method("is_pinned", &is_pinned);
}

}  // namespace

void bind_runtime(py::module_& m) {
  bind_cuda(m);
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
  m.attr("_version") = LAMINA_VERSION;
  m.attr("_build") = py::make_tuple(LAMINA_BUILD_TYPE, kCompiler);
  kernels();  // a wrong LAMINA_ISA is told at import
}

}  // namespace lamina::bind
