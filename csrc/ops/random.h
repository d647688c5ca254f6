// Random numbers. A draw's numbers depend on (seed, offset, element) alone: not on threads, instruction set, device or
// memory layout (element i is the i-th in row-major order).
#pragma once
#include <optional>

#include "kernels/random.h"
#include "ops/promote.h"

namespace lamina {

// A seed and how far its stream of Philox counters is used up. Threads may share one: each draw claims its own part.
class Generator {
 public:
  static constexpr std::uint64_t kFirstSeed = 0;  // a new generator is always the same; the default one is not
  explicit Generator(Device device = {}, std::uint64_t seed = kFirstSeed);

  void manual_seed(std::uint64_t seed);
  std::uint64_t seed();  // from the operating system
  std::uint64_t initial_seed() const;
  Tensor state() const;  // int64: the seed, the next counter
  void set_state(const Tensor& state);
  Device device() const { return state_.device(); }

  // Sets `words` 32-bit words aside, for the drawing kernels to read (kernels/random.h).
  Tensor claim(std::int64_t words) const;

 private:
  Tensor state_;
};

Generator& default_generator(Device device = {});  // seeded by the operating system
void seed_default_generators(std::uint64_t seed);  // of all devices

// `generator` null: the default one.
void uniform_(const Tensor& t, double from, double to, Generator* generator);
void normal_(const Tensor& t, double mean, double std, Generator* generator);
void truncated_normal_(const Tensor& t, double mean, double std, double low, double high, Generator* generator);
void exponential_(const Tensor& t, double rate, Generator* generator);
void bernoulli_(const Tensor& t, const Arg& p, Generator* generator);
// Integers in [low, high); without `high` up to the largest of the type, of which low may then be the smallest.
void integers_(const Tensor& t, std::int64_t low, std::optional<std::int64_t> high, Generator* generator);

Tensor bernoulli(const Tensor& p, Generator* generator);
Tensor normal(const Arg& mean, const Arg& std, Generator* generator);
Tensor permutation(std::int64_t n, DType dtype, Device device, Generator* generator);
Tensor multinomial(const Tensor& weights, std::int64_t samples, bool replacement, Generator* generator);

// Zero with probability p, else x / (1 - p). The mask is not stored: backward draws it again.
Tensor dropout(const Tensor& x, double p, bool train, Generator* generator = nullptr);
void dropout_(const Tensor& x, double p, bool train, Generator* generator = nullptr);
// One decision for all elements that `mask_shape`, which broadcasts to x's, has in common.
Tensor dropout_shared(const Tensor& x, double p, bool train, const Dims& mask_shape, Generator* generator = nullptr);

}  // namespace lamina
