// Functions and methods of the element-wise operations, made from the lists in kernels/elementwise.h: lamina.exp(x),
// x.exp(), x.exp_(), lamina.add(a, b), x.add(b), x.add_(b). Vectorcall throughout: these are hot.
#include "ops/elementwise.h"

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "bind/common.h"
#include "ops/cuda_copies.h"

namespace lamina::bind {
namespace {

struct Parameter {
  std::string name;
  bool required;
  double value;
};

// "negative_slope=0.01, value" → names and defaults.
std::vector<Parameter> parse_signature(const char* text) {
  std::vector<Parameter> out;
  std::string rest = text;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    std::string one = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    one.erase(0, one.find_first_not_of(' '));
    const std::size_t equals = one.find('=');
    if (equals == std::string::npos)
      out.push_back({one, true, 0});
    else
      out.push_back({one.substr(0, equals), false, std::stod(one.substr(equals + 1))});
  }
  return out;
}

struct Row {
  const char* name;
  const char* signature;
  bool in_place;  // does the result fit into the operand?
};
#define LAMINA_UNARY_BINDING(name, kind, saves, signature) {#name, signature, Kind::kind != Kind::predicate},
#define LAMINA_BINARY_BINDING(name, kind, saves) {#name, "", Kind::kind != Kind::predicate},
constexpr Row kUnaryRows[] = {LAMINA_UNARY_OPS(LAMINA_UNARY_BINDING)};
constexpr Row kBinaryRows[] = {LAMINA_BINARY_OPS(LAMINA_BINARY_BINDING)};

std::array<std::vector<Parameter>, kUnaryOps> unary_parameters;

// Arguments after the operands, by position or by keyword, into p.
void parse_parameters(const Row& row, const std::vector<Parameter>& expected, PyObject* const* args, Py_ssize_t nargs,
                      PyObject* keywords, Params& p) {
  check_as(ErrorKind::type, nargs <= static_cast<Py_ssize_t>(expected.size()), row.name, ": takes ", expected.size(),
           " parameters after its input, got ", nargs);
  std::array<bool, kMaxParams> given{};
  const auto set = [&](std::size_t i, PyObject* value) {
    Scalar s(0.0);
    check_as(ErrorKind::type, to_scalar(value, s), row.name, ": ", expected[i].name, " must be a number");
    check_as(ErrorKind::type, !given[i], row.name, ": ", expected[i].name, " given twice");
    p.v[i] = s.as_double();
    given[i] = true;
  };
  for (Py_ssize_t i = 0; i < nargs; ++i) set(static_cast<std::size_t>(i), args[i]);
  for (Py_ssize_t k = 0; keywords && k < PyTuple_GET_SIZE(keywords); ++k) {
    const char* name = text_of(PyTuple_GET_ITEM(keywords, k));
    std::size_t i = 0;
    while (i < expected.size() && expected[i].name != name) ++i;
    check_as(ErrorKind::type, i < expected.size(), row.name, ": unexpected argument '", name, "'");
    set(i, args[nargs + k]);
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (given[i]) continue;
    check_as(ErrorKind::type, !expected[i].required, row.name, ": missing argument '", expected[i].name, "'");
    p.v[i] = expected[i].value;
  }
}

Tensor operand(const Row& row, PyObject* o) {
  if (is_tensor(o)) return tensor_of(o);
  check_as(ErrorKind::type, looks_like_array(o), row.name, ": expected a Tensor or an array, got ",
           Py_TYPE(o)->tp_name);
  return tensor_from_buffer(o);
}

PyObject* call_unary(UnaryOp op, PyObject* x, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords,
                     bool in_place) {
  const Row& row = kUnaryRows[static_cast<int>(op)];
  return guarded(row.name, [&] {
    Params p{};
    const auto& expected = unary_parameters[static_cast<std::size_t>(op)];
    if (!expected.empty() || nargs || keywords) parse_parameters(row, expected, args, nargs, keywords, p);
    const Tensor t = operand(row, x);
    Tensor y;
    {
      MaybeReleaseGil gil(t.numel());
      if (in_place)
        unary_in_place(op, t, p);
      else
        y = unary(op, t, p);
    }
    return in_place ? Py_NewRef(x) : wrap(y);
  });
}

template <int op>
PyObject* unary_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  if (nargs < 1) return PyErr_Format(PyExc_TypeError, "%s: missing argument 'input'", kUnaryRows[op].name);
  return call_unary(static_cast<UnaryOp>(op), args[0], args + 1, nargs - 1, keywords, false);
}
template <int op, bool in_place>
PyObject* unary_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return call_unary(static_cast<UnaryOp>(op), self, args, nargs, keywords, in_place);
}

