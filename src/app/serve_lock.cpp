#include "serve_lock.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

namespace responder::app {
namespace {

std::filesystem::path lock_path(std::filesystem::path journal) {
  journal += ".serve-lock";
  return journal;
}

}  // namespace

Result<ServeLock> ServeLock::take(const std::filesystem::path& journal) {
  if (journal.has_parent_path()) {
    if (auto made = make_directories(journal.parent_path()); !made) return made.error();
  }
  const auto path = lock_path(journal);
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) return errno_error(errno, fmt::format("cannot create {}", path.string()));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error{ErrorKind::permanent,
                 fmt::format("another serve works on {}: stop it, or give this one a journal.path of its own",
                             journal.string())};
  }
  return ServeLock(std::move(fd));
}

bool ServeLock::is_held(const std::filesystem::path& journal) {
  const UniqueFd fd(::open(lock_path(journal).c_str(), O_RDWR | O_CLOEXEC));
  return fd && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0;
}

}  // namespace responder::app
