#include "config.hpp"

#include <algorithm>
#include <cstdlib>
#include <variant>

#include <fmt/format.h>
#include <toml++/toml.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/net/http_client.hpp"
#include "responder/net/trusted_proxies.hpp"
#include "responder/net/url.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view state_directory = "/var/lib/rhombus-responder";

// One line, whatever it quotes of a file.
Error wrong(std::string_view message) { return Error{ErrorKind::permanent, printable(message, 1000)}; }

// A value as the file (typed) or the environment (text) gives it.
using Value = std::variant<std::string, std::int64_t, double, bool, std::vector<std::string>>;

struct Key {
  std::string name;                                        // table.key
  std::function<Result<void>(Config&, const Value&)> set;  // its Error lacks the name
};

// The setters, by the type of the field. `field` finds it in a Config.

template <class Field>
Key text(std::string name, Field field) {
  return {std::move(name), [field](Config& config, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr) return wrong("is not a string");
            field(config) = *given;
            return {};
          }};
}

template <class Field>
Key secret(std::string name, Field field) {
  return {std::move(name), [field](Config& config, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            if (given == nullptr) return wrong("is not a string");
            field(config) = Secret(*given);
            return {};
          }};
}

std::optional<std::int64_t> as_integer(const Value& value) {
  if (const auto* given = std::get_if<std::int64_t>(&value)) return *given;
  if (const auto* written = std::get_if<std::string>(&value)) {
    if (const auto parsed = parse_int(trim(*written))) return *parsed;
  }
  return std::nullopt;
}

template <class Field>
Key integer(std::string name, std::int64_t least, std::int64_t most, Field field) {
  return {std::move(name), [=](Config& config, const Value& value) -> Result<void> {
            const auto number = as_integer(value);
            if (!number) return wrong("is not a whole number");
            if (*number < least || *number > most)
              return wrong(fmt::format("is {}, not from {} to {}", *number, least, most));
            field(config) = *number;
            return {};
          }};
}

template <class Field>
Key number(std::string name, double least, double most, Field field) {
  return {std::move(name), [=](Config& config, const Value& value) -> Result<void> {
            std::optional<double> given;
            if (const auto* real = std::get_if<double>(&value)) given = *real;
            if (const auto whole = as_integer(value)) given = static_cast<double>(*whole);
            if (const auto* written = std::get_if<std::string>(&value); written != nullptr && !given) {
              char* end = nullptr;
              const double parsed = std::strtod(written->c_str(), &end);
              if (!written->empty() && *end == '\0') given = parsed;
            }
            if (!given || !(*given >= least) || !(*given <= most))
              return wrong(fmt::format("is not a number from {} to {}", least, most));
            field(config) = *given;
            return {};
          }};
}

template <class Field>
Key flag(std::string name, Field field) {
  return {std::move(name), [field](Config& config, const Value& value) -> Result<void> {
            if (const auto* given = std::get_if<bool>(&value)) {
              field(config) = *given;
              return {};
            }
            const auto* written = std::get_if<std::string>(&value);
            const std::string lower = written != nullptr ? ascii_lower(trim(*written)) : "";
            if (lower != "true" && lower != "false" && lower != "1" && lower != "0")
              return wrong("is neither true nor false");
            field(config) = lower == "true" || lower == "1";
            return {};
          }};
}

template <class Field>
Key list(std::string name, Field field) {
  return {std::move(name), [field](Config& config, const Value& value) -> Result<void> {
            if (const auto* given = std::get_if<std::vector<std::string>>(&value)) {
              field(config) = *given;
            } else if (const auto* written = std::get_if<std::string>(&value)) {
              field(config) = split(*written, ',');
            } else {
              return wrong("is not a list of strings");
            }
            return {};
          }};
}

