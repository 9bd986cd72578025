#include "alert_run.hpp"

#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "responder/base/text.hpp"
#include "responder/ingest/catch_up.hpp"

#include "capture_run.hpp"
#include "commands.hpp"
#include "push_path.hpp"

namespace responder::app {
namespace {

using journal::State;
using std::chrono::seconds;

class AlertRun {
 public:
  AlertRun(const Config& config, const AlertRunStyle& style, RunJournals journals, const Signals& signals)
      : config_(config),
        style_(style),
        run_(config, std::move(journals.writing), std::move(journals.reading), signals,
             [this](const journal::Capture& row) { tell(row); }),
        catch_up_(
            [this](const rhombus::AlertQuery& query, std::stop_token stop) {
              auto page = run_.api().policy_alerts(query, std::move(stop));
              if (!page) rhombus_failed_ = true;
              return page;
            },
            run_.intake(), run_.writer(), run_.clock(), seconds(config.catch_up.lookback_seconds)),
        progress_(run_.clock().steady_now(), ProgressDisplay::Elsewhere::nothing) {}

  int run(const ingest::PassScope& scope);

 private:
  Result<ingest::PassResult> pass(const ingest::PassScope& scope);
  Result<void> add(const ingest::TakenIn& taken);
  void tell(const journal::Capture& row);
  void tell_of_new_silence(std::optional<WallTime> told_before);
  int conclude(const ingest::PassResult& listed, bool max_alerts, const Result<void>& seen_through);

  const Config& config_;
  const AlertRunStyle& style_;
  CaptureRun run_;
  ingest::CatchUp catch_up_;
  ProgressDisplay progress_;
  std::vector<std::string> not_done_;
  bool rhombus_failed_ = false;  // rather than the journal
};

void AlertRun::tell(const journal::Capture& row) {
  if (style_.tell_files && row.published)
    progress_.print((std::filesystem::path(config_.archive.directory) / row.published->clip).string());
  if (row.state != State::done) not_done_.push_back(as_line(row));
}

Result<void> AlertRun::add(const ingest::TakenIn& taken) {
  if (!taken.capture.ignored_reason.empty()) return {};
  if (style_.again_what_is_lost && taken.accepted.duplicate) {
    if (const auto there = run_.has_clip_or_waits(taken.accepted.id, true); !there) return there.error();
  }
  return run_.goal().add(taken.accepted.id);
}

Result<ingest::PassResult> AlertRun::pass(const ingest::PassScope& scope) {
  std::optional<Result<ingest::PassResult>> passed;
  run_.beside([&](std::stop_token stop) {
    Result<void> added;
    auto result = catch_up_.pass(scope, std::move(stop), [&](const ingest::TakenIn& taken) {
      if (added) added = add(taken);
    });
    if (result && added && scope.is_whole()) added = run_.goal().add_all_open();
    passed.emplace(added ? std::move(result) : added.error());
  });
  return std::move(*passed);
}

int AlertRun::conclude(const ingest::PassResult& listed, bool max_alerts, const Result<void>& seen_through) {
  const auto& goal = run_.goal();
  // A cron run that had nothing to do sends nobody a mail.
  const bool quiet = goal.total() == 0 && listed.added + listed.grown == 0 && ::isatty(STDOUT_FILENO) == 0;
  if (!quiet)
    fmt::print("{} alerts listed, {} captures new ({} ignored), {} grown; {} to capture: {} done, {} not\n",
               listed.listing.alerts, listed.added, listed.ignored, listed.grown, goal.total(), goal.done(),
               goal.not_done() + goal.left());
  for (const auto& line : not_done_) fmt::print("{}\n", line);
  if (!seen_through) return complain(seen_through.error().message, exit_failed);
  if (!listed.listing.complete && !max_alerts)
    return complain("Rhombus did not list all of its alerts; what it listed is taken in", exit_failed);
  if (run_.interrupted()) return complain("interrupted; " + style_.how_to_go_on, exit_failed);
  return not_done_.empty() ? exit_done : exit_failed;
}

// Not again and again of what an earlier run has told.
void AlertRun::tell_of_new_silence(std::optional<WallTime> told_before) {
  constexpr std::chrono::minutes may_be_late{3};  // of which a webhook may be, and the run before may have let pass
  const auto now = run_.clock().wall_now();
  const auto from = told_before.value_or(now) - may_be_late;
  const auto newly = run_.reader().missed_webhooks(from, now);
  const auto silence = ingest::silence(run_.reader(), now);
  if (newly && newly->count > 0 && silence) tell_of_silence(*silence, run_.api(), run_.writer(), {});
}

int AlertRun::run(const ingest::PassScope& scope) {
  const auto before = ingest::last_catch_up(run_.reader());
  if (!before) return complain(with_context(before.error(), "journal.path").message);
  const auto listed = pass(scope);
  if (!listed) {
    const int status = run_.end(rhombus_failed_ ? exit_unreachable : exit_failed);
    if (run_.interrupted()) return complain("interrupted while asking Rhombus; nothing is lost", exit_failed);
    return complain(listed.error().message, status);
  }
  const auto seen_through = run_.see_through(progress_);
  tell_of_new_silence(*before);
  return run_.end(conclude(*listed, scope.max_alerts.has_value(), seen_through));
}

}  // namespace

int take_alerts(const Config& config, const ingest::PassScope& scope, const AlertRunStyle& style,
                const Signals& signals) {
  auto journals = open_for_run(config);
  if (!journals) return complain(journals.error().message);
  return AlertRun(config, style, std::move(*journals), signals).run(scope);
}

}  // namespace responder::app
