#include "config.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <set>
#include <sstream>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <toml++/toml.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/deliver/signature.hpp"
#include "responder/journal/journal.hpp"
#include "responder/net/http_client.hpp"
#include "responder/net/trusted_proxies.hpp"
#include "responder/net/url.hpp"

#include "config_keys.hpp"
#include "rules.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;

const std::vector<std::pair<std::string, capture::ConnectionMode>> connections{
    {"auto", capture::ConnectionMode::automatic},
    {"lan", capture::ConnectionMode::lan},
    {"wan", capture::ConnectionMode::wan}};
const std::vector<std::pair<std::string, archive::Layout>> layouts{{"flat", archive::Layout::flat},
                                                                   {"by-date", archive::Layout::by_date},
                                                                   {"by-camera", archive::Layout::by_camera}};

const std::vector<Key<Config>>& known_keys() {
  using capture::Confirm;
  using capture::ConnectionMode;
  using capture::LanTls;
  constexpr std::int64_t year = 366LL * 86400;
  constexpr std::int64_t any = INT64_MAX;
  static const std::vector<Key<Config>> keys{
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
      secret_list(
          "webhook.secrets", [](Config & c) -> auto& { return c.webhook.secret_texts; },
          [](Config & c) -> auto& { return c.webhook.secrets; }),
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
          "capture.connection", connections, [](Config & c) -> auto& { return c.capture.connection; }),
      choice<LanTls>(
          "capture.lan_tls", {{"pin", LanTls::pin}, {"verify", LanTls::verify}, {"insecure", LanTls::insecure}},
          [](Config & c) -> auto& { return c.capture.lan_tls; }),
      choice<Confirm>(
          "capture.confirm", {{"all", Confirm::all}, {"wan", Confirm::wan}, {"off", Confirm::off}},
          [](Config & c) -> auto& { return c.capture.confirm; }),
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
          "archive.layout", layouts, [](Config & c) -> auto& { return c.archive.layout; }),
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
          "offsite.remote", [](Config & c) -> auto& { return c.offsite.remote; }),
      text(
          "offsite.rclone", [](Config & c) -> auto& { return c.offsite.rclone; }),
      text(
          "offsite.rclone_config", [](Config & c) -> auto& { return c.offsite.rclone_config; }),
      integer(
          "offsite.timeout_seconds", 1, year, [](Config & c) -> auto& { return c.offsite.timeout_seconds; }),
      text(
          "log.level", [](Config & c) -> auto& { return c.log.level; }),
      choice<LogFormat>(
          "log.format", {{"text", LogFormat::text}, {"json", LogFormat::json}},
          [](Config & c) -> auto& { return c.log.format; }),
  };
  return keys;
}

const std::vector<Key<Config::Rule>>& rule_keys() {
  using Rule = Config::Rule;
  static const std::vector<Key<Rule>> keys{
      list<Rule>(
          "cameras", [](Rule & r) -> auto& { return r.cameras; }),
      list<Rule>(
          "locations", [](Rule & r) -> auto& { return r.locations; }),
      list<Rule>(
          "activities", [](Rule & r) -> auto& { return r.activities; }),
      integer<Rule>(
          "buffer_seconds", 0, 86400, [](Rule & r) -> auto& { return r.buffer_seconds; }),
      choice<capture::ConnectionMode, Rule>(
          "connection", connections, [](Rule & r) -> auto& { return r.connection; }),
      choice<archive::Layout, Rule>(
          "layout", layouts, [](Rule & r) -> auto& { return r.layout; }),
      integer<Rule>(
          "retention_days", 0, 36500, [](Rule & r) -> auto& { return r.retention_days; }),
      integer<Rule>(
          "max_bytes", 0, INT64_MAX, [](Rule & r) -> auto& { return r.max_bytes; }),
      list<Rule>(
          "extra_cameras", [](Rule & r) -> auto& { return r.extra_cameras; }),
  };
  return keys;
}

