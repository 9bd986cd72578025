#include "deliveries.hpp"

namespace responder::app {

using std::chrono::seconds;

std::vector<journal::Target> journal_targets(const Config& config) {
  std::vector<journal::Target> targets;
  for (const auto& hook : config.hooks) {
    journal::Target target{hook.name, {}};
    // load_config has parsed them.
    for (const auto& state : hook.on) target.states.push_back(*journal::parse_state(state));
    targets.push_back(std::move(target));
  }
  if (!config.offsite.remote.empty())
    targets.push_back({std::string(journal::offsite_target), {journal::State::done, journal::State::partial}});
  return targets;
}

deliver::Offsite offsite_options(const Config& config, const std::string& archive_marker) {
  return {.remote = config.offsite.remote,
          .rclone = config.offsite.rclone,
          .rclone_config = config.offsite.rclone_config,
          .timeout = seconds(config.offsite.timeout_seconds),
          .marker = archive_marker};
}

std::vector<std::unique_ptr<deliver::Target>> deliver_targets(const Config& config, const archive::Archive& archive,
                                                              const std::string& archive_marker, Clock& clock) {
  std::vector<std::unique_ptr<deliver::Target>> targets;
  for (const auto& hook : config.hooks) {
    const seconds timeout(hook.timeout_seconds);
    if (!hook.command.empty()) {
      targets.push_back(make_target(
          deliver::ProgramHook{
              .name = hook.name, .command = hook.command, .timeout = timeout, .archive = archive.directory()},
          clock));
    } else {
      targets.push_back(make_target(deliver::UrlHook{.name = hook.name,
                                                     .url = *net::Url::parse(hook.url),
                                                     .key = *deliver::SigningKey::parse(hook.secret),
                                                     .ca_file = hook.ca_file,
                                                     .timeout = timeout,
                                                     .archive = archive.directory()},
                                    clock));
    }
  }
  if (!config.offsite.remote.empty())
    targets.push_back(make_target(offsite_options(config, archive_marker), archive, clock));
  return targets;
}

}  // namespace responder::app
