// Walks along a dimension that carry something from one element to the next: columns side by side, in strips that are
// cut by the shape alone.
#pragma once
#include "cpu/reduce_driver.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kColumns = 256;  // of a strip

// body(first element, columns) for every strip of columns of every outer index.
template <class Body>
void for_each_strip(const Along& s, Body body) {
  const std::int64_t strips = (s.inner + kColumns - 1) / kColumns;
  parallel_for(s.outer * strips, grain_for(s.length * smaller(s.inner, kColumns)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t t = begin; t < end; ++t) {
                   const std::int64_t first = t % strips * kColumns;
                   body(t / strips * s.length * s.inner + first, smaller(kColumns, s.inner - first));
                 }
               });
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
