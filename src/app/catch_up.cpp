// catch-up: one pass over Rhombus's alerts, captures what is missing, ends. Beside a serve, that one does the
// capturing; without one, the catch-up that has the work lock does, for all.
#include <map>
#include <thread>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

#include "archive_marker.hpp"
#include "capture_engine.hpp"
#include "commands.hpp"
#include "push_path.hpp"
#include "scope.hpp"
#include "set_up.hpp"
#include "signals.hpp"

namespace responder::app {
namespace {

using journal::State;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds look_interval{250};
constexpr int attempts_a_pass = 2;         // of a capture; more is for the next run
constexpr seconds worth_waiting{10};       // for the next of them
constexpr seconds longest_recording{600};  // an alert that goes on for longer is not waited for
constexpr seconds nothing_moves{60};       // after so long without any change the rest is left as well

bool is_final(const journal::Capture& row) {
  return row.state != State::waiting && row.state != State::capturing && !row.next_attempt_at;
}

std::string as_line(const journal::Capture& row) {
  const auto& name = row.camera_name.empty() ? row.camera.str() : row.camera_name;
  return fmt::format("{}  alert {} on {}: {}{}", format_rfc3339(WallTime(row.window_start)), row.alert.str(),
                     printable(name, 40), to_string(row.state),
                     row.reason.empty() ? "" : ", " + printable(row.reason));
}

// The captures that this run has to see through.
class Goal {
 public:
  explicit Goal(journal::Journal& journal) : journal_(journal) {}

  // Before the run has worked on it.
  Result<void> add(journal::CaptureId id) {
    const auto row = journal_.find(id);
    if (!row) return row.error();
    if (*row && !is_final(**row)) open_.insert({id, {(*row)->attempts, (*row)->state, (*row)->attempts}});
    total_ = open_.size();
    return {};
  }

  // All that the journal has to be done, whoever found it and whenever.
  Result<void> add_all_open() {
    const auto ids = journal_.open_ids();
    if (!ids) return ids.error();
    for (const auto id : *ids) {
      if (auto added = add(id); !added) return added;
    }
    return {};
  }

  // Looks at what is still open. True: something has changed since the last look.
  Result<bool> look(WallTime now) {
    bool moved = false;
    running_ = 0;
    for (auto found = open_.begin(); found != open_.end();) {
      auto& [id, one] = *found;
      const auto row = journal_.find(id);
      if (!row) return row.error();
      if (!*row || is_final(**row) || is_for_later_runs(**row, one, now)) {
        moved = true;
        if (*row) close(**row);
        found = open_.erase(found);
        continue;
      }
      if ((*row)->state == State::capturing) ++running_;
      moved = moved || (*row)->state != one.seen_state || (*row)->attempts != one.seen_attempts;
      one.seen_state = (*row)->state;
      one.seen_attempts = (*row)->attempts;
      ++found;
    }
    return moved;
  }

  // What is open now is left to later runs.
  void give_up() {
    for (const auto& [id, one] : open_) {
      if (const auto row = journal_.find(id); row && *row) close(**row);
    }
    open_.clear();
  }

  bool reached() const { return open_.empty(); }
  std::size_t total() const { return total_; }
  std::size_t left() const { return open_.size(); }
  std::size_t running() const { return running_; }
  std::size_t done() const { return done_; }
  const std::vector<std::string>& not_done() const { return not_done_; }

 private:
  struct Open {
    int attempts = 0;  // when it was added
    State seen_state = State::waiting;
    int seen_attempts = 0;
  };
  static bool is_for_later_runs(const journal::Capture& row, const Open& one, WallTime now) {
    if (WallTime(row.window_end) > now + longest_recording) return true;
    const auto next = row.next_attempt_at.value_or(WallTime::min());
    const bool tried = row.attempts >= one.attempts + attempts_a_pass;
    return row.state != State::capturing && next > (tried ? now : now + worth_waiting);
  }
  void close(const journal::Capture& row) {
    if (row.state == State::done) {
      ++done_;
    } else {
      not_done_.push_back(as_line(row));
    }
  }

  journal::Journal& journal_;
  std::map<journal::CaptureId, Open> open_;
  std::size_t total_ = 0;
  std::size_t running_ = 0;
  std::size_t done_ = 0;
  std::vector<std::string> not_done_;
};

// One line that is written over, on a terminal; nothing elsewhere.
class Progress {
 public:
  explicit Progress(SteadyTime began) : began_(began) {}
  ~Progress() { clear(); }

  void show(const Goal& goal, SteadyTime now) {
    if (!on_terminal_ || now - began_ < seconds(1)) return;
    const auto finished = goal.total() - goal.left();
    std::string eta;
    if (finished > 0) {
      const auto left = (now - began_) / static_cast<long>(finished) * static_cast<long>(goal.left());
      eta = fmt::format(", about {} s left", std::chrono::ceil<seconds>(left).count());
    }
    fmt::print(stderr, "\r\033[K{} of {} captures, {} running{}", finished, goal.total(), goal.running(), eta);
    shown_ = true;
  }
  void clear() {
    if (std::exchange(shown_, false)) fmt::print(stderr, "\r\033[K");
  }