Scalar product(const Scalar& a, const Scalar& b) {
  std::int64_t whole;
  if (a.is_real() || b.is_real()) return Scalar(a.as_double() * b.as_double());
  check(!__builtin_mul_overflow(a.as_int64(), b.as_int64(), &whole), "alpha: the product is out of the range of int64");
  return Scalar(whole);
}

// add and sub take PyTorch's alpha; it scales the second operand.
void take_alpha(BinaryOp op, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords, ArgHolder& b) {
  if (!keywords) return;
  const bool scales = op == BinaryOp::add || op == BinaryOp::sub;
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(keywords); ++k) {
    const char* name = text_of(PyTuple_GET_ITEM(keywords, k));
    check_as(ErrorKind::type, scales && !std::strcmp(name, "alpha"), name_of(op), ": unexpected argument '", name, "'");
    Scalar alpha(1);
    check_as(ErrorKind::type, to_scalar(args[nargs + k], alpha), name_of(op), ": alpha must be a number");
    if (b.tensor.defined())
      b.tensor = mul(b.tensor, alpha);
    else
      b.number = product(b.number, alpha);
  }
}

template <int op, bool in_place>
PyObject* call_binary(PyObject* first, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  const Row& row = kBinaryRows[op];
  return guarded(row.name, [&]() -> PyObject* {
    check_as(ErrorKind::type, nargs == 1, row.name, ": takes two operands");
    ArgHolder a, b;
    check_as(ErrorKind::type, to_arg(first, a) && to_arg(args[0], b), row.name, ": expected tensors or numbers, got ",
             Py_TYPE(first)->tp_name, " and ", Py_TYPE(args[0])->tp_name);
    check_as(ErrorKind::type, a.tensor.defined() || b.tensor.defined(), row.name,
             ": at least one operand must be a Tensor");
    take_alpha(static_cast<BinaryOp>(op), args, nargs, keywords, b);
    Tensor y;
    {
      MaybeReleaseGil gil(
          std::max(a.tensor.defined() ? a.tensor.numel() : 1, b.tensor.defined() ? b.tensor.numel() : 1));
      if constexpr (in_place)
        binary_in_place(static_cast<BinaryOp>(op), a.tensor, b);
      else
        y = binary(static_cast<BinaryOp>(op), a, b);
    }
    return in_place ? Py_NewRef(first) : wrap(y);
  });
}
template <int op>
PyObject* binary_function(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  if (nargs < 1) return PyErr_Format(PyExc_TypeError, "%s: takes two operands", kBinaryRows[op].name);
  return call_binary<op, false>(args[0], args + 1, nargs - 1, keywords);
}
template <int op, bool in_place>
PyObject* binary_method(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords) {
  return call_binary<op, in_place>(self, args, nargs, keywords);
}

// Python keeps pointers to definitions and their strings for ever.
PyMethodDef* definition(const std::string& name, _PyCFunctionFastWithKeywords f, const std::string& doc) {
  return new PyMethodDef{strdup(name.c_str()), reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(f)),
                         METH_FASTCALL | METH_KEYWORDS, strdup(doc.c_str())};
}
void add_function(py::module_& m, const std::string& name, const std::string& signature,
                  _PyCFunctionFastWithKeywords f) {
  const std::string doc = name + signature + "\n--\n\n" + name + ", element by element.";
  PyObject* function = PyCFunction_NewEx(definition(name, f, doc), nullptr, m.attr("__name__").ptr());
  if (!function) throw py::error_already_set();
  m.add_object(name.c_str(), py::reinterpret_steal<py::object>(function));
}
void add_method(const std::string& name, const std::string& signature, _PyCFunctionFastWithKeywords f) {
  const std::string doc = name + signature + "\n--\n\n" + name + ", element by element.";
  PyObject* method = PyDescr_NewMethod(tensor_type(), definition(name, f, doc));
  if (!method) throw py::error_already_set();
  py::object type = py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(tensor_type()));
  py::setattr(type, name.c_str(), py::reinterpret_steal<py::object>(method));
}

