// Convolutions as products whose right-hand operand is gathered from the images on the way to shared memory.
#pragma once
#include "cuda/conv_source.h"
#include "cuda/gemm_product.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Device memory of one launch function, handed out piece by piece. First it only counts.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}
  template <class T>
  T* take(std::int64_t n) {
    char* const piece = memory_ + used_;
    used_ += (static_cast<std::size_t>(n) * sizeof(T) + 255) / 256 * 256;
    return reinterpret_cast<T*>(memory_ ? piece : nullptr);
  }
  std::size_t used() const { return used_; }

 private:
  char* memory_;
  std::size_t used_ = 0;
};

// The table of channels × taps, padded with taps that do not exist.
struct FillTaps {
  static constexpr int kThreads = 128;
  static constexpr bool kCollective = false;
  Tap* taps;
  int count, padded, channel, plane, line;  // elements between channels, planes, lines of the image
  Counter3 counter;
  TapLine lines[3];

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t k = t.global();
    if (k >= padded) return;
    Tap tap{0, {kNowhere, kNowhere, kNowhere}};
    if (k < count) {
      int u[3];
      const int c = counter.within(static_cast<int>(k), u);
      for (int d = 0; d < 3; ++d) tap.delta[d] = lines[d].delta(u[d]);
      tap.offset = c * channel + tap.delta[0] * plane + tap.delta[1] * line + tap.delta[2];
    }
    taps[k] = tap;
  }
};

inline std::int64_t padded_taps(std::int64_t count) { return tiles_in(count + 1, kTapPadding) * kTapPadding; }

inline void fill_taps(const char* op, Tap* taps, const ConvPass& pass, std::int64_t channels) {
  FillTaps f;
  f.taps = taps;
  f.count = static_cast<int>(channels * pass.tap_count());
  f.padded = static_cast<int>(padded_taps(f.count));
  f.channel = pass.image.size[0] * pass.image.plane;
  f.plane = pass.image.plane;
  f.line = pass.image.line;
  if (f.count > 0) f.counter = Counter3(pass.taps[0].count, pass.taps[1].count, pass.taps[2].count);
  for (int d = 0; d < 3; ++d) f.lines[d] = pass.taps[d];
  launch(op, grid_for(f.padded, FillTaps::kThreads), f);
}

// For the image's gradient: weight [g][o][c][t] to [g][c][o][u], with those taps u that a class of positions meets.
template <class T>
struct TurnWeight {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  T* turned;
  const T* weight;
  std::int64_t elements;
  Divisor in, out;  // channels of a group
  Counter3 counter;
  TapLine lines[3];
  int kernel[3];

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t e = t.global();
    if (e >= elements) return;
    int u[3], group, o, c, above = counter.within(static_cast<int>(e), u);
    out.divmod(above, above, o);
    in.divmod(above, group, c);
    const std::int64_t from = (group * std::int64_t{out.value} + o) * in.value + c;
    const int tap = (lines[0].tap(u[0]) * kernel[1] + lines[1].tap(u[1])) * kernel[2] + lines[2].tap(u[2]);
    turned[e] = weight[from * (kernel[0] * kernel[1] * kernel[2]) + tap];
  }
};

template <class T>
void turn_weight(const char* op, T* turned, const T* weight, const ConvShape& s, const ConvPass& pass) {
  TurnWeight<T> w;
  w.turned = turned;
  w.weight = weight;
  w.elements = s.in_channels * s.group_out() * pass.tap_count();
  if (w.elements == 0) return;
  w.in = Divisor(s.group_in());
  w.out = Divisor(s.group_out());
  w.counter = Counter3(pass.taps[0].count, pass.taps[1].count, pass.taps[2].count);
  for (int d = 0; d < 3; ++d) {
    w.lines[d] = pass.taps[d];
    w.kernel[d] = static_cast<int>(s.kernel[d]);
  }
  launch(op, grid_for(w.elements, TurnWeight<T>::kThreads), w);
}

inline BatchOffsets groups_of(const ConvShape& s, const BatchOffsets::Of& stride) {
  BatchOffsets b;
  if (s.groups == 1) return b;
  b.ndim = 1;
  b.size[0] = Divisor(s.groups);
  b.stride[0] = stride;
  return b;
}

