#include "ops/conv_choose.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/dispatch.h"

namespace lamina {
namespace {

constexpr const char* kNames[] = {"im2col",    "implicit",         "direct",    "winograd2",
                                  "winograd4", "winograd_strided", "depthwise", "interleaved"};
static_assert(sizeof kNames / sizeof *kNames == kConvAlgorithms);

constexpr std::int64_t kFewRows = 16, kDirectChannels = 256;

std::atomic<ConvPreference> preference{ConvPreference{}};

bool has_slot(ConvAlgorithm a, ConvPass pass, Device device) {
  const ConvTable& t = kernels(device).conv;
  const int i = static_cast<int>(a);
  switch (pass) {
    case ConvPass::forward: return t.forward[i] != nullptr;
    case ConvPass::data_gradient: return t.data_gradient[i] != nullptr;
    default: return t.weight_gradient[i] != nullptr;
  }
}

// 3 × 3 in the plane with dilation 1, the padding no wider than the kernel reaches.
bool winograd_takes(const ConvShape& s, std::int64_t stride) {
  if (s.dtype != DType::f32 || s.in[0] != 1 || s.kernel[0] != 1 || s.out[0] != 1) return false;
  for (int d = 1; d < kConvDims; ++d)
    if (s.kernel[d] != 3 || s.stride[d] != stride || s.dilation[d] != 1 || s.pad_low[d] > 2 || s.pad_high[d] > 2)
      return false;
  return true;
}
// Where the tiles of the data gradient begin depends on the padding; they are made for the usual one.
bool strided_winograd_takes(ConvPass pass, const ConvShape& s) {
  return winograd_takes(s, 2) && (pass != ConvPass::data_gradient || (s.pad_low[1] == 1 && s.pad_low[2] == 1));
}

// With fewer channels Winograd's transforms cost more than they save (measured against the implicit product).
bool winograd_pays(ConvPass pass, const ConvShape& s) {
  const std::int64_t in = s.group_in(), out = s.group_out();
  switch (pass) {
    case ConvPass::forward: return in >= 4;
    case ConvPass::data_gradient: return out >= 4;
    default: return in >= 8 && out >= 8 && in * out >= 192;
  }
}

// The same for stride 2. The implicit product's data gradient, four smaller ones, is never faster.
bool strided_winograd_pays(ConvPass pass, const ConvShape& s) {
  switch (pass) {
    case ConvPass::forward: return s.group_in() >= 16;
    case ConvPass::data_gradient: return s.group_out() >= 2;
    default: return s.group_in() >= 64 && s.group_out() >= 64;
  }
}

// Products of every pair of channels with tiles of m × m results. Transforming a weight, or its gradient, takes as long
// as multiplying some tiles by it.
std::int64_t winograd_products(ConvPass pass, const ConvShape& s, std::int64_t m) {
  constexpr std::int64_t kTilesOfATransform = 5;
  const auto& results = pass == ConvPass::data_gradient ? s.in : s.out;
  const std::int64_t tiles = s.batch * ((results[1] + m - 1) / m) * ((results[2] + m - 1) / m);
  return (m + 2) * (m + 2) * (tiles + kTilesOfATransform);
}

ConvAlgorithm better_winograd(ConvPass pass, const ConvShape& s) {
  return winograd_products(pass, s, 4) <= winograd_products(pass, s, 2) ? ConvAlgorithm::winograd4
                                                                        : ConvAlgorithm::winograd2;
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// The part of all pairs of a result and a tap that lie in the image, along one axis.
double share_of_hits(ConvPass pass, const ConvShape& s, int d) {
  std::int64_t hits = 0;
  for (std::int64_t tap = 0; tap < s.kernel[d]; ++tap) {
    const std::int64_t first = tap * s.dilation[d] - s.pad_low[d];
    const auto place_of = [&](std::int64_t at) { return (at - first + s.stride[d] - 1) / s.stride[d]; };
    const std::int64_t begin = first < 0 ? place_of(0) : 0;
    const std::int64_t end = s.in[d] > first ? std::min(s.out[d], place_of(s.in[d])) : 0;
    hits += std::max<std::int64_t>(0, end - begin);
  }
  const std::int64_t results = pass == ConvPass::forward ? s.out[d] : ceil_div(s.in[d], s.stride[d]);
  return static_cast<double>(hits) / static_cast<double>(results * s.kernel[d]);
}

// Images side by side fill all lanes and meet no borders, but are turned there and back. That pays where lines are
// short or borders wide, and for a weight gradient where few input channels make short panels.
bool interleaving_pays(ConvPass pass, const ConvShape& s) {
  constexpr std::int64_t kLanes = 8, kFewestRows = 4, kMostDepth = 1024;
  constexpr double kGain = 1.3;
  if (s.batch < kLanes || s.taps() == 1) return false;
  if (pass == ConvPass::weight_gradient)
    return s.group_in() <= 2 && s.group_out() >= kFewestRows && s.group_out() <= kFewRows;
  const bool forward = pass == ConvPass::forward;
  const std::int64_t rows = forward ? s.group_out() : s.group_in(), gathered = forward ? s.group_in() : s.group_out();
  if (rows < kFewestRows || rows > kFewRows || gathered * s.taps() > kMostDepth) return false;
  const std::int64_t line = forward ? s.out[2] : ceil_div(s.in[2], s.stride[2]);
  const double lanes = static_cast<double>(ceil_div(line, kLanes) * kLanes) / static_cast<double>(line);
  return lanes > kGain * share_of_hits(pass, s, 0) * share_of_hits(pass, s, 1) * share_of_hits(pass, s, 2);
}

// Lanes of output channels are better filled than those of the taps of a line and their input channels.
bool direct_weight_pays(const ConvShape& s) {
  constexpr std::int64_t kMostChannels = 8, kFewestOutputs = 9;
  return s.taps() > 1 && s.group_in() <= kMostChannels && s.group_out() >= kFewestOutputs;
}

// Would the block of an image that one output sees fill the cache with what no tap meets? Then the taps had better be
// collected.
bool far_apart(const ConvShape& s) {
  constexpr double kMostInReach = 1 << 16;
  double reach = 1;
  for (int d = 0; d < kConvDims; ++d)
    reach *= static_cast<double>(s.kernel[d] - 1) * static_cast<double>(s.dilation[d]) + 1;
  return reach > kMostInReach;
}

}  // namespace

const char* name_of(ConvAlgorithm a) { return kNames[static_cast<int>(a)]; }

std::optional<ConvAlgorithm> conv_algorithm_named(const char* name) {
  for (int i = 0; i < kConvAlgorithms; ++i)
    if (std::strcmp(name, kNames[i]) == 0) return static_cast<ConvAlgorithm>(i);
  return std::nullopt;
}

bool conv_suits(ConvAlgorithm a, ConvPass pass, const ConvShape& s, Device device) {
  if (!has_slot(a, pass, device)) return false;
  if (a == ConvAlgorithm::winograd2 || a == ConvAlgorithm::winograd4) return winograd_takes(s, 1);
  if (a == ConvAlgorithm::winograd_strided) return strided_winograd_takes(pass, s);
  if (a == ConvAlgorithm::depthwise) return s.group_in() == 1;
  if (a == ConvAlgorithm::direct && pass == ConvPass::weight_gradient) return s.dtype == DType::f32;
  if (a == ConvAlgorithm::interleaved) return s.dtype == DType::f32;
  if (a == ConvAlgorithm::im2col) return item_size(s.dtype) > 2;  // columns of 16 bits would be rounded before summing
  return true;
}

ConvPreference conv_preference() { return preference.load(); }
void set_conv_preference(ConvPreference p) { preference.store(p); }

// Measured; which is fastest depends little on the machine.
ConvAlgorithm choose_conv(ConvPass pass, const ConvShape& s, Device device) {
  const auto can = [&](ConvAlgorithm a) { return conv_suits(a, pass, s, device); };
  const ConvPreference asked = conv_preference();
  if (asked.algorithm != ConvAlgorithm::count && can(asked.algorithm)) return asked.algorithm;
  if (far_apart(s) && can(ConvAlgorithm::im2col)) return ConvAlgorithm::im2col;
  const bool interleaves = can(ConvAlgorithm::interleaved) && interleaving_pays(pass, s);
  if (can(ConvAlgorithm::depthwise)) return interleaves ? ConvAlgorithm::interleaved : ConvAlgorithm::depthwise;

  if (asked.winograd && winograd_takes(s, 1) && winograd_pays(pass, s))
    if (const ConvAlgorithm a = better_winograd(pass, s); can(a)) return a;
  if (asked.winograd && can(ConvAlgorithm::winograd_strided) && strided_winograd_pays(pass, s))
    return ConvAlgorithm::winograd_strided;

  if (interleaves) return ConvAlgorithm::interleaved;

  if (pass == ConvPass::weight_gradient && direct_weight_pays(s) && can(ConvAlgorithm::direct))
    return ConvAlgorithm::direct;
  // For few rows of the product, packing a panel costs as much as multiplying by it.
  const std::int64_t rows = pass == ConvPass::forward ? s.group_out() : s.group_in();
  const std::int64_t gathered = pass == ConvPass::forward ? s.group_in() : s.group_out();
  if (pass != ConvPass::weight_gradient && s.taps() > 1 && rows <= kFewRows && gathered <= kDirectChannels &&
      can(ConvAlgorithm::direct))
    return ConvAlgorithm::direct;
  return can(ConvAlgorithm::implicit) ? ConvAlgorithm::implicit : ConvAlgorithm::im2col;
}

}  // namespace lamina
