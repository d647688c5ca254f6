#include "ops/pool.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/pool.h"
#include "ops/elementwise.h"
#include "ops/half.h"

namespace lamina {
namespace {

constexpr const char* kMaxNames[] = {"", "max_pool1d", "max_pool2d", "max_pool3d"};
constexpr const char* kAvgNames[] = {"", "avg_pool1d", "avg_pool2d", "avg_pool3d"};
constexpr const char* kAdaptiveMaxNames[] = {"", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"};
constexpr const char* kAdaptiveAvgNames[] = {"", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"};
constexpr const char* kShapes[] = {"", "(N, C, L) or (C, L)", "(N, C, H, W) or (C, H, W)",
                                   "(N, C, D, H, W) or (C, D, H, W)"};

void check_input(const char* op, int dims, const Tensor& x) {
  check_as(ErrorKind::type, x.dtype() == DType::f32 || x.dtype() == DType::f64 || is_half(x), op,
           ": input must be float32, float64, float16 or bfloat16, got ", name_of(x.dtype()));
  check(x.ndim() == dims + 1 || x.ndim() == dims + 2, op, ": input must be ", kShapes[dims], ", got shape ", x.shape());
}

// One number for each pooled dimension.
Dims spread(const char* op, const char* name, const Dims& given, int dims, std::int64_t least) {
  check(given.size() == 1 || given.size() == dims, op, ": ", name, " must be one number or ", dims, ", got ", given);
  Dims all(dims);
  for (int i = 0; i < dims; ++i) {
    all[i] = given[given.size() == 1 ? 0 : i];
    check(all[i] >= least, op, ": ", name, " must be at least ", least, ", got ", given);
  }
  return all;
}

// How many windows there are. With ceil_mode one may hang over, as long as it begins within the input or its left
// padding.
std::int64_t windows(const PoolAxis& a, bool ceil_mode) {
  const std::int64_t room = a.in + 2 * a.padding - a.dilation * (a.kernel - 1) - 1;
  if (room < 0 && !(ceil_mode && room > -a.stride)) return 0;
  std::int64_t n = (room + (ceil_mode ? a.stride - 1 : 0)) / a.stride + 1;
  if (ceil_mode && (n - 1) * a.stride >= a.in + a.padding) --n;
  return n;
}

std::int64_t planes_of(const Tensor& x, int dims) {
  std::int64_t planes = 1;
  for (int i = 0; i < x.ndim() - dims; ++i) planes *= x.shape()[i];
  return planes;
}

Dims pooled_shape(const Tensor& x, int dims, const Pool& p) {
  Dims shape = x.shape();
  for (int i = 0; i < dims; ++i) shape[x.ndim() - dims + i] = p.axis[3 - dims + i].out;
  return shape;
}

constexpr std::int64_t kLargest = std::int64_t{1} << 31;  // of kernels and strides, so that no product overflows

Pool pool_of(const char* op, int dims, const Tensor& x, const PoolArguments& a) {
  check_input(op, dims, x);
  const Dims kernel = spread(op, "kernel_size", a.kernel, dims, 1),
             stride = a.stride.empty() ? kernel : spread(op, "stride", a.stride, dims, 1),
             padding = spread(op, "padding", a.padding, dims, 0),
             dilation = spread(op, "dilation", a.dilation, dims, 1);
  Pool p{planes_of(x, dims), {}};
  for (int i = 0; i < dims; ++i) {
    const std::int64_t in = x.shape()[x.ndim() - dims + i];
    check(kernel[i] < kLargest && stride[i] < kLargest && dilation[i] < kLargest, op,
          ": kernel_size, stride and dilation must be below 2^31, got ", kernel, ", ", stride, " and ", dilation);
    check(padding[i] <= kernel[i] / 2, op, ": padding may be at most half of kernel_size, got ", padding, " and ",
          kernel);
    PoolAxis& axis = p.axis[3 - dims + i];
    axis = {in, 0, kernel[i], stride[i], padding[i], dilation[i]};
    axis.out = windows(axis, a.ceil_mode);
    check(axis.out > 0 && in > 0, op, ": no window of kernel_size ", kernel, ", dilation ", dilation,
          " fits into input ", x.shape(), " with padding ", padding);
  }
  return p;
}

Pool adaptive_pool_of(const char* op, int dims, const Tensor& x, const Dims& size) {
  check_input(op, dims, x);
  const Dims out = spread(op, "output_size", size, dims, -1);
  Pool p{planes_of(x, dims), {}};
  for (int i = 0; i < dims; ++i) {
    const std::int64_t in = x.shape()[x.ndim() - dims + i];
    check(out[i] != 0, op, ": output_size must not be 0, got ", size);
    check(in > 0, op, ": input ", x.shape(), " has no elements to pool");
    p.axis[3 - dims + i] = {in, out[i] < 0 ? in : out[i], 0, 1, 0, 1};
  }
  return p;
}

template <class Kernel>
Kernel slot(const char* op, const Tensor& x, Kernel (PoolTable::*kernels_of)[kDTypeCount]) {
  return require((kernels(x.device()).pool.*kernels_of)[static_cast<int>(x.dtype())], op, x.device());
}

// Records y as linear in x: backward is one launch of `kernel` with `geometry`, from dy to dx.
template <class Geometry>
void record_linear(const char* op, const Tensor& x, const Tensor& y, const Geometry& geometry,
                   void (*kernel)(Geometry, const void*, void*)) {
  if (!needs_grad(x)) return;
  record(op, y, {&x}, [kernel, geometry, shape = x.shape()](Gradients& g) {
    const Tensor dy = contiguous(g.of_output()), dx = empty(shape, dy.dtype(), dy.device());
    if (dx.numel() > 0) current_stream().launch(kernel, geometry, dy.data(), dx.data());
    g.give(0, dx);
  });
}

ValuesIndices narrowed(const ValuesIndices& both, DType dtype) { return {to_dtype(both.values, dtype), both.indices}; }

ValuesIndices indexed_max(const char* op, const Pool& p, int dims, const Tensor& input) {
  if (is_half(input)) return narrowed(indexed_max(op, p, dims, widened(input)), input.dtype());
  const Tensor x = contiguous(input), y = empty(pooled_shape(x, dims, p), x.dtype(), x.device());
  const Tensor indices = empty(y.shape(), DType::i64, x.device());
  if (y.numel() > 0)
    current_stream().launch(slot(op, x, &PoolTable::indexed_max), p, x.data(), y.data(), indices.data<std::int64_t>());
  if (needs_grad(x))
    record(op, y, {&x},
           [kernel = slot(op, x, &PoolTable::indexed_max_grad), p, shape = x.shape(),
            indices = save(detach(indices))](Gradients& g) {
             const Tensor dy = contiguous(g.of_output()), dx = empty(shape, dy.dtype(), dy.device());
             if (dx.numel() > 0)
               current_stream().launch(kernel, p, dy.data(), indices.get().data<std::int64_t>(), dx.data());
             g.give(0, dx);
           });
  return {y, indices};
}

Tensor average(const char* op, const Pool& p, int dims, const Tensor& input) {
  if (is_half(input)) return to_dtype(average(op, p, dims, widened(input)), input.dtype());
  const Tensor x = contiguous(input), y = empty(pooled_shape(x, dims, p), x.dtype(), x.device());
  if (y.numel() > 0) current_stream().launch(slot(op, x, &PoolTable::average), p, x.data(), y.data());
  record_linear(op, x, y, p, slot(op, x, &PoolTable::average_grad));
  return y;
}

}  // namespace

ValuesIndices max_pool(int dims, const Tensor& input, const PoolArguments& a, bool return_indices) {
  const char* op = kMaxNames[dims];
  const Pool p = pool_of(op, dims, input, a);
  if (is_half(input)) return narrowed(max_pool(dims, widened(input), a, return_indices), input.dtype());
  std::int64_t places = 1;
  bool small = true;
  for (const PoolAxis& axis : p.axis) {
    places = places > kPositions ? places : places * axis.kernel;
    small = small && (axis.kernel - 1) * axis.dilation < 1024;
  }
  if (return_indices || places > kPositions || !small) {
    const ValuesIndices both = indexed_max(op, p, dims, input);
    return return_indices ? both : ValuesIndices{both.values, Tensor()};
  }

  const Tensor x = contiguous(input);
  const bool recorded = needs_grad(x);
  const Dims shape = pooled_shape(x, dims, p);
  // Of what lives on in a recording's memory the longest comes first: y dies before its gradient gets here.
  const Tensor positions = recorded ? empty(shape, DType::u8, x.device()) : Tensor();
  const Tensor y = empty(shape, x.dtype(), x.device());
  if (y.numel() > 0)
    current_stream().launch(slot(op, x, &PoolTable::max), p, x.data(), y.data(),
                            recorded ? positions.data<std::uint8_t>() : nullptr);
  if (recorded)
    record(op, y, {&x}, [kernel = slot(op, x, &PoolTable::max_grad), p, shape = x.shape(), positions](Gradients& g) {
      const Tensor dy = contiguous(g.of_output()), dx = empty(shape, dy.dtype(), dy.device());
      if (dx.numel() > 0) current_stream().launch(kernel, p, dy.data(), positions.data<std::uint8_t>(), dx.data());
      g.give(0, dx);
    });
  return {y, Tensor()};
}

Tensor avg_pool(int dims, const Tensor& x, const PoolArguments& a, bool count_include_pad,
                std::optional<std::int64_t> divisor_override) {
  const char* op = kAvgNames[dims];
  Pool p = pool_of(op, dims, x, a);
  check(!divisor_override || *divisor_override != 0, op, ": divisor_override must not be 0");
  p.divisor = divisor_override.value_or(0);
  p.count_padding = count_include_pad;
  return average(op, p, dims, x);
}

ValuesIndices adaptive_max_pool(int dims, const Tensor& x, const Dims& size) {
  const char* op = kAdaptiveMaxNames[dims];
  return indexed_max(op, adaptive_pool_of(op, dims, x, size), dims, x);
}

Tensor adaptive_avg_pool(int dims, const Tensor& x, const Dims& size) {
  const char* op = kAdaptiveAvgNames[dims];
  return average(op, adaptive_pool_of(op, dims, x, size), dims, x);
}

Tensor resize(const Tensor& input, const Dims& size, const double* factors, Resampling how) {
  constexpr const char* op = "interpolate";
  const int dims = size.size();
  check(dims >= 1 && dims <= 3 && input.ndim() == dims + 2, op, ": input must be (N, C, …) with one size to each of 1 ",
        "to 3 dimensions, got shape ", input.shape(), " and size ", size);
  check_input(op, dims, input);
  if (is_half(input)) return to_dtype(resize(widened(input), size, factors, how), input.dtype());
  Resize r{planes_of(input, dims), {}};
  Dims shape = input.shape();
  for (int i = 0; i < dims; ++i) {
    const std::int64_t in = shape[2 + i], out = size[i];
    check(in > 0 && out > 0, op, ": sizes must be at least 1, got input ", input.shape(), " and size ", size);
    ResizeAxis& axis = r.axis[3 - dims + i];
    axis.in = in, axis.out = out;
    axis.from = factors ? 1 : static_cast<double>(in);
    axis.to = factors ? factors[i] : static_cast<double>(out);
    check(axis.to > 0, op, ": scale_factor must be positive, got ", axis.to);
    if (how == Resampling::nearest_exact) axis.offset = 0.5;
    if (how == Resampling::linear) axis.offset = 0.5, axis.shift = -0.5;
    if (how == Resampling::linear_aligned) {
      axis.from = out > 1 ? static_cast<double>(in - 1) : 0;
      axis.to = out > 1 ? static_cast<double>(out - 1) : 1;
    }
    shape[2 + i] = out;
  }
  const bool blends = how == Resampling::linear || how == Resampling::linear_aligned;
  const Tensor x = contiguous(input), y = empty(shape, x.dtype(), x.device());
  if (y.numel() > 0)
    current_stream().launch(slot(op, x, blends ? &PoolTable::linear : &PoolTable::nearest), r, x.data(), y.data());
  record_linear(op, x, y, r, slot(op, x, blends ? &PoolTable::linear_grad : &PoolTable::nearest_grad));
  return y;
}

}  // namespace lamina
