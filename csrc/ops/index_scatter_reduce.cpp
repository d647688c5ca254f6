// scatter_reduce: every element becomes a fold of those that an index sends to it, and of itself unless it is left out.
#include "autograd/node.h"
#include "core/dispatch.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/index_along.h"
#include "ops/loops.h"
#include "ops/view.h"

namespace lamina {
namespace {

constexpr const char* kName = "scatter_reduce";

struct Call {
  ScatterFold fold;
  bool include_self;
  int dim;
};

Tensor constant(const Dims& shape, const Scalar& value, const Tensor& like) {
  return full(shape, value, like.dtype(), like.device());
}
Tensor equal(const Tensor& a, const Arg& b, DType dtype) { return to_dtype(binary(BinaryOp::eq, a, b), dtype); }

// What `source` adds up to at every element of a tensor like `t`, from `start`.
Tensor added_up(const Tensor& t, double start, const Tensor& index, const Tensor& source, int dim) {
  const Tensor sum = constant(t.shape(), Scalar(start), t);
  scatter_add_(sum, dim, index, source);
  return sum;
}

// How many elements went into each; at least 1.
Tensor count(const Call& c, const Tensor& t, const Tensor& index) {
  const Tensor n = added_up(t, c.include_self ? 1 : 0, index, constant(index.shape(), Scalar(1), t), c.dim);
  const Arg one(Scalar(1));
  return clamp(n, &one, nullptr);
}

Tensor without(const Call& c, const Tensor& t, const Tensor& index, const Scalar& value) {
  const Tensor rest = clone(t);
  scatter_(rest, c.dim, index, value);
  return rest;
}

Scalar neutral(ScatterFold fold, DType dtype) {
  if (fold == ScatterFold::prod) return Scalar(1);
  if (fold == ScatterFold::sum || fold == ScatterFold::mean) return Scalar(0);
  const bool largest = fold == ScatterFold::amax;
  if (is_floating(dtype)) return Scalar(largest ? -__builtin_inf() : __builtin_inf());
  switch (dtype) {
    case DType::i64: return Scalar(largest ? INT64_MIN : INT64_MAX);
    case DType::i32: return Scalar(std::int64_t{largest ? INT32_MIN : INT32_MAX});
    default: return Scalar(std::int64_t{largest ? 0 : UINT8_MAX});
  }
}

// Wide enough that 16-bit floats are rounded once.
Tensor folded(const Call& c, const Tensor& t, const Tensor& index, const Tensor& source) {
  const IndexTable& k = kernels(t.device()).index;
  const Tensor y = c.include_self ? clone(t) : without(c, t, index, neutral(c.fold, t.dtype()));
  switch (c.fold) {
    case ScatterFold::prod: fold_along(k.along_multiply, kName, y, index, source, c.dim); return y;
    case ScatterFold::amax: fold_along(k.along_largest, kName, y, index, source, c.dim); return y;
    case ScatterFold::amin: fold_along(k.along_smallest, kName, y, index, source, c.dim); return y;
    default: fold_along(k.along_add, kName, y, index, source, c.dim);
  }
  if (c.fold == ScatterFold::sum) return y;
  return binary(is_floating(t.dtype()) ? BinaryOp::div : BinaryOp::floor_divide, y, count(c, t, index));
}

struct Pair {
  Tensor self, source;
};

// The elements that tie share the gradient; one that was left out has no part in it.
Pair extreme_gradient(const Call& c, const Tensor& t, const Tensor& index, const Tensor& source, const Tensor& y,
                      const Tensor& dy) {
  Tensor is_self = equal(t, y, dy.dtype());
  if (!c.include_self) is_self = without(c, is_self, index, Scalar(0));
  const Tensor is_source = equal(source, gather(y, c.dim, index), dy.dtype());
  const Tensor sources = added_up(dy, 0, index, is_source, c.dim);
  const Tensor each = div(dy, add(is_self, sources));
  return {mul(is_self, each), mul(is_source, gather(each, c.dim, index))};
}

// The product of all others: by division where no zero is among them, and where just one is, for it alone.
Pair product_gradient(const Call& c, const Tensor& t, const Tensor& index, const Tensor& source, const Tensor& y,
                      const Tensor& dy) {
  const DType type = dy.dtype();
  const auto ones_for_zeros = [](const Tensor& x, const Tensor& zero) { return where(zero, Scalar(1), x); };
  const Tensor self_zero = binary(BinaryOp::eq, t, Scalar(0)), source_zero = binary(BinaryOp::eq, source, Scalar(0));
  const Tensor self_rest = ones_for_zeros(t, self_zero);
  const Tensor without_self = div(folded(c, self_rest, index, source), self_rest);

  const Tensor zeros = added_up(dy, 0, index, to_dtype(source_zero, type), c.dim);
  const Tensor only_zero =
      binary(BinaryOp::logical_and, source_zero, binary(BinaryOp::eq, gather(zeros, c.dim, index), Scalar(1)));
  const Tensor without_it = folded(c, t, index, ones_for_zeros(source, only_zero));
  const Tensor of_others = div(gather(mul(dy, y), c.dim, index), ones_for_zeros(source, source_zero));
  return {mul(dy, without_self), where(only_zero, gather(mul(dy, without_it), c.dim, index), of_others)};
}

Pair gradient(const Call& c, const Tensor& t, const Tensor& index, const Tensor& source, const Tensor& y,
              const Tensor& dy) {
  if (c.fold == ScatterFold::sum) return {dy, gather(dy, c.dim, index)};
  if (c.fold == ScatterFold::mean) {
    const Tensor each = div(dy, count(c, dy, index));
    return {each, gather(each, c.dim, index)};
  }
  if (c.fold == ScatterFold::prod) return product_gradient(c, t, index, source, y, dy);
  return extreme_gradient(c, t, index, source, y, dy);
}

}  // namespace

Tensor scatter_reduce(const Tensor& t, std::int64_t asked_dim, const Tensor& index, const Tensor& source,
                      ScatterFold fold, bool include_self) {
  check_as(ErrorKind::type, source.dtype() == t.dtype(), kName, ": expected a source of ", name_of(t.dtype()), ", got ",
           name_of(source.dtype()));
  if (t.ndim() == 0) {
    const auto row = [](const Tensor& x) { return x.ndim() == 0 ? reshape(x, {1}) : x; };
    return reshape(scatter_reduce(row(t), asked_dim, row(index), row(source), fold, include_self), {});
  }
  const Call c{fold, include_self, check_scatter(kName, t, asked_dim, index, source)};
  const DType wide = is_floating(t.dtype()) ? compute_type(t.dtype()) : t.dtype();
  const Tensor self = to_dtype(t, wide), all = to_dtype(source, wide);
  // Of the source, what the index covers.
  const auto covered = [shape = index.shape()](const Tensor& s) {
    return view_of(s, shape, s.strides(), s.offset_bytes());
  };
  Tensor y;
  {
    const GradMode off(false);
    y = folded(c, self, index, covered(all));
  }
  if (is_floating(wide) && needs_grad(self, all))
    record(kName, y, {&self, &all},
           [c, covered, self = save(self), index = save(index), all = save(all), y = save_output(y)](Gradients& g) {
             const Tensor s = all.get();
             Pair d = gradient(c, self.get(), index.get(), covered(s), y.get(), g.of_output());
             if (!c.include_self) d.self = without(c, d.self, index.get(), Scalar(0));
             if (g.wants(0)) g.give(0, d.self);
             if (g.wants(1)) g.give(1, spread_to(d.source, s.shape()));
           });
  return to_dtype(y, t.dtype());
}

}  // namespace lamina
