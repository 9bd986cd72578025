// check: what is wrong with the set-up, one line each with the mend.
#include <algorithm>
#include <set>
#include <stop_token>
#include <thread>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "responder/archive/archive.hpp"
#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/deliver/program.hpp"
#include "responder/media/footage_libraries.hpp"
#include "responder/net/certificate.hpp"

#include "archive_marker.hpp"
#include "capture_engine.hpp"
#include "commands.hpp"
#include "deliveries.hpp"
#include "push_path.hpp"
#include "ranges.hpp"
#include "refused_devices.hpp"
#include "rules.hpp"
#include "run_as.hpp"
#include "scope.hpp"
#include "serve_report.hpp"

namespace responder::app {
namespace {

// Prints each finding as it comes; counts those that are wrong.
class Findings {
 public:
  void good(std::string_view what, std::string_view detail) { say("ok", what, detail); }
  // Works today: the exit status is not changed by it.
  void warning(std::string_view what, std::string_view detail) { say("warn", what, detail); }
  void wrong(std::string_view what, std::string_view detail) {
    say("WRONG", what, detail);
    ++wrong_;
  }
  // What may be meant so.
  void note(std::string_view what, std::string_view detail) { say("note", what, detail); }
  bool all_good() const { return wrong_ == 0; }

 private:
  // A detail may quote what a device or Rhombus calls itself.
  static void say(std::string_view kind, std::string_view what, std::string_view detail) {
    constexpr std::size_t longest = 64 * 1024;
    fmt::print("{:<6} {:<9} {}\n", kind, what, printable(detail, longest));
  }

