#include "responder/ingest/intake.hpp"

#include <algorithm>

namespace responder::ingest {
namespace {

using std::chrono::seconds;

// Nobody's alert lasts longer; what says so is a mistake that would fill the disk.
constexpr seconds longest_alert{24 * 3600};
// Clocks differ, but not by more than this: such an alert would be waited for, for who knows how long. It is written
// down whole, so that it is work when ours has been set right (Journal::revive_future).
constexpr seconds latest_future{3600};

bool passes(const std::set<std::string>& filter, std::string_view value) {
  return filter.empty() || filter.contains(std::string(value));
}

bool any_passes(const std::set<std::string>& filter, const std::vector<std::string>& values) {
  return filter.empty() ||
         std::any_of(values.begin(), values.end(), [&](const auto& value) { return filter.contains(value); });
}

journal::NewCapture ignored(const rhombus::Alert& alert, journal::NewCapture base, std::string reason) {
  base.camera = alert.device;
  base.activities = alert.activities;
  base.ignored_reason = std::move(reason);
  return base;
}

}  // namespace

std::vector<journal::NewCapture> plan_captures(const rhombus::Alert& alert, const IntakePolicy& policy,
                                               journal::Via via, WallTime received_at) {
  const auto window_of = [&](journal::NewCapture capture, WallTime at, seconds duration) {
    capture.alert_at = at;
    capture.duration = duration;
    capture.window_start = std::chrono::floor<seconds>(at - policy.buffer);
    capture.window_end =
        std::max(std::chrono::ceil<seconds>(at + duration + policy.buffer), capture.window_start + seconds(1));
    return capture;
  };
  journal::NewCapture base;
  base.alert = alert.id;
  base.location = alert.location;
  base.via = via;
  base.received_at = received_at;
  base = window_of(std::move(base), received_at, seconds(0));

  if (alert.diagnostic) return {ignored(alert, base, "diagnostic")};
  if (alert.cameras.empty()) return {ignored(alert, base, "no camera")};
  if (!passes(policy.locations, alert.location.str())) return {ignored(alert, base, "filtered: location")};

  std::vector<journal::NewCapture> captures;
  std::string reason;
  for (const auto& camera : alert.cameras) {
    const auto& activities = camera.activities.empty() ? alert.activities : camera.activities;
    if (!passes(policy.cameras, camera.camera.str())) {
      reason = "filtered: camera";
    } else if (!any_passes(policy.activities, activities)) {
      reason = "filtered: activity";
    } else {
      auto capture = base;
      capture.camera = camera.camera;
      capture.activities = activities;
      capture.clip_region = camera.clip_region;
      const auto at = camera.at.value_or(received_at);
      const auto until =
          std::max(at, camera.last_at.value_or(at)) + camera.duration.value_or(policy.default_duration);
      const auto duration = std::min(std::chrono::ceil<seconds>(until - at), longest_alert);
      if (at > received_at + latest_future) capture.ignored_reason = journal::future_reason;
      // What Rhombus lists is captured however old; an old webhook may be anybody's record of one.
      const bool is_late = policy.max_age > seconds(0) && at < received_at - policy.max_age;
      if (via == journal::Via::webhook && is_late) capture.ignored_reason = "too old";
      capture.duration_is_told = camera.duration.has_value();
      captures.push_back(window_of(std::move(capture), at, duration));
    }
  }
  if (captures.empty()) return {ignored(alert, base, reason)};
  return captures;
}

void Intake::accept(const rhombus::Alert& alert, journal::Via via, WallTime received_at,
                    std::function<void(Result<Answer>)> answer) {
  struct Pending {
    std::vector<journal::NewCapture> captures;
    std::vector<journal::Accepted> accepted;
  };
  auto pending = std::make_shared<Pending>(Pending{plan_captures(alert, policy_, via, received_at), {}});

  auto work = [pending](journal::Journal& journal) -> Result<void> {
    pending->accepted.clear();
    for (const auto& capture : pending->captures) {
      const auto accepted = journal.accept(capture);
      if (!accepted) return accepted.error();
      pending->accepted.push_back(*accepted);
    }
    return {};
  };
  auto done = [pending, via, wake = &wake_, answer = std::move(answer)](Result<void> committed) {
    if (!committed) return answer(committed.error());
    Answer result{Answer::Kind::duplicate, {}};
    for (std::size_t i = 0; i < pending->captures.size(); ++i) {
      if (pending->accepted[i].grew || pending->accepted[i].hurried)
        (*wake)(pending->accepted[i].id, via == journal::Via::webhook);
      if (pending->accepted[i].duplicate) continue;
      const auto& reason = pending->captures[i].ignored_reason;
      if (!reason.empty() && result.kind == Answer::Kind::accepted) continue;
      result = reason.empty() ? Answer{Answer::Kind::accepted, {}} : Answer{Answer::Kind::ignored, reason};
      if (reason.empty()) (*wake)(pending->accepted[i].id, via == journal::Via::webhook);
    }
    answer(std::move(result));
  };
  writer_.submit(std::move(work), std::move(done));
}

Result<std::vector<TakenIn>> Intake::accept_all(std::vector<journal::NewCapture> captures) {
  std::vector<TakenIn> taken;
  const auto written = writer_.run([&](journal::Journal& journal) -> Result<void> {
    taken.clear();
    for (const auto& capture : captures) {
      const auto accepted = journal.accept(capture);
      if (!accepted) return accepted.error();
      taken.push_back({capture, *accepted});
    }
    return {};
  });
  if (!written) return written.error();
  for (const auto& [capture, accepted] : taken) {
    // New ones are found by the next scan, in the order of their alerts instead of that in which they are told.
    if (accepted.grew || accepted.hurried) wake_(accepted.id, capture.via == journal::Via::webhook);
  }
  return taken;
}

}  // namespace responder::ingest
