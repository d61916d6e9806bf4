// Result<T>: a value or an Error. What comes from outside (the engine, GoCD, files, clients) is never an
// exception; exceptions are for faults of the program and for memory running out.
//
// An Error's message says what was attempted on which object, so that it can be shown to a person as it is:
//   remove volume cache of agent eb-17: the engine answered 409: volume is in use
// Values are immutable and may cross threads.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace ebbtide {

enum class ErrorKind {
  kInvalid,      // what was asked for is malformed: ask differently
  kDenied,       // policy refuses it
  kNotFound,     // the object is not there
  kConflict,     // the object's state forbids it now
  kTooLarge,     // over a limit of ours
  kUnavailable,  // the other side can't be reached, or answered with a server error: try later
  kTimeout,      // no answer within the limit
  kCancelled,    // we are stopping
  kInternal,     // a fault of ours
};

std::string_view to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;

  static Error invalid(std::string message) { return {ErrorKind::kInvalid, std::move(message)}; }
  static Error denied(std::string message) { return {ErrorKind::kDenied, std::move(message)}; }
  static Error not_found(std::string message) { return {ErrorKind::kNotFound, std::move(message)}; }
  static Error conflict(std::string message) { return {ErrorKind::kConflict, std::move(message)}; }
  static Error too_large(std::string message) { return {ErrorKind::kTooLarge, std::move(message)}; }
  static Error unavailable(std::string message) { return {ErrorKind::kUnavailable, std::move(message)}; }
  static Error timeout(std::string message) { return {ErrorKind::kTimeout, std::move(message)}; }
  static Error cancelled(std::string message) { return {ErrorKind::kCancelled, std::move(message)}; }
  static Error internal(std::string message) { return {ErrorKind::kInternal, std::move(message)}; }

  // The same error, its message preceded by what was being done.
  Error within(std::string_view attempt) const { return {kind, std::string(attempt) + ": " + message}; }
};

template <class T>
using Result = tl::expected<T, Error>;

// return fail(Error::not_found("…"));
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace ebbtide