template <class Choice, class Field>
Key choice(std::string name, std::vector<std::pair<std::string, Choice>> choices, Field field) {
  return {std::move(name), [choices = std::move(choices), field](Config& config, const Value& value) -> Result<void> {
            const auto* given = std::get_if<std::string>(&value);
            std::vector<std::string> names;
            for (const auto& [text_, chosen] : choices) {
              if (given != nullptr && *given == text_) {
                field(config) = chosen;
                return {};
              }
              names.push_back(text_);
            }
            return wrong(fmt::format("is '{}', not one of: {}",
                                     given != nullptr ? printable(*given, 40) : "no string", join(names, ", ")));
          }};
}

const std::vector<Key>& known_keys() {
  using capture::ConnectionMode;
  using capture::LanTls;
  constexpr std::int64_t year = 366LL * 86400;
  constexpr std::int64_t any = INT64_MAX;
  static const std::vector<Key> keys{
      text(
          "rhombus.api_url", [](Config & c) -> auto& { return c.rhombus.api_url; }),
      text(
          "rhombus.media_url", [](Config & c) -> auto& { return c.rhombus.media_url; }),
      secret(
          "rhombus.api_key", [](Config & c) -> auto& { return c.rhombus.api_key; }),
      text(
          "rhombus.api_key_file", [](Config & c) -> auto& { return c.rhombus.api_key_file; }),
      text(
          "rhombus.client_cert", [](Config & c) -> auto& { return c.rhombus.client_cert; }),
      text(
          "rhombus.client_key", [](Config & c) -> auto& { return c.rhombus.client_key; }),
      text(
          "rhombus.partner_org", [](Config & c) -> auto& { return c.rhombus.partner_org; }),
      text(
          "rhombus.ca_file", [](Config & c) -> auto& { return c.rhombus.ca_file; }),
      number(
          "rhombus.requests_per_second", 0.01, 1000,
          [](Config & c) -> auto& { return c.rhombus.requests_per_second; }),
      text(
          "webhook.listen", [](Config & c) -> auto& { return c.webhook.listen; }),
      text(
          "webhook.path", [](Config & c) -> auto& { return c.webhook.path; }),
      text(
          "webhook.tls_cert", [](Config & c) -> auto& { return c.webhook.tls_cert; }),
      text(
          "webhook.tls_key", [](Config & c) -> auto& { return c.webhook.tls_key; }),
      text(
          "webhook.client_ca", [](Config & c) -> auto& { return c.webhook.client_ca; }),
      list(
          "webhook.secrets", [](Config & c) -> auto& { return c.webhook.secret_texts; }),
      text(
          "webhook.secrets_file", [](Config & c) -> auto& { return c.webhook.secrets_file; }),
      flag(
          "webhook.allow_unsigned", [](Config & c) -> auto& { return c.webhook.allow_unsigned; }),
      integer(
          "webhook.max_age_seconds", 0, year, [](Config & c) -> auto& { return c.webhook.max_age_seconds; }),
      integer(
          "webhook.max_body_bytes", 1, 4 << 20, [](Config & c) -> auto& { return c.webhook.max_body_bytes; }),
      list(
          "webhook.trusted_proxies", [](Config & c) -> auto& { return c.webhook.trusted_proxies; }),
      integer(
          "capture.workers", 1, 64, [](Config & c) -> auto& { return c.capture.workers; }),
      integer(
          "capture.buffer_seconds", 0, 86400, [](Config & c) -> auto& { return c.capture.buffer_seconds; }),
      integer(
          "capture.default_duration_seconds", 1, 86400,
          [](Config & c) -> auto& { return c.capture.default_duration_seconds; }),
      choice<ConnectionMode>(
          "capture.connection",
          {{"auto", ConnectionMode::automatic}, {"lan", ConnectionMode::lan}, {"wan", ConnectionMode::wan}},
          [](Config & c) -> auto& { return c.capture.connection; }),
      choice<LanTls>(
          "capture.lan_tls", {{"pin", LanTls::pin}, {"verify", LanTls::verify}, {"insecure", LanTls::insecure}},
          [](Config & c) -> auto& { return c.capture.lan_tls; }),
      integer(
          "capture.segment_connections", 1, 16, [](Config & c) -> auto& { return c.capture.segment_connections; }),
      integer(
          "capture.recording_lag_milliseconds", 0, 8000,
          [](Config & c) -> auto& { return c.capture.recording_lag_milliseconds; }),
      text(
          "capture.spool_directory", [](Config & c) -> auto& { return c.capture.spool_directory; }),
      integer(
          "capture.spool_max_bytes", 1 << 20, any, [](Config & c) -> auto& { return c.capture.spool_max_bytes; }),
      integer(
          "capture.retry_for_seconds", 0, year, [](Config & c) -> auto& { return c.capture.retry_for_seconds; }),
      integer(
          "catch_up.interval_seconds", 0, year, [](Config & c) -> auto& { return c.catch_up.interval_seconds; }),
      integer(
          "catch_up.lookback_seconds", 0, year, [](Config & c) -> auto& { return c.catch_up.lookback_seconds; }),
      list(
          "filter.cameras", [](Config & c) -> auto& { return c.filter.cameras; }),
      list(
          "filter.locations", [](Config & c) -> auto& { return c.filter.locations; }),
      list(
          "filter.activities", [](Config & c) -> auto& { return c.filter.activities; }),
      text(
          "archive.directory", [](Config & c) -> auto& { return c.archive.directory; }),
      choice<archive::Layout>(
          "archive.layout",
          {{"flat", archive::Layout::flat},
           {"by-date", archive::Layout::by_date},
           {"by-camera", archive::Layout::by_camera}},
          [](Config & c) -> auto& { return c.archive.layout; }),
      choice<NameZone>(
          "archive.timezone", {{"local", NameZone::local}, {"UTC", NameZone::utc}},
          [](Config & c) -> auto& { return c.archive.timezone; }),
      flag(
          "archive.thumbnails", [](Config & c) -> auto& { return c.archive.thumbnails; }),
      integer(
          "archive.retention_days", 0, 36500, [](Config & c) -> auto& { return c.archive.retention_days; }),
      integer(
          "archive.max_bytes", 0, any, [](Config & c) -> auto& { return c.archive.max_bytes; }),
      integer(
          "archive.min_free_bytes", 0, any, [](Config & c) -> auto& { return c.archive.min_free_bytes; }),
      text(
          "journal.path", [](Config & c) -> auto& { return c.journal.path; }),
      text(
          "admin.listen", [](Config & c) -> auto& { return c.admin.listen; }),
      secret(
          "admin.token", [](Config & c) -> auto& { return c.admin.token; }),
      text(
          "admin.token_file", [](Config & c) -> auto& { return c.admin.token_file; }),
      text(
          "log.level", [](Config & c) -> auto& { return c.log.level; }),
      choice<LogFormat>(
          "log.format", {{"text", LogFormat::text}, {"json", LogFormat::json}},
          [](Config & c) -> auto& { return c.log.format; }),
  };
  return keys;
}

