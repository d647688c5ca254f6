#include "bind/arguments.h"

#include <cstring>

namespace lamina::bind {
namespace {

// Nothing for what is no integer, such as a tensor of more than one element; too large ones raise.
std::optional<std::int64_t> integer_from(PyObject* o) {
  if (!PyIndex_Check(o)) return std::nullopt;
  try {
    return to_int64(o);
  } catch (const py::error_already_set& e) {
    if (!e.matches(PyExc_TypeError)) throw;
    return std::nullopt;
  }
}

}  // namespace

Signature::Signature(const char* text) {
  std::string rest = text;
  bool keyword_only = false;
  while (!rest.empty()) {
    const std::size_t comma = rest.find(", ");
    const std::string one = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 2);
    if (one == "*") {
      keyword_only = true;
      continue;
    }
    names.push_back(one.substr(0, one.find('=')));
    positional += !keyword_only;
  }
}

Arguments::Arguments(const char* function, std::initializer_list<const char*> names, int positional,
                     PyObject* const* args, Py_ssize_t nargs, PyObject* keywords)
    : function_(function) {
  int count = 0;
  for (const char* name : names) names_[count++] = name;
  fill(0, count, positional, args, nargs, keywords);
}

Arguments::Arguments(const char* function, const Signature& signature, PyObject* self, PyObject* const* args,
                     Py_ssize_t nargs, PyObject* keywords)
    : function_(function) {
  int count = 0;
  names_[count++] = "input";
  for (const std::string& name : signature.names) names_[count++] = name.c_str();
  values_[0] = self;
  fill(1, count, signature.positional, args, nargs, keywords);
}

// NumPy's names for two parameters are understood, as PyTorch does.
static const char* without_synonym(const char* name) {
  if (std::strcmp(name, "axis") == 0) return "dim";
  return std::strcmp(name, "keepdims") == 0 ? "keepdim" : name;
}

// Names from number `first` on are taken from the call.
void Arguments::fill(int first, int count, int positional, PyObject* const* args, Py_ssize_t nargs,
                     PyObject* keywords) {
  check_as(ErrorKind::type, nargs <= positional, function_, ": takes at most ", positional,
           positional == 1 ? " positional argument, got " : " positional arguments, got ", nargs);
  for (Py_ssize_t i = 0; i < nargs; ++i) values_[first + i] = args[i];
  for (Py_ssize_t k = 0; keywords && k < PyTuple_GET_SIZE(keywords); ++k) {
    const char* name = text_of(PyTuple_GET_ITEM(keywords, k));
    int i = first;
    while (i < count && std::strcmp(names_[i], name) != 0 && std::strcmp(names_[i], without_synonym(name)) != 0) ++i;
    check_as(ErrorKind::type, i < count, function_, ": unexpected argument '", name, "'");
    check_as(ErrorKind::type, !values_[i], function_, ": argument '", name, "' given twice");
    values_[i] = args[nargs + k];
  }
  for (int i = 0; i < kMaxArguments; ++i)
    if (values_[i] == Py_None) values_[i] = nullptr, none_[i] = true;
}

void Arguments::wrong(int i, const char* expected) const {
  fail(ErrorKind::type, function_, ": ", names_[i], " must be ", expected, ", got ",
       py::repr(values_[i]).cast<std::string>());
}

PyObject* Arguments::require(int i) const {
  check_as(ErrorKind::type, !none_[i], function_, ": ", names_[i], " must not be None");
  check_as(ErrorKind::type, values_[i] != nullptr, function_, ": missing argument '", names_[i], "'");
  return values_[i];
}

Tensor Arguments::tensor(int i) const {
  if (is_tensor(require(i))) return tensor_of(values_[i]);
  if (!looks_like_array(values_[i])) wrong(i, "a Tensor or an array");
  return tensor_from_buffer(values_[i]);
}

std::int64_t Arguments::integer(int i) const {
  const auto v = integer_from(require(i));
  if (!v) wrong(i, "an integer");
  return *v;
}

std::optional<Dims> Arguments::dims(int i) const {
  if (!values_[i]) return std::nullopt;
  if (PyIndex_Check(values_[i])) return Dims{integer(i)};
  Dims d;
  if (!to_dims(values_[i], d)) wrong(i, "an integer or a sequence of integers");
  return d;
}

Scalar Arguments::number(int i) const {
  Scalar s(0);
  if (to_scalar(require(i), s)) return s;
  if (!is_tensor(values_[i]) || tensor_of(values_[i]).numel() != 1) wrong(i, "a number");
  return item_of(tensor_of(values_[i]));
}

bool Arguments::flag(int i, bool otherwise) const {
  if (!values_[i]) return otherwise;
  if (!PyBool_Check(values_[i])) wrong(i, "True or False");
  return values_[i] == Py_True;
}

std::optional<DType> Arguments::dtype(int i) const {
  if (!values_[i]) return std::nullopt;
  DType t;
  if (!to_dtype(values_[i], t)) wrong(i, "a lamina dtype");
  return t;
}

std::optional<Device> Arguments::device(int i) const {
  if (!values_[i]) return std::nullopt;
  Device d;
  if (!to_device(values_[i], d)) wrong(i, "'cpu', 'cuda' or 'cuda:<n>'");
  return d;
}

void add_function(py::module_& m, const char* name, const char* parameters, const char* doc,
                  _PyCFunctionFastWithKeywords f) {
  // Python keeps pointers to definitions and their strings for ever.
  auto* definition =
      new PyMethodDef{name, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(f)), METH_FASTCALL | METH_KEYWORDS,
                      strdup(concat(name, "(", parameters, ")\n--\n\n", doc).c_str())};
  PyObject* o = PyCFunction_NewEx(definition, nullptr, m.attr("__name__").ptr());
  if (!o) throw py::error_already_set();
  m.add_object(name, py::reinterpret_steal<py::object>(o));
}

namespace {

// The shape of a tensor to be made. What count() would refuse too, here under the function's name.
Dims checked_shape(const char* function, const Dims& sizes) {
  double elements = 1;
  for (const std::int64_t s : sizes) {
    check(s >= 0, function, ": negative size in shape ", sizes);
    if (s != 0) elements *= static_cast<double>(s);
  }
  check(elements <= static_cast<double>(kMostElements), function, ": shape ", sizes, " has too many elements");
  return sizes;
}

}  // namespace

Dims sizes_from(const char* function, PyObject* const* args, Py_ssize_t nargs) {
  Dims sizes;
  if (nargs == 1 && !PyIndex_Check(args[0])) {
    check_as(ErrorKind::type, to_dims(args[0], sizes), function, ": size must be integers, got ",
             py::repr(args[0]).cast<std::string>());
    return checked_shape(function, sizes);
  }
  for (Py_ssize_t i = 0; i < nargs; ++i) {
    const auto v = integer_from(args[i]);
    check_as(ErrorKind::type, v.has_value(), function, ": size must be integers, got ",
             py::repr(args[i]).cast<std::string>());
    sizes.push_back(*v);
  }
  return checked_shape(function, sizes);
}

}  // namespace lamina::bind
