// fake-rhombus: the stand-in by hand. `serve` runs it, `webhook` sends a signed one.

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "fake_rhombus.hpp"

namespace {

using namespace fake_rhombus;

constexpr const char* front_door = "FrontDoorCameraAAAAAAA";
constexpr const char* loading_dock = "LoadingDockCameraAAAAA";
constexpr const char* dock_gateway = "LoadingDockGatewayAAAA";
constexpr const char* lobby = "LobbyCameraAAAAAAAAAAA";

int serve(const Options& options, const VideoProfile& video) {
  sigset_t awaited;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGINT);
  sigaddset(&awaited, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &awaited, nullptr);

  FakeRhombus rhombus(options);
  rhombus.add_camera({.name = "Front Door", .uuid = front_door, .video = video});
  rhombus.add_camera({.name = "Loading Dock",
                      .uuid = loading_dock,
                      .video = video,
                      .absolute_times = true,
                      .form = MpdForm::timeline});
  rhombus.add_gateway({.name = "Dock Gateway", .uuid = dock_gateway, .cameras = {loading_dock}});
  rhombus.add_camera(
      {.name = "Lobby", .uuid = lobby, .video = video, .own_sound = true, .lan = false, .clamp_to_now = true});
  rhombus.start();

  // Whoever waits for this file finds everything ready.
  const auto ready = options.directory / "ready";
  std::ofstream(ready.string() + ".part") << rhombus.api_url() << '\n'
                                          << rhombus.ca_file() << '\n'
                                          << rhombus.api_key() << '\n';
  std::filesystem::rename(ready.string() + ".part", ready);
  fmt::print(
      "stand-in Rhombus at {}\n  CA       {}\n  API key  {}\n  cameras  {} (video), {} (with {}), {} (own sound, WAN "
      "only)\n",
      rhombus.api_url(), rhombus.ca_file(), rhombus.api_key(), front_door, loading_dock, dock_gateway, lobby);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&awaited, &signal);
  rhombus.stop();
  return 0;
}

struct WebhookCommand {
  std::string url;
  std::string secret;
  std::string camera = front_door;
  std::string alert = random_uuid();
  std::string activities = "MOTION_HUMAN";
  int duration = 5;
  int seconds_ago = 0;
  bool rule = false;
};

int send(const WebhookCommand& command) {
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const auto at = now - command.seconds_ago * 1000LL;
  const auto body = command.rule
                        ? rule_body(command.alert, {command.camera}, at)
                        : organization_body(command.alert, command.camera, at, command.duration, command.activities);
  const auto answer = send_webhook(command.url, body, command.secret, command.rule);
  if (answer.status == 0) {
    std::cerr << "fake-rhombus: no answer from " << command.url << '\n';
    return 1;
  }
  fmt::print("{} {} {}\n", command.alert, answer.status, answer.body);
  return answer.status == 200 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program{"A stand-in for Rhombus on loopback: API, WAN edge, LAN devices, webhooks", "fake-rhombus"};
  program.require_subcommand(1);

  Options options;
  options.directory = "fake-rhombus-state";
  VideoProfile video{.width = 640, .height = 360, .frames_per_second = 15};
  auto* serve_command = program.add_subcommand("serve", "Run until SIGINT or SIGTERM");
  serve_command->add_option("--directory", options.directory, "for its CA certificate and the file `ready`")
      ->capture_default_str();
  serve_command->add_option("--api-port", options.api_port, "0: any free one");
  serve_command->add_option("--api-key", options.api_key)->capture_default_str();
  serve_command->add_option("--bits-per-second", video.bits_per_second, "fill the video up to this");
  serve_command->add_option("--width", video.width)->capture_default_str();
  serve_command->add_option("--height", video.height)->capture_default_str();
  serve_command->add_option("--fps", video.frames_per_second)->capture_default_str();
  int latency = 0;
  serve_command->add_option("--latency-ms", latency, "added to each media answer");

  WebhookCommand webhook;
  auto* webhook_command =
      program.add_subcommand("webhook", "Send a signed webhook; prints the alert's id and the answer");
  webhook_command->add_option("--url", webhook.url)->required();
  webhook_command->add_option("--secret", webhook.secret)->required();
  webhook_command->add_option("--camera", webhook.camera)->capture_default_str();
  webhook_command->add_option("--alert", webhook.alert, "its UUID; a random one by default");
  webhook_command->add_option("--activities", webhook.activities)->capture_default_str();
  webhook_command->add_option("--duration", webhook.duration, "seconds")->capture_default_str();
  webhook_command->add_option("--seconds-ago", webhook.seconds_ago, "when the alert began")->capture_default_str();
  webhook_command->add_flag("--rule", webhook.rule,
                            "as a rule action (SHA-256) instead of the organization's webhook (SHA-1)");

  CLI11_PARSE(program, argc, argv);
  options.latency = std::chrono::milliseconds(latency);
  return serve_command->parsed() ? serve(options, video) : send(webhook);
}
