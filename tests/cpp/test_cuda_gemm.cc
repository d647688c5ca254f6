// The CUDA kernels of matrix products, run on the CPU, against float64: odd shapes and tails, all transpositions,
// batches, epilogues; operands end where memory ends, outputs are full of NaN beforehand and their gaps must stay so.
#include "cuda/gemm_launch.h"
#include "cuda/gemm_mma.h"
#include "cuda/gemm_simt.h"
#include "cuda_stand_in.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
struct Matrices {  // of a batch, each with its own strides
  std::int64_t rows, cols, count, row, col, batch;
  Guarded<T> memory;

  // layout 0: rows contiguous, 1: columns contiguous, 2: neither. `extra` elements lie between the lines.
  Matrices(std::int64_t rows_, std::int64_t cols_, std::int64_t count_, int layout, int extra, bool shared)
      : rows(rows_),
        cols(cols_),
        count(count_),
        row(layout == 0   ? cols + extra
            : layout == 1 ? 1
                          : 2 * cols + extra),
        col(layout == 0   ? 1
            : layout == 1 ? rows + extra
                          : 2),
        batch(shared || rows_ * cols_ == 0 ? 0 : (rows - 1) * row + (cols - 1) * col + 1 + extra),
        memory(rows * cols == 0 ? 0 : (rows - 1) * row + (cols - 1) * col + 1 + (count - 1) * batch) {}
  T& at(std::int64_t i, std::int64_t r, std::int64_t c) { return memory.data[i * batch + r * row + c * col]; }
  GemmOperand operand() {
    GemmOperand o{memory.data, row, col, {}};
    o.batch[1] = batch;
    return o;
  }
  void fill(Random& random) {
    for (std::int64_t i = 0; i < (batch ? count : 1); ++i)
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t c = 0; c < cols; ++c) at(i, r, c) = narrowed<T>(static_cast<ComputeOf<T>>(random.number()));
  }
};

struct Format {
  double storage, product;  // relative errors: of what is stored, of a factor
};

template <class T>
void test_product(Random& random, void (*multiply)(const GemmArgs&, bool), Format format, int m, int n, int k) {
  const int count = random.one_of(1, 1, 1, 2, 3);
  const auto layout = [&] { return random.one_of(0, 0, 0, 1, 1, 1, 2); };
  const auto extra = [&] { return random.one_of(0, 0, 1, 8, 3); };
  Matrices<T> a(m, k, count, layout(), extra(), random.below(3) == 0),
      b(k, n, count, layout(), extra(), random.below(3) == 0), c(m, n, count, layout(), extra(), false),
      d(m, n, count, layout(), extra(), false), bias(random.below(2) ? 1 : m, random.below(2) ? 1 : n, 1, 0, 0, true);
  Guarded<T> z(c.memory.size);
  for (auto* x : {&a, &b, &d, &bias}) x->fill(random);
  const bool accumulate = random.below(3) == 0, with_d = random.below(3) == 0, with_bias = random.below(2),
             relu = random.below(2), with_z = random.below(3) == 0;
  if (accumulate) c.fill(random);
  GemmArgs g;
  g.accumulate = accumulate;
  g.batch_ndim = 2;
  g.batch[0] = 1;
  g.batch[1] = count;
  g.m = m;
  g.n = n;
  g.k = k;
  g.alpha = random.below(2) ? 1 : 0.75;
  g.beta = 0.5;
  g.a = a.operand();
  g.b = b.operand();
  g.c = c.operand();
  if (with_d) g.d = d.operand();
  if (with_bias) {
    g.bias = bias.operand();
    if (bias.rows == 1) g.bias.row = 0;
    if (bias.cols == 1) g.bias.col = 0;
  }
  if (with_z) g.z = z.data;
  if (relu) g.activation = UnaryOp::relu;
  std::vector<T> before(c.memory.data, c.memory.data + c.memory.size);
  multiply(g, random.below(4) != 0);
  std::vector<char> written(before.size());
  for (int i = 0; i < count; ++i)
    for (int r = 0; r < m; ++r)
      for (int s = 0; s < n; ++s) {
        double sum = 0, size = 0;
        for (int j = 0; j < k; ++j) {
          const double product = static_cast<double>(widened(a.at(i, r, j))) * widened(b.at(i, j, s));
          sum += product;
          size += std::fabs(product);
        }
        const std::int64_t at = &c.at(i, r, s) - c.memory.data;
        double want = g.alpha * sum;
        if (with_d) want += g.beta * widened(d.at(i, r, s));
        if (with_bias) want += widened(bias.at(0, bias.rows == 1 ? 0 : r, bias.cols == 1 ? 0 : s));
        if (accumulate) want += widened(before[at]);
        const double compute = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
        const double limit =
            size * (2 * format.product + compute * (k + 4)) + (std::fabs(want) + 2) * (format.storage + 4 * compute);
        if (with_z)
          check(std::fabs(widened(z.data[at]) - want) <= limit, "z", m, n, k, i, r, s, widened(z.data[at]), want);
        if (relu && want < 0) want = 0;
        written[at] = true;
        check(std::fabs(widened(c.memory.data[at]) - want) <= limit, "product", sizeof(T), m, n, k, i, r, s,
              widened(c.memory.data[at]), want, a.row, a.col, b.row, b.col, c.row, c.col);
      }
  for (std::size_t at = 0; at < before.size(); ++at)
    check(written[at] || std::memcmp(&before[at], &c.memory.data[at], sizeof(T)) == 0, "a gap was written to", m, n, k,
          at);
}

template <class T>
void test_type(Random& random, void (*multiply)(const GemmArgs&, bool), Format format, int rounds) {
  const auto size = [&] {
    return random.one_of(1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200);
  };
  for (int i = 0; i < rounds; ++i)
    test_product<T>(random, multiply, format, size(), size(),
                    random.below(8) ? size() : random.one_of(0, 300, 600, 1100));
  test_product<T>(random, multiply, format, 1, 1, 3000);
  test_product<T>(random, multiply, format, 150, 3, 700);
  test_product<T>(random, multiply, format, 3, 150, 700);
}

// Tiles that are only chosen where there are many of them.
template <class Core, class T>
void multiply_with(const GemmArgs& g, bool may_split) {
  std::int64_t matrices = g.batch[1];
  multiply_by<Core>(g, product_of<T>(g, matrices), may_split);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

int main(int argc, char** argv) {
  using namespace lamina;
  using namespace lamina::LAMINA_TARGET;
  Random random{argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1};
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 12;
  const Format f32{0x1p-24, 0}, f64{0x1p-53, 0}, tf32{0x1p-24, 0x1p-11}, bf16{0x1p-8, 0}, f16{0x1p-11, 0};
  test_type<float>(random, multiply_float32, f32, 2 * rounds);
  test_type<float>(random, multiply_with<FloatTile, float>, f32, rounds);
  test_type<double>(random, multiply_float64, f64, rounds);
  test_type<bfloat16>(random, multiply_bfloat16, bf16, rounds);
  test_type<bfloat16>(random, multiply_with<HalfTile<bfloat16>, bfloat16>, bf16, rounds);
  test_type<float16>(random, multiply_float16, f16, rounds / 2);
  test_type<float>(random, multiply_tf32, tf32, rounds);
  test_type<float>(random, multiply_with<Tf32Tile, float>, tf32, rounds);
  check(cuda_runtime::noted == 0, "an error was noted", cuda_runtime::noted);
  return failures != 0;
}
