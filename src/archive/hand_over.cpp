#include "responder/archive/hand_over.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

#include "files.hpp"
#include "sha256.hpp"

namespace responder::archive {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view sums_name = "SHA256SUMS";
constexpr std::string_view separator = "  ";  // of hash and name

template <class Take>
Result<FileDigest> digest(const fs::path& file, const HandOver::Progress& progress, const Take& take) {
  Sha256 hash;
  const auto size = each_chunk(file, [&](std::span<const unsigned char> bytes) -> Result<void> {
    if (!progress(bytes.size())) return Error{ErrorKind::cancelled, "interrupted"};
    hash.update(bytes);
    return take(bytes);
  });
  if (!size) return size.error();
  return FileDigest{*size, hash.hex()};
}

// Without ever replacing a file: false, one has that name. Where the file system cannot do that by itself, it is
// looked at before.
Result<bool> rename_to_free_name(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
    return errno_error(errno, fmt::format("cannot name {}", to.string()));
  std::error_code failed;
  if (fs::symlink_status(to, failed).type() != fs::file_type::not_found) return false;
  if (auto renamed = rename_file(from, to); !renamed) return renamed.error();
  return true;
}

}  // namespace

HandOver::Copy::Copy(Copy&& other) noexcept
    : part_(std::exchange(other.part_, {})), name_(std::move(other.name_)), digest_(std::move(other.digest_)) {}

HandOver::Copy::~Copy() {
  if (!part_.empty()) remove_quietly(part_);
}

Result<HandOver> HandOver::open(fs::path directory) {
  if (auto made = make_directories(directory); !made) return made.error();
  HandOver folder(std::move(directory));
  const auto path = folder.directory_ / sums_name;
  constexpr std::size_t most = 64U << 20U;
  const auto sums = read_file(path, most);
  if (!sums && sums.error().kind != ErrorKind::not_found) return sums.error();
  for (const auto& line : split(sums ? *sums : "", '\n')) {
    const auto at = line.find(separator);
    if (at != 64)
      return Error{ErrorKind::permanent,
                   fmt::format("{} is there and lists no SHA-256 sums: give another folder", path.string())};
    folder.sums_[line.substr(at + separator.size())] = line.substr(0, at);
  }
  // Said once, before anything is copied.
  const auto probe = temporary(path);
  auto writable = write_synced(probe, "");
  remove_quietly(probe);
  if (!writable) return writable.error();
  return folder;
}

Result<HandOver::Copy> HandOver::make(const std::string& name,
                                      const std::function<Result<FileDigest>(const Take&)>& fill) const {
  const auto part = temporary(directory_ / name);
  remove_quietly(part);  // of an attempt that was cut off
  auto output = OutputFile::create(part, OutputFile::Mode::exclusive);
  if (!output) return output.error();
  Copy copied(part, name);
  const auto filled = fill([&](std::span<const unsigned char> bytes) { return output->write(bytes); });
  if (!filled) return filled.error();
  if (auto synced = output->sync(); !synced) return synced.error();
  if (auto closed = output->close(); !closed) return closed.error();
  copied.digest_ = *filled;
  return copied;
}

Result<HandOver::Copy> HandOver::copy(const fs::path& from, const std::string& name, const Progress& progress) const {
  return make(name, [&](const Take& take) { return digest(from, progress, take); });
}

Result<HandOver::Copy> HandOver::write(std::string_view content, const std::string& name) const {
  return make(name, [&](const Take& take) -> Result<FileDigest> {
    const auto bytes = std::span(reinterpret_cast<const unsigned char*>(content.data()), content.size());
    if (auto taken = take(bytes); !taken) return taken.error();
    Sha256 hash;
    hash.update(bytes);
    return FileDigest{content.size(), hash.hex()};
  });
}

Result<void> HandOver::keep(Copy copy, const Progress& progress) {
  const auto named = rename_to_free_name(copy.part_, directory_ / copy.name_);
  if (!named) return named.error();
  if (*named) {
    copy.part_.clear();
    sums_[copy.name_] = copy.digest_.sha256;
    return sync_directory(directory_);
  }
  const auto same = has(copy.name_, copy.digest_.sha256, progress);
  if (!same) return same.error();
  if (*same) return {};
  return Error{ErrorKind::permanent, fmt::format("{} is there and is another file: it is left as it is",
                                                 (directory_ / copy.name_).string())};
}

Result<bool> HandOver::has(const std::string& name, const std::string& sha256, const Progress& progress) {
  // Evidence is a file of its own; a link may lead back into the archive.
  std::error_code failed;
  const auto status = std::filesystem::symlink_status(directory_ / name, failed);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return false;
  const auto there = digest(directory_ / name, progress, [](auto) { return Result<void>{}; });
  if (!there && there.error().kind == ErrorKind::not_found) return false;
  if (!there) return there.error();
  if (there->sha256 != sha256) return false;
  sums_[name] = sha256;
  return true;
}

Result<void> HandOver::write_sums() const {
  if (sums_.empty()) return {};
  std::string text;
  for (const auto& [name, sum] : sums_) text += fmt::format("{}{}{}\n", sum, separator, name);
  const auto path = directory_ / sums_name;
  const auto part = temporary(path);
  auto named = write_synced(part, text);
  if (named) named = rename_file(part, path);
  if (!named) remove_quietly(part);
  return named ? sync_directory(directory_) : named;
}

}  // namespace responder::archive
