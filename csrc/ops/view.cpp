#include "ops/view.h"

#include <algorithm>

#include "autograd/engine.h"
#include "ops/elementwise.h"
#include "ops/index_positions.h"
#include "ops/make_view.h"
#include "ops/reduce.h"

namespace lamina {
namespace {

auto back_to_shape(const Tensor& source) {
  return [shape = source.shape()](Gradients& g) { g.give(0, reshape(g.of_output(), shape)); };
}

// Fills in a -1 and checks the count.
Dims resolve_shape(const Tensor& t, Dims shape, const char* op) {
  int unknown = -1;
  std::int64_t known = 1;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      check(unknown < 0, op, ": only one size may be -1, got ", shape);
      unknown = i;
    } else {
      check(shape[i] >= 0, op, ": negative size in ", shape);
      check(!__builtin_mul_overflow(known, shape[i], &known), op, ": shape ", shape, " has too many elements");
    }
  }
  if (unknown >= 0) {
    check(known > 0 && t.numel() % known == 0, op, ": shape ", t.shape(), " cannot become ", shape);
    shape[unknown] = t.numel() / known;
  } else {
    check(known == t.numel(), op, ": shape ", t.shape(), " has ", t.numel(), " elements, ", shape, " has ", known);
  }
  return shape;
}

// Strides under which t's memory, unmoved, has `shape`; nothing if there are none.
std::optional<Dims> strides_for(const Tensor& t, const Dims& shape) {
  if (t.contiguous()) return contiguous_strides(shape);
  // Runs of t's dimensions that step as one must be cut into runs of the new ones.
  Dims strides(shape.size());
  int to = shape.size() - 1;
  std::int64_t run = 1, step = 0;
  for (int from = t.ndim() - 1; from >= 0; --from) {
    if (run == 1) step = t.strides()[from];
    run *= t.shape()[from];
    const bool ends = from == 0 || (t.shape()[from - 1] != 1 && t.strides()[from - 1] != run * step);
    if (!ends) continue;
    std::int64_t cut = 1;
    while (to >= 0 && (cut < run || shape[to] == 1)) {
      strides[to] = cut * step;
      cut *= shape[to--];
    }
    if (cut != run) return std::nullopt;
    run = 1;
  }
  if (to >= 0) return std::nullopt;
  return strides;
}

}  // namespace

Tensor permute(const Tensor& t, const Dims& order) {
  check(order.size() == t.ndim(), "permute: the tensor has ", t.ndim(), " dimensions, the order ", order, " has ",
        order.size());
  Dims shape(t.ndim()), strides(t.ndim()), inverse(t.ndim(), -1);
  for (int i = 0; i < t.ndim(); ++i) {
    const int from = wrap_dim(order[i], t.ndim(), "permute");
    check(inverse[from] < 0, "permute: dimension ", from, " appears twice in ", order);
    inverse[from] = i;
    shape[i] = t.shape()[from];
    strides[i] = t.strides()[from];
  }
  return make_view("permute", t, shape, strides, 0,
                   [inverse](Gradients& g) { g.give(0, permute(g.of_output(), inverse)); });
}

Tensor transpose(const Tensor& t, std::int64_t a, std::int64_t b) {
  const int x = wrap_dim(a, t.ndim(), "transpose"), y = wrap_dim(b, t.ndim(), "transpose");
  Dims shape = t.shape(), strides = t.strides();
  if (t.ndim() > 0) {
    std::swap(shape[x], shape[y]);
    std::swap(strides[x], strides[y]);
  }
  return make_view("transpose", t, shape, strides, 0,
                   [x, y](Gradients& g) { g.give(0, transpose(g.of_output(), x, y)); });
}

Tensor view(const Tensor& t, const Dims& asked) {
  const Dims shape = resolve_shape(t, asked, "view");
  const std::optional<Dims> strides = strides_for(t, shape);
  check_as(ErrorKind::runtime, strides.has_value(), "view: memory of shape ", t.shape(), " and strides ", t.strides(),
           " cannot be seen as ", shape, "; use reshape");
  return make_view("view", t, shape, *strides, 0, back_to_shape(t));
}

