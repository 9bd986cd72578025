// webhook: registers our URL at Rhombus, shows what is registered, tries the listener.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/rhombus/signature.hpp"

#include "capture_engine.hpp"
#include "commands.hpp"
#include "hosts.hpp"
#include "names.hpp"
#include "own_listener.hpp"
#include "push_path.hpp"
#include "secret_store.hpp"

namespace responder::app {
namespace {

int exit_status(const Error& error) { return error.kind == ErrorKind::no_space ? exit_failed : exit_unreachable; }

rhombus::ApiClient make_client(const Config& config, Clock& clock) {
  return {command_api_options(config), clock, [](std::string_view, int) {}};
}

std::string remark_on_path(const Config& config, const net::Url& url) {
  if (url.path == config.webhook.path) return {};
  return fmt::format("its path {} is not webhook.path {}: a proxy in front has to map it\n", printable(url.path),
                     config.webhook.path);
}

}  // namespace

int register_webhook(const Config& config, const std::string& text, bool diagnostic) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  const auto url = net::Url::parse(text);
  if (!url) return complain("--url: " + url.error().message);
  if (url->scheme != "https") return complain("--url: Rhombus calls https only: give https://HOST/PATH");
  // Before Rhombus makes a secret that would have no place.
  const auto store = config.secret_store();
  if (auto writable = check_store(store); !writable) return complain(writable.error().message, exit_failed);
  SystemClock clock;
  auto api = make_client(config, clock);
  const auto now = api.webhook_settings({});
  if (!now) return complain(now.error().message, exit_status(now.error()));
  const auto secret = api.register_webhook(*now, text, diagnostic, {});
  if (!secret) return complain(secret.error().message, exit_status(secret.error()));
  const auto stored = store_secret(store, *secret);
  if (!stored)
    return complain(fmt::format("Rhombus has {} now, but its secret is not stored: {}; run this again",
                                shown_url(text), stored.error().message),
                    exit_failed);
  fmt::print("Rhombus calls {} {}\n", shown_url(text),
             diagnostic ? "when a device has trouble" : "when there is an alert");
  fmt::print("its secret is {} {}: a running serve of journal {} takes it within seconds\n",
             *stored ? "stored in" : "already in", store.string(), config.journal.path);
  fmt::print("{}", remark_on_path(config, *url));
  if (const auto why = why_unreachable_from_outside(url->host); !why.empty())
    complain(
        fmt::format("{} is {}, which Rhombus's cloud does not reach: register a URL that is reached from outside, "
                    "and take this one away with rhombus-responder webhook unregister --url {}",
                    printable(url->host, 100), why, shown_url(text)));
  return exit_done;
}

namespace {

using Webhooks = std::vector<rhombus::RegisteredWebhook>;

// Those of that URL, of either kind; as `webhook show` shows it, too, where that is one URL alone.
Result<Webhooks> find_webhooks(const rhombus::WebhookSettings& settings, const std::string& url) {
  Webhooks found;
  const auto take = [&](const auto& fits) {
    if (found.empty())
      std::copy_if(settings.webhooks.begin(), settings.webhooks.end(), std::back_inserter(found), fits);
  };
  take([&](const auto& webhook) { return webhook.url == url; });
  take([&](const auto& webhook) { return shown_url(webhook.url) == url; });
  const bool is_one =
      std::all_of(found.begin(), found.end(), [&](const auto& webhook) { return webhook.url == found.front().url; });
  if (!is_one)
    return Error{ErrorKind::permanent,
                 fmt::format("--url: {} is how several URLs begin; give one whole, with its query", shown_url(url))};
  if (!found.empty()) return found;
  std::vector<Named> urls;
  for (const auto& webhook : settings.webhooks) urls.push_back({shown_url(webhook.url), ""});
  return Error{ErrorKind::permanent,
               fmt::format("--url: Rhombus has no webhook {}{}", shown_url(url), suggestion(urls, url))};
}

// The secret of a webhook that is gone, unless another one has it as well. What is to be said of it.
std::string forget_secret_of(const Config& config, const rhombus::RegisteredWebhook& gone,
                             const rhombus::WebhookSettings& settings) {
  if (gone.secret.empty())
    return "Rhombus does not tell its secret: webhook forget-unused takes away what is stored here and not used";
  const bool is_used = std::any_of(settings.webhooks.begin(), settings.webhooks.end(), [&](const auto& webhook) {
    return (webhook.url != gone.url || webhook.diagnostic != gone.diagnostic) &&
           webhook.secret.reveal() == gone.secret.reveal();
  });
  if (is_used) return "its secret stays: another webhook has the same";
  const auto forgotten =
      forget_secrets(config.secret_store(), [&](std::string_view line) { return line != gone.secret.reveal(); });
  if (!forgotten) return "its secret is still stored: " + forgotten.error().message;
  return *forgotten > 0 ? fmt::format("its secret is forgotten in {}", config.secret_store().string())
                        : "its secret was not stored here";
}

}  // namespace

