// The slots of a convolution's algorithm, made of Algorithm::run<T>(arguments of a pass): the type is chosen, and an
// activation that no kernel holds follows in a pass of its own.
#pragma once
#include "cuda/activation.h"
#include "kernels/conv.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class Algorithm>
struct ConvSlots {
  static void forward(ConvForward a) {
    run(a);
    finish(a, a.y, a.shape.out_channels * a.shape.out_size());
  }
  static void data_gradient(ConvDataGradient a) {
    run(a);
    finish(a, a.dx, a.shape.in_channels * a.shape.in_size());
  }
  static void weight_gradient(ConvWeightGradient a) { run(a); }

  static void fill(ConvTable& t, ConvAlgorithm algorithm) {
    const int row = static_cast<int>(algorithm);
    t.forward[row] = forward;
    t.data_gradient[row] = data_gradient;
    t.weight_gradient[row] = weight_gradient;
  }

 private:
  template <class Pass>
  static void run(const Pass& a) {
    if (a.shape.dtype == DType::f64) return Algorithm::template run<double>(a);
    if constexpr (Algorithm::kTakesHalves) {  // those that do not are not chosen for them (ops/conv_choose.cpp)
      if (a.shape.dtype == DType::bf16) return Algorithm::template run<bfloat16>(a);
      if (a.shape.dtype == DType::f16) return Algorithm::template run<float16>(a);
    }
    Algorithm::template run<float>(a);
  }
  template <class Pass>
  static void finish(const Pass& a, void* result, std::int64_t per_image) {
    const UnaryOp op = a.epilogue.activation;
    if (is_separate(op)) activate(result, a.shape.batch * per_image, a.shape.dtype, op, Params{});
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
