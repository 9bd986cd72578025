#include "responder/base/file.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "responder/base/text.hpp"

namespace responder {

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& path, Mode mode) {
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (mode == Mode::exclusive ? O_EXCL : O_TRUNC);
  UniqueFd fd(::open(path.c_str(), flags, 0640));
  if (!fd) return errno_error(errno, fmt::format("cannot create {}", path.string()));
  return OutputFile(path, std::move(fd));
}

Result<void> OutputFile::write(std::span<const unsigned char> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_error(errno, fmt::format("cannot write {}", path_.string()));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> OutputFile::write(std::string_view text) {
  return write(std::span(reinterpret_cast<const unsigned char*>(text.data()), text.size()));
}

Result<void> OutputFile::sync() {
  if (::fsync(fd_.get()) != 0) return errno_error(errno, fmt::format("cannot sync {}", path_.string()));
  return {};
}

Result<void> OutputFile::close() {
  if (::close(fd_.release()) != 0) return errno_error(errno, fmt::format("cannot close {}", path_.string()));
  return {};
}

Result<void> sync_file(const std::filesystem::path& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno_error(errno, fmt::format("cannot open {}", path.string()));
  if (::fsync(file.get()) != 0) return errno_error(errno, fmt::format("cannot sync {}", path.string()));
  return {};
}

Result<void> sync_directory(const std::filesystem::path& directory) {
  const auto synced = try_sync_directory(directory);
  return synced ? Result<void>{} : synced.error();
}

Result<bool> try_sync_directory(const std::filesystem::path& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(errno, fmt::format("cannot open folder {}", directory.string()));
  if (::fsync(fd.get()) == 0) return true;
  // What CIFS, 9p, vboxsf and some of FUSE answer for a folder, whatever is in it. EIO is never among these, nor
  // EROFS: that is what ext4 and btrfs answer after they have given up a disk.
  for (const int not_supported : {EINVAL, EBADF, ENOTSUP, EOPNOTSUPP, ENOSYS}) {
    if (errno == not_supported) return false;
  }
  return errno_error(errno, fmt::format("cannot sync folder {}", directory.string()));
}

Result<void> make_directories(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return errno_error(error.value(), fmt::format("cannot create folder {}", directory.string()));
  return {};
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, fmt::format("cannot open {}", path.string()));
  std::string content;
  while (true) {
    const std::size_t used = content.size();
    if (used > limit) {
      return Error{ErrorKind::permanent, fmt::format("{} is larger than {} bytes", path.string(), limit)};
    }
    content.resize(used + 64 * 1024);
    const ssize_t got = ::read(fd.get(), content.data() + used, content.size() - used);
    if (got < 0 && errno != EINTR) return errno_error(errno, fmt::format("cannot read {}", path.string()));
    content.resize(used + static_cast<std::size_t>(got > 0 ? got : 0));
    if (got == 0) return content;
  }
}

std::optional<std::string> mount_point(const std::filesystem::path& path) {
  const auto table = read_file("/proc/self/mountinfo");
  std::error_code failed;
  const auto wanted = std::filesystem::absolute(path, failed).lexically_normal();
  if (!table || failed) return std::nullopt;
  std::optional<std::string> longest;
  for (const auto& line : split(*table, '\n')) {
    constexpr std::size_t mount_point_field = 4;  // proc(5); spaces in it are \040, as good as any text to compare
    const auto fields = split(line, ' ');
    if (fields.size() <= mount_point_field) continue;
    const std::filesystem::path mounted = fields[mount_point_field];
    const bool is_above =
        std::mismatch(mounted.begin(), mounted.end(), wanted.begin(), wanted.end()).first == mounted.end();
    if (is_above && (!longest || mounted.native().size() >= longest->size())) longest = mounted.native();
  }
  return longest;
}

Result<std::optional<std::uint64_t>> free_bytes(const std::filesystem::path& directory) {
  struct statvfs info {};
  if (::statvfs(directory.c_str(), &info) != 0) {
    // The folder may be there all the same: whoever writes in it will see.
    for (const int no_figure : {EIO, ENOSYS, EOVERFLOW, ENOTSUP, EOPNOTSUPP}) {
      if (errno == no_figure) return std::optional<std::uint64_t>{};
    }
    return errno_error(errno, fmt::format("cannot look at {}", directory.string()));
  }
  const std::uint64_t block = info.f_frsize != 0 ? info.f_frsize : info.f_bsize;
  const std::uint64_t free = info.f_bavail;
  // Shares that do not know their size say that they have no blocks, or more free ones than there are.
  const bool is_figure = info.f_blocks > 0 && block > 0 && free <= info.f_blocks &&
                         free <= std::numeric_limits<std::uint64_t>::max() / block;
  return is_figure ? std::optional(free * block) : std::nullopt;
}

std::filesystem::path absolute_path(const std::filesystem::path& path) {
  if (path.empty()) return path;
  std::error_code failed;
  const auto whole = std::filesystem::absolute(path, failed);
  if (failed) return path;
  std::filesystem::path clean = "/";
  for (const auto& part : whole.relative_path()) {
    if (!part.empty() && part != ".") clean /= part;
  }
  return clean;
}

}  // namespace responder
