// Errors as values. The kind says what to do next; the message is one line for people: what happened, where, what to
// do.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace responder {

enum class ErrorKind {
  transient,  // may pass by itself: try again with a growing delay
  not_yet,    // asked too early: try again when it should be there
  not_found,  // the other side says it does not have it
  auth,       // refused credentials: renew once, then give up
  permanent,  // trying again cannot help
  no_space,   // a disk is full or not there: wait, lose nothing
  cancelled,  // we are shutting down
};

std::string_view to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::permanent;
  std::string message;
  // What the other side asked us to wait, if it did.
  std::optional<std::chrono::seconds> retry_after = {};
};

// The same error, told from one step further out: "while doing X: what happened". Unchanged where it says so already.
Error with_context(Error error, std::string_view context);

// `errno` as an error: the one table from errno to ErrorKind.
Error errno_error(int error_number, std::string_view what);

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  Error& error() { return std::get<1>(state_); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_; }
  Error& error() { return *error_; }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace responder
