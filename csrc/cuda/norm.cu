// Layer norm and RMS norm. A team of threads takes a row, which its later passes find in the cache.
#include "cuda/team.h"
#include "kernels/norm.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// (x - center) · scale + shift
template <class T>
struct RowStatistics {
  T center, scale, shift;
};

template <bool centered>
constexpr const char* kName = centered ? "layer_norm" : "rms_norm";

template <class In, bool centered>
struct RowForward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using T = Wide<In>;
  using Shared = Totals<Two>;
  RowNorm a;
  Teams teams;
  In* out;
  RowStatistics<T>* kept;  // or null

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.shared<RowForward>();
    const Team team(t, teams);
    const In* const x = static_cast<const In*>(a.x) + team.channel * a.n;
    const double count = static_cast<double>(a.n);
    // The sums of x - from and of its square.
    const auto sums = [&](T from) {
      TwoSums<T> s;
      if (team.there)
        for (std::int64_t i = team.number; i < a.n; i += team.size) {
          const T v = static_cast<T>(widen(x[i])) - from;
          s.add(v, v * v);
        }
      return team.sum(t, shared, s.total());
    };
    RowStatistics<T> s{0, 0, 0};
    if constexpr (centered) {
      s.center = static_cast<T>(sums(T(0)).first / count);
      // What rounding the mean left over is summed up with the squares.
      const Two around = sums(s.center);
      const double remainder = around.first / count, variance = around.second / count - remainder * remainder;
      const double scale = 1 / sqrt((variance > 0 ? variance : variance * 0) + a.eps);
      s.scale = static_cast<T>(scale);
      s.shift = static_cast<T>(-remainder * scale);
    } else {
      s.scale = static_cast<T>(1 / sqrt(sums(T(0)).second / count + a.eps));
    }
    if (!team.there) return;
    if (kept && team.number == 0) kept[team.channel] = s;
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    In* const y = out + team.channel * a.n;
    for (std::int64_t i = team.number; i < a.n; i += team.size) {
      T v = fma(static_cast<T>(widen(x[i])) - s.center, s.scale, s.shift);
      if (weight)
        v = fma(v, weight[i], bias ? bias[i] : T(0));
      else if (bias)
        v += bias[i];
      y[i] = convert<In>(v);
    }
  }
};

template <class In, bool centered>
void forward(RowNorm a, void* y, void* kept) {
  using Kernel = RowForward<In, centered>;
  const Teams teams(a.rows, a.n, false);
  launch(kName<centered>, teams.grid(),
         Kernel{a, teams, static_cast<In*>(y), static_cast<RowStatistics<Wide<In>>*>(kept)});
}

// With g = dy · weight and z the normalised row: dx = scale (g - mean(g) - z mean(g z)), without mean(g) for RMS norm.
template <class In, bool centered>
struct RowBackward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using T = Wide<In>;
  using Shared = Totals<Two>;
  RowNorm a;
  Teams teams;
  const In* dy;
  const RowStatistics<T>* kept;
  In* dx;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, teams);
    const std::int64_t first = team.channel * a.n;
    const In* const x = static_cast<const In*>(a.x);
    const T* const weight = static_cast<const T*>(a.weight);
    const auto gradient = [&](std::int64_t i) {
      const T d = static_cast<T>(widen(dy[first + i]));
      return weight ? d * weight[i] : d;
    };
    RowStatistics<T> s{0, 0, 0};
    TwoSums<T> sums;
    if (team.there) {
      s = kept[team.channel];
      for (std::int64_t i = team.number; i < a.n; i += team.size) {
        const T g = gradient(i), z = fma(static_cast<T>(widen(x[first + i])) - s.center, s.scale, s.shift);
        sums.add(g * z, g);
      }
    }
    const Two all = team.sum(t, t.shared<RowBackward>(), sums.total());
    if (!team.there) return;
    const double scale = static_cast<double>(s.scale), along = all.first / static_cast<double>(a.n),
                 level = centered ? all.second / static_cast<double>(a.n) : 0;
    const T slope = static_cast<T>(-scale * scale * along),
            offset = static_cast<T>(-scale * (level + static_cast<double>(s.shift) * along));
    for (std::int64_t i = team.number; i < a.n; i += team.size) {
      const T off = static_cast<T>(widen(x[first + i])) - s.center;
      dx[first + i] = convert<In>(fma(gradient(i), s.scale, fma(off, slope, offset)));
    }
  }
};

// dweight = Σ dy z and dbias = Σ dy over the rows of each cut.
template <class In>
struct ColumnSums {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using T = Wide<In>;
  using Shared = Totals<Two>;
  RowNorm a;
  Teams teams;  // of columns
  std::int64_t cut;
  const In* dy;
  const RowStatistics<T>* kept;
  T* sums;  // [cuts, 2, n]

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, teams);
    const In* const x = static_cast<const In*>(a.x);
    const std::int64_t begin = team.part * cut, end = begin + cut < a.rows ? begin + cut : a.rows;
    TwoSums<T> mine;
    if (team.there)
      for (std::int64_t row = begin + team.number; row < end; row += team.size) {
        const RowStatistics<T> s = kept[row];
        const std::int64_t at = row * a.n + team.channel;
        const T d = static_cast<T>(widen(dy[at]));
        mine.add(d * fma(static_cast<T>(widen(x[at])) - s.center, s.scale, s.shift), d);
      }
    const Two all = team.sum(t, t.shared<ColumnSums>(), mine.total());
    if (!team.there || team.number != 0) return;
    T* const to = sums + 2 * team.part * a.n + team.channel;
    to[0] = static_cast<T>(all.first);
    to[a.n] = static_cast<T>(all.second);
  }
};

template <class In, bool centered>
void backward(RowNorm a, const void* gradient, const void* statistics, void* dx, void* dweight, void* dbias,
              void* scratch) {
  using T = Wide<In>;
  const In* const dy = static_cast<const In*>(gradient);
  const auto* const kept = static_cast<const RowStatistics<T>*>(statistics);
  if (a.n == 0) return;
  if (dx && a.rows > 0) {
    const Teams teams(a.rows, a.n, false);
    launch(kName<centered>, teams.grid(), RowBackward<In, centered>{a, teams, dy, kept, static_cast<In*>(dx)});
  }
  if (!dweight && !dbias) return;
  const std::int64_t cuts = norm_cuts(a.rows, a.n);
  T* const sums = static_cast<T*>(scratch);
  const Teams columns(a.n, 0, true);
  if (cuts > 0)
    launch(kName<centered>, columns.grid(cuts), ColumnSums<In>{a, columns, rows_of_norm_cut(a.n), dy, kept, sums});
  sum_cuts(kName<centered>, sums, cuts, a.n, dweight, dbias);
}

template <class In>
void fill(NormTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.layer_norm[i] = forward<In, true>;
  t.rms_norm[i] = forward<In, false>;
  t.layer_norm_grad[i] = backward<In, true>;
  t.rms_norm_grad[i] = backward<In, false>;
}

}  // namespace

void fill_norm_batch(NormTable& t);
void fill_norm_group(NormTable& t);

void fill_norm(NormTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill<float16>(t, DType::f16);
  fill<bfloat16>(t, DType::bf16);
  fill_norm_batch(t);
  fill_norm_group(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
