// The program itself, started as a user would start it, against a stand-in Rhombus.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <simdjson.h>
#include <sys/types.h>

#include "fake_rhombus.hpp"
#include "temp_folder.hpp"

namespace responder::test {

struct CommandResult {
  int status = -1;
  std::string out;
  std::string err;
};

// Runs the program to its end, in `directory` if one is given.
CommandResult run_responder(const std::vector<std::string>& arguments,
                            const std::map<std::string, std::string>& environment = {},
                            const std::filesystem::path& directory = {});

// The program, running beside the test.
class RunningCommand {
 public:
  RunningCommand(const std::vector<std::string>& arguments,
                 const std::map<std::string, std::string>& environment = {});
  ~RunningCommand();
  RunningCommand(const RunningCommand&) = delete;
  RunningCommand& operator=(const RunningCommand&) = delete;

  bool running();
  void send(int signal) const;
  CommandResult wait();

 private:
  TempFolder folder_;
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// One object of `events --json`, flattened to what the tests ask.
struct Event {
  std::string alert, camera, camera_name, state, reason, via, source, clip, sha256;
  std::int64_t window_start = 0;
  std::int64_t window_end = 0;
  std::int64_t attempts = 0;
  std::string presence;
  std::size_t gaps = 0;
  std::size_t placeholders = 0;  // of the gaps
  std::int64_t first_gap = 0;    // its start and end
  std::int64_t first_gap_end = 0;
  bool final = false;
  bool held = false;
  bool removed = false;
};

class Responder {
 public:
  // `extra`: TOML appended to the configuration, tables and all.
  explicit Responder(const fake_rhombus::FakeRhombus& rhombus, const std::string& extra = "",
                     const std::string& capture = "buffer_seconds = 2\n");
  ~Responder();
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  // `environment` is added to the program's; `listening` are sockets that it inherits as from a service manager.
  // Returns when it listens.
  void start(const std::map<std::string, std::string>& environment = {}, const std::vector<int>& listening = {});
  // Another command with the same configuration.
  CommandResult command(std::vector<std::string> arguments,
                        const std::map<std::string, std::string>& environment = {}) const;
  std::vector<std::string> with_config(std::vector<std::string> arguments) const;
  int stop(int signal);  // its exit status
  bool running() const;

  std::string url() const;  // of the webhook
  int port() const { return port_; }
  const std::string& secret() const { return secret_; }
  std::filesystem::path config() const { return folder_ / "config.toml"; }
  std::filesystem::path clips() const { return folder_ / "clips"; }
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::string log() const;
  pid_t pid() const { return pid_; }

  std::vector<Event> events() const;
  // Waits (bounded) until the alert's only capture is in a state that `enough` accepts.
  Event wait_for(const std::string& alert, const std::function<bool(const Event&)>& enough,
                 std::chrono::seconds limit = std::chrono::seconds(30)) const;
  Event wait_until_done(const std::string& alert) const;
  // The same, and its picture is there, which is drawn after that.
  Event wait_for_picture(const std::string& alert) const;

  // Sends a signed organization webhook for the camera; returns the alert's id.
  std::string alert(const std::string& camera, std::int64_t at_ms, int duration_s,
                    const std::string& wanted_id = "") const;

 private:
  const fake_rhombus::FakeRhombus& rhombus_;
  TempFolder folder_;
  std::string secret_ = "the-webhook-secret";
  pid_t pid_ = -1;
  // Alone: who sends meanwhile reads them while it is started again.
  std::atomic<int> port_{0};
  std::atomic<bool> plain_{false};
  int starts_ = 0;
};

std::int64_t now_ms();

// What a command said on stderr itself, a line each: without the lines of the log, and without the remark on where a
// user without the system's folder has the journal.
std::vector<std::string> complaints(const std::string& err);

}  // namespace responder::test
