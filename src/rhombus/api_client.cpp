#include "responder/rhombus/api_client.hpp"

#include <iterator>
#include <set>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/rhombus/directory.hpp"

#include "alert_json.hpp"
#include "api_answers.hpp"
#include "own_secrets.hpp"

namespace responder::rhombus {
namespace {

constexpr std::size_t max_answer_bytes = 64U << 20U;  // thousands of devices, generously
constexpr std::size_t max_connections = 4;
constexpr int max_429_waits = 5;
constexpr std::chrono::seconds longest_background_wait{60};
// Answers are small: one that drips is none.
// A resolver whose first server is dead asks the second one after 5 s. A long list may be begun and then computed.
constexpr net::ClientLimits call_limits{.connect = std::chrono::milliseconds(15'000),
                                        .first_byte = std::chrono::milliseconds(25'000),
                                        .interval = std::chrono::milliseconds(45'000),
                                        .total = std::chrono::milliseconds(45'000)};
constexpr double burst_seconds = 5;  // of the budget; Rhombus allows about ten

net::Trust api_trust(const ApiOptions& options) {
  net::Trust trust;
  trust.ca_file = options.ca_file;
  trust.client_cert = options.client_cert;
  trust.client_key = options.client_key;
  return trust;
}

}  // namespace

net::Headers api_auth_headers(const ApiOptions& options) {
  const bool mtls = !options.client_cert.empty();
  const bool partner = !options.partner_org.empty();
  const std::string_view scheme =
      partner ? (mtls ? "partner-api" : "partner-api-token") : (mtls ? "api" : "api-token");
  net::Headers headers{{"x-auth-scheme", std::string(scheme)},
                       {"x-auth-apikey", std::string(options.api_key.reveal())}};
  if (partner) headers.emplace_back("x-auth-org", options.partner_org);
  return headers;
}

ApiClient::ApiClient(ApiOptions options, Clock& clock, Observer observer)
    : options_(std::move(options)),
      clock_(clock),
      observer_(std::move(observer)),
      limiter_(options_.requests_per_second, options_.requests_per_second * burst_seconds, clock),
      connections_(options_.url, api_trust(options_), call_limits, max_connections) {
  remember_secret(options_.api_key);
  for (const auto& secret : options_.webhook_secrets) remember_secret(secret);
}

// What Rhombus says, or longer each time where it does not.
std::chrono::seconds ApiClient::wait_after_429(const Error& error) {
  constexpr int most_doublings = 6;
  constexpr std::chrono::seconds longest{60};
  const int doublings = std::min(refused_in_a_row_++, most_doublings);
  if (error.retry_after && error.retry_after->count() > 0) return *error.retry_after;
  return std::min(std::chrono::seconds(1 << doublings), longest);
}

Result<void> ApiClient::may_wait(std::chrono::seconds wait) {
  if (!options_.longest_wait) return {};
  auto waits = waits_.lock();
  waits->is_over = waits->is_over || waits->total + wait > *options_.longest_wait;
  if (waits->is_over)
    return Error{ErrorKind::transient,
                 "Rhombus says that there were too many requests, and to wait longer than this command does: try it "
                 "again in some minutes"};
  waits->total += wait;
  return {};
}

void ApiClient::note_their_time(const net::Response& response) {
  if (const auto date = response.time("date")) *told_time_.lock() = ToldTime{*date, clock_.steady_now()};
}

std::optional<WallTime> ApiClient::their_time() const {
  const auto told = *told_time_.lock();
  if (!told) return std::nullopt;
  return told->time + std::chrono::floor<WallTime::duration>(clock_.steady_now() - told->at);
}

WallTime::duration ApiClient::clock_ahead() const {
  // They tell whole seconds, and their answer took its time to come.
  constexpr std::chrono::seconds noticeable{3};
  const auto now = clock_.wall_now();
  const auto ahead = now - their_time().value_or(now);
  return std::chrono::abs(ahead) < noticeable ? WallTime::duration(0) : ahead;
}

Result<std::string> ApiClient::call(const std::string& path, const std::string& body, std::stop_token stop,
                                    const CallOptions& options) {
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  for (int waits = 0;; ++waits) {
    if (auto may = may_wait(std::chrono::seconds(0)); !may) return with_context(may.error(), path);
    if (!limiter_.wait_turn(stop, options.urgency)) return Error{ErrorKind::cancelled, "shutting down"};
    auto connection = connections_.borrow(stop);
    if (!connection) return connection.error();
    const auto asked_at = clock_.steady_now();
    auto response =
        (*connection)->post_json(path, api_auth_headers(options_), body, max_answer_bytes, options.repeat, stop);
    // A call that was stopped by us says nothing of Rhombus.
    if (response || response.error().kind != ErrorKind::cancelled) observer_(name, response ? response->status : 0);
    spdlog::debug("API call {}: {} after {} ms", name,
                  response ? fmt::format("HTTP {}", response->status) : response.error().message,
                  std::chrono::duration_cast<std::chrono::milliseconds>(clock_.steady_now() - asked_at).count());
    if (stop.stop_requested()) return Error{ErrorKind::cancelled, "shutting down"};
    if (!response) return with_context(response.error(), path);
    if (options.status != nullptr) *options.status = response->status;
    note_their_time(*response);
    if (response->status != 429) refused_in_a_row_ = 0;
    if (response->status == 200) return std::move(response->body);

    Error error = net::status_error(*response, path);
    if (response->status == 429) {
      const auto wait = wait_after_429(error);
      if (auto may = may_wait(wait); !may) return with_context(may.error(), error.message);
      spdlog::warn("Rhombus asks to wait {} s ({}): too many requests", wait.count(), name);
      limiter_.pause(wait);
      // What is in the background comes again by itself.
      const bool waits_for_it = options.urgency == Urgency::urgent || wait <= longest_background_wait;
      if (waits < max_429_waits && waits_for_it) continue;
    }
    if (error.kind == ErrorKind::auth) {
      error.message += ": Rhombus refuses the API key (rhombus.api_key, rhombus.api_key_file)";
    }
    // What Rhombus answers 400 and 404 to will not get better by asking again; 5xx may.
    return error;
  }
}

Result<std::vector<Camera>> ApiClient::cameras(std::stop_token stop) {
  const std::string path = "/api/camera/getMinimalCameraStateList";
  auto text = call(path, "{}", stop);
  if (!text) return text.error();
  return read_cameras(path, *text);
}

Result<std::vector<AudioGateway>> ApiClient::audio_gateways(std::stop_token stop) {
  const std::string path = "/api/audiogateway/getMinimalAudioGatewayStateList";
  auto text = call(path, "{}", stop);
  if (!text) return text.error();
  return read_audio_gateways(path, *text);
}

Result<std::vector<Location>> ApiClient::locations(std::stop_token stop) {
  const std::string path = "/api/location/getLocations";
  auto text = call(path, "{}", stop);
  if (!text) return text.error();
  return read_locations(path, *text);
}

DoorList ApiClient::doors(Door::Kind kind, std::stop_token stop) {
  // Far more than anybody has: only a list without an end reaches them.
  constexpr std::size_t most_doors = 100'000;
  constexpr std::size_t most_pages = 10'000;
  const std::string path =
      kind == Door::Kind::sensor ? "/api/door/getMinimalDoorStateList" : "/api/component/findAccessControlledDoors";
  DoorList list;
  const auto end_with = [&](Error error) {
    list.error = std::move(error);
    drop_repeated(list.doors);
    return std::move(list);
  };
  std::set<std::string> keys;
  std::string key;
  while (true) {
    JsonWriter body;
    body.begin_object();
    if (!key.empty()) body.field("lastEvaluatedKey", key);
    body.end_object();
    auto text = call(path, std::move(body).str(), stop);
    if (!text) return end_with(text.error());
    auto page = read_doors(path, *text, kind);
    if (!page) return end_with(page.error());
    std::move(page->doors.begin(), page->doors.end(), std::back_inserter(list.doors));
    if (!page->has_usable_key)
      return end_with({ErrorKind::transient, path + ": the list goes on, but its lastEvaluatedKey is no text"});
    key = std::move(page->next_key);
    if (key.empty()) break;
    if (!keys.insert(key).second)
      return end_with({ErrorKind::transient, path + ": the list does not end: a lastEvaluatedKey comes again"});
    if (list.doors.size() >= most_doors || keys.size() >= most_pages)
      return end_with({ErrorKind::permanent, fmt::format("{}: the list does not end: {} doors in {} pages so far",
                                                         path, list.doors.size(), keys.size())});
  }
  drop_repeated(list.doors);
  return list;
}

Result<MediaUris> ApiClient::media_uris(DeviceKind kind, const DeviceId& device, std::stop_token stop) {
  const bool camera = kind == DeviceKind::camera;
  const std::string path = camera ? "/api/camera/getMediaUris" : "/api/audiogateway/getMediaUris";
  JsonWriter body;
  body.begin_object().field(camera ? "cameraUuid" : "gatewayUuid", device.str()).end_object();
  auto text = call(path, std::move(body).str(), stop);
  if (!text) return text.error();
  return read_media_uris(path, *text);
}

Result<std::optional<std::vector<Presence>>> ApiClient::presence(const DeviceId& camera,
                                                                 std::chrono::sys_seconds start,
                                                                 std::chrono::seconds duration,
                                                                 std::stop_token stop) {
  const std::string path = "/api/camera/getPresenceWindows";
  JsonWriter body;
  body.begin_object()
      .field("cameraUuid", without_facet(camera).str())
      .field("startTimeSec", start.time_since_epoch().count())
      .field("durationSec", duration.count())
      .end_object();
  auto text = call(path, std::move(body).str(), stop, {.urgency = Urgency::background});
  if (!text) return text.error();
  return read_presence(path, *text);
}

Result<AlertDetails> ApiClient::alert_details(const AlertId& alert, std::stop_token stop) {
  const std::string path = "/api/event/getPolicyAlertDetails";
  JsonWriter body;
  body.begin_object().field("policyAlertUuid", alert.str()).end_object();
  auto text = call(path, std::move(body).str(), stop);
  if (!text) return text.error();
  return read_alert_details(path, *text);
}

Result<AlertPage> ApiClient::ask_for_alerts(const std::string& path, const std::string& body, std::stop_token stop,
                                            int* status) {
  auto text = call(path, body, stop, {.urgency = Urgency::background, .status = status});
  if (!text) return text.error();
  return read_alerts(path, *text, clock_.wall_now());
}

Result<AlertPage> ApiClient::policy_alerts(const AlertQuery& query, std::stop_token stop) {
  const auto ms = [](WallTime time) { return time.time_since_epoch().count(); };
  JsonWriter body;
  body.begin_object().field("maxResults", page_size);
  if (query.after) body.field("afterTimestampMs", ms(*query.after));
  if (query.before) body.field("beforeTimestampMs", ms(*query.before));
  if (query.location) body.key("locationFilter").begin_array().value(query.location->str()).end_array();
  if (query.cursor) body.field("lastTimestampMs", ms(query.cursor->at)).field("lastUuid", query.cursor->id.str());
  body.end_object();
  const auto text = std::move(body).str();

  const std::string paths[] = {"/api/event/getPolicyAlertsV2", "/api/event/getPolicyAlerts"};
  const bool older_first = older_listing_;
  int status = 0;
  auto page = ask_for_alerts(paths[older_first ? 1 : 0], text, stop, &status);
  // Who has asked too much, or is to wait, does not ask at another place instead.
  const bool asks_to_wait = status == 429 || (!page && page.error().retry_after);
  const bool other_may_help =
      !page && status != 0 && page.error().kind != ErrorKind::auth && !asks_to_wait && !stop.stop_requested();
  if (!other_may_help) return page;
  auto other = ask_for_alerts(paths[older_first ? 0 : 1], text, stop, nullptr);
  if (!other) return page;
  // What only failed just now is asked first again.
  const auto kind = page.error().kind;
  if (kind == ErrorKind::not_found || kind == ErrorKind::permanent) older_listing_ = !older_first;
  return other;
}

// They are diagnostics of the organization: EXTERNAL_WEBHOOK_FAILURE, or those of the integration WEBHOOKS.
Result<FailedDeliveries> ApiClient::failed_deliveries(WallTime since, std::stop_token stop) {
  FailedDeliveries failed;
  JsonWriter body;
  body.begin_object().field("timestampMsAfter", since.time_since_epoch().count()).end_object();
  const auto asked = std::move(body).str();
  const std::pair<std::string, std::string_view> lists[] = {
      {"/api/report/getDiagnosticFeed", "diagnosticEvents"},
      {"/api/report/getIntegrationDiagnosticEvents", "integrationDiagnosticEvents"}};
  for (const auto& [path, list] : lists) {
    auto text = call(path, asked, stop, {.urgency = Urgency::background});
    if (!text) return text.error();
    if (auto read = read_failures(path, *text, list, failed); !read) return read.error();
  }
  return failed;
}

Result<WebhookSettings> ApiClient::webhook_settings(std::stop_token stop) {
  const std::string path = "/api/integrations/webhooks/getWebhookIntegration";
  auto text = call(path, "{}", stop, {.urgency = Urgency::background});
  if (!text) return text.error();
  auto settings = read_webhook_settings(path, *text);
  if (settings) {
    for (const auto& webhook : settings->webhooks) remember_secret(webhook.secret);
  }
  return settings;
}

namespace {

// A change sends all settings back: none that had to be repaired to be read may be among them.
Result<void> check_exact(const WebhookSettings& settings) {
  if (settings.is_exact) return {};
  return Error{ErrorKind::permanent,
               "Rhombus's webhook settings have a character or number that cannot be sent back as it is: change the "
               "URL in Rhombus's console"};
}

}  // namespace

Result<Secret> ApiClient::register_webhook(const WebhookSettings& now, const std::string& url, bool diagnostic,
                                           std::stop_token stop) {
  const std::string path = "/api/integrations/webhooks/updateWebhookIntegrationV2";
  if (auto exact = check_exact(now); !exact) return exact.error();
  // Each one makes a new secret: sent twice, the first would be lost.
  auto text = call(path, registration_body(now, url, diagnostic), stop, {.repeat = net::Repeat::never});
  if (!text) return text.error();
  auto secret = read_registration(path, *text);
  if (!secret) return secret.error();
  if (*secret) {
    remember_secret(**secret);
    return std::move(**secret);
  }
  const auto settings = webhook_settings(stop);
  if (!settings) return settings.error();
  for (const auto& webhook : settings->webhooks) {
    if (webhook.url != url || webhook.diagnostic != diagnostic || webhook.secret.empty()) continue;
    if (!is_usable_secret(webhook.secret.reveal())) return unusable_secret(path);
    return webhook.secret;
  }
  return Error{ErrorKind::transient, fmt::format("{}: Rhombus tells no secret for the URL", path)};
}

Result<void> ApiClient::unregister_webhook(const WebhookSettings& now, const std::string& url, bool diagnostic,
                                           std::stop_token stop) {
  const std::string path = "/api/integrations/webhooks/updateWebhookIntegrationV2";
  if (auto exact = check_exact(now); !exact) return exact;
  // Sent twice, it would undo what somebody has set in between.
  auto text = call(path, unregistration_body(now, url, diagnostic), stop, {.repeat = net::Repeat::never});
  if (!text) return text.error();
  if (auto said = read_registration(path, *text); !said) return said.error();
  const auto settings = webhook_settings(stop);
  if (!settings) return settings.error();
  for (const auto& webhook : settings->webhooks) {
    if (webhook.url == url && webhook.diagnostic == diagnostic && !webhook.disabled)
      return Error{ErrorKind::permanent, fmt::format("{}: Rhombus still calls the URL", path)};
  }
  return {};
}

Result<Secret> ApiClient::federated_token(std::chrono::seconds duration, const std::optional<DeviceId>& device,
                                          std::stop_token stop) {
  const std::string path = "/api/org/generateFederatedSessionToken";
  JsonWriter body;
  body.begin_object().field("durationSec", duration.count());
  if (device) body.field("deviceUUid", device->str());
  body.end_object();
  auto text = call(path, std::move(body).str(), stop);
  if (!text) return text.error();
  return read_token(path, *text);
}

}  // namespace responder::rhombus
