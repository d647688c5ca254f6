// Errors are for people: every message names the operation, what was expected and what came.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace lamina {

enum class ErrorKind { value, type, index, runtime, buffer, not_implemented, memory, interrupted };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind(kind) {}
  ErrorKind kind;
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
