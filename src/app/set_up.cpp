#include "set_up.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/base/log.hpp"

#include "process_lock.hpp"
#include "rules.hpp"

namespace responder::app {

using std::chrono::seconds;

constexpr rlim_t wanted_descriptors = 8192;

ingest::IntakePolicy intake_policy(const Config& config) {
  const auto as_set = [](const std::vector<std::string>& values) {
    return std::set<std::string>(values.begin(), values.end());
  };
  ingest::IntakePolicy policy{.buffer = seconds(config.capture.buffer_seconds),
                              .default_duration = seconds(config.capture.default_duration_seconds),
                              .max_age = seconds(config.webhook.max_age_seconds),
                              .cameras = as_set(config.filter.cameras),
                              .locations = as_set(config.filter.locations),
                              .activities = as_set(config.filter.activities)};
  const auto add_to = [](std::vector<DeviceId>& cameras, const std::vector<std::string>& more) {
    for (const auto& camera : more) cameras.emplace_back(camera);
  };
  for (const auto& associate : config.associates) {
    for (const auto& device : associate.devices)
      add_to(policy.cameras_of_device[DeviceId(device)], associate.cameras);
    for (const auto& location : associate.locations)
      add_to(policy.cameras_of_location[LocationId(location)], associate.cameras);
  }
  policy.rules = [&config](const DeviceId& camera, const LocationId& location,
                           const std::vector<std::string>& activities) {
    const RuleSubject subject{camera, location, activities};
    ingest::CameraRules rules{
        seconds(rule_setting(config, subject, &Config::Rule::buffer_seconds, config.capture.buffer_seconds))};
    for (const auto& extra : extra_cameras(config, subject)) rules.extra_cameras.emplace_back(extra);
    return rules;
  };
  return policy;
}

void set_process_up() {
  // Footage is for the people it belongs to.
  ::umask(027);
  // Many short-lived threads must not each grow a heap of their own.
  ::mallopt(M_ARENA_MAX, 2);
  // Fixed, or glibc raises it after the first large index and keeps such blocks for ever.
  ::mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  // The usual 1,024 descriptors are fewer than the listener holds connections.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < wanted_descriptors) {
    files.rlim_cur = std::min(files.rlim_max, wanted_descriptors);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

namespace {

// Whoever works on captures has seen to what the journal's log holds, and goes on adding to it.
journal::Journal::Mode mode_to_write(const Config& config) {
  return ProcessLock::is_held(work_lock(config.journal.path)) ? journal::Journal::Mode::read_write_beside
                                                              : journal::Journal::Mode::read_write;
}

// Whether it is known not to be there: what may not be looked at may be.
bool is_absent(const std::filesystem::path& file) {
  std::error_code failed;
  return !std::filesystem::exists(file, failed) && !failed;
}

Error no_journal(const Config& config) {
  return {ErrorKind::permanent, fmt::format("{} is not there (journal.path; has serve run yet? {})",
                                            config.journal.path, config_source(config))};
}

}  // namespace

Result<journal::Journal> open_sound_journal(const Config& config) {
  auto journal = journal::Journal::open(config.journal.path, mode_to_write(config));
  if (!journal) return journal;
  if (auto sound = journal->check(); !sound) return sound.error();
  return journal;
}

Result<journal::Journal> open_known_journal(const Config& config) {
  if (is_absent(config.journal.path)) return no_journal(config);
  return journal::Journal::open(config.journal.path, mode_to_write(config));
}

Result<journal::Journal> open_known_journal_to_look(const Config& config) {
  if (is_absent(config.journal.path)) return no_journal(config);
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!journal) return with_context(journal.error(), "journal.path");
  return journal;
}

Result<journal::Journal> open_journal_to_look(const Config& config) {
  const std::filesystem::path path = config.journal.path;
  std::error_code ignored;
  const auto folder = std::filesystem::absolute(path, ignored).parent_path();
  const bool can_be_made =
      !std::filesystem::exists(folder, ignored) || std::filesystem::is_directory(folder, ignored);
  if (is_absent(path) && can_be_made) return journal::Journal::in_memory();
  return journal::Journal::open(path, journal::Journal::Mode::read_only);
}

void end_at_once(int status) {
  shutdown_logging();
  ::_exit(status);
}

}  // namespace responder::app
