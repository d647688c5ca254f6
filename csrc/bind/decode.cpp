#include "ops/decode.h"

#include "bind/common.h"
#include "ops/index.h"
#include "ops/rnn.h"
#include "ops/rnn_program.h"
#include "ops/view.h"

namespace lamina::bind {
namespace {

using Maybe = const std::optional<Tensor>&;
Tensor or_none(Maybe t) { return t.value_or(Tensor()); }

// Layers of a decoder, held as they are called in nn/rnn_layers.py.
Decoder::Layer built_in(const std::string& cell, const Tensor& weight_ih, const Tensor& weight_hh, Maybe second,
                        Maybe bias_ih, Maybe bias_hh, Maybe peephole, std::uint32_t options, double h_rate,
                        double c_rate) {
  const RnnWeights weights{weight_ih,        weight_hh,         or_none(second), or_none(bias_ih),
                           or_none(bias_hh), or_none(peephole), Tensor(),        Tensor()};
  RnnTransition transition;
  transition.h_rate = h_rate, transition.c_rate = c_rate;
  return [which = rnn_cell_named(cell), weights, options, transition](const Tensor& x, const Decoder::States& s) {
    const RnnStates out =
        rnn(which, x, weights, s[0], s.size() > 1 ? s[1] : Tensor(), Tensor(), false, options, transition);
    return s.size() > 1 ? Decoder::States{out.h_last, out.c_last} : Decoder::States{out.h_last};
  };
}

Decoder::Layer programmed(const std::shared_ptr<RnnCellDescription>& cell, const Tensor& weight_ih,
                          const Tensor& weight_hh, Maybe parameters, double eps, double h_rate, double c_rate) {
  RnnProgramArguments arguments;
  arguments.input_weight = weight_ih, arguments.recurrent_weight = weight_hh;
  arguments.parameters = or_none(parameters);
  arguments.eps = eps;
  arguments.rates[0] = h_rate, arguments.rates[1] = c_rate;
  return [cell, arguments](const Tensor& x, const Decoder::States& s) {
    RnnProgramArguments now = arguments;
    if (s[0].defined()) now.first = lamina::stack(s, 0);
    const Tensor last = rnn_program(cell, x, now).last;
    Decoder::States states;
    for (std::int64_t k = 0; k < last.size(0); ++k) states.push_back(lamina::select(last, 0, k));
    return states;
  };
}

std::vector<Decoder::States> states_of(const std::vector<std::vector<std::optional<Tensor>>>& given) {
  std::vector<Decoder::States> states;
  for (const auto& layer : given) {
    states.emplace_back();
    for (const auto& state : layer) states.back().push_back(or_none(state));
  }
  return states;
}

py::tuple as_tuple(const Decoded& d) { return py::make_tuple(d.tokens, d.lengths, d.scores); }

using States = std::vector<std::vector<std::optional<Tensor>>>;

}  // namespace

void bind_decode(py::module_& m) {
  py::class_<Decoder::Layer>(m, "_DecoderLayer");
  m.def("_decoder_layer", &built_in, py::arg("cell"), py::arg("weight_ih"), py::arg("weight_hh"), py::arg("second"),
        py::arg("bias_ih"), py::arg("bias_hh"), py::arg("peephole"), py::arg("options"), py::arg("h_rate"),
        py::arg("c_rate"));
  m.def("_decoder_program", &programmed, py::arg("cell"), py::arg("weight_ih"), py::arg("weight_hh"),
        py::arg("parameters"), py::arg("eps"), py::arg("h_rate"), py::arg("c_rate"));
  py::class_<Decoder>(m, "_Decoder")
      .def(py::init([](const Tensor& embedding, std::vector<Decoder::Layer> layers, const Tensor& weight, Maybe bias,
                       bool skip) { return Decoder(embedding, std::move(layers), weight, or_none(bias), skip); }),
           py::arg("embedding"), py::arg("layers"), py::arg("weight"), py::arg("bias"), py::arg("skip"))
      .def(
          "decode",
          [](const Decoder& d, const Tensor& start, const States& states, std::int64_t steps, std::int64_t end,
             double temperature, std::int64_t top_k, std::optional<Generator*> generator) {
            Decoded out;
            {
              py::gil_scoped_release released;
              out = decode(d, start, states_of(states), steps, end, {temperature, top_k, generator.value_or(nullptr)});
            }
            return as_tuple(out);
          },
          py::arg("start"), py::arg("states"), py::arg("steps"), py::arg("end"), py::arg("temperature"),
          py::arg("top_k"), py::arg("generator"))
      .def(
          "beam_search",
          [](const Decoder& d, const Tensor& start, const States& states, std::int64_t steps, std::int64_t end,
             std::int64_t beams, double length_penalty) {
            Decoded out;
            {
              py::gil_scoped_release released;
              out = beam_search(d, start, states_of(states), steps, end, beams, length_penalty);
            }
            return as_tuple(out);
          },
          py::arg("start"), py::arg("states"), py::arg("steps"), py::arg("end"), py::arg("beams"),
          py::arg("length_penalty"))
      .def(
          "scheduled_inputs",
          [](const Decoder& d, const Tensor& inputs, const States& states, double p, double temperature,
             std::int64_t top_k, std::optional<Generator*> generator) {
            py::gil_scoped_release released;
            return scheduled_inputs(d, inputs, states_of(states), p, {temperature, top_k, generator.value_or(nullptr)});
          },
          py::arg("inputs"), py::arg("states"), py::arg("p"), py::arg("temperature"), py::arg("top_k"),
          py::arg("generator"));
}

}  // namespace lamina::bind
