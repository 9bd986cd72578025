// rebuild-journal: a journal from the sidecars of the archive, when the journal itself is lost or damaged.
#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

#include "archive_marker.hpp"
#include "commands.hpp"
#include "process_lock.hpp"
#include "restore.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;
using journal::Journal;

// Out of the way, and kept: what is in it may be of use to somebody.
Result<fs::path> set_aside(const fs::path& journal, WallTime now) {
  auto aside = journal;
  auto stamp = format_rfc3339(now);
  std::erase(stamp, ':');
  aside += ".damaged-" + stamp;
  // The log before what it belongs to: an old log beside a new journal would be taken for its own.
  for (const auto* ending : {"-wal", "-shm", ""}) {
    auto from = journal;
    auto to = aside;
    std::error_code failed;
    fs::rename(from += ending, to += ending, failed);
    if (failed && failed != std::errc::no_such_file_or_directory)
      return errno_error(failed.value(), fmt::format("cannot set {} aside", from.string()));
  }
  if (auto synced = sync_directory(fs::absolute(journal).parent_path()); !synced) return synced.error();
  return aside;
}

}  // namespace

int rebuild_journal(const Config& config) {
  set_process_up();
  const auto lock = ProcessLock::try_take(serve_lock(config.journal.path));
  if (!lock) return complain(with_context(lock.error(), "journal.path").message);
  const auto work = take_work_locks(config.journal.path, config.spool_directory());
  if (!work) return complain(work.error().message);
  if (!*lock || !*work) return complain("a serve or a catch-up works with this journal: stop it first");
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  std::error_code ignored;
  if (!fs::is_directory(archive.directory(), ignored))
    return complain(fmt::format("archive.directory: {} is not there", archive.directory().string()));

  const auto marker = archive.marker();
  if (!marker) return complain("archive.directory: " + marker.error().message);
  if (!*marker) {
    return complain(fmt::format("archive.directory: {} is no archive, its marker file is missing: mount the archive",
                                archive.directory().string()));
  }

  const auto is_damaged = Journal::is_damaged(config.journal.path);
  if (!is_damaged) return complain(with_context(is_damaged.error(), "journal.path").message);
  if (*is_damaged) {
    const auto aside = set_aside(config.journal.path, SystemClock().wall_now());
    if (!aside) return complain(with_context(aside.error(), "journal.path").message);
    fmt::print("the damaged journal is now {}\n", aside->string());
  }
  auto journal = Journal::open(config.journal.path, Journal::Mode::read_write);
  if (!journal) return complain(with_context(journal.error(), "journal.path").message);
  if (auto right_one = check_is_archive(archive, *journal); !right_one)
    return complain("archive.directory: " + right_one.error().message);
  const auto restored = restore_from_archive(archive, *journal);
  if (!restored) return complain(restored.error().message);
  // Last: a journal that does not know its archive yet is filled from it again.
  if (auto adopted = adopt_as_archive(archive, *journal); !adopted)
    return complain("archive.directory: " + adopted.error().message);
  for (const auto& folder : restored->passed_over)
    fmt::print("passed over: {}, which is no folder of clips\n", printable(folder, 4096));
  for (const auto& why : restored->left_out) fmt::print("left out: {}\n", printable(why, 4096));
  fmt::print("{} clips written down, {} were known, {} left out\n", restored->written, restored->known,
             restored->left_out.size());
  fmt::print(
      "alerts without a clip are found by catch-up; if the journal was of no use for more than a day, by "
      "catch-up --after T\n");
  return restored->left_out.empty() ? exit_done : exit_failed;
}

}  // namespace responder::app