template <class T>
void set_epilogue(Output<T, ImageMap>& out, const ConvEpilogue& e, const ImageMap& map) {
  out.map = out.d_map = map;
  out.d = static_cast<const T*>(e.residual);
  out.bias = static_cast<const T*>(e.bias);
  out.bias_map = {1, 0};
  out.z = static_cast<T*>(e.z);
  out.relu = e.activation == UnaryOp::relu;
}

// results[m, n] = weights[m, k] gathered[k, n] for every group: channels of the result, pixels, channels and taps.
template <class Core, class T>
void gather_product(const char* op, const Product<T, ImageMap>& p, const ConvPass& pass, const T* weights,
                    const T* image, const Tap* taps, void* parts) {
  constexpr std::int64_t kChunk = 16 / sizeof(T);
  const bool chunks = p.k % kChunk == 0 && reinterpret_cast<std::uintptr_t>(weights) % 16 == 0;
  StridedSource<T, Along::depth> a{weights, static_cast<int>(p.m), static_cast<int>(p.k), 1, chunks};
  PixelSource<T> b{image, taps, pass.image, pass.map.pixels, static_cast<int>(p.n)};
  launch_product<Core>(op, p, a, b, parts);
}

constexpr std::int64_t kEnoughConvBlocks = 128;

// Calls run(core) with the tile for this shape; Flat is for few rows.
template <class Large, class Small, class Flat, class T, class Map, class Run>
void with_tile(const Product<T, Map>& p, const Run& run) {
  if (p.m <= Flat::kRows) return run(static_cast<const Flat*>(nullptr));
  if (blocks_of<Large>(p) >= kEnoughConvBlocks) return run(static_cast<const Large*>(nullptr));
  run(static_cast<const Small*>(nullptr));
}

template <class Large, class Small, class Flat>
struct ImplicitConv {
  using T = typename Large::T;

  template <class Map>
  static std::size_t most_parts_bytes(const Product<T, Map>& p) {
    const std::size_t bytes[] = {parts_bytes<Large>(p), parts_bytes<Small>(p), parts_bytes<Flat>(p)};
    std::size_t most = 0;
    for (const std::size_t b : bytes) most = b > most ? b : most;
    return most;
  }
  static bool indexable(const ConvShape& s) {
    for (const std::int64_t n : {s.batch * s.in_size(), s.batch * s.out_size(), s.in_channels * s.in_size(),
                                 s.out_channels * s.out_size(), s.in_channels * s.group_out() * s.taps() + kTapPadding})
      if (n > kLargestIndex) return false;
    return true;
  }

  static void forward(const ConvForward& args) {
    constexpr char kOp[] = "convolution";
    const ConvShape& s = args.shape;
    if (!indexable(s)) return cuda_runtime::note(kOp, cuda_runtime::kTooManyElements);
    const ConvPass pass = forward_pass(s);
    Product<T, ImageMap> p{.m = s.group_out(),
                           .n = s.batch * s.out_size(),
                           .k = s.group_in() * s.taps(),
                           .matrices = s.groups,
                           .batch = {},
                           .out = {}};
    p.batch = groups_of(s, {p.m * p.k, s.group_in() * s.in_size(), p.m * s.out_size(), p.m * s.out_size(), p.m});
    p.out.c = static_cast<T*>(args.y);
    set_epilogue(p.out, args.epilogue, pass.map);
    const auto carve = [&](Carver c, Tap*& taps, char*& parts) {
      taps = c.take<Tap>(padded_taps(p.k));
      parts = c.take<char>(static_cast<std::int64_t>(most_parts_bytes(p)));
      return c.used();
    };
    Tap* taps;
    char* parts;
    void* const memory = cuda_runtime::workspace(carve(Carver(nullptr), taps, parts));
    if (!memory) return;
    carve(Carver(memory), taps, parts);
    fill_taps(kOp, taps, pass, s.group_in());
    with_tile<Large, Small, Flat>(p, [&](auto* core) {
      gather_product<std::remove_cvref_t<decltype(*core)>>(kOp, p, pass, static_cast<const T*>(args.weight),
                                                           static_cast<const T*>(args.x), taps, parts);
    });
  }