int unregister_webhook(const Config& config, const std::string& url) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  SystemClock clock;
  auto api = make_client(config, clock);
  auto settings = api.webhook_settings({});
  if (!settings) return complain(settings.error().message, exit_status(settings.error()));
  const auto found = find_webhooks(*settings, url);
  if (!found) return complain(found.error().message);
  for (const auto& webhook : *found) {
    // As they are now: what others changed meanwhile stays.
    settings = api.webhook_settings({});
    if (!settings) return complain(settings.error().message, exit_status(settings.error()));
    if (auto gone = api.unregister_webhook(*settings, webhook.url, webhook.diagnostic, {}); !gone)
      return complain(gone.error().message, exit_status(gone.error()));
    fmt::print("Rhombus no longer calls {} {}\n", shown_url(webhook.url),
               webhook.diagnostic ? "when a device has trouble" : "when there is an alert");
    fmt::print("{}\n", forget_secret_of(config, webhook, *settings));
  }
  return exit_done;
}

int show_webhooks(const Config& config) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  SystemClock clock;
  auto api = make_client(config, clock);
  const auto settings = api.webhook_settings({});
  if (!settings) return complain(settings.error().message, exit_status(settings.error()));
  if (!settings->enabled) fmt::print("webhooks are turned off at Rhombus; webhook register turns them on\n");
  if (settings->webhooks.empty()) fmt::print("no webhook is registered: webhook register --url URL\n");
  for (const auto& webhook : settings->webhooks) {
    const auto* secret = webhook.secret.empty()                 ? "Rhombus does not tell its secret"
                         : knows_secret(config, webhook.secret) ? "its secret is known here"
                                                                : "its secret is NOT known here: webhook register";
    fmt::print("{:<10} {:<8} {}  {}\n", webhook.diagnostic ? "diagnostic" : "activity",
               webhook.disabled ? "OFF" : "on", shown_url(webhook.url), secret);
  }
  return exit_done;
}

int forget_unused_secrets(const Config& config) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  SystemClock clock;
  auto api = make_client(config, clock);
  const auto settings = api.webhook_settings({});
  if (!settings) return complain(settings.error().message, exit_status(settings.error()));
  const bool all_told = std::none_of(settings->webhooks.begin(), settings->webhooks.end(),
                                     [](const auto& webhook) { return webhook.secret.empty(); });
  if (settings->webhooks.empty() || !all_told)
    return complain("Rhombus does not tell the secret of every webhook: which are unused cannot be known",
                    exit_failed);
  const auto forgotten = forget_secrets(config.secret_store(), [&](std::string_view line) {
    return std::any_of(settings->webhooks.begin(), settings->webhooks.end(),
                       [&](const auto& webhook) { return webhook.secret.reveal() == line; });
  });
  if (!forgotten) return complain(forgotten.error().message, exit_failed);
  fmt::print("{} secrets that no webhook has any more are forgotten in {}\n", *forgotten,
             config.secret_store().string());
  return exit_done;
}

