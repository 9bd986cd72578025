// Catching up: asks Rhombus which alerts there were and takes in what the journal does not know, because webhooks are
// never sent again. One pass is the work of the cron run; the poller does it again and again inside serve.
//
// The watermark is the newest alert that a whole pass has seen and journaled, by Rhombus's clock: ours may jump. Each
// pass begins before it: a little as a rule, for alerts that appear late, and as far as `lookback` the first time and
// once an hour.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "responder/ingest/intake.hpp"
#include "responder/journal/writer.hpp"
#include "responder/rhombus/alert_listing.hpp"

namespace responder::ingest {

// Which alerts a pass looks at. Nothing set: all there are since it last looked.
struct PassScope {
  std::optional<WallTime> after = {};
  std::optional<WallTime> before = {};
  std::optional<std::size_t> max_alerts = {};  // the newest so many
  std::optional<DeviceId> camera = {};
  std::optional<LocationId> location = {};
  bool deep = true;               // as far back as `lookback`; else only for what appears late
  bool webhooks_expected = true;  // somebody listens just now

  bool is_whole() const { return !before && !max_alerts && !camera && !location; }
};

struct PassResult {
  rhombus::Listing listing;
  std::size_t added = 0;    // captures that are new
  std::size_t grown = 0;    // known ones whose alert went on
  std::size_t ignored = 0;  // of the new ones
};

// Alerts whose webhooks never came though we were listening.
struct SilenceReport {
  std::uint64_t missed = 0;                   // in the last day
  std::optional<WallTime> first = {};         // when the first of them began
  std::optional<WallTime> broken_since = {};  // when the first one began since whose alert no webhook came at all
};

class CatchUp {
 public:
  // `ask` is ApiClient::policy_alerts.
  CatchUp(rhombus::AskForAlerts ask, Intake& intake, journal::Writer& writer, Clock& clock,
          std::chrono::seconds lookback);

  // One pass: lists, plans and takes in, page by page. `each` is told of every capture that the listed alerts have.
  // The watermark moves only at the end of a pass that left nothing out.
  Result<PassResult> pass(const PassScope& scope, std::stop_token stop,
                          const std::function<void(const TakenIn&)>& each = {});

  // The listing and planning of a pass alone, with nothing written down.
  Result<rhombus::Listing> plan(const PassScope& scope, std::stop_token stop,
                                const std::function<Result<void>(std::vector<journal::NewCapture>)>& each_page) const;

  // From when on somebody listens for webhooks: of later alerts one is expected. In the journal, for all processes.
  Result<void> set_listening(std::optional<WallTime> since);

 private:
  struct Bounds {
    WallTime after;
    bool moves_watermark = false;
    std::optional<WallTime> listening_since;
  };
  Result<Bounds> bounds(const PassScope& scope) const;
  Result<rhombus::Listing> plan_from(
      WallTime after, const PassScope& scope, std::stop_token stop, WallTime& newest,
      const std::function<Result<void>(std::vector<journal::NewCapture>)>& each_page) const;

  const rhombus::AskForAlerts ask_;
  Intake& intake_;
  journal::Writer& writer_;
  Clock& clock_;
  const std::chrono::seconds lookback_;
};

// What the journal says of missed webhooks. An alert of just now is given time.
Result<SilenceReport> silence(journal::Journal& journal, WallTime now);

// How many were missed since this journal was begun.
Result<std::uint64_t> webhooks_missed_ever(journal::Journal& journal, WallTime now);

// What the journal remembers of catching up, for `status`.
Result<std::optional<WallTime>> last_catch_up(journal::Journal& journal);

// Passes at intervals: at the start, every `interval`, soon after nudge(), and sooner while Rhombus cannot be asked.
// With an interval of 0 it makes none, and only looks whether webhooks are missed.
class CatchUpPoller {
 public:
  struct Events {
    // Told of each pass that ended well, and when.
    std::function<void(WallTime)> succeeded = {};
    // Told when more webhooks are known to be missed than before. From the poller's thread; may take its time.
    std::function<void(const SilenceReport&, std::stop_token)> silent = {};
  };
  // `reading`: a journal of its own, for its thread.
  CatchUpPoller(CatchUp& catch_up, journal::Journal reading, Clock& clock, std::chrono::seconds interval,
                Events events);
  ~CatchUpPoller();

  // Something may have been missed: a pass is due. From any thread, without waiting.
  void nudge();
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::ingest
