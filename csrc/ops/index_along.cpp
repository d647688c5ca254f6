// gather and scatter: an index of the tensor's own rank that stands for one dimension.
#include "ops/index_along.h"

#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/index.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/index_positions.h"
#include "ops/loops.h"
#include "ops/view.h"

namespace lamina {
namespace {

Tensor at_least_1d(const Tensor& t) { return t.ndim() == 0 ? reshape(t, {1}) : t; }

// The first elements of t, as many as `shape` has, without dimension `dim`.
Tensor beside(const Tensor& t, const Dims& shape, int dim) {
  Dims rest = shape, strides = t.strides();
  rest.erase(dim);
  strides.erase(dim);
  return Tensor(new TensorImpl(t.impl()->storage, t.offset_bytes(), rest, strides, t.dtype()));
}

template <class Launch>
void move_along(const Tensor& dense, const Tensor& index, const Tensor& indexed, int dim, Launch launch) {
  if (index.numel() == 0) return;
  const Tensor d = beside(dense, index.shape(), dim), x = beside(index, index.shape(), dim),
               t = beside(indexed, index.shape(), dim);
  AlongLoop l;
  l.loop = LoopBuilder(d.shape()).add(d).add(x).add(t).build();
  l.length = index.shape()[dim];
  l.dense_stride = dense.strides()[dim];
  l.index_stride = index.strides()[dim];
  l.size = indexed.shape()[dim];
  l.indexed_stride = indexed.strides()[dim];
  launch(l, kernels(indexed.device()).index);
}

void check_rank(const char* op, const Tensor& t, const Tensor& index) {
  check_index_dtype(op, index);
  check(index.ndim() == t.ndim(), op, ": expected an index with ", t.ndim(), " dimensions like the input's, got shape ",
        index.shape());
}

// Outside `dim` (-1: everywhere) the index may be smaller than `other`, not larger.
void check_inside(const char* op, const char* name, const Tensor& index, const Tensor& other, int dim) {
  for (int d = 0; d < index.ndim(); ++d)
    check(d == dim || index.shape()[d] <= other.shape()[d], op, ": the index of shape ", index.shape(),
          " is larger than the ", name, " of shape ", other.shape(), " in dimension ", d);
}

void write_along(const Tensor& t, const Tensor& index, const Tensor& source, int dim) {
  move_along(source, index, t, dim,
             [](const AlongLoop& l, const IndexTable& k) { current_stream().launch(k.along_put, l); });
}

void add_along(const Tensor& t, const Tensor& index, const Tensor& source, int dim) {
  fold_along(kernels(t.device()).index.along_add, "scatter_add", t, index, source, dim);
}

}  // namespace

void fold_along(AlongKernels table, const char* name, const Tensor& t, const Tensor& index, const Tensor& source,
                int dim) {
  const DType wide = t.dtype() == DType::b8 ? DType::b8 : compute_type(t.dtype());
  if (wide != t.dtype()) {
    const Tensor whole = to_dtype(t, wide);
    fold_along(table, name, whole, index, to_dtype(source, wide), dim);
    return write_copy(t, whole);
  }
  const auto kernel = require(table[static_cast<int>(wide)], name, t.device());
  move_along(source, index, t, dim,
             [kernel](const AlongLoop& l, const IndexTable&) { current_stream().launch(kernel, l); });
}

int check_scatter(const char* op, const Tensor& t, std::int64_t asked_dim, const Tensor& index, const Tensor& source) {
  const int dim = wrap_dim(asked_dim, t.ndim(), op);
  check_rank(op, t, index);
  check(source.ndim() == t.ndim(), op, ": expected a source with ", t.ndim(), " dimensions, got shape ",
        source.shape());
  check_inside(op, "input", index, t, dim);
  check_inside(op, "source", index, source, -1);
  check_in_range(op, index, dim, t.shape()[dim]);
  return dim;
}

Tensor spread_to(const Tensor& part, const Dims& shape) {
  if (part.shape() == shape) return part;
  const Tensor whole = full(shape, Scalar(0), part.dtype(), part.device());
  write_copy(view_of(whole, part.shape(), whole.strides(), 0), part);
  return whole;
}

namespace {

Tensor zero_number(const Tensor& like) { return full({}, Scalar(0), like.dtype(), like.device()); }

// The shared half of scatter_ and scatter_add_.
void scatter_into(const char* op, const Tensor& given, std::int64_t asked_dim, const Tensor& given_index,
                  const Tensor& given_source, bool accumulate) {
  const Tensor t = at_least_1d(given), index = at_least_1d(given_index);
  const Tensor source = given_source.ndim() == 0 ? expand(given_source, index.shape()) : given_source;
  const int dim = check_scatter(op, t, asked_dim, index, source);
  check_writable(op, t);
  const bool recorded = is_floating(t.dtype()) && needs_grad(t, source);
  Ref<Node> node;
  if (recorded)
    node =
        make_node(op, {&t, &source},
                  [index = save(index), dim, shape = source.shape(), type = source.dtype(), accumulate](Gradients& g) {
                    const Tensor& dy = g.of_output();
                    if (g.wants(1)) g.give(1, to_dtype(spread_to(gather(dy, dim, index.get()), shape), type));
                    if (!g.wants(0)) return;
                    if (accumulate) return g.give(0, dy);
                    const Tensor rest = clone(dy);
                    write_along(rest, index.get(), expand(zero_number(dy), index.get().shape()), dim);
                    g.give(0, rest);
                  });
  {
    const GradMode off(false);
    const Tensor from = to_dtype(&source.storage() == &t.storage() ? clone(source) : source, t.dtype());
    const Tensor where_to = &index.storage() == &t.storage() ? clone(index) : index;
    accumulate ? add_along(t, where_to, from, dim) : write_along(t, where_to, from, dim);
  }
  recorded ? rebase_history(t, std::move(node)) : bump_version(t);
}

}  // namespace

Tensor gather(const Tensor& given, std::int64_t asked_dim, const Tensor& given_index) {
  if (given.ndim() == 0)
    return reshape(gather(at_least_1d(given), asked_dim, at_least_1d(given_index)), given_index.shape());
  const Tensor &t = given, index = given_index;
  const int dim = wrap_dim(asked_dim, t.ndim(), "gather");
  check_rank("gather", t, index);
  check_inside("gather", "input", index, t, dim);
  check_in_range("gather", index, dim, t.shape()[dim]);
  const Tensor out = empty(index.shape(), t.dtype(), t.device());
  move_along(out, index, t, dim,
             [](const AlongLoop& l, const IndexTable& k) { current_stream().launch(k.along_gather, l); });
  if (needs_grad(t))
    record("gather", out, {&t}, [index = save(index), dim, shape = t.shape()](Gradients& g) {
      const Tensor& dy = g.of_output();
      const Tensor sum = full(shape, Scalar(0), compute_type(dy.dtype()), dy.device());
      add_along(sum, index.get(), to_dtype(dy, sum.dtype()), dim);
      g.give(0, to_dtype(sum, dy.dtype()));
    });
  return out;
}

void scatter_(const Tensor& t, std::int64_t dim, const Tensor& index, const Arg& source) {
  if (source.is_tensor())
    check_as(ErrorKind::type, source.dtype() == t.dtype(), "scatter: expected a source of ", name_of(t.dtype()),
             ", got ", name_of(source.dtype()));
  const bool number = !source.is_tensor();
  scatter_into("scatter", t, dim, index, number ? full({}, source.number(), t.dtype(), t.device()) : source.tensor(),
               false);
}

void scatter_add_(const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source) {
  check_as(ErrorKind::type, source.dtype() == t.dtype(), "scatter_add: expected a source of ", name_of(t.dtype()),
           ", got ", name_of(source.dtype()));
  scatter_into("scatter_add", t, dim, index, source, true);
}

Tensor take_along_dim(const Tensor& t, const Tensor& indices, std::optional<std::int64_t> dim) {
  if (!dim) return gather(reshape(t, {-1}), 0, reshape(indices, {-1}));
  check_rank("take_along_dim", t, indices);
  const int d = wrap_dim(*dim, t.ndim(), "take_along_dim");
  Dims a = t.shape(), b = indices.shape();
  a[d] = b[d] = 1;
  const Dims both = broadcast_shapes(a, b, "take_along_dim");
  a = b = both;
  a[d] = t.shape()[d];
  b[d] = indices.shape()[d];
  return gather(expand(t, a), d, expand(indices, b));
}

namespace {
void report_classes(const Survey* found, std::int64_t classes) {
  check(found->least >= 0, "one_hot: class numbers must not be negative, got ", found->least);
  check(found->most < classes, "one_hot: class ", found->most, " is not below num_classes ", classes);
}
}  // namespace

Tensor one_hot(const Tensor& t, std::int64_t classes) {
  check_index_dtype("one_hot", t);
  check(t.numel() > 0 || classes > 0, "one_hot: num_classes must be given for an empty tensor");
  check(classes == -1 || classes > 0, "one_hot: num_classes must be positive or -1, got ", classes);
  if (classes == -1) {
    classes = survey("one_hot without num_classes", t).most;
    check(classes < kMostElements, "one_hot: class ", classes, " is too large");
    ++classes;
  }
  if (t.numel() > 0) current_stream().report(t.device(), report_classes, surveyed(t).data<const Survey>(), classes);
  Dims shape = t.shape();
  shape.push_back(classes);
  const Tensor out = full(shape, Scalar(0), DType::i64, t.device());
  scatter_(out, -1, unsqueeze(t, -1), Scalar(1));
  return out;
}

}  // namespace lamina
