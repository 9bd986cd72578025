#include "secret_store.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;

Result<std::vector<std::string>> read_lines(const fs::path& store) {
  const auto content = read_file(store, 64 * 1024);
  if (!content && content.error().kind == ErrorKind::not_found) return std::vector<std::string>();
  if (!content) return content.error();
  return split(without_byte_order_mark(*content), '\n');
}

// Root may run the command for a service that has a user of its own.
Result<void> give_to_owner(int file, const fs::path& store) {
  if (::geteuid() != 0) return {};
  struct stat owner {};
  if (::stat(store.c_str(), &owner) != 0 && ::stat(store.parent_path().c_str(), &owner) != 0)
    return errno_error(errno, fmt::format("cannot look at {}", store.string()));
  if (::fchown(file, owner.st_uid, owner.st_gid) != 0)
    return errno_error(errno, fmt::format("cannot give {} its owner", store.string()));
  return {};
}

fs::path part_of(const fs::path& store) { return store.string() + fmt::format(".{}.part", ::getpid()); }

// Beside the store, until it is given its name.
Result<void> write_part(const fs::path& store, const std::vector<std::string>& lines) {
  const auto part = part_of(store);
  UniqueFd file(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return errno_error(errno, fmt::format("cannot write {}", part.string()));
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  if (auto given = give_to_owner(file.get(), store); !given) return given;
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return errno_error(errno, fmt::format("cannot write {}", part.string()));
  if (::fsync(file.get()) != 0) return errno_error(errno, fmt::format("cannot sync {}", part.string()));
  return {};
}

Result<void> write_lines(const fs::path& store, const std::vector<std::string>& lines) {
  const auto part = part_of(store);
  Result<void> written = write_part(store, lines);
  if (written && ::rename(part.c_str(), store.c_str()) != 0)
    written = errno_error(errno, fmt::format("cannot name {}", store.string()));
  if (written) return sync_directory(store.parent_path());
  ::unlink(part.c_str());
  return written;
}

// Commands at the same time change the store one after another.
Result<UniqueFd> lock_folder(const fs::path& store) {
  const auto folder = store.parent_path();
  if (auto made = make_directories(folder); !made) return made.error();
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX) != 0)
    return errno_error(errno, fmt::format("cannot open folder {}", folder.string()));
  return fd;
}

}  // namespace

Result<void> check_store(const fs::path& store) {
  const auto lock = lock_folder(store);
  if (!lock) return lock.error();
  const auto lines = read_lines(store);
  if (!lines) return lines.error();
  auto written = write_part(store, *lines);
  ::unlink(part_of(store).c_str());
  return written;
}

Result<bool> store_secret(const fs::path& store, const Secret& secret) {
  const auto lock = lock_folder(store);
  if (!lock) return lock.error();
  auto lines = read_lines(store);
  if (!lines) return lines.error();
  if (std::find(lines->begin(), lines->end(), secret.reveal()) != lines->end()) return false;
  lines->emplace_back(secret.reveal());
  if (auto written = write_lines(store, *lines); !written) return written.error();
  return true;
}

Result<std::size_t> forget_secrets(const fs::path& store, const std::function<bool(std::string_view)>& is_in_use) {
  const auto lock = lock_folder(store);
  if (!lock) return lock.error();
  auto lines = read_lines(store);
  if (!lines) return lines.error();
  const auto forgotten = std::erase_if(*lines, [&](const std::string& line) { return !is_in_use(line); });
  if (forgotten > 0) {
    if (auto written = write_lines(store, *lines); !written) return written.error();
  }
  return forgotten;
}

}  // namespace responder::app
