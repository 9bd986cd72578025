// Who serves on a journal: one process at a time holds this lock, beside the journal.
#pragma once

#include <filesystem>
#include <optional>

#include "responder/base/error.hpp"
#include "responder/base/file.hpp"

namespace responder::app {

class ServeLock {
 public:
  static Result<ServeLock> take(const std::filesystem::path& journal);
  // Whether some process holds it.
  static bool is_held(const std::filesystem::path& journal);

 private:
  explicit ServeLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace responder::app
