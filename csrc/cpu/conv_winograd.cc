// Winograd's algorithm for 3 × 3 convolutions: the three passes, of stride 1 with tiles of 2 × 2 and 4 × 4 outputs, and
// of stride 2.
//
// Errors against float64, relative to the largest number of the result (64 to 256 channels): with 2 × 2 below 1e-6, of
// stride 2 up to 1.1e-6, with 4 × 4 below 3.5e-6; plain sums 3e-7 to 6e-7. A NaN or infinity in the input reaches all
// outputs of the tiles that read it, a few more than it would otherwise.
#include "core/scratch.h"
#include "cpu/conv_winograd_forward.h"
#include "cpu/conv_winograd_strided.h"
#include "cpu/conv_winograd_weight.h"
#include "kernels/conv.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

WinogradShape forward_shape(const ConvShape& s) {
  return {s.batch, s.groups, s.group_in(), s.group_out(), s.in[1],
          s.in[2], s.out[1], s.out[2],     s.pad_low[1],  s.pad_low[2]};
}
// The gradients of the first inputs come from so many outputs before the first.
std::int64_t before(const ConvShape& s, int d) { return s.stride[d] == 1 ? 2 - s.pad_low[d] : 0; }
WinogradShape backward_shape(const ConvShape& s) {
  return {s.batch,  s.groups, s.group_out(), s.group_in(), s.out[1],
          s.out[2], s.in[1],  s.in[2],       before(s, 1), before(s, 2)};
}

// Of a direct convolution: a measure of the size, be it for the transforms.
int team_of(const ConvShape& s) {
  const std::int64_t outputs = s.batch * s.out_channels * s.out_size();
  return team_for(18.0 * static_cast<double>(outputs) * static_cast<double>(s.group_in()), 1 << 20);
}

template <class Driver>
void drive(Driver& driver, int team) {
  driver.use(static_cast<float*>(scratch(Scratch::conv, driver.memory() * sizeof(float))));
  with_team(team, [&](int thread, int size) { driver.work(thread, size); });
}

template <class F>
void convolve(const WinogradConv& conv, int team) {
  WinogradForward<F> driver(conv, team);
  drive(driver, team);
}

template <class F>
void forward(ConvForward f) {
  const ConvShape& s = f.shape;
  convolve<F>(
      {forward_shape(s), static_cast<const float*>(f.x), static_cast<const float*>(f.weight), static_cast<float*>(f.y),
       9 * s.group_in(), 9, false, Finish<float>(f.epilogue), static_cast<const float*>(f.prepared)},
      team_of(s));
}

template <class F>
std::size_t prepared_bytes(std::int64_t out_channels, std::int64_t in_channels) {
  return static_cast<std::size_t>(WinogradForward<F>::prepared_floats(out_channels, in_channels)) * sizeof(float);
}

template <class F>
void prepare(const void* weight, std::int64_t out_channels, std::int64_t in_channels, void* prepared) {
  const WinogradShape one_tile{1, 1, in_channels, out_channels, F::kOut, F::kOut, F::kOut, F::kOut, 0, 0};
  const WinogradConv conv{one_tile, nullptr, static_cast<const float*>(weight), nullptr, 9 * in_channels, 9, false, {}};
  WinogradForward<F>(conv, 1).prepare(static_cast<float*>(prepared));
}

template <class F>
void data_gradient(ConvDataGradient g) {
  const ConvShape& s = g.shape;
  convolve<F>({backward_shape(s), static_cast<const float*>(g.dy), static_cast<const float*>(g.weight),
               static_cast<float*>(g.dx), 9, 9 * s.group_in(), true, Finish<float>(g.epilogue)},
              team_of(s));
}

template <class F>
void weight_gradient(ConvWeightGradient g) {
  const WinogradShape shape = forward_shape(g.shape);
  const int team = team_of(g.shape);
  WinogradWeight<F> driver(shape, static_cast<const float*>(g.x), static_cast<const float*>(g.dy),
                           static_cast<float*>(g.dweight), team);
  drive(driver, team);
}

template <class F, class Backward = F>
void fill(ConvTable& t, ConvAlgorithm algorithm) {
  const int i = static_cast<int>(algorithm);
  t.forward[i] = forward<F>;
  t.prepared_bytes[i] = prepared_bytes<F>;
  t.prepare[i] = prepare<F>;
  t.data_gradient[i] = data_gradient<Backward>;
  t.weight_gradient[i] = weight_gradient<F>;
}

}  // namespace

void fill_conv_winograd(ConvTable& t) {
  fill<Winograd<2>>(t, ConvAlgorithm::winograd2);
  fill<Winograd<4>>(t, ConvAlgorithm::winograd4);
  fill<WinogradStrided, WinogradStridedGradient>(t, ConvAlgorithm::winograd_strided);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
