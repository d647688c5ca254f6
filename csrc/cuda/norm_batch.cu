// Batch norm, with a residual and ReLU.
#include "cuda/norm_channel.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kName[] = "batch_norm";

// A channel's statistics from its parts, from the running ones, or as they were kept.
template <class T>
struct FinishForward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Counted>;
  ChannelCuts cuts;
  Teams warps;
  ChannelNorm a;
  RunningStatistics running;
  const Moments* parts;
  Statistics<T>* kept;
  Line<T>* lines;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, warps);
    Moments m{0, 0};
    if (a.own_statistics) m = join_parts(t, team, t.shared<FinishForward>(), cuts, parts);
    if (!team.there || team.number != 0) return;
    const double count = static_cast<double>(cuts.batch * cuts.spatial);
    const Statistics<T> s = a.own_statistics ? statistics_of<T>(m.mean, m.squares / count, a.eps)
                            : running.mean   ? running_statistics<T>(running, team.channel, a.eps)
                                             : kept[team.channel];
    if (a.own_statistics) Update(running, count).operator()<T>(team.channel, m);
    kept[team.channel] = s;
    const Scaling<T> to(s, a, team.channel);
    lines[team.channel] = {s.center, to.by, to.add};
  }
};

template <class T>
void forward(ChannelNorm a, RunningStatistics running, void* y, void* statistics) {
  const ChannelCuts cuts(a.batch, a.channels, a.spatial);
  const auto channels = static_cast<std::size_t>(a.channels), parts = channels * static_cast<std::size_t>(cuts.parts);
  auto* const moments =
      static_cast<Moments*>(cuda_runtime::workspace(parts * sizeof(Moments) + channels * sizeof(Line<T>)));
  if (!moments) return;
  auto* const lines = reinterpret_cast<Line<T>*>(moments + parts);
  if (a.own_statistics)
    launch(kName, cuts.teams.grid(cuts.parts), PartMoments<T>{cuts, static_cast<const T*>(a.x), moments});
  const Teams warps = warps_for(a.channels);
  launch(kName, warps.grid(),
         FinishForward<T>{cuts, warps, a, running, moments, static_cast<Statistics<T>*>(statistics), lines});
  apply_forward(kName, {a.batch * a.channels * a.spatial, a.channels, a.spatial}, a.x, a.residual, lines, a.relu, y);
}

template <class T>
struct FinishBackward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Two>;
  ChannelCuts cuts;
  Teams warps;
  ChannelNorm a;
  const Two* parts;  // null: there is nothing to sum for
  const Statistics<T>* kept;
  T *dweight, *dbias;
  Back<T>* backs;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, warps);
    Two sums{0, 0};
    if (parts) sums = join_parts(t, team, t.shared<FinishBackward>(), cuts, parts);
    if (!team.there || team.number != 0) return;
    const std::int64_t c = team.channel;
    const Statistics<T> s = kept[c];
    const double sum_g = sums.first,
                 sum_gz = sums.second * static_cast<double>(s.scale) + sum_g * static_cast<double>(s.shift);
    if (dweight) dweight[c] = static_cast<T>(sum_gz);
    if (dbias) dbias[c] = static_cast<T>(sum_g);
    const double weight = a.weight ? static_cast<double>(static_cast<const T*>(a.weight)[c]) : 1;
    const double share = a.own_statistics ? weight / static_cast<double>(cuts.batch * cuts.spatial) : 0;
    const Scaling<T> to(s, a, c);
    backs[c] = {{s.center, to.by, to.add}, Slope<T>(s, weight, sum_g * share, sum_gz * share)};
  }
};

template <class T>
void backward(ChannelNorm a, const void* dy, const void* y, const void* statistics, void* dx, void* dresidual,
              void* dweight, void* dbias) {
  const ChannelCuts cuts(a.batch, a.channels, a.spatial);
  const auto channels = static_cast<std::size_t>(a.channels), parts = channels * static_cast<std::size_t>(cuts.parts);
  auto* const sums = static_cast<Two*>(cuda_runtime::workspace(parts * sizeof(Two) + channels * sizeof(Back<T>)));
  if (!sums) return;
  auto* const backs = reinterpret_cast<Back<T>*>(sums + parts);
  const auto* const kept = static_cast<const Statistics<T>*>(statistics);
  const auto* const x = static_cast<const T*>(a.x);
  const Through<T> through{static_cast<const T*>(dy), static_cast<const T*>(y), a.relu};
  const bool summed = a.own_statistics || dweight || dbias;
  if (summed) launch(kName, cuts.teams.grid(cuts.parts), PartGradients<T>{cuts, a, x, through, kept, 1, sums});
  const Teams warps = warps_for(a.channels);
  launch(kName, warps.grid(),
         FinishBackward<T>{cuts, warps, a, summed ? sums : nullptr, kept, static_cast<T*>(dweight),
                           static_cast<T*>(dbias), backs});
  if (!dx && !dresidual) return;
  const PlaneWalk walk{a.batch * a.channels * a.spatial, a.channels, a.spatial};
  launch(kName, walk.grid<1>(),
         ApplyBackward<T>{walk, x, through, backs, static_cast<T*>(dx), static_cast<T*>(dresidual)});
}

template <class T>
void fill(NormTable& t, DType type) {
  t.batch_norm[static_cast<int>(type)] = forward<T>;
  t.batch_norm_grad[static_cast<int>(type)] = backward<T>;
}

}  // namespace

void fill_norm_batch(NormTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
