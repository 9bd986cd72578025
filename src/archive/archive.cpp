#include "responder/archive/archive.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/json_writer.hpp"

#include "files.hpp"
#include "sha256.hpp"

namespace responder::archive {
namespace {

namespace fs = std::filesystem;

// Names whose bytes are few enough for what the folder's file system allows, as the longest name of a clip: beside it
// stand some that are longer (CLIP.damaged.mp4 for CLIP.json).
constexpr std::size_t longer_names = 7;
// Of eCryptfs, encrypted folders of a NAS and rclone's crypt; and of what is shorter still.
constexpr std::array<std::size_t, 2> short_names{143, 100};

Result<void> step_on(const Archive::Step& step, std::size_t bytes) { return step ? step(bytes) : Result<void>{}; }

Result<ArchivedClip> digest(const fs::path& file, const Archive::Step& step) {
  ArchivedClip clip;
  Sha256 hash;
  const auto size = each_chunk(file, [&](std::span<const unsigned char> bytes) -> Result<void> {
    hash.update(bytes);
    return step_on(step, bytes.size());
  });
  if (!size) return size.error();
  clip.bytes = *size;
  clip.sha256 = hash.hex();
  return clip;
}

Result<ArchivedClip> copy(const fs::path& from, const fs::path& to, const Archive::Step& step) {
  // A sync at the end of all would hold the publisher for as long as the storage needs for what it has put off.
  constexpr std::uint64_t synced_at_once = 64U << 20U;
  ArchivedClip clip;
  Sha256 hash;
  auto output = OutputFile::create(to, OutputFile::Mode::exclusive);
  if (!output) return output.error();
  std::uint64_t unsynced = 0;
  const auto size = each_chunk(from, [&](std::span<const unsigned char> bytes) -> Result<void> {
    hash.update(bytes);
    if (auto written = output->write(bytes); !written) return written;
    unsynced += bytes.size();
    if (unsynced >= synced_at_once) {
      if (auto synced = output->sync(); !synced) return synced;
      unsynced = 0;
    }
    return step_on(step, bytes.size());
  });
  if (!size) return size.error();
  if (auto synced = output->sync(); !synced) return synced.error();
  if (auto closed = output->close(); !closed) return closed.error();
  clip.bytes = *size;
  clip.sha256 = hash.hex();
  return clip;
}

// Brings `from` to `to` (synced, hashed), and leaves `from`: by a second name where both are on one file system, else
// in one sequential write.
Result<ArchivedClip> bring(const fs::path& from, const fs::path& to, const Archive::Step& step) {
  remove_quietly(to);  // of an attempt that was cut off
  if (::link(from.c_str(), to.c_str()) == 0) {
    if (sync_file(to)) return digest(to, step);
    // A sync that failed is not asked again: the next one may say that all is well when it is not. A copy is written
    // anew.
    remove_quietly(to);
  }
  // Whatever keeps it from a second name: what keeps it from a copy as well is the reason.
  return copy(from, to, step);
}

fs::path with_ending(fs::path stem, std::string_view ending) {
  stem += ending;
  return stem;
}

constexpr std::string_view marker_name = ".rhombus-responder-archive";
constexpr std::string_view unfinished_thumbnail = ".picture.part";  // one process at a time publishes

Result<bool> same_content(const fs::path& one, const fs::path& other) {
  std::error_code failed;
  const auto size = fs::file_size(one, failed);
  if (failed) return errno_error(failed.value(), fmt::format("cannot look at {}", one.string()));
  const auto other_size = fs::file_size(other, failed);
  if (failed) return errno_error(failed.value(), fmt::format("cannot look at {}", other.string()));
  if (size != other_size) return false;
  const auto of_one = digest(one, {});
  if (!of_one) return of_one.error();
  const auto of_other = digest(other, {});
  if (!of_other) return of_other.error();
  return of_one->sha256 == of_other->sha256;
}

Result<bool> is_there(const fs::path& path) {
  std::error_code failed;
  const bool there = fs::exists(path, failed);
  if (failed) return errno_error(failed.value(), fmt::format("cannot look at {}", path.string()));
  return there;
}

// The file's numbers; nullopt: it is not there.
Result<std::optional<struct stat>> numbers_of(const fs::path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) return std::optional(info);
  if (errno == ENOENT || errno == ENOTDIR) return std::optional<struct stat>{};
  return errno_error(errno, fmt::format("cannot look at {}", path.string()));
}

std::string ascii_folded(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return text;
}

}  // namespace

