#include "ops/conv.h"

#include "autograd/engine.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "ops/elementwise.h"
#include "ops/gemm_pack_cache.h"
#include "ops/half.h"
#include "ops/place_of_gradient.h"
#include "ops/pool.h"
#include "ops/remade.h"
#include "ops/view.h"

namespace lamina {
namespace {

constexpr const char* kNames[2][kConvDims] = {{"conv1d", "conv2d", "conv3d"},
                                              {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}};
const char* name_of(int dims, bool transposed) { return kNames[transposed][dims - 1]; }

// ---- geometry ----

constexpr std::int64_t kMost = std::int64_t{1} << 31;  // of a stride, dilation or padding: sums of them fit 64 bits

Dims for_each_dim(const char* op, const char* what, const Dims& given, int dims, std::int64_t fewest) {
  check(given.size() == 1 || given.size() == dims, op, ": ", what, " must be one number or ", dims, ", got ", given);
  const Dims all = given.size() == dims ? given : Dims(dims, given[0]);
  for (const std::int64_t v : all)
    check(v >= fewest && v <= kMost, op, ": ", what, " must be ", fewest == 0 ? "at least 0" : "positive", ", got ",
          given);
  return all;
}

struct Geometry {
  Dims stride, dilation, low, high;
};

// `kernel`: the weight's shape, whose last sizes are the kernel's.
Geometry geometry(const char* op, int dims, const Dims& kernel, const ConvOptions& o) {
  Geometry g{for_each_dim(op, "stride", o.stride, dims, 1), for_each_dim(op, "dilation", o.dilation, dims, 1),
             for_each_dim(op, "padding", o.pad_low, dims, 0), for_each_dim(op, "padding", o.pad_high, dims, 0)};
  for (int d = 0; d < dims; ++d) {
    check(kernel[2 + d] > 0 && kernel[2 + d] <= kMost, op, ": the kernel must not be empty, got weight ", kernel);
    if (!o.same) continue;
    check(g.stride[d] == 1, op, ": padding 'same' needs stride 1, got ", g.stride);
    const std::int64_t total = g.dilation[d] * (kernel[2 + d] - 1);
    g.low[d] = total / 2;
    g.high[d] = total - total / 2;
  }
  return g;
}

void check_groups(const char* op, std::int64_t groups, std::int64_t channels, const char* which) {
  check(groups > 0, op, ": groups must be positive, got ", groups);
  check(channels > 0 && channels % groups == 0, op, ": ", which, " must be a positive multiple of groups=", groups,
        ", got ", channels);
}

ConvShape shape_with(DType dtype, std::int64_t batch, std::int64_t groups, const Geometry& g, const Dims& kernel) {
  ConvShape s{.dtype = dtype, .batch = batch, .groups = groups};
  const int dims = g.stride.size(), missing = kConvDims - dims;
  for (int d = 0; d < dims; ++d) {
    s.kernel[missing + d] = kernel[2 + d];
    s.stride[missing + d] = g.stride[d];
    s.dilation[missing + d] = g.dilation[d];
    s.pad_low[missing + d] = g.low[d];
    s.pad_high[missing + d] = g.high[d];
  }
  return s;
}

Dims result_shape(int dims, std::int64_t batch, std::int64_t channels, const std::int64_t (&sizes)[kConvDims]) {
  Dims shape{batch, channels};
  for (int d = kConvDims - dims; d < kConvDims; ++d) shape.push_back(sizes[d]);
  return shape;
}

// The geometry of the convolution whose data gradient is a transposed one: its output is x.
ConvShape transposed_shape(int dims, const Dims& x, const Dims& weight, DType dtype, const ConvOptions& o) {
  const char* op = name_of(dims, true);
  check_groups(op, o.groups, x[1], "the number of input channels");
  check(weight[0] == x[1], op, ": weight expects ", weight[0], " input channels but input has ", x[1], ": input ", x,
        ", weight ", weight);
  check(weight[1] > 0, op, ": weight must have output channels, got ", weight);
  check(!o.same, op, ": padding must be numbers, got 'same'");
  const Geometry g = geometry(op, dims, weight, o);
  const Dims extra = for_each_dim(op, "output_padding", o.output_padding, dims, 0);
  ConvShape s = shape_with(dtype, x[0], o.groups, g, weight);
  s.in_channels = weight[1] * o.groups;
  s.out_channels = x[1];
  for (int d = 0; d < dims; ++d) {
    const int i = kConvDims - dims + d;
    check(extra[d] < g.stride[d] || extra[d] < g.dilation[d], op,
          ": output_padding must be smaller than stride or dilation, got output_padding ", extra, ", stride ", g.stride,
          ", dilation ", g.dilation);
    check(x[2 + d] > 0, op, ": input has no elements in dimension ", 2 + d, ": ", x);
    std::int64_t reach = 0, size = 0;
    const bool overflow = __builtin_mul_overflow(g.dilation[d], s.kernel[i] - 1, &reach) ||
                          __builtin_mul_overflow(x[2 + d] - 1, g.stride[d], &size) ||
                          __builtin_add_overflow(size, reach, &size) || size > kMostElements;
    check(!overflow, op, ": the output is too large: input ", x, ", weight ", weight, ", stride ", g.stride);
    size += 1 + extra[d] - g.low[d] - g.high[d];
    check(size > 0, op, ": padding ", g.low[d], " and ", g.high[d], " leaves nothing of the output in dimension ",
          2 + d, ": input ", x, ", weight ", weight);
    s.out[i] = x[2 + d];
    s.in[i] = size;
  }
  return s;
}

// ---- launches ----

void* data_or_null(const Tensor& t) { return t.defined() ? t.data() : nullptr; }

template <class Args, class Slots>
void launch(const char* op, const Slots& slots, ConvPass pass, const Args& args, Device device) {
  const ConvAlgorithm a = choose_conv(pass, args.shape, device);
  current_stream().launch(require(slots[static_cast<int>(a)], op, device), args);
}

// For kept_packed: the form is the algorithm, from 1 on.
void prepare_weight(void* prepared, PackSource s) {
  kernels(s.device).conv.prepare[s.form - 1](s.data, s.rows, s.cols / 9, prepared);
}
// The weight as the algorithm wants it, kept as long as it does not change; undefined where that would not pay.
Tensor prepared_weight(const ConvShape& s, ConvAlgorithm algorithm, const Tensor& w) {
  constexpr std::int64_t kMostOutputs = 4096;  // more hide the preparation of every call
  const int a = static_cast<int>(algorithm);
  const ConvTable& table = kernels(w.device()).conv;
  if (!table.prepare[a] || s.groups != 1 || s.batch * s.out_size() > kMostOutputs) return {};
  return kept_packed(view(w, {s.out_channels, s.in_channels * s.taps()}),
                     table.prepared_bytes[a](s.out_channels, s.in_channels), prepare_weight, 1 + a);
}

void run_forward(const char* op, const ConvShape& s, const Tensor& x, const Tensor& w, const Tensor& y,
                 const ConvEpilogue& epilogue = {}) {
  if (y.numel() == 0) return;
  const ConvAlgorithm a = choose_conv(ConvPass::forward, s, y.device());
  const Tensor prepared = prepared_weight(s, a, w);
  current_stream().launch(require(kernels(y.device()).conv.forward[static_cast<int>(a)], op, y.device()),
                          ConvForward{s, x.data(), w.data(), y.data(), epilogue, data_or_null(prepared)});
}
void run_data_gradient(const char* op, const ConvShape& s, const Tensor& dy, const Tensor& w, const Tensor& dx,
                       const ConvEpilogue& epilogue = {}) {
  if (dx.numel() == 0) return;
  launch(op, kernels(dx.device()).conv.data_gradient, ConvPass::data_gradient,
         ConvDataGradient{s, dy.data(), w.data(), dx.data(), epilogue}, dx.device());
}
void run_weight_gradient(const char* op, const ConvShape& s, const Tensor& x, const Tensor& dy, const Tensor& dw) {
  if (s.batch == 0) return write_fill(dw, Scalar(0));
  launch(op, kernels(dw.device()).conv.weight_gradient, ConvPass::weight_gradient,
         ConvWeightGradient{s, x.data(), dy.data(), dw.data()}, dw.device());
}

// The gradient before the activation, in dy's own memory if nobody else holds that; its sum over batch and size goes to
// `dbias`, if defined.
Tensor bias_gradient(const char* op, const Tensor& dy, const Tensor& saved, std::optional<UnaryOp> activation,
                     const Tensor& dbias) {
  if (!dy.contiguous()) return bias_gradient(op, contiguous(dy), saved, activation, dbias);
  if (!activation && !dbias.defined()) return dy;
  if (dy.numel() == 0) {
    if (dbias.defined()) write_fill(dbias, Scalar(0));
    return dy;
  }
  const Tensor dz = activation && !only_ours(dy) ? empty(dy.shape(), dy.dtype(), dy.device()) : dy;
  ConvBiasGradient args{.dtype = dy.dtype(), .batch = dy.size(0), .channels = dy.size(1)};
  args.size = dy.numel() / (args.batch * args.channels);
  args.dy = dy.data();
  if (activation) {
    const int type = static_cast<int>(computed_in(dy.dtype()));
    require(kernels(dy.device()).elementwise.unary_grad[static_cast<int>(*activation)][type], name_of(*activation),
            dy.device());
    args.activation = *activation;
    args.saved = saved.data();
    args.dz = dz.data();
  }
  args.dbias = data_or_null(dbias);
  current_stream().launch(require(kernels(dy.device()).conv.bias_gradient, op, dy.device()), args);
  return dz;
}

// ---- checks shared by both directions ----

void check_like(const char* op, const char* name, const Tensor& t, const Tensor& x) {
  check_as(ErrorKind::type, t.dtype() == x.dtype(), op, ": ", name, " must be of input's type, ", name_of(x.dtype()),
           ", got ", name_of(t.dtype()));
  check(t.device() == x.device(), op, ": ", name, " is on ", t.device(), ", input on ", x.device());
}

void check_operands(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    std::int64_t out_channels) {
  check_as(ErrorKind::type, is_floating(x.dtype()), op, " is not defined for ", name_of(x.dtype()));
  check_like(op, "weight", weight, x);
  if (!bias.defined()) return;
  check_like(op, "bias", bias, x);
  check(bias.shape() == Dims{out_channels}, op, ": bias must have shape ", Dims{out_channels}, ", got ", bias.shape());
}

void check_ranks(const char* op, int dims, const Tensor& x, const Tensor& weight) {
  check(x.ndim() == dims + 2 || x.ndim() == dims + 1, op, ": input must have ", dims + 2, " dimensions, or ", dims + 1,
        " without a batch, got shape ", x.shape());
  check(weight.ndim() == dims + 2, op, ": weight must have ", dims + 2, " dimensions, got shape ", weight.shape());
}

bool wants_gradient(std::initializer_list<const Tensor*> inputs) {
  for (const Tensor* t : inputs)
    if (t->defined() && needs_grad(*t)) return true;
  return false;
}

// The gradients of x, which was 0, and of the weight, 1, from that of their product.
void give_products(const char* op, Gradients& g, const ConvShape& s, const Dims& input_shape, const SavedInput& kept_x,
                   const Tensor& w, const Tensor& dz) {
  if (g.wants(1)) {
    const Tensor x = kept_x.get();
    const Tensor dw = place_of_gradient(g, 1, w.shape(), {dz, x, w});
    run_weight_gradient(op, s, x, dz, dw);
    g.give(1, dw);
  }
  if (g.wants(0)) {
    const Tensor dx = empty(input_shape, dz.dtype(), dz.device());
    run_data_gradient(op, s, dz, w, dx);
    g.give(0, dx);
  }
}

}  // namespace

ConvShape conv_shape(int dims, const Dims& x, const Dims& weight, DType dtype, const ConvOptions& o) {
  const char* op = name_of(dims, false);
  check(x.size() == dims + 2 && weight.size() == dims + 2, op, ": input and weight must have ", dims + 2,
        " dimensions, got ", x, " and ", weight);
  check_groups(op, o.groups, weight[0], "the number of output channels");
  check(x[1] > 0 && weight[1] == x[1] / o.groups && x[1] % o.groups == 0, op, ": weight expects ", weight[1] * o.groups,
        " input channels (groups=", o.groups, ") but input has ", x[1], ": input ", x, ", weight ", weight);
  const Geometry g = geometry(op, dims, weight, o);
  ConvShape s = shape_with(dtype, x[0], o.groups, g, weight);
  s.in_channels = x[1];
  s.out_channels = weight[0];
  for (int d = 0; d < dims; ++d) {
    const int i = kConvDims - dims + d;
    s.in[i] = x[2 + d];
    check(x[2 + d] > 0, op, ": input has no elements in dimension ", 2 + d, ": ", x);
    const std::int64_t reach = g.dilation[d] * (s.kernel[i] - 1) + 1, room = x[2 + d] + g.low[d] + g.high[d];
    check(reach <= room, op, ": the output would be empty: a kernel of ", s.kernel[i], " (dilation ", g.dilation[d],
          ") does not fit into ", x[2 + d], " elements padded by ", g.low[d], " and ", g.high[d], " in dimension ",
          2 + d, ": input ", x, ", weight ", weight);
    s.out[i] = (room - reach) / g.stride[d] + 1;
  }
  return s;
}

Tensor conv(int dims, const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
            std::optional<UnaryOp> activation, const Tensor& residual) {
  const char* op = name_of(dims, false);
  check_ranks(op, dims, x, weight);
  if (x.ndim() == dims + 1)
    return squeeze(conv(dims, unsqueeze(x, 0), weight, bias, options, activation,
                        residual.defined() ? unsqueeze(residual, 0) : residual),
                   0);
  const ConvShape s = conv_shape(dims, x.shape(), weight.shape(), x.dtype(), options);
  check_operands(op, x, weight, bias, s.out_channels);
  const Dims shape = result_shape(dims, s.batch, s.out_channels, s.out);
  if (residual.defined()) {
    check_like(op, "residual", residual, x);
    check(residual.shape() == shape, op, ": residual must have the output's shape ", shape, ", got ", residual.shape());
  }
  if (multiplies_widened(x))
    return to_dtype(conv(dims, widened(x), widened(weight), widened(bias), options, activation, widened(residual)),
                    x.dtype());

  const Tensor y = empty(shape, x.dtype(), x.device());
  const Tensor from = contiguous(detach(x)), w = contiguous(detach(weight));
  const Tensor b = bias.defined() ? contiguous(detach(bias)) : Tensor(),
               r = residual.defined() ? contiguous(detach(residual)) : Tensor();
  const bool recorded = wants_gradient({&x, &weight, &bias, &residual});
  const bool keeps_input = recorded && activation && saves_of(*activation) == Saves::input;
  const Tensor z = keeps_input ? empty(shape, x.dtype(), x.device()) : Tensor();
  ConvEpilogue epilogue{data_or_null(b), data_or_null(r), data_or_null(z), UnaryOp::count};
  if (activation) epilogue.activation = *activation;
  run_forward(op, s, from, w, y, epilogue);
  if (!recorded) return y;

  // Where x was not copied, a change to it must be noticed: what is saved is x itself.
  const SavedInput kept_x(x, from);
  const SavedTensor kept_w = save(w);
  const SavedTensor after = !activation ? SavedTensor() : z.defined() ? save(z) : save_output(y);
  record(op, y, {&x, &weight, &bias, &residual},
         [op, s, input_shape = x.shape(), kept_x, kept_w, after, activation](Gradients& g) {
           const Tensor& w0 = kept_w.get();
           const Tensor saved = activation ? after.get() : Tensor();
           const Tensor db =
               g.wants(2) ? place_of_gradient(g, 2, {s.out_channels}, {saved, kept_x.if_kept(), w0}) : Tensor();
           const Tensor dz = bias_gradient(op, g.of_output(), saved, activation, db);
           if (db.defined()) g.give(2, db);
           give_products(op, g, s, input_shape, kept_x, w0, dz);
           if (g.wants(3)) g.give(3, dz);
         });
  return y;
}

namespace {

// The kernel for what is pooled, or null.
auto pooled_kernel(const ConvShape& s, Device device) {
  const auto kernel = kernels(device).conv.forward_pooled[static_cast<int>(choose_conv(ConvPass::forward, s, device))];
  const bool in_the_plane = s.in[0] == 1 && s.kernel[0] == 1 && s.out[0] == 1;
  return s.batch > 0 && in_the_plane && s.out[1] > 1 && s.out[2] > 1 ? kernel : nullptr;
}

}  // namespace

Tensor conv_max_pool(int dims, const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                     std::optional<UnaryOp> activation, const Tensor& residual) {
  const auto one_by_one = [&] {
    const PoolArguments halving{.kernel = {2}, .stride = {2}, .padding = {0}, .dilation = {1}};
    return max_pool(dims, conv(dims, x, weight, bias, options, activation, residual), halving, false).values;
  };
  const bool plain = dims == 2 && x.ndim() == 4 && weight.ndim() == 4 && !residual.defined() && !is_half(x) &&
                     (!activation || *activation == UnaryOp::relu);
  if (!plain) return one_by_one();
  const char* op = name_of(dims, false);
  const ConvShape s = conv_shape(dims, x.shape(), weight.shape(), x.dtype(), options);
  check_operands(op, x, weight, bias, s.out_channels);
  const auto kernel = pooled_kernel(s, x.device());
  if (!kernel) return one_by_one();

  const Dims shape{s.batch, s.out_channels, s.out[1] / 2, s.out[2] / 2};
  const bool recorded = wants_gradient({&x, &weight, &bias});
  // Of what lives on in a recording's memory the longest comes first: y dies before its gradient gets here.
  const Tensor positions = recorded ? empty(shape, DType::u8, x.device()) : Tensor();
  const Tensor y = empty(shape, x.dtype(), x.device());
  const Tensor from = contiguous(detach(x)), w = contiguous(detach(weight));
  const Tensor b = bias.defined() ? contiguous(detach(bias)) : Tensor();
  ConvEpilogue epilogue{.bias = data_or_null(b)};
  if (activation) epilogue.activation = *activation;
  current_stream().launch(kernel, ConvPooledForward{{s, from.data(), w.data(), y.data(), epilogue},
                                                    recorded ? positions.data<std::uint8_t>() : nullptr});
  if (!recorded) return y;

  record(op, y, {&x, &weight, &bias},
         [op, s, input_shape = x.shape(), kept_x = SavedInput(x, from), kept_w = save(w), positions](Gradients& g) {
           const Tensor& w0 = kept_w.get();
           const Tensor dy = contiguous(g.of_output());
           const Tensor db = g.wants(2) ? place_of_gradient(g, 2, {s.out_channels}, {kept_x.if_kept(), w0}) : Tensor();
           const ConvTable& table = kernels(dy.device()).conv;
           const ConvAlgorithm a = choose_conv(ConvPass::weight_gradient, s, dy.device());
           const auto from_pooled = table.weight_gradient_pooled[static_cast<int>(a)];
           const bool spread = g.wants(0) || (g.wants(1) && !from_pooled);  // is dz wanted as a whole?
           const Tensor dz =
               spread ? empty({s.batch, s.out_channels, s.out[1], s.out[2]}, dy.dtype(), dy.device()) : Tensor();
           if (spread || db.defined())
             current_stream().launch(
                 require(table.pooled_gradient, op, dy.device()),
                 ConvPooledGradient{dy.dtype(), s.batch, s.out_channels, s.out[1], s.out[2], dy.data(),
                                    positions.data<std::uint8_t>(), data_or_null(dz), data_or_null(db)});
           if (db.defined()) g.give(2, db);
           if (spread) return give_products(op, g, s, input_shape, kept_x, w0, dz);
           if (!g.wants(1)) return;
           const Tensor x0 = kept_x.get();
           const Tensor dw = place_of_gradient(g, 1, w0.shape(), {dy, x0, w0});
           current_stream().launch(from_pooled, ConvPooledWeightGradient{{s, x0.data(), dy.data(), dw.data()},
                                                                         positions.data<std::uint8_t>()});
           g.give(1, dw);
         });
  return y;
}

Tensor conv_transpose(int dims, const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  const char* op = name_of(dims, true);
  check_ranks(op, dims, x, weight);
  if (x.ndim() == dims + 1) return squeeze(conv_transpose(dims, unsqueeze(x, 0), weight, bias, options), 0);
  const ConvShape s = transposed_shape(dims, x.shape(), weight.shape(), x.dtype(), options);
  check_operands(op, x, weight, bias, s.in_channels);
  if (multiplies_widened(x))
    return to_dtype(conv_transpose(dims, widened(x), widened(weight), widened(bias), options), x.dtype());

  const Tensor y = empty(result_shape(dims, s.batch, s.in_channels, s.in), x.dtype(), x.device());
  const Tensor from = contiguous(detach(x)), w = contiguous(detach(weight));
  const Tensor b = bias.defined() ? contiguous(detach(bias)) : Tensor();
  run_data_gradient(op, s, from, w, y, ConvEpilogue{.bias = data_or_null(b)});
  if (!wants_gradient({&x, &weight, &bias})) return y;

  record(op, y, {&x, &weight, &bias}, [op, s, kept_x = save(from), kept_w = save(w)](Gradients& g) {
    const Tensor& x0 = kept_x.get();
    const Tensor& w0 = kept_w.get();
    const Tensor dy = contiguous(g.of_output());
    if (g.wants(2)) {
      const Tensor db = place_of_gradient(g, 2, {s.in_channels}, {x0, w0});
      bias_gradient(op, dy, {}, std::nullopt, db);
      g.give(2, db);
    }
    if (g.wants(0)) {
      const Tensor dx = empty(x0.shape(), dy.dtype(), dy.device());
      run_forward(op, s, dy, w0, dx);
      g.give(0, dx);
    }
    if (g.wants(1)) {
      const Tensor dw = place_of_gradient(g, 1, w0.shape(), {x0, w0});
      run_weight_gradient(op, s, dy, x0, dw);
      g.give(1, dw);
    }
  });
  return y;
}

}  // namespace lamina
