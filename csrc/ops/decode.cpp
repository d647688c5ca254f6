#include "ops/decode.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/node.h"
#include "core/stream.h"
#include "ops/elementwise.h"
#include "ops/gemm.h"
#include "ops/index.h"
#include "ops/reduce.h"
#include "ops/sort.h"
#include "ops/view.h"

namespace lamina {

Decoder::Decoder(Tensor embedding, std::vector<Layer> layers, Tensor weight, Tensor bias, bool skip)
    : embedding_(std::move(embedding)),
      weight_(std::move(weight)),
      bias_(std::move(bias)),
      layers_(std::move(layers)),
      skip_(skip) {
  check(embedding_.ndim() == 2 && weight_.ndim() == 2,
        "Decoder: expected matrices as embedding and output, got shapes ", embedding_.shape(), " and ",
        weight_.shape());
  check(words() <= embedding_.size(0), "Decoder: the output has ", words(), " words, the embedding only ",
        embedding_.size(0));
}

void Decoder::check_tokens(const char* op, const Tensor& tokens) const {
  check_as(ErrorKind::type, tokens.dtype() == DType::i64, op, ": tokens must be int64, got ", name_of(tokens.dtype()));
  check(tokens.device() == embedding_.device(), op, ": tokens are on ", tokens.device(), ", the embedding on ",
        embedding_.device());
  if (tokens.numel() == 0 || open_recording()) return;
  const Survey found = survey(op, tokens);
  check(found.least >= 0 && found.most < embedding_.size(0), op, ": tokens must lie between 0 and ",
        embedding_.size(0) - 1, ", got ", found.least, " to ", found.most);
}

Tensor Decoder::step(const Tensor& tokens, std::vector<States>& states) const {
  Tensor x = embedding(tokens, embedding_, std::nullopt);
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    states[l] = layers_[l](unsqueeze(x, 0), states[l]);
    const Tensor& h = states[l][0];
    x = skip_ && h.size(1) == x.size(1) ? add(h, x) : h;
  }
  return linear(x, weight_, bias_);
}

namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

// What decides lies with the host, whatever the device of the layers.
Tensor integers(const Dims& shape, std::int64_t value) { return full(shape, Scalar(value), DType::i64); }
Tensor on_host(const Tensor& t) { return contiguous(to_device(t, {})); }
Decoded on_device(const Decoded& d, Device device) {
  return {to_device(d.tokens, device), to_device(d.lengths, device), to_device(d.scores, device)};
}

void check_arguments(const char* op, const Decoder& decoder, const Tensor& start, std::int64_t steps,
                     std::int64_t end) {
  check_host_read(op);
  check(start.ndim() == 1, op, ": start must be a row of tokens, got shape ", start.shape());
  decoder.check_tokens(op, start);
  check(steps > 0, op, ": steps must be at least 1, got ", steps);
  check(end >= -1 && end < decoder.words(), op, ": end must be a word below ", decoder.words(), ", got ", end);
}

void check_choice(const char* op, const Choice& choice) {
  check(choice.temperature >= 0, op, ": temperature must not be negative, got ", choice.temperature);
  check(choice.top_k >= 0, op, ": top_k must not be negative, got ", choice.top_k);
}

// One token a row: (rows).
Tensor chosen(const Tensor& logits, const Choice& choice) {
  if (choice.temperature == 0) return argmax(logits, 1);
  Tensor scaled = mul(logits, Arg(Scalar(1 / choice.temperature)));
  if (choice.top_k > 0 && choice.top_k < logits.size(1)) {
    const Tensor best = topk(scaled, choice.top_k, 1, true).values;
    const Tensor least = narrow(best, 1, choice.top_k - 1, 1);
    scaled = where(binary(BinaryOp::lt, scaled, least), Arg(Scalar(kImpossible)), scaled);
  }
  return select(multinomial(softmax(scaled, 1), 1, true, choice.generator), 1, 0);
}

}  // namespace

