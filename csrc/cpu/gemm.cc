// Matrix products: from the caller's arguments to the path that suits the shape.
#include "core/scratch.h"
#include "cpu/gemm_bias.h"
#include "cpu/gemm_blocked.h"
#include "cpu/gemm_integer.h"
#include "cpu/gemm_vector.h"
#include "cpu/team.h"
#include "kernels/table.h"

namespace lamina {
namespace LAMINA_TARGET {

const KernelTable& table();  // of this target: activations are element-wise operations

namespace {

template <class T>
constexpr DType kTypeOf = sizeof(T) == 4 ? DType::f32 : DType::f64;

// ---- which way round, which path ----

template <class T>
void transpose(Matrix<T>& m) {
  const std::int64_t row = m.row;
  m.row = m.col;
  m.col = row;
}

// C^T = B^T A^T
template <class T>
void transpose(Product<T>& p) {
  const Matrix<const T> a = p.a;
  p.a = p.b;
  p.b = a;
  transpose(p.a);
  transpose(p.b);
  transpose(p.out.c);
  transpose(p.out.d);
  transpose(p.out.bias);
  const std::int64_t m = p.m;
  p.m = p.n;
  p.n = m;
  p.packed_b = nullptr;
}

// Strides that nothing depends on become those that the fast paths look for.
template <class T>
void normalise(Product<T>& p) {
  if (p.k == 1) {
    p.a.col = 1;
    if (p.n > 1 || p.b.row != 1) p.b.row = p.b.col == 1 ? p.n : 1;
  }
  if (p.m == 1 && p.a.col != 1) p.a.row = 1;
  if (p.n == 1 && p.b.row != 1) p.b.col = 1;
  if (p.m == 1) p.out.c.row = p.n;
  if (p.n == 1) p.out.c.col = 1;
}

constexpr std::int64_t kLargeWeight = 1 << 15;

template <class T>
bool better_transposed(const Product<T>& p) {
  const bool dots = p.a.col == 1 && p.b.row == 1;
  if (p.n < p.m && (p.n == 1 || (dots && p.n <= kDotRows))) return true;
  if (p.m == 1 || by_dots(p) || p.packed_b) return false;
  if (p.out.c.col != 1 && p.out.c.row == 1) return true;
  // A few rows times a large transposed matrix (a layer's weight): packing the rows instead leaves the weight in place,
  // but C is then met in columns once for every block of k.
  const bool large_weight = p.b.row == 1 && p.b.col != 1 && 2 * p.m <= p.n && p.n * p.k >= kLargeWeight;
  const bool few_rows =
      kTarget == Target::avx512 ? p.m <= kFewCols : p.m <= 2 * kTileCols<T> && p.k <= 2 * kBlockDepth<T>;
  return large_weight && few_rows && p.out.c.col == 1;
}

// The way round that is worked on.
template <class T>
void turn(Product<T>& p) {
  normalise(p);
  if (better_transposed(p)) transpose(p);
}

template <class T>
bool vector_like(const Product<T>& p) {
  return by_dots(p) || by_rows(p);
}

// ---- one product ----

template <class T>
std::int64_t working_memory(const Product<T>& p, const Plan<T>& plan, int team) {
  return vector_like(p) ? 0 : plan.a_size * team + plan.b_size;
}

// By one thread, inside or outside a team. `memory` holds working_memory() elements.
template <class T>
void multiply_alone(const Product<T>& p, const Plan<T>& plan, T* memory) {
  if (vector_like(p)) {
    const std::int64_t step = piece_cols(p, 1);
    for (std::int64_t j = 0; j < p.n; j += step) multiply_cols(p, j, static_cast<int>(least(step, p.n - j)));
  } else {
    Work<T> work(p, plan, memory, 1);
    Worker<T>(work, 0, 1).run();
  }
}

template <class T>
void multiply_together(const Product<T>& p, int team) {
  if (vector_like(p)) {
    const std::int64_t step = piece_cols(p, team), pieces = ceil_div(p.n, step);
    share_out(team, pieces,
              [&](int, std::int64_t i) { multiply_cols(p, i * step, static_cast<int>(least(step, p.n - i * step))); });
    return;
  }
  const Plan<T> plan = make_plan(p, team);
  T* memory = static_cast<T*>(scratch(Scratch::gemm, working_memory(p, plan, team) * sizeof(T)));
  Work<T> work(p, plan, memory, team);
  with_team(team, [&](int thread, int size) { Worker<T>(work, thread, size).run(); });
}

// A small C summed over a long k would keep one thread busy: k is cut into segments of a size that depends on the shape
// alone, and their sums are added in order.
constexpr std::int64_t kSegment = 4096, kMostSegments = 64, kSmallResult = 4096;

template <class T>
bool worth_splitting(const Product<T>& p) {
  return p.k >= 2 * kSegment && p.m <= kSmallResult && p.m * p.n <= kSmallResult;
}

template <class T>
void multiply_split(const Product<T>& p) {
  constexpr int W = Vec<T>::width;
  const std::int64_t segments = least(kMostSegments, p.k / kSegment), pitch = padded_cols<T>(p.n), size = p.m * pitch;
  const Cut cut(p.k, segments);
  const auto part = [&](std::int64_t i, T* sums) {
    Product<T> segment = p;
    segment.k = cut.begin(i + 1) - cut.begin(i);
    segment.a.data = p.a.at(0, cut.begin(i));
    segment.b.data = p.b.at(cut.begin(i), 0);
    segment.out = {.c = {sums, pitch, 1}};
    segment.packed_b = nullptr;
    return segment;
  };
  const int team = team_for(flops(p), segments);
  const Product<T> longest = part(0, nullptr);
  const Plan<T> plan = make_plan(longest, 1);
  const std::int64_t memory = ceil_div(working_memory(longest, plan, 1), 64) * 64;
  T* const memories = static_cast<T*>(scratch(Scratch::gemm, (memory * team + size * segments) * sizeof(T)));
  T* const sums = memories + memory * team;
  share_out(team, segments, [&](int thread, std::int64_t i) {
    const Product<T> segment = part(i, sums + i * size);
    multiply_alone(segment, plan, memories + memory * thread);
  });
  for (std::int64_t row = 0; row < p.m; ++row) {
    T* const total = sums + row * pitch;
    for (std::int64_t i = 1; i < segments; ++i)
      for (std::int64_t j = 0; j < pitch; j += W)
        (Vec<T>::load(total + j) + Vec<T>::load(total + i * size + j)).store(total + j);
    put(p.out, total, static_cast<int>(pitch), Place{row, 0, 1, static_cast<int>(p.n), true, true});
  }
}

// k == 0: sums of nothing, which may still be scaled, biased and activated.
template <class T>
void multiply_nothing(const Product<T>& p) {
  constexpr int W = Vec<T>::width;
  for (std::int64_t row = 0; row < p.m; ++row)
    for (std::int64_t col = 0; col < p.n; col += W) {
      alignas(64) T zeros[W] = {};
      put(p.out, zeros, W, Place{row, col, 1, static_cast<int>(least(W, p.n - col)), true, true});
    }
}

template <class T>
void multiply_one(const Product<T>& p) {
  if (p.k == 0) return multiply_nothing(p);
  if (worth_splitting(p)) return multiply_split(p);
  multiply_together(p, team_for(flops(p), 1 << 20));
}

// ---- batches ----

template <class T>
struct Batch {
  const GemmArgs& g;
  Product<T> first;  // as the caller wrote it

