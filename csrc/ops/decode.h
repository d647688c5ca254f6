// Sequences out of a recurrent net: embedding, a stack of recurrent layers, a linear layer to logits. The loops over
// steps run here; nothing is recorded for backward.
#pragma once
#include <functional>
#include <vector>

#include "ops/random.h"

namespace lamina {

class Decoder {
 public:
  using States = std::vector<Tensor>;  // of one layer, each (rows, units); undefined: zeros
  // One step of a layer: x (1, rows, features) to the new states, of which the first goes on.
  using Layer = std::function<States(const Tensor& x, const States& states)>;

  Decoder(Tensor embedding, std::vector<Layer> layers, Tensor weight, Tensor bias, bool skip);

  std::int64_t words() const { return weight_.size(0); }
  std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  void check_tokens(const char* op, const Tensor& tokens) const;
  // Logits (rows, words) of what follows the tokens (rows); the states move on.
  Tensor step(const Tensor& tokens, std::vector<States>& states) const;

 private:
  Tensor embedding_, weight_, bias_;
  std::vector<Layer> layers_;
  bool skip_;  // a layer's input is added to its output where both are of one size
};

// How the next token is chosen; temperature 0: the likeliest.
struct Choice {
  double temperature = 0;
  std::int64_t top_k = 0;  // only of so many; 0: of all
  Generator* generator = nullptr;
};

struct Decoded {
  Tensor tokens;   // int64 (rows, steps), after the end of a sequence filled with `end`
  Tensor lengths;  // int64 (rows), the end included
  Tensor scores;   // log-probabilities summed, (rows); of a beam search after normalisation
};

// From `start` (rows), until every row has come to `end` (-1: there is none) or has `steps` tokens.
Decoded decode(const Decoder& decoder, const Tensor& start, std::vector<Decoder::States> states, std::int64_t steps,
               std::int64_t end, const Choice& choice);

// The best `beams` hypotheses of each row side by side, best first: a score is the log-probability over
// length^length_penalty.
Decoded beam_search(const Decoder& decoder, const Tensor& start, std::vector<Decoder::States> states,
                    std::int64_t steps, std::int64_t end, std::int64_t beams, double length_penalty);

// Scheduled sampling (S. Bengio et al., 2015): the inputs (rows, steps) with each but the first replaced, with
// probability p, by what the net chooses after those before it.
Tensor scheduled_inputs(const Decoder& decoder, const Tensor& inputs, std::vector<Decoder::States> states, double p,
                        const Choice& choice);

}  // namespace lamina
