// Batch and group norm: sums over channels in parts, whose number follows from the shape alone, and the passes that
// write. A channel of group norm is one of one sample: (1, batch · channels, spatial).
#pragma once
#include "cuda/team.h"
#include "kernels/norm_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kPartElements = 8192, kMostParts = 128;

// How the sums over (batch, channels, spatial) are cut.
struct ChannelCuts {
  std::int64_t batch, channels, spatial, part, parts;  // part: elements of a part of a channel
  Teams teams;

  ChannelCuts(std::int64_t batch, std::int64_t channels, std::int64_t spatial)
      : batch(batch), channels(channels), spatial(spatial), teams(channels, batch * spatial, spatial == 1) {
    const std::int64_t each = spatial == 1 ? kPartElements / kWarp : kPartElements;
    parts = (batch * spatial + each - 1) / each;
    parts = parts < kMostParts ? parts : kMostParts;
    part = (batch * spatial + parts - 1) / parts;
    parts = (batch * spatial + part - 1) / part;
  }
  std::int64_t elements() const { return batch * spatial; }
  LAMINA_INLINE std::int64_t length_of(std::int64_t index) const {
    const std::int64_t rest = batch * spatial - index * part;
    return rest < part ? rest : part;
  }
};

constexpr int kWalkedAtOnce = 4;  // elements, so that as many loads are under way

// f(place) for the elements of a team's part that are this thread's.
template <class F>
LAMINA_KERNEL void for_elements(const ChannelCuts& c, const Team& team, F f) {
  if (!team.there) return;
  std::int64_t e = team.part * c.part + team.number;
  const std::int64_t end = team.part * c.part + c.length_of(team.part), first = e / c.spatial;
  const std::int64_t runs = team.size / c.spatial, rest = team.size - runs * c.spatial, stride = c.channels * c.spatial;
  std::int64_t i = e - first * c.spatial, run = (first * c.channels + team.channel) * c.spatial;
  const auto next = [&] {
    const std::int64_t at = run + i;
    e += team.size, i += rest, run += runs * stride;
    if (i >= c.spatial) i -= c.spatial, run += stride;
    return at;
  };
  while (e + (kWalkedAtOnce - 1) * team.size < end) {
    std::int64_t at[kWalkedAtOnce];
#pragma unroll
    for (int k = 0; k < kWalkedAtOnce; ++k) at[k] = next();
#pragma unroll
    for (int k = 0; k < kWalkedAtOnce; ++k) f(at[k]);
  }
  while (e < end) f(next());
}

// Mean and variance of every part, read twice: around its first element to find the mean, then around that.
template <class T>
struct PartMoments {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Two>;
  ChannelCuts cuts;
  const T* x;
  Moments* all;  // [parts, channels]

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.shared<PartMoments>();
    const Team team(t, cuts.teams);
    const double count = static_cast<double>(cuts.length_of(team.part));
    const auto sums = [&](T from) {
      TwoSums<T> s;
      for_elements(cuts, team, [&](std::int64_t at) {
        const T v = x[at] - from;
        s.add(v, v * v);
      });
      return team.sum(t, shared, s.total());
    };
    const std::int64_t e = team.part * cuts.part, row = e / cuts.spatial;
    const T begin = team.there ? x[(row * cuts.channels + team.channel) * cuts.spatial + e - row * cuts.spatial] : T(0);
    const T center = static_cast<T>(static_cast<double>(begin) + sums(begin).first / count);
    const Two around = sums(center);
    if (!team.there || team.number != 0) return;
    const double off = around.first / count, squares = around.second - around.first * off;
    all[team.part * cuts.channels + team.channel] = {static_cast<double>(center) + off, squares < 0 ? 0 : squares};
  }
};

// Moments of so many elements.
struct Counted {
  double count;
  Moments m;
};
// T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance, 1983.
struct JoinMoments {
  LAMINA_INLINE Counted operator()(const Counted& a, const Counted& b) const {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    const double all = a.count + b.count, distance = b.m.mean - a.m.mean;
    return {all,
            {a.m.mean + distance * (b.count / all),
             a.m.squares + b.m.squares + distance * distance * a.count * (b.count / all)}};
  }
};
// Of a whole channel; a warp joins its parts.
LAMINA_KERNEL inline Moments join_parts(const Thread& t, const Team& team, Totals<Counted>& shared,
                                        const ChannelCuts& cuts, const Moments* all) {
  const JoinMoments join;
  Counted mine{0, {0, 0}};
  if (team.there)
    for (std::int64_t p = team.number; p < cuts.parts; p += team.size)
      mine = join(mine, {static_cast<double>(cuts.length_of(p)), all[p * cuts.channels + team.channel]});
  return team.join(t, shared, mine, join).m;
}
inline Teams warps_for(std::int64_t channels) { return {channels, kWarp, false}; }

// What a channel's elements go through: y = (x - center) · by + add.
template <class T>
struct Line {
  T center, by, add;
};

// g, what reaches the normalised element of dy: nothing where ReLU held it back, seen by the result or by x.
template <class T>
struct Through {
  const T *dy, *y;
  bool relu;
  LAMINA_INLINE T operator()(std::int64_t at, T off, const Line<T>& line) const {
    if (!relu) return dy[at];
    return (y ? y[at] : fma(off, line.by, line.add)) > T(0) ? dy[at] : T(0);
  }
};

