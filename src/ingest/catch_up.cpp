#include "responder/ingest/catch_up.hpp"

#include <algorithm>
#include <thread>

#include <spdlog/spdlog.h>

#include "responder/base/synchronized.hpp"
#include "responder/base/text.hpp"

namespace responder::ingest {
namespace {

using journal::Journal;
using std::chrono::milliseconds;
using std::chrono::seconds;

// How late alerts appear as a rule; a deep pass finds what took longer.
constexpr std::chrono::hours overlap{1};
constexpr std::chrono::hours deep_pass_interval{1};
// How long a webhook may take before it counts as missed, and how long the listener takes to be known.
constexpr seconds webhook_grace{60};
constexpr seconds listening_grace{1};
constexpr std::chrono::hours silence_is_remembered{24};
// An alert further ahead of our clock does not move the watermark.
constexpr std::chrono::hours latest_future{1};

constexpr std::string_view watermark_fact = "catch_up_watermark_ms";
constexpr std::string_view last_success_fact = "catch_up_last_success_ms";
constexpr std::string_view listening_fact = "listening_since_ms";

Result<std::optional<WallTime>> time_fact(Journal& journal, std::string_view name) {
  const auto text = journal.fact(name);
  if (!text) return text.error();
  const auto ms = *text ? parse_int(**text) : std::nullopt;
  if (!ms) return std::optional<WallTime>{};
  return std::optional(WallTime(milliseconds(*ms)));
}

Result<void> set_time_fact(Journal& journal, std::string_view name, WallTime time) {
  return journal.set_fact(name, std::to_string(time.time_since_epoch().count()));
}

}  // namespace

CatchUp::CatchUp(rhombus::AskForAlerts ask, Intake& intake, journal::Writer& writer, Clock& clock, seconds lookback)
    : ask_(std::move(ask)), intake_(intake), writer_(writer), clock_(clock), lookback_(lookback) {}

Result<CatchUp::Bounds> CatchUp::bounds(const PassScope& scope) const {
  std::optional<WallTime> watermark;
  Bounds bounds;
  const auto read = writer_.run([&](Journal& journal) -> Result<void> {
    auto mark = time_fact(journal, watermark_fact);
    if (!mark) return mark.error();
    watermark = *mark;
    auto listening = time_fact(journal, listening_fact);
    if (!listening) return listening.error();
    bounds.listening_since = *listening;
    return {};
  });
  if (!read) return read.error();
  const auto now = clock_.wall_now();
  const auto from = watermark.value_or(now);
  const auto usual = watermark && !scope.deep ? from - overlap : from - lookback_;
  bounds.after = scope.after.value_or(usual);
  // One that begins later than a pass has to may have left something out.
  bounds.moves_watermark = scope.is_whole() && bounds.after <= (watermark ? from : usual);
  return bounds;
}

Result<rhombus::Listing> CatchUp::plan_from(
    WallTime after, const PassScope& scope, std::stop_token stop, WallTime& newest,
    const std::function<Result<void>(std::vector<journal::NewCapture>)>& each_page) const {
  const rhombus::AlertQuery query{.after = after, .before = scope.before, .location = scope.location, .cursor = {}};
  std::size_t alerts = 0;
  return rhombus::list_alerts(ask_, query, stop, [&](std::vector<rhombus::ListedAlert> page) -> Result<bool> {
    const auto now = clock_.wall_now();
    std::vector<journal::NewCapture> captures;
    for (const auto& [alert, at, at_is_told] : page) {
      if (scope.max_alerts && alerts >= *scope.max_alerts) break;
      // To a clock that is behind, all there is lies in the future: it is found when the clock has been put right.
      if (at > now + latest_future) continue;
      auto planned = plan_captures(alert, intake_.policy(), journal::Via::catch_up, now);
      // A device filter of Rhombus's would leave out the alerts of sensors that this camera saw.
      if (scope.camera) std::erase_if(planned, [&](const auto& one) { return one.camera != *scope.camera; });
      if (scope.camera && planned.empty()) continue;
      ++alerts;
      if (at_is_told) newest = std::max(newest, at);
      std::move(planned.begin(), planned.end(), std::back_inserter(captures));
    }
    if (auto done = each_page(std::move(captures)); !done) return done.error();
    return !scope.max_alerts || alerts < *scope.max_alerts;
  });
}

Result<rhombus::Listing> CatchUp::plan(
    const PassScope& scope, std::stop_token stop,
    const std::function<Result<void>(std::vector<journal::NewCapture>)>& each_page) const {
  const auto from = bounds(scope);
  if (!from) return from.error();
  WallTime newest = WallTime::min();
  return plan_from(from->after, scope, std::move(stop), newest, each_page);
}

Result<PassResult> CatchUp::pass(const PassScope& scope, std::stop_token stop,
                                 const std::function<void(const TakenIn&)>& each) {
  const auto from = bounds(scope);
  if (!from) return from.error();
  PassResult result;
  WallTime newest = WallTime::min();
  const auto listing =
      plan_from(from->after, scope, stop, newest, [&](std::vector<journal::NewCapture> captures) -> Result<void> {
        for (auto& capture : captures) {
          capture.webhook_missed = scope.webhooks_expected && from->listening_since &&
                                   capture.ignored_reason.empty() &&
                                   capture.alert_at > *from->listening_since + listening_grace;
        }
        const auto taken = intake_.accept_all(std::move(captures));
        if (!taken) return taken.error();
        for (const auto& one : *taken) {
          result.added += one.accepted.duplicate ? 0 : 1;
          result.grown += one.accepted.grew ? 1 : 0;
          result.ignored += !one.accepted.duplicate && !one.capture.ignored_reason.empty() ? 1 : 0;
          if (each) each(one);
        }
        return {};
      });
  if (!listing) return listing.error();
  result.listing = *listing;
  const auto remembered = writer_.run([&](Journal& journal) -> Result<void> {
    if (from->moves_watermark && listing->complete && newest > WallTime::min()) {
      const auto mark = time_fact(journal, watermark_fact);
      if (!mark) return mark.error();
      if (!*mark || **mark < newest || **mark > clock_.wall_now() + latest_future) {
        if (auto moved = set_time_fact(journal, watermark_fact, newest); !moved) return moved;
      }
    }
    return scope.is_whole() && listing->complete ? set_time_fact(journal, last_success_fact, clock_.wall_now())
                                                 : Result<void>{};
  });
  if (!remembered) return remembered.error();
  return result;
}

Result<void> CatchUp::set_listening(std::optional<WallTime> since) {
  return writer_.run([&](Journal& journal) {
    return since ? set_time_fact(journal, listening_fact, *since) : journal.set_fact(listening_fact, "");
  });
}

Result<SilenceReport> silence(Journal& journal, WallTime now) {
  const auto since = now - silence_is_remembered;
  const auto until = now - webhook_grace;
  const auto missed = journal.missed_webhooks(since, until);
  if (!missed) return missed.error();
  SilenceReport report{missed->count, missed->first, {}};
  if (missed->count == 0) return report;
  const auto last_came = journal.last_webhook_alert();
  if (!last_came) return last_came.error();
  const auto after = *last_came ? journal.missed_webhooks(std::max(since, **last_came), until) : missed;
  if (!after) return after.error();
  report.broken_since = after->first;
  return report;
}

Result<std::uint64_t> webhooks_missed_ever(Journal& journal, WallTime now) {
  const auto missed = journal.missed_webhooks(WallTime(milliseconds(0)), now - webhook_grace);
  if (!missed) return missed.error();
  return missed->count;
}

Result<std::optional<WallTime>> last_catch_up(Journal& journal) { return time_fact(journal, last_success_fact); }

// ------------------------------------------------------------------------------------------------------------------

struct CatchUpPoller::Impl {
  CatchUp& catch_up;
  journal::Journal reading;
  Clock& clock;
  const seconds interval;
  const Events events;
  Synchronized<bool> nudged;
  std::stop_source stopping;
  std::thread thread;

