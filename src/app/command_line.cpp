#include "command_line.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "commands.hpp"

namespace responder::app {
namespace {

constexpr const char* about =
    "Takes the footage around Rhombus policy alerts onto your own storage, at once.\n"
    "Configuration: /etc/rhombus-responder/config.toml, --config FILE, or RHOMBUS_RESPONDER_<TABLE>_<KEY>.";

void add_scope(CLI::App& command, ScopeOptions& scope) {
  command.add_option("--after", scope.after, "alerts since: epoch seconds, RFC 3339, or -24h");
  command.add_option("--before", scope.before, "alerts until");
  command.add_option("--camera", scope.camera, "only what this camera saw (UUID)");
  command.add_option("--location", scope.location, "only alerts of this location (UUID)");
}

Command serve_command(CLI::App& program) {
  auto* serving = program.add_subcommand("serve", "Listen for webhooks and capture their footage, in the foreground");
  return {.app = serving,
          .run = [](const Invocation& call) { return serve(call.config, call.config_file, *call.signals); },
          .minds_signals = [] { return true; }};
}

Command catch_up_command(CLI::App& program) {
  auto* command =
      program.add_subcommand("catch-up", "One pass over Rhombus's alerts: capture what is missing, and end");
  const auto options = std::make_shared<CatchUpOptions>();
  add_scope(*command, options->scope);
  command->add_option("--max-alerts", options->scope.max_alerts, "look at the newest so many");
  command->add_flag("--dry-run", options->dry_run, "only list what would be taken");
  return {.app = command,
          .run = [options](const Invocation& call) { return catch_up(call.config, *options, call.signals); },
          .minds_signals = [options] { return !options->dry_run; },
          .is_for_cron = true};
}

Command reconcile_command(CLI::App& program) {
  auto* command = program.add_subcommand("reconcile", "Account for every alert that Rhombus lists");
  const auto options = std::make_shared<ReconcileOptions>();
  add_scope(*command, options->scope);
  command->add_flag("--json", options->json, "one JSON object");
  return {.app = command, .run = [options](const Invocation& call) { return reconcile(call.config, *options); }};
}

Command check_command(CLI::App& program) {
  auto* command = program.add_subcommand("check", "Tell what is wrong with the set-up");
  return {.app = command, .run = [](const Invocation& call) { return check(call.config); }};
}

Command rebuild_command(CLI::App& program) {
  auto* command = program.add_subcommand("rebuild-journal", "Make a lost or damaged journal anew from the archive");
  return {.app = command, .run = [](const Invocation& call) { return rebuild_journal(call.config); }};
}

Command events_command(CLI::App& program) {
  auto* command = program.add_subcommand("events", "What the journal knows, newest first");
  const auto options = std::make_shared<EventsOptions>();
  command->add_flag("--json", options->json, "one JSON object a line");
  command->add_option("--state", options->state, "waiting, capturing, done, partial, failed or ignored");
  command->add_option("--after", options->after, "received since: epoch seconds, RFC 3339, or -24h");
  command->add_option("--limit", options->limit, "at most this many")->capture_default_str();
  return {.app = command, .run = [options](const Invocation& call) { return events(call.config, *options); }};
}

Command status_command(CLI::App& program) {
  auto* command = program.add_subcommand("status", "Counts by state, what waits, disk, whether a serve runs");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "one JSON object");
  return {.app = command, .run = [json](const Invocation& call) { return status(call.config, *json); }};
}

void add_webhook_commands(CLI::App& program, std::vector<Command>& commands) {
  auto* webhook = program.add_subcommand("webhook", "Rhombus's webhooks to us: register, show, test");
  webhook->require_subcommand(1);
  auto* registering =
      webhook->add_subcommand("register", "Have Rhombus call a URL, and store the secret it signs with");
  struct Registration {
    std::string url;
    bool diagnostic = false;
  };
  const auto registration = std::make_shared<Registration>();
  registering->add_option("--url", registration->url, "https://HOST/PATH, as Rhombus reaches it")->required();
  registering->add_flag("--diagnostic", registration->diagnostic, "for what happens to devices, instead of alerts");
  commands.push_back({.app = registering, .run = [registration](const Invocation& call) {
                        return register_webhook(call.config, registration->url, registration->diagnostic);
                      }});
  auto* show = webhook->add_subcommand("show", "What is registered, and whether its secret is known here");
  commands.push_back({.app = show, .run = [](const Invocation& call) { return show_webhooks(call.config); }});
  auto* tidy =
      webhook->add_subcommand("forget-unused", "Forget stored secrets that no registered webhook has any more");
  commands.push_back({.app = tidy, .run = [](const Invocation& call) { return forget_unused_secrets(call.config); }});
  auto* testing = webhook->add_subcommand("test", "Send a signed sample to the listener");
  const auto url = std::make_shared<std::string>();
  testing->add_option("--url", *url, "through this URL, instead of to webhook.listen");
  commands.push_back(
      {.app = testing, .run = [url](const Invocation& call) { return test_webhook(call.config, *url); }});
}

void add_pins_commands(CLI::App& program, std::vector<Command>& commands) {
  auto* pins = program.add_subcommand("pins", "TLS keys of LAN devices that are remembered");
  pins->require_subcommand(0, 1);
  pins->add_subcommand("list", "device, SHA-256 of its key, since when (also without a word)");
  auto* forget = pins->add_subcommand("forget", "Accept the key that a device shows next");
  const auto device = std::make_shared<std::string>();
  forget->add_option("DEVICE", *device, "the device's UUID")->required();
  // The more particular one first.
  commands.push_back(
      {.app = forget, .run = [device](const Invocation& call) { return forget_pin(call.config, *device); }});
  commands.push_back({.app = pins, .run = [](const Invocation& call) { return list_pins(call.config); }});
}

Command adopt_command(CLI::App& program) {
  auto* command = program.add_subcommand("adopt-archive", "Accept the folder of archive.directory as the archive");
  return {.app = command, .run = [](const Invocation& call) { return adopt_archive(call.config); }};
}

Command retry_command(CLI::App& program) {
  auto* command = program.add_subcommand("retry", "Put captures back in line");
  const auto options = std::make_shared<RetryOptions>();
  command->add_option("ALERT", options->alerts, "alerts whose captures are tried again");
  command->add_flag("--failed", options->failed, "all that failed or stayed partial");
  return {.app = command, .run = [options](const Invocation& call) { return retry(call.config, *options); }};
}

Command hold_command(CLI::App& program) {
  auto* command = program.add_subcommand("hold", "Keep the clips of alerts, whatever retention says");
  const auto alerts = std::make_shared<std::vector<std::string>>();
  command->add_option("ALERT", *alerts, "alerts whose clips are kept")->required();
  return {.app = command, .run = [alerts](const Invocation& call) { return hold(call.config, *alerts); }};
}

Command release_command(CLI::App& program) {
  auto* command = program.add_subcommand("release", "Let retention remove clips that are held");
  const auto alerts = std::make_shared<std::vector<std::string>>();
  command->add_option("ALERT", *alerts, "alerts whose clips are no longer held")->required();
  return {.app = command, .run = [alerts](const Invocation& call) { return release(call.config, *alerts); }};
}

Command prune_command(CLI::App& program) {
  auto* command = program.add_subcommand("prune", "Apply retention now");
  const auto dry_run = std::make_shared<bool>(false);
  command->add_flag("--dry-run", *dry_run, "only list what would be removed, and why");
  return {.app = command, .run = [dry_run](const Invocation& call) { return prune(call.config, *dry_run); }};
}

}  // namespace

