// The small commands that change what the journal remembers.
#include <map>

#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/journal.hpp"

#include "alert_words.hpp"
#include "archive_marker.hpp"
#include "commands.hpp"
#include "names.hpp"
#include "refused_devices.hpp"
#include "set_up.hpp"

namespace responder::app {

namespace {

// The devices of the pins, with the names that the journal knows.
std::vector<Named> named_devices(journal::Journal& journal, const std::vector<journal::Pin>& pins) {
  std::map<DeviceId, std::string> names;
  if (const auto cameras = journal.cameras()) {
    for (const auto& camera : *cameras) names[camera.id] = camera.name;
  }
  std::vector<Named> devices;
  for (const auto& pin : pins) devices.push_back({pin.device.str(), names[pin.device]});
  return devices;
}

}  // namespace

int list_pins(const Config& config) {
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  const auto pins = journal->pins();
  if (!pins) return complain(pins.error().message);
  const auto refused = refused_devices(*journal);
  if (!refused) return complain(refused.error().message);
  const auto devices = named_devices(*journal, *pins);
  for (std::size_t i = 0; i < pins->size(); ++i) {
    const auto& pin = (*pins)[i];
    fmt::print("{}  {}  since {}  {}\n", pin.device.str(), pin.key_sha256, format_rfc3339(pin.first_seen),
               devices[i].name.empty() ? "(no name is known)" : printable(devices[i].name, 60));
    for (const auto& one : *refused)
      if (one.device == pin.device) fmt::print("    REFUSED: {}\n", describe(one, ""));
  }
  return exit_done;
}

int forget_pin(const Config& config, const std::string& device) {
  auto journal = open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  const auto pins = journal->pins();
  if (!pins) return complain(pins.error().message);
  const auto meant = find_named(named_devices(*journal, *pins), device, {"DEVICE", "pins list shows", "device"});
  if (!meant) return complain(meant.error().message);
  const auto forgotten = journal->forget_pin(DeviceId(meant->id));
  if (!forgotten) return complain(forgotten.error().message);
  if (auto removed = remove_refused_device(*journal, DeviceId(meant->id)); !removed)
    return complain(removed.error().message);
  if (!*forgotten)
    return complain(fmt::format("no key of {} is remembered; pins list shows those that are", meant->id));
  fmt::print("{}: the key it shows next is remembered\n", describe(*meant));
  return exit_done;
}

int adopt_archive(const Config& config) {
  auto journal = open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  if (auto adopted = adopt_as_archive(archive, *journal); !adopted)
    return complain("archive.directory: " + adopted.error().message);
  fmt::print("{} is the archive now; restart serve\n", config.archive.directory);
  return exit_done;
}

namespace {

// A clip that is not in the archive any more is no measure for the one that comes: whatever there is is better.
Result<void> forget_lost_clips(const Config& config, journal::Journal& journal, const AlertId& alert) {
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  if (!check_is_archive(archive, journal)) return {};  // nothing can be said of it
  std::vector<journal::CaptureId> lost;
  const auto looked = journal.each({.alert = alert}, [&](const journal::Capture& capture) {
    std::error_code failed;
    const bool gone =
        capture.published && !std::filesystem::exists(archive.directory() / capture.published->clip, failed);
    if (gone && !failed) lost.push_back(capture.id);
  });
  if (!looked) return looked;
  for (const auto id : lost) {
    if (auto forgotten = journal.forget_clip(id); !forgotten) return forgotten;
  }
  return {};
}

// "1 capture is", "2 captures are".
std::string counted(std::int64_t count, std::string_view one, std::string_view several) {
  return fmt::format("{} {}", count, count == 1 ? one : several);
}

std::string are_in_line(std::int64_t captures) {
  return counted(captures, "capture is", "captures are") + " in line again";
}

}  // namespace

int retry(const Config& config, const RetryOptions& options) {
  if (options.alerts.empty() != (options.failed || options.deliveries))
    return complain("give the alerts to try again, --failed for all that failed, or --deliveries");
  auto journal = open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  const auto alerts = find_alerts(*journal, options.alerts);
  if (!alerts) return complain(alerts.error().message);
  const auto now = SystemClock().wall_now();
  int status = exit_done;
  if (options.failed) {
    const auto count = journal->retry_failed(now);
    if (!count) return complain(count.error().message);
    fmt::print("{}\n", are_in_line(*count));
  }
  if (options.deliveries) {
    const auto count = journal->retry_deliveries(now);
    if (!count) return complain(count.error().message);
    fmt::print("{} in line again\n", counted(*count, "delivery is", "deliveries are"));
  }
  for (const auto& alert : *alerts) {
    const auto count = journal->retry(alert, now);
    if (!count) return complain(count.error().message);
    if (auto forgotten = forget_lost_clips(config, *journal, alert); !forgotten)
      return complain(forgotten.error().message);
    fmt::print("{}: {}\n", alert.str(),
               *count > 0 ? are_in_line(*count) : "nothing to try again: ignored, or being captured");
    if (*count == 0) status = exit_failed;
  }
  return status;
}

namespace {

std::string describe_held(const std::string& alert, const journal::HeldCaptures& captures) {
  std::vector<std::string> parts;
  if (captures.count > captures.removed)
    parts.push_back(counted(static_cast<std::int64_t>(captures.count - captures.removed), "capture is held",
                            "captures are held"));
  if (captures.removed > 0)
    parts.push_back(
        fmt::format("the clips of {} were removed before (retry {} captures them again while there is "
                    "footage)",
                    captures.removed, alert));
  return join(parts, ", ");
}

int set_held(const Config& config, const std::vector<std::string>& words, bool held) {
  auto journal = open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  // All or none: who mistypes one of several wants to know before anything is changed.
  const auto alerts = find_alerts(*journal, words);
  if (!alerts) return complain(alerts.error().message);
  int status = exit_done;
  for (const auto& alert : *alerts) {
    journal::HeldCaptures captures;
    const auto set = journal->transaction([&]() -> Result<void> {
      auto done = journal->set_held(alert, held);
      if (done) captures = *done;
      return done ? Result<void>{} : done.error();
    });
    if (!set) return complain(set.error().message, exit_failed);
    if (captures.count == 0) {
      status = complain(fmt::format("{}: it is ignored, and has no clip", alert.str()), exit_failed);
      continue;
    }
    const auto released =
        counted(static_cast<std::int64_t>(captures.count), "capture is not held", "captures are not held");
    fmt::print("{}: {}\n", alert.str(), held ? describe_held(alert.str(), captures) : released);
    if (held && captures.removed > 0) status = exit_failed;
  }
  return status;
}

}  // namespace

int hold(const Config& config, const std::vector<std::string>& alerts) { return set_held(config, alerts, true); }
int release(const Config& config, const std::vector<std::string>& alerts) { return set_held(config, alerts, false); }

}  // namespace responder::app
