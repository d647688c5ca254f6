// A run of the host's addresses of which only the beginning has memory: what lies there grows without moving, and a
// part that is used no more goes back to the system.
#pragma once
#include <cstddef>
#include <memory>

namespace lamina {

class AddressRange {
 public:
  // For `least` bytes and as many more as the machine could hold. Null: the system has not so many addresses to give.
  static std::unique_ptr<AddressRange> reserve(std::size_t least);
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;
  ~AddressRange();

  std::byte* begin() const { return begin_; }
  // Memory for the first `bytes`, never fewer than before; false: it cannot be had.
  bool grow(std::size_t bytes) noexcept;
  // The contents are lost, and the bytes count as nobody's.
  void let_go(std::byte* from, std::size_t bytes) noexcept;

 private:
  AddressRange(std::byte* begin, std::size_t reserved) : begin_(begin), reserved_(reserved) {}

  std::byte* const begin_;
  const std::size_t reserved_;
  std::size_t size_ = 0;       // asked for
  std::size_t committed_ = 0;  // whole pages
  std::size_t counted_ = 0;    // in the statistics of the host's memory
};

}  // namespace lamina
