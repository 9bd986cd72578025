// The installation under test: the stand-in for Rhombus, the configuration, the running `serve` and other commands.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include <sys/types.h>

#include "fake_rhombus.hpp"
#include "faulty_system.hpp"

namespace soak {

struct Settings {
  int minutes = 5;
  unsigned seed = 1;
  double alerts_per_minute = 60;
  std::filesystem::path directory;
  std::string program = RESPONDER_PROGRAM;
  std::string preload;  // the library of tests/faulty_system; empty: the one of the build
};

std::int64_t now_ms();
std::string slurp(const std::filesystem::path& path);
// False when a stop was requested meanwhile.
bool sleep_unless_stopped(const std::stop_token& stop, std::chrono::milliseconds time);

// Collects problems from all threads. Each one fails the soak.
class Problems {
 public:
  void add(const std::string& text);
  std::vector<std::string> all() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> texts_;
};

struct CommandResult {
  int status = -1;  // 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

// A receiver of a hook's posts that can be told to fail.
class HookReceiver {
 public:
  HookReceiver();
  ~HookReceiver();
  HookReceiver(const HookReceiver&) = delete;
  HookReceiver& operator=(const HookReceiver&) = delete;
  int port() const { return port_; }
  void fail(bool fails) { fails_ = fails; }
  // Alerts whose capture was reported and acknowledged.
  std::set<std::string> acknowledged() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  int port_ = 0;
  std::atomic<bool> fails_{false};
  mutable std::mutex mutex_;
  std::set<std::string> acknowledged_;
};

struct Camera {
  std::string uuid;
  std::string name;
  std::string sound_from;  // the gateway's or its own UUID; empty: no sound
};

class Site {
 public:
  Site(Settings settings, Problems& problems);
  ~Site();
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  const Settings& settings() const { return settings_; }
  fake_rhombus::FakeRhombus& rhombus() { return *rhombus_; }
  const std::vector<Camera>& cameras() const { return cameras_; }
  const Camera* camera(const std::string& uuid) const;
  HookReceiver& hook() { return hook_; }
  std::filesystem::path clips() const { return settings_.directory / "clips"; }
  std::filesystem::path state() const { return settings_.directory / "state"; }
  std::filesystem::path away() const { return settings_.directory / "clips.away"; }
  std::filesystem::path log_file() const { return settings_.directory / "responder.log"; }
  std::string url() const;
  int webhook_port() const { return webhook_port_; }
  int admin_port() const { return admin_port_; }
  int retry_for_seconds() const { return retry_for_seconds_; }
  std::int64_t archive_bytes() const { return archive_bytes_; }
  static constexpr const char* secret = "the-webhook-secret";
  static constexpr const char* door = "DoorSensorAAAAAAAAAAAA";

  // Returns when it listens. False, and a problem, when it does not within a minute.
  bool start_serve(const std::map<std::string, std::string>& environment = {});
  // Its exit status; 128 + signal. It is killed, and that is a problem, when it has not ended after a minute.
  int stop_serve(int signal);
  pid_t pid() const { return pid_; }
  void signal_serve(int signal) const;

  // Runs another command to its end, with its log lines added to the log. Waits while a serve with a faulty disk
  // runs: the record of its disk knows of one process only. Exit statuses other than 0, 1 and 3 are problems.
  CommandResult run(const std::vector<std::string>& arguments);
  // Ends when all commands have ended; the next ones wait until `release_journal`.
  void reserve_journal();
  void release_journal();

  std::map<std::string, std::string> environment_of(const faulty_system::FaultySystem& system) const;

 private:
  void write_config() const;
  pid_t spawn(const std::vector<std::string>& arguments, const std::filesystem::path& out,
              const std::filesystem::path& err, const std::map<std::string, std::string>& environment) const;

  Settings settings_;
  Problems& problems_;
  std::unique_ptr<fake_rhombus::FakeRhombus> rhombus_;
  std::vector<Camera> cameras_;
  HookReceiver hook_;
  int webhook_port_ = 0;
  int admin_port_ = 0;
  int retry_for_seconds_ = 0;
  std::int64_t archive_bytes_ = 0;
  std::atomic<pid_t> pid_{-1};
  std::mutex mutex_;
  std::condition_variable free_;
  int commands_ = 0;
  bool reserved_ = false;
  std::atomic<int> command_number_{0};
};

}  // namespace soak