CommandLine::CommandLine() : program_(about, "rhombus-responder") {
  program_.set_version_flag("--version", "rhombus-responder " RESPONDER_VERSION);
  program_.require_subcommand(1);
  program_.fallthrough();
  program_.add_option("--config", config_file_, "the configuration file (TOML)");
  program_.add_option("--log-level", log_level_, "trace, debug, info, warn or error");
  commands_.push_back(serve_command(program_));
  commands_.push_back(catch_up_command(program_));
  commands_.push_back(reconcile_command(program_));
  commands_.push_back(check_command(program_));
  commands_.push_back(rebuild_command(program_));
  commands_.push_back(events_command(program_));
  commands_.push_back(status_command(program_));
  add_webhook_commands(program_, commands_);
  add_pins_commands(program_, commands_);
  commands_.push_back(adopt_command(program_));
  commands_.push_back(retry_command(program_));
  commands_.push_back(hold_command(program_));
  commands_.push_back(release_command(program_));
  commands_.push_back(prune_command(program_));
}

const Command* CommandLine::chosen() const {
  const auto found =
      std::find_if(commands_.begin(), commands_.end(), [](const Command& one) { return one.app->parsed(); });
  return found == commands_.end() ? nullptr : &*found;
}

std::optional<std::string> CommandLine::unknown_command(int argc, char** argv) const {
  std::vector<std::string> names;
  for (const auto* command : program_.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const std::string word = argc > 1 ? argv[1] : "";
  if (word.empty() || word.front() == '-' || std::find(names.begin(), names.end(), word) != names.end())
    return std::nullopt;
  const auto close = nearest(word, names);
  return fmt::format("unknown command '{}'{}", printable(word, 40),
                     close ? fmt::format("; did you mean {}?", *close) : "");
}

}  // namespace responder::app
