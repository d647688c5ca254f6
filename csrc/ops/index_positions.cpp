#include "ops/index_positions.h"

#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/index.h"
#include "ops/elementwise.h"
#include "ops/loops.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

Tensor window(const Tensor& t, const Dims& shape, const Dims& strides) {
  return Tensor(new TensorImpl(t.impl()->storage, t.offset_bytes(), shape, strides, t.dtype()));
}

std::int64_t span_size(const Dims& shape, const IndexTensor& t) {
  std::int64_t size = 1;
  for (int d = t.dim; d < t.dim + t.span; ++d) size *= shape[d];
  return size;
}

// The step through dimensions [dim, dim + span) that step as one; those of size 1 take none.
std::int64_t span_step(const Dims& shape, const Dims& strides, int dim, int span) {
  for (int d = dim + span - 1; d >= dim; --d)
    if (shape[d] > 1) return strides[d];
  return 0;
}

// The index tensors over their common shape, its dimensions merged where all of them step alike. `strides` are those of
// the indexed tensor; null when positions are only checked.
Positions positions_of(const PositionSet& set, const Dims& shape, const Dims* strides) {
  Positions p;
  p.operand_count = static_cast<int>(set.tensors.size());
  p.from_end = set.from_end;
  p.count = count(set.shape);
  int ndim = 0;
  for (int i = 0; i < set.shape.size(); ++i) {
    if (set.shape[i] == 1) continue;
    bool merge = ndim > 0;
    for (int k = 0; k < p.operand_count; ++k) {
      const Tensor& t = set.tensors[static_cast<std::size_t>(k)].tensor;
      const int own = i - (set.shape.size() - t.ndim());
      const std::int64_t stride = own < 0 || t.shape()[own] == 1 ? 0 : t.strides()[own];
      p.operands[k].strides[ndim] = stride;
      merge = merge && p.operands[k].strides[ndim - 1] == stride * set.shape[i];
    }
    p.shape[ndim] = set.shape[i];
    if (!merge) {
      ++ndim;
      continue;
    }
    p.shape[ndim - 1] *= set.shape[i];
    for (int k = 0; k < p.operand_count; ++k) p.operands[k].strides[ndim - 1] = p.operands[k].strides[ndim];
  }
  if (ndim == 0) {
    p.shape[0] = p.count;
    for (int k = 0; k < p.operand_count; ++k) p.operands[k].strides[0] = 0;
    ndim = 1;
  }
  p.ndim = ndim;
  for (int k = 0; k < p.operand_count; ++k) {
    const IndexTensor& t = set.tensors[static_cast<std::size_t>(k)];
    IndexOperand& o = p.operands[k];
    o.data = t.tensor.data();
    o.dtype = t.tensor.dtype();
    o.size = span_size(shape, t);
    o.step = strides ? span_step(shape, *strides, t.dim, t.span) : 0;
  }
  return p;
}

// What the message of an index out of range needs to say; plain data, for it travels through the launch seam.
struct FaultReport {
  const char* op;
  int dims[kMaxIndices];
  std::int64_t sizes[kMaxIndices];
};

void report_fault(const IndexFault* fault, FaultReport report) {
  if (fault->operand < 0) return;
  fail(ErrorKind::index, report.op, ": index ", fault->value, " is out of range for dimension ",
       report.dims[fault->operand], " of size ", report.sizes[fault->operand]);
}

void launch_check(const char* op, const Positions& p, const PositionSet& set, Device device) {
  if (p.count == 0) return;
  FaultReport report{.op = op, .dims = {}, .sizes = {}};
  for (int k = 0; k < p.operand_count; ++k) {
    report.dims[k] = set.tensors[static_cast<std::size_t>(k)].named_dim;
    report.sizes[k] = p.operands[k].size;
  }
  const Tensor fault = empty({sizeof(IndexFault) / sizeof(std::int64_t)}, DType::i64, device);
  const auto result = reinterpret_cast<IndexFault*>(fault.data());
  current_stream().launch(kernels(device).index.check, p, result);
  current_stream().report(device, report_fault, static_cast<const IndexFault*>(result), report);
}