// How sidecar_identity() begins, whoever's it is.
constexpr std::string_view sidecar_opening = R"({"alert":")";

std::string sidecar_identity(const ClipIdentity& clip) {
  JsonWriter json;
  json.begin_object().field("alert", clip.alert.str()).field("camera", clip.camera.str());
  return std::move(json).str();
}

std::vector<std::string> describe(const Abilities& abilities) {
  std::vector<std::string> lines;
  if (!abilities.syncs_folders)
    lines.emplace_back(
        "folders cannot be synced there: a power cut may take the newest clips' names away; verify --repair tells, "
        "and "
        "takes them again");
  if (!abilities.tells_free_space)
    lines.emplace_back(
        "it does not tell how much is free: archive.min_free_bytes has no effect, and no clip is removed to make "
        "room");
  if (abilities.longest_name < max_name_bytes)
    lines.push_back(
        fmt::format("names have {} bytes at most there: the names of cameras and triggers in them are cut",
                    abilities.longest_name));
  return lines;
}

Archive::Archive(fs::path directory, Layout layout, NameZone zone, std::uint64_t min_free_bytes, std::string probes)
    : directory_(absolute_path(directory)),
      layout_(layout),
      zone_(zone),
      min_free_bytes_(min_free_bytes),
      probes_(probes.empty() ? std::to_string(::getpid()) : std::move(probes)) {}

// Twice, so that the second takes the place of the first as a better clip does.
Result<void> Archive::write_probe(const fs::path& probe) const {
  if (auto made = make_directories(directory_); !made) return made;
  const auto part = temporary(probe);
  Result<void> written;
  for (int time = 0; written && time < 2; ++time) {
    written = write_synced(part, "");
    if (written) written = replace_file(part, probe);
  }
  remove_quietly(part);
  return written ? sync_directory(directory_) : written;
}

Result<void> Archive::check_writable() const {
  const auto probe = directory_ / fmt::format(".writable-{}", probes_);
  auto written = write_probe(probe);
  remove_quietly(probe);
  return written;
}

Result<Abilities> Archive::try_out() const {
  if (auto writable = check_writable(); !writable) return writable.error();
  Abilities abilities;
  const auto synced = try_sync_directory(directory_);
  if (!synced) return synced.error();
  abilities.syncs_folders = *synced;
  const auto free = free_bytes(directory_);
  if (!free) return free.error();
  abilities.tells_free_space = free->has_value();
  const auto minds = minds_case();
  if (!minds) return minds.error();
  abilities.minds_case = *minds;
  const auto longest = longest_name();
  if (!longest) return longest.error();
  abilities.longest_name = *longest;
  return abilities;
}

Result<bool> Archive::minds_case() const {
  const auto probe = directory_ / fmt::format(".case-{}", probes_);
  if (auto written = write_synced(probe, ""); !written) return written.error();
  const auto in_capitals = is_there(directory_ / fmt::format(".CASE-{}", probes_));
  remove_quietly(probe);
  return in_capitals ? Result<bool>(!*in_capitals) : in_capitals.error();
}

