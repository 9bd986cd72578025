// hook test: tells one hook a sample, so that the first real alert is not the trial.
#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "beside.hpp"
#include "commands.hpp"
#include "deliveries.hpp"

namespace responder::app {
namespace {

// A capture without a clip, that no alert of Rhombus's can be taken for.
journal::Delivery sample(WallTime now) {
  constexpr std::chrono::seconds length{60};
  journal::Delivery delivery;
  delivery.created_at = now;
  auto& capture = delivery.capture;
  capture.alert = AlertId(fmt::format("{}{}", journal::test_alert_prefix, now.time_since_epoch().count()));
  capture.camera = DeviceId("rhombus-responder");
  capture.camera_name = "Test of rhombus-responder";
  capture.activities = {"CUSTOM"};
  capture.state = journal::State::done;
  capture.via = journal::Via::manual;
  capture.received_at = now;
  capture.window_end = std::chrono::floor<std::chrono::seconds>(now);
  capture.window_start = capture.window_end - length;
  capture.alert_at = WallTime(capture.window_start);
  capture.duration = length;
  return delivery;
}

// The configuration with that hook alone, or a line on what there is.
Result<Config> only_hook(Config config, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& hook : config.hooks) names.push_back(hook.name);
  if (names.empty()) return Error{ErrorKind::permanent, "no [[hook]] is configured"};
  std::erase_if(config.hooks, [&](const auto& hook) { return hook.name != name; });
  config.offsite.remote.clear();
  if (!config.hooks.empty()) return config;
  const auto close = nearest(name, names);
  return Error{ErrorKind::permanent,
               fmt::format("NAME: no [[hook]] is named '{}'; {}", printable(name, 60),
                           close ? fmt::format("did you mean {}?", *close) : "there are: " + join(names, ", "))};
}

}  // namespace

int test_hook(const Config& config, const std::string& name, const Signals& signals) {
  const auto one = only_hook(config, name);
  if (!one) return complain(one.error().message);
  SystemClock clock;
  const archive::Archive archive(one->archive.directory, one->archive.layout, one->archive.timezone, 0);
  const auto target = std::move(deliver_targets(*one, archive, "", clock).front());
  const auto delivery = sample(clock.wall_now());
  const deliver::Parcel parcel{.delivery = delivery,
                               .id = "test-" + delivery.capture.alert.str(),
                               .is_test = true,
                               .answer = [](std::string_view line) { fmt::print("{}\n", line); }};
  Result<void> told;
  if (run_beside(signals, [&](std::stop_token stop) { told = target->deliver(parcel, std::move(stop)); }))
    return complain("interrupted", exit_failed);
  if (!told) return complain(fmt::format("hook {}: {}", name, told.error().message), exit_failed);
  fmt::print("hook {} took the sample\n", name);
  return exit_done;
}

}  // namespace responder::app
