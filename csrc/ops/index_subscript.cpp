// x[…]: integers, slices, ellipsis and None make one view; tensors among them then name positions in it.
#include "ops/index.h"
#include "ops/index_positions.h"
#include "ops/loops.h"
#include "ops/make_view.h"
#include "ops/reduce.h"
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

bool is_mask(const Subscript& s) { return s.kind == Item::tensor && s.tensor.dtype() == DType::b8; }

// How many dimensions an item stands for (an ellipsis: none of its own).
int dims_taken(const Subscript& s) {
  switch (s.kind) {
    case Item::integer:
    case Item::slice: return 1;
    case Item::tensor: return is_mask(s) ? s.tensor.ndim() : 1;
    default: return 0;
  }
}

// The number of dimensions that an ellipsis, or the end, leaves whole.
int dims_left(const Tensor& t, const Subscripts& items) {
  int taken = 0, ellipses = 0;
  for (const Subscript& s : items) {
    taken += dims_taken(s);
    ellipses += s.kind == Item::ellipsis;
  }
  check_as(ErrorKind::index, taken <= t.ndim(), "too many indices: ", taken, " for a tensor with ", t.ndim(),
           t.ndim() == 1 ? " dimension" : " dimensions");
  check_as(ErrorKind::index, ellipses <= 1, "an index can have only one ellipsis (...), got ", ellipses);
  return t.ndim() - taken;
}

// The view that the items make, where a tensor keeps the dimensions it stands for; a single truth value is a new one.
Tensor window_of(const Tensor& t, Subscripts items) {
  const int left = dims_left(t, items);
  Window w(t);
  bool ellipsis = false;
  for (const Subscript& s : items) {
    switch (s.kind) {
      case Item::integer: w.integer(s.start); break;
      case Item::slice: w.slice(s); break;
      case Item::new_axis: w.new_axis(); break;
      case Item::ellipsis:
        w.keep(left);
        ellipsis = true;
        break;
      case Item::tensor: is_mask(s) && s.tensor.ndim() == 0 ? w.new_axis() : w.keep(dims_taken(s)); break;
    }
  }
  if (!ellipsis) w.keep(left);
  return make_view("subscript", t, w.shape, w.strides, w.offset,
                   into_zeros(t, [items = std::move(items)](const Tensor& zeros) { return window_of(zeros, items); }));
}

// Do the items beside the tensors leave t as it is?
bool whole(const Subscripts& items) {
  for (const Subscript& s : items) {
    const bool all = s.kind == Item::slice && s.start == 0 && s.step == 1 && s.stop == PTRDIFF_MAX;
    if (!all && s.kind != Item::ellipsis && !(s.kind == Item::tensor && dims_taken(s) > 0)) return false;
  }
  return true;
}

bool any_tensor(const Subscripts& items) {
  for (const Subscript& s : items)
    if (s.kind == Item::tensor) return true;
  return false;
}

// ---- tensors among the items ----

struct Selection {
  Tensor source;  // the view that the other items make
  PositionSet set;
};

void check_mask(const Tensor& mask, const Tensor& source, int dim) {
  for (int i = 0; i < mask.ndim(); ++i)
    check_as(ErrorKind::index, mask.shape()[i] == source.shape()[dim + i], "a mask of shape ", mask.shape(),
             " does not match the indexed dimensions from ", dim, " on of shape ", source.shape());
}

void add_mask(const Tensor& mask, int dim, int named_dim, const Tensor& source, PositionSet& set) {
  check_mask(mask, source, dim);
  const int span = mask.ndim() == 0 ? 1 : mask.ndim();
  if (steps_as_one(source, dim, span)) {
    set.tensors.push_back({dim, span, named_dim, flat_nonzero(mask)});
    return;
  }
  for (const Tensor& index : nonzero_tuple(mask)) set.tensors.push_back({dim++, 1, named_dim++, index});
}

