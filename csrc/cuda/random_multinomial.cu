// Columns drawn in proportion to their weights, the same ones as on the CPU: its sums in its order, its words, and of
// equal keys the first.
#include "cuda/random_draw.h"
#include "kernels/random.h"
#include "kernels/sort.h"
#include "kernels/table.h"

namespace lamina {
namespace LAMINA_TARGET {

const KernelTable& table();

namespace {

constexpr char kName[] = "multinomial";
constexpr int kRowThreads = 256;
constexpr std::int64_t kRowTile = 1024;

// Weights checked and, for draws with replacement, replaced by the sums up to them. A block takes a row, one of its
// threads adds: sums of another grouping might give a column without weight a share of their rounding.
struct CheckedRows {
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kCollective = true;
  struct Shared {
    double tile[kRowTile];
    std::int64_t positive[kRowThreads];
    bool bad[kRowThreads];
    double total;
  };
  double* weights;
  std::int64_t columns, needed;
  bool sums;
  std::int64_t* problems;  // of each row

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& s = t.shared<CheckedRows>();
    double* const w = weights + t.block() * columns;
    const int me = t.thread();
    double total = 0;
    std::int64_t positive = 0;
    bool bad = false;
    for (std::int64_t first = 0; first < columns; first += kRowTile) {
      const int n = static_cast<int>(columns - first < kRowTile ? columns - first : kRowTile);
      for (int i = me; i < n; i += kThreads) {
        const double weight = w[first + i];
        bad |= !(weight >= 0);
        positive += weight > 0;
        s.tile[i] = weight;
      }
      t.sync();
      if (me == 0)
        for (int i = 0; i < n; ++i) s.tile[i] = total += s.tile[i];
      t.sync();
      for (int i = me; i < n && sums; i += kThreads) w[first + i] = s.tile[i];
      t.sync();  // before the next tile
    }
    if (me == 0) s.total = total;
    s.positive[me] = positive;
    s.bad[me] = bad;
    for (int half = kRowThreads / 2; half > 0; half /= 2) {
      t.sync();
      if (me >= half) continue;
      s.positive[me] += s.positive[me + half];
      s.bad[me] |= s.bad[me + half];
    }
    t.sync();
    auto problem = MultinomialProblem::none;
    if (s.bad[0] || isinf(s.total))
      problem = MultinomialProblem::not_a_weight;
    else if (s.positive[0] == 0)
      problem = MultinomialProblem::no_weight;
    else if (s.positive[0] < needed)
      problem = MultinomialProblem::too_few;
    if (me == 0) problems[t.block()] = static_cast<std::int64_t>(problem);
    if (problem == MultinomialProblem::none) return;
    for (std::int64_t c = me; c < columns; c += kThreads)  // nothing that follows may go astray
      w[c] = sums ? static_cast<double>(c + 1) : 1.0;
  }
};

struct AllProblems {
  static constexpr int kThreads = kRowThreads;
  static constexpr bool kCollective = true;
  struct Shared {
    std::int64_t found[kRowThreads];
  };
  const std::int64_t* problems;
  std::int64_t rows;
  std::int64_t* out;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    auto& found = t.shared<AllProblems>().found;
    std::int64_t mine = 0;
    for (std::int64_t row = t.thread(); row < rows; row += kThreads) mine |= problems[row];
    found[t.thread()] = mine;
    for (int half = kRowThreads / 2; half > 0; half /= 2) {
      t.sync();
      if (t.thread() < half) found[t.thread()] |= found[t.thread() + half];
    }
    if (t.thread() == 0) *out = found[0];
  }
};

// The first column up to which the weights sum to more than a random part of their total.
struct WithReplacement {
  using Word = std::uint64_t;
  using Out = std::int64_t;
  const double* sums;
  std::int64_t columns, samples;

  LAMINA_INLINE void four(const Word (&w)[4], const PhiloxStream&, std::int64_t first, int apart, std::int64_t n,
                          Out (&to)[4]) const {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (first + k * apart < n) to[k] = column(sums + (first + k * apart) / samples * columns, w[k]);
  }
  LAMINA_INLINE std::int64_t column(const double* row, Word w) const {
    const double x = unit(w) * row[columns - 1];
    const double* from = row;
    for (std::int64_t n = columns; n > 1;) {
      const std::int64_t half = n / 2;
      from = from[half - 1] <= x ? from + half : from;
      n -= half;
    }
    return from - row;
  }
};

// Exponential times of rate weight (see cpu/random.cc): the columns come in their order.
struct WaitingTimes {
  using Word = std::uint64_t;
  using Out = double;
  const double* weights;

  LAMINA_INLINE void four(const Word (&w)[4], const PhiloxStream&, std::int64_t first, int apart, std::int64_t n,
                          Out (&to)[4]) const {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (first + k * apart < n) to[k] = minus_log(inner_unit(w[k])) / weights[first + k * apart];
  }
};

void multinomial(double* weights, std::int64_t rows, std::int64_t columns, std::int64_t samples, bool replacement,
                 double*, std::int64_t* out, const std::uint64_t* claimed, std::int64_t* problem) {
  auto* const problems =
      static_cast<std::int64_t*>(cuda_runtime::workspace(static_cast<std::size_t>(rows) * sizeof(std::int64_t)));
  if (!problems) return;
  launch(kName, grid_for(rows, 1), CheckedRows{weights, columns, replacement ? 1 : samples, replacement, problems});
  launch(kName, {}, AllProblems{problems, rows, problem});
  if (replacement) return draw(kName, out, rows * samples, claimed, WithReplacement{weights, columns, samples});
  draw(kName, weights, rows * columns, claimed, WaitingTimes{weights});
  const SortShape shortest{rows, columns, 0, samples, false};
  table().sort.sort[static_cast<int>(DType::f64)](shortest, weights, nullptr, out, nullptr, nullptr);
}

}  // namespace

void fill_random_multinomial(RandomTable& t) { t.multinomial = multinomial; }

}  // namespace LAMINA_TARGET
}  // namespace lamina