 private:
  const SteadyTime began_;
  const bool on_terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
};

class CatchUpRun {
 public:
  CatchUpRun(const Config& config, journal::Journal writing, journal::Journal reading, const Signals& signals)
      : config_(config),
        signals_(signals),
        reader_(std::move(reading)),
        writer_(std::move(writing), max_queued_changes),
        api_(api_options(config), clock_, [](std::string_view, int) {}),
        intake_(intake_policy(config), writer_, [](journal::CaptureId, bool) {}),
        catch_up_(
            [this](const rhombus::AlertQuery& query, std::stop_token stop) {
              auto page = api_.policy_alerts(query, std::move(stop));
              if (!page) rhombus_failed_ = true;
              return page;
            },
            intake_, writer_, clock_, seconds(config.catch_up.lookback_seconds)),
        goal_(reader_) {}

  int run(const ingest::PassScope& scope);

 private:
  Result<ingest::PassResult> pass(const ingest::PassScope& scope);
  Result<void> see_through();
  Result<void> work_if_nobody_does();
  void stop_working();
  void tell_of_new_silence(std::optional<WallTime> told_before);
  int conclude(const ingest::PassResult& listed, bool max_alerts, const Result<void>& seen_through);

  const Config& config_;
  const Signals& signals_;
  SystemClock clock_;
  journal::Journal reader_;
  journal::Writer writer_;
  rhombus::ApiClient api_;
  ingest::Intake intake_;
  ingest::CatchUp catch_up_;
  Goal goal_;
  std::unique_ptr<CaptureEngine> engine_;
  bool rhombus_failed_ = false;  // rather than the journal
  bool interrupted_ = false;
  bool hung_ = false;
};

// The pass runs beside this thread, which minds the signals.
Result<ingest::PassResult> CatchUpRun::pass(const ingest::PassScope& scope) {
  Synchronized<std::optional<Result<ingest::PassResult>>> passed;
  std::jthread asking([&](std::stop_token stop) {
    Result<void> added;
    auto result = catch_up_.pass(scope, std::move(stop), [&](const ingest::TakenIn& taken) {
      if (added && taken.capture.ignored_reason.empty()) added = goal_.add(taken.accepted.id);
    });
    if (result && added && scope.is_whole()) added = goal_.add_all_open();
    passed.lock()->emplace(added ? std::move(result) : added.error());
  });
  while (!*passed.lock()) {
    if (!signals_.wait_for(milliseconds(20))) continue;
    interrupted_ = true;
    asking.request_stop();
  }
  asking.join();
  return std::move(**passed.lock());
}

Result<void> CatchUpRun::work_if_nobody_does() {
  const bool served = ProcessLock::is_held(serve_lock(config_.journal.path));
  if (engine_ && served) stop_working();  // it has the listener's alerts as well, and gives them what they need
  if (engine_ || served || hung_) return {};
  auto locks = take_work_locks(config_.journal.path, config_.spool_directory());
  if (!locks) return locks.error();
  if (!*locks) return {};
  auto engine = CaptureEngine::start(config_, std::move(**locks), writer_, api_, clock_, {});
  if (!engine) return engine.error();
  engine_ = std::move(*engine);
  return {};
}

void CatchUpRun::stop_working() {
  if (!engine_) return;
  hung_ = !engine_->stop();
  if (hung_) engine_.release();  // its thread is held by the archive; the process ends without it
  engine_.reset();
}

Result<void> CatchUpRun::see_through() {
  Progress progress(clock_.steady_now());
  auto moved_at = clock_.steady_now();
  while (!interrupted_ && !hung_) {
    const auto moved = goal_.look(clock_.wall_now());
    if (!moved) return moved.error();
    const auto now = clock_.steady_now();
    if (*moved || goal_.running() > 0) moved_at = now;
    if (goal_.reached()) return {};
    if (now - moved_at > nothing_moves) break;
    if (auto working = work_if_nobody_does(); !working) return working;
    progress.show(goal_, now);
    interrupted_ = signals_.wait_for(look_interval).has_value();
  }
  goal_.give_up();
  return {};
}

int CatchUpRun::conclude(const ingest::PassResult& listed, bool max_alerts, const Result<void>& seen_through) {
  // A cron run that had nothing to do sends nobody a mail.
  const bool quiet = goal_.total() == 0 && listed.added + listed.grown == 0 && ::isatty(STDOUT_FILENO) == 0;
  if (!quiet)
    fmt::print("{} alerts listed, {} captures new ({} ignored), {} grown; {} to capture: {} done, {} not\n",
               listed.listing.alerts, listed.added, listed.ignored, listed.grown, goal_.total(), goal_.done(),
               goal_.not_done().size() + goal_.left());
  for (const auto& line : goal_.not_done()) fmt::print("{}\n", line);
  if (!seen_through) return complain(seen_through.error().message, exit_failed);
  if (!listed.listing.complete && !max_alerts)
    return complain("Rhombus did not list all of its alerts; what it listed is taken in", exit_failed);
  if (interrupted_) return complain("interrupted; what is left waits in the journal for the next run", exit_failed);
  return goal_.not_done().empty() ? exit_done : exit_failed;
}

// Not again and again of what an earlier run has told.
void CatchUpRun::tell_of_new_silence(std::optional<WallTime> told_before) {
  constexpr std::chrono::minutes may_be_late{3};  // of which a webhook may be, and the run before may have let pass
  const auto now = clock_.wall_now();
  const auto from = told_before.value_or(now) - may_be_late;
  const auto newly = reader_.missed_webhooks(from, now);
  const auto silence = ingest::silence(reader_, now);
  if (newly && newly->count > 0 && silence) tell_of_silence(*silence, api_, writer_, {});
}

int CatchUpRun::run(const ingest::PassScope& scope) {
  const auto before = ingest::last_catch_up(reader_);
  if (!before) return complain("journal.path: " + before.error().message);
  const auto listed = pass(scope);
  if (!listed) {
    writer_.stop();
    if (interrupted_) return complain("interrupted while asking Rhombus; nothing is lost", exit_failed);
    return complain(listed.error().message, rhombus_failed_ ? exit_unreachable : exit_failed);
  }
  const auto seen_through = see_through();
  stop_working();
  tell_of_new_silence(*before);
  writer_.stop();
  const int status = conclude(*listed, scope.max_alerts.has_value(), seen_through);
  if (hung_) {
    complain("the archive does not answer: its clips wait in the spool", exit_failed);
    end_at_once(exit_failed);
  }
  return status;
}

// Lists what a run would take. Without the signals held back: it may be ended at any moment.
int dry_run(const Config& config, const ingest::PassScope& scope) {
  // Two of them: a pass reads its bounds through the writer's.
  auto bounds = open_journal_to_look(config);
  auto known = open_journal_to_look(config);
  if (!bounds || !known) return complain("journal.path: " + (bounds ? known : bounds).error().message);
  SystemClock clock;
  journal::Writer writer(std::move(*bounds), max_queued_changes);
  rhombus::ApiClient api(api_options(config), clock, [](std::string_view, int) {});
  ingest::Intake intake(intake_policy(config), writer, [](journal::CaptureId, bool) {});
  bool rhombus_failed = false;
  const ingest::CatchUp catch_up(
      [&](const rhombus::AlertQuery& query, std::stop_token stop) {
        auto page = api.policy_alerts(query, std::move(stop));
        if (!page) rhombus_failed = true;
        return page;
      },
      intake, writer, clock, seconds(config.catch_up.lookback_seconds));
  std::size_t would_take = 0;
  const auto listing = catch_up.plan(scope, {}, [&](std::vector<journal::NewCapture> captures) -> Result<void> {
    for (const auto& capture : captures) {
      const auto row = known->find(capture.alert, capture.camera);
      if (!row) return row.error();
      const bool longer = capture.duration_is_told && *row && (*row)->duration < capture.duration;
      const bool has_it = *row && is_final(**row) && (*row)->state != State::ignored && !longer;
      if (!capture.ignored_reason.empty() || has_it) continue;
      ++would_take;
      fmt::print("{}  alert {}  camera {}  {} s  {}\n", format_rfc3339(WallTime(capture.window_start)),
                 capture.alert.str(), capture.camera.str(), (capture.window_end - capture.window_start).count(),
                 join(capture.activities, ","));
    }
    return {};
  });
  if (!listing) return complain(listing.error().message, rhombus_failed ? exit_unreachable : exit_failed);
  fmt::print("{} alerts listed, {} captures would be taken\n", listing->alerts, would_take);
  return exit_done;
}

}  // namespace

int catch_up(const Config& config, const CatchUpOptions& options, const Signals* signals) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  auto scope = read_scope(options.scope, SystemClock().wall_now());
  if (!scope) return complain(scope.error().message);
  set_process_up();
  if (signals == nullptr) return dry_run(config, *scope);
  scope->webhooks_expected = ProcessLock::is_held(serve_lock(config.journal.path));
  auto writing = open_sound_journal(config);
  if (!writing) return complain(writing.error().message);
  auto reading = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!reading) return complain("journal.path: " + reading.error().message);
  // Before alerts are taken in: a journal that is new learns of the clips there are.
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  if (const auto known = archive_id(archive, *writing); !known)
    return complain("archive.directory: " + known.error().message);
  return CatchUpRun(config, std::move(*writing), std::move(*reading), *signals).run(*scope);
}

}  // namespace responder::app
