// What a test of CUDA kernels on the CPU needs beside them: a run time that runs at once, memory whose neighbourhood
// must not be touched, and numbers.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <memory>

#include "check.h"
#include "cuda/emulate.h"

namespace lamina::emulation {
void submit(Work work) { run(work); }
}  // namespace lamina::emulation

namespace lamina {
struct KernelTable;
namespace LAMINA_TARGET {
const KernelTable& table() { std::abort(); }  // these tests ask for no activation that is a pass of its own
}  // namespace LAMINA_TARGET
}  // namespace lamina

namespace lamina::cuda_runtime {
inline bool allow_tf32 = false;
inline int noted = 0;
const Facts& facts() {
  static const Facts f{9, 0, 4, 227 << 10};
  return f;
}
bool tf32_allowed() { return allow_tf32; }
void note(const char*, int status) { noted = status; }
}  // namespace lamina::cuda_runtime

// Ends where memory ends that may be touched (or begins where it begins): one element too far is a crash. Full of NaN.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::int64_t n, bool at_start = false) : size(n) {
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE)),
                      bytes = static_cast<std::size_t>(n) * sizeof(T);
    const std::size_t inner = (bytes + page - 1) / page * page;
    mapped_ = inner + 2 * page;
    base_ = static_cast<char*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + page, inner + (inner == 0), PROT_READ | PROT_WRITE)) std::abort();
    data = reinterpret_cast<T*>(at_start ? base_ + page : base_ + page + inner - bytes);
    std::memset(static_cast<void*>(data), 0xff, bytes);
  }
  ~Guarded() { munmap(base_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data;
  std::int64_t size;

 private:
  char* base_;
  std::size_t mapped_;
};

namespace lamina::cuda_runtime {
void* workspace(std::size_t bytes) {
  static std::unique_ptr<Guarded<char>> block;
  block = std::make_unique<Guarded<char>>((bytes + 255) / 256 * 256);
  return block->data;
}
}  // namespace lamina::cuda_runtime

struct Random {
  std::uint64_t state;
  std::uint32_t bits() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state >> 33);
  }
  int below(int n) { return static_cast<int>(bits() % static_cast<std::uint32_t>(n)); }
  template <class... T>
  int one_of(T... values) {
    const int all[] = {static_cast<int>(values)...};
    return all[below(static_cast<int>(sizeof...(values)))];
  }
  double number() { return bits() * 0x1p-30 - 1; }  // -1 … 1
};
