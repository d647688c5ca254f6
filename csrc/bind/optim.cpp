#include "ops/optim.h"

#include "bind/common.h"

namespace lamina::bind {
namespace {

const OptimOption& option_named(const std::string& name) {
  for (const OptimOption& o : optim_options())
    if (name == o.name) return o;
  fail(ErrorKind::value, "optimizer: there is no option '", name, "'");
}

OptimOptions options_from(const py::dict& numbers) {
  OptimOptions options{};
  for (const auto& [name, number] : numbers)
    options.*option_named(name.cast<std::string>()).number = number.cast<double>();
  return options;
}

std::int64_t elements(const std::vector<Tensor>& tensors) {
  std::int64_t n = 0;
  for (const Tensor& t : tensors) n += t.numel();
  return n;
}

void bind_group(py::module_& m) {
  py::class_<OptimGroup>(m, "_OptimGroup", "Parameters that are updated alike, in arenas.")
      .def(py::init([](const std::string& rule, const py::dict& options, const std::vector<Tensor>& parameters) {
             return std::make_unique<OptimGroup>(optim_rule(rule), options_from(options), parameters);
           }),
           py::arg("rule"), py::arg("options"), py::arg("parameters"))
      .def(
          "set", [](OptimGroup& g, const std::string& name, double value) { g.set(option_named(name), value); },
          py::arg("option"), py::arg("value"))
      .def(
          "get", [](const OptimGroup& g, const std::string& name) { return g.get(option_named(name)); },
          py::arg("option"))
      .def("step",
           [](OptimGroup& g) {
             MaybeReleaseGil gil(g.numel());
             g.step();
           })
      .def("zero_grad", &OptimGroup::zero_grad, py::arg("set_to_none") = true)
      .def("look_ahead", &OptimGroup::look_ahead)
      .def("look_back", &OptimGroup::look_back)
      .def("state", &OptimGroup::state, py::arg("index"), py::arg("which"))
      .def("fill_state", &OptimGroup::fill_state, py::arg("which"), py::arg("value"))
      .def("counts",
           [](const OptimGroup& g) {
             std::vector<std::pair<double, double>> counts;
             for (const OptimGroup::Count& c : g.counts()) counts.emplace_back(c.step, c.memory);
             return counts;
           })
      .def(
          "set_counts",
          [](OptimGroup& g, const std::vector<std::pair<double, double>>& counts) {
            std::vector<OptimGroup::Count> list;
            for (const auto& [step, memory] : counts) list.push_back({step, memory});
            g.set_counts(list);
          },
          py::arg("counts"));
}

void bind_average(py::module_& m) {
  py::class_<ParameterAverage>(m, "_ParameterAverage", "Running averages of parameters.")
      .def(py::init<const std::vector<Tensor>&, double, bool>(), py::arg("parameters"), py::arg("decay"),
           py::arg("correct_bias"))
      .def("update", &ParameterAverage::update)
      .def("copy_to", &ParameterAverage::copy_to, py::arg("tensors"))
      .def("set_decay", &ParameterAverage::set_decay, py::arg("decay"))
      .def("averages", &ParameterAverage::averages)
      .def("count", &ParameterAverage::count)
      .def("set_count", &ParameterAverage::set_count, py::arg("count"));
}

}  // namespace

void bind_optim(py::module_& m) {
  bind_group(m);
  bind_average(m);
  m.def(
      "_clip_grad_norm_",
      [](const std::vector<Tensor>& parameters, double max_norm, double norm_type, double eps) {
        MaybeReleaseGil gil(elements(parameters));
        return clip_grad_norm_(parameters, max_norm, norm_type, eps);
      },
      py::arg("parameters"), py::arg("max_norm"), py::arg("norm_type"), py::arg("eps"));
  m.def("_total_norm", &total_norm, py::arg("tensors"), py::arg("norm_type"));
  m.def("_clip_grad_value_", &clip_grad_value_, py::arg("parameters"), py::arg("clip_value"));
}

}  // namespace lamina::bind