namespace {

// A diagnostic: it is written down as ignored, and shows that a webhook would have been taken.
std::string sample_body(WallTime now) {
  const auto ms = now.time_since_epoch().count();
  JsonWriter json;
  json.begin_object()
      .field("version", "2")
      .field("summary", "Test of rhombus-responder")
      .field("alertUuid", fmt::format("{}{}", journal::test_alert_prefix, ms))
      .field("deviceUuid", "rhombus-responder")
      .field("diagnosticTrigger", "TEST")
      .field("timestampMs", ms)
      .end_object();
  return std::move(json).str();
}

// Where our own listener is reached on this machine.
net::Url own_url(const Config& config, const OwnListener& own) {
  const auto& listen = own.address;
  const bool any = listen.host.empty() || listen.host == "0.0.0.0" || listen.host == "::";
  net::Url url;
  url.scheme = own.has_tls ? "https" : "http";
  url.host = any ? "localhost" : listen.host;
  url.port = listen.port;
  url.path = config.webhook.path;
  return url;
}

struct Target {
  net::HttpConnection connection;
  std::string path;
  std::string shown;
};

Result<Target> find_target(const Config& config, const std::string& text) {
  constexpr net::ClientLimits limits;
  if (!text.empty()) {
    const auto url = net::Url::parse(text);
    if (!url) return with_context(url.error(), "--url");
    // As strict as Rhombus: a certificate that others do not believe is a finding.
    net::Trust trust;
    trust.ca_file = config.rhombus.ca_file;
    return Target{net::HttpConnection(*url, trust, limits), url->target(), shown_url(text)};
  }
  if (config.webhook.listen.empty())
    return Error{ErrorKind::permanent, "webhook.listen is empty, so no webhooks are taken here: give --url URL"};
  const auto own = find_own_listener(config);
  if (!own.address.unix_path.empty())
    return Target{net::HttpConnection(own.address.unix_path, limits), config.webhook.path, own.address.str()};
  const auto url = own_url(config, own);
  // Our own, by its address: its certificate need not name that.
  net::Trust trust;
  trust.mode = net::Trust::Mode::insecure;
  return Target{net::HttpConnection(url, trust, limits), url.target(), url.loggable()};
}

std::string mend_for(int status) {
  switch (status) {
    case 401: return "it does not know the secret: is it the serve of this configuration, and reloaded?";
    case 404: return "its path is another: see webhook.path, and what a proxy in front maps";
    case 502:
    case 504: return "the proxy in front does not reach the listener";
    case 503: return "it cannot write its journal just now: see its log";
    default: return "is it rhombus-responder that listens there?";
  }
}

}  // namespace

int test_webhook(const Config& config, const std::string& url) {
  const auto can_serve = check_for_serving(config);
  if (!can_serve && config.webhook.secrets.empty() && !config.webhook.allow_unsigned)
    return complain(can_serve.error().message);
  auto target = find_target(config, url);
  if (!target) return complain(target.error().message);
  const auto body = sample_body(SystemClock().wall_now());
  net::Headers headers;
  if (!config.webhook.secrets.empty())  // the newest is the last
    headers.emplace_back(rhombus::signature_header_sha1,
                         rhombus::sign(body, config.webhook.secrets.back(), rhombus::Digest::sha1));
  constexpr std::size_t max_answer = 64 * 1024;
  const auto began = SystemClock().steady_now();
  const auto answer = target->connection.post_json(target->path, headers, body, max_answer, net::Repeat::never, {});
  if (!answer)
    return complain(
        fmt::format("{}: {}: does serve run, and does it listen there?", target->shown, answer.error().message),
        exit_failed);
  if (answer->status != 200)
    return complain(fmt::format("{}: HTTP {}: {}", target->shown, answer->status, mend_for(answer->status)),
                    exit_failed);
  const auto took = std::chrono::ceil<std::chrono::milliseconds>(SystemClock().steady_now() - began);
  fmt::print("{} took a signed sample and answered {} after {} ms\n", target->shown, printable(answer->body, 200),
             took.count());
  return exit_done;
}

}  // namespace responder::app