const std::vector<Key<Config::Associate>>& associate_keys() {
  using Associate = Config::Associate;
  static const std::vector<Key<Associate>> keys{
      list<Associate>(
          "devices", [](Associate & a) -> auto& { return a.devices; }),
      list<Associate>(
          "locations", [](Associate & a) -> auto& { return a.locations; }),
      list<Associate>(
          "cameras", [](Associate & a) -> auto& { return a.cameras; }),
  };
  return keys;
}

const std::vector<Key<Config::Hook>>& hook_keys() {
  using Hook = Config::Hook;
  static const std::vector<Key<Hook>> keys{
      text<Hook>(
          "name", [](Hook & h) -> auto& { return h.name; }),
      list<Hook>(
          "on", [](Hook & h) -> auto& { return h.on; }),
      list<Hook>(
          "command", [](Hook & h) -> auto& { return h.command; }),
      text<Hook>(
          "url", [](Hook & h) -> auto& { return h.url; }),
      secret<Hook>(
          "secret", [](Hook & h) -> auto& { return h.secret; }),
      text<Hook>(
          "secret_file", [](Hook & h) -> auto& { return h.secret_file; }),
      text<Hook>(
          "ca_file", [](Hook & h) -> auto& { return h.ca_file; }),
      integer<Hook>(
          "timeout_seconds", 1, 86400, [](Hook & h) -> auto& { return h.timeout_seconds; }),
  };
  return keys;
}

bool is_table_name(std::string_view name) {
  const auto& keys = known_keys();
  return std::any_of(keys.begin(), keys.end(), [&](const auto& key) {
    return key.name.starts_with(name) && key.name.substr(name.size()).starts_with('.');
  });
}

// What to do about a key that is not known, as the end of a message about it.
std::string advice_for(std::string_view name) {
  std::vector<std::string> names{"rule", "associate", "hook"};
  for (const auto& key : known_keys()) names.push_back(key.name);
  // Outside of its table: "api_key_file" of [rhombus].
  for (const auto& known : names) {
    const auto dot = known.find('.');
    if (dot != std::string::npos && known.substr(dot + 1) == name)
      return fmt::format("; write it as {}, or below [{}]", known, known.substr(0, dot));
  }
  const auto close = nearest(name, names);
  return close ? fmt::format("; did you mean {}?", *close) : "";
}

// `where`: the file, and the line where that is known.
Error unknown_key(std::string_view where, std::string_view name) {
  return wrong(fmt::format("{}: unknown key {}{}", where, printable(name, 80), advice_for(name)));
}

std::string at_line(const std::string& file, const toml::node& node) {
  const auto line = node.source().begin.line;
  return line > 0 ? fmt::format("{}:{}", file, line) : file;
}

// A dotted key that stands below a [table] belongs to that table: TOML reads rhombus.api_key below [log] as
// log.rhombus.api_key.
Error misplaced_key(const std::string& where, std::string_view table, std::string_view name,
                    const toml::table& inner) {
  const auto first = inner.empty() ? std::string() : std::string(inner.begin()->first.str());
  return wrong(
      fmt::format("{0}: {2}.{3} stands below [{1}], so it is read as a key of [{1}]: put the line above the "
                  "first [table], or write it as {3} below [{2}]",
                  where, printable(table, 40), name, printable(first, 40)));
}

std::size_t fingerprint_of_text(std::string_view text) { return std::hash<std::string_view>{}(text); }