// A tensor whose spans step as one: t itself or a copy.
Tensor with_spans(const Tensor& t, const PositionSet& set) {
  for (const IndexTensor& i : set.tensors)
    if (!steps_as_one(t, i.dim, i.span)) return contiguous(t);
  return t;
}

// The dense side, broadcast to the result's shape, with the positions along one dimension of a single step.
struct DenseSide {
  Tensor rest;  // without the positions' dimensions
  std::int64_t step;

  DenseSide(const Tensor& values, const PositionSet& set, const Dims& result) {
    Tensor wide = values.shape() == result ? values : expand(values, result);
    if (set.shape.size() > 0 && !steps_as_one(wide, set.place, set.shape.size())) wide = clone(wide);
    Dims shape, strides;
    for (int d = 0; d < wide.ndim(); ++d) {
      if (d >= set.place && d < set.place + set.shape.size()) continue;
      shape.push_back(wide.shape()[d]);
      strides.push_back(wide.strides()[d]);
    }
    step = span_step(wide.shape(), wide.strides(), set.place, set.shape.size());
    rest = window(wide, shape, strides);
  }
};

Tensor indexed_rest(const Tensor& t, const PositionSet& set) {
  Dims shape, strides;
  std::size_t next = 0;
  for (int d = 0; d < t.ndim(); ++d) {
    if (next < set.tensors.size() && d == set.tensors[next].dim) {
      d += set.tensors[next++].span - 1;
      continue;
    }
    shape.push_back(t.shape()[d]);
    strides.push_back(t.strides()[d]);
  }
  return window(t, shape, strides);
}

// Index tensors that lie in the very memory that is about to be written are copied: they have been checked as they are.
PositionSet apart_from(const Tensor& t, PositionSet set) {
  for (IndexTensor& i : set.tensors)
    if (&i.tensor.storage() == &t.storage()) i.tensor = clone(i.tensor);
  return set;
}

template <class Launch>
void move_elements(const Tensor& t, const PositionSet& set, const Tensor& values, const Dims& result, Launch launch) {
  if (count(result) == 0) return;
  for (const IndexTensor& i : set.tensors)
    check(i.tensor.device() == t.device(), "index: the tensor is on ", t.device(), ", its index on ",
          i.tensor.device());
  const DenseSide dense(values, set, result);
  const Tensor indexed = indexed_rest(t, set);
  IndexedLoop l;
  l.loop = LoopBuilder(indexed.shape()).add(dense.rest).add(indexed).build();
  l.positions = positions_of(set, t.shape(), &t.strides());
  l.dense_step = dense.step;
  launch(l);
}

}  // namespace

bool steps_as_one(const Tensor& t, int dim, int span) {
  std::int64_t expected = 0;
  bool first = true;
  for (int d = dim + span - 1; d >= dim; --d) {
    if (t.shape()[d] == 1) continue;
    if (!first && t.strides()[d] != expected) return false;
    expected = t.strides()[d] * t.shape()[d];
    first = false;
  }
  return true;
}

PositionSet PositionSet::along(int dim, const Tensor& index, bool from_end) {
  PositionSet set;
  set.tensors.push_back({dim, 1, dim, index});
  set.shape = index.shape();
  set.place = dim;
  set.from_end = from_end;
  return set;
}

Dims PositionSet::result_shape(const Dims& source) const {
  Dims out;
  std::size_t next = 0;
  for (int d = 0; d < source.size(); ++d) {
    if (next < tensors.size() && d == tensors[next].dim)
      d += tensors[next++].span - 1;
    else
      out.push_back(source[d]);
  }
  for (int i = 0; i < shape.size(); ++i) out.insert(place + i, shape[i]);
  return out;
}

void check_index_dtype(const char* op, const Tensor& index) {
  check_as(ErrorKind::index, index.dtype() == DType::i64 || index.dtype() == DType::i32, op,
           ": an index must be int64 or int32, got ", name_of(index.dtype()));
}

void check_positions(const char* op, const Dims& shape, const PositionSet& set) {
  if (!set.tensors.empty()) launch_check(op, positions_of(set, shape, nullptr), set, set.tensors[0].tensor.device());
}

