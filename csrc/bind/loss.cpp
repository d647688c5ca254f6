// Losses. Vectorcall: there is one in every training step, and in small networks it counts.
#include "ops/loss.h"

#include <cstring>

#include "bind/arguments.h"

namespace lamina::bind {
namespace {

LossReduction reduction_of(const Arguments& a, int i) {
  PyObject* const given = a.get(i);
  if (!given) return LossReduction::mean;
  const char* name = PyUnicode_Check(given) ? text_of(given) : "";
  if (!std::strcmp(name, "mean")) return LossReduction::mean;
  if (!std::strcmp(name, "sum")) return LossReduction::sum;
  check(!std::strcmp(name, "none"), a.function(), ": reduction must be 'mean', 'sum' or 'none', got ",
        py::repr(given).cast<std::string>());
  return LossReduction::none;
}

Tensor optional_tensor(const Arguments& a, int i) { return a.get(i) ? a.tensor(i) : Tensor(); }

template <class F>
PyObject* run(const Tensor& x, F f) {
  const Tensor result = [&] {
    MaybeReleaseGil gil(x.numel());
    return f();
  }();
  return wrap(result);
}

// (input, target, reduction)
template <LossOp op>
PyObject* of_pairs(const Arguments& a) {
  const Tensor x = a.tensor(0), y = a.tensor(1);
  const LossReduction reduction = reduction_of(a, 2);
  return run(x, [&] { return pointwise_loss(op, x, y, Tensor(), reduction); });
}
// (input, target, reduction, parameter)
template <LossOp op>
PyObject* of_pairs_with_parameter(const Arguments& a) {
  const Tensor x = a.tensor(0), y = a.tensor(1);
  const LossReduction reduction = reduction_of(a, 2);
  const double p = a.number(3).as_double();
  return run(x, [&] { return pointwise_loss(op, x, y, Tensor(), reduction, p); });
}
// (input, target, third, reduction, p0, p1)
template <LossOp op>
PyObject* of_triples(const Arguments& a) {
  const Tensor x = a.tensor(0), y = a.tensor(1), third = optional_tensor(a, 2);
  const LossReduction reduction = reduction_of(a, 3);
  const double p0 = a.number(4, Scalar(0.0)).as_double(), p1 = a.number(5, Scalar(0.0)).as_double();
  return run(x, [&] { return pointwise_loss(op, x, y, third, reduction, p0, p1); });
}

// (input, target, weight, ignore_index, reduction, label_smoothing)
template <Tensor (*f)(const Tensor&, const Tensor&, const Tensor&, const CrossEntropyOptions&)>
PyObject* of_classes(const Arguments& a) {
  const Tensor x = a.tensor(0), y = a.tensor(1), weight = optional_tensor(a, 2);
  CrossEntropyOptions o;
  if (a.get(3)) o.ignore_index = a.integer(3);
  o.reduction = reduction_of(a, 4);
  o.label_smoothing = a.number(5, Scalar(0.0)).as_double();
  return run(x, [&] { return f(x, y, weight, o); });
}

struct Row {
  const char* name;
  const char* parameters;
  const char* doc;
  PyObject* (*call)(const Arguments&);
};
constexpr const char* kPair = "input, target, *, reduction='mean'";
constexpr Row kRows[] = {
    {"cross_entropy", "input, target, weight=None, *, ignore_index=-100, reduction='mean', label_smoothing=0.0",
     "Cross-entropy of logits (N, C, …) with class indices (N, …) or with probabilities of the input's shape.",
     of_classes<cross_entropy>},
    {"nll_loss", "input, target, weight=None, *, ignore_index=-100, reduction='mean'",
     "The negative of the log-probabilities (N, C, …) that class indices (N, …) pick.", of_classes<nll_loss>},
    {"mse_loss", kPair, "(input − target)².", of_pairs<LossOp::mse>},
    {"squared_error", kPair, "½ (input − target)².", of_pairs<LossOp::half_squared>},
    {"l1_loss", kPair, "|input − target|.", of_pairs<LossOp::l1>},
    {"soft_margin_loss", kPair, "log(1 + exp(−target · input)), target 1 or −1.", of_pairs<LossOp::soft_margin>},
    {"_smooth_l1_loss", "input, target, reduction, beta", "See nn.functional.smooth_l1_loss.",
     of_pairs_with_parameter<LossOp::smooth_l1>},
    {"_huber_loss", "input, target, reduction, delta", "See nn.functional.huber_loss.",
     of_pairs_with_parameter<LossOp::huber>},
    {"_kl_div", "input, target, reduction, log_target", "See nn.functional.kl_div.",
     of_pairs_with_parameter<LossOp::kl_div>},
    {"_hinge_embedding_loss", "input, target, reduction, margin", "See nn.functional.hinge_embedding_loss.",
     of_pairs_with_parameter<LossOp::hinge_embedding>},
    {"_binary_cross_entropy", "input, target, third, reduction", "See nn.functional.binary_cross_entropy.",
     of_triples<LossOp::binary_cross_entropy>},
    {"_binary_cross_entropy_with_logits", "input, target, pos_weight, reduction",
     "See nn.functional.binary_cross_entropy_with_logits.", of_triples<LossOp::binary_cross_entropy_with_logits>},
    {"_gaussian_nll_loss", "input, target, var, reduction, eps, constant", "See nn.functional.gaussian_nll_loss.",
     of_triples<LossOp::gaussian_nll>},
    {"_poisson_nll_loss", "input, target, third, reduction, eps, full", "See nn.functional.poisson_nll_loss.",
     of_triples<LossOp::poisson_nll>},
    {"_margin_ranking_loss", "input1, input2, target, reduction, margin", "See nn.functional.margin_ranking_loss.",
     of_triples<LossOp::margin_ranking>},
};
constexpr std::size_t kRowCount = sizeof kRows / sizeof *kRows;

// The parameters after the first, which Arguments takes apart from them.
const Signature& signature(std::size_t row) {
  static const auto all = [] {
    std::vector<Signature> v;
    for (const Row& r : kRows) v.emplace_back(std::strchr(r.parameters, ' ') + 1);
    return v;
  }();
  return all[row];
}

template <std::size_t row>
PyObject* function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  if (nargs < 1) return PyErr_Format(PyExc_TypeError, "%s: the first argument, input, is missing", kRows[row].name);
  return guarded(kRows[row].name, [&] {
    return kRows[row].call(Arguments(kRows[row].name, signature(row), args[0], args + 1, nargs - 1, keywords));
  });
}

template <std::size_t... row>
void add(py::module_& m, std::index_sequence<row...>) {
  (add_function(m, kRows[row].name, kRows[row].parameters, kRows[row].doc, function<row>), ...);
}

}  // namespace

void bind_loss(py::module_& m) { add(m, std::make_index_sequence<kRowCount>()); }

}  // namespace lamina::bind
