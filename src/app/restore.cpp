#include "restore.hpp"

#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/capture/sidecar.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;
using journal::Journal;
using journal::KnownClip;

constexpr std::size_t batch_size = 500;

// The clip that a sidecar belongs to, if it stands there as the sidecar says.
Result<KnownClip> read_clip(const fs::path& sidecar, const fs::path& archive) {
  const auto text = read_file(sidecar);
  if (!text) return text.error();
  auto known = capture::read_sidecar(*text);
  if (!known) return with_context(known.error(), sidecar.string());
  // Where it is now: the whole archive may have moved, or its layout changed.
  const auto clip = fs::path(sidecar).replace_extension(".mp4");
  std::error_code failed;
  const auto size = fs::file_size(clip, failed);
  if (failed) return errno_error(failed.value(), clip.string());
  if (size != known->published.bytes)
    return Error{ErrorKind::permanent,
                 fmt::format("{} has {} bytes, not {}", clip.string(), size, known->published.bytes)};
  known->published.clip = clip.lexically_relative(archive).string();
  return known;
}

Result<void> write_down(Journal& journal, std::vector<KnownClip>& batch, Restored& restored) {
  std::size_t written = 0;
  const auto done = journal.transaction([&]() -> Result<void> {
    for (const auto& clip : batch) {
      const auto added = journal.restore(clip);
      if (!added) return added.error();
      written += *added ? 1 : 0;
    }
    return {};
  });
  if (!done) return done;
  restored.written += written;
  restored.known += batch.size() - written;
  batch.clear();
  return {};
}

// Folders that belong to the disk or the NAS, not to the archive: what lies in a recycle bin or a snapshot is no clip
// of ours, and some may be read by nobody. None of ours begins with such a character.
bool is_of_system(const fs::path& folder) {
  const auto name = folder.filename().string();
  return name.find_first_of(".#@$~") == 0 || name == "lost+found" || name == "System Volume Information";
}

// Goes through the archive twice: for the whole clips and then for the rest, so that of two of one capture the whole
// one is written down.
class ArchiveReader {
 public:
  ArchiveReader(Journal& journal, fs::path archive, Restored& restored)
      : journal_(journal), archive_(std::move(archive)), restored_(restored) {}

  Result<void> read(bool whole_ones) {
    whole_ones_ = whole_ones;
    folders_ = {archive_};
    while (!folders_.empty()) {
      const auto folder = std::move(folders_.back());
      folders_.pop_back();
      if (auto read = read_folder(folder); !read) return read;
    }
    return write_down(journal_, batch_, restored_);
  }

 private:
  Result<void> read_folder(const fs::path& folder);
  Result<void> read_entry(const fs::directory_entry& entry);

  Journal& journal_;
  const fs::path archive_;
  Restored& restored_;
  bool whole_ones_ = true;
  std::vector<fs::path> folders_;  // still to be read
  std::vector<KnownClip> batch_;
};

Result<void> ArchiveReader::read_folder(const fs::path& folder) {
  std::error_code failed;
  fs::directory_iterator entry(folder, failed);
  // Whoever may not look into a folder goes without what is in it. A disk that fails is another matter.
  const bool may_not = failed == std::errc::permission_denied || failed == std::errc::operation_not_permitted;
  const bool is_gone = failed == std::errc::no_such_file_or_directory;
  if (folder != archive_ && (may_not || is_gone)) {
    if (whole_ones_ && may_not)
      restored_.left_out.push_back(printable(fmt::format("folder {}: {}", folder.string(), failed.message()), 400));
    return {};
  }
  for (; !failed && entry != fs::directory_iterator(); entry.increment(failed)) {
    if (auto read = read_entry(*entry); !read) return read;
  }
  return failed ? errno_error(failed.value(), fmt::format("cannot read {}", folder.string())) : Result<void>{};
}

Result<void> ArchiveReader::read_entry(const fs::directory_entry& entry) {
  const auto& path = entry.path();
  std::error_code failed;
  if (entry.symlink_status(failed).type() == fs::file_type::directory) {
    if (!is_of_system(path)) {
      folders_.push_back(path);
    } else if (whole_ones_) {
      restored_.passed_over.push_back(printable(path.string(), 400));
    }
    return {};
  }
  if (path.extension() != ".json" || path.filename().string().starts_with('.')) return {};
  auto clip = read_clip(path, archive_);
  if (!clip) {
    if (whole_ones_) restored_.left_out.push_back(printable(clip.error().message, 400));  // said once
    return {};
  }
  if ((clip->state == journal::State::done) != whole_ones_) return {};
  batch_.push_back(std::move(*clip));
  return batch_.size() < batch_size ? Result<void>{} : write_down(journal_, batch_, restored_);
}

}  // namespace

Result<Restored> restore_from_archive(const archive::Archive& archive, Journal& journal) {
  Restored restored;
  ArchiveReader reader(journal, archive.directory(), restored);
  for (const bool whole_ones : {true, false}) {
    if (auto read = reader.read(whole_ones); !read) return read.error();
  }
  return restored;
}

}  // namespace responder::app