// What the system says of the folder is not always so: it is tried.
Result<std::size_t> Archive::longest_name() const {
  if (const auto known = longest_name_.load(); known > 0) return known;
  const long told = ::pathconf(directory_.c_str(), _PC_NAME_MAX);
  for (std::size_t allowed : {max_name_bytes + longer_names, short_names[0], short_names[1]}) {
    if (told > 0 && static_cast<std::size_t>(told) < allowed) {
      if (allowed != short_names.back()) continue;
      allowed = static_cast<std::size_t>(told);
    }
    auto name = fmt::format(".name-{}-", probes_);
    name.resize(std::max(allowed, name.size()), 'x');
    const UniqueFd probe(::open((directory_ / name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640));
    const int why = errno;
    if (probe) {
      remove_quietly(directory_ / name);
      longest_name_ = allowed - longer_names;
      return allowed - longer_names;
    }
    if (why != ENAMETOOLONG && why != EINVAL)
      return errno_error(why, fmt::format("cannot create {}", (directory_ / name).string()));
  }
  return Error{ErrorKind::permanent,
               fmt::format("{} takes no names of {} bytes", directory_.string(), short_names.back())};
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
  if (named) named = replace_file(part, path);
  return named ? sync_directory(directory_) : named;
}

Result<std::uint64_t> Archive::lacking(std::uint64_t more) const {
  const auto left = free_bytes(directory_);
  if (!left) return left.error();
  if (!*left) return std::uint64_t{0};
  return min_free_bytes_ + more - std::min(**left, min_free_bytes_ + more);
}

Result<void> Archive::check_space(std::uint64_t more) const {
  const auto left = free_bytes(directory_);
  if (!left) {
    Error error = left.error();
    error.kind = ErrorKind::no_space;
    return error;
  }
  if (!*left || **left >= min_free_bytes_ + more) return {};
  return Error{ErrorKind::no_space,
               fmt::format("{} has {} MiB free, archive.min_free_bytes keeps {} MiB: make room or lower it",
                           directory_.string(), **left >> 20U, min_free_bytes_ >> 20U)};
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
  // What nobody may read is another's. A disk that fails, or a share that is away, says nothing of whose it is.
  if (!sidecar && !none && sidecar.error().kind != ErrorKind::permanent) return sidecar.error();
  if (!damaged && !none) return false;
  const auto taken = is_there(file);
  if (!taken) return taken.error();
  if (!*taken || (damaged && naming.whole && name == naming.own)) return true;
  // Somebody else's file, unless a power cut has left the name of this very clip and not that of its sidecar.
  return same_content(finished, file);
}

Result<fs::path> Archive::free_stem(const fs::path& finished, const ClipIdentity& clip, const Naming& naming) const {
  const auto longest = longest_name();
  if (!longest) return longest.error();
  const auto layout = naming.layout.value_or(layout_);
  constexpr int max_numbers = 100;
  for (int number = 1; number <= max_numbers; ++number) {
    const auto candidate = directory_ / clip_stem(clip, layout, zone_, *longest, number);
    const auto free = may_have(candidate, finished, clip, naming);
    if (!free) return free.error();
    if (*free) return candidate;
  }
  return Error{ErrorKind::permanent,
               fmt::format("{}.mp4 and {} numbered ones belong to others",
                           (directory_ / clip_stem(clip, layout, zone_, *longest)).string(), max_numbers)};
}

Result<ArchivedClip> Archive::publish(const fs::path& finished, const ClipIdentity& identity, const Naming& naming,
                                      const std::function<std::string(const ArchivedClip&)>& sidecar,
                                      const Step& step) const {
  const auto stem = free_stem(finished, identity, naming);
  auto clip = stem ? publish_as(*stem, finished, naming, sidecar, step) : Result<ArchivedClip>(stem.error());
  if (clip) return clip;
  // What was found out of the storage may be of the one that was there before.
  longest_name_ = 0;
  // Whatever the archive's storage answers (away, full, read-only, not a folder any more), the clip can wait for it.
  if (clip.error().kind != ErrorKind::cancelled) clip.error().kind = ErrorKind::no_space;
  return clip;
}

Result<ArchivedClip> Archive::publish_as(const fs::path& stem, const fs::path& finished, const Naming& naming,
                                         const std::function<std::string(const ArchivedClip&)>& sidecar,
                                         const Step& step) const {
  const auto clip_path = with_ending(stem, ".mp4");
  const auto sidecar_path = with_ending(stem, ".json");
  if (auto made = make_folders(clip_path.lexically_relative(directory_)); !made) return made.error();

  const auto clip_part = temporary(clip_path);
  const auto sidecar_part = temporary(sidecar_path);
  auto clip = bring(finished, clip_part, step);
  if (!clip) {
    remove_quietly(clip_part);
    return clip;
  }
  clip->path = clip_path.lexically_relative(directory_).string();
  auto named = keep_damaged(stem, naming);
  // The sidecar first: whoever sees the clip finds what belongs to it.
  if (named) named = write_synced(sidecar_part, sidecar(*clip));
  if (named) named = replace_file(sidecar_part, sidecar_path);
  if (named) named = replace_file(clip_part, clip_path);
  // Of two names of the same file, rename() removes none: this clip was published before, just so.
  if (named) remove_quietly(clip_part);
  if (named) named = sync_folders(clip->path);
  if (!named) {
    remove_quietly(sidecar_part);
    remove_quietly(clip_part);
    return named.error();
  }
  std::error_code failed;  // there is none, as a rule
  const auto damaged = naming.own.empty() ? 0 : fs::file_size(with_ending(stem, ".damaged.mp4"), failed);
  if (!failed) clip->damaged_bytes = damaged;
  return clip;
}

Result<void> Archive::rewrite_sidecar(const std::string& clip,
                                      const std::function<std::optional<std::string>(std::string)>& change) const {
  auto path = directory_ / clip;
  path.replace_extension(".json");
  auto present = read_file(path);
  if (!present) return present.error().kind == ErrorKind::not_found ? Result<void>{} : present.error();
  const auto text = change(std::move(*present));
  if (!text) return {};
  const auto part = temporary(path);
  auto written = write_synced(part, *text);
  if (written) written = replace_file(part, path);
  if (written) written = sync_directory(path.parent_path());
  if (!written) remove_quietly(part);
  return written;
}

// Those of the layout. The archive's own folder is not made: where it is missing, the archive is away.
Result<void> Archive::make_folders(const fs::path& clip) const {
  auto folder = directory_;
  for (const auto& part : clip.parent_path()) {
    std::error_code failed;
    fs::create_directory(folder /= part, failed);
    if (failed) return errno_error(failed.value(), fmt::format("cannot create folder {}", folder.string()));
  }
  return {};
}

// The clip's folder, and those above it up to the archive's own, which may be new.
Result<void> Archive::sync_folders(const std::string& clip) const {
  auto folder = directory_;
  auto synced = sync_directory(folder);
  for (const auto& part : fs::path(clip).parent_path()) {
    if (synced) synced = sync_directory(folder /= part);
  }
  return synced;
}

// What is damaged stays beside the clip that comes in its place, as CLIP.damaged.mp4, unless there is one. It follows
// the clip to another name: it goes with it when retention removes that.
Result<void> Archive::keep_damaged(const fs::path& stem, const Naming& naming) const {
  if (naming.own.empty()) return {};
  const auto own = directory_ / fs::path(naming.own).replace_extension();
  const bool follows = !naming.whole && own != stem;
  if (!naming.keep_own && !follows) return {};
  const auto from = with_ending(own, naming.keep_own ? ".mp4" : ".damaged.mp4");
  const auto to = with_ending(stem, ".damaged.mp4");
  const auto there = is_there(from);
  if (!there) return there.error();
  const auto kept = is_there(to);
  if (!kept) return kept.error();
  if (!*there || *kept) return {};
  auto renamed = rename_file(from, to);
  return renamed ? sync_directory(from.parent_path()) : renamed;
}

Result<void> Archive::publish_thumbnail(const fs::path& finished, const std::string& clip) const {
  const auto path = with_ending(directory_ / fs::path(clip).replace_extension(), ".jpg");
  const auto content = read_file(finished);
  if (!content) return content.error();
  // The archive may be unmounted at any moment: nothing is to be written where it is not.
  const Error no_clip{ErrorKind::transient, fmt::format("no picture is put beside {}, which is not there", clip)};
  auto there = is_there(directory_ / clip);
  if (!there) return there.error();
  if (!*there) return no_clip;
  const auto part = directory_ / unfinished_thumbnail;
  auto named = write_synced(part, *content);
  if (named) named = replace_file(part, path);
  if (named) named = sync_directory(path.parent_path());
  if (!named) remove_quietly(part);
  there = is_there(directory_ / clip);
  if (!there || *there) return named;
  remove_quietly(path);
  return no_clip;
}

void Archive::remove_unfinished_thumbnail() const { remove_quietly(directory_ / unfinished_thumbnail); }

Result<bool> Archive::is_same_file(const std::string& one, const std::string& other) const {
  if (one == other) return true;
  const auto numbers = numbers_of(directory_ / one);
  if (!numbers) return numbers.error();
  const auto others = numbers_of(directory_ / other);
  if (!others) return others.error();
  if (!*numbers || !*others) return false;
  if ((*numbers)->st_dev == (*others)->st_dev && (*numbers)->st_ino == (*others)->st_ino) return true;
  // Some shares number each name by itself.
  if (ascii_folded(one) != ascii_folded(other)) return false;
  const auto minds = minds_case();
  return minds ? Result<bool>(!*minds) : minds.error();
}

Result<void> Archive::remove(const std::string& clip) const {
  const auto stem = directory_ / fs::path(clip).replace_extension();
  // The clip last: as long as it is there, so is the reason to come back.
  for (const auto* ending : {".damaged.mp4", ".jpg", ".json", ".mp4"}) {
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
