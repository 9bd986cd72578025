#include "look.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <pwd.h>
#include <sqlite3.h>
#include <unistd.h>

#include "responder/base/file.hpp"

namespace responder::journal {
namespace {

namespace fs = std::filesystem;

fs::path log_of(const fs::path& file) { return file.string() + "-wal"; }
fs::path shared_memory_of(const fs::path& file) { return file.string() + "-shm"; }

bool is_there(const fs::path& file) { return ::access(file.c_str(), F_OK) == 0; }

std::string user_name(uid_t user) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return fmt::format("user {}", user);
  return entry.pw_name;
}

Result<void> check_readable(const fs::path& file) {
  if (::access(file.c_str(), R_OK) == 0) return {};
  const int why = errno;
  if (why == ENOENT) return errno_error(why, fmt::format("cannot open {}", file.string()));
  struct stat owner {};
  if (::stat(file.c_str(), &owner) != 0) return errno_error(why, fmt::format("cannot read {}", file.string()));
  return Error{ErrorKind::permanent, fmt::format("cannot read {}: {}: run this as {}, or as a member of its group",
                                                 file.string(), std::strerror(why), user_name(owner.st_uid))};
}

// Whether the database's header says that it has a write-ahead log. An empty file has none yet. It is read through
// SQLite: closing any other descriptor of the file would give up all the locks that this process has on it, SQLite's
// as well, and the next process that closes the database would take its log away.
Result<bool> has_write_ahead_log(const fs::path& file) {
  constexpr sqlite3_int64 read_version_at = 19;
  constexpr unsigned char write_ahead = 2;
  sqlite3* raw = nullptr;
  int code = sqlite3_open_v2(file.c_str(), &raw, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close)> database(raw, sqlite3_close);
  sqlite3_file* opened = nullptr;
  if (code == SQLITE_OK) code = sqlite3_file_control(raw, "main", SQLITE_FCNTL_FILE_POINTER, &opened);
  unsigned char version = 0;
  if (code == SQLITE_OK && opened != nullptr && opened->pMethods != nullptr)
    code = opened->pMethods->xRead(opened, &version, 1, read_version_at);
  if (code != SQLITE_OK && code != SQLITE_IOERR_SHORT_READ)
    return Error{ErrorKind::permanent, fmt::format("cannot read {}: {}", file.string(), sqlite3_errstr(code))};
  return version == write_ahead;
}

}  // namespace

Unattended::Unattended(fs::path file) : file_(std::move(file)), seen_(look()) {}

struct ::stat Unattended::look() const {
  struct ::stat now {};
  if (::stat(file_.c_str(), &now) != 0) now = {};
  return now;
}

bool Unattended::is_unchanged() const {
  const auto now = look();
  return now.st_ino == seen_.st_ino && now.st_size == seen_.st_size && now.st_mtim.tv_sec == seen_.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec;
}

bool Unattended::is_attended() const { return is_there(log_of(file_)) && is_there(shared_memory_of(file_)); }

Result<ReadWith> how_to_read(const fs::path& file) {
  if (auto readable = check_readable(file); !readable) return readable.error();
  const auto log = log_of(file);
  const auto shared_memory = shared_memory_of(file);
  // They are there as long as anybody has it open, this process as well.
  if (is_there(log) && is_there(shared_memory)) {
    auto readable = check_readable(log);
    if (readable) readable = check_readable(shared_memory);
    if (!readable) return readable.error();
    return ReadWith::locks;
  }
  const auto has_log = has_write_ahead_log(file);
  if (!has_log) return has_log.error();
  if (!*has_log) return ReadWith::locks;
  std::error_code failed;
  const auto waiting = fs::file_size(log, failed);
  if (failed || waiting == 0) return ReadWith::nothing;
  return Error{ErrorKind::permanent,
               fmt::format("{} has what {} does not have yet, and {} is missing, which who only "
                           "looks does not make: start serve",
                           log.string(), file.string(), shared_memory.string())};
}

}  // namespace responder::journal