Tensor view(const Tensor& t, DType dtype) {
  if (dtype == t.dtype()) return view(t, t.shape());
  check(!needs_grad(t), "view: bytes of a tensor that requires grad have no gradient; detach() it first");
  check(dtype != DType::b8, "view: bytes of ", name_of(t.dtype()), " need not be True or False; compare them with 0");
  const auto from = static_cast<std::int64_t>(t.item_size()), to = static_cast<std::int64_t>(item_size(dtype));
  check(t.offset_bytes() % to == 0, "view: byte ", t.offset_bytes(),
        " of the storage, where the tensor begins, is not aligned to ", name_of(dtype));
  Dims shape = t.shape(), strides = t.strides();
  if (from != to) {
    const int last = t.ndim() - 1;
    check(last >= 0 && (strides[last] == 1 || shape[last] == 1), "view: ", name_of(t.dtype()), " as ", name_of(dtype),
          " needs a last dimension without gaps, got shape ", shape, " and strides ", strides);
    check(shape[last] * from % to == 0, "view: rows of ", shape[last], ' ', name_of(t.dtype()),
          " are no whole number of ", name_of(dtype));
    shape[last] = shape[last] * from / to;
    strides[last] = 1;
    for (int i = 0; i < last; ++i) {
      check(strides[i] * from % to == 0 || shape[i] == 1, "view: stride ", strides[i], " of dimension ", i, " in ",
            name_of(t.dtype()), " is no whole number of ", name_of(dtype));
      strides[i] = strides[i] * from / to;
    }
  }
  count(shape);
  return Tensor(new TensorImpl(t.impl()->storage, t.offset_bytes(), shape, strides, dtype));
}

bool viewable(const Tensor& t, const Dims& asked) {
  return strides_for(t, resolve_shape(t, asked, "view")).has_value();
}

Tensor reshape(const Tensor& t, const Dims& asked) {
  const Dims shape = resolve_shape(t, asked, "reshape");
  if (shape == t.shape()) return t;
  const std::optional<Dims> strides = strides_for(t, shape);
  if (!strides) return reshape(clone(t), shape);
  return make_view("reshape", t, shape, *strides, 0, back_to_shape(t));
}

Tensor flatten(const Tensor& t, std::int64_t start, std::int64_t end) {
  const int first = wrap_dim(start, t.ndim(), "flatten"), last = wrap_dim(end, t.ndim(), "flatten");
  check(first <= last, "flatten: start_dim ", start, " comes after end_dim ", end);
  if (t.ndim() == 0) return reshape(t, {1});
  Dims shape;
  std::int64_t merged = 1;
  for (int i = 0; i < t.ndim(); ++i) {
    if (i < first || i > last) {
      shape.push_back(t.shape()[i]);
      continue;
    }
    merged *= t.shape()[i];
    if (i == last) shape.push_back(merged);
  }
  return reshape(t, shape);
}

Tensor expand(const Tensor& t, const Dims& asked) {
  const int extra = asked.size() - t.ndim();
  check(extra >= 0, "expand: ", asked, " has fewer dimensions than the tensor's shape ", t.shape());
  Dims shape = asked, strides(asked.size());
  for (int i = 0; i < shape.size(); ++i) {
    const std::int64_t have = i < extra ? 1 : t.shape()[i - extra];
    check(shape[i] >= 0 || (shape[i] == -1 && i >= extra), "expand: negative size ", shape[i], " in ", asked);
    if (shape[i] == -1) shape[i] = have;
    check(shape[i] == have || have == 1, "expand: shape ", t.shape(), " cannot become ", asked, ": size ", have,
          " is not 1");
    strides[i] = i < extra || (have == 1 && shape[i] != 1) ? 0 : t.strides()[i - extra];
  }
  count(shape);
  return make_view("expand", t, shape, strides, 0,
                   [source = t.shape()](Gradients& g) { g.give(0, sum_to(g.of_output(), source)); });
}

Tensor squeeze(const Tensor& t, std::optional<std::int64_t> dim) {
  Dims dims;
  if (dim)
    dims.push_back(*dim);
  else
    for (int i = 0; i < t.ndim(); ++i) dims.push_back(i);
  return squeeze(t, dims);
}

Tensor squeeze(const Tensor& t, const Dims& dims) {
  bool asked[kMaxDims] = {};
  for (const std::int64_t dim : dims) {
    bool& mark = asked[wrap_dim(dim, t.ndim(), "squeeze")];
    check(!mark, "squeeze: dimension ", dim, " appears twice in ", dims);
    mark = true;
  }
  Dims shape, strides;
  for (int i = 0; i < t.ndim(); ++i) {
    if (t.shape()[i] == 1 && asked[i]) continue;
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i]);
  }
  return make_view("squeeze", t, shape, strides, 0, back_to_shape(t));
}