  int wrong_ = 0;
};

void check_journal(const Config& config, Findings& findings, std::optional<journal::Journal>& opened) {
  std::error_code ignored;
  if (!std::filesystem::exists(config.journal.path, ignored))
    return findings.good("journal", config.journal.path + " is not there yet; serve and catch-up make it");
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  auto sound = journal ? journal->check() : Result<void>(journal.error());
  if (!sound) return findings.wrong("journal", with_context(sound.error(), "journal.path").message);
  const auto has_log = journal->has_write_ahead_log();
  if (has_log && !*has_log) {
    findings.wrong("journal",
                   fmt::format("journal.path: {} is on a file system where SQLite cannot have a write-ahead "
                               "log, so that who reads keeps serve from writing: use a local disk",
                               config.journal.path));
  } else {
    findings.good("journal", config.journal.path);
  }
  opened.emplace(std::move(*journal));
}

std::filesystem::path nearest_existing(const std::filesystem::path& path) {
  std::error_code ignored;
  auto existing = std::filesystem::absolute(path, ignored);
  while (!std::filesystem::exists(existing, ignored) && existing.has_relative_path())
    existing = existing.parent_path();
  return existing;
}

// A look at the archive makes no folder: whoever made it would own it.
void check_missing_archive(const Config& config, Findings& findings) {
  const auto above = nearest_existing(config.archive.directory);
  if (::access(above.c_str(), W_OK | X_OK) == 0)
    return findings.good("archive",
                         fmt::format("{} is not there yet; serve and catch-up make it", config.archive.directory));
  findings.wrong("archive", fmt::format("archive.directory: {} is not there, and {} may not write in {}: make the "
                                        "folder and give it to that user (sudo install -d -o {} FOLDER)",
                                        config.archive.directory, Account::of(::geteuid(), ::getegid()).name,
                                        above.string(), Account::of(::geteuid(), ::getegid()).name));
}

void check_archive(const Config& config, Findings& findings, std::optional<journal::Journal>& journal) {
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone,
                                 static_cast<std::uint64_t>(config.archive.min_free_bytes));
  auto usable = journal ? check_is_archive(archive, *journal) : Result<void>{};
  std::error_code ignored;
  if (usable && !std::filesystem::exists(config.archive.directory, ignored))
    return check_missing_archive(config, findings);
  const auto abilities = usable ? archive.try_out() : Result<archive::Abilities>(usable.error());
  if (usable) usable = abilities ? archive.check_space(0) : abilities.error();
  if (!usable) return findings.wrong("archive", "archive.directory: " + usable.error().message);
  findings.good("archive", config.archive.directory);
  for (const auto& line : archive::describe(*abilities)) findings.good("archive", line);
}

// The disks beside the archive's. Without room on the journal's, webhooks are answered with 503.
void check_footage_libraries(Findings& findings) {
  const auto loaded = media::load_footage_libraries();
  if (!loaded) return findings.wrong("FFmpeg", loaded.error().message);
  findings.good("FFmpeg", "its libraries are there");
}

void check_disks(const Config& config, Findings& findings) {
  constexpr std::uint64_t least_for_journal = 64U << 20U;
  const auto check = [&](std::string_view key, const std::filesystem::path& folder, std::uint64_t least) {
    const auto existing = nearest_existing(folder);
    const auto free = free_bytes(existing);
    if (!free) return findings.wrong("disk", fmt::format("{}: {}", key, free.error().message));
    if (!*free)
      return findings.good("disk", fmt::format("{}: {} does not tell how much is free", key, existing.string()));
    const auto said = fmt::format("{}: {} has {} MiB free", key, existing.string(), **free >> 20U);
    if (**free >= least) return findings.good("disk", said);
    findings.wrong("disk", fmt::format("{}, {} MiB are needed: make room", said, least >> 20U));
  };
  check("journal.path", std::filesystem::path(config.journal.path).parent_path(), least_for_journal);
  check("capture.spool_directory", config.spool_directory(), spool_reserve(config));
}

// Whether the addresses are free that serve will listen on.
void check_addresses(const Config& config, Findings& findings) {
  for (const auto& [key, text] :
       {std::pair<std::string_view, const std::string*>{"webhook.listen", &config.webhook.listen},
        {"admin.listen", &config.admin.listen}}) {
    if (text->empty()) continue;
    const auto free = net::check_can_listen(*net::ListenAddress::parse(*text));  // load_config has parsed it
    if (free) continue;
    findings.wrong("listen", fmt::format("{}: {} (rhombus-responder.socket has it as well while serve is stopped)",
                                         key, free.error().message));
  }
}

void check_serve(const Config& config, Findings& findings, std::optional<journal::Journal>& journal, WallTime now) {
  const auto report = ask_serve(config);
  if (!report.runs) {
    check_addresses(config, findings);
    std::error_code ignored;
    const bool has_journal = std::filesystem::exists(config.journal.path, ignored);
    if (has_journal && !journal) return;  // a finding of its own
    const auto absence =
        journal ? explain_absence(*journal, now)
                : ServeAbsence{false, "it has not run yet: sudo systemctl enable --now rhombus-responder"};
    if (!absence) return findings.wrong("serve", "journal.path: " + absence.error().message);
    return absence->is_wrong ? findings.wrong("serve", absence->text) : findings.good("serve", absence->text);
  }
  if (!report.no_answer.empty())
    return findings.wrong("serve", fmt::format("it runs, but {}; restart it if that stays so", report.no_answer));
  for (const auto& problem : report.problems)
    findings.wrong("serve", fmt::format("it is {}: {}: {}", problem.status, problem.part, problem.detail));
  if (report.problems.empty()) findings.good("serve", "it runs and is ready");
}

// Whether anybody on this machine may read the file: its own rights, and those of all folders above it, allow it.
bool is_open_to_all(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || (info.st_mode & S_IROTH) == 0) return false;
  for (auto folder = absolute_path(file).parent_path(); folder.has_relative_path(); folder = folder.parent_path())
    if (::stat(folder.c_str(), &info) != 0 || (info.st_mode & S_IXOTH) == 0) return false;
  return true;
}

// Files with secrets: whoever runs serve has to read them, and nobody else. Those of systemd's credentials are not
// looked at, for they are there only while a unit runs.
void check_secret_files(const Config& config, Findings& findings) {
  std::vector<std::pair<std::string, std::string>> files{{"rhombus.api_key_file", config.rhombus.api_key_file},
                                                         {"webhook.secrets_file", config.webhook.secrets_file},
                                                         {"admin.token_file", config.admin.token_file},
                                                         {"rhombus.client_key", config.rhombus.client_key},
                                                         {"webhook.tls_key", config.webhook.tls_key}};
  std::erase_if(files, [&](const auto& one) { return !config.set_keys.contains(one.first) || one.second.empty(); });
  for (const auto& hook : config.hooks)
    if (!hook.secret_file.empty())
      files.emplace_back(fmt::format("[[hook]] {}: secret_file", hook.name), hook.secret_file);
  const auto user = Account::of(::geteuid(), ::getegid()).name;
  for (const auto& [key, file] : files) {
    if (::access(file.c_str(), R_OK) != 0) {
      findings.wrong("config",
                     fmt::format("{0}: {1} cannot be read by {2}, as whom serve runs: sudo chgrp {2} {1} and "
                                 "sudo chmod 0640 {1}",
                                 key, file, user));
    } else if (is_open_to_all(file)) {
      findings.wrong("config", fmt::format("{0}: {1} can be read by everybody: sudo chmod 0640 {1}", key, file));
    }
  }
}