Decoded decode(const Decoder& decoder, const Tensor& start, std::vector<Decoder::States> states, std::int64_t steps,
               std::int64_t end, const Choice& choice) {
  const char* op = "decode";
  const GradMode off(false);
  check_arguments(op, decoder, start, steps, end);
  check_choice(op, choice);
  const std::int64_t rows = start.size(0);
  Decoded out{integers({rows, steps}, std::max<std::int64_t>(end, 0)), integers({rows}, steps),
              full({rows}, Scalar(0.0), DType::f64)};
  std::int64_t* const tokens = out.tokens.data<std::int64_t>();
  std::int64_t* const lengths = out.lengths.data<std::int64_t>();
  double* const scores = out.scores.data<double>();
  std::vector<bool> done(static_cast<std::size_t>(rows), false);
  std::int64_t running = rows, longest = rows ? 0 : steps;
  Tensor last = start;
  for (std::int64_t t = 0; t < steps && running > 0; ++t) {
    const Tensor logits = decoder.step(last, states);
    last = contiguous(chosen(logits, choice));
    const Tensor gained = to_dtype(on_host(gather(log_softmax(logits, 1), 1, unsqueeze(last, 1))), DType::f64);
    const Tensor tokens_now = on_host(last);
    const std::int64_t* const next = tokens_now.data<std::int64_t>();
    const double* const log_p = gained.data<double>();
    for (std::int64_t r = 0; r < rows; ++r) {
      if (done[static_cast<std::size_t>(r)]) continue;
      tokens[r * steps + t] = next[r];
      scores[r] += log_p[r];
      if (next[r] != end) continue;
      done[static_cast<std::size_t>(r)] = true;
      lengths[r] = t + 1;
      --running;
    }
    longest = t + 1;
  }
  out.tokens = contiguous(narrow(out.tokens, 1, 0, longest));
  return on_device(out, start.device());
}

Tensor scheduled_inputs(const Decoder& decoder, const Tensor& inputs, std::vector<Decoder::States> states, double p,
                        const Choice& choice) {
  const char* op = "scheduled_inputs";
  const GradMode off(false);
  check(inputs.ndim() == 2 && inputs.size(1) > 0, op, ": inputs must have shape (batch, steps), got ", inputs.shape());
  decoder.check_tokens(op, inputs);
  check_choice(op, choice);
  check(p >= 0 && p <= 1, op, ": p must be between 0 and 1, got ", p);
  const Tensor out = clone(inputs);
  const Tensor replaced = empty(inputs.shape(), DType::b8, inputs.device());
  bernoulli_(replaced, Arg(Scalar(p)), choice.generator);
  for (std::int64_t t = 0; t + 1 < inputs.size(1); ++t) {
    const Tensor logits = decoder.step(contiguous(select(out, 1, t)), states);
    const Tensor next = select(out, 1, t + 1);
    write_copy(next, where(select(replaced, 1, t + 1), chosen(logits, choice), next));
  }
  return out;
}

// ---- beam search ----

namespace {

struct Hypothesis {
  double score;            // log-probability; of finished ones normalised
  std::int64_t token, at;  // the last token, and its place in the history: the row it was made of
  std::int64_t length;
};

// Who came of whom: of each step the rows' tokens and the rows of the step before that they continue.
class History {
 public:
  void add(std::vector<std::int64_t> tokens, std::vector<std::int64_t> parents) {
    tokens_.push_back(std::move(tokens));
    parents_.push_back(std::move(parents));
  }
  // The first `length` - 1 tokens that lead to row `at`, and then the last.
  void write(const Hypothesis& h, std::int64_t* to) const {
    to[h.length - 1] = h.token;
    std::int64_t row = h.at;
    for (std::int64_t t = h.length - 2; t >= 0; --t) {
      to[t] = tokens_[static_cast<std::size_t>(t)][static_cast<std::size_t>(row)];
      row = parents_[static_cast<std::size_t>(t)][static_cast<std::size_t>(row)];
    }
  }

 private:
  std::vector<std::vector<std::int64_t>> tokens_, parents_;
};

bool better(const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; }

// The search of one row of the batch, whose beams lie in `beams` rows from `first` on.
struct Beam {
  std::int64_t first;
  std::vector<double> live;  // log-probabilities; kImpossible: no hypothesis there
  std::vector<Hypothesis> finished{};

  bool over(std::size_t beams, double longest_norm) const {
    const double best = *std::max_element(live.begin(), live.end());
    // Log-probabilities only fall, and no hypothesis grows beyond the longest.
    return best == kImpossible || (finished.size() == beams && best / longest_norm <= finished.back().score);
  }
  void finish(const Hypothesis& h, std::size_t beams) {
    finished.insert(std::upper_bound(finished.begin(), finished.end(), h, better), h);
    if (finished.size() > beams) finished.pop_back();
  }
};

// The best `count` continuations of a beam: `log_p` are its rows of `words`.
std::vector<Hypothesis> continuations(const Beam& beam, const double* log_p, std::int64_t words, std::size_t count) {
  std::vector<Hypothesis> best;  // a heap with the worst on top
  for (std::size_t k = 0; k < beam.live.size(); ++k) {
    if (beam.live[k] == kImpossible) continue;
    const std::int64_t row = beam.first + static_cast<std::int64_t>(k);
    for (std::int64_t w = 0; w < words; ++w) {
      const double score = beam.live[k] + log_p[row * words + w];
      if (score == kImpossible || (best.size() == count && score <= best.front().score)) continue;
      if (best.size() == count) {
        std::pop_heap(best.begin(), best.end(), better);
        best.pop_back();
      }
      best.push_back({score, w, row, 0});
      std::push_heap(best.begin(), best.end(), better);
    }
  }
  std::sort_heap(best.begin(), best.end(), better);
  return best;
}

}  // namespace

