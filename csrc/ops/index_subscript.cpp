// Integers, slices, ellipsis and None: one view, whatever their number.
#include "ops/index.h"
#include "ops/make_view.h"
#include "ops/view.h"

namespace lamina {
namespace {

using Item = Subscript::Kind;

// The geometry that a run of items carves out of a tensor, dimension by dimension.
class Window {
 public:
  explicit Window(const Tensor& t) : source_(t) {}

  void integer(std::int64_t index) {
    const std::int64_t size = source_.shape()[at_], i = index < 0 ? index + size : index;
    check_as(ErrorKind::index, i >= 0 && i < size, "index ", index, " is out of range for dimension ", at_, " of size ",
             size);
    offset += i * source_.strides()[at_++];
  }
  void slice(const Subscript& s) {
    check(s.step > 0, "slice: step must be greater than zero, got ", s.step);
    const std::int64_t size = source_.shape()[at_], stride = source_.strides()[at_++];
    const auto clip = [size](std::int64_t i) {
      if (i < 0) i += size;
      return i < 0 ? 0 : i > size ? size : i;
    };
    const std::int64_t start = clip(s.start), stop = clip(s.stop);
    const std::int64_t length = stop > start ? (stop - start - 1) / s.step + 1 : 0;
    if (length > 0) offset += start * stride;
    shape.push_back(length);
    strides.push_back(length > 1 ? stride * s.step : stride);
  }
  void new_axis() {
    shape.push_back(1);
    strides.push_back(1);
  }
  void keep(int dims) {
    for (; dims > 0; --dims, ++at_) {
      shape.push_back(source_.shape()[at_]);
      strides.push_back(source_.strides()[at_]);
    }
  }

  Dims shape, strides;
  std::int64_t offset = 0;

 private:
  const Tensor& source_;
  int at_ = 0;
};

}  // namespace

Tensor subscript(const Tensor& t, Subscripts items) {
  int taken = 0, ellipses = 0;
  for (const Subscript& s : items) {
    taken += s.kind == Item::integer || s.kind == Item::slice;
    ellipses += s.kind == Item::ellipsis;
  }
  check_as(ErrorKind::index, taken <= t.ndim(), "too many indices: ", taken, " for a tensor with ", t.ndim(),
           t.ndim() == 1 ? " dimension" : " dimensions");
  check_as(ErrorKind::index, ellipses <= 1, "an index can have only one ellipsis (...), got ", ellipses);
  Window w(t);
  for (const Subscript& s : items) {
    switch (s.kind) {
      case Item::integer:
        w.integer(s.start);
        break;
      case Item::slice:
        w.slice(s);
        break;
      case Item::new_axis:
        w.new_axis();
        break;
      case Item::ellipsis:
        w.keep(t.ndim() - taken);
        break;
      case Item::tensor:
        fail(ErrorKind::not_implemented, "indexing with a tensor");
    }
  }
  if (ellipses == 0) w.keep(t.ndim() - taken);
  return make_view("subscript", t, w.shape, w.strides, w.offset,
                   into_zeros(t, [items = std::move(items)](const Tensor& zeros) { return subscript(zeros, items); }));
}

void set_subscript(const Tensor& t, Subscripts items, const Arg& value) {
  const Tensor target = subscript(t, std::move(items));
  if (!value.is_tensor()) return fill_(target, value.number());
  // Leading dimensions of size 1 may go, as in NumPy.
  Tensor source = value.tensor();
  while (source.ndim() > target.ndim() && source.shape()[0] == 1) source = select(source, 0, 0);
  copy_(target, source);
}

}  // namespace lamina
