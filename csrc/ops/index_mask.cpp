// Masks: where they are true, and reading and writing there.
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/elementwise.h"
#include "kernels/index.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/index_positions.h"
#include "ops/loops.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

// A contiguous mask and the number of its true elements, in all and before each chunk.
struct CountedMask {
  Tensor mask, counts;
  std::int64_t total;

  explicit CountedMask(const Tensor& t) {
    check_size_is_known("nonzero, or of a boolean mask as an index,");
    const GradMode off(false);
    mask = contiguous(to_dtype(detach(t), DType::b8));
    const std::int64_t chunks = (mask.numel() + kMaskChunk - 1) / kMaskChunk;
    counts = empty({chunks + 1}, DType::i64, t.device());
    current_stream().launch(kernels(t.device()).index.count_true, bytes(), mask.numel(), counts.data<std::int64_t>());
    total = fetch(counts.data<std::int64_t>() + chunks, t.device());
  }
  const std::uint8_t* bytes() const { return mask.data<std::uint8_t>(); }
};

void check_is_mask(const char* op, const Tensor& mask) {
  check_as(ErrorKind::type, mask.dtype() == DType::b8, op, ": the mask must be bool, got ", name_of(mask.dtype()));
}

}  // namespace

Tensor flat_nonzero(const Tensor& t) {
  const CountedMask m(t);
  const Tensor out = empty({m.total}, DType::i64, t.device());
  if (m.total > 0)
    current_stream().launch(kernels(t.device()).index.list_true, m.bytes(), m.mask.numel(),
                            m.counts.data<std::int64_t>(), out.data<std::int64_t>());
  return out;
}

Tensor nonzero(const Tensor& t) {
  const CountedMask m(t);
  const Tensor columns = empty({t.ndim(), m.total}, DType::i64, t.device());
  if (columns.numel() > 0) {
    Loop shape = LoopBuilder(m.mask.shape()).add(m.mask).build();
    shape.ndim = t.ndim();  // as it is, not merged: its coordinates are the result
    for (int d = 0; d < t.ndim(); ++d)
      shape.shape[d] = t.shape()[d], shape.operands[0].strides[d] = m.mask.strides()[d];
    current_stream().launch(kernels(t.device()).index.unravel_true, m.bytes(), shape, m.counts.data<std::int64_t>(),
                            m.total, columns.data<std::int64_t>());
  }
  return transpose(columns, 0, 1);
}

std::vector<Tensor> nonzero_tuple(const Tensor& t) {
  const Tensor all = nonzero(t.ndim() == 0 ? reshape(detach(t), {1}) : t);
  std::vector<Tensor> out;
  for (int d = 0; d < all.shape()[1]; ++d) out.push_back(select(all, 1, d));
  return out;
}

void masked_fill_(const Tensor& t, const Tensor& mask, const Arg& value) {
  check_is_mask("masked_fill_", mask);
  check(!value.is_tensor() || value.tensor().ndim() == 0, "masked_fill_: the value must be a number or a 0-d tensor");
  check(broadcast_shapes(mask.shape(), t.shape(), "masked_fill_") == t.shape(), "masked_fill_: a mask of shape ",
        mask.shape(), " does not broadcast to ", t.shape());
  check_writable("masked_fill_", t);
  if (!value.is_tensor()) value.number().check_fits(t.dtype(), "masked_fill_");
  const Tensor* number = value.is_tensor() ? &value.tensor() : nullptr;
  const bool recorded =
      is_floating(t.dtype()) && grad_enabled() && (t.requires_grad() || (number && number->requires_grad()));
  Ref<Node> node;
  if (recorded)
    node = make_node("masked_fill", {&t, number},
                     [mask = save(mask), type = number ? number->dtype() : t.dtype()](Gradients& g) {
                       const Tensor& dy = g.of_output();
                       if (g.wants(0)) g.give(0, where(mask.get(), Scalar(0.0), dy));
                       if (g.wants(1)) g.give(1, to_dtype(sum_to(where(mask.get(), dy, Scalar(0.0)), {}), type));
                     });
  if (t.numel() > 0) {
    const GradMode off(false);
    const bool half = t.dtype() == DType::f16 || t.dtype() == DType::bf16;  // no immediates of these types
    const Tensor filling = number ? to_dtype(*number, t.dtype())
                           : half ? full({}, value.number(), t.dtype(), t.device())
                                  : Tensor();
    const Tensor chosen = overlaps_askew(t, mask) ? clone(mask) : mask;
    LoopBuilder loop(t.shape());
    loop.add(t).add(chosen);
    filling.defined() ? loop.add(filling) : loop.add(value.number(), t.dtype());
    current_stream().launch(kernels(t.device()).elementwise.where, loop.add(t).build());
  }
  recorded ? rebase_history(t, std::move(node)) : bump_version(t);
}

Tensor masked_select(const Tensor& t, const Tensor& mask) {
  check_is_mask("masked_select", mask);
  const Dims shape = broadcast_shapes(t.shape(), mask.shape(), "masked_select");
  return subscript(reshape(expand(t, shape), {-1}),
                   {{.kind = Subscript::Kind::tensor, .tensor = reshape(expand(mask, shape), {-1})}});
}

void masked_scatter_(const Tensor& t, const Tensor& mask, const Tensor& source) {
  check_is_mask("masked_scatter_", mask);
  check_as(ErrorKind::type, source.dtype() == t.dtype(), "masked_scatter_: expected a source of ", name_of(t.dtype()),
           ", got ", name_of(source.dtype()));
  check(broadcast_shapes(mask.shape(), t.shape(), "masked_scatter_") == t.shape(), "masked_scatter_: a mask of shape ",
        mask.shape(), " does not broadcast to ", t.shape());
  const Tensor wide = expand(mask, t.shape());
  const std::int64_t needed = CountedMask(wide).total;
  check(needed <= source.numel(), "masked_scatter_: the mask chooses ", needed, " elements, the source has ",
        source.numel());
  set_subscript(t, {{.kind = Subscript::Kind::tensor, .tensor = wide}}, slice(reshape(source, {-1}), 0, 0, needed, 1));
}

}  // namespace lamina
