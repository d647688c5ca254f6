// The data gradient where a group has one input channel and columns move by two. Inputs at even columns meet some taps
// of the kernel, those at odd columns the others. Both are summed over the same vectors of dy and stored in turn, so
// that a row of dx is written once, from left to right.
#pragma once
#include "core/scratch.h"
#include "cpu/conv_epilogue.h"
#include "cpu/conv_grid.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kBandElements = 1 << 13;  // of dy that a piece of work reads: half of the first-level cache

template <class T>
class StridedDepthwiseGradient {
 public:
  static bool takes(const ConvShape& s) {
    return s.group_in() == 1 && s.in[0] == 1 && s.kernel[0] == 1 && s.pad_low[0] == 0 && s.stride[2] == 2;
  }

  explicit StridedDepthwiseGradient(const ConvDataGradient& f)
      : s_(f.shape),
        dy_(static_cast<const T*>(f.dy)),
        weight_(static_cast<const T*>(f.weight)),
        dx_(static_cast<T*>(f.dx)),
        finish_(f.epilogue),
        entries_(s_.group_out() * s_.taps()),
        residues_(least(s_.stride[1], s_.in[1])),
        rows_(reach(s_, 1)),
        cols_(reach(s_, 2)) {
    const std::int64_t lines = ceil_div(s_.in[1], s_.stride[1]), row = s_.group_out() * pitch();
    const std::int64_t wanted = most(1, least(lines, kBandElements / row - (rows_.high - rows_.low)));
    bands_ = Cut(lines, ceil_div(lines, wanted));
    band_count_ = ceil_div(lines, wanted);
    patch_size_ = round(row * (wanted + rows_.high - rows_.low) + kTileCols);
  }

  void run() {
    const std::int64_t planes = s_.batch * s_.groups, pieces = planes * band_count_;
    const std::int64_t list_size =
        round((2 * entries_ + 2 * residues_ + 1) * ceil_div(sizeof(std::int64_t), sizeof(T)));
    const double flops = 2.0 * static_cast<double>(s_.batch * s_.out_channels * s_.out_size() * s_.taps());
    const int team = team_for(flops, pieces);
    T* const memory =
        static_cast<T*>(scratch(Scratch::conv, (list_size + (round(entries_) + patch_size_) * team) * sizeof(T)));
    list_taps(reinterpret_cast<std::int64_t*>(memory));
    share_out(team, pieces, [&](int thread, std::int64_t piece) {
      T* const own = memory + list_size + thread * (round(entries_) + patch_size_);
      band(piece / band_count_, piece % band_count_, own, own + round(entries_));
    });
  }