// Devices that are refused until somebody says that their new key is right.
void check_refused_devices(Findings& findings, std::optional<journal::Journal>& journal,
                           const std::vector<rhombus::Camera>& cameras) {
  const auto refused = journal ? refused_devices(*journal) : std::vector<RefusedDevice>();
  if (!refused) return;
  for (const auto& one : *refused) {
    const auto camera =
        std::find_if(cameras.begin(), cameras.end(), [&](const auto& each) { return each.id == one.device; });
    findings.wrong("LAN", describe(one, camera == cameras.end() ? "" : camera->name));
  }
}

// The cameras, where Rhombus can be asked.
std::optional<std::vector<rhombus::Camera>> check_api(rhombus::ApiClient& api, const Config& config,
                                                      Findings& findings) {
  auto cameras = api.cameras({});
  if (!cameras) {
    findings.wrong("API", cameras.error().message);
    return std::nullopt;
  }
  if (const auto ahead = api.clock_ahead(); ahead != std::chrono::milliseconds(0)) {
    findings.wrong("clock", fmt::format("it is {} s {} Rhombus's: let it follow a time server",
                                        std::abs(ahead.count()) / 1000, ahead.count() > 0 ? "ahead of" : "behind"));
  } else {
    findings.good("clock", "as Rhombus's");
  }
  findings.good("API", fmt::format("{} lists {} cameras", config.rhombus.api_url, cameras->size()));
  return std::move(*cameras);
}

// One of ours, or none that we use.
void check_certificate(Findings& findings, std::string_view key, const std::string& file, WallTime now) {
  if (file.empty()) return;
  const auto validity = net::certificate_validity(file);
  if (!validity) return findings.wrong("TLS", fmt::format("{}: {}", key, validity.error().message));
  if (const auto finding = net::judge(*validity, now)) {
    const auto text = fmt::format("{}: {} {}", key, file, finding->text);
    return finding->is_valid ? findings.warning("TLS", text) : findings.wrong("TLS", text);
  }
  findings.good("TLS", fmt::format("{} is valid until {}", key, format_rfc3339(validity->until)));
}

void check_certificates(const Config& config, Findings& findings, WallTime now) {
  const auto& webhook = config.webhook;
  const auto usable = webhook.tls_cert.empty()
                          ? Result<void>{}
                          : net::check_server_files(webhook.tls_cert, webhook.tls_key, webhook.client_ca);
  if (!usable) return findings.wrong("TLS", usable.error().message);
  check_certificate(findings, "webhook.tls_cert", webhook.tls_cert, now);
  check_certificate(findings, "webhook.client_ca", webhook.client_ca, now);
  check_certificate(findings, "rhombus.client_cert", config.rhombus.client_cert, now);
}

