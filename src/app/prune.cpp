// prune: retention, applied now. What is to go is written down first; then its files go, by this process, or by the
// one that works on captures: two that remove and publish under the same names would be in each other's way.
#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/capture/leftover.hpp"

#include "archive_marker.hpp"
#include "commands.hpp"
#include "process_lock.hpp"
#include "retention.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t batch_size = 4096;  // clips of one look
constexpr std::size_t commit_size = 64;   // of one transaction: a serve beside us waits no longer than for that
constexpr milliseconds look_interval{100};
constexpr seconds nothing_moves{60};  // while another process is to remove files

struct Total {
  std::size_t clips = 0;
  std::uint64_t bytes = 0;

  void add(const Condemned& clip) {
    ++clips;
    bytes += clip.bytes;
  }
};

void print(const Condemned& clip) {
  fmt::print("{}  alert {}  camera {}  {:.1f} MiB  {}: {}\n", format_rfc3339(WallTime(clip.window_end)),
             clip.alert.str(), clip.camera.str(), static_cast<double>(clip.bytes) / (1U << 20U),
             printable(clip.clip, 400), clip.why);
}

void print(const Total& total, std::string_view what) {
  fmt::print("{} clips, {:.1f} GiB, {}\n", total.clips, static_cast<double>(total.bytes) / (1U << 30U), what);
}

void print(const std::vector<std::string>& remarks) {
  for (const auto& line : remarks) complain(line);
}

class Prune {
 public:
  Prune(const Config& config, journal::Journal& journal, const archive::Archive& archive, std::uint64_t lacking)
      : config_(config), journal_(journal), archive_(archive), lacking_(lacking) {}

  int list();
  int apply();

 private:
  Result<std::size_t> take_out(const std::vector<Condemned>& clips);
  Result<void> see_files_removed();
  Result<bool> remove_files();

  const Config& config_;
  journal::Journal& journal_;
  const archive::Archive& archive_;
  SystemClock clock_;
  std::uint64_t lacking_;  // bytes, of the archive's disk
  Total total_;
};

int Prune::list() {
  RetentionPass pass(config_, clock_.wall_now(), lacking_);
  while (true) {
    const auto clips = pass.next(journal_, batch_size);
    if (!clips) return complain(clips.error().message, exit_failed);
    for (const auto& clip : *clips) {
      print(clip);
      total_.add(clip);
    }
    if (clips->size() < batch_size) break;
  }
  print(pass.remarks());
  print(total_, "would be removed");
  return exit_done;
}

// How many: some may be held by now.
Result<std::size_t> Prune::take_out(const std::vector<Condemned>& clips) {
  const auto before = total_.clips;
  for (std::span left(clips); !left.empty(); left = left.subspan(std::min(left.size(), commit_size))) {
    std::vector<Condemned> gone;
    const auto written = journal_.transaction([&]() -> Result<void> {
      auto done = condemn(journal_, left.first(std::min(left.size(), commit_size)), clock_.wall_now());
      if (done) gone = std::move(*done);
      return done ? Result<void>{} : done.error();
    });
    if (!written) return written.error();
    for (const auto& clip : gone) {
      print(clip);
      total_.add(clip);
      lacking_ -= std::min(lacking_, clip.bytes);
    }
  }
  return total_.clips - before;
}

// False: a serve is there, and does the rest.
Result<bool> Prune::remove_files() {
  std::string last;
  std::size_t not_removed = 0;
  while (true) {
    const auto clips = journal_.leftovers(last);
    if (!clips) return clips.error();
    if (clips->empty()) break;
    last = clips->back();
    for (const auto& clip : *clips) {
      if (ProcessLock::is_held(serve_lock(config_.journal.path))) return false;
      auto removed = check_is_archive(archive_, journal_);
      if (!removed) return removed.error();
      removed = capture::remove_leftover(archive_, clip, [this](const AlertId& alert, const DeviceId& camera) {
        return journal_.find(alert, camera);
      });
      if (removed) removed = journal_.forget_leftover(clip);
      if (removed) continue;
      ++not_removed;
      complain(removed.error().message);
    }
  }
  if (not_removed == 0) return true;
  return Error{ErrorKind::permanent,
               fmt::format("{} clips are still to be removed from {}: mend that, and serve or prune goes on",
                           not_removed, archive_.directory().string())};
}

Result<void> Prune::see_files_removed() {
  auto moved_at = clock_.steady_now();
  std::vector<std::string> left_before;
  while (true) {
    auto left = journal_.leftovers();
    if (!left) return left.error();
    if (left->empty()) return {};
    if (!ProcessLock::is_held(serve_lock(config_.journal.path))) {
      const auto locks = take_work_locks(config_.journal.path, config_.spool_directory());
      if (!locks) return locks.error();
      const auto removed = *locks ? remove_files() : Result<bool>(false);
      if (!removed) return removed.error();
      if (*removed) return {};
    }
    const auto now = clock_.steady_now();
    if (*left != left_before) moved_at = now;
    left_before = std::move(*left);
    if (now - moved_at > nothing_moves)
      return Error{ErrorKind::transient,
                   "the process that works on captures has yet to remove the files; its log says why"};
    clock_.sleep(look_interval, {});
  }
}

int Prune::apply() {
  std::vector<std::string> remarks;
  while (true) {
    // Each time anew: a serve beside us removes clips as well.
    RetentionPass pass(config_, clock_.wall_now(), lacking_);
    const auto clips = pass.next(journal_, batch_size);
    if (!clips) return complain(clips.error().message, exit_failed);
    remarks = pass.remarks();
    const auto taken = take_out(*clips);
    if (!taken) return complain(taken.error().message, exit_failed);
    if (auto removed = see_files_removed(); !removed) return complain(removed.error().message, exit_failed);
    if (*taken == 0) break;
  }
  print(remarks);
  print(total_, "removed");
  return exit_done;
}

}  // namespace

int prune(const Config& config, bool dry_run) {
  if (!has_retention(config)) {
    fmt::print(
        "nothing is ever removed: archive.retention_days and archive.max_bytes are 0, and no rule sets them\n");
    return exit_done;
  }
  auto journal = dry_run ? open_journal_to_look(config) : open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone,
                                 static_cast<std::uint64_t>(config.archive.min_free_bytes));
  // A journal that knows no archive yet has no clips, or is of before there were markers: its clips tell, then.
  if (!dry_run) {
    const auto known = archive_id(archive, *journal);
    if (!known) return complain("archive.directory: " + known.error().message);
  }
  if (auto there = check_is_archive(archive, *journal); !there)
    return complain("archive.directory: " + there.error().message, exit_failed);
  const auto lacking = archive.lacking(0);
  if (!lacking) return complain("archive.directory: " + lacking.error().message, exit_failed);
  Prune prune(config, *journal, archive, *lacking);
  return dry_run ? prune.list() : prune.apply();
}

}  // namespace responder::app
