#include "ops/random.h"

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <random>

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/random.h"
#include "ops/elementwise.h"
#include "ops/loops.h"
#include "ops/reduce.h"

namespace lamina {
namespace {

const RandomTable& table(Device device) { return kernels(device).random; }

std::uint64_t seed_from_system() {
  std::random_device source;
  return static_cast<std::uint64_t>(source()) << 32 | source();
}

Generator& generator_for(const char* op, Generator* g, Device device) {
  if (!g) return default_generator(device);
  check(g->device() == device, op, ": the generator is on ", g->device(), ", the tensor on ", device);
  return *g;
}

// What a floating type can tell apart: `digits` significant bits down to 2^smallest.
struct Precision {
  int digits, smallest;
  double largest;
};
Precision precision_of(DType t) {
  switch (t) {
    case DType::f64: return {53, -1074, std::numeric_limits<double>::max()};
    case DType::f16: return {11, -24, 65504.0};
    case DType::bf16: return {8, -133, 0x1.fep127};
    default: return {24, -149, std::numeric_limits<float>::max()};
  }
}
double largest_below(double x, const Precision& p) {
  if (x == 0) return -std::ldexp(1.0, p.smallest);
  int exponent;
  const double mantissa = std::frexp(x, &exponent);
  const int last = std::max(exponent - p.digits - (mantissa == 0.5), p.smallest);
  return std::ldexp(std::ceil(std::ldexp(x, -last)) - 1, last);
}

// The type in which numbers for `t` are drawn, one word or two an element.
DType drawn_type(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

// Overwrites t by draw(contiguous tensor of type `drawn`): t itself, or memory that is then copied into it.
template <class Draw>
void overwrite(const char* op, const Tensor& t, DType drawn, Draw draw) {
  check_writable(op, t);
  const bool recorded = needs_grad(t);
  Ref<Node> node = recorded ? make_node(op, {&t}, [](Gradients&) {}) : Ref<Node>();  // nothing of t is left
  if (t.numel() > 0) {
    const bool direct = t.contiguous() && t.dtype() == drawn;
    const Tensor fresh = direct ? t : empty(t.shape(), drawn, t.device());
    draw(fresh);
    if (!direct) write_copy(t, fresh);
  }
  recorded ? rebase_history(t, std::move(node)) : bump_version(t);
}

void launch_fill(const char* op, Distribution d, const Tensor& t, const DistributionParams& p, Generator& g) {
  const auto kernel = require(table(t.device()).fill[static_cast<int>(d)][static_cast<int>(t.dtype())], op, t.device());
  const bool two_words =
      d == Distribution::truncated_normal || (d != Distribution::bernoulli && t.dtype() == DType::f64);
  const Tensor claimed = g.claim(two_words ? 2 * t.numel() : t.numel());
  current_stream().launch(kernel, t.data(), t.numel(), claimed.data<std::uint64_t>(), p);
}

void fill_floating(const char* op, Distribution d, const Tensor& t, const DistributionParams& p, Generator* generator) {
  Generator& g = generator_for(op, generator, t.device());
  overwrite(op, t, drawn_type(t.dtype()), [&](const Tensor& fresh) { launch_fill(op, d, fresh, p, g); });
}

void check_floating(const char* op, const Tensor& t) {
  check_as(ErrorKind::type, is_floating(t.dtype()), op, ": expected a floating-point tensor, got ", name_of(t.dtype()));
}

void check_probability(const char* op, double p) {
  check(p >= 0 && p <= 1, op, ": p must be between 0 and 1, got ", p);
}

// What multinomial's kernel found, for people; plain data, for it runs again in a replay.
void report_problem(const std::int64_t* found, std::int64_t samples) {
  const auto has = [found](MultinomialProblem p) { return (*found & static_cast<std::int64_t>(p)) != 0; };
  check(!has(MultinomialProblem::not_a_weight), "multinomial: weights must be finite and not negative");
  check(!has(MultinomialProblem::no_weight), "multinomial: all weights of a row are zero");
  check(!has(MultinomialProblem::too_few), "multinomial: fewer than ", samples, " weights of a row are positive");
}

}  // namespace

// ---- generators ----

Generator::Generator(Device device, std::uint64_t seed) : state_(empty({2}, DType::i64, device)) { manual_seed(seed); }

void Generator::manual_seed(std::uint64_t seed) {
  current_stream().launch(table(device()).reseed, state_.data<std::uint64_t>(), seed, std::uint64_t{0});
}

std::uint64_t Generator::seed() {
  check_host_read("seed()");
  const std::uint64_t seed = seed_from_system();
  manual_seed(seed);
  return seed;
}

std::uint64_t Generator::initial_seed() const {
  check_host_read("initial_seed()");
  return fetch(state().data<std::uint64_t>(), device());
}

Tensor Generator::state() const { return claim(0); }

void Generator::set_state(const Tensor& state) {
  check_as(ErrorKind::type, state.dtype() == DType::i64, "set_state: expected an int64 tensor, got ",
           name_of(state.dtype()));
  check_host_read("set_state()");
  check(state.shape() == Dims{2}, "set_state: expected shape (2,), got ", state.shape());
  const Tensor packed = contiguous(to_device(detach(state), {}));
  const auto* values = packed.data<std::uint64_t>();
  current_stream().launch(table(device()).reseed, state_.data<std::uint64_t>(), values[0], values[1]);
}

Tensor Generator::claim(std::int64_t words) const {
  constexpr std::int64_t group_words = 64, group_counters = 16;
  const auto counters = static_cast<std::uint64_t>((words + group_words - 1) / group_words * group_counters);
  Tensor claimed = empty({2}, DType::i64, device());
  current_stream().launch(table(device()).claim, state_.data<std::uint64_t>(), counters, claimed.data<std::uint64_t>());
  return claimed;
}

namespace {

struct CudaGenerators {
  std::mutex mutex;
  std::map<std::int8_t, Generator*> of_device;
};
CudaGenerators& cuda_generators() {
  static auto* all = new CudaGenerators;
  return *all;
}

}  // namespace

// The streams of other devices begin as the CPU's did.
Generator& default_generator(Device device) {
  kernels(device);  // refuses a device that is not there
  const Unrecorded made_once;
  static Generator* generator = new Generator(Device{}, seed_from_system());
  if (device.type == DeviceType::cpu) return *generator;
  CudaGenerators& all = cuda_generators();
  const std::lock_guard lock(all.mutex);
  Generator*& there = all.of_device[device.index];
  if (!there) there = new Generator(device, generator->initial_seed());
  return *there;
}

void seed_default_generators(std::uint64_t seed) {
  default_generator().manual_seed(seed);
  CudaGenerators& all = cuda_generators();
  const std::lock_guard lock(all.mutex);
  for (auto& [device, generator] : all.of_device) generator->manual_seed(seed);
}

// ---- distributions ----

void uniform_(const Tensor& t, double from, double to, Generator* generator) {
  check_floating("uniform_", t);
  const Precision type = precision_of(t.dtype());
  check(std::isfinite(from) && std::isfinite(to), "uniform_: the bounds must be finite, got ", from, " and ", to);
  check(from <= to, "uniform_: from must not exceed to, got ", from, " and ", to);
  check(std::abs(from) <= type.largest && std::abs(to) <= type.largest && to - from <= type.largest,
        "uniform_: the range from ", from, " to ", to, " is too wide for ", name_of(t.dtype()));
  const double limit = std::max(from, largest_below(to, type));
  fill_floating("uniform_", Distribution::uniform, t, {{from, to - from, limit, static_cast<double>(type.digits)}},
                generator);
}

void normal_(const Tensor& t, double mean, double std, Generator* generator) {
  check_floating("normal_", t);
  check(std >= 0, "normal_: std must not be negative, got ", std);
  fill_floating("normal_", Distribution::normal, t, {{mean, std}}, generator);
}

void truncated_normal_(const Tensor& t, double mean, double std, double low, double high, Generator* generator) {
  check_floating("trunc_normal_", t);
  check(std > 0, "trunc_normal_: std must be positive, got ", std);
  check(low < high, "trunc_normal_: a must be less than b, got ", low, " and ", high);
  const double a = (low - mean) / std, b = (high - mean) / std;
  // Probabilities near 1 are coarse: what lies above the mean is drawn below it and mirrored.
  const bool mirror = a > 0;
  const auto below = [](double z) { return 0.5 * std::erfc(-z * std::sqrt(0.5)); };
  const double from = below(mirror ? -b : a), to = below(mirror ? -a : b);
  check(from < to, "trunc_normal_: no number between ", low, " and ", high, " is likely enough under mean ", mean,
        " and std ", std);
  Generator& g = generator_for("trunc_normal_", generator, t.device());
  overwrite("trunc_normal_", t, drawn_type(t.dtype()), [&](const Tensor& fresh) {
    launch_fill("trunc_normal_", Distribution::truncated_normal, fresh, {{mean, mirror ? -std : std, from, to}}, g);
    binary_in_place(BinaryOp::maximum, fresh, Scalar(low));  // rounding
    binary_in_place(BinaryOp::minimum, fresh, Scalar(high));
  });
}

void exponential_(const Tensor& t, double rate, Generator* generator) {
  check_floating("exponential_", t);
  check(rate > 0, "exponential_: lambd must be positive, got ", rate);
  fill_floating("exponential_", Distribution::exponential, t, {{1 / rate}}, generator);
}

void bernoulli_(const Tensor& t, const Arg& p, Generator* generator) {
  Generator& g = generator_for("bernoulli_", generator, t.device());
  if (p.is_tensor()) {
    const Tensor& chances = p.tensor();
    check_floating("bernoulli_", chances);
    check(broadcast_shapes(t.shape(), chances.shape(), "bernoulli_") == t.shape(), "bernoulli_: p of shape ",
          chances.shape(), " does not broadcast to ", t.shape());
    const Tensor in_range = binary(BinaryOp::logical_and, binary(BinaryOp::ge, detach(chances), Scalar(0)),
                                   binary(BinaryOp::le, detach(chances), Scalar(1)));
    refuse_zeros(in_range, "bernoulli_", "p must be between 0 and 1, and some of it is not");
    return overwrite("bernoulli_", t, DType::b8, [&](const Tensor& fresh) {
      const Tensor u = empty(t.shape(), DType::f64, t.device());  // fine enough for the smallest p
      launch_fill("bernoulli_", Distribution::uniform, u, {{0, 1, 1, 53}}, g);
      write_copy(fresh, binary(BinaryOp::lt, u, detach(chances)));
    });
  }
  check_probability("bernoulli_", p.number().as_double());
  const bool direct = t.dtype() == DType::f32 || t.dtype() == DType::f64;
  overwrite("bernoulli_", t, direct ? t.dtype() : DType::b8, [&](const Tensor& fresh) {
    launch_fill("bernoulli_", Distribution::bernoulli, fresh, {{p.number().as_double()}}, g);
  });
}

void integers_(const Tensor& t, std::int64_t low, std::optional<std::int64_t> high, Generator* generator) {
  const DType type = t.dtype();
  const std::int64_t exact = is_floating(type) ? std::int64_t{1} << precision_of(type).digits : 0;
  const std::int64_t largest = is_floating(type)    ? exact
                               : type == DType::i64 ? std::numeric_limits<std::int64_t>::max()
                               : type == DType::i32 ? std::numeric_limits<std::int32_t>::max()
                               : type == DType::u8  ? 255
                                                    : 1;
  const std::int64_t smallest = is_floating(type)                          ? -exact
                                : type == DType::i64 || type == DType::i32 ? -largest - 1
                                                                           : 0;
  check(!high || low < *high, "random integers: low must be less than high, got ", low, " and ", high.value_or(0));
  const std::int64_t last = high ? *high - 1 : largest;
  check(low >= smallest && low <= largest && last <= largest, "random integers: ", name_of(type), " holds ", smallest,
        " to ", largest, ", but the range is ", low, " to ", last);
  const std::uint64_t range = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(low) + 1;

  const DType drawn = is_floating(type) ? DType::i64 : type == DType::b8 ? DType::u8 : type;
  Generator& g = generator_for("random integers", generator, t.device());
  overwrite("random_", t, drawn, [&](const Tensor& fresh) {
    const auto kernel = require(table(fresh.device()).integers[static_cast<int>(drawn)], "random_", fresh.device());
    const bool one_word = range != 0 && range <= std::uint64_t{1} << 32;
    const Tensor claimed = g.claim(one_word ? fresh.numel() : 2 * fresh.numel());
    current_stream().launch(kernel, fresh.data(), fresh.numel(), claimed.data<std::uint64_t>(), low, range);
  });
}

Tensor bernoulli(const Tensor& p, Generator* generator) {
  check_floating("bernoulli", p);
  const Tensor t = empty(p.shape(), p.dtype(), p.device());
  bernoulli_(t, p, generator);
  return t;
}

Tensor normal(const Arg& mean, const Arg& std, Generator* generator) {
  const Tensor& like = mean.is_tensor() ? mean.tensor() : std.tensor();
  Dims shape = like.shape();
  if (mean.is_tensor() && std.is_tensor()) shape = broadcast_shapes(shape, std.tensor().shape(), "normal");
  const Tensor spread = std.is_tensor() ? detach(std.tensor()) : Tensor();
  constexpr const char* kNegative = "std must not be negative";
  if (std.is_tensor()) refuse_zeros(binary(BinaryOp::ge, spread, Scalar(0)), "normal", kNegative);
  check(std.is_tensor() || std.number().as_double() >= 0, "normal: ", kNegative);
  const DType type = result_type({&mean, &std});
  check_as(ErrorKind::type, is_floating(type), "normal: expected floating-point mean or std, got ", name_of(type));
  Tensor z = empty(shape, type, like.device());
  normal_(z, 0, 1, generator);
  z = mul(z, std.is_tensor() ? Arg(spread) : std);
  return add(z, mean.is_tensor() ? Arg(detach(mean.tensor())) : mean);
}

Tensor permutation(std::int64_t n, DType dtype, Device device, Generator* generator) {
  check(n >= 0, "randperm: n must not be negative, got ", n);
  const std::int64_t exact = is_floating(dtype)    ? std::int64_t{1} << precision_of(dtype).digits
                             : dtype == DType::i64 ? std::numeric_limits<std::int64_t>::max()
                             : dtype == DType::i32 ? std::int64_t{1} << 31
                             : dtype == DType::u8  ? 256
                                                   : 2;
  check(n <= exact, "randperm: ", name_of(dtype), " cannot hold ", n, " different numbers");
  Generator& g = generator_for("randperm", generator, device);
  const Tensor order = empty({n}, DType::i64, device);
  const Tensor claimed = g.claim(2 * n);
  current_stream().launch(table(device).permutation, order.data<std::int64_t>(), n, claimed.data<std::uint64_t>());
  return to_dtype(order, dtype);
}

Tensor multinomial(const Tensor& weights, std::int64_t samples, bool replacement, Generator* generator) {
  check_floating("multinomial", weights);
  check(weights.ndim() == 1 || weights.ndim() == 2, "multinomial: expected weights with 1 or 2 dimensions, got shape ",
        weights.shape());
  const std::int64_t rows = weights.ndim() == 2 ? weights.shape()[0] : 1, columns = weights.shape().back();
  check(samples > 0, "multinomial: num_samples must be positive, got ", samples);
  check(columns > 0, "multinomial: there is nothing to draw from in shape ", weights.shape());
  check(replacement || samples <= columns, "multinomial: cannot draw ", samples, " of ", columns,
        " without replacement");
  Generator& g = generator_for("multinomial", generator, weights.device());

  Tensor out = empty(weights.ndim() == 2 ? Dims{rows, samples} : Dims{samples}, DType::i64, weights.device());
  if (rows == 0) return out;
  const Tensor work = empty(weights.shape(), DType::f64, weights.device());
  write_copy(work, weights);
  const Tensor keys = replacement ? Tensor() : empty(out.shape(), DType::f64, out.device());
  const Tensor problem = full({}, Scalar(0), DType::i64, out.device());
  const Tensor claimed = g.claim(2 * rows * (replacement ? samples : columns));
  current_stream().launch(table(out.device()).multinomial, work.data<double>(), rows, columns, samples, replacement,
                          keys.defined() ? keys.data<double>() : nullptr, out.data<std::int64_t>(),
                          claimed.data<std::uint64_t>(), problem.data<std::int64_t>());
  current_stream().report(problem.device(), report_problem, problem.data<const std::int64_t>(), samples);
  return out;
}

// ---- dropout ----

namespace {

// A mask that is never stored: whoever has the claim can draw it again.
struct DropoutMask {
  Tensor claimed;
  double p;