// Any answer of the device will do. It is shown neither key nor token.
Result<void> reach(const net::Url& url, std::stop_token stop) {
  net::Trust trust;
  trust.mode = net::Trust::Mode::insecure;
  trust.allow_1024_bits = true;
  constexpr std::size_t max_answer = 1 << 20;
  constexpr net::ClientLimits limits{.total = std::chrono::milliseconds(15'000)};
  auto answer = net::HttpConnection(url, std::move(trust), limits).get(url.target(), {}, max_answer, std::move(stop));
  if (!answer) return answer.error();
  return {};
}

// Where a camera is asked for: what Rhombus names for that, else where its footage is.
std::vector<net::Url> lan_urls(const rhombus::MediaUris& uris) {
  std::vector<net::Url> urls;
  for (const auto& text : uris.lan_checks.empty() ? uris.lan : uris.lan_checks) {
    auto url = net::Url::parse(text.substr(0, text.find('{')));
    if (url) urls.push_back(std::move(*url));
  }
  return urls;
}

bool is_wanted(const Config& config, const rhombus::Camera& camera) {
  const auto passes = [](const std::vector<std::string>& filter, const std::string& value) {
    return filter.empty() || std::find(filter.begin(), filter.end(), value) != filter.end();
  };
  return passes(config.filter.cameras, camera.id.str()) && passes(config.filter.locations, camera.location.str());
}

// What filter, rules and associations name, against what Rhombus has.
void check_rules(rhombus::ApiClient& api, const Config& config, const std::vector<rhombus::Camera>& cameras,
                 Findings& findings) {
  auto misnamed = misnamed_cameras(config, cameras);
  const auto& filter = config.filter;
  const auto named = config.rules.size() + config.associates.size() + filter.cameras.size() + filter.locations.size();
  if (named > 0) {
    const auto locations = misnamed_locations(config, as_named(locations_or_none(api, {}), cameras));
    misnamed.insert(misnamed.end(), locations.begin(), locations.end());
  }
  for (const auto& line : misnamed) findings.wrong("rules", line);
  for (const auto& line : unknown_activities(config)) findings.note("rules", line);
  if (misnamed.empty() && named > 0)
    findings.good("rules", "the cameras and locations that they and the filter name are there");
}

// The devices of [[associate]]. Rhombus lists doors, door sensors and audio gateways; what is none of them may be a
// sensor of another kind.
void check_associated_devices(rhombus::ApiClient& api, const Config& config,
                              const std::vector<rhombus::Camera>& cameras, Findings& findings) {
  const auto& all = config.associates;
  if (std::all_of(all.begin(), all.end(), [](const auto& one) { return one.devices.empty(); })) return;
  std::vector<Named> listed;
  for (const auto& camera : cameras) listed.push_back({camera.id.str(), camera.name});
  const auto add = [&listed](const auto& devices, const std::optional<Error>& error) {
    for (const auto& one : devices) listed.push_back({one.id.str(), one.name});
    return error ? Result<void>(*error) : Result<void>();
  };
  const auto add_doors = [&](rhombus::Door::Kind kind) {
    const auto list = api.doors(kind, {});
    return add(list.doors, list.error);
  };
  auto added = add_doors(rhombus::Door::Kind::access_controlled);
  if (added) added = add_doors(rhombus::Door::Kind::sensor);
  if (added) {
    const auto gateways = api.audio_gateways({});
    added = gateways ? add(*gateways, std::nullopt) : gateways.error();
  }
  if (!added)
    return findings.note("rules",
                         fmt::format("the devices of [[associate]] are not checked: {}", added.error().message));
  const auto unlisted = unlisted_devices(config, listed);
  for (const auto& one : unlisted) one.is_slip ? findings.wrong("rules", one.line) : findings.note("rules", one.line);
  if (unlisted.empty()) findings.good("rules", "the devices that [[associate]] names are there");
}

// A filter that lets nothing through throws away every alert, and nobody hears of it.
void check_activities(rhombus::ApiClient& api, const Config& config, Findings& findings, WallTime now) {
  if (config.filter.activities.empty()) return;
  constexpr std::chrono::days looked_at{7};
  constexpr std::size_t most_alerts = 300;
  std::set<std::string> recent;
  std::size_t alerts = 0;
  const auto listed =
      rhombus::list_alerts([&](const rhombus::AlertQuery& query,
                               std::stop_token stop) { return api.policy_alerts(query, std::move(stop)); },
                           {.after = now - looked_at}, {},
                           [&](std::vector<rhombus::ListedAlert> page) -> Result<bool> {
                             alerts += page.size();
                             for (const auto& listed_alert : page) {
                               const auto& alert = listed_alert.alert;
                               recent.insert(alert.activities.begin(), alert.activities.end());
                               for (const auto& camera : alert.cameras)
                                 recent.insert(camera.activities.begin(), camera.activities.end());
                             }
                             return alerts < most_alerts;
                           });
  if (!listed) return findings.wrong("rules", "filter.activities: " + listed.error().message);
  if (const auto idle = idle_filter(config, recent); !idle.empty()) findings.wrong("rules", idle);
}

struct LanAttempt {
  std::string camera;  // its name
  net::Url url;
  Result<void> reached = Error{ErrorKind::cancelled, "was not asked"};
};

// Some addresses of some cameras are enough to know whether this machine is in their network.
Result<std::vector<LanAttempt>> lan_attempts(rhombus::ApiClient& api, const Config& config,
                                             const std::vector<rhombus::Camera>& cameras) {
  constexpr int enough = 3;
  constexpr std::size_t most_addresses = 4;  // of one camera
  std::vector<LanAttempt> attempts;
  int asked_of = 0;
  for (const auto& camera : cameras) {
    if (!camera.online || !is_wanted(config, camera) || asked_of++ >= enough) continue;
    const auto uris = api.media_uris(rhombus::DeviceKind::camera, camera.id, {});
    if (!uris) return uris.error();
    auto urls = lan_urls(*uris);
    for (std::size_t i = 0; i < std::min(most_addresses, urls.size()); ++i)
      attempts.push_back({printable(camera.name), std::move(urls[i])});
  }
  return attempts;
}

// Asks all at the same time: each that is silent takes the whole time limit. The first answer ends the others.
void reach_all(std::vector<LanAttempt>& attempts) {
  const std::stop_source enough;
  std::vector<std::jthread> asking;
  for (auto& attempt : attempts) {
    asking.emplace_back([&attempt, stop = enough]() mutable {
      attempt.reached = reach(attempt.url, stop.get_token());
      if (attempt.reached) stop.request_stop();
    });
  }
}

void check_lan(rhombus::ApiClient& api, const Config& config, const std::vector<rhombus::Camera>& cameras,
               Findings& findings) {
  if (config.capture.connection == capture::ConnectionMode::wan) return;
  auto attempts = lan_attempts(api, config, cameras);
  if (!attempts) return findings.wrong("LAN", attempts.error().message);
  reach_all(*attempts);
  const auto reached = std::find_if(attempts->begin(), attempts->end(),
                                    [](const auto& one) { return static_cast<bool>(one.reached); });
  if (reached != attempts->end())
    return findings.good("LAN", fmt::format("{} answers at {}", reached->camera, reached->url.origin()));
  if (!attempts->empty()) {
    const auto& first = attempts->front();
    return findings.wrong("LAN", fmt::format("{}: {}: let this machine into the cameras' network, or set "
                                             "capture.connection to \"wan\"",
                                             first.camera, first.reached.error().message));
  }
  const auto is_one_wanted = [&](const auto& camera) { return is_wanted(config, camera); };
  const bool any_wanted = std::any_of(cameras.begin(), cameras.end(), is_one_wanted);
  if (!any_wanted && !cameras.empty())
    return findings.good("LAN", "the filter lets no camera through: none is tried");
  const bool any_online = std::any_of(cameras.begin(), cameras.end(),
                                      [&](const auto& camera) { return camera.online && is_one_wanted(camera); });
  findings.good("LAN", any_online ? "Rhombus names no camera's address there" : "no camera is online");
}

// What Rhombus calls that seems to be ours, by its path, and is signed with a secret that we do not have.
std::string unknown_secrets(const rhombus::WebhookSettings& settings, const Config& config) {
  for (const auto& webhook : settings.webhooks) {
    const auto url = net::Url::parse(webhook.url);
    const bool ours = url && url->path == config.webhook.path;
    if (webhook.disabled || !ours || webhook.secret.empty() || knows_secret(config, webhook.secret)) continue;
    return fmt::format("the secret of {} is not known here: rhombus-responder webhook register --url {}",
                       shown_url(webhook.url), shown_url(webhook.url));
  }
  return {};
}

// Those that we could take: there may be others, of other programs.
rhombus::WebhookSettings ours_of(rhombus::WebhookSettings settings, const Config& config) {
  std::erase_if(settings.webhooks, [&](const auto& webhook) { return !knows_secret(config, webhook.secret); });
  return settings;
}

// Where our listener faces Rhombus itself, its certificate has to be for the host that Rhombus calls. Behind a proxy
// on this machine it is the proxy's.
std::string unnamed_hosts(const rhombus::WebhookSettings& settings, const Config& config) {
  if (config.webhook.listen.empty()) return {};
  const auto listen = *net::ListenAddress::parse(config.webhook.listen);  // load_config has parsed it
  if (config.webhook.tls_cert.empty() || listen.is_local()) return {};
  for (const auto& webhook : settings.webhooks) {
    const auto url = net::Url::parse(webhook.url);
    if (webhook.disabled || !url || !knows_secret(config, webhook.secret)) continue;
    const auto names = net::certificate_names(config.webhook.tls_cert, url->host);
    if (names && !*names)
      return fmt::format("webhook.tls_cert: {} is not for {}, which Rhombus calls: get one that names it",
                         config.webhook.tls_cert, printable(url->host));
  }
  return {};
}

void check_push_path(rhombus::ApiClient& api, const Config& config, Findings& findings,
                     std::optional<journal::Journal>& journal, WallTime now) {
  constexpr std::chrono::hours looked_at{24};
  if (config.webhook.listen.empty()) return findings.good("webhooks", "none are taken: webhook.listen is empty");
  const auto silence = journal ? describe_silence(*journal, now) : Result<std::string>(std::string());
  if (silence && !silence->empty()) return findings.wrong("webhooks", *silence);
  const auto settings = api.webhook_settings({});
  if (!settings) return findings.wrong("webhooks", settings.error().message);
  const auto ours = ours_of(*settings, config);
  if (const auto off = what_is_off(ours); !ours.webhooks.empty() && !off.empty())
    return findings.wrong("webhooks", off + "turn them on: rhombus-responder webhook register --url URL");
  if (const auto unknown = unknown_secrets(*settings, config); !unknown.empty())
    return findings.wrong("webhooks", unknown);
  if (const auto unnamed = unnamed_hosts(*settings, config); !unnamed.empty())
    return findings.wrong("webhooks", unnamed);
  const auto failed = api.failed_deliveries(now - looked_at, {});
  if (failed && failed->count > 0)
    return findings.wrong("webhooks",
                          fmt::format("Rhombus recorded {} failed deliveries in the last day{}: is the URL "
                                      "reached from outside (rhombus-responder webhook test --url URL)?",
                                      failed->count, failed->last ? ", the last at " + *failed->last : ""));
  const auto stored = read_file(config.secret_store());
  if (ours.webhooks.empty() && stored && !trim(*stored).empty())
    return findings.wrong("webhooks",
                          "webhook register was run here, and Rhombus has none of its webhooks any more: run "
                          "rhombus-responder webhook register --url URL again");
  if (ours.webhooks.empty())
    return findings.good("webhooks",
                         "none of ours is registered for the organization (webhook register --url URL); rules may "
                         "have their own");
  findings.good("webhooks", "none is known to be missed");
}

// A hook is told of captures alone, and nobody is posted to for a try.
void check_hooks(const Config& config, Findings& findings) {
  for (const auto& hook : config.hooks) {
    if (!hook.url.empty()) {
      findings.good("hook", fmt::format("{} posts to {}", hook.name, net::Url::parse(hook.url)->origin()));
      continue;
    }
    const auto found = deliver::find_program(hook.command.front());
    if (!found) {
      findings.wrong("hook", fmt::format("{}: command: {}", hook.name, found.error().message));
    } else {
      findings.good("hook", fmt::format("{} runs {}", hook.name, found->string()));
    }
  }
}

void check_offsite(const Config& config, Findings& findings, Clock& clock) {
  if (config.offsite.remote.empty()) return;
  if (const auto found = deliver::find_program(config.offsite.rclone); !found)
    return findings.wrong("offsite", "offsite.rclone: " + found.error().message);
  if (const auto tried = deliver::try_remote(offsite_options(config, {}), clock); !tried) {
    const bool names_key = tried.error().message.starts_with("offsite.remote");
    return findings.wrong(
        "offsite", names_key ? tried.error().message
                             : fmt::format("offsite.remote {}: {}", config.offsite.remote, tried.error().message));
  }
  findings.good("offsite", config.offsite.remote);
}

}  // namespace

int check(const Config& config) {
  Findings findings;
  if (auto usable = check_for_serving(config); !usable) {
    findings.wrong("config", usable.error().message);
  } else {
    findings.good("config", fmt::format("complete: {}", config_source(config)));
  }
  check_secret_files(config, findings);
  std::optional<journal::Journal> journal;
  check_journal(config, findings, journal);
  SystemClock clock;
  check_serve(config, findings, journal, clock.wall_now());
  check_disks(config, findings);
  check_archive(config, findings, journal);
  check_footage_libraries(findings);
  check_certificates(config, findings, clock.wall_now());
  check_hooks(config, findings);
  check_offsite(config, findings, clock);
  bool reached = true;
  const bool can_ask = static_cast<bool>(check_for_asking(config));
  if (!can_ask) check_refused_devices(findings, journal, {});
  if (can_ask) {
    rhombus::ApiClient api(command_api_options(config), clock, [](std::string_view, int) {});
    const auto cameras = check_api(api, config, findings);
    reached = cameras.has_value();
    check_refused_devices(findings, journal, reached ? *cameras : std::vector<rhombus::Camera>());
    if (reached) {
      check_rules(api, config, *cameras, findings);
      check_associated_devices(api, config, *cameras, findings);
      check_activities(api, config, findings, clock.wall_now());
      check_lan(api, config, *cameras, findings);
      check_push_path(api, config, findings, journal, clock.wall_now());
    }
  }
  if (findings.all_good()) return exit_done;
  if (!can_ask) return exit_usage;
  return reached ? exit_failed : exit_unreachable;
}

}  // namespace responder::app
