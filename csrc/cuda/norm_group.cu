// Group norm. A group of channels of a sample lies in one piece, a channel of its own to the sums forward; backward
// sums over each channel of each sample.
#include "cuda/norm_channel.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kName[] = "group_norm";

// Statistics of a group, and what its channels' elements go through.
template <class T>
struct FinishForward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Counted>;
  ChannelCuts cuts;  // of groups
  Teams warps;
  ChannelNorm a;
  const Moments* parts;
  Statistics<T>* kept;
  Line<T>* lines;  // [batch, channels]

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, warps);
    const Moments m = join_parts(t, team, t.shared<FinishForward>(), cuts, parts);
    if (!team.there) return;
    const Statistics<T> s = statistics_of<T>(m.mean, m.squares / static_cast<double>(cuts.spatial), a.eps);
    if (team.number == 0) kept[team.channel] = s;
    const std::int64_t channels = a.channels / a.groups, first = team.channel % a.groups * channels;
    for (std::int64_t c = team.number; c < channels; c += team.size) {
      const Scaling<T> to(s, a, first + c);
      lines[team.channel * channels + c] = {s.center, to.by, to.add};
    }
  }
};

template <class T>
void forward(ChannelNorm a, void* y, void* statistics) {
  const std::int64_t groups = a.batch * a.groups, planes = a.batch * a.channels;
  const ChannelCuts cuts(1, groups, a.channels / a.groups * a.spatial);
  const std::size_t parts = static_cast<std::size_t>(groups * cuts.parts);
  auto* const moments = static_cast<Moments*>(
      cuda_runtime::workspace(parts * sizeof(Moments) + static_cast<std::size_t>(planes) * sizeof(Line<T>)));
  if (!moments) return;
  auto* const lines = reinterpret_cast<Line<T>*>(moments + parts);
  launch(kName, cuts.teams.grid(cuts.parts), PartMoments<T>{cuts, static_cast<const T*>(a.x), moments});
  const Teams warps = warps_for(groups);
  launch(kName, warps.grid(),
         FinishForward<T>{cuts, warps, a, moments, static_cast<Statistics<T>*>(statistics), lines});
  apply_forward(kName, {planes * a.spatial, planes, a.spatial}, a.x, nullptr, lines, false, y);
}

// A warp sums up a group's channels, each of them in parts.
template <class T>
struct FinishBackward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Two>;
  ChannelCuts cuts;  // of the samples' channels
  Teams warps;
  ChannelNorm a;
  const Two* parts;
  const Statistics<T>* kept;
  T* sums;  // [batch, 2, channels]: Σ dy z and Σ dy
  Back<T>* backs;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, warps);
    const std::int64_t channels = a.channels / a.groups, sample = team.channel / a.groups,
                       first = (team.channel - sample * a.groups) * channels;
    const auto weight_of = [&](std::int64_t c) {
      return a.weight ? static_cast<double>(static_cast<const T*>(a.weight)[first + c]) : 1.0;
    };
    Statistics<T> s{0, 0, 0};
    Two mine{0, 0};  // Σ g and Σ g z of the group
    if (team.there) {
      s = kept[team.channel];
      for (std::int64_t c = team.number; c < channels; c += team.size) {
        double of_g = 0, of_gx = 0;
        for (std::int64_t p = 0; p < cuts.parts; ++p) {
          const Two part = parts[p * cuts.channels + team.channel * channels + c];
          of_g += part.first, of_gx += part.second;
        }
        const double of_gz = of_gx * static_cast<double>(s.scale) + of_g * static_cast<double>(s.shift);
        T* const to = sums + 2 * sample * a.channels + first + c;
        to[0] = static_cast<T>(of_gz);
        to[a.channels] = static_cast<T>(of_g);
        mine.first += weight_of(c) * of_g, mine.second += weight_of(c) * of_gz;
      }
    }
    const Two all = team.sum(t, t.shared<FinishBackward>(), mine);
    if (!team.there) return;
    const double count = static_cast<double>(channels * a.spatial);
    for (std::int64_t c = team.number; c < channels; c += team.size)
      backs[team.channel * channels + c] = {{s.center, 0, 0},
                                            Slope<T>(s, weight_of(c), all.first / count, all.second / count)};
  }
};

template <class T>
void backward(ChannelNorm a, const void* dy, const void* statistics, void* dx, void* dweight, void* dbias,
              void* scratch) {
  const std::int64_t planes = a.batch * a.channels;
  const ChannelCuts cuts(1, planes, a.spatial);
  const auto count = static_cast<std::size_t>(planes), parts = count * static_cast<std::size_t>(cuts.parts);
  auto* const of_parts = static_cast<Two*>(cuda_runtime::workspace(parts * sizeof(Two) + count * sizeof(Back<T>)));
  if (!of_parts) return;
  auto* const backs = reinterpret_cast<Back<T>*>(of_parts + parts);
  const auto* const kept = static_cast<const Statistics<T>*>(statistics);
  const auto* const x = static_cast<const T*>(a.x);
  T* const sums = static_cast<T*>(scratch);
  const Through<T> through{static_cast<const T*>(dy), nullptr, false};
  launch(kName, cuts.teams.grid(cuts.parts),
         PartGradients<T>{cuts, a, x, through, kept, a.channels / a.groups, of_parts});
  const Teams warps = warps_for(a.batch * a.groups);
  launch(kName, warps.grid(), FinishBackward<T>{cuts, warps, a, of_parts, kept, sums, backs});
  if (dx) {
    const PlaneWalk walk{planes * a.spatial, planes, a.spatial};
    launch(kName, walk.grid<1>(), ApplyBackward<T>{walk, x, through, backs, static_cast<T*>(dx), nullptr});
  }
  if (dweight || dbias) sum_cuts(kName, sums, a.batch, a.channels, dweight, dbias);
}

template <class T>
void fill(NormTable& t, DType type) {
  t.group_norm[static_cast<int>(type)] = forward<T>;
  t.group_norm_grad[static_cast<int>(type)] = backward<T>;
}

}  // namespace

void fill_norm_group(NormTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