void check_in_range(const char* op, const Tensor& index, int dim, std::int64_t size) {
  const PositionSet set = PositionSet::along(dim, index, false);
  Dims shape(dim + 1);
  shape[dim] = size;
  launch_check(op, positions_of(set, shape, nullptr), set, index.device());
}

Tensor read_at(const Tensor& source, const PositionSet& set) {
  const GradMode off(false);
  const Tensor t = with_spans(source, set);
  const Dims result = set.result_shape(t.shape());
  const Tensor out = empty(result, t.dtype(), t.device());
  move_elements(t, set, out, result,
                [&](const IndexedLoop& l) { current_stream().launch(kernels(t.device()).index.gather, l); });
  return out;
}

void write_at(const Tensor& t, const PositionSet& given, const Tensor& values) {
  const GradMode off(false);
  const PositionSet set = apart_from(t, given);
  move_elements(t, set, values, set.result_shape(t.shape()),
                [&](const IndexedLoop& l) { current_stream().launch(kernels(t.device()).index.put, l, set.distinct); });
}

void add_at(const Tensor& t, const PositionSet& given, const Tensor& values) {
  const GradMode off(false);
  const PositionSet set = apart_from(t, given);
  const DType wide = t.dtype() == DType::b8 ? DType::b8 : compute_type(t.dtype());
  if (wide != t.dtype()) {
    const Tensor sum = to_dtype(t, wide);
    add_at(sum, set, to_dtype(values, wide));
    return write_copy(t, sum);
  }
  const auto kernel = require(kernels(t.device()).index.add[static_cast<int>(wide)], "index_add", t.device());
  move_elements(t, set, values, set.result_shape(t.shape()),
                [&](const IndexedLoop& l) { current_stream().launch(kernel, l); });
}

Tensor spread_at(const Dims& shape, const PositionSet& set, const Tensor& values) {
  const DType wide = compute_type(values.dtype());
  const Tensor sum = full(shape, Scalar(0), wide, values.device());
  if (set.distinct)
    write_at(sum, set, to_dtype(values, wide));
  else
    add_at(sum, set, to_dtype(values, wide));
  return to_dtype(sum, values.dtype());
}

Tensor read_recorded(const char* op, const Tensor& t, const PositionSet& set) {
  const Tensor out = read_at(t, set);
  if (needs_grad(t))
    record(op, out, {&t}, [shape = t.shape(), set = SavedPositions(set)](Gradients& g) {
      g.give(0, spread_at(shape, set.get(), g.of_output()));
    });
  return out;
}

// Leading dimensions of size 1 beyond `ndim` may go, as in NumPy.
Tensor without_leading_ones(Tensor value, int ndim) {
  while (value.ndim() > ndim && value.shape()[0] == 1) value = select(value, 0, 0);
  return value;
}

void put_recorded(const char* op, const Tensor& t, const PositionSet& set, const Tensor& given, bool accumulate) {
  const Dims result = set.result_shape(t.shape());
  const Tensor value = without_leading_ones(given, result.size());
  check(broadcast_shapes(value.shape(), result, op) == result, op, ": a value of shape ", given.shape(),
        " does not broadcast to ", result);
  check_writable(op, t);
  const bool recorded = is_floating(t.dtype()) && needs_grad(t, value);
  Ref<Node> node;
  if (recorded)
    node =
        make_node(op, {&t, &value},
                  [set = SavedPositions(set), shape = value.shape(), type = value.dtype(), accumulate](Gradients& g) {
                    const Tensor& dy = g.of_output();
                    if (g.wants(1)) g.give(1, to_dtype(sum_to(read_at(dy, set.get()), shape), type));
                    if (!g.wants(0)) return;
                    if (accumulate) return g.give(0, dy);
                    const Tensor rest = clone(dy);
                    write_at(rest, set.get(), full({}, Scalar(0), dy.dtype(), dy.device()));
                    g.give(0, rest);
                  });
  {
    const GradMode off(false);
    const Tensor source = to_dtype(&value.storage() == &t.storage() ? clone(value) : value, t.dtype());
    accumulate ? add_at(t, set, source) : write_at(t, set, source);
  }
  recorded ? rebase_history(t, std::move(node)) : bump_version(t);
}

}  // namespace lamina
