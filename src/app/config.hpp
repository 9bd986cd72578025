// The configuration: a TOML file, then the environment. Names and defaults are the README's table.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "responder/archive/names.hpp"
#include "responder/base/error.hpp"
#include "responder/base/log.hpp"
#include "responder/base/secret.hpp"
#include "responder/capture/confirm.hpp"
#include "responder/capture/footage.hpp"
#include "responder/net/listen_address.hpp"

namespace responder::app {

struct Config {
  struct {
    std::string api_url = "https://api2.rhombussystems.com";
    std::string media_url = "https://mediaapi-v2.rhombussystems.com";
    Secret api_key;
    std::string api_key_file;
    std::string client_cert;
    std::string client_key;
    std::string partner_org;
    std::string ca_file;
    double requests_per_second = 10;
  } rhombus;
  struct {
    std::string listen = "127.0.0.1:8443";
    std::string path = "/webhook/rhombus";
    std::string tls_cert;
    std::string tls_key;
    std::string client_ca;
    std::vector<std::string> secret_texts;  // moved into `secrets`
    std::string secrets_file;
    std::vector<Secret> secrets;
    std::optional<std::string> unread_store;  // why the secrets that `webhook register` stored cannot be read
    bool allow_unsigned = false;
    std::int64_t max_age_seconds = 7 * 86400;
    std::int64_t max_body_bytes = 262144;
    std::vector<std::string> trusted_proxies{"127.0.0.0/8", "::1/128"};
  } webhook;
  struct {
    std::int64_t workers = 4;
    std::int64_t buffer_seconds = 30;
    std::int64_t default_duration_seconds = 120;
    capture::ConnectionMode connection = capture::ConnectionMode::automatic;
    capture::LanTls lan_tls = capture::LanTls::pin;
    capture::Confirm confirm = capture::Confirm::all;
    std::int64_t segment_connections = 4;
    std::int64_t retry_for_seconds = 86400;
    std::int64_t recording_lag_milliseconds = 300;
    std::string spool_directory;  // empty: beside the journal
    std::int64_t spool_max_bytes = std::int64_t{20} << 30;
  } capture;
  struct {
    std::int64_t interval_seconds = 300;
    std::int64_t lookback_seconds = 86400;
  } catch_up;
  struct {
    std::vector<std::string> cameras;
    std::vector<std::string> locations;
    std::vector<std::string> activities;
  } filter;
  struct {
    std::string directory = "/var/lib/rhombus-responder/clips";
    archive::Layout layout = archive::Layout::flat;
    NameZone timezone = NameZone::local;
    bool thumbnails = true;
    std::int64_t retention_days = 0;
    std::int64_t max_bytes = 0;
    std::int64_t min_free_bytes = std::int64_t{1} << 30;
  } archive;
  struct {
    std::string path = "/var/lib/rhombus-responder/journal.db";
  } journal;
  struct {
    std::string listen = "127.0.0.1:9464";
    Secret token;
    std::string token_file;
  } admin;
  struct {
    std::string level = "info";
    LogFormat format = LogFormat::text;
  } log;

  // [[rule]]: settings of some captures. Of the rules that match one, the first that gives a setting decides it.
  struct Rule {
    std::vector<std::string> cameras;  // what it is for; empty: all
    std::vector<std::string> locations;
    std::vector<std::string> activities;
    std::optional<std::int64_t> buffer_seconds;
    std::optional<capture::ConnectionMode> connection;
    std::optional<archive::Layout> layout;
    std::optional<std::int64_t> retention_days;
    std::optional<std::int64_t> max_bytes;
    std::vector<std::string> extra_cameras;  // captured as well
  };
  std::vector<Rule> rules;

  // [[associate]]: the cameras that see a device (a door, a sensor), or all such devices of a location.
  struct Associate {
    std::vector<std::string> devices;
    std::vector<std::string> locations;
    std::vector<std::string> cameras;
  };
  std::vector<Associate> associates;

