#include "range_run.hpp"

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "capture_run.hpp"
#include "commands.hpp"
#include "rules.hpp"
#include "scope.hpp"

namespace responder::app {
namespace {

using journal::State;

constexpr std::size_t batch = 500;  // captures written down at once

class RangeRun {
 public:
  RangeRun(const Config& config, const RangePlan& plan, RunJournals journals, const Signals& signals)
      : config_(config),
        plan_(plan),
        run_(config, std::move(journals.writing), std::move(journals.reading), signals,
             [this](const journal::Capture& row) { tell(row); }),
        progress_(run_.clock().steady_now(), ProgressDisplay::Elsewhere::lines) {}

  int run();

 private:
  Result<void> take_in(const std::vector<rhombus::Camera>& cameras);
  Result<void> take_in(std::vector<journal::NewCapture> captures);
  void tell_of_offline(const std::vector<rhombus::Camera>& cameras);
  void warn_of_retention(const std::vector<rhombus::Camera>& cameras);
  void tell(const journal::Capture& row);
  int conclude(const Result<void>& seen_through);

  const Config& config_;
  const RangePlan& plan_;
  CaptureRun run_;
  ProgressDisplay progress_;
  std::size_t already_there_ = 0;
};

// Each file as it is finished; what is not, and why.
void RangeRun::tell(const journal::Capture& row) {
  if (row.published)
    progress_.print((std::filesystem::path(config_.archive.directory) / row.published->clip).string());
  // What an interruption has left untouched is many, and says nothing.
  const bool untouched = row.state == State::waiting && row.attempts == 0 && row.reason.empty();
  if (row.state == State::done || (run_.interrupted() && untouched)) return;
  progress_.clear();
  complain(as_line(row));
}

Result<void> RangeRun::take_in(std::vector<journal::NewCapture> captures) {
  const auto taken = run_.intake().accept_all(std::move(captures));
  if (!taken) return taken.error();
  for (const auto& [capture, accepted] : *taken) {
    if (accepted.duplicate) {
      const auto there = run_.has_clip_or_waits(accepted.id, false);
      if (!there) return there.error();
      if (*there) {
        ++already_there_;
        continue;
      }
    }
    if (auto added = run_.goal().add(accepted.id); !added) return added;
  }
  return {};
}

// They are asked like any other, and what they do not give is tried again: a camera that reboots just now has its
// files of that day, too.
void RangeRun::tell_of_offline(const std::vector<rhombus::Camera>& cameras) {
  constexpr std::size_t most_named = 5;
  std::vector<std::string> names;
  for (const auto& camera : cameras) {
    if (!camera.online) names.push_back(printable(camera.name, 40));
  }
  if (names.empty()) return;
  const auto count = names.size();
  const bool is_one = count == 1;
  if (count > most_named) {
    names.resize(most_named);
    names.push_back(fmt::format("{} more", count - most_named));
  }
  complain(
      fmt::format("{} {} offline just now ({}): what {} not give is tried again by serve, catch-up and this command",
                  count, is_one ? "camera is" : "cameras are", join(names, ", "), is_one ? "it does" : "they do"));
}

// A person who asks for what is old may not think of it.
void RangeRun::warn_of_retention(const std::vector<rhombus::Camera>& cameras) {
  const auto now = run_.clock().wall_now();
  for (const auto& camera : cameras) {
    const auto days = rule_setting(config_, {camera.id, camera.location, {}}, &Config::Rule::retention_days,
                                   config_.archive.retention_days);
    if (days == 0 || WallTime(plan_.parts.front().end) > now - std::chrono::days(days)) continue;
    complain(
        fmt::format("footage of that time is older than the {} days that retention keeps on {}, and soon removed "
                    "again: keep it with rhombus-responder hold {}",
                    days, printable(camera.name, 40), range_capture(camera, plan_.parts.front(), now).alert.str()));
    return;
  }
}

// The oldest first, of all cameras: it is the next to be lost.
Result<void> RangeRun::take_in(const std::vector<rhombus::Camera>& cameras) {
  std::vector<journal::NewCapture> captures;
  for (const auto& part : plan_.parts) {
    for (const auto& camera : cameras) {
      captures.push_back(range_capture(camera, part, run_.clock().wall_now()));
      if (captures.size() < batch) continue;
      if (auto taken = take_in(std::exchange(captures, {})); !taken) return taken;
    }
  }
  return take_in(std::move(captures));
}

int RangeRun::conclude(const Result<void>& seen_through) {
  const auto& goal = run_.goal();
  const auto there = already_there_ > 0 ? fmt::format(", {} there already", already_there_) : "";
  fmt::print("{} files: {} done, {} not{}\n", goal.total() + already_there_, goal.done(), goal.not_done(), there);
  if (!seen_through) return complain(seen_through.error().message, exit_failed);
  if (run_.interrupted()) return complain("interrupted; to resume it: " + plan_.same_again, exit_failed);
  return goal.not_done() == 0 ? exit_done : exit_failed;
}

int RangeRun::run() {
  Result<std::vector<rhombus::Camera>> all = std::vector<rhombus::Camera>{};
  std::vector<rhombus::Location> locations;
  run_.beside([&](std::stop_token stop) {
    all = run_.api().cameras(stop);
    if (all && plan_.choice.location) locations = locations_or_none(run_.api(), stop);
  });
  if (!all) {
    if (run_.interrupted()) return run_.end(complain("interrupted while asking Rhombus", exit_failed));
    return run_.end(complain(all.error().message, exit_unreachable));
  }
  const auto chosen = choose(*all, locations, plan_.choice, plan_.options);
  if (!chosen) return run_.end(complain(chosen.error().message));
  tell_of_offline(chosen->cameras);
  if (const auto few = check_number(plan_.parts.size() * chosen->cameras.size()); !few)
    return run_.end(complain(few.error().message));
  warn_of_retention(chosen->cameras);
  // A person waits for it, or a long night does.
  run_.goal().set_patience({.attempts = 6, .wait = std::chrono::seconds(45)});
  for (const auto& camera : chosen->cameras) run_.goal().set_name(camera.id, camera.name);
  auto done = take_in(chosen->cameras);
  if (done) done = run_.see_through(progress_);
  return run_.end(conclude(done));
}

}  // namespace

int take_ranges(const Config& config, const RangePlan& plan, const Signals& signals) {
  auto journals = open_for_run(config);
  if (!journals) return complain(journals.error().message);
  return RangeRun(config, plan, std::move(*journals), signals).run();
}

}  // namespace responder::app
