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

// Once for the whole clips and once for the rest: of two of one capture the whole one is written down.
Result<void> read_archive(Journal& journal, const fs::path& archive, bool whole_ones, Restored& restored) {
  std::vector<KnownClip> batch;
  std::error_code failed;
  auto entry = fs::recursive_directory_iterator(archive, failed);
  for (; !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    const auto& path = entry->path();
    if (path.extension() != ".json" || path.filename().string().starts_with('.')) continue;
    auto clip = read_clip(path, archive);
    if (!clip) {
      if (!whole_ones) continue;  // said the first time
      restored.left_out.push_back(printable(clip.error().message, 400));
      continue;
    }
    if ((clip->state == journal::State::done) != whole_ones) continue;
    batch.push_back(std::move(*clip));
    if (batch.size() < batch_size) continue;
    if (auto written = write_down(journal, batch, restored); !written) return written;
  }
  if (failed) return errno_error(failed.value(), fmt::format("cannot read {}", archive.string()));
  return write_down(journal, batch, restored);
}

}  // namespace

Result<Restored> restore_from_archive(const archive::Archive& archive, Journal& journal) {
  Restored restored;
  for (const bool whole_ones : {true, false}) {
    if (auto read = read_archive(journal, archive.directory(), whole_ones, restored); !read) return read.error();
  }
  return restored;
}

}  // namespace responder::app
