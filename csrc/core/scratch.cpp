#include "core/scratch.h"

#include <cstdlib>

#include "core/errors.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace lamina {
namespace {

constexpr std::size_t kAlign = 128;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { std::free(data_); }

  void* at_least(std::size_t bytes) {
    if (bytes <= bytes_) return data_;
    std::free(data_);
    data_ = nullptr;
    bytes_ = 0;
    // Packed panels are walked with large strides: on 4 KiB pages that is a TLB miss a step.
    const bool large = bytes >= kHugePage / 2;
    const std::size_t align = large ? kHugePage : kAlign;
    const std::size_t size = round_up(bytes + bytes / 4, align);
    data_ = std::aligned_alloc(align, size);
    if (!data_) fail_unnamed(ErrorKind::memory, "out of memory: ", size, " bytes of working memory for a kernel");
#if defined(__linux__)
    if (large) madvise(data_, size, MADV_HUGEPAGE);  // advice: without huge pages it is only slower
#endif
    bytes_ = size;
    return data_;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

thread_local Block blocks[static_cast<int>(Scratch::count)];

}  // namespace

void* scratch(Scratch purpose, std::size_t bytes) { return blocks[static_cast<int>(purpose)].at_least(bytes); }

}  // namespace lamina