Tensor unsqueeze(const Tensor& t, std::int64_t dim) {
  const int at = wrap_dim(dim, t.ndim() + 1, "unsqueeze");
  Dims shape = t.shape(), strides = t.strides();
  strides.insert(at, at < t.ndim() ? t.strides()[at] * t.shape()[at] : 1);
  shape.insert(at, 1);
  return make_view("unsqueeze", t, shape, strides, 0, back_to_shape(t));
}

Tensor select(const Tensor& t, std::int64_t dim, std::int64_t index) {
  check_as(ErrorKind::index, t.ndim() > 0, "select: a 0-d tensor has no dimension to select from");
  const int d = wrap_dim(dim, t.ndim(), "select");
  const std::int64_t size = t.shape()[d];
  check_as(ErrorKind::index, index >= -size && index < size, "index ", index, " is out of range for dimension ", d,
           " of size ", size);
  const std::int64_t i = index < 0 ? index + size : index;
  Dims shape = t.shape(), strides = t.strides();
  const std::int64_t offset = i * strides[d];
  shape.erase(d);
  strides.erase(d);
  return make_view("select", t, shape, strides, offset,
                   into_zeros(t, [d, i](const Tensor& z) { return select(z, d, i); }));
}

Tensor slice(const Tensor& t, std::int64_t dim, std::int64_t start, std::int64_t stop, std::int64_t step) {
  check_as(ErrorKind::index, t.ndim() > 0, "slice: a 0-d tensor cannot be sliced");
  const int d = wrap_dim(dim, t.ndim(), "slice");
  check(step > 0, "slice: step must be positive, got ", step);
  check(start >= 0 && start <= t.shape()[d], "slice: start ", start, " is out of range for dimension ", d, " of size ",
        t.shape()[d]);
  Dims shape = t.shape(), strides = t.strides();
  const std::int64_t end = stop < start ? start : stop > shape[d] ? shape[d] : stop;
  shape[d] = end > start ? (end - start - 1) / step + 1 : 0;
  const std::int64_t offset = shape[d] ? start * strides[d] : 0;
  strides[d] *= shape[d] > 1 ? step : 1;
  return make_view("slice", t, shape, strides, offset,
                   into_zeros(t, [d, start, stop, step](const Tensor& z) { return slice(z, d, start, stop, step); }));
}

Tensor narrow(const Tensor& t, std::int64_t dim, std::int64_t start, std::int64_t length) {
  const int d = wrap_dim(dim, t.ndim(), "narrow");
  const std::int64_t size = t.ndim() ? t.shape()[d] : 0;
  const std::int64_t from = start < 0 ? start + size : start;
  check(from >= 0 && length >= 0 && length <= size - from, "narrow: start ", start, " and length ", length,
        " are out of range for dimension ", d, " of size ", size);
  return slice(t, d, from, from + length, 1);
}

Tensor diagonal(const Tensor& t, std::int64_t offset, std::int64_t a, std::int64_t b) {
  const int x = wrap_dim(a, t.ndim(), "diagonal"), y = wrap_dim(b, t.ndim(), "diagonal");
  check(x != y, "diagonal: dim1 and dim2 are both ", x);
  const std::int64_t rows = t.shape()[x] + (offset < 0 ? offset : 0),
                     columns = t.shape()[y] - (offset > 0 ? offset : 0);
  const std::int64_t length = std::max<std::int64_t>(0, std::min(rows, columns));
  const std::int64_t first = length == 0 ? 0 : offset < 0 ? -offset * t.strides()[x] : offset * t.strides()[y];
  Dims shape, strides;
  for (int i = 0; i < t.ndim(); ++i) {
    if (i == x || i == y) continue;
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i]);
  }
  shape.push_back(length);
  strides.push_back(t.strides()[x] + t.strides()[y]);
  return make_view("diagonal", t, shape, strides, first,
                   into_zeros(t, [offset, x, y](const Tensor& z) { return diagonal(z, offset, x, y); }));
}

