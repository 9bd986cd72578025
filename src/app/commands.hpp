// The commands of the program. Each returns its exit status (README.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config.hpp"

namespace responder::app {

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_unreachable = 3;

// One line on stderr; returns `status`, for `return complain(...)`.
int complain(const std::string& message, int status = exit_usage);

class Signals;
int serve(const Config& config, const std::string& config_file, const Signals& signals);

struct EventsOptions {
  bool json = false;
  std::string camera;
  std::string activity;
  std::string state;
  std::string via;
  std::string after;
  std::string before;
  bool held = false;
  std::size_t limit = 100;
};
int events(const Config& config, const EventsOptions& options);

int status(const Config& config, bool json);

// All that is known of one alert. `alert`: as find_alert() takes it.
int show(const Config& config, const std::string& alert, bool json);

// What the organization has.
int list_cameras(const Config& config, bool json);
int list_locations(const Config& config, bool json);
int list_doors(const Config& config, bool json);

// As people give them on a command line.
struct ScopeOptions {
  std::optional<std::string> after;
  std::optional<std::string> before;
  std::optional<std::string> camera;
  std::optional<std::string> location;
  std::optional<std::int64_t> max_alerts;
};

struct CatchUpOptions {
  ScopeOptions scope;
  bool dry_run = false;
};
// `signals` are held back for a run, which ends in order; a dry run has none and just ends.
int catch_up(const Config& config, const CatchUpOptions& options, const Signals* signals);

struct BackupOptions {
  std::optional<std::string> start;
  std::optional<std::string> duration;
  std::optional<std::string> camera;
  std::optional<std::string> location;
  std::optional<std::string> split;
};
// `config_file`: as it was given, for what is said of how to resume.
int backup(const Config& config, const std::string& config_file, const BackupOptions& options,
           const Signals& signals);

// The predecessor's options, as it named them.
struct CopyFootageOptions {
  std::string api_key;
  std::string cert;
  std::string private_key;
  std::optional<std::int64_t> start_time;
  std::optional<std::int64_t> duration;
  bool debug = false;
  bool use_wan = false;
  std::optional<std::string> location;
  std::optional<std::string> camera;
  bool alerts = false;
  std::int64_t max_alerts = 100;
  std::optional<std::int64_t> before_time;
  std::optional<std::int64_t> after_time;
  std::int64_t alert_buffer = 30;
};
// What its options say of the configuration: the clips go to the current directory.
Result<void> adjust_for_copy_footage(Config& config, const CopyFootageOptions& options);
int copy_footage(const Config& config, const CopyFootageOptions& options, const Signals& signals);

struct ReconcileOptions {
  ScopeOptions scope;
  bool json = false;
};
int reconcile(const Config& config, const ReconcileOptions& options);

int rebuild_journal(const Config& config);

int check(const Config& config);
// The configuration alone, offline: each thing that is wrong with it. `config_file`: --config, or empty.
int check_config_only(const std::string& config_file);
// Each value in force, and where it comes from.
int show_config(const Config& config);

int register_webhook(const Config& config, const std::string& url, bool diagnostic);
int show_webhooks(const Config& config);
int forget_unused_secrets(const Config& config);
// Takes the URL out of Rhombus's settings, and forgets its stored secret.
int unregister_webhook(const Config& config, const std::string& url);
// `url`: empty for our own listener.
int test_webhook(const Config& config, const std::string& url);

// Keys of LAN devices.
int list_pins(const Config& config);
int forget_pin(const Config& config, const std::string& device);

// Tells one hook a sample, and says what it answered. Ends in order on a signal.
int test_hook(const Config& config, const std::string& name, const Signals& signals);

// Makes the folder of archive.directory the journal's archive, whatever it was before.
int adopt_archive(const Config& config);

// Keeps retention from the clips of these alerts, or no longer. `alerts`: as find_alert() takes them.
int hold(const Config& config, const std::vector<std::string>& alerts);
int release(const Config& config, const std::vector<std::string>& alerts);

// Applies retention now, or says what that would remove.
int prune(const Config& config, bool dry_run);

struct RetryOptions {
  std::vector<std::string> alerts;  // as find_alert() takes them
  bool failed = false;              // all that failed
  bool deliveries = false;          // what was given up of telling hooks and copying off site
};
int retry(const Config& config, const RetryOptions& options);

struct VerifyOptions {
  bool repair = false;
  bool anew = false;                 // from the first clip on, though the last verify was interrupted
  std::uint64_t bytes_a_second = 0;  // at most; 0: as fast as it goes
};
// Ends in order on a signal.
int verify(const Config& config, const VerifyOptions& options, const Signals& signals);

struct ExportOptions {
  std::vector<std::string> alerts;  // as find_alert() takes them
  std::string to;
};
// Ends in order on a signal.
int export_clips(const Config& config, const ExportOptions& options, const Signals& signals);

}  // namespace responder::app
