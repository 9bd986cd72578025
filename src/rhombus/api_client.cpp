#include "responder/rhombus/api_client.hpp"

#include <ctime>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"

#include "alert_json.hpp"
#include "api_answers.hpp"

namespace responder::rhombus {
namespace {

constexpr std::size_t max_answer_bytes = 64U << 20U;  // thousands of devices, generously
constexpr std::size_t max_connections = 4;
constexpr int max_429_waits = 5;
constexpr std::chrono::seconds longest_background_wait{60};
constexpr std::chrono::milliseconds longest_call{45'000};  // answers are small; a drip is no answer
constexpr double burst_seconds = 5;                        // of the budget; Rhombus allows about ten

net::Trust api_trust(const ApiOptions& options) {
  net::Trust trust;
  trust.ca_file = options.ca_file;
  trust.client_cert = options.client_cert;
  trust.client_key = options.client_key;
  return trust;
}

// Every typed answer begins here: an object that does not say "error".
class Answer {
 public:
  static Result<Answer> parse(const std::string& path, const std::string& text) {
    Answer answer;
    json::Element root;
    if (answer.parser_->parse(text).get(root) != simdjson::SUCCESS || root.get(answer.object_) != simdjson::SUCCESS) {
      // Some answers hold secrets: none is quoted.
      return Error{ErrorKind::transient,
                   fmt::format("{}: the answer ({} bytes) is not a JSON object", path, text.size())};
    }
    if (json::boolean(answer.object_, "error").value_or(false)) {
      const auto why = json::text(answer.object_, "errorMsg").value_or("no reason given");
      return Error{ErrorKind::transient, fmt::format("{}: Rhombus says: {}", path, printable(why))};
    }
    return answer;
  }

  const json::Object& object() const { return object_; }

 private:
  std::unique_ptr<simdjson::dom::parser> parser_ = std::make_unique<simdjson::dom::parser>();
  json::Object object_;
};

Error lacks(std::string_view path, std::string_view name) {
  return Error{ErrorKind::transient, fmt::format("{}: the answer lacks {}", path, name)};
}

std::optional<DeviceId> device_id(const json::Object& object) {
  const auto id = json::text(object, "uuid");
  if (!id || !is_safe_id(*id)) return std::nullopt;
  return DeviceId(*id);
}

bool is_online(const json::Object& state) { return json::text(state, "connectionStatus").value_or("") != "RED"; }

// Calls `take` with each object of the named list; entries of other types are passed over.
template <class Take>
Result<void> each_in_list(const Answer& answer, std::string_view path, std::string_view name, Take take) {
  const auto list = json::array(answer.object(), name);
  if (!list) return lacks(path, name);
  for (const auto item : *list) {
    json::Object entry;
    if (item.get(entry) == simdjson::SUCCESS) take(entry);
  }
  return {};
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
      connections_(options_.url, api_trust(options_), net::ClientTimeouts{.read = std::chrono::milliseconds(20000)},
                   max_connections),
      stalls_(clock, {.first_byte = longest_call}) {}

// What Rhombus says, or longer each time where it does not.
std::chrono::seconds ApiClient::wait_after_429(const Error& error) {
  constexpr int most_doublings = 6;
  constexpr std::chrono::seconds longest{60};
  const int doublings = std::min(refused_in_a_row_++, most_doublings);
  if (error.retry_after && error.retry_after->count() > 0) return *error.retry_after;
  return std::min(std::chrono::seconds(1 << doublings), longest);
}

void ApiClient::compare_clocks(const net::Response& response) {
  const auto date = response.header("date");
  std::tm parsed{};
  if (!date || ::strptime(date->c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parsed) == nullptr) return;
  const WallTime theirs{std::chrono::seconds(::timegm(&parsed))};
  const auto ahead = clock_.wall_now() - theirs;
  // It tells whole seconds, and took its time to come.
  constexpr std::chrono::seconds noticeable{3};
  clock_ahead_ms_ = std::chrono::abs(ahead) < noticeable ? 0 : ahead.count();
}

Result<std::string> ApiClient::call(const std::string& path, const std::string& body, std::stop_token stop,
                                    Urgency urgency, bool* answered) {
  const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
  for (int waits = 0;; ++waits) {
    if (!limiter_.wait_turn(stop, urgency)) return Error{ErrorKind::cancelled, "shutting down"};
    auto connection = connections_.borrow(stop);
    if (!connection) return connection.error();
    const std::stop_callback break_off(stop, [&] { (*connection)->abort(); });
    const net::StallWatch::Transfer transfer(stalls_, [&] { (*connection)->abort(); });
    auto response = (*connection)->post_json(path, api_auth_headers(options_), body, max_answer_bytes);
    observer_(name, response ? response->status : 0);
    if (stop.stop_requested()) return Error{ErrorKind::cancelled, "shutting down"};
    if (!response) return with_context(response.error(), path);
    if (answered != nullptr) *answered = true;
    compare_clocks(*response);
    if (response->status != 429) refused_in_a_row_ = 0;
    if (response->status == 200) return std::move(response->body);

    Error error = net::status_error(*response, path);
    if (response->status == 429) {
      const auto wait = wait_after_429(error);
      spdlog::warn("Rhombus asks to wait {} s ({}): too many requests", wait.count(), name);
      limiter_.pause(wait);
      // What is in the background comes again by itself.
      const bool waits_for_it = urgency == Urgency::urgent || wait <= longest_background_wait;
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

Result<std::vector<Camera>> read_cameras(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  std::vector<Camera> cameras;
  const auto read = each_in_list(*answer, path, "cameraStates", [&](const json::Object& state) {
    const auto id = device_id(state);
    if (!id) return;
    cameras.push_back({*id, json::text(state, "name").value_or(""),
                       LocationId(json::text(state, "locationUuid").value_or("")), is_online(state)});
  });
  if (!read) return read.error();
  return cameras;
}

Result<std::vector<AudioGateway>> ApiClient::audio_gateways(std::stop_token stop) {
  const std::string path = "/api/audiogateway/getMinimalAudioGatewayStateList";
  auto text = call(path, "{}", stop);
  if (!text) return text.error();
  return read_audio_gateways(path, *text);
}

Result<std::vector<AudioGateway>> read_audio_gateways(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  std::vector<AudioGateway> gateways;
  // An organization without any may have null there.
  if (!json::array(answer->object(), "audioGatewayStates")) return gateways;
  const auto read = each_in_list(*answer, path, "audioGatewayStates", [&](const json::Object& state) {
    const auto id = device_id(state);
    if (!id) return;
    AudioGateway gateway{*id, json::text(state, "name").value_or(""), {}, is_online(state)};
    if (const auto cameras = json::array(state, "associatedCameras")) {
      for (const auto item : *cameras) {
        std::string_view camera;
        if (item.get(camera) == simdjson::SUCCESS && is_safe_id(camera))
          gateway.cameras.emplace_back(std::string(camera));
      }
    }
    gateways.push_back(std::move(gateway));
  });
  if (!read) return read.error();
  return gateways;
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

Result<MediaUris> read_media_uris(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();

  MediaUris uris;
  const auto read_list = [&](std::string_view name, std::vector<std::string>& into) {
    const auto list = json::array(answer->object(), name);
    if (!list) return;
    for (const auto item : *list) {
      std::string_view uri;
      if (item.get(uri) == simdjson::SUCCESS && !uri.empty()) into.emplace_back(uri);
    }
  };
  read_list("lanVodMpdUrisTemplates", uris.lan);
  read_list("lanCheckUrls", uris.lan_checks);
  uris.wan = json::text(answer->object(), "wanVodMpdUriTemplate");
  if (uris.wan && uris.wan->empty()) uris.wan.reset();
  return uris;
}

Result<std::optional<std::vector<Presence>>> ApiClient::presence(const DeviceId& camera,
                                                                 std::chrono::sys_seconds start,
                                                                 std::chrono::seconds duration,
                                                                 std::stop_token stop) {
  const std::string path = "/api/camera/getPresenceWindows";
  JsonWriter body;
  body.begin_object()
      .field("cameraUuid", camera.str())
      .field("startTimeSec", start.time_since_epoch().count())
      .field("durationSec", duration.count())
      .end_object();
  auto text = call(path, std::move(body).str(), stop);
  if (!text) return text.error();
  return read_presence(path, *text);
}

Result<std::optional<std::vector<Presence>>> read_presence(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  const auto by_kind = json::object(answer->object(), "presenceWindows");
  if (!by_kind) return std::optional<std::vector<Presence>>{};
  std::vector<Presence> held;
  for (const auto [kind, list] : *by_kind) {
    json::Array windows;
    if (list.get(windows) != simdjson::SUCCESS) continue;
    for (const auto item : windows) {
      json::Object window;
      if (item.get(window) != simdjson::SUCCESS) continue;
      const auto from = json::integer(window, "startSeconds");
      const auto length = json::integer(window, "durationSeconds");
      constexpr std::int64_t end_of_time = 100'000'000'000;
      if (!from || !*from || !length || !*length || **from < 0 || **from > end_of_time || **length < 0 ||
          **length > end_of_time)
        continue;
      const std::chrono::sys_seconds begin{std::chrono::seconds(**from)};
      held.push_back({begin, begin + std::chrono::seconds(**length)});
    }
  }
  return std::optional(std::move(held));
}

Result<AlertDetails> ApiClient::alert_details(const AlertId& alert, std::stop_token stop) {
  const std::string path = "/api/event/getPolicyAlertDetails";
  JsonWriter body;
  body.begin_object().field("policyAlertUuid", alert.str()).end_object();
  auto text = call(path, std::move(body).str(), stop);
  if (!text) return text.error();
  return read_alert_details(path, *text);
}

Result<AlertDetails> read_alert_details(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  const auto described = json::object(answer->object(), "policyAlert");
  if (!described) return lacks(path, "policyAlert");
  AlertDetails details;
  const auto duration = json::integer(*described, "durationSec");
  constexpr std::int64_t longest = 86'400;
  if (duration && *duration && **duration >= 0 && **duration <= longest)
    details.duration = std::chrono::seconds(**duration);
  details.finalized = json::boolean(*described, "finalized").value_or(true);
  for (const auto* name : {"clipLocationMap", "clipLocationMapV2"}) {
    const auto map = json::object(*described, name);
    if (!map) continue;
    for (const auto [camera, region] : *map) {
      if (auto where = json::clip_region(region); where && is_safe_id(camera))
        details.clip_regions[DeviceId(std::string(camera))] = std::move(*where);
    }
  }
  return details;
}

Result<AlertPage> ApiClient::ask_for_alerts(const std::string& path, const std::string& body, std::stop_token stop,
                                            bool* answered) {
  auto text = call(path, body, stop, Urgency::background, answered);
  if (!text) return text.error();
  return read_alerts(path, *text);
}

Result<AlertPage> read_alerts(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  return read_alert_page(answer->object());
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
  bool answered = false;
  auto page = ask_for_alerts(paths[older_first ? 1 : 0], text, stop, &answered);
  const bool other_may_help = !page && answered && page.error().kind != ErrorKind::auth &&
                              !page.error().retry_after && !stop.stop_requested();
  if (!other_may_help) return page;
  auto other = ask_for_alerts(paths[older_first ? 0 : 1], text, stop, nullptr);
  if (!other) return page;
  // What only failed just now is asked first again.
  const auto kind = page.error().kind;
  if (kind == ErrorKind::not_found || kind == ErrorKind::permanent) older_listing_ = !older_first;
  return other;
}

Result<void> read_failures(const std::string& path, const std::string& text, std::string_view list,
                           WebhookHealth& health) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  if (!json::array(answer->object(), list)) return {};
  return each_in_list(*answer, path, list, [&](const json::Object& event) {
    if (json::text(event, "activity") != "EXTERNAL_WEBHOOK_FAILURE" && json::text(event, "integration") != "WEBHOOKS")
      return;
    ++health.failures;
    auto at = json::text(event, "timestamp");
    if (at && (!health.last_failure || *at > *health.last_failure)) health.last_failure = printable(*at, 40);
  });
}

// Failed deliveries are diagnostics of the organization: EXTERNAL_WEBHOOK_FAILURE, or those of the integration
// WEBHOOKS.
Result<void> ApiClient::add_failures(WebhookHealth& health, WallTime since, std::stop_token stop) {
  JsonWriter body;
  body.begin_object().field("timestampMsAfter", since.time_since_epoch().count()).end_object();
  const auto asked = std::move(body).str();
  const auto ask = [&](const std::string& path, std::string_view list) -> Result<void> {
    auto text = call(path, asked, stop, Urgency::background);
    if (!text) return text.error();
    return read_failures(path, *text, list, health);
  };
  if (auto asked_feed = ask("/api/report/getDiagnosticFeed", "diagnosticEvents"); !asked_feed) return asked_feed;
  return ask("/api/report/getIntegrationDiagnosticEvents", "integrationDiagnosticEvents");
}

Result<WebhookHealth> ApiClient::webhook_health(WallTime since, std::stop_token stop) {
  const std::string path = "/api/integrations/webhooks/getWebhookIntegration";
  auto text = call(path, "{}", stop, Urgency::background);
  if (!text) return text.error();
  auto health = read_webhook_settings(path, *text);
  if (!health) return health;
  // Second to the settings: an account may not be allowed to read diagnostics.
  if (auto added = add_failures(*health, since, stop); !added) spdlog::debug("{}", added.error().message);
  return health;
}

Result<WebhookHealth> read_webhook_settings(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  WebhookHealth health;
  if (const auto settings = json::object(answer->object(), "orgIntegrationV2")) {
    health.enabled = json::boolean(*settings, "enabled").value_or(true);
    if (const auto urls = json::object(*settings, "activityWebhooksV2")) {
      for (const auto [url, info] : *urls) {
        json::Object described;
        if (info.get(described) == simdjson::SUCCESS && json::boolean(described, "webhookDisabled").value_or(false))
          health.disabled_urls.push_back(printable(url.substr(0, url.find('?'))));
      }
    }
  }
  return health;
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

Result<Secret> read_token(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  auto token = json::text(answer->object(), "federatedSessionToken");
  const bool usable =
      token && !token->empty() && token->size() <= 4096 &&
      std::all_of(token->begin(), token->end(), [](char c) { return c > 0x20 && c < 0x7F && c != ';'; });
  if (!usable) return lacks(path, "a usable federatedSessionToken");
  return Secret(std::move(*token));
}

}  // namespace responder::rhombus
