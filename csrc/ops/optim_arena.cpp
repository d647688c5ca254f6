// Memory of optimisers: slots in arenas, and the moving of parameters into them.
#include "autograd/engine.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "ops/elementwise.h"
#include "ops/optim.h"

namespace lamina {
namespace {

constexpr std::int64_t kSlotBytes = 64;

}  // namespace

std::int64_t slot_elements(std::int64_t numel, DType dtype) {
  const auto line = kSlotBytes / static_cast<std::int64_t>(item_size(dtype));
  return (numel + line - 1) / line * line;
}

std::vector<Tensor> make_arena(const std::vector<Tensor>& like, DType dtype) {
  std::int64_t size = 0;
  // Slots as wide as those of the tensors they stand for, so that equal distances mean equal elements.
  for (const Tensor& t : like) size += slot_elements(t.numel(), t.dtype());
  const Device device = like.empty() ? Device{} : like[0].device();
  const Tensor block = full({size}, Scalar(0.0), dtype, device);
  std::vector<Tensor> slots;
  char* at = block.data<char>();
  for (const Tensor& t : like) {
    const auto item = static_cast<std::int64_t>(item_size(dtype));
    Ref<Storage> part(
        new Storage(at, static_cast<std::size_t>(t.numel() * item), device, true, [owner = block.impl()->storage] {}));
    part->exposed = false;
    slots.emplace_back(new TensorImpl(std::move(part), 0, t.shape(), contiguous_strides(t.shape()), dtype));
    at += slot_elements(t.numel(), t.dtype()) * item;
  }
  return slots;
}

bool move_to_slot(const Tensor& parameter, const Tensor& slot) {
  TensorImpl& impl = *parameter.impl();
  if (impl.storage->use_count() != 1 || impl.storage->exposed) return false;
  write_copy(slot, parameter);
  impl.storage = slot.impl()->storage;
  impl.data = slot.data();
  impl.set_geometry(slot.shape(), slot.strides());
  return true;
}

std::vector<GradientRun> gradient_runs(const std::vector<Tensor>& parameters) {
  std::vector<GradientRun> runs;
  const char* end = nullptr;  // where a slot next to the last one would begin
  for (const Tensor& p : parameters) {
    const Tensor grad = grad_of(p);
    if (!grad.defined() || grad.numel() == 0) continue;
    const bool padded = grad == gradient_home(p);
    const auto item = static_cast<std::int64_t>(grad.item_size());
    if (padded && end == grad.data<char>() && runs.back().first.dtype() == grad.dtype())
      runs.back().numel = (grad.data<char>() - static_cast<char*>(runs.back().data)) / item + grad.numel();
    else
      runs.push_back({grad.data(), grad.numel(), grad});
    end = padded ? grad.data<char>() + slot_elements(grad.numel(), grad.dtype()) * item : nullptr;
  }
  return runs;
}

}  // namespace lamina