// Index tensors side by side leave their result in place; apart, it comes first.
int place_of(const std::vector<IndexTensor>& tensors) {
  for (std::size_t i = 1; i < tensors.size(); ++i)
    if (tensors[i].dim != tensors[i - 1].dim + tensors[i - 1].span) return 0;
  return tensors[0].dim;
}

Selection resolve(const Tensor& t, const Subscripts& items) {
  const int left = dims_left(t, items);
  Selection s{whole(items) ? t : window_of(t, items), {}};
  int dim = 0, named_dim = 0, tensors = 0;
  for (const Subscript& item : items) {
    if (item.kind == Item::tensor) {
      ++tensors;
      if (is_mask(item)) {
        add_mask(item.tensor, dim, named_dim, s.source, s.set);
        s.set.distinct = true;
      } else {
        check_index_dtype("index", item.tensor);
        s.set.tensors.push_back({dim, 1, named_dim, item.tensor});
      }
    }
    const int taken = item.kind == Item::ellipsis ? left : dims_taken(item);
    const bool single = is_mask(item) && taken == 0;
    dim += item.kind == Item::integer ? 0 : item.kind == Item::new_axis || single ? 1 : taken;
    named_dim += taken;
  }
  s.set.distinct &= tensors == 1;
  s.set.place = place_of(s.set.tensors);
  for (const IndexTensor& i : s.set.tensors) s.set.shape = broadcast_shapes(s.set.shape, i.tensor.shape(), "index");
  check_positions("index", s.source.shape(), s.set);
  return s;
}

// x[mask] = one number needs no positions: the mask, widened to the view, chooses. The item that is such a mask, or
// null.
const Subscript* only_mask(const Subscripts& items) {
  const Subscript* mask = nullptr;
  for (const Subscript& s : items) {
    if (s.kind != Item::tensor) continue;
    if (mask || !is_mask(s)) return nullptr;
    mask = &s;
  }
  return mask;
}

void fill_mask(const Tensor& t, const Subscripts& items, const Subscript& mask, const Arg& value) {
  const Tensor source = whole(items) ? t : window_of(t, items);
  const int left = dims_left(t, items);
  int dim = 0;
  for (const Subscript& s : items) {
    if (&s == &mask) break;
    dim += s.kind == Item::ellipsis ? left : s.kind == Item::integer ? 0 : s.kind == Item::new_axis ? 1 : dims_taken(s);
  }
  check_mask(mask.tensor, source, dim);
  Dims shape = mask.tensor.shape();
  const int trailing = source.ndim() - dim - (shape.empty() ? 1 : shape.size());
  for (int i = 0; i < trailing; ++i) shape.push_back(1);
  masked_fill_(source, reshape(mask.tensor, shape), value);
}

}  // namespace

Tensor subscript(const Tensor& t, Subscripts items) {
  if (!any_tensor(items)) return window_of(t, std::move(items));
  const Selection s = resolve(t, items);
  return read_recorded("index", s.source, s.set);
}

void set_subscript(const Tensor& t, Subscripts items, const Arg& value) {
  if (any_tensor(items)) {
    const Subscript* mask = only_mask(items);
    if (mask && (!value.is_tensor() || value.tensor().ndim() == 0)) return fill_mask(t, items, *mask, value);
    const Selection s = resolve(t, items);
    return put_recorded("index assignment", s.source, s.set,
                        value.is_tensor() ? value.tensor() : full({}, value.number(), t.dtype(), t.device()), false);
  }
  const Tensor target = window_of(t, std::move(items));
  if (!value.is_tensor()) return fill_(target, value.number());
  copy_(target, without_leading_ones(value.tensor(), target.ndim()));
}

void index_put_(const Tensor& t, Subscripts items, const Tensor& value, bool accumulate) {
  check_as(ErrorKind::index, any_tensor(items), "index_put_: expected at least one index tensor");
  const Selection s = resolve(t, items);
  put_recorded("index_put_", s.source, s.set, value, accumulate);
}

}  // namespace lamina
