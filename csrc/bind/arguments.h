// Arguments of a function written against the C API (vectorcall): by position or by keyword, None meaning absent.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "bind/common.h"

namespace lamina::bind {

constexpr int kMaxArguments = 10;

// The parameters of a function, read from the text that documents it: "dim=None, keepdim=False, *, dtype=None". The
// names live as long as the object.
struct Signature {
  explicit Signature(const char* text);
  std::vector<std::string> names;
  int positional = 0;
};

class Arguments {
 public:
  // The first `positional` of `names` may also be given by position. Unknown, repeated and surplus ones are errors.
  Arguments(const char* function, std::initializer_list<const char*> names, int positional, PyObject* const* args,
            Py_ssize_t nargs, PyObject* keywords);
  // Of a method: argument 0 is `self`, the others are numbered as in the signature from 1.
  Arguments(const char* function, const Signature& signature, PyObject* self, PyObject* const* args, Py_ssize_t nargs,
            PyObject* keywords);

  const char* function() const { return function_; }
  PyObject* get(int i) const { return values_[i]; }  // null when absent
  PyObject* require(int i) const;
  Tensor tensor(int i) const;  // a tensor or an array
  std::int64_t integer(int i) const;
  std::optional<std::int64_t> dim(int i) const { return values_[i] ? std::optional(integer(i)) : std::nullopt; }
  std::optional<Dims> dims(int i) const;  // an integer or a sequence of them
  Scalar number(int i) const;             // a number or a tensor with one element
  Scalar number(int i, Scalar otherwise) const { return values_[i] ? number(i) : otherwise; }
  bool flag(int i, bool otherwise) const;
  std::optional<DType> dtype(int i) const;
  std::optional<Device> device(int i) const;

 private:
  void fill(int first, int count, int positional, PyObject* const* args, Py_ssize_t nargs, PyObject* keywords);
  [[noreturn]] void wrong(int i, const char* expected) const;

  const char* function_;
  const char* names_[kMaxArguments] = {};
  PyObject* values_[kMaxArguments] = {};
  bool none_[kMaxArguments] = {};
};

// lamina.name(parameters), a function that takes its arguments apart itself.
void add_function(py::module_& m, const char* name, const char* parameters, const char* doc,
                  _PyCFunctionFastWithKeywords f);

// zeros(2, 3), zeros((2, 3)), zeros(size=(2, 3)): the sizes among the positional arguments.
Dims sizes_from(const char* function, PyObject* const* args, Py_ssize_t nargs);

// What every function that makes a tensor takes at its end: dtype, device, requires_grad.
struct Factory {
  std::optional<DType> dtype;
  std::optional<Device> device;
  bool requires_grad = false;
  Factory() = default;
  Factory(const Arguments& a, int first)
      : dtype(a.dtype(first)), device(a.device(first + 1)), requires_grad(a.flag(first + 2, false)) {}
};

}  // namespace lamina::bind
