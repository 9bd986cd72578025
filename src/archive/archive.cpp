#include "responder/archive/archive.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/json_writer.hpp"

#include "files.hpp"
#include "sha256.hpp"

namespace responder::archive {
namespace {

namespace fs = std::filesystem;

// Brings `from` to `to` (synced, hashed), and leaves `from`: by a second name where both are on one file system, else
// in one sequential write.
Result<ArchivedClip> bring(const fs::path& from, const fs::path& to, std::stop_token stop) {
  ArchivedClip clip;
  Sha256 hash;
  remove_quietly(to);  // of an attempt that was cut off
  bool linked = ::link(from.c_str(), to.c_str()) == 0;
  bool must_copy = !linked && (errno == EXDEV || errno == EPERM || errno == EOPNOTSUPP || errno == ENOTSUP ||
                               errno == ENOSYS || errno == EMLINK);
  // A sync that failed is not asked again: the next one may say that all is well when it is not. A copy is written
  // anew.
  if (linked && !sync_file(to)) {
    remove_quietly(to);
    linked = false;
    must_copy = true;
  }
  if (linked) {
    const auto size = each_chunk(to, [&](std::span<const unsigned char> bytes) -> Result<void> {
      hash.update(bytes);
      return {};
    });
    if (!size) return size.error();
    clip.bytes = *size;
  } else if (must_copy) {
    auto output = OutputFile::create(to, OutputFile::Mode::exclusive);
    if (!output) return output.error();
    const auto size = each_chunk(from, [&](std::span<const unsigned char> bytes) -> Result<void> {
      if (stop.stop_requested()) return Error{ErrorKind::cancelled, "interrupted by a stop of the program"};
      hash.update(bytes);
      return output->write(bytes);
    });
    if (!size) return size.error();
    if (auto synced = output->sync(); !synced) return synced.error();
    if (auto closed = output->close(); !closed) return closed.error();
    clip.bytes = *size;
  } else {
    return errno_error(errno, fmt::format("cannot bring {} to {}", from.string(), to.string()));
  }
  clip.sha256 = hash.hex();
  return clip;
}

fs::path with_ending(fs::path stem, std::string_view ending) {
  stem += ending;
  return stem;
}

constexpr std::string_view marker_name = ".rhombus-responder-archive";

bool same_content(const fs::path& one, const fs::path& other) {
  std::error_code failed;
  const bool same_size = fs::file_size(one, failed) == fs::file_size(other, failed) && !failed;
  if (!same_size) return false;
  const auto hash_of = [](const fs::path& file) {
    Sha256 hash;
    const auto read = each_chunk(file, [&](std::span<const unsigned char> bytes) -> Result<void> {
      hash.update(bytes);
      return {};
    });
    return read ? hash.hex() : std::string();
  };
  const auto hash = hash_of(one);
  return !hash.empty() && hash == hash_of(other);
}

}  // namespace

// How sidecar_identity() begins, whoever's it is.
constexpr std::string_view sidecar_opening = R"({"alert":")";

std::string sidecar_identity(const ClipIdentity& clip) {
  JsonWriter json;
  json.begin_object().field("alert", clip.alert.str()).field("camera", clip.camera.str());
  return std::move(json).str();
}

Archive::Archive(fs::path directory, Layout layout, NameZone zone, std::uint64_t min_free_bytes)
    : directory_(std::move(directory)), layout_(layout), zone_(zone), min_free_bytes_(min_free_bytes) {}

Result<void> Archive::check_writable() const {
  if (auto made = make_directories(directory_); !made) return made;
  const auto probe = directory_ / fmt::format(".writable-{}", ::getpid());
  auto written = write_synced(probe, "");
  remove_quietly(probe);
  return written;
}

Result<std::optional<std::string>> Archive::marker() const {
  std::error_code failed;
  const auto path = directory_ / marker_name;
  if (!fs::exists(path, failed)) {
    if (failed && failed != std::errc::no_such_file_or_directory && failed != std::errc::not_a_directory)
      return errno_error(failed.value(), fmt::format("cannot look at {}", path.string()));
    return std::optional<std::string>{};
  }
  auto content = read_file(path, 4096);
  if (!content) return content.error();
  return std::optional(content->substr(0, content->find('\n')));
}

Result<void> Archive::write_marker(const std::string& id) const {
  if (auto made = make_directories(directory_); !made) return made;
  const auto path = directory_ / marker_name;
  // Of this process alone: a serve and catch-ups that begin at once all write it.
  const auto part = with_ending(temporary(path), fmt::format("-{}", ::getpid()));
  auto named = write_synced(part, id + "\nrhombus-responder's archive: without this file nothing is written here.\n");
  if (named) named = rename_file(part, path);
  return named ? sync_directory(directory_) : named;
}

Result<std::uint64_t> Archive::lacking(std::uint64_t more) const {
  const auto left = free_bytes(directory_);
  if (!left) return left.error();
  return min_free_bytes_ + more - std::min(*left, min_free_bytes_ + more);
}

Result<void> Archive::check_space(std::uint64_t more) const {
  const auto left = free_bytes(directory_);
  if (!left) {
    Error error = left.error();
    error.kind = ErrorKind::no_space;
    return error;
  }
  if (*left >= min_free_bytes_ + more) return {};
  return Error{ErrorKind::no_space,
               fmt::format("{} has {} MiB free, archive.min_free_bytes keeps {} MiB: make room or lower it",
                           directory_.string(), *left >> 20U, min_free_bytes_ >> 20U)};
}

