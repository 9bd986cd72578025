#include "responder/ingest/intake.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

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

// A camera that an alert concerns.
struct Witness {
  rhombus::AlertCamera seen;
  bool chosen = false;  // by the owner
};

void add_witness(std::vector<Witness>& witnesses, Witness more) {
  const auto same = std::find_if(witnesses.begin(), witnesses.end(),
                                 [&](const Witness& one) { return one.seen.camera == more.seen.camera; });
  if (same == witnesses.end()) {
    witnesses.push_back(std::move(more));
  } else {
    same->chosen = same->chosen || more.chosen;
  }
}

// The cameras that saw what `device` saw.
void add_associated(std::vector<Witness>& witnesses, const rhombus::AlertCamera& device,
                    const std::vector<DeviceId>& cameras) {
  for (const auto& camera : cameras) {
    Witness witness{device, true};
    witness.seen.camera = camera;
    witness.seen.clip_region.clear();
    add_witness(witnesses, std::move(witness));
  }
}

std::vector<Witness> witnesses_of(const rhombus::Alert& alert, const IntakePolicy& policy) {
  std::vector<Witness> witnesses;
  // A rule action does not say what kind of device it names: one that has cameras is none itself.
  for (const auto& camera : alert.cameras) {
    const auto associated = policy.cameras_of_device.find(camera.camera);
    if (associated == policy.cameras_of_device.end()) {
      add_witness(witnesses, {camera, false});
    } else {
      add_associated(witnesses, camera, associated->second);
    }
  }
  const rhombus::AlertCamera device{
      .camera = alert.device, .at = alert.at, .duration = alert.duration, .activities = alert.activities};
  if (const auto found = policy.cameras_of_device.find(alert.device); found != policy.cameras_of_device.end())
    add_associated(witnesses, device, found->second);
  const auto here = policy.cameras_of_location.find(alert.location);
  if (witnesses.empty() && here != policy.cameras_of_location.end()) add_associated(witnesses, device, here->second);
  return witnesses;
}

// What is to be captured of one camera.
struct Share {
  DeviceId camera;
  WallTime at;
  WallTime until;
  bool duration_is_told = false;
  seconds buffer{0};
  std::vector<std::string> activities = {};
  std::string clip_region = {};
};

// A camera that several name is captured once, over all that they want of it.
void add_share(std::vector<Share>& shares, Share more) {
  const auto same =
      std::find_if(shares.begin(), shares.end(), [&](const Share& one) { return one.camera == more.camera; });
  if (same == shares.end()) {
    shares.push_back(std::move(more));
    return;
  }
  same->at = std::min(same->at, more.at);
  same->until = std::max(same->until, more.until);
  same->buffer = std::max(same->buffer, more.buffer);
  same->duration_is_told = same->duration_is_told || more.duration_is_told;
}

// What passes the filters, with what the rules add to it. `reason`: why nothing did.
std::vector<Share> wanted_shares(const rhombus::Alert& alert, const std::vector<Witness>& witnesses,
                                 const IntakePolicy& policy, WallTime received_at, std::string& reason) {
  std::vector<Share> shares;
  std::vector<Share> extra;
  for (const auto& [seen, chosen] : witnesses) {
    const auto& activities = seen.activities.empty() ? alert.activities : seen.activities;
    if (!chosen && !passes(policy.cameras, seen.camera.str())) {
      reason = "filtered: camera";
      continue;
    }
    if (!any_passes(policy.activities, activities)) {
      reason = "filtered: activity";
      continue;
    }
    const auto rules =
        policy.rules ? policy.rules(seen.camera, alert.location, activities) : CameraRules{policy.buffer};
    const auto at = seen.at.value_or(received_at);
    Share share{.camera = seen.camera,
                .at = at,
                .until = std::max(at, seen.last_at.value_or(at)) + seen.duration.value_or(policy.default_duration),
                .duration_is_told = seen.duration.has_value(),
                .buffer = rules.buffer,
                .activities = activities,
                .clip_region = seen.clip_region};
    for (const auto& camera : rules.extra_cameras) {
      extra.push_back(share);
      extra.back().camera = camera;
      extra.back().clip_region.clear();
    }
    add_share(shares, std::move(share));
  }
  for (auto& share : extra) add_share(shares, std::move(share));
  return shares;
}

void set_window(journal::NewCapture& capture, WallTime at, seconds duration, seconds buffer) {
  capture.alert_at = at;
  capture.duration = duration;
  capture.window_start = std::chrono::floor<seconds>(at - buffer);
  capture.window_end =
      std::max(std::chrono::ceil<seconds>(at + duration + buffer), capture.window_start + seconds(1));
}

// Why a share that is wanted is written down and not captured; empty: it is captured.
std::string untimely(const Share& share, const IntakePolicy& policy, journal::Via via, WallTime received_at) {
  // What Rhombus lists is captured however old; an old webhook may be anybody's record of one.
  const bool is_late = policy.max_age > seconds(0) && share.at < received_at - policy.max_age;
  if (via == journal::Via::webhook && is_late) return "too old";
  return share.at > received_at + latest_future ? std::string(journal::future_reason) : "";
}

}  // namespace

std::vector<journal::NewCapture> plan_captures(const rhombus::Alert& alert, const IntakePolicy& policy,
                                               journal::Via via, WallTime received_at) {
  journal::NewCapture base;
  base.alert = alert.id;
  base.location = alert.location;
  base.via = via;
  base.received_at = received_at;
  const auto ignored = [&](std::string reason) {
    auto capture = base;
    set_window(capture, received_at, seconds(0), policy.buffer);
    capture.camera = alert.device;
    capture.activities = alert.activities;
    capture.ignored_reason = std::move(reason);
    return std::vector{std::move(capture)};
  };

  if (alert.diagnostic) return ignored("diagnostic");
  const auto witnesses = witnesses_of(alert, policy);
  if (witnesses.empty()) return ignored("no camera");
  if (!passes(policy.locations, alert.location.str())) return ignored("filtered: location");
  std::string reason;
  const auto shares = wanted_shares(alert, witnesses, policy, received_at, reason);
  if (shares.empty()) return ignored(reason);

  std::vector<journal::NewCapture> captures;
  bool has_device = false;
  for (const auto& share : shares) {
    auto capture = base;
    capture.camera = share.camera;
    capture.activities = share.activities;
    capture.clip_region = share.clip_region;
    capture.duration_is_told = share.duration_is_told;
    capture.ignored_reason = untimely(share, policy, via, received_at);
    const auto duration = std::min(std::chrono::ceil<seconds>(share.until - share.at), longest_alert);
    set_window(capture, share.at, duration, share.buffer);
    captures.push_back(std::move(capture));
    has_device = has_device || share.camera == alert.device;
  }
  if (!has_device) captures.front().instead_of = alert.device;
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
    if (!accepted.duplicate && !capture.ignored_reason.empty())
      spdlog::debug("alert {} on {} by {}: ignored: {}", capture.alert.str(), capture.camera.str(),
                    to_string(capture.via), capture.ignored_reason);
  }
  return taken;
}

}  // namespace responder::ingest