  // One product for every class of positions: none multiplies zeros that the stride puts between results.
  static void data_gradient(const ConvDataGradient& args) {
    constexpr char kOp[] = "gradient of a convolution";
    const ConvShape& s = args.shape;
    if (!indexable(s)) return cuda_runtime::note(kOp, cuda_runtime::kTooManyElements);
    const auto each_class = [&](const auto& f) {
      for (std::int64_t z = 0; z < s.stride[0] && z < s.in[0]; ++z)
        for (std::int64_t y = 0; y < s.stride[1] && y < s.in[1]; ++y)
          for (std::int64_t x = 0; x < s.stride[2] && x < s.in[2]; ++x) {
            const std::int64_t remainder[3] = {z, y, x};
            const ConvPass pass = gradient_pass(s, remainder);
            Product<T, ImageMap> p{.m = s.group_in(),
                                   .n = s.batch * pass.pixels(),
                                   .k = s.group_out() * pass.tap_count(),
                                   .matrices = s.groups,
                                   .batch = {},
                                   .out = {}};
            p.batch =
                groups_of(s, {p.m * p.k, s.group_out() * s.out_size(), p.m * s.in_size(), p.m * s.in_size(), p.m});
            p.out.c = static_cast<T*>(args.dx);
            set_epilogue(p.out, args.epilogue, pass.map);
            f(pass, p);
          }
    };
    std::size_t most = 0;
    each_class([&](const ConvPass&, const Product<T, ImageMap>& p) {
      const std::size_t bytes = most_parts_bytes(p);
      most = bytes > most ? bytes : most;
    });
    const auto carve = [&](Carver c, Tap*& taps, T*& turned, char*& parts) {
      taps = c.take<Tap>(padded_taps(s.group_out() * s.taps()));
      turned = c.take<T>(s.in_channels * s.group_out() * s.taps());
      parts = c.take<char>(static_cast<std::int64_t>(most));
      return c.used();
    };
    Tap* taps;
    T* turned;
    char* parts;
    void* const memory = cuda_runtime::workspace(carve(Carver(nullptr), taps, turned, parts));
    if (!memory) return;
    carve(Carver(memory), taps, turned, parts);
    each_class([&](const ConvPass& pass, const Product<T, ImageMap>& p) {
      fill_taps(kOp, taps, pass, s.group_out());
      turn_weight(kOp, turned, static_cast<const T*>(args.weight), s, pass);
      with_tile<Large, Small, Flat>(p, [&](auto* core) {
        gather_product<std::remove_cvref_t<decltype(*core)>>(kOp, p, pass, static_cast<const T*>(turned),
                                                             static_cast<const T*>(args.dy), taps, parts);
      });
    });
  }

  static void weight_gradient(const ConvWeightGradient& args) {
    constexpr char kOp[] = "gradient of a convolution";
    const ConvShape& s = args.shape;
    if (!indexable(s)) return cuda_runtime::note(kOp, cuda_runtime::kTooManyElements);
    const ConvPass pass = forward_pass(s);
    Product<T, StridedMap> p{.m = s.group_out(),
                             .n = s.group_in() * s.taps(),
                             .k = s.batch * s.out_size(),
                             .matrices = s.groups,
                             .batch = {},
                             .out = {}};
    p.batch = groups_of(s, {p.m * s.out_size(), s.group_in() * s.in_size(), p.m * p.n, 0, 0});
    p.out.c = static_cast<T*>(args.dweight);
    p.out.map = {p.n, 1};
    const auto carve = [&](Carver c, Tap*& taps, char*& parts) {
      taps = c.take<Tap>(padded_taps(p.n));
      parts = c.take<char>(static_cast<std::int64_t>(most_parts_bytes(p)));
      return c.used();
    };
    Tap* taps;
    char* parts;
    void* const memory = cuda_runtime::workspace(carve(Carver(nullptr), taps, parts));
    if (!memory) return;
    carve(Carver(memory), taps, parts);
    fill_taps(kOp, taps, pass, s.group_in());
    with_tile<Large, Small, Flat>(p, [&](auto* core) {
      ChannelSource<T> a{static_cast<const T*>(args.dy), static_cast<int>(p.m), static_cast<int>(s.out_size()),
                         s.out_channels * s.out_size(), Divisor(s.out_size())};
      TapSource<T> b{static_cast<const T*>(args.x), taps, pass.image, pass.map.pixels};
      launch_product<std::remove_cvref_t<decltype(*core)>>(kOp, p, a, b, static_cast<void*>(parts));
    });
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