  // [[hook]]: who is told of finished captures: a program, or a URL.
  struct Hook {
    std::string name;  // no other target's
    std::vector<std::string> on{"done", "partial", "failed"};
    std::vector<std::string> command;
    std::string url;
    Secret secret;
    std::string secret_file;
    std::string ca_file;
    std::int64_t timeout_seconds = 30;
  };
  std::vector<Hook> hooks;

  struct {
    std::string remote;  // rclone's, with a path; empty: none
    std::string rclone = "rclone";
    std::string rclone_config;
    std::int64_t timeout_seconds = 3600;
  } offsite;

  std::string file;                            // the configuration file that was read; empty: none
  std::set<std::string> set_keys;              // named by the file or the environment
  std::map<std::string, std::string> sources;  // of these: "FILE:LINE" or "$VARIABLE"
  std::vector<std::string> remarks;            // for stderr: defaults that were replaced, and by what
  // A hash of each value that was set, and of each secret that was read from a file: what changed is found by it.
  std::map<std::string, std::size_t> fingerprints;

  std::filesystem::path spool_directory() const {
    return capture.spool_directory.empty() ? std::filesystem::path(journal.path).parent_path() / "spool"
                                           : std::filesystem::path(capture.spool_directory);
  }

  // Where `webhook register` stores secrets, one a line; read in addition to all others, which people keep.
  std::filesystem::path secret_store() const {
    return std::filesystem::path(journal.path).parent_path() / "webhook-secrets";
  }
};

// Reads an environment variable; passed in so that a test has its own environment.
using Environ = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> process_environment(const std::string& name);

// The names of all variables of this process.
std::vector<std::string> process_environment_names();

// What is done about secrets: `leave` reads none of them and looks at no file that holds one, for commands that only
// look at the journal and the archive, whoever runs them. Values that only go with a secret are not checked then.
enum class Secrets { read, leave };

// The system's folders and files; other ones for a test.
struct SystemPlaces {
  std::filesystem::path state = "/var/lib/rhombus-responder";
  std::filesystem::path config = "/etc/rhombus-responder/config.toml";
};

// Returns the configuration of `file` (--config), else of $RHOMBUS_RESPONDER_CONFIG, else of places.config if that
// exists, else the defaults; the environment goes before the file. Where places.state does not exist, journal and
// archive are by default in folders of the user, and `remarks` say so. Root calls it before it becomes another user,
// who may not be allowed to read the secrets. `names`: the variables there are; one that begins like ours and sets
// nothing is a mistake. An Error names the file, the key and what to do.
Result<Config> load_config(const std::string& file, const Environ& environment, Secrets secrets = Secrets::read,
                           const SystemPlaces& places = {}, const std::vector<std::string>& names = {});

// "configuration FILE", or that there is none: for messages about something that is not configured.
std::string config_source(const Config& config);

// The names of the keys, and of the lists of tables, whose values differ between both. Secrets of webhooks are left
// out: they are read again while the program runs.
std::vector<std::string> changed_keys(const Config& running, const Config& fresh);

// The same with all that is wrong, not only the first: `config` is usable where `problems` is empty.
struct LoadedConfig {
  Config config;
  std::vector<Error> problems;
};
LoadedConfig load_whole_config(const std::string& file, const Environ& environment, Secrets secrets = Secrets::read,
                               const SystemPlaces& places = {}, const std::vector<std::string>& names = {});

// A key outside [[rule]], [[associate]] and [[hook]] as it is in force.
struct ValueInForce {
  std::string key;
  std::string value;   // as the file would have it; a secret is masked
  std::string source;  // "FILE:LINE", "$VARIABLE" or "default"
};
std::vector<ValueInForce> values_in_force(const Config& config);

// Whether it can be a key at all: it goes into a header.
Result<void> check_api_key(const Secret& key);

// Where the journal of a user is who has no folder of the system's. `state_home` and `home` may be empty.
std::filesystem::path per_user_journal(const std::string& state_home, const std::string& home);

// What no call to Rhombus's API can do without.
Result<void> check_for_asking(const Config& config);

bool knows_secret(const Config& config, const Secret& webhook_secret);

// What `serve` cannot do without.
Result<void> check_for_serving(const Config& config);

}  // namespace responder::app
