#include "capture_run.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/capture_json.hpp"

#include "archive_marker.hpp"
#include "beside.hpp"
#include "commands.hpp"
#include "progress_line.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds look_interval{250};
constexpr seconds time_to_let_go{7};  // for an archive with a clip, and for what delivers
constexpr seconds nothing_moves{60};  // after so long without any change the rest is left to later runs

seconds longest_delivery(const Config& config) {
  std::int64_t longest = config.offsite.remote.empty() ? 0 : config.offsite.timeout_seconds;
  for (const auto& hook : config.hooks) longest = std::max<std::int64_t>(longest, hook.timeout_seconds);
  return seconds(longest);
}

}  // namespace

std::string as_line(const journal::Capture& row) {
  const auto& name = row.camera_name.empty() ? row.camera.str() : row.camera_name;
  return fmt::format("{}  {} on {}: {}{}", format_rfc3339(WallTime(row.window_start)), label(row),
                     printable(name, 40), to_string(row.state),
                     row.reason.empty() ? "" : ", " + printable(row.reason));
}

CaptureRun::CaptureRun(const Config& config, journal::Journal writing, journal::Journal reading,
                       const Signals& signals, std::function<void(const journal::Capture&)> closed)
    : config_(config),
      signals_(signals),
      writer_(std::move(writing), max_queued_changes),
      reader_(std::move(reading)),
      api_(api_options(config), clock_, [](std::string_view, int) {}),
      intake_(intake_policy(config), writer_, [](journal::CaptureId, bool) {}),
      goal_(reader_, std::move(closed)),
      began_(clock_.steady_now()) {}

void CaptureRun::beside(const std::function<void(std::stop_token)>& work) {
  if (run_beside(signals_, work)) interrupted_ = true;
}

Result<bool> CaptureRun::has_clip_or_waits(journal::CaptureId id, bool final_is_enough) {
  const auto row = reader_.find(id);
  if (!row) return row.error();
  if (!*row || (*row)->state == journal::State::capturing) return false;
  const auto& published = (*row)->published;
  std::error_code failed;
  const auto path = published ? std::filesystem::path(config_.archive.directory) / published->clip : "";
  const bool has_file = published && std::filesystem::exists(path, failed);
  if (failed) return errno_error(failed.value(), fmt::format("cannot look at {}", path.string()));
  if (has_file && (*row)->state == journal::State::done) return true;
  if (final_is_enough && is_final(**row) && (has_file || (*row)->state == journal::State::failed)) return true;
  if (published && !has_file) {
    // In the folder below a share that is not mounted there is nothing, and that says nothing.
    const archive::Archive archive(config_.archive.directory, config_.archive.layout, config_.archive.timezone, 0);
    if (auto there = check_is_archive(archive, reader_); !there)
      return with_context(there.error(), "archive.directory");
  }
  const bool is_in_line = (*row)->state == journal::State::waiting && (*row)->attempts == 0 && !published;
  if (is_in_line) return false;
  const auto in_line = writer_.run([&](journal::Journal& journal) -> Result<void> {
    if (const auto put = journal.retry(id, clock_.wall_now()); !put) return put.error();
    return has_file ? Result<void>{} : journal.forget_clip(id);
  });
  if (!in_line) return in_line.error();
  return false;
}

Result<void> CaptureRun::work_if_nobody_does() {
  const bool served = ProcessLock::is_held(serve_lock(config_.journal.path));
  if (engine_ && served) stop_working();  // it has the listener's alerts as well, and gives them what they need
  if (engine_ || served || hung_) return {};
  auto locks = take_work_locks(config_.journal.path, config_.spool_directory());
  if (!locks) return locks.error();
  if (!*locks) return {};
  CaptureEngine::Observers observers;
  observers.bytes = [this](rhombus::Route, std::size_t bytes) { bytes_ += bytes; };
  observers.delivery = [this](std::string_view target, std::string_view result) {
    if (result == "failed") refusing_.lock()->emplace(target);
    ++told_;
  };
  auto engine = CaptureEngine::start(config_, std::move(**locks), writer_, api_, clock_, std::move(observers));
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  return {};
}

void CaptureRun::stop_working() {
  if (!engine_) return;
  hung_ = !engine_->stop(time_to_let_go, interrupted_ ? milliseconds(0) : CaptureEngine::time_for_deliveries);
  if (hung_) engine_.release();  // its thread is held by the archive; the process ends without it
  engine_.reset();
}

