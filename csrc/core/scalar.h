// A Python number.
#pragma once
#include <cstdint>
#include <limits>

#include "core/dtype.h"
#include "core/errors.h"

namespace lamina {

class Scalar {
 public:
  Scalar(bool v) : kind_(Kind::boolean), i_(v) {}
  Scalar(int v) : Scalar(static_cast<std::int64_t>(v)) {}
  Scalar(std::int64_t v) : kind_(Kind::integer), i_(v) {}
  Scalar(double v) : kind_(Kind::real), d_(v) {}

  bool is_bool() const { return kind_ == Kind::boolean; }
  bool is_integer() const { return kind_ == Kind::integer; }
  bool is_real() const { return kind_ == Kind::real; }
  double as_double() const { return is_real() ? d_ : static_cast<double>(i_); }
  std::int64_t as_int64() const {  // real numbers saturate, NaN becomes 0: a cast would be undefined
    if (!is_real()) return i_;
    if (d_ != d_) return 0;
    if (d_ >= 9223372036854775808.0) return std::numeric_limits<std::int64_t>::max();
    if (d_ < -9223372036854775808.0) return std::numeric_limits<std::int64_t>::min();
    return static_cast<std::int64_t>(d_);
  }
  bool as_bool() const { return is_real() ? d_ != 0 : i_ != 0; }
  // The type that PyTorch gives a tensor made of this number.
  DType dtype() const { return is_bool() ? DType::b8 : is_integer() ? DType::i64 : DType::f32; }
  // Refuses integers that the type cannot hold.
  void check_fits(DType t, const char* op) const {
    if (!is_integer()) return;
    const std::int64_t v = i_;
    const bool ok = t == DType::u8 ? v >= 0 && v <= 255 : t == DType::i32 ? v >= INT32_MIN && v <= INT32_MAX : true;
    check(ok, op, ": ", v, " does not fit ", name_of(t));
  }

 private:
  enum class Kind : std::uint8_t { boolean, integer, real } kind_;
  union {
    std::int64_t i_;
    double d_;
  };
};

}  // namespace lamina
