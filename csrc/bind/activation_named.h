// Activations that layers take by name into their epilogue.
#pragma once
#include <cstring>

#include "bind/arguments.h"
#include "ops/elementwise.h"

namespace lamina::bind {

// Those that take parameters, or give no numbers of the product's type, do not fit into its epilogue.
#define LAMINA_FITS_EPILOGUE(name, kind, saves, signature) \
  sizeof(signature) == 1 && !(Kind::kind == Kind::bits || Kind::kind == Kind::predicate),
inline constexpr bool kFitsEpilogue[] = {LAMINA_UNARY_OPS(LAMINA_FITS_EPILOGUE)};

inline std::optional<UnaryOp> activation_named(const Arguments& a, int i) {
  PyObject* const given = a.get(i);
  if (!given) return std::nullopt;
  const char* name = PyUnicode_Check(given) ? text_of(given) : "";
  for (int op = 0; op < kUnaryOps; ++op) {
    if (std::strcmp(name, name_of(static_cast<UnaryOp>(op))) != 0) continue;
    check(kFitsEpilogue[op], a.function(), ": ", name, " cannot be an activation here; call it on the result");
    return static_cast<UnaryOp>(op);
  }
  fail(ErrorKind::value, a.function(), ": unknown activation ", py::repr(given).cast<std::string>());
}

}  // namespace lamina::bind