// Σ g and Σ g (x - center) of every part.
template <class T>
struct PartGradients {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Two>;
  ChannelCuts cuts;
  ChannelNorm a;
  const T* x;
  Through<T> through;
  const Statistics<T>* kept;
  std::int64_t of_statistics;  // channels that have the same
  Two* all;                    // [parts, channels]

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Team team(t, cuts.teams);
    Line<T> line{0, 0, 0};
    if (team.there) {
      const Statistics<T> s = kept[team.channel / of_statistics];
      line.center = s.center;
      if (through.relu) {
        const Scaling<T> to(s, a, team.channel);
        line.by = to.by, line.add = to.add;
      }
    }
    TwoSums<T> sums;
    for_elements(cuts, team, [&](std::int64_t at) {
      const T off = x[at] - line.center, g = through(at, off, line);
      sums.add(g, g * off);
    });
    const Two whole = team.sum(t, t.shared<PartGradients>(), sums.total());
    if (team.there && team.number == 0) all[team.part * cuts.channels + team.channel] = whole;
  }
};
LAMINA_KERNEL inline Two join_parts(const Thread& t, const Team& team, Totals<Two>& shared, const ChannelCuts& cuts,
                                    const Two* all) {
  Two mine{0, 0};
  if (team.there)
    for (std::int64_t p = team.number; p < cuts.parts; p += team.size) {
      const Two part = all[p * cuts.channels + team.channel];
      mine.first += part.first, mine.second += part.second;
    }
  return team.sum(t, shared, mine);
}

// ---- the passes that write ----

template <class T, int n>
struct alignas(n * sizeof(T)) Pack {
  T v[n];
};
template <class T>
constexpr int kPack = 16 / sizeof(T);
constexpr int kPacksEach = 4;  // of a thread

// May elements be read 16 bytes at a time, all of one channel?
template <class T, class... Pointers>
bool packs(std::int64_t spatial, Pointers... pointers) {
  return spatial % kPack<T> == 0 && ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

// f(first element, its channel) for every `pack` elements of (…, channels, spatial).
struct PlaneWalk {
  std::int64_t elements, channels, spatial;

  template <int pack, class F>
  LAMINA_KERNEL void run(const Thread& t, F f) const {
    constexpr int step = kTeamThreads * pack;
    std::int64_t at = static_cast<std::int64_t>(t.block()) * (step * kPacksEach) + t.thread() * pack;
    std::int64_t plane = at / spatial, i = at - plane * spatial, channel = plane % channels;
    const std::int64_t planes = step / spatial, rest = step - planes * spatial, further = planes % channels;
    for (int k = 0; k < kPacksEach && at < elements; ++k) {
      f(at, channel);
      at += step, i += rest, channel += further;
      if (i >= spatial) i -= spatial, ++channel;
      if (channel >= channels) channel -= channels;
    }
  }
  template <int pack>
  Grid grid() const {
    return grid_for(elements, kTeamThreads * pack * kPacksEach);
  }
};

template <class T, int pack>
struct ApplyForward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = false;
  using P = Pack<T, pack>;
  PlaneWalk walk;
  const T *x, *residual;  // residual: or null
  const Line<T>* lines;
  bool relu;
  T* y;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    walk.run<pack>(t, [&](std::int64_t at, std::int64_t channel) {
      const Line<T> line = lines[channel];
      P v = *reinterpret_cast<const P*>(x + at), more{};
      if (residual) more = *reinterpret_cast<const P*>(residual + at);
#pragma unroll
      for (int k = 0; k < pack; ++k) {
        v.v[k] = fma(v.v[k] - line.center, line.by, line.add);
        if (residual) v.v[k] += more.v[k];
        if (relu) v.v[k] = maximum(v.v[k], T(0));
      }
      *reinterpret_cast<P*>(y + at) = v;
    });
  }
};
template <class T>
void apply_forward(const char* op, const PlaneWalk& walk, const void* x, const void* residual, const Line<T>* lines,
                   bool relu, void* y) {
  const auto run = [&]<int pack>(std::integral_constant<int, pack>) {
    launch(op, walk.grid<pack>(),
           ApplyForward<T, pack>{walk, static_cast<const T*>(x), static_cast<const T*>(residual), lines, relu,
                                 static_cast<T*>(y)});
  };
  packs<T>(walk.spatial, x, residual, y) ? run(std::integral_constant<int, kPack<T>>())
                                         : run(std::integral_constant<int, 1>());
}

template <class T>
struct Back {
  Line<T> line;
  Slope<T> slope;
};

template <class T>
struct ApplyBackward {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = false;
  PlaneWalk walk;
  const T* x;
  Through<T> through;
  const Back<T>* backs;
  T *dx, *dresidual;  // either may be null

  LAMINA_KERNEL void operator()(const Thread& t) const {
    walk.run<1>(t, [&](std::int64_t at, std::int64_t channel) {
      const Back<T> back = backs[channel];
      const T off = x[at] - back.line.center, g = through(at, off, back.line);
      if (dresidual) dresidual[at] = g;
      if (dx) dx[at] = fma(g, back.slope.of_g, fma(off, back.slope.of_x, back.slope.rest));
    });
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
