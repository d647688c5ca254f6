#include "ops/conv.h"

#include <cstring>

#include "bind/activation_named.h"
#include "bind/arguments.h"

namespace lamina::bind {
namespace {

Tensor optional_tensor(const Arguments& a, int i) { return a.get(i) ? a.tensor(i) : Tensor(); }
Dims dims_or(const Arguments& a, int i, std::int64_t otherwise) { return a.dims(i).value_or(Dims{otherwise}); }

// Padding: a number, numbers, pairs of numbers (low, high), 'valid' or 'same'.
void read_padding(const char* op, PyObject* given, ConvOptions& options) {
  if (!given) return;
  const auto wrong = [&]() {
    fail(ErrorKind::type, op, ": padding must be an integer, a sequence of integers or of pairs of them, 'valid' or ",
         "'same', got ", py::repr(given).cast<std::string>());
  };
  if (PyUnicode_Check(given)) {
    const char* text = text_of(given);
    options.same = std::strcmp(text, "same") == 0;
    check(options.same || std::strcmp(text, "valid") == 0, op, ": padding must be 'valid' or 'same', or numbers, got '",
          text, "'");
    return;
  }
  Dims numbers;
  if (PyIndex_Check(given)) {
    const py::tuple one = py::make_tuple(py::handle(given));
    if (!to_dims(one.ptr(), numbers)) wrong();
  } else if (!to_dims(given, numbers)) {
    if (!PySequence_Check(given)) wrong();
    options.pad_low = options.pad_high = {};
    for (const py::handle item : py::reinterpret_borrow<py::sequence>(given)) {
      Dims pair;
      if (!to_dims(item.ptr(), pair) || pair.size() != 2) wrong();
      options.pad_low.push_back(pair[0]);
      options.pad_high.push_back(pair[1]);
    }
    return;
  }
  options.pad_low = options.pad_high = numbers;
}

template <class F>
PyObject* run(const Tensor& x, const Tensor& weight, F f) {
  const Tensor result = [&] {
    MaybeReleaseGil gil(x.numel() + weight.numel() * 16);
    return f();
  }();
  return wrap(result);
}

constexpr const char* kConvNames[] = {"conv1d", "conv2d", "conv3d"};
constexpr const char* kTransposedNames[] = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"};

template <int dims>
PyObject* conv_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  const char* op = kConvNames[dims - 1];
  return guarded(op, [&] {
    const Arguments a(
        op,
        {"input", "weight", "bias", "stride", "padding", "dilation", "groups", "activation", "residual", "max_pool"}, 7,
        args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = a.tensor(1), bias = optional_tensor(a, 2), residual = optional_tensor(a, 8);
    ConvOptions options{.stride = dims_or(a, 3, 1), .dilation = dims_or(a, 5, 1)};
    read_padding(op, a.get(4), options);
    if (a.get(6)) options.groups = a.integer(6);
    const std::optional<UnaryOp> activation = activation_named(a, 7);
    const auto convolve = a.flag(9, false) ? conv_max_pool : conv;
    return run(x, weight, [&] { return convolve(dims, x, weight, bias, options, activation, residual); });
  });
}

template <int dims>
PyObject* conv_transpose_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  const char* op = kTransposedNames[dims - 1];
  return guarded(op, [&] {
    const Arguments a(op, {"input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"}, 8,
                      args, nargs, keywords);
    const Tensor x = a.tensor(0), weight = a.tensor(1), bias = optional_tensor(a, 2);
    ConvOptions options{.stride = dims_or(a, 3, 1), .dilation = dims_or(a, 7, 1)};
    options.output_padding = dims_or(a, 5, 0);
    read_padding(op, a.get(4), options);
    if (a.get(6)) options.groups = a.integer(6);
    return run(x, weight, [&] { return conv_transpose(dims, x, weight, bias, options); });
  });
}

ConvAlgorithm algorithm_named(const std::string& name) {
  const auto a = conv_algorithm_named(name.c_str());
  check(a.has_value(), "conv: unknown algorithm '", name, "'");
  return *a;
}

}  // namespace

void bind_conv(py::module_& m) {
  constexpr const char* parameters =
      "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, *, activation=None, residual=None, "
      "max_pool=False";
  constexpr const char* doc =
      "activation(input * weight + bias + residual) in one kernel: (N, C, sizes…) with a weight (O, C / groups, "
      "kernel…); without N, one image. padding: numbers, pairs (low, high), 'valid' or 'same'. activation: the name of "
      "an element-wise function. max_pool: of every 2 neighbouring outputs in each dimension only the largest stays, "
      "as "
      "after max_pool of kernel_size 2; in the plane in the same kernel where that is worth one.";
  add_function(m, "conv1d", parameters, doc, conv_function<1>);
  add_function(m, "conv2d", parameters, doc, conv_function<2>);
  add_function(m, "conv3d", parameters, doc, conv_function<3>);
  constexpr const char* transposed_parameters =
      "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1";
  constexpr const char* transposed_doc =
      "The transposed convolution, the way back from a convolution's output to its input: (N, C, sizes…) with a weight "
      "(C, O / groups, kernel…).";
  add_function(m, "conv_transpose1d", transposed_parameters, transposed_doc, conv_transpose_function<1>);
  add_function(m, "conv_transpose2d", transposed_parameters, transposed_doc, conv_transpose_function<2>);
  add_function(m, "conv_transpose3d", transposed_parameters, transposed_doc, conv_transpose_function<3>);

  // For lamina.backends.conv.
  m.def(
      "_conv_algorithms",
      [](const Dims& input, const Dims& weight, const Dims& stride, const py::object& padding, const Dims& dilation,
         std::int64_t groups, DType dtype) {
        check(input.size() >= 3 && input.size() <= 5, "conv: input must have 3 to 5 dimensions, got ", input);
        ConvOptions options{.stride = stride, .dilation = dilation};
        options.groups = groups;
        read_padding("conv", padding.ptr(), options);
        const ConvShape s = conv_shape(input.size() - 2, input, weight, dtype, options);
        py::list passes;
        for (const ConvPass pass : {ConvPass::forward, ConvPass::data_gradient, ConvPass::weight_gradient}) {
          py::list possible;
          for (int i = 0; i < kConvAlgorithms; ++i)
            if (conv_suits(static_cast<ConvAlgorithm>(i), pass, s, Device{}))
              possible.append(name_of(static_cast<ConvAlgorithm>(i)));
          passes.append(py::make_tuple(name_of(choose_conv(pass, s, Device{})), possible));
        }
        return passes;
      },
      py::arg("input"), py::arg("weight"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
      py::arg("groups"), py::arg("dtype"),
      "The algorithm chosen and those possible, for forward, data gradient and weight gradient.");
  m.def("_conv_preference", [] {
    const ConvPreference p = conv_preference();
    return py::make_tuple(p.algorithm == ConvAlgorithm::count ? py::object(py::none()) : py::cast(name_of(p.algorithm)),
                          p.winograd);
  });
  m.def(
      "_set_conv_preference",
      [](const std::optional<std::string>& algorithm, bool winograd) {
        set_conv_preference({algorithm ? algorithm_named(*algorithm) : ConvAlgorithm::count, winograd});
      },
      py::arg("algorithm"), py::arg("winograd"));
}

}  // namespace lamina::bind