  std::int64_t count() const {
    std::int64_t n = 1;
    for (int i = 0; i < g.batch_ndim; ++i) n *= g.batch[i];
    return n;
  }
  std::int64_t offset(const GemmOperand& operand, std::int64_t index) const {
    std::int64_t offset = 0;
    for (int i = g.batch_ndim - 1; i >= 0; --i) {
      offset += index % g.batch[i] * operand.batch[i];
      index /= g.batch[i];
    }
    return offset;
  }
  Product<T> at(std::int64_t index) const {
    Product<T> p = first;
    const std::int64_t c = offset(g.c, index);
    p.a.data += offset(g.a, index);
    p.b.data += offset(g.b, index);
    p.out.c.data += c;
    if (p.out.z) p.out.z += c;
    if (p.out.d.data) p.out.d.data += offset(g.d, index);
    if (p.out.bias.data) p.out.bias.data += offset(g.bias, index);
    turn(p);
    return p;
  }
};

Inner activation_of(UnaryOp op, DType dtype) {
  return op == UnaryOp::count ? nullptr : table().elementwise.unary[static_cast<int>(op)][static_cast<int>(dtype)];
}

template <class T>
Product<T> product_of(const GemmArgs& g) {
  const auto matrix = [](const GemmOperand& o) { return Matrix<const T>{static_cast<const T*>(o.data), o.row, o.col}; };
  Product<T> p{.m = g.m, .n = g.n, .k = g.k, .a = matrix(g.a), .b = matrix(g.b), .out = {}, .packed_b = nullptr};
  p.out = {.c = {static_cast<T*>(g.c.data), g.c.row, g.c.col},
           .accumulate = g.accumulate,
           .alpha = static_cast<T>(g.alpha),
           .beta = static_cast<T>(g.beta),
           .d = matrix(g.d),
           .bias = matrix(g.bias),
           .z = static_cast<T*>(g.z),
           .relu = g.activation == UnaryOp::relu,
           .activation = g.activation == UnaryOp::relu ? nullptr : activation_of(g.activation, kTypeOf<T>),
           .params = g.params.v};
  p.packed_b = static_cast<const T*>(g.packed_b);
  return p;
}

template <class T>
void multiply_floats(const GemmArgs& g) {
  if (g.m == 0 || g.n == 0) return;
  if (g.batch_ndim == 0) {  // not copied from a batch: in a tiny product that would be most of the time
    Product<T> p = product_of<T>(g);
    turn(p);
    return multiply_one(p);
  }
  const Batch<T> batch{g, product_of<T>(g)};
  const std::int64_t count = batch.count();
  if (count == 0) return;
  const Product<T> p = batch.at(0);
  const double work = flops(p);
  const int team = team_for(work * static_cast<double>(count), count);
  constexpr double kLarge = 1e7;  // worth a team of its own, were it not for many others
  if (p.k == 0 || worth_splitting(p) || count == 1 || (work > kLarge && count < 4 * team)) {
    for (std::int64_t i = 0; i < count; ++i) multiply_one(batch.at(i));
    return;
  }
  const Plan<T> plan = make_plan(p, 1);
  const std::int64_t memory = working_memory(p, plan, 1);
  T* const memories = static_cast<T*>(scratch(Scratch::gemm, memory * team * sizeof(T)));
  const std::int64_t run =
      most(1, least(count / (4 * team), static_cast<std::int64_t>(kFlopsWorthAThread / (work + 1))));
  share_out(team, ceil_div(count, run), [&](int thread, std::int64_t i) {
    for (std::int64_t j = i * run; j < least((i + 1) * run, count); ++j) {
      const Product<T> q = batch.at(j);
      multiply_alone(q, plan, memories + memory * thread);
    }
  });
}

void multiply(const GemmArgs& g) {
  switch (g.dtype) {
    case DType::f32: return multiply_floats<float>(g);
    case DType::f64: return multiply_floats<double>(g);
    case DType::i64: return multiply_integers<std::int64_t>(g);
    case DType::i32: return multiply_integers<std::int32_t>(g);
    case DType::u8: return multiply_integers<std::uint8_t>(g);
    default: return;
  }
}

// ---- packing beforehand ----

std::size_t packed_bytes(DType dtype, std::int64_t k, std::int64_t n) {
  return dtype == DType::f32 ? k * padded_cols<float>(n) * sizeof(float) : k * padded_cols<double>(n) * sizeof(double);
}

template <class T, class From>
void pack_matrix(void* packed, const GemmOperand& operand, std::int64_t k, std::int64_t n) {
  const Matrix<const From> b{static_cast<const From*>(operand.data), operand.row, operand.col};
  const DepthCut<T> depth(k);
  const std::int64_t panels = ceil_div(n, kTileCols<T>);
  parallel_for(panels, most(1, (1 << 17) / (kTileCols<T> * (k + 1))), [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t i = 0; i < depth.blocks(); ++i) {
      const std::int64_t k0 = depth.begin(i), steps = depth.begin(i + 1) - k0;
      T* const block = static_cast<T*>(packed) + k0 * padded_cols<T>(n);
      pack_b_panels(block, 0, b, n, first, end, k0, steps, 0, steps);
    }
  });
}

void pack_b(void* packed, DType dtype, DType source, const GemmOperand& b, std::int64_t k, std::int64_t n) {
  if (dtype == DType::f64) return pack_matrix<double, double>(packed, b, k, n);
  switch (source) {
    case DType::f16: return pack_matrix<float, float16>(packed, b, k, n);
    case DType::bf16: return pack_matrix<float, bfloat16>(packed, b, k, n);
    default: return pack_matrix<float, float>(packed, b, k, n);
  }
}

void bias_gradient(BiasGradient g) {
  const Inner derivative =
      g.activation == UnaryOp::count
          ? nullptr
          : table().elementwise.unary_grad[static_cast<int>(g.activation)][static_cast<int>(g.dtype)];
  g.dtype == DType::f64 ? sum_bias_gradient<double>(g, derivative) : sum_bias_gradient<float>(g, derivative);
}

}  // namespace

void fill_gemm(GemmTable& t) { t = {multiply, packed_bytes, pack_b, bias_gradient}; }

}  // namespace LAMINA_TARGET
}  // namespace lamina
