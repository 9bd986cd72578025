// Files, with every error looked at: a write, a sync or a close that fails is an Error that names the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "responder/base/error.hpp"

namespace responder {

// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// A file being written. close() reports what the destructor would swallow.
class OutputFile {
 public:
  enum class Mode { exclusive, truncate };
  static Result<OutputFile> create(const std::filesystem::path& path, Mode mode);

  Result<void> write(std::span<const unsigned char> bytes);
  Result<void> write(std::string_view text);
  Result<void> sync();
  Result<void> close();
  const std::filesystem::path& path() const { return path_; }

 private:
  OutputFile(std::filesystem::path path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  UniqueFd fd_;
};

// Writes out what is not on disk yet of a file that somebody wrote.
Result<void> sync_file(const std::filesystem::path& path);
// Makes the names in a folder last. Where the file system cannot sync folders there is nothing to do, and no error; an
// I/O error is always one.
Result<void> sync_directory(const std::filesystem::path& directory);
// The same, and tells: false where the file system cannot sync folders.
Result<bool> try_sync_directory(const std::filesystem::path& directory);
Result<void> make_directories(const std::filesystem::path& directory);

// The whole file, at most `limit` bytes; a larger one is an error.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = 1U << 20U);

// Where the file system is mounted that the path is on, by the path's words alone: one that does not answer is not
// touched. nullopt: the system does not say.
std::optional<std::string> mount_point(const std::filesystem::path& path);

// Bytes that are free for us on the folder's file system. nullopt: it does not tell, and nothing may be concluded.
Result<std::optional<std::uint64_t>> free_bytes(const std::filesystem::path& directory);

// The same path, from the root on and without double slashes, "." or a slash at its end. ".." stays: behind a symbolic
// link it means another folder than the words say. An empty path stays empty.
std::filesystem::path absolute_path(const std::filesystem::path& path);

}  // namespace responder
