#include "ops/rnn.h"

#include "bind/common.h"

namespace lamina::bind {
namespace {

RnnCell cell_named(const std::string& name) {
  for (int i = 0; i < kRnnCells; ++i)
    if (name == name_of(static_cast<RnnCell>(i))) return static_cast<RnnCell>(i);
  fail(ErrorKind::value, "rnn: unknown cell '", name, "'");
}

}  // namespace

void bind_rnn(py::module_& m) {
  using Maybe = const std::optional<Tensor>&;
  m.def(
      "_rnn",
      [](const std::string& cell, const Tensor& input, const Tensor& weight_ih, const Tensor& weight_hh, Maybe second,
         Maybe bias_ih, Maybe bias_hh, Maybe peephole, Maybe h, Maybe c, Maybe lengths, bool reverse,
         std::uint32_t options, double h_rate, double c_rate, Maybe h_moves, Maybe c_moves, Maybe mask) {
        const auto or_none = [](Maybe t) { return t.value_or(Tensor()); };
        const RnnWeights weights{weight_ih,        weight_hh,        or_none(second),
                                 or_none(bias_ih), or_none(bias_hh), or_none(peephole)};
        const RnnTransition transition{h_rate, c_rate, or_none(h_moves), or_none(c_moves), or_none(mask)};
        const RnnCell which = cell_named(cell);
        RnnStates out;
        {
          py::gil_scoped_release released;
          out = rnn(which, input, weights, or_none(h), or_none(c), or_none(lengths), reverse, options, transition);
        }
        return py::make_tuple(out.y, out.h_last, out.c_last);
      },
      py::arg("cell"), py::arg("input"), py::arg("weight_ih"), py::arg("weight_hh"), py::arg("second"),
      py::arg("bias_ih"), py::arg("bias_hh"), py::arg("peephole"), py::arg("h"), py::arg("c"), py::arg("lengths"),
      py::arg("reverse"), py::arg("options"), py::arg("h_rate"), py::arg("c_rate"), py::arg("h_moves"),
      py::arg("c_moves"), py::arg("mask"));
}

}  // namespace lamina::bind