std::size_t fingerprint(const Value& value) {
  const auto as_text = [](const auto& given) -> std::string {
    if constexpr (std::is_same_v<std::decay_t<decltype(given)>, std::vector<std::string>>) {
      std::string items;
      for (const auto& item : given) items += fmt::format("{}:{}", item.size(), item);
      return items;
    } else {
      return fmt::format("{}", given);
    }
  };
  return fingerprint_of_text(std::visit(as_text, value));
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

// All that is wrong with a configuration, in the order in which it was found.
class Problems {
 public:
  void add(Error problem) { all_.push_back(std::move(problem)); }
  void add(const Result<void>& checked) {
    if (!checked) add(checked.error());
  }
  std::vector<Error> take() { return std::move(all_); }

 private:
  std::vector<Error> all_;
};

// `where`: the file with its line, or the variable.
Result<void> set_key(Config& config, const Key<Config>& key, const Value& value, const std::string& where) {
  if (auto set = key.set(config, value); !set)
    return wrong(fmt::format("{}: {} {}", where, key.name, set.error().message));
  config.set_keys.insert(key.name);
  config.fingerprints[key.name] = fingerprint(value);
  config.sources[key.name] = where;
  return {};
}

// One of the tables that the file may have several of. `where`: the file, and which of them it is.
template <class Target>
Result<Target> read_table(const toml::node& node, const std::vector<Key<Target>>& keys, const std::string& where,
                          std::string_view table_name) {
  const auto* table = node.as_table();
  if (table == nullptr) return wrong(fmt::format("{} is not a table", where));
  Target target;
  for (const auto& [spelling, item] : *table) {
    const std::string_view name = spelling.str();
    const auto key = std::find_if(keys.begin(), keys.end(), [name](const auto& one) { return one.name == name; });
    if (const auto* inner = item.as_table(); inner != nullptr && is_table_name(name))
      return misplaced_key(where, fmt::format("[{}]", table_name), name, *inner);
    if (key == keys.end()) {
      std::vector<std::string> names;
      for (const auto& one : keys) names.push_back(one.name);
      const auto close = nearest(name, names);
      return wrong(fmt::format("{}: unknown key {}{}", where, printable(name, 80),
                               close ? fmt::format("; did you mean {}?", *close) : ""));
    }
    const auto value = to_value(item);
    if (!value) return wrong(fmt::format("{}: {} has a type it cannot have", where, key->name));
    if (auto set = key->set(target, *value); !set)
      return wrong(fmt::format("{}: {} {}", where, key->name, set.error().message));
  }
  return target;
}

template <class Target>
Result<void> read_tables(std::vector<Target>& targets, const toml::node& node, const std::vector<Key<Target>>& keys,
                         const std::string& file, std::string_view name) {
  const auto* tables = node.as_array();
  if (tables == nullptr)
    return wrong(fmt::format("{}: {} is not a list of tables: begin each with [[{}]]", file, name, name));
  for (const auto& one : *tables) {
    auto target = read_table(one, keys, fmt::format("{}: [[{}]] number {}", file, name, targets.size() + 1), name);
    if (!target) return target.error();
    targets.push_back(std::move(*target));
  }
  return {};
}

// True when `name` is one of those tables.
Result<bool> apply_tables(Config& config, std::string_view name, const toml::node& node, const std::string& file) {
  const auto done = [&]() -> std::optional<Result<void>> {
    if (name == "rule") return read_tables(config.rules, node, rule_keys(), file, name);
    if (name == "associate") return read_tables(config.associates, node, associate_keys(), file, name);
    if (name == "hook") return read_tables(config.hooks, node, hook_keys(), file, name);
    return std::nullopt;
  }();
  if (!done) return false;
  if (!*done) return done->error();
  std::ostringstream text_;
  text_ << toml::node_view<const toml::node>(node);
  config.fingerprints[std::string(name)] = fingerprint_of_text(text_.str());
  return true;
}

// A hint at what is usually wrong with a line that TOML's grammar refuses; empty where there is none.
std::string hint_at_syntax(std::string_view value) {
  if (std::count(value.begin(), value.end(), '"') % 2 == 1) return "is a quotation mark (\") missing?";
  const bool is_quoted = value.find_first_of("\"'[{") == 0;
  const bool is_word = value == "true" || value == "false";
  if (!value.empty() && !is_quoted && !is_word && value.find_first_not_of("0123456789+-._") != std::string_view::npos)
    return "a text stands in quotation marks (\")";
  return {};
}

bool is_known_key(std::string_view text) {
  const auto& keys = known_keys();
  return std::any_of(keys.begin(), keys.end(), [&](const auto& key) {
    return key.name == text || std::string_view(key.name).ends_with(fmt::format(".{}", text));
  });
}

// Names the key of the line if it is one: what stands there may be a secret that has come to the wrong place.
Error syntax_error(const std::string& file, const std::string& content, const toml::parse_error& error) {
  const auto number = error.source().begin.line;
  std::string_view rest = content;
  for (toml::source_index line = 1; line < number && rest.find('\n') != std::string_view::npos; ++line)
    rest.remove_prefix(rest.find('\n') + 1);
  const auto line = rest.substr(0, rest.find('\n'));
  const auto equals = line.find('=');
  const bool table_is_twice = error.description().find("cannot redefine existing table") != std::string_view::npos;
  if (table_is_twice || equals == std::string_view::npos)
    return wrong(fmt::format("{}:{}: {}{}", file, number, error.description(),
                             table_is_twice ? "; write all keys of a table below one [table] line" : ""));
  const auto key = trim(line.substr(0, equals));
  const auto text_ = fmt::format("{}:{}: {} cannot be read", file, number,
                                 is_known_key(key) ? fmt::format("the value of {}", key) : "this line");
  const auto hint = hint_at_syntax(trim(line.substr(equals + 1)));
  return wrong(fmt::format("{}: {}", text_, hint.empty() ? error.description() : hint));
}

Result<toml::table> parse_file(const std::string& file) {
  const auto content = read_file(file);
  if (!content) return wrong(content.error().message);
  try {
    return toml::parse(*content, file);
  } catch (const toml::parse_error& error) {
    return syntax_error(file, *content, error);
  }
}

Result<void> apply_key(Config& config, std::string_view table_name, std::string_view key_name, const toml::node& node,
                       const std::string& where) {
  const auto& keys = known_keys();
  const auto name = fmt::format("{}.{}", table_name, key_name);
  const auto key = std::find_if(keys.begin(), keys.end(), [&](const auto& one) { return one.name == name; });
  if (key == keys.end()) {
    const auto* inner = node.as_table();
    return inner != nullptr && is_table_name(key_name) ? misplaced_key(where, table_name, key_name, *inner)
                                                       : unknown_key(where, name);
  }
  const auto value = to_value(node);
  if (!value) return wrong(fmt::format("{}: {} has a type it cannot have", where, name));
  return set_key(config, *key, *value, where);
}

void apply_table(Config& config, const std::string& file, std::string_view table_name, const toml::table& table,
                 Problems& problems) {
  for (const auto& [key_name, node] : table)
    problems.add(apply_key(config, table_name, key_name.str(), node, at_line(file, node)));
}

// False: the file cannot be read at all, and nothing more can be said of it.
bool apply_file(Config& config, const std::string& file, Problems& problems) {
  const auto document = parse_file(file);
  if (!document) {
    problems.add(document.error());
    return false;
  }
  for (const auto& [table_name, table_node] : *document) {
    const auto several = apply_tables(config, table_name.str(), table_node, file);
    if (!several) problems.add(several.error());
    if (!several || *several) continue;
    const auto* table = table_node.as_table();
    if (table == nullptr) {
      problems.add(unknown_key(at_line(file, table_node), table_name.str()));
    } else {
      apply_table(config, file, table_name.str(), *table, problems);
    }
  }
  return true;
}

constexpr std::string_view variable_prefix = "RHOMBUS_RESPONDER_";

std::string variable_of(std::string_view key) {
  std::string variable(variable_prefix);
  for (const char c : key)
    variable += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return variable;
}

void apply_environment(Config& config, const Environ& environment, Problems& problems) {
  for (const auto& key : known_keys()) {
    const auto variable = variable_of(key.name);
    if (const auto value = environment(variable)) problems.add(set_key(config, key, *value, "$" + variable));
  }
  if (const auto key = environment("RHOMBUS_API_KEY"); key && config.rhombus.api_key.empty()) {
    config.rhombus.api_key = Secret(*key);
    config.sources["rhombus.api_key"] = "$RHOMBUS_API_KEY";
  }
}

// A variable that sets nothing is a mistake, as a key of the file is.
void check_variables(const std::vector<std::string>& names, Problems& problems) {
  std::vector<std::string> known{std::string(variable_prefix) + "CONFIG"};
  for (const auto& key : known_keys()) known.push_back(variable_of(key.name));
  for (const auto& name : names) {
    if (!name.starts_with(variable_prefix) || std::find(known.begin(), known.end(), name) != known.end()) continue;
    const auto close = nearest(name, known);
    problems.add(wrong(fmt::format("${}: unknown variable{}", printable(name, 100),
                                   close ? fmt::format("; did you mean ${}?", *close) : "")));
  }
}

constexpr std::size_t max_secret_file = 64 * 1024;

// A secret's file, without the byte order mark that some editors put in front.
Result<std::string> read_secret_file(const std::string& path, std::string_view key) {
  const auto content = read_file(path, max_secret_file);
  const bool is_refused = !content && ::access(path.c_str(), R_OK) != 0 && errno == EACCES;
  if (!content)
    return wrong(fmt::format("{}: {}{}", key, content.error().message,
                             is_refused ? "; the user that serve runs as may read it: sudo -u rhombus-responder "
                                          "rhombus-responder …"
                                        : ""));
  if (content->find('\0') != std::string::npos)
    return wrong(fmt::format("{}: {} is no plain text (UTF-16?): save it as UTF-8", key, path));
  return std::string(without_byte_order_mark(*content));
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
  for (auto& line : split(without_byte_order_mark(*content), '\n'))
    config.webhook.secrets.emplace_back(std::move(line));
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
  if (!key_file.empty()) config.sources.emplace("rhombus.api_key", key_file);
  if (!config.admin.token_file.empty()) config.sources.emplace("admin.token", config.admin.token_file);
  for (auto& hook : config.hooks) {
    const auto key = fmt::format("[[hook]] {}: secret_file", printable(hook.name, 64));
    if (auto read = load_secret(hook.secret, hook.secret_file, key); !read) return read;
    config.fingerprints[fmt::format("hook {}: secret", printable(hook.name, 64))] =
        fingerprint_of_text(hook.secret.reveal());
  }
  config.fingerprints["rhombus.api_key"] = fingerprint_of_text(config.rhombus.api_key.reveal());
  config.fingerprints["admin.token"] = fingerprint_of_text(config.admin.token.reveal());
  if (auto usable = check_api_key(config.rhombus.api_key); !usable)
    return with_context(usable.error(), "rhombus.api_key");

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

// A user who tries it out has no folder of the system's.
void use_per_user_places(Config& config, const Environ& environment, const fs::path& state) {
  std::error_code ignored;
  if (fs::exists(state, ignored)) return;
  if (!config.set_keys.contains("journal.path")) {
    config.journal.path =
        per_user_journal(environment("XDG_STATE_HOME").value_or(""), environment("HOME").value_or(""));
    config.sources["journal.path"] = fmt::format("default, as {} is not there", state.string());
    config.remarks.push_back(fmt::format("{} is not there: the journal is {}", state.string(), config.journal.path));
  }
  if (!config.set_keys.contains("archive.directory")) {
    config.archive.directory = "./clips";
    config.sources["archive.directory"] = fmt::format("default, as {} is not there", state.string());
    config.remarks.push_back(fmt::format("{} is not there: clips go to {}", state.string(),
                                         absolute_path(config.archive.directory).string()));
  }
}

// European organizations have their clips where their API is.
void follow_the_region(Config& config) {
  if (config.set_keys.contains("rhombus.media_url")) return;
  if (config.rhombus.api_url.find("//api2.eu.rhombussystems.com") != std::string::npos)
    config.rhombus.media_url = "https://mediaapi-v2.eu.rhombussystems.com";
}

// One form for each folder, however it was written: names below it are compared and cut by their words.
void make_paths_absolute(Config& config) {
  for (auto* path : {&config.archive.directory, &config.capture.spool_directory, &config.journal.path})
    *path = absolute_path(*path).string();
  if (config.offsite.remote.starts_with('/')) config.offsite.remote = absolute_path(config.offsite.remote).string();
}

bool is_loopback(const std::string& host) {
  in_addr address{};
  constexpr std::uint32_t loopback_net = 127;
  if (::inet_pton(AF_INET, host.c_str(), &address) == 1) return ntohl(address.s_addr) >> 24U == loopback_net;
  return host == "localhost" || host == "::1";
}

Result<void> check_hook_url(const Config::Hook& hook) {
  const auto url = net::Url::parse(hook.url);
  if (!url) return wrong("url: " + url.error().message);
  if (url->scheme != "https" && !is_loopback(url->host))
    return wrong("url is not https: what is posted would travel in the clear");
  if (hook.secret.empty())
    return wrong("secret or secret_file is missing: the receiver knows by it that a post is ours");
  if (auto key = deliver::SigningKey::parse(hook.secret); !key) return wrong("secret " + key.error().message);
  if (hook.ca_file.empty()) return {};
  if (::access(hook.ca_file.c_str(), R_OK) != 0)
    return wrong(fmt::format("ca_file: {} is not there or cannot be read", hook.ca_file));
  if (auto usable = net::check_ca_file(hook.ca_file); !usable) return wrong("ca_file: " + usable.error().message);
  return {};
}

Result<void> check_hook(const Config::Hook& hook) {
  if (hook.on.empty()) return wrong("on is empty: name done, partial or failed");
  for (const auto& state : hook.on) {
    if (state != "done" && state != "partial" && state != "failed")
      return wrong(fmt::format("on has '{}', not one of: done, partial, failed", printable(state, 40)));
  }
  if (hook.command.empty() == hook.url.empty()) return wrong("give command or url, one of them");
  if (!hook.url.empty()) return check_hook_url(hook);
  if (hook.command.front().empty()) return wrong("command names no program");
  if (!hook.secret.empty() || !hook.ca_file.empty())
    return wrong("secret and ca_file are for a url, not for a command");
  return {};
}

Result<void> check_hooks(const std::vector<Config::Hook>& hooks) {
  constexpr std::size_t most = 16;  // each has a thread
  if (hooks.size() > most)
    return wrong(fmt::format("there are {} [[hook]] tables, and {} at most", hooks.size(), most));
  std::set<std::string> names;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    const auto& name = hooks[i].name;
    const auto where = fmt::format("[[hook]] number {}", i + 1);
    if (!is_safe_id(name)) return wrong(where + ": name is missing or is not 1-64 of A-Za-z0-9._-");
    if (name == journal::offsite_target) return wrong(fmt::format("{}: name {} is taken by [offsite]", where, name));
    if (!names.insert(name).second) return wrong(fmt::format("{}: name {} is taken by another", where, name));
    if (auto usable = check_hook(hooks[i]); !usable)
      return wrong(fmt::format("[[hook]] {}: {}", name, usable.error().message));
  }
  return {};
}

// A remote of rclone's own configuration: what rclone takes on its command line beside that may hold passwords.
Result<void> check_offsite(const Config& config) {
  const auto& offsite = config.offsite;
  if (offsite.remote.empty()) return {};
  const auto colon = offsite.remote.find(':');
  const auto name = std::string_view(offsite.remote).substr(0, colon);
  const bool is_folder = offsite.remote.front() == '/';
  const bool is_name = colon != std::string::npos && !name.empty() && name.front() != '-' &&
                       name.find_first_of("/,=\"'") == std::string_view::npos;
  if ((!is_name && !is_folder) || offsite.remote != printable(offsite.remote, offsite.remote.size()))
    return wrong(
        "offsite.remote is neither NAME:PATH, NAME as in rclone's own configuration (rclone config), nor a folder's "
        "whole path");
  if (offsite.rclone.empty()) return wrong("offsite.rclone is empty: name the program");
  const auto is_in = [](const std::filesystem::path& inner, const std::filesystem::path& outer) {
    std::error_code ignored;
    const auto from = (std::filesystem::absolute(outer, ignored) / "").lexically_normal();
    const auto to = (std::filesystem::absolute(inner, ignored) / "").lexically_normal().lexically_relative(from);
    return !to.empty() && *to.begin() != "..";
  };
  if (is_folder &&
      (is_in(offsite.remote, config.archive.directory) || is_in(config.archive.directory, offsite.remote)))
    return wrong("offsite.remote and archive.directory lie in one another: name a folder of another disk");
  return {};
}

Result<void> check_api_url(std::string_view name, const std::string& text_) {
  const auto url = net::Url::parse(text_);
  if (!url) return wrong(fmt::format("{}: {}", name, url.error().message));
  if (url->scheme != "https")
    return wrong(fmt::format("{} is not https: the API key would travel in the clear", name));
  return {};
}

// What belongs together.
Result<void> check_pair(std::string_view one, const std::string& of_one, std::string_view other,
                        const std::string& of_other) {
  if (of_one.empty() == of_other.empty()) return {};
  return wrong(fmt::format("{} and {} go together: set both or none", one, other));
}

// Either of both may be empty: then nobody listens there.
Result<void> check_webhook_listen(const Config& config) {
  if (config.webhook.listen.empty()) return {};
  const auto address = net::ListenAddress::parse(config.webhook.listen);
  if (!address) return wrong("webhook.listen: " + address.error().message);
  if (config.webhook.tls_cert.empty() && !address->is_local()) {
    return wrong(fmt::format(
        "webhook.listen is {} and webhook.tls_cert is not set: plain HTTP is for loopback and unix sockets only",
        config.webhook.listen));
  }
  return {};
}

Result<void> check_admin_listen(const Config& config) {
  if (config.admin.listen.empty()) return {};
  const auto admin = net::ListenAddress::parse(config.admin.listen);
  return admin ? Result<void>{} : wrong("admin.listen: " + admin.error().message);
}

// The token is a secret: not for who may not read it.
Result<void> check_admin_token(const Config& config) {
  const auto admin = net::ListenAddress::parse(config.admin.listen);
  if (config.admin.listen.empty() || !admin || admin->is_local() || !config.admin.token.empty()) return {};
  return wrong(
      fmt::format("admin.listen is {}: beyond loopback and unix sockets set admin.token_file or "
                  "admin.token, too",
                  config.admin.listen));
}

// Files of keys and certificates: not for who may not read them.
void check_files(const Config& config, Problems& problems) {
  for (const auto& [name, path] :
       {std::pair<std::string_view, const std::string*>{"rhombus.ca_file", &config.rhombus.ca_file},
        {"rhombus.client_cert", &config.rhombus.client_cert},
        {"rhombus.client_key", &config.rhombus.client_key},
        {"webhook.tls_cert", &config.webhook.tls_cert},
        {"webhook.tls_key", &config.webhook.tls_key},
        {"webhook.client_ca", &config.webhook.client_ca},
        {"offsite.rclone_config", &config.offsite.rclone_config}}) {
    if (path->empty()) continue;
    if (::access(path->c_str(), R_OK) != 0) {
      problems.add(wrong(fmt::format("{}: {} is not there or cannot be read", name, *path)));
    } else if (name == "rhombus.ca_file") {
      if (auto usable = net::check_ca_file(*path); !usable)
        problems.add(wrong("rhombus.ca_file: " + usable.error().message));
    }
  }
}

void check_values(const Config& config, Problems& problems) {
  problems.add(check_api_url("rhombus.api_url", config.rhombus.api_url));
  problems.add(check_api_url("rhombus.media_url", config.rhombus.media_url));
  if (!config.webhook.path.starts_with('/')) problems.add(wrong("webhook.path does not start with '/'"));
  problems.add(check_pair("webhook.tls_cert", config.webhook.tls_cert, "webhook.tls_key", config.webhook.tls_key));
  if (!config.webhook.client_ca.empty() && config.webhook.tls_cert.empty())
    problems.add(wrong("webhook.client_ca needs webhook.tls_cert: without TLS clients show no certificate"));
  problems.add(
      check_pair("rhombus.client_cert", config.rhombus.client_cert, "rhombus.client_key", config.rhombus.client_key));
  if (auto proxies = net::TrustedProxies::parse(config.webhook.trusted_proxies); !proxies)
    problems.add(wrong("webhook.trusted_proxies: " + proxies.error().message));
  problems.add(check_webhook_listen(config));
  problems.add(check_admin_listen(config));
  problems.add(check_offsite(config));
}

// What goes with secrets.
void check_secrets_and_files(const Config& config, Problems& problems) {
  problems.add(check_admin_token(config));
  check_files(config, problems);
  problems.add(check_hooks(config.hooks));
}

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<std::string> process_environment_names() {
  std::vector<std::string> names;
  for (char** one = environ; *one != nullptr; ++one) names.emplace_back(*one, std::string_view(*one).find('='));
  return names;
}

LoadedConfig load_whole_config(const std::string& file, const Environ& environment, Secrets secrets,
                               const SystemPlaces& places, const std::vector<std::string>& names) {
  std::string chosen = file.empty() ? environment("RHOMBUS_RESPONDER_CONFIG").value_or("") : file;
  std::error_code ignored;
  if (chosen.empty() && fs::exists(places.config, ignored)) chosen = places.config;

  LoadedConfig loaded;
  auto& config = loaded.config;
  config.file = chosen;
  Problems problems;
  if (!chosen.empty() && !apply_file(config, chosen, problems)) {
    loaded.problems = problems.take();
    return loaded;
  }
  apply_environment(config, environment, problems);
  check_variables(names, problems);
  use_per_user_places(config, environment, places.state);
  make_paths_absolute(config);
  follow_the_region(config);
  if (secrets == Secrets::read) problems.add(load_secrets(config, environment));
  check_values(config, problems);
  if (secrets == Secrets::read) check_secrets_and_files(config, problems);
  for (auto& problem : table_problems(config)) problems.add(std::move(problem));
  loaded.problems = problems.take();
  return loaded;
}

Result<Config> load_config(const std::string& file, const Environ& environment, Secrets secrets,
                           const SystemPlaces& places, const std::vector<std::string>& names) {
  auto loaded = load_whole_config(file, environment, secrets, places, names);
  if (!loaded.problems.empty()) return std::move(loaded.problems.front());
  return std::move(loaded.config);
}

std::vector<ValueInForce> values_in_force(const Config& config) {
  std::vector<ValueInForce> values;
  auto copy = config;
  for (const auto& key : known_keys()) {
    const auto source = config.sources.find(key.name);
    values.push_back({key.name, key.show(copy), source == config.sources.end() ? "default" : source->second});
  }
  return values;
}

std::string config_source(const Config& config) {
  if (!config.file.empty()) return fmt::format("configuration {}", config.file);
  return fmt::format("no configuration file was given, and {} is not there", SystemPlaces{}.config.string());
}

std::vector<std::string> changed_keys(const Config& running, const Config& fresh) {
  std::set<std::string> changed;
  for (const auto& [one, other] : {std::pair{&running, &fresh}, std::pair{&fresh, &running}}) {
    for (const auto& [key, value] : one->fingerprints) {
      const auto found = other->fingerprints.find(key);
      if (found == other->fingerprints.end() || found->second != value) changed.insert(key);
    }
  }
  changed.erase("webhook.secrets");
  changed.erase("webhook.secrets_file");
  return {changed.begin(), changed.end()};
}

fs::path per_user_journal(const std::string& state_home, const std::string& home) {
  const auto base = state_home.empty() ? fs::path(home.empty() ? "." : home) / ".local/state" : fs::path(state_home);
  return base / "rhombus-responder" / "journal.db";
}

Result<void> check_api_key(const Secret& key) {
  const auto text_ = key.reveal();
  const auto header_safe = [](char c) { return c > 0x20 && c < 0x7F; };
  if (std::all_of(text_.begin(), text_.end(), header_safe)) return {};
  return wrong("it has a character that no key has (a space, a line end?)");
}

Result<void> check_for_asking(const Config& config) {
  if (config.rhombus.api_key.empty()) {
    return wrong(
        fmt::format("no API key: set rhombus.api_key_file, $RHOMBUS_API_KEY or the systemd credential "
                    "api_key ({})",
                    config_source(config)));
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
  if (config.webhook.listen.empty()) return {};
  if (config.webhook.unread_store) return wrong("webhook secrets: " + *config.webhook.unread_store);
  if (config.webhook.secrets.empty() && !config.webhook.allow_unsigned) {
    return wrong(
        fmt::format("no webhook secret: run rhombus-responder webhook register --url URL, or set webhook.secrets, "
                    "webhook.secrets_file or the systemd credential webhook_secrets; webhook.listen = \"\" takes no "
                    "webhooks ({})",
                    config_source(config)));
  }
  return {};
}

}  // namespace responder::app