template <std::size_t... op>
void add_unary(py::module_& m, std::index_sequence<op...>) {
  const auto one = [&](const Row& row, _PyCFunctionFastWithKeywords f, _PyCFunctionFastWithKeywords method,
                       _PyCFunctionFastWithKeywords in_place) -> std::vector<Parameter> {
    if (row.signature == kInternal) return {};
    const std::string name = row.name, more = *row.signature ? std::string(", ") + row.signature : "";
    add_function(m, name, "(input, /" + more + ")", f);
    add_method(name, "($self, /" + more + ")", method);
    if (row.in_place) add_method(name + "_", "($self, /" + more + ")", in_place);
    return parse_signature(row.signature);
  };
  ((unary_parameters[op] = one(kUnaryRows[op], unary_function<op>, unary_method<op, false>, unary_method<op, true>)),
   ...);
}
template <std::size_t... op>
void add_binary(py::module_& m, std::index_sequence<op...>) {
  const auto one = [&](const Row& row, _PyCFunctionFastWithKeywords f, _PyCFunctionFastWithKeywords method,
                       _PyCFunctionFastWithKeywords in_place) {
    const std::string name = row.name, alpha = name == "add" || name == "sub" ? ", *, alpha=1" : "";
    add_function(m, name, "(input, other" + alpha + ")", f);
    add_method(name, "($self, other" + alpha + ")", method);
    if (row.in_place) add_method(name + "_", "($self, other" + alpha + ")", in_place);
  };
  (one(kBinaryRows[op], binary_function<op>, binary_method<op, false>, binary_method<op, true>), ...);
}

}  // namespace

void bind_elementwise(py::module_& m) {
  add_unary(m, std::make_index_sequence<kUnaryOps>());
  add_binary(m, std::make_index_sequence<kBinaryOps>());
  py::list unary_names, binary_names;
  for (const Row& row : kUnaryRows)
    if (row.signature != kInternal) unary_names.append(row.name);
  for (const Row& row : kBinaryRows) binary_names.append(row.name);
  m.attr("_unary_ops") = py::tuple(unary_names);
  m.attr("_binary_ops") = py::tuple(binary_names);

  m.def(
      "where", [](const Tensor& condition, const ArgHolder& a, const ArgHolder& b) { return where(condition, a, b); },
      py::arg("condition"), py::arg("input"), py::arg("other"), ReleaseGil());
  def_method(
      "where",
      [](const Tensor& x, const Tensor& condition, const ArgHolder& other) { return where(condition, x, other); },
      py::arg("condition"), py::arg("other"), ReleaseGil());
  def_both(
      m, "masked_fill",
      [](const Tensor& x, const Tensor& mask, const ArgHolder& value) {
        if (value.tensor.defined())
          check(value.tensor.ndim() == 0,
                "masked_fill: value must be a number or a tensor without dimensions, got shape ", value.tensor.shape());
        return to_dtype(where(mask, value, x), x.dtype());
      },
      py::arg("mask"), py::arg("value"), ReleaseGil());
  def_both(
      m, "clamp",
      [](const Tensor& x, const std::optional<ArgHolder>& low, const std::optional<ArgHolder>& high) {
        const std::optional<Arg> l = low ? std::optional<Arg>(*low) : std::nullopt,
                                 h = high ? std::optional<Arg>(*high) : std::nullopt;
        return clamp(x, l ? &*l : nullptr, h ? &*h : nullptr);
      },
      py::arg("min") = py::none(), py::arg("max") = py::none(), ReleaseGil());
  def_both(m, "clone", &clone, ReleaseGil());
  def_method("contiguous", &contiguous, ReleaseGil());
  def_method(
      "fill_",
      [](const Tensor& t, const ArgHolder& value) {
        const Tensor& number = value.tensor;
        if (!number.defined()) return fill_(t, value.number), t;
        check(number.ndim() == 0, "fill_: value must be a number or a tensor without dimensions, got shape ",
              number.shape());
        return copy_(t, number), t;
      },
      py::arg("value"), ReleaseGil());
  def_method(
      "zero_", [](const Tensor& t) { return fill_(t, Scalar(0)), t; }, ReleaseGil());
  def_method(
      "copy_",
      [](const Tensor& t, const Tensor& source, bool non_blocking) {
        if (!non_blocking || !download(t, source)) copy_(t, source);
        return t;
      },
      py::arg("source"), py::arg("non_blocking") = false, ReleaseGil());
  def_method(
      "_to_dtype", [](const Tensor& t, DType dtype) { return lamina::to_dtype(t, dtype); }, py::arg("dtype"),
      ReleaseGil());
  m.def("promote_types", &promote, py::arg("type1"), py::arg("type2"));
  m.def("result_type", [](const ArgHolder& a, const ArgHolder& b) {
    const Arg x = a, y = b;
    return result_type({&x, &y});
  });
}

}  // namespace lamina::bind
