// check: what is wrong with the set-up, one line each with the mend.
#include <algorithm>

#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/deliver/program.hpp"
#include "responder/net/certificate.hpp"

#include "archive_marker.hpp"
#include "capture_engine.hpp"
#include "commands.hpp"
#include "deliveries.hpp"
#include "push_path.hpp"
#include "rules.hpp"

namespace responder::app {
namespace {

// Prints each finding as it comes; counts those that are wrong.
class Findings {
 public:
  void good(std::string_view what, std::string_view detail) { fmt::print("ok     {:<9} {}\n", what, detail); }
  void wrong(std::string_view what, std::string_view detail) {
    fmt::print("WRONG  {:<9} {}\n", what, detail);
    ++wrong_;
  }
  bool all_good() const { return wrong_ == 0; }

 private:
  int wrong_ = 0;
};

void check_journal(const Config& config, Findings& findings, std::optional<journal::Journal>& opened) {
  std::error_code ignored;
  if (!std::filesystem::exists(config.journal.path, ignored))
    return findings.good("journal", config.journal.path + " is not there yet; serve and catch-up make it");
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  auto sound = journal ? journal->check() : Result<void>(journal.error());
  if (!sound) return findings.wrong("journal", "journal.path: " + sound.error().message);
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

void check_archive(const Config& config, Findings& findings, std::optional<journal::Journal>& journal) {
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone,
                                 static_cast<std::uint64_t>(config.archive.min_free_bytes));
  auto usable = journal ? check_is_archive(archive, *journal) : Result<void>{};
  const auto abilities = usable ? archive.try_out() : Result<archive::Abilities>(usable.error());
  if (usable) usable = abilities ? archive.check_space(0) : abilities.error();
  if (!usable) return findings.wrong("archive", "archive.directory: " + usable.error().message);
  findings.good("archive", config.archive.directory);
  for (const auto& line : archive::describe(*abilities)) findings.good("archive", line);
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
  // Two weeks, less where certificates are made for short.
  const auto soon = std::min<WallTime::duration>(std::chrono::days(14), (validity->until - validity->from) / 3);
  const auto until = format_rfc3339(validity->until);
  if (now >= validity->until)
    return findings.wrong("TLS", fmt::format("{}: {} has expired at {}: renew it, and reload", key, file, until));
  if (now < validity->from)
    return findings.wrong("TLS",
                          fmt::format("{}: {} is not valid before {}", key, file, format_rfc3339(validity->from)));
  if (now >= validity->until - soon)
    return findings.wrong("TLS", fmt::format("{}: {} expires at {}: renew it, and reload", key, file, until));
  findings.good("TLS", fmt::format("{} is valid until {}", key, until));
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
Result<void> reach(const net::Url& url) {
  net::Trust trust;
  trust.mode = net::Trust::Mode::insecure;
  trust.allow_1024_bits = true;
  constexpr std::size_t max_answer = 1 << 20;
  auto answer = net::HttpConnection(url, std::move(trust), {}).get(url.target(), {}, max_answer, {});
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

void check_rules(const Config& config, const std::vector<rhombus::Camera>& cameras, Findings& findings) {
  const auto misnamed = misnamed_cameras(config, cameras);
  for (const auto& line : misnamed) findings.wrong("rules", line);
  if (misnamed.empty() && config.rules.size() + config.associates.size() + config.filter.cameras.size() > 0)
    findings.good("rules", "the cameras that they and the filter name are there");
}

void check_lan(rhombus::ApiClient& api, const Config& config, const std::vector<rhombus::Camera>& cameras,
               Findings& findings) {
  constexpr int enough = 3;
  if (config.capture.connection == capture::ConnectionMode::wan) return;
  std::string problem;
  int tried = 0;
  for (const auto& camera : cameras) {
    if (!camera.online || !is_wanted(config, camera) || tried == enough) continue;
    const auto uris = api.media_uris(rhombus::DeviceKind::camera, camera.id, {});
    if (!uris) return findings.wrong("LAN", uris.error().message);
    for (const auto& url : lan_urls(*uris)) {
      const auto reached = reach(url);
      if (reached) return findings.good("LAN", fmt::format("{} answers at {}", printable(camera.name), url.origin()));
      if (problem.empty()) problem = fmt::format("{}: {}", printable(camera.name), reached.error().message);
    }
    ++tried;
  }
  if (!problem.empty())
    return findings.wrong("LAN", problem +
                                     ": let this machine into the cameras' network, or set "
                                     "capture.connection to \"wan\"");
  findings.good("LAN", tried == 0 ? "no camera is online" : "Rhombus names no camera's address there");
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
  if (const auto tried = deliver::try_remote(offsite_options(config, {}), clock); !tried)
    return findings.wrong("offsite",
                          fmt::format("offsite.remote {}: {}", config.offsite.remote, tried.error().message));
  findings.good("offsite", config.offsite.remote);
}

}  // namespace

int check(const Config& config) {
  Findings findings;
  if (auto usable = check_for_serving(config); !usable) {
    findings.wrong("config", usable.error().message);
  } else {
    findings.good("config", "complete");
  }
  std::optional<journal::Journal> journal;
  check_journal(config, findings, journal);
  check_archive(config, findings, journal);
  SystemClock clock;
  check_certificates(config, findings, clock.wall_now());
  check_hooks(config, findings);
  check_offsite(config, findings, clock);
  bool reached = true;
  const bool can_ask = static_cast<bool>(check_for_asking(config));
  if (can_ask) {
    rhombus::ApiClient api(api_options(config), clock, [](std::string_view, int) {});
    const auto cameras = check_api(api, config, findings);
    reached = cameras.has_value();
    if (reached) {
      check_rules(config, *cameras, findings);
      check_lan(api, config, *cameras, findings);
      check_push_path(api, config, findings, journal, clock.wall_now());
    }
  }
  if (findings.all_good()) return exit_done;
  if (!can_ask) return exit_usage;
  return reached ? exit_failed : exit_unreachable;
}

}  // namespace responder::app
