// Bytes of a file by offset, big-endian, bounds-checked: a read past the end is nullopt, never garbage.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/base/file.hpp"

namespace responder::media {

class ByteReader {
 public:
  static Result<ByteReader> open(const std::filesystem::path& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return errno_error(errno, "cannot read " + path.string());
    return ByteReader(std::move(fd), static_cast<std::uint64_t>(info.st_size));
  }

  std::uint64_t size() const { return size_; }

  bool read(std::uint64_t offset, std::span<unsigned char> out) const {
    if (offset > size_ || out.size() > size_ - offset) return false;
    return ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(out.size());
  }

  // An unsigned big-endian integer of `bytes` (1-8) bytes. Not for several threads at once: what lies around the last
  // one is kept, as headers and tables are read field by field.
  std::optional<std::uint64_t> integer(std::uint64_t offset, std::size_t bytes) {
    if (offset > size_ || bytes > size_ - offset) return std::nullopt;
    if (offset < kept_at_ || offset + bytes > kept_at_ + kept_bytes_) {
      kept_at_ = offset;
      kept_bytes_ = std::min<std::uint64_t>(kept_.size(), size_ - offset);
      if (!read(offset, std::span(kept_).first(kept_bytes_))) {
        kept_bytes_ = 0;
        return std::nullopt;
      }
    }
    std::uint64_t value = 0;
    for (const unsigned char byte : std::span(kept_).subspan(offset - kept_at_, bytes)) value = value << 8U | byte;
    return value;
  }

 private:
  ByteReader(UniqueFd fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}
  UniqueFd fd_;
  std::uint64_t size_;
  std::array<unsigned char, 512> kept_{};
  std::uint64_t kept_at_ = 0;
  std::uint64_t kept_bytes_ = 0;
};

}  // namespace responder::media
