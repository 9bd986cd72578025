// The only door for alerts: what to capture of an alert, written down before anybody is answered. Webhook, poller and
// person are the same case; the unique (alert, camera) makes whoever comes second a duplicate.
//
// Thread-safe. accept() does not block: `answer` is called, from the journal's thread, once the alert is on disk or
// cannot be.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/journal/writer.hpp"
#include "responder/rhombus/alert.hpp"

namespace responder::ingest {

// What the owner's rules make of one camera's share of an alert.
struct CameraRules {
  std::chrono::seconds buffer{0};            // before and after the alert
  std::vector<DeviceId> extra_cameras = {};  // captured as well, over the same window
};

struct IntakePolicy {
  std::chrono::seconds buffer{30};             // before and after an alert
  std::chrono::seconds default_duration{120};  // for an alert that gives none
  std::chrono::seconds max_age{0};             // of an alert that a webhook tells of; 0: any
  // Empty: all.
  std::set<std::string> cameras = {};
  std::set<std::string> locations = {};
  std::set<std::string> activities = {};
  // The cameras that see a device which is none itself (a door, a sensor); and those of a location, for its devices
  // of which neither Rhombus nor the former name a camera.
  std::map<DeviceId, std::vector<DeviceId>> cameras_of_device = {};
  std::map<LocationId, std::vector<DeviceId>> cameras_of_location = {};
  // Pure. None: `buffer`, and no other cameras.
  std::function<CameraRules(const DeviceId& camera, const LocationId& location,
                            const std::vector<std::string>& activities)>
      rules = {};
};

struct Answer {
  enum class Kind { accepted, duplicate, ignored };
  Kind kind = Kind::accepted;
  std::string reason;  // of an ignored one
};

// What of `alert` is to be captured; one entry for each camera, or one `ignored` entry under the device that raised
// it. `policy.cameras` is for the cameras that Rhombus names; those that the owner names (cameras_of_device,
// cameras_of_location, extra_cameras) were named to be captured. Extra cameras have no extra cameras of their own.
// Pure.
std::vector<journal::NewCapture> plan_captures(const rhombus::Alert& alert, const IntakePolicy& policy,
                                               journal::Via via, WallTime received_at);

// A capture of an alert that was taken in with others.
struct TakenIn {
  journal::NewCapture capture;
  journal::Accepted accepted;
};

class Intake {
 public:
  // `wake` is told of each capture that is new by accept() or whose window grew, and whether it is live.
  Intake(IntakePolicy policy, journal::Writer& writer, std::function<void(journal::CaptureId, bool)> wake)
      : policy_(std::move(policy)), writer_(writer), wake_(std::move(wake)) {}

  void accept(const rhombus::Alert& alert, journal::Via via, WallTime received_at,
              std::function<void(Result<Answer>)> answer);

  // Takes in captures that plan_captures() made, all or none, and waits until they are on disk.
  Result<std::vector<TakenIn>> accept_all(std::vector<journal::NewCapture> captures);

  const IntakePolicy& policy() const { return policy_; }

 private:
  const IntakePolicy policy_;
  journal::Writer& writer_;
  const std::function<void(journal::CaptureId, bool)> wake_;
};

}  // namespace responder::ingest
