// A convolution and its data gradient in one form: every column of a grid gathers a source through taps.
//
// Along an axis, column c meets through tap t the source's element c · step + origin + t · tap_step, or a zero outside,
// and its sum belongs to place out_first + c · out_step of the result. Forward is one such grid over the outputs. The
// data gradient is one for every residue of the inputs modulo the stride: those meet dy with step 1, through the taps
// of the kernel that hit them.
#pragma once
#include "cpu/team.h"
#include "kernels/conv.h"
#include "simd/interleave.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Axis {
  std::int64_t source = 1, result = 1;  // sizes
  std::int64_t count = 1, step = 1;
  std::int64_t taps = 1, origin = 0, tap_step = 1;
  std::int64_t first_tap = 0, tap_stride = 1;  // of the kernel: tap t is its first_tap + t · tap_stride
  std::int64_t out_first = 0, out_step = 1;

  std::int64_t span() const { return most(0, taps - 1) * (tap_step < 0 ? -tap_step : tap_step) + 1; }
  std::int64_t low() const { return origin + (tap_step < 0 ? most(0, taps - 1) * tap_step : 0); }
  std::int64_t at_tap(std::int64_t tap) const { return origin + tap * tap_step; }
};

struct Grid {
  Axis axis[kConvDims];

  std::int64_t columns() const { return axis[0].count * axis[1].count * axis[2].count; }
  std::int64_t taps() const { return axis[0].taps * axis[1].taps * axis[2].taps; }
  std::int64_t source() const { return axis[0].source * axis[1].source * axis[2].source; }
  std::int64_t result() const { return axis[0].result * axis[1].result * axis[2].result; }
  // Does a column meet its own place alone?
  bool pointwise() const {
    for (const Axis& a : axis)
      if (a.taps != 1 || a.step != 1 || a.out_step != 1 || a.origin != 0 || a.count != a.source) return false;
    return true;
  }
};

Grid forward_grid(const ConvShape& s) {
  Grid g;
  for (int d = 0; d < kConvDims; ++d)
    g.axis[d] = {.source = s.in[d],
                 .result = s.out[d],
                 .count = s.out[d],
                 .step = s.stride[d],
                 .taps = s.kernel[d],
                 .origin = -s.pad_low[d],
                 .tap_step = s.dilation[d]};
  return g;
}

// The inputs residue, residue + stride, … of one axis. taps is 0 where no output saw them.
Axis gradient_axis(const ConvShape& s, int d, std::int64_t residue) {
  const std::int64_t stride = s.stride[d], dilation = s.dilation[d];
  Axis a{.source = s.out[d],
         .result = s.in[d],
         .count = residue < s.in[d] ? ceil_div(s.in[d] - residue, stride) : 0,
         .taps = 0,
         .out_first = residue,
         .out_step = stride};
  for (std::int64_t k = 0; k < s.kernel[d]; ++k) {
    const std::int64_t from = residue + s.pad_low[d] - k * dilation;
    if (from % stride != 0) continue;
    if (a.taps == 0) a.first_tap = k, a.origin = from / stride;
    if (a.taps == 1) a.tap_stride = k - a.first_tap, a.tap_step = from / stride - a.origin;
    ++a.taps;
  }
  return a;
}

// body(grid) for every residue.
template <class Body>
void for_gradient_grids(const ConvShape& s, Body body) {
  Grid g;
  for (std::int64_t i = 0; i < least(s.stride[0], s.in[0]); ++i)
    for (std::int64_t j = 0; j < least(s.stride[1], s.in[1]); ++j)
      for (std::int64_t k = 0; k < least(s.stride[2], s.in[2]); ++k) {
        g.axis[0] = gradient_axis(s, 0, i);
        g.axis[1] = gradient_axis(s, 1, j);
        g.axis[2] = gradient_axis(s, 2, k);
        body(g);
      }
}

// Which weights a grid multiplies by: row m (a channel of the result), channel c of the source, tap t.
struct GridWeight {
  std::int64_t row, channel, group;  // strides
  std::int64_t tap_row, tap_plane;   // of the kernel: its last size, and that times the one before

  std::int64_t tap(const Grid& g, std::int64_t i, std::int64_t j, std::int64_t k) const {
    const Axis &a = g.axis[0], &b = g.axis[1], &c = g.axis[2];
    return (a.first_tap + i * a.tap_stride) * tap_plane + (b.first_tap + j * b.tap_stride) * tap_row + c.first_tap +
           k * c.tap_stride;
  }
};

GridWeight forward_weight(const ConvShape& s) {
  const std::int64_t taps = s.taps(), depth = s.group_in() * taps;
  return {depth, taps, s.group_out() * depth, s.kernel[2], s.kernel[1] * s.kernel[2]};
}
GridWeight gradient_weight(const ConvShape& s) {
  const std::int64_t taps = s.taps(), depth = s.group_in() * taps;
  return {taps, depth, s.group_out() * depth, s.kernel[2], s.kernel[1] * s.kernel[2]};
}

// A box of columns: some images, and in each the same run along every axis.
struct Box {
  std::int64_t image, images;
  std::int64_t first[kConvDims], count[kConvDims];
  std::int64_t columns() const { return count[0] * count[1] * count[2]; }
};