  Impl(CatchUp& catch_up_, journal::Journal reading_, Clock& clock_, seconds interval_, Events events_)
      : catch_up(catch_up_),
        reading(std::move(reading_)),
        clock(clock_),
        interval(interval_),
        events(std::move(events_)) {}

  void run();
  bool pass(bool deep);
  void listen_for_silence();

  std::uint64_t missed_before = 0;
};

void CatchUpPoller::Impl::run() {
  const auto stop = stopping.get_token();
  std::optional<SteadyTime> last_deep;
  int failures = 0;
  while (!stop.stop_requested()) {
    const auto now = clock.steady_now();
    const bool deep = !last_deep || now - *last_deep >= deep_pass_interval;
    if (interval == seconds(0)) {
      // A catch-up beside us may have found what was missed.
      listen_for_silence();
      constexpr seconds look_again{10};
      clock.sleep(look_again, stop);
      continue;
    }
    if (pass(deep)) {
      if (deep) last_deep = now;
      failures = 0;
    } else {
      failures = std::min(failures + 1, 5);
    }
    // While Rhombus cannot be asked, it is tried sooner: what was missed meanwhile is caught up at once.
    const auto wait = failures > 0 ? std::min<milliseconds>(interval, seconds(2) * (1 << failures)) : interval;
    // However often it is nudged.
    const auto least = std::min<milliseconds>(wait, seconds(2));
    if (!clock.sleep(least, stop)) return;
    auto held = nudged.lock();
    held.wait_for(stop, wait - least, [&] { return *held; });
    *held = false;
  }
}

bool CatchUpPoller::Impl::pass(bool deep) {
  const auto passed = catch_up.pass({.deep = deep}, stopping.get_token());
  if (!passed) {
    if (!stopping.stop_requested()) spdlog::warn("catching up: {}", passed.error().message);
    return false;
  }
  if (passed->added + passed->grown > 0) {
    spdlog::info("caught up: {} alerts listed, {} captures new ({} of them ignored), {} grown",
                 passed->listing.alerts, passed->added, passed->ignored, passed->grown);
  } else {
    spdlog::debug("caught up: {} alerts listed, nothing new", passed->listing.alerts);
  }
  if (events.succeeded && passed->listing.complete) events.succeeded(clock.wall_now());
  listen_for_silence();
  return true;
}

// Without the writer: while webhooks stay away, it goes through all that came since.
void CatchUpPoller::Impl::listen_for_silence() {
  const auto report = silence(reading, clock.wall_now());
  if (!report) return spdlog::warn("missed webhooks not counted: {}", report.error().message);
  const auto before = std::exchange(missed_before, report->missed);
  if (report->missed > before && events.silent) events.silent(*report, stopping.get_token());
}

CatchUpPoller::CatchUpPoller(CatchUp& catch_up, journal::Journal reading, Clock& clock, seconds interval,
                             Events events)
    : impl_(std::make_unique<Impl>(catch_up, std::move(reading), clock, interval, std::move(events))) {
  impl_->thread = std::thread([loop = impl_.get()] { loop->run(); });
}

CatchUpPoller::~CatchUpPoller() { stop(); }

void CatchUpPoller::nudge() {
  *impl_->nudged.lock() = true;
  impl_->nudged.notify_all();
}

void CatchUpPoller::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->stopping.request_stop();
  impl_->thread.join();
}

}  // namespace responder::ingest
