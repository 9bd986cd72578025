// rebuild-journal: a journal from the sidecars of the archive, when the journal itself is lost or damaged.
#include <algorithm>

#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/capture/sidecar.hpp"

#include "archive_marker.hpp"
#include "commands.hpp"
#include "process_lock.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;
using journal::Journal;
using journal::KnownClip;

constexpr std::size_t batch_size = 500;

struct Rebuilt {
  std::size_t written = 0;
  std::size_t known = 0;
  std::size_t left_out = 0;
};

// Out of the way, and kept: what is in it may be of use to somebody.
Result<fs::path> set_aside(const fs::path& journal, WallTime now) {
  auto aside = journal;
  auto stamp = format_rfc3339(now);
  std::erase(stamp, ':');
  aside += ".damaged-" + stamp;
  for (const auto* ending : {"", "-wal", "-shm"}) {
    auto from = journal;
    auto to = aside;
    std::error_code failed;
    fs::rename(from += ending, to += ending, failed);
    if (failed && failed != std::errc::no_such_file_or_directory)
      return errno_error(failed.value(), fmt::format("cannot set {} aside", from.string()));
  }
  return aside;
}

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

Result<void> write_down(Journal& journal, std::vector<KnownClip>& batch, Rebuilt& rebuilt) {
  std::size_t written = 0;
  const auto done = journal.transaction([&]() -> Result<void> {
    for (const auto& clip : batch) {
      const auto restored = journal.restore(clip);
      if (!restored) return restored.error();
      written += *restored ? 1 : 0;
    }
    return {};
  });
  if (!done) return done;
  rebuilt.written += written;
  rebuilt.known += batch.size() - written;
  batch.clear();
  return {};
}

// Once for the whole clips and once for the rest: of two of one capture the whole one is written down.
Result<void> read_archive(Journal& journal, const fs::path& archive, bool whole_ones, Rebuilt& rebuilt) {
  std::vector<KnownClip> batch;
  std::error_code failed;
  auto entry = fs::recursive_directory_iterator(archive, failed);
  for (; !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    const auto& path = entry->path();
    if (path.extension() != ".json" || path.filename().string().starts_with('.')) continue;
    auto clip = read_clip(path, archive);
    if (!clip) {
      if (!whole_ones) continue;  // said the first time
      ++rebuilt.left_out;
      fmt::print("left out: {}\n", printable(clip.error().message, 400));
      continue;
    }
    if ((clip->state == journal::State::done) != whole_ones) continue;
    batch.push_back(std::move(*clip));
    if (batch.size() < batch_size) continue;
    if (auto written = write_down(journal, batch, rebuilt); !written) return written;
  }
  if (failed) return errno_error(failed.value(), fmt::format("cannot read {}", archive.string()));
  return write_down(journal, batch, rebuilt);
}

}  // namespace

int rebuild_journal(const Config& config) {
  const auto lock = ProcessLock::try_take(serve_lock(config.journal.path));
  if (!lock) return complain("journal.path: " + lock.error().message);
  const auto work = ProcessLock::try_take(work_lock(config.spool_directory()));
  if (!work) return complain("capture.spool_directory: " + work.error().message);
  if (!*lock || !*work) return complain("a serve or a catch-up works with this journal: stop it first");
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  std::error_code ignored;
  if (!fs::is_directory(archive.directory(), ignored))
    return complain(fmt::format("archive.directory: {} is not there", archive.directory().string()));

  const auto is_damaged = Journal::is_damaged(config.journal.path);
  if (!is_damaged) return complain("journal.path: " + is_damaged.error().message);
  if (*is_damaged) {
    const auto aside = set_aside(config.journal.path, SystemClock().wall_now());
    if (!aside) return complain("journal.path: " + aside.error().message);
    fmt::print("the damaged journal is now {}\n", aside->string());
  }
  auto journal = Journal::open(config.journal.path, Journal::Mode::read_write);
  if (!journal) return complain("journal.path: " + journal.error().message);
  if (auto adopted = adopt_as_archive(archive, *journal); !adopted)
    return complain("archive.directory: " + adopted.error().message);
  Rebuilt rebuilt;
  for (const bool whole_ones : {true, false}) {
    if (auto read = read_archive(*journal, archive.directory(), whole_ones, rebuilt); !read)
      return complain(read.error().message);
  }
  fmt::print("{} clips written down, {} were known, {} left out; catch-up finds what has no clip\n", rebuilt.written,
             rebuilt.known, rebuilt.left_out);
  return rebuilt.left_out == 0 ? exit_done : exit_failed;
}

}  // namespace responder::app