 private:
  static constexpr int W = Vec<T>::width, kVectors = 2;
  static constexpr std::int64_t kTileCols = kVectors * W;
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }

  // The element of dy that input residue + stride · i meets through a tap is i + one of low … high.
  struct Reach {
    std::int64_t low, high;
  };
  static Reach reach(const ConvShape& s, int d) {
    Reach r{0, 0};
    for (std::int64_t residue = 0; residue < least(s.stride[d], s.in[d]); ++residue) {
      const Axis a = gradient_axis(s, d, residue);
      for (std::int64_t t = 0; t < a.taps; ++t) {
        r.low = least(r.low, a.origin + t * a.tap_step);
        r.high = most(r.high, a.origin + t * a.tap_step);
      }
    }
    return r;
  }
  std::int64_t pitch() const { return ceil_div(s_.in[2], 2) + cols_.high - cols_.low; }

  // For each residue of the rows and parity of the columns, in order: which weights of a group are met, and where dy
  // lies in the patch from the place of the first column. begins_[2 · residue + parity]: the first of each.
  void list_taps(std::int64_t* memory) {
    offsets_ = memory;
    taps_ = memory + entries_;
    begins_ = memory + 2 * entries_;
    std::int64_t e = 0;
    for (std::int64_t residue = 0; residue < residues_; ++residue) {
      const Axis b = gradient_axis(s_, 1, residue);
      for (std::int64_t parity = 0; parity < 2; ++parity) {
        const Axis c = gradient_axis(s_, 2, parity);
        begins_[2 * residue + parity] = e;
        for (std::int64_t m = 0; m < s_.group_out(); ++m)
          for (std::int64_t j = 0; j < b.taps; ++j)
            for (std::int64_t k = 0; k < c.taps; ++k, ++e) {
              taps_[e] =
                  m * s_.taps() + (b.first_tap + j * b.tap_stride) * s_.kernel[2] + c.first_tap + k * c.tap_stride;
              offsets_[e] = ((b.origin + j * b.tap_step - rows_.low) * s_.group_out() + m) * pitch() + c.origin +
                            k * c.tap_step - cols_.low;
            }
      }
    }
    begins_[2 * residues_] = e;
  }

  void band(std::int64_t plane, std::int64_t index, T* weights, T* patch) const {
    const std::int64_t group = plane % s_.groups, first = bands_.begin(index), end = bands_.begin(index + 1);
    for (std::int64_t e = 0; e < begins_[2 * residues_]; ++e) weights[e] = weight_[group * entries_ + taps_[e]];
    fill(plane, first + rows_.low, end + rows_.high, patch);
    for (std::int64_t i = first; i < end; ++i)
      for (std::int64_t residue = 0; residue < residues_; ++residue) {
        const std::int64_t row = i * s_.stride[1] + residue;
        if (row < s_.in[1])
          write_row(plane, row, begins_ + 2 * residue, weights, patch + (i - first) * s_.group_out() * pitch());
      }
  }

  // patch[row][channel of dy][pitch]: rows [first, end) of dy and what its columns may meet, zeros outside.
  void fill(std::int64_t plane, std::int64_t first, std::int64_t end, T* patch) const {
    const Inside in(cols_.low, 1, pitch(), s_.out[2]);
    for (std::int64_t y = first; y < end; ++y)
      for (std::int64_t m = 0; m < s_.group_out(); ++m, patch += pitch()) {
        if (y < 0 || y >= s_.out[1]) {
          zero_spilling(patch, pitch());
          continue;
        }
        const T* const from = dy_ + ((plane * s_.group_out() + m) * s_.out[1] + y) * s_.out[2] + cols_.low;
        zero_spilling(patch, in.begin);
        copy(patch + in.begin, from + in.begin, 1, in.end - in.begin);
        zero_spilling(patch + in.end, pitch() - in.end);
      }
  }

  void write_row(std::int64_t plane, std::int64_t row, const std::int64_t* begins, const T* weights,
                 const T* patch) const {
    const std::int64_t at = (plane * s_.in[1] + row) * s_.in[2];
    T* const to = dx_ + at;
    for (std::int64_t j = 0; 2 * j < s_.in[2]; j += kTileCols, patch += kTileCols) {
      Vec<T> even[kVectors], odd[kVectors];
      sum_taps(begins[0], begins[1], weights, patch, even);
      sum_taps(begins[1], begins[2], weights, patch, odd);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        Vec<T> pair[2];
        interleave(even[v], odd[v], pair[0], pair[1]);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          const std::int64_t x = 2 * (j + v * W) + half * W, rest = s_.in[2] - x;
          if (rest >= W)
            pair[half].store(to + x);
          else if (rest > 0)
            pair[half].store(to + x, static_cast<int>(rest));
        }
      }
    }
    finish_.run(dx_, plane % s_.groups, at, s_.in[2]);
  }

  LAMINA_INLINE void sum_taps(std::int64_t begin, std::int64_t end, const T* weights, const T* patch,
                              Vec<T> (&sums)[kVectors]) const {
#pragma GCC unroll 2
    for (Vec<T>& s : sums) s = Vec<T>(T(0));
    for (std::int64_t e = begin; e < end; ++e) {
      const Vec<T> factor(weights[e]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[v] = fma(factor, Vec<T>::load(patch + offsets_[e] + v * W), sums[v]);
    }
  }

  const ConvShape& s_;
  const T *const dy_, *const weight_;
  T* const dx_;
  const Finish<T> finish_;
  const std::int64_t entries_, residues_;
  const Reach rows_, cols_;
  std::int64_t band_count_ = 0, patch_size_ = 0;
  Cut bands_;
  std::int64_t *offsets_ = nullptr, *taps_ = nullptr, *begins_ = nullptr;
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