Error unknown_key(const std::string& file, std::string_view name) {
  std::vector<std::string> names;
  for (const auto& key : known_keys()) names.push_back(key.name);
  const auto close = nearest(name, names);
  return wrong(fmt::format("{}: unknown key {}{}", file, printable(name, 80),
                           close ? fmt::format("; did you mean {}?", *close) : ""));
}

std::optional<Value> to_value(const toml::node& node) {
  if (const auto* given = node.as_string()) return Value(given->get());
  if (const auto* given = node.as_integer()) return Value(given->get());
  if (const auto* given = node.as_floating_point()) return Value(given->get());
  if (const auto* given = node.as_boolean()) return Value(given->get());
  if (const auto* given = node.as_array()) {
    std::vector<std::string> items;
    for (const auto& item : *given) {
      const auto* one = item.as_string();
      if (one == nullptr) return std::nullopt;
      items.push_back(one->get());
    }
    return Value(std::move(items));
  }
  return std::nullopt;
}

Result<void> set_key(Config& config, const Key& key, const Value& value, std::string_view where) {
  if (auto set = key.set(config, value); !set)
    return wrong(fmt::format("{}: {} {}", where, key.name, set.error().message));
  config.set_keys.insert(key.name);
  return {};
}

Result<void> apply_file(Config& config, const std::string& file) {
  const auto content = read_file(file);
  if (!content) return wrong(content.error().message);
  toml::table document;
  try {
    document = toml::parse(*content, file);
  } catch (const toml::parse_error& error) {
    return wrong(fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
  for (const auto& [table_name, table_node] : document) {
    const auto* table = table_node.as_table();
    if (table == nullptr) return unknown_key(file, table_name.str());
    for (const auto& [key_name, node] : *table) {
      const std::string name = fmt::format("{}.{}", table_name.str(), key_name.str());
      const auto& keys = known_keys();
      const auto key = std::find_if(keys.begin(), keys.end(), [&](const Key& one) { return one.name == name; });
      if (key == keys.end()) return unknown_key(file, name);
      const auto value = to_value(node);
      if (!value) return wrong(fmt::format("{}: {} has a type it cannot have", file, name));
      if (auto set = set_key(config, *key, *value, file); !set) return set;
    }
  }
  return {};
}

Result<void> apply_environment(Config& config, const Environ& environment) {
  for (const auto& key : known_keys()) {
    std::string variable = "RHOMBUS_RESPONDER_";
    for (const char c : key.name) variable += c == '.' ? '_' : static_cast<char>(std::toupper(c));
    if (const auto value = environment(variable)) {
      if (auto set = set_key(config, key, *value, variable); !set) return set;
    }
  }
  if (const auto key = environment("RHOMBUS_API_KEY"); key && config.rhombus.api_key.empty()) {
    config.rhombus.api_key = Secret(*key);
  }
  return {};
}

constexpr std::size_t max_secret_file = 64 * 1024;

// A secret's file: its text without the line end that editors add.
Result<std::string> read_secret_file(const std::string& path, std::string_view key) {
  auto content = read_file(path, max_secret_file);
  if (!content) return wrong(fmt::format("{}: {}", key, content.error().message));
  return content;
}

// The secret of a file, where none is given otherwise.
Result<void> load_secret(Secret& secret, const std::string& file, std::string_view key) {
  if (file.empty() || !secret.empty()) return {};
  const auto content = read_secret_file(file, key);
  if (!content) return content.error();
  secret = Secret(std::string(trim(*content)));
  if (secret.empty()) return wrong(fmt::format("{}: {} is empty", key, file));
  return {};
}

// What `webhook register` stored. Who only looks at the journal may not be allowed to read it, and need not be.
void load_stored_secrets(Config& config) {
  const auto store = config.secret_store();
  const auto content = read_file(store, max_secret_file);
  if (!content && content.error().kind != ErrorKind::not_found) config.webhook.unread_store = content.error().message;
  if (!content) return;
  for (auto& line : split(*content, '\n')) config.webhook.secrets.emplace_back(std::move(line));
}

Result<void> load_secrets(Config& config, const Environ& environment) {
  auto& key_file = config.rhombus.api_key_file;
  auto& secrets_file = config.webhook.secrets_file;
  if (const auto credentials = environment("CREDENTIALS_DIRECTORY")) {
    std::error_code ignored;
    const auto api_key = fs::path(*credentials) / "api_key";
    const auto webhook_secrets = fs::path(*credentials) / "webhook_secrets";
    const auto admin_token = fs::path(*credentials) / "admin_token";
    if (key_file.empty() && config.rhombus.api_key.empty() && fs::exists(api_key, ignored)) key_file = api_key;
    if (secrets_file.empty() && config.webhook.secret_texts.empty() && fs::exists(webhook_secrets, ignored))
      secrets_file = webhook_secrets;
    if (config.admin.token_file.empty() && config.admin.token.empty() && fs::exists(admin_token, ignored))
      config.admin.token_file = admin_token;
  }
  if (auto read = load_secret(config.rhombus.api_key, key_file, "rhombus.api_key_file"); !read) return read;
  if (auto read = load_secret(config.admin.token, config.admin.token_file, "admin.token_file"); !read) return read;
  const auto key = config.rhombus.api_key.reveal();
  const auto header_safe = [](char c) { return c > 0x20 && c < 0x7F; };
  if (!std::all_of(key.begin(), key.end(), header_safe))
    return wrong("rhombus.api_key has a character that no key has (a space, a line end?)");

  for (auto& text_ : config.webhook.secret_texts) {
    if (trim(text_).empty())
      return wrong("webhook.secrets has an empty secret, which would let everybody in: take it out");
    config.webhook.secrets.emplace_back(std::move(text_));
  }
  config.webhook.secret_texts.clear();
  if (!secrets_file.empty()) {
    const auto content = read_secret_file(secrets_file, "webhook.secrets_file");
    if (!content) return content.error();
    for (auto& line : split(*content, '\n')) config.webhook.secrets.emplace_back(std::move(line));
    if (config.webhook.secrets.empty())
      return wrong(fmt::format("webhook.secrets_file: {} is empty; give one secret a line", secrets_file));
  }
  load_stored_secrets(config);
  return {};
}

bool can_write_under(const fs::path& directory) {
  std::error_code ignored;
  if (fs::is_directory(directory, ignored)) return ::access(directory.c_str(), W_OK) == 0;
  return ::access(directory.parent_path().c_str(), W_OK) == 0;
}

// A plain user trying it out has no /var/lib/rhombus-responder.
void give_way_to_plain_users(Config& config, const Environ& environment) {
  if (can_write_under(fs::path(state_directory))) return;
  if (!config.set_keys.contains("journal.path")) {
    const auto state_home = environment("XDG_STATE_HOME");
    const auto home = environment("HOME");
    const fs::path base =
        state_home && !state_home->empty() ? fs::path(*state_home) : fs::path(home.value_or(".")) / ".local/state";
    config.journal.path = base / "rhombus-responder" / "journal.db";
    config.remarks.push_back(
        fmt::format("{} cannot be written: the journal is {}", state_directory, config.journal.path));
  }
  if (!config.set_keys.contains("archive.directory")) {
    config.archive.directory = "./clips";
    config.remarks.push_back(
        fmt::format("{} cannot be written: clips go to {}", state_directory, config.archive.directory));
  }
}

// European organizations have their clips where their API is.
void follow_the_region(Config& config) {
  if (config.set_keys.contains("rhombus.media_url")) return;
  if (config.rhombus.api_url.find("//api2.eu.rhombussystems.com") != std::string::npos)
    config.rhombus.media_url = "https://mediaapi-v2.eu.rhombussystems.com";
}

Result<void> check_values(const Config& config) {
  for (const auto& [name, text_] :
       {std::pair<std::string_view, const std::string*>{"rhombus.api_url", &config.rhombus.api_url},
        {"rhombus.media_url", &config.rhombus.media_url}}) {
    const auto url = net::Url::parse(*text_);
    if (!url) return wrong(fmt::format("{}: {}", name, url.error().message));
    if (url->scheme != "https")
      return wrong(fmt::format("{} is not https: the API key would travel in the clear", name));
  }
  if (!config.webhook.path.starts_with('/')) return wrong("webhook.path does not start with '/'");
  if (config.webhook.tls_cert.empty() != config.webhook.tls_key.empty())
    return wrong("webhook.tls_cert and webhook.tls_key go together: set both or none");
  if (!config.webhook.client_ca.empty() && config.webhook.tls_cert.empty())
    return wrong("webhook.client_ca needs webhook.tls_cert: without TLS clients show no certificate");
  if (config.rhombus.client_cert.empty() != config.rhombus.client_key.empty())
    return wrong("rhombus.client_cert and rhombus.client_key go together: set both or none");
  if (auto proxies = net::TrustedProxies::parse(config.webhook.trusted_proxies); !proxies)
    return wrong("webhook.trusted_proxies: " + proxies.error().message);
  const auto address = net::ListenAddress::parse(config.webhook.listen);
  if (!address) return wrong("webhook.listen: " + address.error().message);
  if (config.webhook.tls_cert.empty() && !address->is_local()) {
    return wrong(fmt::format(
        "webhook.listen is {} and webhook.tls_cert is not set: plain HTTP is for loopback and unix sockets only",
        config.webhook.listen));
  }
  if (!config.admin.listen.empty()) {
    const auto admin = net::ListenAddress::parse(config.admin.listen);
    if (!admin) return wrong("admin.listen: " + admin.error().message);
    if (!admin->is_local() && config.admin.token.empty())
      return wrong(
          fmt::format("admin.listen is {}: beyond loopback and unix sockets set admin.token_file or "
                      "admin.token, too",
                      config.admin.listen));
  }
  for (const auto& [name, path] :
       {std::pair<std::string_view, const std::string*>{"rhombus.ca_file", &config.rhombus.ca_file},
        {"rhombus.client_cert", &config.rhombus.client_cert},
        {"rhombus.client_key", &config.rhombus.client_key},
        {"webhook.tls_cert", &config.webhook.tls_cert},
        {"webhook.tls_key", &config.webhook.tls_key},
        {"webhook.client_ca", &config.webhook.client_ca}}) {
    if (!path->empty() && ::access(path->c_str(), R_OK) != 0)
      return wrong(fmt::format("{}: {} is not there or cannot be read", name, *path));
  }
  if (!config.rhombus.ca_file.empty()) {
    if (auto usable = net::check_ca_file(config.rhombus.ca_file); !usable)
      return wrong("rhombus.ca_file: " + usable.error().message);
  }
  return {};
}

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Result<Config> load_config(const std::string& file, const Environ& environment) {
  constexpr std::string_view usual = "/etc/rhombus-responder/config.toml";
  std::string chosen = file.empty() ? environment("RHOMBUS_RESPONDER_CONFIG").value_or("") : file;
  std::error_code ignored;
  if (chosen.empty() && fs::exists(usual, ignored)) chosen = usual;

  Config config;
  if (!chosen.empty()) {
    if (auto applied = apply_file(config, chosen); !applied) return applied.error();
  }
  if (auto applied = apply_environment(config, environment); !applied) return applied.error();
  give_way_to_plain_users(config, environment);
  if (auto loaded = load_secrets(config, environment); !loaded) return loaded.error();
  follow_the_region(config);
  if (auto checked = check_values(config); !checked) return checked.error();
  return config;
}

Result<void> check_for_asking(const Config& config) {
  if (config.rhombus.api_key.empty()) {
    return wrong("no API key: set rhombus.api_key_file, $RHOMBUS_API_KEY or the systemd credential api_key");
  }
  return {};
}

bool knows_secret(const Config& config, const Secret& webhook_secret) {
  const auto& known = config.webhook.secrets;
  return std::any_of(known.begin(), known.end(),
                     [&](const Secret& one) { return one.reveal() == webhook_secret.reveal(); });
}

Result<void> check_for_serving(const Config& config) {
  if (auto usable = check_for_asking(config); !usable) return usable;
  if (config.webhook.unread_store) return wrong("webhook secrets: " + *config.webhook.unread_store);
  if (config.webhook.secrets.empty() && !config.webhook.allow_unsigned) {
    return wrong(
        "no webhook secret: run rhombus-responder webhook register --url URL, or set webhook.secrets, "
        "webhook.secrets_file or the systemd credential webhook_secrets");
  }
  return {};
}

}  // namespace responder::app