// All columns cut into boxes of about `wanted`; whole rows where they fit, whole images where these do, and in the
// plane `unit` rows or columns at least. Depends on the shape alone.
struct Boxes {
  std::int64_t batch, images, pieces_of_batch;
  std::int64_t count[kConvDims], pieces[kConvDims], size[kConvDims];

  Boxes(const Grid& g, std::int64_t batch, std::int64_t wanted, std::int64_t unit = 1) : batch(batch) {
    std::int64_t room = wanted;
    for (int d = kConvDims - 1; d >= 0; --d) {
      count[d] = g.axis[d].count;
      const std::int64_t step = d > 0 ? unit : 1, steps = ceil_div(count[d], step);
      const std::int64_t most_here = most(1, least(steps, room / step));
      pieces[d] = ceil_div(steps, most_here);
      size[d] = ceil_div(steps, pieces[d]) * step;
      room = pieces[d] == 1 ? room / count[d] : 1;
    }
    const std::int64_t most_images = most(1, least(batch, room));
    pieces_of_batch = ceil_div(batch, most_images);
    images = ceil_div(batch, pieces_of_batch);
  }
  std::int64_t total() const { return pieces_of_batch * pieces[0] * pieces[1] * pieces[2]; }
  std::int64_t most_columns() const { return images * size[0] * size[1] * size[2]; }
  Box at(std::int64_t i) const {
    Box b;
    for (int d = kConvDims - 1; d >= 0; --d) {
      const std::int64_t piece = i % pieces[d];
      i /= pieces[d];
      b.first[d] = piece * size[d];
      b.count[d] = most(0, least(size[d], count[d] - b.first[d]));
    }
    b.image = i * images;
    b.images = most(0, least(images, batch - b.image));
    return b;
  }
};

// The part of a source that a box sees, as a block of memory with the zeros around the source in it. Elements that are
// a step apart lie side by side: along an axis, `phases` runs of `run`, `phase` from one to the next.
struct Patch {
  std::int64_t phases[kConvDims], run[kConvDims], stride[kConvDims], phase[kConvDims], size;

  Patch() = default;
  Patch(const Grid& g, const std::int64_t (&columns)[kConvDims]) {
    size = 1;
    for (int d = kConvDims - 1; d >= 0; --d) {
      const Axis& a = g.axis[d];
      phases[d] = least(a.step, a.span());
      run[d] = columns[d] + (a.span() - 1) / a.step;
      stride[d] = size;
      phase[d] = size * run[d];
      size = phases[d] * phase[d];
    }
  }
  // From the first column's first tap to that of column c.
  std::int64_t column(const std::int64_t (&c)[kConvDims]) const {
    return c[0] * stride[0] + c[1] * stride[1] + c[2] * stride[2];
  }
  // From the first tap of the patch's own grid to each tap of one that sees no more, for `channels` channels that lie
  // `plane` apart. Divisions take as long as a step of the micro-kernel: few must do.
  void put_taps(const Grid& g, const Grid& own, std::int64_t channels, std::int64_t plane, std::int64_t* to) const {
    std::int64_t* p = to;
    for (std::int64_t x = 0; x < g.axis[0].taps; ++x) {
      const std::int64_t layer = along(g, own, 0, x);
      for (std::int64_t y = 0; y < g.axis[1].taps; ++y) {
        const std::int64_t line = layer + along(g, own, 1, y);
        for (std::int64_t z = 0; z < g.axis[2].taps; ++z) *p++ = line + along(g, own, 2, z);
      }
    }
    const std::int64_t taps = p - to;
    for (std::int64_t c = 1; c < channels; ++c)
      for (std::int64_t t = 0; t < taps; ++t) *p++ = to[t] + c * plane;
  }

 private:
  std::int64_t along(const Grid& g, const Grid& own, int d, std::int64_t tap) const {
    const std::int64_t o = g.axis[d].at_tap(tap) - own.axis[d].low(), step = g.axis[d].step;
    return step == 1 ? o * stride[d] : o % step * phase[d] + o / step * stride[d];
  }
};

// May spill over the end, a vector at most: what is filled so is filled in the order of memory, with room behind it.
template <class T>
void zero_spilling(T* to, std::int64_t n) {
  constexpr int W = Vec<T>::width;
  if (n <= 0) return;
  Vec<T>(T(0)).store(to);  // mostly all there is; of the loop GCC makes a call of memset
  for (std::int64_t i = W; i < n; i += W) Vec<T>(T(0)).store(to + i);
}

// to[i] = from[i · step]
template <class T>
void copy(T* to, const T* from, std::int64_t step, std::int64_t n) {
  constexpr int W = Vec<T>::width;
  if (step != 1) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = from[i * step];
  } else if (n >= W) {
    for (std::int64_t i = 0; i < n; i += W) {
      const std::int64_t at = least(i, n - W);  // the last block reaches back instead of over the end
      Vec<T>::load(from + at).store(to + at);
    }
  } else if (n > 0) {
    Vec<T>::load(from, static_cast<int>(n)).store(to, static_cast<int>(n));
  }
}

