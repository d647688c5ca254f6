// Errors are for people: every message names the operation, what was expected and what came. What knows only sizes, not
// who asked for them, raises by fail_unnamed, and the binding puts the name of the called function in front.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace lamina {

enum class ErrorKind { value, type, index, runtime, buffer, not_implemented, memory, interrupted };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, bool names_operation = true)
      : std::runtime_error(message), kind(kind), names_operation(names_operation) {}
  ErrorKind kind;
  bool names_operation;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...));
}

template <class... Parts>
[[noreturn, gnu::cold, gnu::noinline]] void fail_unnamed(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...), false);
}

// check(ok, …) raises ValueError unless told otherwise; the message parts are only put together on failure.
template <class... Parts>
inline void check(bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(ErrorKind::value, parts...);
}
template <class... Parts>
inline void check_as(ErrorKind kind, bool ok, const Parts&... parts) {
  if (!ok) [[unlikely]]
    fail(kind, parts...);
}

}  // namespace lamina
