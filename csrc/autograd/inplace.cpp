// In-place changes and the graph. A tensor changed in place takes the change into its history; if it is a view, so does
// the tensor it views (its base), and the base's other views look their history up anew (refresh_view).
#include "autograd/engine.h"
#include "core/stream.h"

namespace lamina {
namespace {

// Where a view lies in its base, relative to the base's first element.
struct Region {
  Dims base_shape, base_strides, shape, strides;
  std::int64_t offset_bytes;

  Region(const Tensor& base, const Tensor& view)
      : base_shape(base.shape()),
        base_strides(base.strides()),
        shape(view.shape()),
        strides(view.strides()),
        offset_bytes(view.offset_bytes() - base.offset_bytes()) {
    check_as(ErrorKind::runtime, !overlaps_itself(base),
             "a view was changed in place of a tensor that overlaps itself, of shape ", base_shape, " and strides ",
             base_strides, "; clone() it first");
    const auto item = static_cast<std::int64_t>(base.item_size());
    const Extent whole = extent(base_shape, base_strides), part = extent(shape, strides);
    const std::int64_t start = offset_bytes / item;
    check_as(ErrorKind::runtime,
             part.first == part.last || (start + part.first >= whole.first && start + part.last <= whole.last),
             "a view was changed in place that reaches beyond the tensor it was taken from; clone() it first");
  }

  // The same window on a gradient that is laid out as the base is.
  Tensor window(const Tensor& grad) const { return view_of(grad, shape, strides, grad.offset_bytes() + offset_bytes); }
};

Tensor base_of(const Tensor& t) {
  const GradState* state = t.impl()->grad_state_or_null();
  return state ? state->base : Tensor();
}

}  // namespace

void check_writable(const char* op, const Tensor& t) {
  check_as(ErrorKind::runtime, t.storage().writable, op, ": the memory of this tensor is read-only");
  check_as(ErrorKind::runtime, !overlaps_itself(t), op, ": the tensor of shape ", t.shape(), " and strides ",
           t.strides(), " is expanded or overlaps itself, several indices are one element; clone() it first");
  if (!grad_enabled()) return;
  const Tensor base = base_of(t);
  const bool leaf = t.impl()->leaf_requires_grad || (base.defined() && base.impl()->leaf_requires_grad);
  check_as(ErrorKind::runtime, !leaf, op, base.defined() ? ": a view of" : ":",
           " a leaf that requires grad cannot be changed in place; do it under no_grad()");
}

void bump_version(const Tensor& t) {
  t.storage().version.fetch_add(1, std::memory_order_relaxed);
  if (Recording* recording = open_recording()) recording->written(t.storage());
}

void link_view(const Tensor& view, const Tensor& source) {
  view.impl()->unrecorded_view = source.impl()->unrecorded_view || (!grad_enabled() && source.requires_grad());
  if (!grad_enabled()) return;
  GradState& state = view.impl()->grad_state();
  const Tensor root = base_of(source);
  state.base = root.defined() ? root : source;
  state.base_history = state.base.impl()->grad_state().history;
}

bool share_history(const Tensor& a, const Tensor& b) {
  const Tensor base = base_of(a);
  return a == b || (base.defined() && (base == base_of(b) || base == b)) || base_of(b) == a;
}

void refresh_view(const Tensor& view) {
  GradState* state = view.impl()->grad_state_or_null();
  if (!state || !state->base.defined()) return;
  const Tensor base = state->base;
  const std::uint32_t history = base.impl()->grad_state().history;
  if (state->base_history == history) return;
  if (base.requires_grad()) {
    const Region region(base, view);
    replace_history(view, make_node("view", {&base}, [region](Gradients& g) {
                      const Tensor grad = zero_gradient(g.of_output(), region.base_shape, region.base_strides);
                      add_gradient_to_window(region.window(grad), g.of_output());
                      g.give(0, grad);
                    }));
  }
  state->base_history = history;
}

void rebase_history(const Tensor& t, Ref<Node> node) {
  bump_version(t);
  check_as(ErrorKind::runtime, !t.impl()->unrecorded_view,
           "a view made under no_grad was changed in place by an operation that is recorded; the tensor that it views "
           "would not know: make the view outside no_grad, or clone() it");
  const Tensor base = base_of(t);
  if (!base.defined()) {
    replace_history(t, std::move(node));
    if (GradState* state = t.impl()->grad_state_or_null()) ++state->history;
    return;
  }
  // The base's new gradient splits: outside the region it belongs to the base as it was, inside to the operation.
  Ref<Node> split = make_node("assign to view", {&base}, [region = Region(base, t)](Gradients& g) {
    const Tensor grad = clone_gradient(g.of_output(), region.base_strides);
    const Tensor inside = region.window(grad);
    g.give(1, clone_gradient(inside, contiguous_strides(region.shape)));
    set_gradient_to_zero(inside);
    g.give(0, grad);
  });
  split->edges.push_back({node, 0});
  replace_history(t, std::move(node));
  replace_history(base, std::move(split));
  GradState& state = base.impl()->grad_state();
  t.impl()->grad_state().base_history = ++state.history;
}

}  // namespace lamina
