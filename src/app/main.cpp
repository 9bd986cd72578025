#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "responder/base/log.hpp"
#include "responder/base/text.hpp"

#include "commands.hpp"
#include "signals.hpp"

namespace {

using namespace responder;

constexpr const char* about =
    "Takes the footage around Rhombus policy alerts onto your own storage, at once.\n"
    "Configuration: /etc/rhombus-responder/config.toml, --config FILE, or RHOMBUS_RESPONDER_<TABLE>_<KEY>.";

// "sreve" deserves better than "a subcommand is required".
std::optional<std::string> unknown_command(const CLI::App& program, int argc, char** argv) {
  std::vector<std::string> names;
  for (const auto* command : program.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const std::string word = argc > 1 ? argv[1] : "";
  if (word.empty() || word.front() == '-' || std::find(names.begin(), names.end(), word) != names.end())
    return std::nullopt;
  const auto close = nearest(word, names);
  return fmt::format("unknown command '{}'{}", printable(word, 40),
                     close ? fmt::format("; did you mean {}?", *close) : "");
}

void add_scope(CLI::App& command, app::ScopeOptions& scope) {
  command.add_option("--after", scope.after, "alerts since: epoch seconds, RFC 3339, or -24h");
  command.add_option("--before", scope.before, "alerts until");
  command.add_option("--camera", scope.camera, "only what this camera saw (UUID)");
  command.add_option("--location", scope.location, "only alerts of this location (UUID)");
}

int run(int argc, char** argv) {
  CLI::App program{about, "rhombus-responder"};
  program.set_version_flag("--version", "rhombus-responder " RESPONDER_VERSION);
  program.require_subcommand(1);
  program.fallthrough();
  std::string config_file;
  std::string log_level;
  program.add_option("--config", config_file, "the configuration file (TOML)");
  program.add_option("--log-level", log_level, "trace, debug, info, warn or error");

  auto* serve = program.add_subcommand("serve", "Listen for webhooks and capture their footage, in the foreground");
  auto* catch_up =
      program.add_subcommand("catch-up", "One pass over Rhombus's alerts: capture what is missing, and end");
  app::CatchUpOptions catch_up_options;
  add_scope(*catch_up, catch_up_options.scope);
  catch_up->add_option("--max-alerts", catch_up_options.scope.max_alerts, "look at the newest so many");
  catch_up->add_flag("--dry-run", catch_up_options.dry_run, "only list what would be taken");
  auto* reconcile = program.add_subcommand("reconcile", "Account for every alert that Rhombus lists");
  app::ReconcileOptions reconcile_options;
  add_scope(*reconcile, reconcile_options.scope);
  reconcile->add_flag("--json", reconcile_options.json, "one JSON object");
  auto* check = program.add_subcommand("check", "Tell what is wrong with the set-up");
  auto* rebuild = program.add_subcommand("rebuild-journal", "Make a lost or damaged journal anew from the archive");
  auto* events = program.add_subcommand("events", "What the journal knows, newest first");
  app::EventsOptions events_options;
  events->add_flag("--json", events_options.json, "one JSON object a line");
  events->add_option("--state", events_options.state, "waiting, capturing, done, partial, failed or ignored");
  events->add_option("--after", events_options.after, "received since: epoch seconds, RFC 3339, or -24h");
  events->add_option("--limit", events_options.limit, "at most this many")->capture_default_str();
  auto* status = program.add_subcommand("status", "Counts by state, what waits, disk, whether a serve runs");
  bool status_json = false;
  status->add_flag("--json", status_json, "one JSON object");

  auto* webhook = program.add_subcommand("webhook", "Rhombus's webhooks to us: register, show, test");
  webhook->require_subcommand(1);
  auto* registering =
      webhook->add_subcommand("register", "Have Rhombus call a URL, and store the secret it signs with");
  std::string registered_url;
  bool diagnostic = false;
  registering->add_option("--url", registered_url, "https://HOST/PATH, as Rhombus reaches it")->required();
  registering->add_flag("--diagnostic", diagnostic, "for what happens to devices, instead of alerts");
  auto* show = webhook->add_subcommand("show", "What is registered, and whether its secret is known here");
  auto* tidy =
      webhook->add_subcommand("forget-unused", "Forget stored secrets that no registered webhook has any more");
  auto* testing = webhook->add_subcommand("test", "Send a signed sample to the listener");
  std::string tested_url;
  testing->add_option("--url", tested_url, "through this URL, instead of to webhook.listen");

  auto* pins = program.add_subcommand("pins", "TLS keys of LAN devices that are remembered");
  pins->require_subcommand(0, 1);
  pins->add_subcommand("list", "device, SHA-256 of its key, since when (also without a word)");
  auto* forget = pins->add_subcommand("forget", "Accept the key that a device shows next");
  std::string forgotten_device;
  forget->add_option("DEVICE", forgotten_device, "the device's UUID")->required();
  auto* adopt = program.add_subcommand("adopt-archive", "Accept the folder of archive.directory as the archive");
  auto* retry = program.add_subcommand("retry", "Put captures back in line");
  app::RetryOptions retry_options;
  retry->add_option("ALERT", retry_options.alerts, "alerts whose captures are tried again");
  retry->add_flag("--failed", retry_options.failed, "all that failed or stayed partial");

  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return program.exit(success);
  } catch (const CLI::ParseError& error) {
    if (const auto unknown = unknown_command(program, argc, argv)) return app::complain(*unknown);
    return app::complain(fmt::format("{} (rhombus-responder --help shows the usage)", error.what()));
  }

  auto config = app::load_config(config_file, app::process_environment);
  if (!config) return app::complain(config.error().message);
  // What a cron run says goes into somebody's mail.
  if (catch_up->parsed() && !config->set_keys.contains("log.level")) config->log.level = "warn";
  if (!log_level.empty()) config->log.level = log_level;
  // Before the first thread, the log's, which would otherwise take the signals.
  std::optional<app::Signals> signals;
  if (serve->parsed() || (catch_up->parsed() && !catch_up_options.dry_run)) signals.emplace();
  if (auto logging = setup_logging(config->log.level, config->log.format); !logging)
    return app::complain(logging.error().message);

  int code = app::exit_usage;
  if (serve->parsed()) code = app::serve(*config, config_file, *signals);
  if (catch_up->parsed()) code = app::catch_up(*config, catch_up_options, signals ? &*signals : nullptr);
  if (reconcile->parsed()) code = app::reconcile(*config, reconcile_options);
  if (check->parsed()) code = app::check(*config);
  if (rebuild->parsed()) code = app::rebuild_journal(*config);
  if (registering->parsed()) code = app::register_webhook(*config, registered_url, diagnostic);
  if (show->parsed()) code = app::show_webhooks(*config);
  if (tidy->parsed()) code = app::forget_unused_secrets(*config);
  if (testing->parsed()) code = app::test_webhook(*config, tested_url);
  if (events->parsed()) code = app::events(*config, events_options);
  if (status->parsed()) code = app::status(*config, status_json);
  if (forget->parsed()) {
    code = app::forget_pin(*config, forgotten_device);
  } else if (pins->parsed()) {
    code = app::list_pins(*config);
  }
  if (adopt->parsed()) code = app::adopt_archive(*config);
  if (retry->parsed()) code = app::retry(*config, retry_options);
  shutdown_logging();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return app::complain(fmt::format("unexpected: {}", error.what()));
  }
}
