#include "process_lock.hpp"

#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>

namespace responder::app {
namespace {

// Of the whole file, and of this opening of it: unlike the older kind it does not go when another one is closed.
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Result<std::optional<ProcessLock>> ProcessLock::try_take(const std::filesystem::path& file) {
  if (file.has_parent_path()) {
    if (auto made = make_directories(file.parent_path()); !made) return made.error();
  }
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!fd) return errno_error(errno, fmt::format("cannot create {}", file.string()));
  auto lock = whole_file();
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) return std::optional(ProcessLock(std::move(fd)));
  if (errno == EAGAIN || errno == EACCES) return std::optional<ProcessLock>{};
  return errno_error(errno, fmt::format("cannot lock {}", file.string()));
}

bool ProcessLock::is_held(const std::filesystem::path& file) {
  // To be read: a member of the service's group may look, too.
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  auto lock = whole_file();
  return fd && ::fcntl(fd.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::filesystem::path serve_lock(std::filesystem::path journal) {
  journal += ".serve-lock";
  return journal;
}

std::filesystem::path work_lock(std::filesystem::path journal) {
  journal += ".work-lock";
  return journal;
}

Result<std::optional<WorkLocks>> take_work_locks(const std::filesystem::path& journal,
                                                 const std::filesystem::path& spool) {
  auto of_journal = ProcessLock::try_take(work_lock(journal));
  if (!of_journal) return with_context(of_journal.error(), "journal.path");
  if (!*of_journal) return std::optional<WorkLocks>{};
  auto of_spool = ProcessLock::try_take(spool / ".lock");
  if (!of_spool) return with_context(of_spool.error(), "capture.spool_directory");
  if (!*of_spool) return std::optional<WorkLocks>{};
  return std::optional(WorkLocks{std::move(**of_journal), std::move(**of_spool)});
}

}  // namespace responder::app
