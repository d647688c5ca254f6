// pad: borders of a constant, or of the tensor's own elements.
#include "autograd/node.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/view.h"

namespace lamina {
namespace {

struct Border {
  std::int64_t before, after;  // negative: that much is cut off
};

// PyTorch's list, last dimension first, as one border a dimension.
std::vector<Border> borders_of(const Tensor& t, const std::vector<std::int64_t>& pads) {
  const int given = static_cast<int>(pads.size()) / 2;
  check(pads.size() % 2 == 0, "pad: expected an even number of sizes, got ", pads.size());
  check(given <= t.ndim(), "pad: sizes for ", given, " dimensions, the tensor has shape ", t.shape());
  std::vector<Border> borders(static_cast<std::size_t>(t.ndim()), Border{0, 0});
  for (int i = 0; i < given; ++i) {
    const auto at = static_cast<std::size_t>(2 * i);
    const Border b{pads[at], pads[at + 1]};
    const int d = t.ndim() - 1 - i;
    const std::int64_t size = t.shape()[d];
    constexpr std::int64_t kMost = kMostElements / 4;  // their sum does not overflow
    check(b.before > -kMost && b.before < kMost && b.after > -kMost && b.after < kMost &&
              size + b.before + b.after >= 0 && size + b.before >= 0 && size + b.after >= 0,
          "pad: borders of ", b.before, " and ", b.after, " cannot be put around dimension ", d, " of size ", size);
    borders[static_cast<std::size_t>(d)] = b;
  }
  return borders;
}

Tensor cropped(Tensor t, const std::vector<Border>& borders) {
  for (int d = 0; d < t.ndim(); ++d) {
    const Border& b = borders[static_cast<std::size_t>(d)];
    const std::int64_t start = b.before < 0 ? -b.before : 0, stop = t.shape()[d] - (b.after < 0 ? -b.after : 0);
    if (start > 0 || stop < t.shape()[d]) t = slice(t, d, start, stop, 1);
  }
  return t;
}

Tensor pad_constant(const Tensor& t, const std::vector<Border>& borders, const Scalar& value) {
  Dims shape = t.shape();
  for (int d = 0; d < t.ndim(); ++d)
    shape[d] += borders[static_cast<std::size_t>(d)].before + borders[static_cast<std::size_t>(d)].after;
  const Tensor out = empty(shape, t.dtype(), t.device());
  {
    // Each dimension's two slabs lie within what the dimensions before have left: every element is written once.
    const GradMode off(false);
    Tensor rest = out;
    for (int d = 0; d < t.ndim(); ++d) {
      const Border& b = borders[static_cast<std::size_t>(d)];
      const std::int64_t first = b.before > 0 ? b.before : 0, last = rest.shape()[d] - (b.after > 0 ? b.after : 0);
      if (first > 0) write_fill(slice(rest, d, 0, first, 1), value);
      if (last < rest.shape()[d]) write_fill(slice(rest, d, last, rest.shape()[d], 1), value);
      rest = slice(rest, d, first, last, 1);
    }
    write_copy(rest, cropped(t, borders));
  }
  if (needs_grad(t)) {
    std::vector<Border> back = borders;
    for (Border& b : back) b = {-b.before, -b.after};
    record("pad", out, {&t},
           [back = std::move(back)](Gradients& g) { g.give(0, pad_constant(g.of_output(), back, Scalar(0))); });
  }
  return out;
}

Tensor edge(const Tensor& t, int dim, std::int64_t at, std::int64_t width) {
  Dims shape = t.shape();
  shape[dim] = width;
  return expand(narrow(t, dim, at, 1), shape);
}

Tensor pad_with_own(const Tensor& t, int dim, std::int64_t before, std::int64_t after, PadMode mode) {
  const std::int64_t size = t.shape()[dim];
  std::vector<Tensor> parts;
  switch (mode) {
    case PadMode::reflect:
      check(before < size && after < size, "pad: reflect needs borders smaller than the size ", size, " of dimension ",
            dim, ", got ", before, " and ", after);
      parts = {flip(narrow(t, dim, 1, before), {dim}), t, flip(narrow(t, dim, size - 1 - after, after), {dim})};
      break;
    case PadMode::circular:
      check(before <= size && after <= size, "pad: circular needs borders no larger than the size ", size,
            " of dimension ", dim, ", got ", before, " and ", after);
      parts = {narrow(t, dim, size - before, before), t, narrow(t, dim, 0, after)};
      break;
    default:
      check(size > 0, "pad: replicate needs elements to repeat, dimension ", dim, " has size 0");
      parts = {edge(t, dim, 0, before), t, edge(t, dim, size - 1, after)};
  }
  return cat(parts, dim);
}

}  // namespace

Tensor pad(const Tensor& t, const std::vector<std::int64_t>& pads, PadMode mode, const Scalar& value) {
  const std::vector<Border> borders = borders_of(t, pads);
  if (mode == PadMode::constant) {
    value.check_fits(t.dtype(), "pad");
    return pad_constant(t, borders, value);
  }
  Tensor out = cropped(t, borders);
  for (int d = t.ndim() - 1; d >= 0; --d) {
    const Border& b = borders[static_cast<std::size_t>(d)];
    const std::int64_t before = b.before > 0 ? b.before : 0, after = b.after > 0 ? b.after : 0;
    if (before > 0 || after > 0) out = pad_with_own(out, d, before, after, mode);
  }
  return &out.storage() == &t.storage() ? clone(out) : out;
}

}  // namespace lamina