Result<bool> Archive::may_have(const fs::path& stem, const fs::path& finished, const ClipIdentity& clip,
                               const Naming& naming) const {
  const auto file = with_ending(stem, ".mp4");
  const auto name = file.lexically_relative(directory_).string();
  if (naming.is_of_another) {
    const auto taken = naming.is_of_another(name);
    if (!taken || *taken) return taken ? Result<bool>(false) : taken.error();
  }
  const auto sidecar = read_file(with_ending(stem, ".json"));
  if (sidecar && sidecar->starts_with(sidecar_identity(clip))) return true;
  // Of ours something is left of it; what looks otherwise is a person's file.
  const bool damaged = sidecar && !sidecar->starts_with(sidecar_opening) &&
                       (sidecar->empty() || sidecar->front() == '{' || sidecar->front() == '\0');
  const bool none = !sidecar && sidecar.error().kind == ErrorKind::not_found;
  if (!damaged && !none) return false;
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return true;
  if (damaged && naming.whole && name == naming.own) return true;
  // Somebody else's file, unless a power cut has left the name of this very clip and not that of its sidecar.
  return same_content(finished, file);
}

Result<fs::path> Archive::free_stem(const fs::path& finished, const ClipIdentity& clip, const Naming& naming) const {
  const auto stem = directory_ / clip_stem(clip, naming.layout.value_or(layout_), zone_);
  constexpr int max_numbers = 100;
  for (int number = 1; number <= max_numbers; ++number) {
    const auto candidate = number == 1 ? stem : with_ending(stem, fmt::format("-{}", number));
    const auto free = may_have(candidate, finished, clip, naming);
    if (!free) return free.error();
    if (*free) return candidate;
  }
  return Error{ErrorKind::permanent,
               fmt::format("{}.mp4 and {} numbered ones belong to others", stem.string(), max_numbers)};
}

Result<ArchivedClip> Archive::publish(const fs::path& finished, const ClipIdentity& identity, const Naming& naming,
                                      const std::function<std::string(const ArchivedClip&)>& sidecar,
                                      std::stop_token stop) const {
  const auto stem = free_stem(finished, identity, naming);
  if (!stem) return stem.error();
  auto clip = publish_as(*stem, finished, sidecar, std::move(stop));
  // Whatever the archive's storage answers (away, full, read-only, not a folder any more), the clip can wait for it.
  if (!clip && clip.error().kind != ErrorKind::cancelled) clip.error().kind = ErrorKind::no_space;
  return clip;
}

Result<ArchivedClip> Archive::publish_as(const fs::path& stem, const fs::path& finished,
                                         const std::function<std::string(const ArchivedClip&)>& sidecar,
                                         std::stop_token stop) const {
  const auto clip_path = with_ending(stem, ".mp4");
  const auto sidecar_path = with_ending(stem, ".json");
  if (auto made = make_directories(clip_path.parent_path()); !made) return made.error();

  const auto clip_part = temporary(clip_path);
  const auto sidecar_part = temporary(sidecar_path);
  auto clip = bring(finished, clip_part, std::move(stop));
  if (!clip) {
    remove_quietly(clip_part);
    return clip;
  }
  clip->path = clip_path.lexically_relative(directory_).string();
  // The sidecar first: whoever sees the clip finds what belongs to it.
  auto named = write_synced(sidecar_part, sidecar(*clip));
  if (named) named = rename_file(sidecar_part, sidecar_path);
  if (named) named = rename_file(clip_part, clip_path);
  // Of two names of the same file, rename() removes none: this clip was published before, just so.
  if (named) remove_quietly(clip_part);
  // The folder, and those above it, which may be new.
  for (auto folder = clip_path.parent_path(); named; folder = folder.parent_path()) {
    named = sync_directory(folder);
    if (folder == directory_ || !folder.has_relative_path()) break;
  }
  if (!named) {
    remove_quietly(sidecar_part);
    remove_quietly(clip_part);
    return named.error();
  }
  return clip;
}

Result<void> Archive::publish_thumbnail(const fs::path& finished, const std::string& clip) const {
  const auto path = with_ending(directory_ / fs::path(clip).replace_extension(), ".jpg");
  const auto content = read_file(finished);
  if (!content) return content.error();
  const auto part = temporary(path);
  auto named = write_synced(part, *content);
  if (named) named = rename_file(part, path);
  if (named) named = sync_directory(path.parent_path());
  if (!named) remove_quietly(part);
  return named;
}

Result<void> Archive::keep_damaged(const std::string& clip) const {
  const auto path = directory_ / clip;
  const auto kept = with_ending(fs::path(path).replace_extension(), ".damaged.mp4");
  std::error_code failed;
  if (fs::exists(kept, failed) || !fs::exists(path, failed)) return {};
  if (auto renamed = rename_file(path, kept); !renamed) {
    renamed.error().kind = ErrorKind::no_space;  // the clip that comes can wait
    return renamed;
  }
  return sync_directory(path.parent_path());
}

Result<void> Archive::remove(const std::string& clip) const {
  const auto stem = directory_ / fs::path(clip).replace_extension();
  // The clip last: as long as it is there, so is the reason to come back.
  for (const auto* ending : {".jpg", ".json", ".mp4"}) {
    std::error_code failed;
    fs::remove(with_ending(stem, ending), failed);
    if (failed) return errno_error(failed.value(), fmt::format("cannot remove {}{}", stem.string(), ending));
  }
  auto synced = sync_directory(stem.parent_path());
  if (!synced && synced.error().kind != ErrorKind::not_found) return synced;
  // Those of days and cameras of which nothing is left. One that is not empty stays.
  for (auto folder = fs::path(clip).parent_path(); folder.has_relative_path(); folder = folder.parent_path()) {
    if (::rmdir((directory_ / folder).c_str()) != 0 && errno != ENOENT) break;
  }
  return {};
}

}  // namespace responder::archive