// One for each camera that has something left to do, and one for all. Of what serve has in hand the journal tells no
// more than that: no bar is drawn that would not move.
std::vector<Bar> CaptureRun::bars() {
  std::map<DeviceId, double> running;  // seconds that are taken of captures in hand
  if (engine_) {
    for (const auto& one : engine_->running()) {
      if (const auto* row = goal_.open(one.id))
        running[row->camera] +=
            one.taken_share * std::chrono::duration<double>(row->window_end - row->window_start).count();
    }
  }
  std::map<DeviceId, Goal::Activity> of_serve;
  if (!engine_) of_serve = goal_.activities(clock_.wall_now());
  std::vector<Bar> bars;
  double length = 0;
  double taken = 0;
  for (const auto& [camera, tally] : goal_.cameras()) {
    const auto of_this = std::chrono::duration<double>(tally.length).count();
    const auto taken_of_this = std::chrono::duration<double>(tally.closed_length).count() + running[camera];
    length += of_this;
    taken += taken_of_this;
    if (tally.closed == tally.total || of_this <= 0) continue;
    Bar bar{printable(tally.name, 40), taken_of_this / of_this,
            fmt::format("{} of {} files", tally.closed, tally.total)};
    if (const auto found = of_serve.find(camera); found != of_serve.end()) {
      bar.share.reset();
      bar.note += fmt::format(", {} for {}", to_string(found->second.state), format_duration(found->second.lasts));
    }
    bars.push_back(std::move(bar));
  }
  const auto elapsed = clock_.steady_now() - began_;
  const double share = length > 0 ? taken / length : 0;
  auto note = fmt::format("{} of {} files", goal_.total() - goal_.left(), goal_.total());
  if (goal_.reached()) note += ", handing over";
  if (engine_) {
    note += fmt::format(", {:.1f} MB/s",
                        static_cast<double>(bytes_) / 1e6 / std::chrono::duration<double>(elapsed).count());
  } else if (goal_.running() > 0) {
    note += ", serve is at work on them";  // and tells of each when it is finished
  }
  if (const auto left = time_left(share, elapsed); !left.empty()) note += ", " + left;
  bars.push_back({"all", engine_ || taken > 0 ? std::optional(share) : std::nullopt, std::move(note)});
  return bars;
}

// When the captures are at their end: what was due to hooks and the remote then, of earlier runs, too, and clips that
// are to be removed, for which starting the work is enough. Who refuses is left to the next run, or this one might
// not end for days.
Result<bool> CaptureRun::has_more_to_do() {
  if (!reached_at_) reached_at_ = clock_.wall_now();
  const auto left = reader_.work_after_captures(*reached_at_);
  if (!left) return left.error();
  auto refusing = refusing_.lock();
  const bool delivers = std::any_of(left->targets.begin(), left->targets.end(),
                                    [&](const std::string& target) { return !refusing->contains(target); });
  return delivers || (left->clips_to_remove && !engine_);
}

Result<void> CaptureRun::see_through(ProgressDisplay& progress) {
  auto moved_at = clock_.steady_now();
  std::uint64_t told_before = 0;
  while (!interrupted_ && !hung_) {
    const auto began = clock_.steady_now();
    const auto moved = goal_.look(clock_.wall_now());
    if (!moved) return moved.error();
    const auto now = clock_.steady_now();
    if (*moved || goal_.running() > 0) moved_at = now;
    if (goal_.reached()) {
      const auto more = has_more_to_do();
      if (!more) return more.error();
      if (!*more) break;
    }
    // An archive or a remote that hangs holds a delivery for longer than it may take.
    if (const auto told = told_.load(); std::exchange(told_before, told) != told) moved_at = now;
    if (now - moved_at > (goal_.reached() ? nothing_moves + longest_delivery(config_) : nothing_moves)) break;
    if (auto working = work_if_nobody_does(); !working) return working;
    if (goal_.reached() && !engine_) break;
    progress.show(bars(), now);
    // Looking at very many takes its time: most of it is left to the work itself.
    const auto pause = std::max(look_interval, 10 * std::chrono::ceil<milliseconds>(now - began));
    interrupted_ = signals_.wait_for(pause).has_value();
  }
  progress.clear();
  // Clips in hand are brought to their place before what became of them is told.
  stop_working();
  if (!goal_.reached()) {
    if (const auto moved = goal_.look(clock_.wall_now()); !moved) return moved.error();
  }
  goal_.give_up();
  return {};
}

int CaptureRun::end(int status) {
  stop_working();
  writer_.stop();
  if (!hung_) return status;
  complain("the archive does not answer: its clips wait in the spool", exit_failed);
  end_at_once(exit_failed);
}

Result<RunJournals> open_for_run(const Config& config) {
  auto writing = open_sound_journal(config);
  if (!writing) return writing.error();
  auto reading = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!reading) return with_context(reading.error(), "journal.path");
  // Before anything is taken in: a journal that is new learns of the clips there are.
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  if (const auto known = archive_id(archive, *writing); !known)
    return with_context(known.error(), "archive.directory");
  return RunJournals{std::move(*writing), std::move(*reading)};
}

}  // namespace responder::app
