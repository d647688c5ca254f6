// The largest, or smallest, of the elements so far and where it was. The last of equal ones counts; a NaN stays.
#include "cpu/elementwise_move.h"
#include "cpu/reduce_lanes.h"
#include "cpu/reduce_strips.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class In, bool largest>
void scan_extreme(Along s, const void* input, void* output, std::int64_t* indices) {
  const In* x = static_cast<const In*>(input);
  In* y = static_cast<In*>(output);
  for_each_strip(s, [&](std::int64_t first, std::int64_t columns) {
    for (std::int64_t c = 0, i = first; c < columns; ++c, ++i) y[i] = x[i], indices[i] = 0;
    for (std::int64_t r = 1; r < s.length; ++r)
      for (std::int64_t c = 0, i = first + r * s.inner; c < columns; ++c, ++i) {
        const auto now = widen(x[i]), best = widen(y[i - s.inner]);
        const bool further = now != now || (largest ? now >= best : now <= best);  // false where the best is NaN
        y[i] = further ? x[i] : y[i - s.inner];
        indices[i] = further ? r : indices[i - s.inner];
      }
  });
}

template <class In>
void fill(ReduceTable& t, DType type) {
  t.cummax[static_cast<int>(type)] = scan_extreme<In, true>;
  t.cummin[static_cast<int>(type)] = scan_extreme<In, false>;
}

}  // namespace

void fill_reduce_scan_extreme(ReduceTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill<float16>(t, DType::f16);
  fill<bfloat16>(t, DType::bf16);
  fill<std::int64_t>(t, DType::i64);
  fill<std::int32_t>(t, DType::i32);
  fill<std::uint8_t>(t, DType::u8);
  fill<std::uint8_t>(t, DType::b8);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
