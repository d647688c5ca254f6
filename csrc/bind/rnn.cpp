#include "ops/rnn.h"

#include "bind/common.h"
#include "ops/rnn_program.h"

namespace lamina::bind {
namespace {

// Cells given as programs: what nn/cells.py makes, and their layers.
void bind_programs(py::module_& m) {
  using Maybe = const std::optional<Tensor>&;
  m.def("_cell_ops", &cell_op_names);
  m.def("_cell_rows", [] { return kProgramRows; });
  py::class_<RnnCellDescription, std::shared_ptr<RnnCellDescription>>(m, "_CellProgram")
      .def(py::init([](std::vector<int> columns, int inputs, int stored, int states, int parameters, int shown,
                       int late, const std::vector<std::pair<Tensor, Tensor>>& codes) {
             check(codes.size() == (late ? 4 : 2), "rnn_program: expected a program and its gradient for each stage");
             const auto code = [&](std::size_t k) {
               return k < codes.size() ? CellCode{codes[k].first, codes[k].second} : CellCode{};
             };
             return std::const_pointer_cast<RnnCellDescription>(
                 rnn_cell({std::move(columns), inputs, stored, states, parameters, shown, late, code(0), code(1),
                           code(2), code(3)}));
           }),
           py::arg("columns"), py::arg("inputs"), py::arg("stored"), py::arg("states"), py::arg("parameters"),
           py::arg("shown"), py::arg("late"), py::arg("codes"));
  m.def(
      "_rnn_program",
      [](const std::shared_ptr<RnnCellDescription>& cell, const Tensor& input, const Tensor& weight_ih,
         const Tensor& weight_hh, Maybe parameters, Maybe first, Maybe lengths, bool reverse, double eps, double h_rate,
         double c_rate, Maybe h_moves, Maybe c_moves, Maybe mask, Maybe probe) {
        const auto or_none = [](Maybe t) { return t.value_or(Tensor()); };
        const RnnProgramArguments arguments{weight_ih,
                                            weight_hh,
                                            or_none(parameters),
                                            or_none(first),
                                            or_none(lengths),
                                            reverse,
                                            eps,
                                            {h_rate, c_rate},
                                            {or_none(h_moves), or_none(c_moves)},
                                            or_none(mask),
                                            or_none(probe)};
        RnnProgramStates out;
        {
          py::gil_scoped_release released;
          out = rnn_program(cell, input, arguments);
        }
        return py::make_tuple(out.y, out.last);
      },
      py::arg("cell"), py::arg("input"), py::arg("weight_ih"), py::arg("weight_hh"), py::arg("parameters"),
      py::arg("first"), py::arg("lengths"), py::arg("reverse"), py::arg("eps"), py::arg("h_rate"), py::arg("c_rate"),
      py::arg("h_moves"), py::arg("c_moves"), py::arg("mask"), py::arg("probe"));
}

}  // namespace

void bind_rnn(py::module_& m) {
  using Maybe = const std::optional<Tensor>&;
  m.def(
      "_rnn",
      [](const std::string& cell, const Tensor& input, const Tensor& weight_ih, const Tensor& weight_hh, Maybe second,
         Maybe table, Maybe bias_ih, Maybe bias_hh, Maybe peephole, Maybe h, Maybe c, Maybe lengths, bool reverse,
         std::uint32_t options, double h_rate, double c_rate, Maybe h_moves, Maybe c_moves, Maybe mask, Maybe probe,
         Maybe projection) {
        const auto or_none = [](Maybe t) { return t.value_or(Tensor()); };
        const RnnWeights weights{weight_ih,        weight_hh,         or_none(second), or_none(bias_ih),
                                 or_none(bias_hh), or_none(peephole), or_none(table),  or_none(projection)};
        const RnnTransition transition{h_rate,           c_rate,         or_none(h_moves),
                                       or_none(c_moves), or_none(probe), or_none(mask)};
        const RnnCell which = rnn_cell_named(cell);
        RnnStates out;
        {
          py::gil_scoped_release released;
          out = rnn(which, input, weights, or_none(h), or_none(c), or_none(lengths), reverse, options, transition);
        }
        return py::make_tuple(out.y, out.h_last, out.c_last);
      },
      py::arg("cell"), py::arg("input"), py::arg("weight_ih"), py::arg("weight_hh"), py::arg("second"),
      py::arg("table"), py::arg("bias_ih"), py::arg("bias_hh"), py::arg("peephole"), py::arg("h"), py::arg("c"),
      py::arg("lengths"), py::arg("reverse"), py::arg("options"), py::arg("h_rate"), py::arg("c_rate"),
      py::arg("h_moves"), py::arg("c_moves"), py::arg("mask"), py::arg("probe"), py::arg("projection"));
  bind_programs(m);
}

}  // namespace lamina::bind
