// The small commands that change what the journal remembers.
#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/journal.hpp"

#include "archive_marker.hpp"
#include "commands.hpp"
#include "refused_devices.hpp"
#include "set_up.hpp"

namespace responder::app {

int list_pins(const Config& config) {
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  const auto pins = journal->pins();
  if (!pins) return complain(pins.error().message);
  const auto refused = refused_devices(*journal);
  if (!refused) return complain(refused.error().message);
  for (const auto& pin : *pins) {
    fmt::print("{}  {}  since {}\n", pin.device.str(), pin.key_sha256, format_rfc3339(pin.first_seen));
    for (const auto& one : *refused)
      if (one.device == pin.device) fmt::print("    REFUSED: {}\n", describe(one, ""));
  }
  return exit_done;
}

int forget_pin(const Config& config, const std::string& device) {
  if (!is_safe_id(device)) return complain(fmt::format("{} is no device's UUID", printable(device, 60)));
  auto journal = open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  const auto forgotten = journal->forget_pin(DeviceId(device));
  if (!forgotten) return complain(forgotten.error().message);
  if (auto removed = remove_refused_device(*journal, DeviceId(device)); !removed)
    return complain(removed.error().message);
  if (!*forgotten) return complain(fmt::format("no key of {} is remembered; pins list shows those that are", device));
  fmt::print("{}: the key it shows next is remembered\n", device);
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

}  // namespace

int retry(const Config& config, const RetryOptions& options) {
  if (options.alerts.empty() != (options.failed || options.deliveries))
    return complain("give the alerts to try again, --failed for all that failed, or --deliveries");
  auto journal = open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  const auto now = SystemClock().wall_now();
  int status = exit_done;
  if (options.failed) {
    const auto count = journal->retry_failed(now);
    if (!count) return complain(count.error().message);
    fmt::print("{} captures are in line again\n", *count);
  }
  if (options.deliveries) {
    const auto count = journal->retry_deliveries(now);
    if (!count) return complain(count.error().message);
    fmt::print("{} deliveries are in line again\n", *count);
  }
  for (const auto& alert : options.alerts) {
    const auto count = journal->retry(AlertId(alert), now);
    if (!count) return complain(count.error().message);
    if (auto forgotten = forget_lost_clips(config, *journal, AlertId(alert)); !forgotten)
      return complain(forgotten.error().message);
    fmt::print("{}: {}\n", printable(alert, 64),
               *count > 0 ? fmt::format("{} captures are in line again", *count)
                          : "nothing to try again: unknown, ignored, or being captured");
    if (*count == 0) status = exit_failed;
  }
  return status;
}

namespace {

std::string describe_held(const std::string& alert, const journal::HeldCaptures& captures) {
  std::vector<std::string> parts;
  if (captures.count > captures.removed)
    parts.push_back(fmt::format("{} captures are held", captures.count - captures.removed));
  if (captures.removed > 0)
    parts.push_back(
        fmt::format("the clips of {} were removed before (retry {} captures them again while there is "
                    "footage)",
                    captures.removed, alert));
  return join(parts, ", ");
}

int set_held(const Config& config, const std::vector<std::string>& alerts, bool held) {
  auto journal = open_known_journal(config);
  if (!journal) return complain(journal.error().message);
  int status = exit_done;
  for (const auto& alert : alerts) {
    journal::HeldCaptures captures;
    const auto set = journal->transaction([&]() -> Result<void> {
      auto done = journal->set_held(AlertId(alert), held);
      if (done) captures = *done;
      return done ? Result<void>{} : done.error();
    });
    if (!set) return complain(set.error().message, exit_failed);
    const auto name = printable(alert, 64);
    if (captures.count == 0) {
      status = complain(fmt::format("{}: no such alert in the journal, or it is ignored", name), exit_failed);
      continue;
    }
    fmt::print("{}: {}\n", name,
               held ? describe_held(name, captures) : fmt::format("{} captures are not held", captures.count));
    if (held && captures.removed > 0) status = exit_failed;
  }
  return status;
}

}  // namespace

int hold(const Config& config, const std::vector<std::string>& alerts) { return set_held(config, alerts, true); }
int release(const Config& config, const std::vector<std::string>& alerts) { return set_held(config, alerts, false); }

}  // namespace responder::app