// The elements of a run of `size`, `unit` apart in the source and beginning with `first`, that exist.
struct Inside {
  std::int64_t begin, end;
  Inside(std::int64_t first, std::int64_t unit, std::int64_t size, std::int64_t source)
      : begin(first < 0 ? least(size, ceil_div(-first, unit)) : 0),
        end(most(begin, least(size, source > first ? ceil_div(source - first, unit) : 0))) {}
};

// Lines of n elements, and how far apart they are.
struct Lines {
  std::int64_t count, to_line, from_line, n;
};

constexpr std::int64_t kAhead = 1 << 14;  // bytes: while an image is worked on, the next is on its way

template <class T>
LAMINA_INLINE void fetch_ahead(const T* from, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 64 / static_cast<std::int64_t>(sizeof(T)))
    __builtin_prefetch(reinterpret_cast<const char*>(from + i) + kAhead, 0, 2);
}

// to[i] = from[i · step] in every line.
template <class T>
[[gnu::noinline]] void copy_lines(T* to, const T* from, std::int64_t step, const Lines& lines) {
  const Lines l = lines;  // of its own, for no store can change it
  for (std::int64_t j = 0; j < l.count; ++j, to += l.to_line, from += l.from_line) {
    fetch_ahead(from, l.n * step);
    copy(to, from, step, l.n);
  }
}

// first[i] = from[2i] and second[i] = from[2i + 1] in every line; `second` has one element less if n is odd.
template <class T>
[[gnu::noinline]] void split_lines(T* first, T* second, const T* from, const Lines& lines, std::int64_t seconds) {
  constexpr int W = Vec<T>::width;
  const Lines l = lines;
  const auto split = [](T* first, T* second, Vec<T> a, Vec<T> b, int lanes) {
    Vec<T> even, odd;
    deinterleave(a, b, even, odd);
    even.store(first, lanes);
    odd.store(second, lanes);
  };
  const int few = static_cast<int>(seconds) & (W - 1);  // the mask tells the compiler that it is less than a vector
  for (std::int64_t j = 0; j < l.count; ++j, first += l.to_line, second += l.to_line, from += l.from_line) {
    fetch_ahead(from, 2 * l.n);
    const auto whole = [&](std::int64_t i) {
      split(first + i, second + i, Vec<T>::load(from + 2 * i), Vec<T>::load(from + 2 * i + W), W);
    };
    std::int64_t i = 0;
    for (; i + W <= seconds; i += W) whole(i);
    if (i < seconds && i > 0)
      whole(seconds - W);  // reaches back instead of over the end
    else if (i < seconds)
      split(first, second, 2 * few < W ? Vec<T>::load(from, 2 * few) : Vec<T>::load(from),
            2 * few > W ? Vec<T>::load(from + W, 2 * few - W) : Vec<T>(T(0)), few);
    if (seconds < l.n) first[seconds] = from[2 * seconds];
  }
}

// One channel of one image. `framed`: the zeros around it are there already, as behind a patch of the same place in
// another image.
template <class T>
void fill_patch(T* to, const T* source, const Grid& g, const Patch& p, const std::int64_t (&first)[kConvDims],
                bool framed) {
  const Axis &a = g.axis[0], &b = g.axis[1], &c = g.axis[2];
  const std::int64_t row = p.phases[2] * p.run[2], run = p.run[2], z = first[2] * c.step + c.low();
  if (!framed) zero_spilling(to, p.size);
  for (std::int64_t i = 0; i < p.phases[0] * p.run[0]; ++i) {
    const std::int64_t x = (first[0] + i % p.run[0]) * a.step + a.low() + i / p.run[0];
    if (x < 0 || x >= a.source) continue;
    for (std::int64_t phase = 0; phase < p.phases[1]; ++phase) {
      const std::int64_t y = first[1] * b.step + b.low() + phase;
      const Inside in(y, b.step, p.run[1], b.source);
      T* const line = to + i * p.stride[0] + phase * p.phase[1] + in.begin * row;
      const T* const from = source + (x * b.source + y + in.begin * b.step) * c.source + z;
      Lines lines{in.end - in.begin, row, b.step * c.source, 0};
      if (p.phases[2] == 2 && c.step == 2) {
        const Inside even(z, 2, run, c.source), odd(z + 1, 2, run, c.source);
        // That with the first element may have one more.
        T *const e = line + even.begin, *const o = line + run + odd.begin;
        const std::int64_t evens = even.end - even.begin, odds = odd.end - odd.begin;
        lines.n = most(evens, odds);
        if (even.begin <= odd.begin)
          split_lines(e, o, from + 2 * even.begin, lines, odds);
        else
          split_lines(o, e, from + 1 + 2 * odd.begin, lines, evens);
        continue;
      }
      for (std::int64_t k = 0; k < p.phases[2]; ++k) {
        const Inside columns(z + k, c.step, run, c.source);
        lines.n = columns.end - columns.begin;
        copy_lines(line + k * run + columns.begin, from + k + columns.begin * c.step, c.step, lines);
      }
    }
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