  void apply(const Tensor& out, const Tensor& x) const {
    const auto kernel = require(table(x.device()).dropout[static_cast<int>(x.dtype())], "dropout", x.device());
    current_stream().launch(kernel, out.data(), x.data(), x.numel(), claimed.data<std::uint64_t>(), p,
                            p < 1 ? 1 / (1 - p) : 0.0);
  }
  Tensor operator()(const Tensor& x) const {
    const Tensor packed = contiguous(x), out = empty(x.shape(), x.dtype(), x.device());
    apply(out, packed);
    return out;
  }
  void backward(Gradients& g) const { g.give(0, (*this)(g.of_output())); }
};

bool drops(const char* op, const Tensor& x, double p, bool train) {
  check_probability(op, p);
  check_floating(op, x);
  return train && p > 0 && x.numel() > 0;
}

DropoutMask claim_mask(const Tensor& x, double p, Generator* generator) {
  return {generator_for("dropout", generator, x.device()).claim(x.numel()), p};
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool train, Generator* generator) {
  if (!drops("dropout", x, p, train)) return x;
  const DropoutMask mask = claim_mask(x, p, generator);
  const Tensor y = mask(detach(x));
  if (needs_grad(x)) record("dropout", y, {&x}, [mask](Gradients& g) { mask.backward(g); });
  return y;
}

void dropout_(const Tensor& x, double p, bool train, Generator* generator) {
  if (!drops("dropout_", x, p, train)) return;
  check_writable("dropout_", x);
  const DropoutMask mask = claim_mask(x, p, generator);
  Ref<Node> node = needs_grad(x) ? make_node("dropout", {&x}, [mask](Gradients& g) { mask.backward(g); }) : Ref<Node>();
  if (x.contiguous())
    mask.apply(x, x);
  else
    write_copy(x, mask(detach(x)));
  node ? rebase_history(x, std::move(node)) : bump_version(x);
}

Tensor dropout_shared(const Tensor& x, double p, bool train, const Dims& mask_shape, Generator* generator) {
  check(broadcast_shapes(x.shape(), mask_shape, "dropout") == x.shape(), "dropout: a mask of shape ", mask_shape,
        " does not broadcast to ", x.shape());
  if (!drops("dropout", x, p, train)) return x;
  const Tensor ones = full(mask_shape, Scalar(1.0), x.dtype(), x.device());
  return mul(x, claim_mask(ones, p, generator)(ones));
}

}  // namespace lamina
