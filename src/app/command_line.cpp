#include "command_line.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "commands.hpp"
#include "completion.hpp"
#include "man_page.hpp"
#include "unknown_words.hpp"

namespace responder::app {
namespace {

constexpr const char* about =
    "Takes the footage around Rhombus policy alerts onto your own storage, at once.\n"
    "Configuration: /etc/rhombus-responder/config.toml, --config FILE, or RHOMBUS_RESPONDER_<TABLE>_<KEY>.";

void add_scope(CLI::App& command, ScopeOptions& scope) {
  command.add_option("--after", scope.after, "alerts since: epoch seconds, RFC 3339, or -24h");
  command.add_option("--before", scope.before, "alerts until");
  command.add_option("--camera", scope.camera, "only what this camera saw: UUID or name");
  command.add_option("--location", scope.location, "only alerts of this location: UUID or name");
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

Command backup_command(CLI::App& program) {
  auto* command = program.add_subcommand("backup", "Footage of a time range, in files of an hour each");
  const auto options = std::make_shared<BackupOptions>();
  command->add_option("--start", options->start, "epoch seconds, RFC 3339, or -24h (an hour ago)");
  command->add_option("--duration", options->duration, "seconds, or 90m, 2h, 3d (an hour)");
  command->add_option("--camera", options->camera, "only this one: UUID or name (all of them)");
  command->add_option("--location", options->location, "only those of this location: UUID or name");
  command->add_option("--split", options->split, "length of a file: seconds, or 10m, 1h (1h, on the hour)");
  return {
      .app = command,
      .run = [options](
                 const Invocation& call) { return backup(call.config, call.config_file, *options, *call.signals); },
      .minds_signals = [] { return true; },
      .is_for_cron = true};
}

// The names are the predecessor's; those of several letters after one dash are read by with_predecessor_words().
Command copy_footage_command(CLI::App& program) {
  auto* command =
      program.add_subcommand("copy-footage", "The predecessor's command line; writes to the current directory");
  const auto options = std::make_shared<CopyFootageOptions>();
  command->add_option("-a,--api_key", options->api_key, "visible to other users: better set RHOMBUS_API_KEY");
  command->add_option("-c,--cert", options->cert, "client certificate (PEM)");
  command->add_option("-p,--private_key", options->private_key, "its key (PEM)");
  command->add_option("-s,--start_time", options->start_time, "epoch seconds (an hour ago)");
  command->add_option("-u,--duration", options->duration, "seconds (3600)");
  command->add_flag("-g,--debug", options->debug, "log what is done");
  command->add_flag("-w,--usewan", options->use_wan, "from the WAN alone");
  command->add_option("--location_uuid", options->location, "-loc: only this location");
  command->add_option("--camera_uuid", options->camera, "-cam: only this camera");
  command->add_flag("--alerts", options->alerts, "-al: alerts instead of a range");
  command->add_option("--max_alerts", options->max_alerts, "-ma: the newest so many")->capture_default_str();
  command->add_option("--before_time", options->before_time, "-bt: alerts until (epoch seconds)");
  command->add_option("--after_time", options->after_time, "-at: alerts since (epoch seconds)");
  command->add_option("--alert_buffer", options->alert_buffer, "-ab: seconds before and after an alert")
      ->capture_default_str();
  return {.app = command,
          .run = [options](const Invocation& call) { return copy_footage(call.config, *options, *call.signals); },
          .minds_signals = [] { return true; },
          .is_for_cron = true,
          .adjust = [options](Config& config) { return adjust_for_copy_footage(config, *options); }};
}

Command reconcile_command(CLI::App& program) {
  auto* command = program.add_subcommand("reconcile", "Account for every alert that Rhombus lists");
  const auto options = std::make_shared<ReconcileOptions>();
  add_scope(*command, options->scope);
  command->get_option("--after")->required();
  command->add_flag("--json", options->json, "one JSON object");
  return {.app = command, .run = [options](const Invocation& call) { return reconcile(call.config, *options); }};
}

Command check_command(CLI::App& program) {
  auto* command = program.add_subcommand("check", "Tell what is wrong with the set-up");
  struct Options {
    bool config_only = false;
    bool show_config = false;
  };
  const auto options = std::make_shared<Options>();
  auto* only = command->add_flag("--config-only", options->config_only, "the configuration alone, offline");
  command->add_flag("--show-config", options->show_config, "each value in force and where it comes from")
      ->excludes(only);
  return {.app = command,
          .run =
              [options](const Invocation& call) {
                if (options->config_only) return check_config_only(call.config_file);
                return options->show_config ? show_config(call.config) : check(call.config);
              },
          .needs_no_config = [options] { return options->config_only; }};
}

Command rebuild_command(CLI::App& program) {
  auto* command = program.add_subcommand("rebuild-journal", "Make a lost or damaged journal anew from the archive");
  return {.app = command, .run = [](const Invocation& call) { return rebuild_journal(call.config); }};
}

Command events_command(CLI::App& program) {
  auto* command = program.add_subcommand("events", "What the journal knows, newest first");
  const auto options = std::make_shared<EventsOptions>();
  command->add_flag("--json", options->json, "one JSON object a line");
  command->add_option("--camera", options->camera, "only of this camera: its UUID, or a part of its name");
  command->add_option("--activity", options->activity, "only with this activity: MOTION_HUMAN, say");
  command->add_option("--state", options->state, "waiting, capturing, done, partial, failed or ignored");
  command->add_option("--via", options->via, "only what came by webhook, catch-up or manual");
  command->add_option("--after", options->after, "received since: epoch seconds, RFC 3339, or -24h");
  command->add_option("--before", options->before, "received before");
  command->add_flag("--held", options->held, "only what retention has to keep");
  command->add_option("--limit", options->limit, "at most this many")
      ->capture_default_str()
      // As a number without a sign, -1 would be more than there ever are.
      ->check([](const std::string& text) {
        return parse_int(text).value_or(-1) < 0 ? "give a whole number, 0 or more" : std::string();
      });
  return {.app = command,
          .run = [options](const Invocation& call) { return events(call.config, *options); },
          .reads_secrets = false};
}

Command show_command(CLI::App& program) {
  auto* command = program.add_subcommand("show", "All that is known of one alert");
  struct Options {
    std::string alert;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  command->add_option("ALERT", options->alert, "its id, or the name of one of its clips")->required();
  command->add_flag("--json", options->json, "one JSON object");
  return {.app = command,
          .run = [options](const Invocation& call) { return show(call.config, options->alert, options->json); },
          .reads_secrets = false};
}

Command status_command(CLI::App& program) {
  auto* command = program.add_subcommand("status", "Counts by state, what waits, disk, whether a serve runs");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "one JSON object");
  return {.app = command,
          .run = [json](const Invocation& call) { return status(call.config, *json); },
          .reads_secrets = false};
}

void add_pins_commands(CLI::App& program, std::vector<Command>& commands) {
  auto* pins = program.add_subcommand("pins", "TLS keys of LAN devices that are remembered");
  pins->require_subcommand(0, 1);
  pins->add_subcommand("list", "device, SHA-256 of its key, since when (also without a word)");
  auto* forget = pins->add_subcommand("forget", "Accept the key that a device shows next");
  const auto device = std::make_shared<std::string>();
  forget->add_option("DEVICE", *device, "the device's UUID, or a camera's name")->required();
  // The more particular one first.
  commands.push_back({.app = forget,
                      .run = [device](const Invocation& call) { return forget_pin(call.config, *device); },
                      .reads_secrets = false});
  commands.push_back(
      {.app = pins, .run = [](const Invocation& call) { return list_pins(call.config); }, .reads_secrets = false});
}

Command adopt_command(CLI::App& program) {
  auto* command = program.add_subcommand("adopt-archive", "Accept the folder of archive.directory as the archive");
  return {.app = command, .run = [](const Invocation& call) { return adopt_archive(call.config); }};
}

Command retry_command(CLI::App& program) {
  auto* command = program.add_subcommand("retry", "Put captures back in line");
  const auto options = std::make_shared<RetryOptions>();
  command->add_option("ALERT", options->alerts,
                      "alerts whose captures are tried again: their ids, or names of clips");
  command->add_flag("--failed", options->failed, "all that failed or stayed partial");
  command->add_flag("--deliveries", options->deliveries, "what hooks and the offsite copy were not told in days");
  return {.app = command,
          .run = [options](const Invocation& call) { return retry(call.config, *options); },
          .reads_secrets = false};
}

Command hold_command(CLI::App& program) {
  auto* command = program.add_subcommand("hold", "Keep the clips of alerts, whatever retention says");
  const auto alerts = std::make_shared<std::vector<std::string>>();
  command->add_option("ALERT", *alerts, "alerts whose clips are kept: their ids, or names of clips")->required();
  return {.app = command,
          .run = [alerts](const Invocation& call) { return hold(call.config, *alerts); },
          .reads_secrets = false};
}

Command release_command(CLI::App& program) {
  auto* command = program.add_subcommand("release", "Let retention remove clips that are held");
  const auto alerts = std::make_shared<std::vector<std::string>>();
  command->add_option("ALERT", *alerts, "alerts whose clips are no longer held: their ids, or names of clips")
      ->required();
  return {.app = command,
          .run = [alerts](const Invocation& call) { return release(call.config, *alerts); },
          .reads_secrets = false};
}

Command prune_command(CLI::App& program) {
  auto* command = program.add_subcommand("prune", "Apply retention now");
  const auto dry_run = std::make_shared<bool>(false);
  command->add_flag("--dry-run", *dry_run, "only list what would be removed, and why");
  return {.app = command,
          .run = [dry_run](const Invocation& call) { return prune(call.config, *dry_run); },
          .reads_secrets = false};
}

Command verify_command(CLI::App& program) {
  auto* command = program.add_subcommand("verify", "Check every clip in the archive against its recorded SHA-256");
  const auto options = std::make_shared<VerifyOptions>();
  command->add_flag("--repair", options->repair, "capture again what is damaged or missing");
  command->add_option("--rate", options->bytes_a_second, "read at most so many bytes a second: 20M, say")
      ->transform(CLI::AsSizeValue(false))
      ->check(
          [](const std::string& text) { return text.starts_with('-') ? "give a number above 0" : std::string(); });
  command->add_flag("--anew", options->anew, "begin with the first clip, though the last verify was interrupted");
  return {.app = command,
          .run = [options](const Invocation& call) { return verify(call.config, *options, *call.signals); },
          .minds_signals = [] { return true; },
          .reads_secrets = false};
}

Command export_command(CLI::App& program) {
  auto* command = program.add_subcommand("export", "Copy clips out of the archive, to be handed over as evidence");
  const auto options = std::make_shared<ExportOptions>();
  command->add_option("ALERT", options->alerts, "alerts whose clips are copied: their ids, or names of clips")
      ->required();
  command->add_option("--to", options->to, "the folder they are copied to")->required();
  return {.app = command,
          .run = [options](const Invocation& call) { return export_clips(call.config, *options, *call.signals); },
          .minds_signals = [] { return true; },
          .reads_secrets = false,
          .runs_as = RunsAs::root_beside_journal};
}

// What follows an option, by its name, which means the same in every command; for --help, completion and man page.
// "a|b" are words to choose from, FILE and DIR are paths.
constexpr std::array<std::pair<std::string_view, const char*>, 16> values{{
    {"--config", "FILE"},
    {"--log-level", "trace|debug|info|warn|error"},
    {"--state", "waiting|capturing|done|partial|failed|ignored"},
    {"--after", "TIME"},
    {"--before", "TIME"},
    {"--start", "TIME"},
    {"--camera", "CAMERA"},
    {"--location", "LOCATION"},
    {"--max-alerts", "N"},
    {"--limit", "N"},
    {"--url", "URL"},
    {"--to", "DIR"},
    {"--directory", "DIR"},
    {"ALERT", "ALERT"},
    {"DEVICE", "DEVICE"},
    {"SHELL", "bash|zsh|fish"},
}};

void name_values(CLI::App& command) {
  for (auto* option : command.get_options()) {
    const auto known =
        std::find_if(values.begin(), values.end(), [&](const auto& one) { return option->get_name() == one.first; });
    if (known != values.end() && option->get_type_size() != 0) option->type_name(known->second);
  }
  for (auto* below : command.get_subcommands([](CLI::App*) { return true; })) name_values(*below);
}

int print(const std::string& text) {
  fmt::print("{}", text);
  return exit_done;
}

// Both are for scripts/docs and for packagers: they are not shown among the others.
Command completion_command(CLI::App& program) {
  auto* command = program.add_subcommand("completion", "Print the completion of a shell")->group("");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return {.app = command,
          .run =
              [shell, &program](const Invocation&) {
                const auto tree = describe(program);
                if (*shell == "bash") return print(bash_completion(tree));
                return print(*shell == "zsh" ? zsh_completion(tree) : fish_completion(tree));
              },
          .needs_no_config = [] { return true; }};
}

Command man_command(CLI::App& program) {
  auto* command = program.add_subcommand("man", "Print the manual page, as roff")->group("");
  return {.app = command,
          .run = [&program](const Invocation&) { return print(man_page(describe(program))); },
          .needs_no_config = [] { return true; }};
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
  commands_.push_back(backup_command(program_));
  commands_.push_back(copy_footage_command(program_));
  commands_.push_back(reconcile_command(program_));
  commands_.push_back(check_command(program_));
  commands_.push_back(rebuild_command(program_));
  commands_.push_back(events_command(program_));
  commands_.push_back(status_command(program_));
  commands_.push_back(show_command(program_));
  add_rhombus_commands(program_, commands_);
  add_pins_commands(program_, commands_);
  commands_.push_back(adopt_command(program_));
  commands_.push_back(retry_command(program_));
  commands_.push_back(hold_command(program_));
  commands_.push_back(release_command(program_));
  commands_.push_back(prune_command(program_));
  commands_.push_back(verify_command(program_));
  commands_.push_back(export_command(program_));
  commands_.push_back(completion_command(program_));
  commands_.push_back(man_command(program_));
  name_values(program_);
}

const Command* CommandLine::chosen() const {
  const auto found =
      std::find_if(commands_.begin(), commands_.end(), [](const Command& one) { return one.app->parsed(); });
  return found == commands_.end() ? nullptr : &*found;
}

std::string CommandLine::words_of(const Command& command) {
  std::string words;
  for (const auto* app = command.app; app->get_parent() != nullptr; app = app->get_parent())
    words = words.empty() ? app->get_name() : app->get_name() + " " + words;
  return words;
}

std::string CommandLine::mistake(const std::vector<std::string>& words, const std::string& parser_says) const {
  std::vector<std::string> hidden;
  for (const auto* command : program_.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) hidden.push_back(command->get_name());
  }
  const auto read = read_commands(describe(program_), words, hidden);
  if (read.mistake) return *read.mistake;
  return fmt::format("{} (rhombus-responder {}--help shows the usage)", parser_says,
                     read.command.empty() ? "" : read.command + " ");
}

}  // namespace responder::app
