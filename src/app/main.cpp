#include <algorithm>
#include <csignal>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "responder/base/log.hpp"

#include "command_line.hpp"
#include "commands.hpp"
#include "signals.hpp"
#include "words.hpp"

namespace {

using namespace responder;

// Root becomes the owner of the service's folders, so that nothing it leaves there is in the service's way.
Result<void> prepare_to_use_journal(const app::Command& command, const app::Config& config,
                                    const std::string& config_file) {
  auto words = app::CommandLine::words_of(command);
  if (!config_file.empty()) words = fmt::format("--config {} {}", config_file, words);
  if (const auto account = app::account_for(command.runs_as, config)) {
    if (auto done = app::become(*account); !done)
      return Error{done.error().kind,
                   fmt::format("{}, who owns the folder of {}: run {}", done.error().message, config.journal.path,
                               app::command_as_owner(config.journal.path, words))};
  }
  // Who needs no secrets only looks, as a rule.
  return command.uses_journal ? app::check_may_use_journal(config, command.reads_secrets, words) : Result<void>{};
}

int run(int argc, char** argv) {
  // Where who started us ignores it, nobody would learn how a hook or rclone ended.
  std::signal(SIGCHLD, SIG_DFL);
  app::CommandLine line;
  const std::vector<std::string> given(argv + 1, argv + argc);
  try {
    auto words = app::with_alerts_apart(app::with_predecessor_words(given));
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    line.program().parse(std::move(words));
  } catch (const CLI::Success& success) {
    return line.program().exit(success);
  } catch (const CLI::ParseError& error) {
    return app::complain(line.mistake(given, error.what()));
  }
  const app::Command& command = *line.chosen();
  if (command.needs_no_config()) return command.run({{}, line.config_file(), nullptr});

  auto config = app::load_config(line.config_file(), app::process_environment,
                                 command.reads_secrets ? app::Secrets::read : app::Secrets::leave, {},
                                 app::process_environment_names());
  if (!config) return app::complain(config.error().message);
  if (auto adjusted = command.adjust(*config); !adjusted) return app::complain(adjusted.error().message);
  for (const auto& remark : config->remarks) app::complain(remark);
  if (auto usable = prepare_to_use_journal(command, *config, line.config_file()); !usable)
    return app::complain(usable.error().message);
  if (command.is_for_cron && !config->set_keys.contains("log.level")) config->log.level = "warn";
  if (!line.log_level().empty()) config->log.level = line.log_level();
  // Before the first thread, the log's, which would otherwise take the signals.
  std::optional<app::Signals> signals;
  if (command.minds_signals()) signals.emplace();
  // Who works on alerts may have much to say at once; the others say a line or two and are to start fast.
  const std::size_t queued_records = command.minds_signals() ? 8192 : 256;
  if (auto logging = setup_logging(config->log.level, config->log.format, queued_records); !logging)
    return app::complain(logging.error().message);
  const int status = command.run({*config, line.config_file(), signals ? &*signals : nullptr});
  shutdown_logging();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return app::complain(fmt::format("unexpected: {}", error.what()));
  }
}