Decoded beam_search(const Decoder& decoder, const Tensor& start, std::vector<Decoder::States> states,
                    std::int64_t steps, std::int64_t end, std::int64_t beams, double length_penalty) {
  const char* op = "beam_search";
  const GradMode off(false);
  check_arguments(op, decoder, start, steps, end);
  check(beams > 0, op, ": beams must be at least 1, got ", beams);
  const std::int64_t rows = start.size(0), words = decoder.words();
  const auto width = static_cast<std::size_t>(beams);
  const auto norm = [&](std::int64_t length) { return std::pow(static_cast<double>(length), length_penalty); };
  const double longest_norm = length_penalty > 0 ? norm(steps) : 1;

  std::vector<Beam> searches;
  for (std::int64_t r = 0; r < rows; ++r) {
    searches.push_back({r * beams, std::vector<double>(width, kImpossible)});
    searches.back().live[0] = 0;
  }
  const Device device = start.device();
  const Tensor repeats = to_device(integers({}, beams), device);
  const auto spread_over_beams = [&](const Tensor& t) { return repeat_interleave(t, repeats, 0); };
  Tensor last = spread_over_beams(start);
  for (Decoder::States& layer : states)
    for (Tensor& state : layer)
      if (state.defined()) state = spread_over_beams(state);

  History history;
  const Tensor from = integers({rows * beams}, 0);
  for (std::int64_t t = 0; t < steps; ++t) {
    const Tensor log_p = to_dtype(on_host(log_softmax(decoder.step(last, states), 1)), DType::f64);
    const Tensor chosen_now = integers({rows * beams}, std::max<std::int64_t>(end, 0));
    std::int64_t *const tokens = chosen_now.data<std::int64_t>(), *const parents = from.data<std::int64_t>();
    bool all_over = true;
    for (Beam& beam : searches) {
      std::size_t next = 0;
      std::vector<double> live(width, kImpossible);
      if (!beam.over(width, longest_norm))
        // Each row can end once: with twice as many as asked for, enough go on.
        for (Hypothesis& h : continuations(beam, log_p.data<double>(), words, 2 * width)) {
          h.length = t + 1;
          if (h.token == end || t + 1 == steps) {
            h.score /= norm(h.length);
            beam.finish(h, width);
          } else if (next < width) {
            const std::int64_t row = beam.first + static_cast<std::int64_t>(next);
            live[next++] = h.score;
            tokens[row] = h.token;
            parents[row] = h.at;
          }
        }
      for (; next < width; ++next) parents[beam.first + static_cast<std::int64_t>(next)] = beam.first;
      beam.live = std::move(live);
      all_over = all_over && beam.over(width, longest_norm);
    }
    history.add({tokens, tokens + rows * beams}, {parents, parents + rows * beams});
    if (all_over) break;
    last = to_device(chosen_now, device);
    const Tensor rows_before = to_device(from, device);
    for (Decoder::States& layer : states)
      for (Tensor& state : layer) state = index_select(state, 0, rows_before);
  }

  std::int64_t longest = 1;
  for (const Beam& beam : searches)
    for (const Hypothesis& h : beam.finished) longest = std::max(longest, h.length);
  Decoded out{integers({rows, beams, longest}, std::max<std::int64_t>(end, 0)), integers({rows, beams}, 0),
              full({rows, beams}, Scalar(kImpossible), DType::f64)};
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::vector<Hypothesis>& found = searches[static_cast<std::size_t>(r)].finished;
    for (std::size_t k = 0; k < found.size(); ++k) {
      const std::int64_t at = r * beams + static_cast<std::int64_t>(k);
      history.write(found[k], out.tokens.data<std::int64_t>() + at * longest);
      out.lengths.data<std::int64_t>()[at] = found[k].length;
      out.scores.data<double>()[at] = found[k].score;
    }
  }
  return on_device(out, device);
}

}  // namespace lamina
