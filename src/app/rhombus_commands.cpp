// The commands about what Rhombus has and what it calls, and about hooks.
#include "command_line.hpp"
#include "commands.hpp"

namespace responder::app {
namespace {

void add_list(CLI::App& program, std::vector<Command>& commands, const char* name, const char* about,
              int (*list)(const Config&, bool)) {
  auto* command = program.add_subcommand(name, about);
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "one JSON object a line");
  commands.push_back({.app = command,
                      .run = [json, list](const Invocation& call) { return list(call.config, *json); },
                      .uses_journal = false});
}

Command register_command(CLI::App& webhook) {
  auto* command = webhook.add_subcommand("register", "Have Rhombus call a URL, and store the secret it signs with");
  struct Registration {
    std::string url;
    bool diagnostic = false;
  };
  const auto registration = std::make_shared<Registration>();
  command->add_option("--url", registration->url, "https://HOST/PATH, as Rhombus reaches it")->required();
  command->add_flag("--diagnostic", registration->diagnostic, "for what happens to devices, instead of alerts");
  return {.app = command, .run = [registration](const Invocation& call) {
            return register_webhook(call.config, registration->url, registration->diagnostic);
          }};
}

Command unregister_command(CLI::App& webhook) {
  auto* command = webhook.add_subcommand("unregister", "Have Rhombus call a URL no longer, and forget its secret");
  const auto url = std::make_shared<std::string>();
  command->add_option("--url", *url, "as webhook show has it")->required();
  return {.app = command, .run = [url](const Invocation& call) { return unregister_webhook(call.config, *url); }};
}

void add_webhook_commands(CLI::App& program, std::vector<Command>& commands) {
  auto* webhook = program.add_subcommand("webhook", "Rhombus's webhooks to us: register, show, test, unregister");
  webhook->require_subcommand(1);
  commands.push_back(register_command(*webhook));
  commands.push_back(unregister_command(*webhook));
  auto* show = webhook->add_subcommand("show", "What is registered, and whether its secret is known here");
  commands.push_back({.app = show, .run = [](const Invocation& call) { return show_webhooks(call.config); }});
  auto* tidy =
      webhook->add_subcommand("forget-unused", "Forget stored secrets that no registered webhook has any more");
  commands.push_back({.app = tidy, .run = [](const Invocation& call) { return forget_unused_secrets(call.config); }});
  auto* testing = webhook->add_subcommand("test", "Send a signed sample to the listener");
  const auto url = std::make_shared<std::string>();
  testing->add_option("--url", *url, "through this URL, instead of to where serve listens");
  commands.push_back(
      {.app = testing, .run = [url](const Invocation& call) { return test_webhook(call.config, *url); }});
}

void add_hook_commands(CLI::App& program, std::vector<Command>& commands) {
  auto* hook = program.add_subcommand("hook", "Those who are told of finished captures: test");
  hook->require_subcommand(1);
  auto* testing = hook->add_subcommand("test", "Tell one [[hook]] a sample, and show what it answers");
  const auto name = std::make_shared<std::string>();
  testing->add_option("NAME", *name, "the hook's name")->required();
  commands.push_back({.app = testing,
                      .run = [name](const Invocation& call) { return test_hook(call.config, *name, *call.signals); },
                      .minds_signals = [] { return true; }});
}

}  // namespace

void add_rhombus_commands(CLI::App& program, std::vector<Command>& commands) {
  add_list(program, commands, "cameras", "The organization's cameras: name, UUID, lenses, location, address",
           list_cameras);
  add_list(program, commands, "locations", "The organization's locations: name and UUID", list_locations);
  add_list(program, commands, "doors", "The organization's doors, and the cameras that see them", list_doors);
  add_webhook_commands(program, commands);
  add_hook_commands(program, commands);
}

}  // namespace responder::app
