// Shapes and strides: a short vector of at most kMaxDims numbers, kept in place.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <ostream>

#include "core/errors.h"

namespace lamina {

constexpr int kMaxDims = 8;
constexpr std::int64_t kMostElements = std::int64_t{1} << 62;

class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> values) {
    for (std::int64_t v : values) push_back(v);
  }
  explicit Dims(int count, std::int64_t value = 0) {
    for (int i = 0; i < count; ++i) push_back(value);
  }
  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::int64_t& operator[](int i) { return v_[i]; }
  std::int64_t operator[](int i) const { return v_[i]; }
  std::int64_t& back() { return v_[size_ - 1]; }
  std::int64_t back() const { return v_[size_ - 1]; }
  const std::int64_t* begin() const { return v_; }
  const std::int64_t* end() const { return v_ + size_; }
  std::int64_t* begin() { return v_; }
  std::int64_t* end() { return v_ + size_; }
  void push_back(std::int64_t v) {
    if (size_ == kMaxDims) [[unlikely]]
      fail_unnamed(ErrorKind::value, "a tensor has at most ", kMaxDims, " dimensions");
    v_[size_++] = v;
  }
  void pop_back() { --size_; }
  void insert(int at, std::int64_t v) {
    push_back(v);
    for (int i = size_ - 1; i > at; --i) v_[i] = v_[i - 1];
    v_[at] = v;
  }
  void erase(int at) {
    for (int i = at; i + 1 < size_; ++i) v_[i] = v_[i + 1];
    --size_;
  }
  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.size_ != b.size_) return false;
    for (int i = 0; i < a.size_; ++i)
      if (a.v_[i] != b.v_[i]) return false;
    return true;
  }
  // Written as Python writes a tuple: (), (3,), (2, 3).
  friend std::ostream& operator<<(std::ostream& out, const Dims& d) {
    out << '(';
    for (int i = 0; i < d.size_; ++i) out << (i ? ", " : "") << d.v_[i];
    return out << (d.size_ == 1 ? ",)" : ")");
  }

 private:
  int size_ = 0;
  std::int64_t v_[kMaxDims];
};

// Number of elements; refuses negative sizes and products beyond kMostElements, whatever other sizes are 0: strides
// must not overflow either.
inline std::int64_t count(const Dims& shape) {
  std::int64_t n = 1;
  bool zero = false, overflow = false;
  for (std::int64_t s : shape) {
    if (s < 0) [[unlikely]]
      fail_unnamed(ErrorKind::value, "negative size in shape ", shape);
    zero |= s == 0;
    if (s != 0) overflow |= __builtin_mul_overflow(n, s, &n) || n > kMostElements;
  }
  if (overflow) [[unlikely]]
    fail_unnamed(ErrorKind::value, "shape ", shape, " has too many elements");
  return zero ? 0 : n;
}

inline Dims contiguous_strides(const Dims& shape) {
  Dims strides(shape.size());
  std::int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= shape[i] > 1 ? shape[i] : 1;
  }
  return strides;
}

// Python's negative dimension numbers; `op` is named in the error.
inline int wrap_dim(std::int64_t dim, int ndim, const char* op) {
  const int range = ndim == 0 ? 1 : ndim;
  check_as(ErrorKind::index, dim >= -range && dim < range, op, ": dim ", dim, " is out of range for a tensor with ",
           ndim, ndim == 1 ? " dimension" : " dimensions");
  return static_cast<int>(dim < 0 ? dim + range : dim);
}

}  // namespace lamina