Tensor unfold(const Tensor& t, std::int64_t dim, std::int64_t size, std::int64_t step) {
  const int d = wrap_dim(dim, t.ndim(), "unfold");
  const std::int64_t have = t.ndim() ? t.shape()[d] : 1;
  check(size >= 0 && size <= have, "unfold: size ", size, " is out of range for dimension ", d, " of size ", have);
  check(step > 0, "unfold: step must be positive, got ", step);
  Dims shape = t.shape(), strides = t.strides();
  if (t.ndim() == 0) return unfold(reshape(t, {1}), 0, size, step);
  shape.push_back(size);
  strides.push_back(t.strides()[d]);
  shape[d] = (have - size) / step + 1;
  if (shape[d] > 1) strides[d] *= step;
  return make_view("unfold", t, shape, strides, 0, [source = t.shape(), d, size, step](Gradients& g) {
    // Windows overlap; the i-th elements of all of them do not.
    const Tensor& dy = g.of_output();
    const Tensor sum = full(source, Scalar(0.0), dy.dtype(), dy.device());
    for (std::int64_t i = 0; i < size; ++i)
      add_gradient_in_place(slice(sum, d, i, i + (dy.shape()[d] - 1) * step + 1, step), select(dy, dy.ndim() - 1, i));
    g.give(0, sum);
  });
}

namespace {

// Where a tensor lies in its storage, in elements.
struct Placement {
  Dims shape, strides;
  std::int64_t first;

  explicit Placement(const Tensor& t)
      : shape(t.shape()), strides(t.strides()), first(t.offset_bytes() / static_cast<std::int64_t>(t.item_size())) {}
  Extent reach() const {
    const Extent e = extent(shape, strides);
    return {first + e.first, first + e.last};
  }
  Tensor on(const Tensor& flat, std::int64_t start) const {
    return view_of(flat, shape, strides, (first - start) * static_cast<std::int64_t>(flat.item_size()));
  }
};

// A gradient for every element of the storage that either tensor reaches; those of the source are its own.
auto into_storage(const Tensor& source, const Tensor& v) {
  return [from = Placement(source), to = Placement(v)](Gradients& g) {
    const Extent a = from.reach(), b = to.reach();
    const std::int64_t start = std::min(a.first, b.first), end = std::max(a.last, b.last);
    const Tensor flat = full({end - start}, Scalar(0.0), g.of_output().dtype(), g.of_output().device());
    add_gradient_to_window(to.on(flat, start), g.of_output());
    g.give(0, from.on(flat, start));
  };
}

}  // namespace

Tensor as_strided(const Tensor& t, const Dims& shape, const Dims& strides, std::optional<std::int64_t> offset) {
  check(shape.size() == strides.size(), "as_strided: shape ", shape, " and strides ", strides, " differ in length");
  count(shape);
  for (const std::int64_t stride : strides)
    check(stride > -kMostElements && stride < kMostElements, "as_strided: stride ", stride, " is out of range");
  const auto item = static_cast<std::int64_t>(t.item_size());
  const auto elements = static_cast<std::int64_t>(t.storage().bytes) / item;
  check(!offset || (*offset >= 0 && *offset <= elements), "as_strided: storage_offset ", offset.value_or(0),
        " lies outside the storage of ", elements, " elements");
  const Tensor v = view_of(t, shape, strides, offset ? *offset * item : t.offset_bytes());
  if (needs_grad(t)) {
    check_as(ErrorKind::not_implemented, !overlaps_itself(t),
             "as_strided: a tensor that overlaps itself has no gradient; clone() it first");
    record("as_strided", v, {&t}, into_storage(t, v));
  }
  link_view(v, t);
  return v;
}

void add_gradient_to_window(const Tensor& window, const Tensor& grad) {
  if (!overlaps_itself(window)) return add_gradient_in_place(window, grad);
  // Every element's place in the flat memory, so that those that come more than once add up.
  const Extent e = extent(window.shape(), window.strides());
  Tensor places = full({}, Scalar(-e.first), DType::i64, window.device());
  for (int d = 0; d < window.ndim(); ++d) {
    Dims own(window.ndim(), 1);
    own[d] = window.shape()[d];
    places = add(places, reshape(mul(arange(Scalar(0), Scalar(own[d]), Scalar(1), DType::i64, window.device()),
                                     Scalar(window.strides()[d])),
                                 own));
  }
  const Tensor flat = view_of(window, {e.last - e.first}, {1},
                              window.offset_bytes() + e.first * static_cast<std::int64_t>(window.item_size()));
  add_at(flat, PositionSet::along(0, places, false), grad);
}

}  // namespace lamina
