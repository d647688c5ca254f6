#include "ops/peak.h"

#include <chrono>

#include "core/dispatch.h"
#include "core/parallel.h"
#include "core/stream.h"
#include "core/tensor.h"
#include "kernels/peak.h"
#include "ops/elementwise.h"

namespace lamina {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The shortest time that one call took.
template <class Body>
double best_time(double budget, Body body) {
  body();  // first touch, wake-up of the threads
  double best = 1e30;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point start = Clock::now();
    body();
    const double took = since(start);
    if (took < best) best = took;
  } while (since(begin) < budget);
  return best;
}

}  // namespace

Peak measure_peak(double seconds) {
  check(seconds > 0 && seconds <= 60, "measure_peak: expected 0 to 60 seconds, got ", seconds);
  const PeakTable& peak = kernels().peak;
  Stream& stream = current_stream();

  constexpr std::int64_t kRounds = 20000;  // a fraction of a millisecond, so that some runs escape interruption
  const Tensor operands = full({2}, Scalar(0.5), DType::f32), sink = empty({1024}, DType::f32);
  const double arithmetic = best_time(
      seconds / 2, [&] { stream.launch(peak.multiply_add, kRounds, operands.data<float>(), sink.data<float>()); });

  constexpr std::int64_t kBytes = std::int64_t{64} << 20;  // more than the caches hold
  const Tensor from = full({kBytes}, Scalar(1), DType::u8), to = empty({kBytes}, DType::u8);
  const double copying = best_time(seconds / 2, [&] { stream.launch(peak.copy, to.data(), from.data(), kBytes); });

  const double work = static_cast<double>(kRounds * peak.flops_per_round) * thread_count();
  return {.flops = work / arithmetic, .bytes = 2.0 * kBytes / copying};
}

}  // namespace lamina
