// The only door for alerts: what to capture of an alert, written down before anybody is answered. Webhook, poller and
// person are the same case; the unique (alert, camera) makes whoever comes second a duplicate.
//
// Thread-safe. accept() does not block: `answer` is called, from the journal's thread, once the alert is on disk or
// cannot be.
#pragma once

#include <chrono>
#include <functional>
#include <set>
#include <string>

#include "responder/base/clock.hpp"
#include "responder/journal/writer.hpp"
#include "responder/rhombus/alert.hpp"

namespace responder::ingest {

struct IntakePolicy {
  std::chrono::seconds buffer{30};             // before and after an alert
  std::chrono::seconds default_duration{120};  // for an alert that gives none
  std::chrono::seconds max_age{0};             // of an alert that a webhook tells of; 0: any
  // Empty: all.
  std::set<std::string> cameras = {};
  std::set<std::string> locations = {};
  std::set<std::string> activities = {};
};

struct Answer {
  enum class Kind { accepted, duplicate, ignored };
  Kind kind = Kind::accepted;
  std::string reason;  // of an ignored one
};

// What of `alert` is to be captured; one entry for each camera, or one `ignored` entry. Pure.
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
