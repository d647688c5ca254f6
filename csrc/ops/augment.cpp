#include "ops/augment.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/augment.h"
#include "ops/elementwise.h"

namespace lamina {
namespace {

void check_images(const char* op, const Tensor& x) {
  check_as(ErrorKind::type, x.dtype() == DType::u8 || x.dtype() == DType::f32, op,
           ": images must be uint8 or float32, got ", name_of(x.dtype()));
  check(x.ndim() == 4, op, ": images must be (N, C, H, W), got shape ", x.shape());
}

Tensor checked(const char* op, const char* name, const Tensor& t, DType type, const Dims& shape, Device device) {
  check(t.device() == device, op, ": ", name, " is on ", t.device(), ", the images on ", device);
  check_as(ErrorKind::type, t.dtype() == type, op, ": ", name, " must be ", name_of(type), ", got ",
           name_of(t.dtype()));
  check(t.shape() == shape, op, ": ", name, " must have shape ", shape, ", got ", t.shape());
  return contiguous(detach(t));
}

Colours colours_of(const char* op, const Tensor& x) {
  check(x.shape()[1] <= kMostColours, op, ": at most ", kMostColours, " channels, got images ", x.shape());
  return {x.shape()[0], x.shape()[1], x.shape()[2] * x.shape()[3], x.data(), nullptr, nullptr, 0};
}

const AugmentTable& table(const Tensor& x) { return kernels(x.device()).augment; }

}  // namespace

Tensor sample_places(const Tensor& images, const Tensor& matrices, const Tensor& shifts, std::int64_t height,
                     std::int64_t width, double fill, bool edge) {
  constexpr const char* op = "augment";
  check_images(op, images);
  const Tensor x = contiguous(detach(images));
  const std::int64_t n = x.shape()[0];
  check(height > 0 && width > 0 && x.shape()[2] > 0 && x.shape()[3] > 0, op, ": images must have pixels, got ",
        x.shape(), " to become ", Dims{height, width});
  constexpr std::int64_t most = std::int64_t{1} << 24;  // what float32 can count
  check(
      x.shape()[2] < most && x.shape()[3] < most && x.shape()[2] * x.shape()[3] < most && height < most && width < most,
      op, ": images must have fewer than 2^24 pixels, got ", x.shape(), " to become ", Dims{height, width});
  const Tensor m = checked(op, "matrices", matrices, DType::f32, {n, 6}, x.device());
  const Tensor s =
      shifts.defined() ? checked(op, "shifts", shifts, DType::f32, {n, 2, height, width}, x.device()) : Tensor();
  const Tensor y = empty({n, x.shape()[1], height, width}, x.dtype(), x.device());
  const Sampling sampling{n,
                          x.shape()[1],
                          x.shape()[2],
                          x.shape()[3],
                          height,
                          width,
                          x.data(),
                          m.data<float>(),
                          s.defined() ? s.data<float>() : nullptr,
                          static_cast<float>(fill),
                          edge};
  if (y.numel() > 0)
    current_stream().launch(require(table(x).sample[static_cast<int>(x.dtype())], op, x.device()), sampling, y.data());
  return y;
}

Tensor recolour(const Tensor& images, const Tensor& matrices, const Tensor& offsets, bool to_float) {
  constexpr const char* op = "augment";
  check_images(op, images);
  const Tensor x = contiguous(detach(images));
  const std::int64_t n = x.shape()[0], channels = x.shape()[1];
  const std::int64_t maps = matrices.ndim() > 0 && matrices.shape()[0] == 1 ? 1 : n;
  const Tensor m = checked(op, "matrices", matrices, DType::f32, {maps, channels, channels}, x.device()),
               o = checked(op, "offsets", offsets, DType::f32, {maps, channels}, x.device());
  Colours c = colours_of(op, x);
  c.maps = maps;
  c.matrices = m.data<float>(), c.offsets = o.data<float>();
  const Tensor y = empty(x.shape(), to_float ? DType::f32 : x.dtype(), x.device());
  if (y.numel() == 0) return y;
  const int slot = static_cast<int>(x.dtype());
  if (to_float)
    current_stream().launch(require(table(x).recolour_to_float[slot], op, x.device()), c, y.data<float>());
  else
    current_stream().launch(require(table(x).recolour[slot], op, x.device()), c, y.data());
  return y;
}

Tensor colour_means(const Tensor& images) {
  constexpr const char* op = "augment";
  check_images(op, images);
  const Tensor x = contiguous(detach(images)), y = empty({x.shape()[0], x.shape()[1]}, DType::f32, x.device());
  check(x.numel() > 0 || y.numel() == 0, op, ": images must have pixels, got ", x.shape());
  if (y.numel() > 0)
    current_stream().launch(require(table(x).means[static_cast<int>(x.dtype())], op, x.device()), colours_of(op, x),
                            y.data<float>());
  return y;
}

Tensor erase_boxes(const Tensor& images, const Tensor& boxes, double fill) {
  constexpr const char* op = "augment";
  check_images(op, images);
  const Dims& shape = images.shape();
  const Tensor b = checked(op, "boxes", boxes, DType::i64, {shape[0], 4}, images.device()), y = clone(detach(images));
  if (y.numel() > 0)
    current_stream().launch(require(table(y).erase[static_cast<int>(y.dtype())], op, y.device()), y.data(), shape[0],
                            shape[1], shape[2], shape[3], b.data<std::int64_t>(), static_cast<float>(fill));
  return y;
}

}  // namespace lamina
