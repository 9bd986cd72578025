#include "fake_rhombus.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <random>
#include <set>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>
#include <httplib.h>
#include <openssl/hmac.h>
#include <simdjson.h>

namespace fake_rhombus {
namespace {

using std::chrono::milliseconds;

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string json_string(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

template <class Items, class Text>
std::string joined(const Items& items, Text text) {
  std::string result;
  for (const auto& item : items) result += (result.empty() ? "" : ",") + text(item);
  return result;
}

// A field of a flat JSON object as text, empty when it is not there.
std::string json_text(const std::string& body, const char* key) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view value;
  if (parser.parse(body).get(root) != simdjson::SUCCESS || root.at_key(key).get(value) != simdjson::SUCCESS)
    return {};
  return std::string(value);
}

std::optional<std::int64_t> json_integer(const std::string& body, const char* key) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::int64_t value = 0;
  if (parser.parse(body).get(root) != simdjson::SUCCESS || root.at_key(key).get(value) != simdjson::SUCCESS)
    return std::nullopt;
  return value;
}

std::vector<std::string> json_list(const std::string& body, const char* key) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  simdjson::dom::array items;
  std::vector<std::string> result;
  if (parser.parse(body).get(root) != simdjson::SUCCESS || root.at_key(key).get(items) != simdjson::SUCCESS)
    return result;
  for (const auto item : items) {
    std::string_view value;
    if (item.get(value) == simdjson::SUCCESS) result.emplace_back(value);
  }
  return result;
}

Reply json_reply(std::string body) { return {200, std::move(body), "application/json"}; }

// One HTTPS server on one loopback address.
struct Server {
  std::unique_ptr<httplib::SSLServer> http;
  std::thread thread;
  int port = 0;

  void start(const Identity& identity, const std::string& address, int wanted_port,
             std::function<void(const httplib::Request&, httplib::Response&)> handle, std::size_t threads) {
    http = std::make_unique<httplib::SSLServer>(identity.certificate.get(), identity.key.get());
    // A client may show a certificate, whoever made it.
    SSL_CTX_set_verify(http->ssl_context(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    // Without it no session that has seen one is resumed.
    SSL_CTX_set_session_id_context(http->ssl_context(), reinterpret_cast<const unsigned char*>("fake"), 4);
    http->new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    http->set_tcp_nodelay(true);
    http->set_keep_alive_max_count(1'000'000);
    http->set_keep_alive_timeout(30);
    http->Get(".*", handle);
    http->Post(".*", handle);
    port = wanted_port;
    if (wanted_port == 0) {
      port = http->bind_to_any_port(address);
    } else if (!http->bind_to_port(address, wanted_port)) {
      port = -1;
    }
    if (port < 0) throw std::runtime_error("fake-rhombus: cannot bind " + address);
    thread = std::thread([server = http.get()] { server->listen_after_bind(); });
    while (!http->is_running()) std::this_thread::yield();
  }

  void stop() {
    if (http) http->stop();
    if (thread.joinable()) thread.join();
  }
};

struct Device {
  std::string uuid;
  std::string name;
  std::string location;
  std::string status;
  bool is_camera = true;
  bool lan = true;
  bool wan = true;
  bool absolute_times = false;
  bool clamp_to_now = false;
  MpdForm form = MpdForm::adaptation_set;
  std::vector<std::string> cameras;  // of a gateway
  std::shared_ptr<const TrackLoop> video;
  std::shared_ptr<const TrackLoop> audio;
  std::string lan_address;
  std::map<std::string, std::string> facets;
  std::vector<std::string> told_addresses;
  Server server;
};

struct Webhook {
  std::string secret;
  bool disabled = false;
};
using Webhooks = std::map<std::string, Webhook>;  // by URL

struct StoredClip {
  std::int64_t start = 0;
  std::int64_t duration = 0;
  Device device;
};

struct Token {
  std::string device;  // empty: the organization
  std::int64_t expires_ms = 0;
};

std::string cookie_token(const std::string& cookies) {
  const auto at = cookies.find("SESSIONID=RFT:");
  if (at == std::string::npos) return {};
  const auto value = cookies.substr(at + 14);
  return value.substr(0, value.find(';'));
}

}  // namespace

static std::string http_date() {
  const auto seconds = static_cast<std::time_t>(now_ms() / 1000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return text.data();
}

struct FakeRhombus::Impl {
  const Options& options;
  Identity ca = make_ca("Stand-in Rhombus CA");
  Identity edge = make_server("localhost", {"127.0.0.1", "localhost"}, &ca);
  std::filesystem::path directory;
  bool own_directory = false;
  Server api;
  Server wan;
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<StoredAlert> alerts;

  mutable std::mutex mutex;
  std::vector<Request> log;
  std::map<std::string, Token> tokens;
  Webhooks activity_webhooks;
  Webhooks diagnostic_webhooks;
  bool keeps_removed_webhooks = false;
  std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>> holes;  // by camera, in order
  mutable std::mutex holes_mutex;  // beside the other, which is held while stored clips are served
  std::vector<DoorSpec> doors;
  std::vector<std::pair<std::string, std::string>> locations{{"LocationAAAAAAAAAAAAAA", "Headquarters"}};
  mutable std::mutex kept_mutex;
  mutable std::map<std::string, std::string> kept_segments;
  Intercept intercept;
  Mangle mangle;
  std::vector<std::string> failed_deliveries;
  std::map<std::string, StoredClip> stored_clips;  // by CAMERA/REGION/ALERT
  double bucket = 0;
  std::int64_t bucket_at_ms = now_ms();

  // Loops are expensive: one for each profile.
  std::map<std::string, std::shared_ptr<const TrackLoop>> videos;
  std::shared_ptr<const TrackLoop> aac;
  std::shared_ptr<const TrackLoop> opus;

  explicit Impl(const Options& given) : options(given) { bucket = options.burst; }

  Device* find(const std::string& uuid) const {
    for (const auto& device : devices) {
      if (device->uuid == uuid) return device.get();
    }
    return nullptr;
  }

  std::shared_ptr<const TrackLoop> video_loop(const VideoProfile& p) {
    auto& loop = videos[fmt::format("{}x{}@{} b{} r{} {} {}", p.width, p.height, p.frames_per_second, p.b_frames,
                                    p.bits_per_second, p.hevc, p.gop_seconds)];
    if (!loop) loop = make_video(p);
    return loop;
  }

  void serve(const std::string& server, const httplib::Request& in, httplib::Response& out,
             const std::function<Reply(const Request&)>& answer) {
    Request request;
    request.server = server;
    request.method = in.method;
    request.path = in.path;
    const auto mark = in.target.find('?');
    request.query = mark == std::string::npos ? "" : in.target.substr(mark + 1);
    for (const auto& [name, value] : in.headers) request.headers[lower(name)] = value;
    request.body = in.body;
    request.at_ms = now_ms();
    const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get_peer_certificate(in.ssl), X509_free);
    request.client_certificate = shown != nullptr;
    std::optional<Reply> reply;
    Intercept first;
    Mangle last;
    {
      const std::lock_guard lock(mutex);
      first = intercept;
      last = mangle;
    }
    if (first) reply = first(request);
    if (!reply) reply = answer(request);
    if (last) last(request, *reply);
    request.status = reply->status;
    request.bytes = reply->body.size();
    {
      const std::lock_guard lock(mutex);
      log.push_back(request);
    }
    if (server != "api" && options.latency.count() > 0) std::this_thread::sleep_for(options.latency);
    out.status = reply->status;
    if (server == "api" && !reply->headers.contains("Date")) out.set_header("Date", http_date());
    for (const auto& [name, value] : reply->headers) out.set_header(name, value);
    if (!reply->cut_at && reply->bytes_per_second == 0) {
      out.set_content(std::move(reply->body), reply->type);
      return;
    }
    const auto size = reply->body.size();
    out.set_content_provider(std::max<std::size_t>(1, size), reply->type,
                             [reply = std::move(*reply)](std::size_t offset, std::size_t, httplib::DataSink& sink) {
                               const auto end = std::min(reply.body.size(), reply.cut_at.value_or(reply.body.size()));
                               if (offset >= end) return false;
                               constexpr std::size_t in_a_second = 10;
                               const auto most = reply.bytes_per_second > 0
                                                     ? std::max<std::size_t>(1, reply.bytes_per_second / in_a_second)
                                                     : end;
                               const auto count = std::min(end - offset, most);
                               if (reply.bytes_per_second > 0)
                                 std::this_thread::sleep_for(std::chrono::milliseconds(100));
                               return sink.write(reply.body.data() + offset, count);
                             });
  }

  // --- API
  // ----------------------------------------------------------------------------------------------------------------

  static std::string header(const Request& request, const std::string& name) {
    const auto found = request.headers.find(name);
    return found == request.headers.end() ? "" : found->second;
  }

  bool api_authenticated(const Request& request) const {
    const auto* scheme = request.client_certificate ? "api" : "api-token";
    return header(request, "x-auth-scheme") == scheme && header(request, "x-auth-apikey") == options.api_key;
  }

  std::optional<Reply> over_rate() {
    const std::lock_guard lock(mutex);
    const auto now = now_ms();
    bucket = std::min(options.burst,
                      bucket + static_cast<double>(now - bucket_at_ms) * options.requests_per_second / 1000.0);
    bucket_at_ms = now;
    if (bucket >= 1) {
      bucket -= 1;
      return std::nullopt;
    }
    const int wait = std::max(1, static_cast<int>(std::ceil((1 - bucket) / options.requests_per_second)));
    return Reply{429, "Too many requests", "text/plain", {{"Retry-After", std::to_string(wait)}}};
  }

  Reply answer_api(const Request& request) {
    if (request.path.starts_with("/media/metadata/")) return answer_store(request);
    if (request.headers.count("x-auth-scheme") == 0)
      return {401, R"({"error":true,"errorMsg":"not authenticated"})", "application/json"};
    if (!api_authenticated(request)) return {403, R"({"error":true,"errorMsg":"forbidden"})", "application/json"};
    if (auto limited = over_rate()) return *limited;
    const std::string& path = request.path;
    if (path == "/api/camera/getMinimalCameraStateList") return camera_list();
    if (path == "/api/audiogateway/getMinimalAudioGatewayStateList") return gateway_list();
    if (path == "/api/location/getLocations") return location_list();
    if (path == "/api/door/getMinimalDoorStateList") return sensor_list();
    if (path == "/api/component/findAccessControlledDoors") return door_page(request.body);
    if (path == "/api/camera/getMediaUris") return media_uris(json_text(request.body, "cameraUuid"), true);
    if (path == "/api/audiogateway/getMediaUris") return media_uris(json_text(request.body, "gatewayUuid"), false);
    if (path == "/api/org/generateFederatedSessionToken") return new_token(request.body);
    if (path == "/api/event/getPolicyAlertsV2" || path == "/api/event/getPolicyAlerts")
      return alert_page(request.body);
    if (path == "/api/event/getPolicyAlertDetails") return alert_details(request.body);
    if (path == "/api/camera/getPresenceWindows") return presence(request.body);
    if (path == "/api/report/getDiagnosticFeed") return diagnostic_feed();
    if (path == "/api/report/getIntegrationDiagnosticEvents")
      return json_reply(R"({"integrationDiagnosticEvents":[],"error":null})");
    if (path == "/api/integrations/webhooks/getWebhookIntegration") return webhook_integration();
    if (path == "/api/integrations/webhooks/updateWebhookIntegrationV2") return update_webhook(request.body);
    return {404, "no such call", "text/plain"};
  }

  Reply camera_list() const {
    std::string states;
    for (const auto& d : devices) {
      if (!d->is_camera) continue;
      states += fmt::format(
          "{}{{\"uuid\":{},\"name\":{},\"locationUuid\":{},\"connectionStatus\":{},\"mediaRegion\":\"us-west-2\","
          "\"serialNumber\":null,\"supportedFacets\":{},\"facetNameMap\":{{{}}},\"lanAddresses\":[{}]}}",
          states.empty() ? "" : ",", json_string(d->uuid), json_string(d->name), json_string(d->location),
          json_string(d->status),
          d->facets.empty() ? "null"
                            : "[" + joined(d->facets, [](const auto& one) { return json_string(one.first); }) + "]",
          joined(d->facets, [](const auto& one) { return json_string(one.first) + ":" + json_string(one.second); }),
          joined(d->told_addresses, json_string));
    }
    return json_reply("{\"cameraStates\":[" + states + "],\"error\":null,\"errorMsg\":null}");
  }

  Reply gateway_list() const {
    std::string states;
    for (const auto& d : devices) {
      if (d->is_camera) continue;
      states += fmt::format("{}{{\"uuid\":{},\"name\":{},\"associatedCameras\":[{}],\"connectionStatus\":{}}}",
                            states.empty() ? "" : ",", json_string(d->uuid), json_string(d->name),
                            joined(d->cameras, json_string), json_string(d->status));
    }
    return json_reply("{\"audioGatewayStates\":[" + states + "],\"error\":null}");
  }

  Reply location_list() const {
    return json_reply("{\"locations\":[" +
                      joined(locations,
                             [](const auto& one) {
                               return fmt::format("{{\"uuid\":{},\"name\":{}}}", json_string(one.first),
                                                  json_string(one.second));
                             }) +
                      "],\"error\":null}");
  }

  static std::string door_json(const DoorSpec& door) {
    return fmt::format(R"({{"{}":{},"name":{},"locationUuid":{},"associatedCameras":[{}]}})",
                       door.is_sensor ? "sensorUuid" : "uuid", json_string(door.uuid), json_string(door.name),
                       json_string(door.location),
                       joined(door.cameras, [](const auto& camera) { return json_string(camera + ".v0"); }));
  }

  Reply sensor_list() const {
    std::string states;
    for (const auto& door : doors) {
      if (door.is_sensor) states += (states.empty() ? "" : ",") + door_json(door);
    }
    return json_reply("{\"doorStates\":[" + states + "],\"error\":null}");
  }

  // One a page, so that whoever does not ask on misses some.
  Reply door_page(const std::string& body) const {
    const auto after = json_text(body, "lastEvaluatedKey");
    bool is_next = after.empty();
    for (const auto& door : doors) {
      if (door.is_sensor) continue;
      if (is_next)
        return json_reply(fmt::format(R"({{"accessControlledDoors":[{}],"lastEvaluatedKey":{}}})", door_json(door),
                                      json_string(door.uuid)));
      is_next = door.uuid == after;
    }
    return json_reply(R"({"accessControlledDoors":[],"lastEvaluatedKey":null})");
  }

  Reply media_uris(const std::string& uuid, bool camera) const {
    const Device* device = find(uuid);
    if (uuid.empty() || device == nullptr || device->is_camera != camera)
      return {500, "Internal Server Error", "text/plain"};
    std::string lan = "null";
    std::string checks = "null";
    std::string wan_template = "null";
    if (device->lan) {
      const auto base = fmt::format("https://{}:{}", device->lan_address, device->server.port);
      lan = fmt::format("[\"{}/{}/store/{{START_TIME}}_{{DURATION}}/clip.mpd\"]", base, device->uuid);
      checks = fmt::format("[\"{}/check\"]", base);
    }
    if (device->wan) {
      wan_template = fmt::format(
          "\"https://127.0.0.1:{}/dash/web/outbound/{}/SESSION/{{START_TIME}}/{{DURATION}}/vod/file.mpd\"", wan.port,
          device->uuid);
    }
    return json_reply(
        fmt::format(R"({{"lanVodMpdUrisTemplates":{},"wanVodMpdUriTemplate":{},"lanCheckUrls":{},"error":null}})",
                    lan, wan_template, checks));
  }

  Reply new_token(const std::string& body) {
    const auto duration = json_integer(body, "durationSec");
    if (!duration) return {500, "Internal Server Error", "text/plain"};
    const std::string token = random_uuid();
    const std::lock_guard lock(mutex);
    tokens[token] = {json_text(body, "deviceUUid"), now_ms() + *duration * 1000};
    return json_reply("{\"federatedSessionToken\":" + json_string(token) + "}");
  }

  std::string alert_json(const StoredAlert& alert) const {
    const Device* device = find(alert.device);
    const std::string duration = alert.duration_s ? std::to_string(*alert.duration_s) : "null";
    const auto clips = [&](const char* form) {
      return alert.of_sensor ? "{}" : fmt::format("{{{}:{}}}", json_string(alert.device), form);
    };
    return fmt::format(
        R"({{"uuid":{},"deviceUuid":{},"deviceType":"{}","locationUuid":{},"timestampMs":{},"durationSec":{},"policyAlertTriggers":[{}],)"
        R"("clipLocationMap":{},"clipLocationMapV2":{},"finalized":{},"textDescription":null}})",
        json_string(alert.uuid), json_string(alert.device),
        device != nullptr && device->is_camera ? "CAMERA" : "DOOR_SENSOR",
        json_string(device != nullptr ? device->location
                    : alert.of_sensor ? "LocationAAAAAAAAAAAAAA"
                                      : ""),
        alert.timestamp_ms, duration, joined(alert.triggers, json_string), clips(R"({"region":"us-west-2"})"),
        clips(R"("us-west-2")"), alert.finalized);
  }

  Reply alert_page(const std::string& body) const {
    const auto after = json_integer(body, "afterTimestampMs").value_or(0);
    const auto before = json_integer(body, "beforeTimestampMs").value_or(INT64_MAX);
    const auto most =
        static_cast<std::size_t>(std::clamp<std::int64_t>(json_integer(body, "maxResults").value_or(100), 1, 100));
    const auto last_time = json_integer(body, "lastTimestampMs");
    const auto last_uuid = json_text(body, "lastUuid");
    const auto devices_wanted = json_list(body, "deviceFilter");
    const std::lock_guard lock(mutex);
    auto sorted = alerts;
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return std::tie(a.timestamp_ms, a.uuid) > std::tie(b.timestamp_ms, b.uuid);
    });
    std::string items;
    std::size_t count = 0;
    for (const auto& alert : sorted) {
      if (alert.timestamp_ms < after || alert.timestamp_ms > before) continue;
      if (last_time && std::tie(alert.timestamp_ms, alert.uuid) >= std::tie(*last_time, last_uuid)) continue;
      if (!devices_wanted.empty() &&
          std::find(devices_wanted.begin(), devices_wanted.end(), alert.device) == devices_wanted.end())
        continue;
      if (++count > most) break;
      items += (items.empty() ? "" : ",") + alert_json(alert);
    }
    return json_reply("{\"policyAlerts\":[" + items + "],\"error\":null}");
  }

  Reply diagnostic_feed() const {
    const std::lock_guard lock(mutex);
    std::string events;
    for (const auto& at : failed_deliveries)
      events += fmt::format(R"({}{{"activity":"EXTERNAL_WEBHOOK_FAILURE","timestamp":{}}})",
                            events.empty() ? "" : ",", json_string(at));
    return json_reply("{\"diagnosticEvents\":[" + events + "],\"error\":null}");
  }

  Reply alert_details(const std::string& body) const {
    const auto uuid = json_text(body, "policyAlertUuid");
    const std::lock_guard lock(mutex);
    for (const auto& alert : alerts) {
      if (alert.uuid == uuid) return json_reply("{\"policyAlert\":" + alert_json(alert) + "}");
    }
    return json_reply(R"({"error":true,"errorMsg":"no such alert"})");
  }

  Reply presence(const std::string& body) const {
    const auto start = json_integer(body, "startTimeSec");
    const auto duration = json_integer(body, "durationSec");
    if (!start || !duration || find(json_text(body, "cameraUuid")) == nullptr)
      return {500, "Internal Server Error", "text/plain"};
    // What is still to come is not held.
    const auto end = std::min(now_ms() / 1000, *start + *duration);
    std::string windows;
    const auto add = [&](std::int64_t from, std::int64_t to) {
      if (from < to)
        windows += fmt::format(R"({}{{"startSeconds":{},"durationSeconds":{}}})", windows.empty() ? "" : ",", from,
                               to - from);
    };
    auto from = *start;
    for (const auto& [hole_start, hole_end] : holes_of(json_text(body, "cameraUuid"))) {
      add(from, std::min(hole_start, end));
      from = std::max(from, hole_end);
    }
    add(from, end);
    return json_reply(
        fmt::format(R"({{"presenceWindows":{{"VideoLocal":[{}],"VideoCloud":[],"Audio":[]}}}})", windows));
  }

  // In order.
  std::vector<std::pair<std::int64_t, std::int64_t>> holes_of(const std::string& uuid) const {
    const std::lock_guard lock(holes_mutex);
    const auto found = holes.find(uuid);
    return found == holes.end() ? std::vector<std::pair<std::int64_t, std::int64_t>>{} : found->second;
  }

  bool is_in_hole(const std::string& uuid, std::int64_t start, std::int64_t end) const {
    const auto all = holes_of(uuid);
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& hole) { return start < hole.second && hole.first < end; });
  }

  static std::string webhooks_json(const Webhooks& webhooks) {
    return joined(webhooks, [](const auto& one) {
      const auto secret =
          one.second.secret.empty() ? "" : fmt::format("\"webhookSecret\":{},", json_string(one.second.secret));
      return fmt::format("{}:{{{}\"webhookDisabled\":{}}}", json_string(one.first), secret, one.second.disabled);
    });
  }

  Reply webhook_integration() const {
    const std::lock_guard lock(mutex);
    return json_reply(fmt::format(
        R"({{"orgIntegrationV2":{{"enabled":true,"orgUuid":"OrgAAAAAAAAAAAAAAAAAAA","activityWebhooksV2":{{{}}},"diagnosticWebhooksV2":{{{}}}}}}})",
        webhooks_json(activity_webhooks), webhooks_json(diagnostic_webhooks)));
  }

  // What the settings that come back leave out goes, whosever it is; the one that is named is added, or turned off.
  static void take_settings(Webhooks& webhooks, const simdjson::dom::element& root, const char* list) {
    simdjson::dom::object kept;
    if (root.at_key("updatedWebhookSettings").at_key(list).get(kept) != simdjson::SUCCESS) {
      webhooks.clear();
      return;
    }
    std::erase_if(webhooks, [&](const auto& one) { return kept.at_key(one.first).error() != simdjson::SUCCESS; });
  }

  Reply update_webhook(const std::string& body) {
    const auto url = json_text(body, "webhookUrl");
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (url.empty() || parser.parse(body).get(root) != simdjson::SUCCESS)
      return {500, "Internal Server Error", "text/plain"};
    const auto flag = [&](const char* name) {
      bool value = false;
      return root.at_key(name).get(value) == simdjson::SUCCESS && value;
    };
    const std::lock_guard lock(mutex);
    auto& webhooks = flag("isDiagnostic") ? diagnostic_webhooks : activity_webhooks;
    const auto before = webhooks.find(url) == webhooks.end() ? Webhook{} : webhooks.find(url)->second;
    take_settings(activity_webhooks, root, "activityWebhooksV2");
    take_settings(diagnostic_webhooks, root, "diagnosticWebhooksV2");
    if (flag("disabled")) {
      if (keeps_removed_webhooks) webhooks[url] = {before.secret, true};
      return json_reply(R"({"webhookSecret":null})");
    }
    webhooks[url] = {before.secret.empty() ? random_uuid() : before.secret, false};
    return json_reply("{\"webhookSecret\":" + json_string(webhooks[url].secret) + "}");
  }

  // --- media
  // --------------------------------------------------------------------------------------------------------------

  bool token_opens(const std::string& token, const std::string& device) const {
    const std::lock_guard lock(mutex);
    const auto found = tokens.find(token);
    return found != tokens.end() && found->second.expires_ms > now_ms() &&
           (found->second.device.empty() || found->second.device == device);
  }

  static std::string query_value(const std::string& query, const std::string& key) {
    const auto at = ("&" + query).find("&" + key + "=");
    if (at == std::string::npos) return {};
    const auto value = query.substr(at + key.size() + 1);
    return value.substr(0, value.find('&'));
  }

  bool federated(const Request& request, const std::string& device) const {
    if (header(request, "x-auth-scheme") == "federated-token" && token_opens(header(request, "x-auth-ft"), device))
      return true;
    if (query_value(request.query, "x-auth-scheme") == "federated-token" &&
        token_opens(query_value(request.query, "x-auth-ft"), device))
      return true;
    return token_opens(cookie_token(header(request, "cookie")), device);
  }

  Reply answer_lan(Device& device, const Request& request) const {
    // A device does not know the API key; that it was sent at all is the fault.
    if (request.headers.count("x-auth-apikey") > 0) return {403, "an API key came to a LAN device", "text/plain"};
    if (request.path == "/check") return {200, "ok", "text/plain"};
    if (!federated(request, device.uuid)) return {403, "forbidden", "text/plain"};
    const auto prefix = "/" + device.uuid + "/store/";
    if (!request.path.starts_with(prefix)) return {404, "not found", "text/plain"};
    const auto rest = request.path.substr(prefix.size());  // START_DURATION/FILE
    std::int64_t start = 0;
    std::int64_t duration = 0;
    char file[128];
    if (std::sscanf(rest.c_str(), "%ld_%ld/%127s", &start, &duration, file) != 3)
      return {404, "not found", "text/plain"};
    return media(device, start, duration, file, "clip.mpd", 0);
  }

  Reply answer_wan(const Request& request) const {
    char uuid[128];
    char session[128];
    char file[128];
    std::int64_t start = 0;
    std::int64_t duration = 0;
    if (std::sscanf(request.path.c_str(), "/dash/web/outbound/%127[^/]/%127[^/]/%ld/%ld/vod/%127s", uuid, session,
                    &start, &duration, file) != 5)
      return {404, "not found", "text/plain"};
    const Device* device = find(uuid);
    if (device == nullptr || !device->wan) return {404, "not found", "text/plain"};
    if (!api_authenticated(request) && !federated(request, uuid)) return {403, "forbidden", "text/plain"};
    return media(*device, start, duration, file, "file.mpd", 1);
  }

  // The alerts' own clips.
  Reply answer_store(const Request& request) const {
    if (!api_authenticated(request)) return {403, "forbidden", "text/plain"};
    const auto rest = request.path.substr(std::string_view("/media/metadata/").size());
    const auto slash = rest.rfind('/');
    if (slash == std::string::npos) return {404, "not found", "text/plain"};
    const std::lock_guard lock(mutex);
    const auto found = stored_clips.find(rest.substr(0, slash));
    if (found == stored_clips.end()) return {404, "not found", "text/plain"};
    return media(found->second.device, found->second.start, found->second.duration, rest.substr(slash + 1),
                 "clip.mpd", 1);
  }

  // What is recorded of a session by now, in seconds from its start.
  double recorded(std::int64_t start) const {
    return static_cast<double>(now_ms() - options.recording_lag.count()) / 1000.0 - static_cast<double>(start);
  }

  Reply media(const Device& device, std::int64_t start, std::int64_t duration, const std::string& file,
              const std::string& mpd_name, int first_number) const {
    if (device.status == "RED") return {404, "not found", "text/plain"};
    if (duration <= 0) return {400, "bad duration", "text/plain"};
    if (file == mpd_name) return {200, mpd(device, start, duration, first_number), "application/dash+xml"};
    const bool absolute = device.absolute_times;
    if (file == "seg_init.mp4" && device.video) return {200, device.video->init_segment(), "video/mp4"};
    if (file == "seg_init_sound.mp4" && device.audio && device.video)
      return {200, device.audio->init_segment(), "audio/mp4"};
    if (file == "seg_init_audio.hdr" && device.audio) return {200, device.audio->init_segment(), "audio/webm"};
    long number = 0;
    char kind[16];
    if (std::sscanf(file.c_str(), "seg_%ld.%15s", &number, kind) != 2) return {404, "not found", "text/plain"};
    const auto* loop = std::string_view(kind) == "m4v" ? device.video.get() : device.audio.get();
    const std::int64_t offset = (number - first_number) * segment_seconds;
    if (loop == nullptr || number < first_number || offset >= duration) return {404, "not found", "text/plain"};
    const std::int64_t length = std::min(segment_seconds, duration - offset);
    if (static_cast<double>(offset + length) > recorded(start)) return {404, "not yet", "text/plain"};
    if (is_in_hole(device.uuid, start + offset, start + offset + length)) {
      // The pictures of a moment long ago, with the times of this one.
      constexpr std::int64_t card = 1'000'000'000;
      return {200, loop->segment(card, length, card - (start + offset) + (absolute ? 0 : start)),
              "video/iso.segment"};
    }
    if (!options.keep_segments)
      return {200, loop->segment(start + offset, length, absolute ? 0 : start), "video/iso.segment"};
    const std::lock_guard lock(kept_mutex);
    auto& kept = kept_segments[fmt::format("{} {} {} {}", device.uuid, file, start, length)];
    if (kept.empty()) kept = loop->segment(start + offset, length, absolute ? 0 : start);
    return {200, kept, "video/iso.segment"};
  }

  std::string mpd(const Device& device, std::int64_t start, std::int64_t duration, int first_number) const {
    double shown = static_cast<double>(duration);
    if (device.clamp_to_now) shown = std::clamp(recorded(start), 0.0, shown);
    const auto segments = static_cast<std::int64_t>(std::ceil(shown / static_cast<double>(segment_seconds)));
    const std::string p = device.form == MpdForm::prefixed ? "dash:" : "";
    const auto segment_template = [&](const std::string& media, const std::string& init) {
      if (device.form != MpdForm::timeline) {
        return fmt::format(
            "<{0}SegmentTemplate media=\"{1}\" initialization=\"{2}\" startNumber=\"{3}\" duration=\"{4}\" "
            "timescale=\"1000\"/>",
            p, media, init, first_number, segment_seconds * 1000);
      }
      return fmt::format(
          "<SegmentTemplate media=\"{}\" initialization=\"{}\" startNumber=\"{}\" "
          "timescale=\"1\"><SegmentTimeline>{}</SegmentTimeline></SegmentTemplate>",
          media, init, first_number,
          segments > 0 ? fmt::format("<S t=\"0\" d=\"{}\" r=\"{}\"/>", segment_seconds, segments - 1) : "");
    };
    const std::string video = segment_template("seg_$Number$.m4v", "seg_init.mp4");
    std::string sets;
    if (device.video) {
      const bool inside = device.form == MpdForm::representation;
      sets += fmt::format(
          "<{0}AdaptationSet mimeType=\"video/mp4\" contentType=\"video\">{1}<{0}Representation id=\"v0\" "
          "bandwidth=\"4000000\">{2}</{0}Representation></{0}AdaptationSet>",
          p, inside || device.form == MpdForm::period ? "" : video, inside ? video : "");
    }
    if (device.audio) {
      const std::string sound = device.video ? segment_template("seg_$Number$.m4a", "seg_init_sound.mp4")
                                             : segment_template("seg_$Number$.webm", "seg_init_audio.hdr");
      sets += fmt::format(
          "<{0}AdaptationSet><{0}Representation id=\"a0\" mimeType=\"audio/{1}\" codecs=\"{2}\" "
          "bandwidth=\"64000\">{3}</{0}Representation></{0}AdaptationSet>",
          p, device.video ? "mp4" : "webm", device.video ? "mp4a.40.2" : "opus", sound);
    }
    return fmt::format(
        "<?xml version=\"1.0\"?>\n<{0}MPD xmlns{1}=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
        "mediaPresentationDuration=\"PT{2:.3f}S\" "
        "profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"><{0}Period>{3}{4}</{0}Period></{0}MPD>\n",
        p, p.empty() ? "" : ":dash", shown, device.form == MpdForm::period ? video : "", sets);
  }

  void start() {
    directory = options.directory;
    if (directory.empty()) {
      directory = std::filesystem::temp_directory_path() / ("fake-rhombus-" + random_uuid());
      own_directory = true;
    }
    std::filesystem::create_directories(directory);
    std::ofstream(directory / "ca.pem") << ca.certificate_pem();
    wan.start(
        edge, "127.0.0.1", 0,
        [this](const auto& in, auto& out) {
          serve("wan", in, out, [this](const Request& r) { return answer_wan(r); });
        },
        options.wan_connections);
    int last_byte = 1;
    for (const auto& device : devices) {
      if (!device->lan) continue;
      ++last_byte;
      device->lan_address = fmt::format("127.0.{}.{}", 1 + last_byte / 250, 2 + last_byte % 250);
      const auto identity = make_server(device->uuid, {device->lan_address}, nullptr);
      Device* one = device.get();
      device->server.start(
          identity, device->lan_address, 0,
          [this, one](const auto& in, auto& out) {
            serve(one->uuid, in, out, [this, one](const Request& r) { return answer_lan(*one, r); });
          },
          12);
    }
    api.start(
        edge, "127.0.0.1", options.api_port,
        [this](const auto& in, auto& out) {
          serve("api", in, out, [this](const Request& r) { return answer_api(r); });
        },
        64);
  }

  void stop() {
    api.stop();
    wan.stop();
    for (const auto& device : devices) device->server.stop();
    std::error_code ignored;
    if (own_directory) std::filesystem::remove_all(directory, ignored);
  }
};

FakeRhombus::FakeRhombus(Options options) : options_(std::move(options)), impl_(std::make_unique<Impl>(options_)) {}
FakeRhombus::~FakeRhombus() { stop(); }

std::string FakeRhombus::add_camera(CameraSpec spec) {
  auto device = std::make_unique<Device>();
  device->uuid = spec.uuid.empty() ? random_uuid() : spec.uuid;
  device->name = spec.name;
  device->location = spec.location;
  device->status = spec.status;
  device->lan = spec.lan;
  device->wan = spec.wan;
  device->absolute_times = spec.absolute_times;
  device->clamp_to_now = spec.clamp_to_now;
  device->form = spec.form;
  device->facets = spec.facets;
  device->told_addresses = spec.lan_addresses;
  device->video = impl_->video_loop(spec.video);
  if (spec.own_sound) {
    if (!impl_->aac) impl_->aac = make_aac();
    device->audio = impl_->aac;
  }
  const auto uuid = device->uuid;
  impl_->devices.push_back(std::move(device));
  return uuid;
}

std::string FakeRhombus::add_gateway(GatewaySpec spec) {
  auto device = std::make_unique<Device>();
  device->is_camera = false;
  device->uuid = spec.uuid.empty() ? random_uuid() : spec.uuid;
  device->name = spec.name;
  device->status = spec.status;
  device->cameras = spec.cameras;
  device->lan = spec.lan;
  device->wan = spec.wan;
  device->absolute_times = spec.absolute_times;
  if (!impl_->opus) impl_->opus = make_opus_webm();
  device->audio = impl_->opus;
  const auto uuid = device->uuid;
  impl_->devices.push_back(std::move(device));
  return uuid;
}

std::string FakeRhombus::add_door(DoorSpec spec) {
  if (spec.uuid.empty()) spec.uuid = random_uuid();
  impl_->doors.push_back(spec);
  return spec.uuid;
}

void FakeRhombus::add_location(const std::string& uuid, const std::string& name) {
  impl_->locations.emplace_back(uuid, name);
}

void FakeRhombus::add_hole(const std::string& camera, std::int64_t start, std::int64_t end) {
  const std::lock_guard lock(impl_->holes_mutex);
  auto& holes = impl_->holes[camera];
  holes.emplace_back(start, end);
  std::sort(holes.begin(), holes.end());
}

void FakeRhombus::fill_holes(const std::string& camera) {
  const std::lock_guard lock(impl_->holes_mutex);
  impl_->holes.erase(camera);
}

void FakeRhombus::add_webhook(const std::string& url, const std::string& secret, bool diagnostic) {
  const std::lock_guard lock(impl_->mutex);
  (diagnostic ? impl_->diagnostic_webhooks : impl_->activity_webhooks)[url] = {secret, false};
}

void FakeRhombus::keep_removed_webhooks(bool keep) {
  const std::lock_guard lock(impl_->mutex);
  impl_->keeps_removed_webhooks = keep;
}

void FakeRhombus::add_alert(StoredAlert alert) {
  const std::lock_guard lock(impl_->mutex);
  impl_->alerts.push_back(std::move(alert));
}

void FakeRhombus::start() { impl_->start(); }
void FakeRhombus::stop() { impl_->stop(); }
std::string FakeRhombus::api_url() const { return fmt::format("https://127.0.0.1:{}", impl_->api.port); }
std::string FakeRhombus::ca_file() const { return (impl_->directory / "ca.pem").string(); }

void FakeRhombus::intercept(Intercept intercept) {
  const std::lock_guard lock(impl_->mutex);
  impl_->intercept = std::move(intercept);
}

void FakeRhombus::mangle(Mangle mangle) {
  const std::lock_guard lock(impl_->mutex);
  impl_->mangle = std::move(mangle);
}

void FakeRhombus::store_clip(const std::string& camera, const std::string& alert, std::int64_t start,
                             std::int64_t duration, const VideoProfile& video) {
  const auto loop = impl_->video_loop(video);
  const std::lock_guard lock(impl_->mutex);
  auto& clip = impl_->stored_clips[camera + "/us-west-2/" + alert];
  clip.start = start;
  clip.duration = duration;
  clip.device.video = loop;
}

void FakeRhombus::set_alert(StoredAlert alert) {
  const std::lock_guard lock(impl_->mutex);
  std::erase_if(impl_->alerts, [&](const StoredAlert& one) { return one.uuid == alert.uuid; });
  impl_->alerts.push_back(std::move(alert));
}

void FakeRhombus::record_failed_delivery(const std::string& at) {
  const std::lock_guard lock(impl_->mutex);
  impl_->failed_deliveries.push_back(at);
}

std::vector<Request> FakeRhombus::requests() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->log;
}

void FakeRhombus::settle() const { const std::lock_guard lock(impl_->mutex); }

void FakeRhombus::forget_requests() {
  const std::lock_guard lock(impl_->mutex);
  impl_->log.clear();
}

void FakeRhombus::revoke_tokens() {
  const std::lock_guard lock(impl_->mutex);
  impl_->tokens.clear();
}

std::vector<Sample> FakeRhombus::truth(const std::string& uuid, bool audio, std::int64_t start,
                                       std::int64_t duration) const {
  const Device* device = impl_->find(uuid);
  const auto& loop = audio ? device->audio : device->video;
  std::vector<Sample> all;
  for (std::int64_t offset = 0; offset < duration; offset += segment_seconds) {
    auto part = loop->samples(start + offset, std::min(segment_seconds, duration - offset));
    std::move(part.begin(), part.end(), std::back_inserter(all));
  }
  return all;
}

std::string organization_body(const std::string& alert, const std::string& camera, std::int64_t timestamp_ms,
                              std::optional<int> duration_s, const std::string& activities) {
  const std::string duration = duration_s ? fmt::format(",\"durationSec\":{}", *duration_s) : "";
  return fmt::format(
      R"({{"version":"2","activityTrigger":{},"summary":"Alert from the stand-in","deviceUuid":{},"deviceType":"CAMERA",)"
      R"("location":"LocationAAAAAAAAAAAAAA","timestampMs":{},"alertUuid":{}{},"clipLocationMap":{{{}:"us-west-2"}}}})",
      json_string(activities), json_string(camera), timestamp_ms, json_string(alert), duration, json_string(camera));
}

std::string sensor_body(const std::string& alert, const std::string& sensor, std::int64_t timestamp_ms,
                        int duration_s) {
  return fmt::format(
      R"({{"version":"2","activityTrigger":"DOOR_AJAR","summary":"Alert from the stand-in","deviceUuid":{},"deviceType":"DOOR_SENSOR",)"
      R"("location":"LocationAAAAAAAAAAAAAA","timestampMs":{},"alertUuid":{},"durationSec":{},"clipLocationMap":null}})",
      json_string(sensor), timestamp_ms, json_string(alert), duration_s);
}

std::string rule_body(const std::string& alert, const std::vector<std::string>& cameras, std::int64_t timestamp_ms) {
  const auto events = joined(cameras, [&](const std::string& camera) {
    return fmt::format(R"({{"deviceUuid":{},"timestampMs":{},"activities":["MOTION_HUMAN"]}})", json_string(camera),
                       timestamp_ms);
  });
  return fmt::format(
      R"({{"uuid":{},"orgUuid":"OrgAAAAAAAAAAAAAAAAAAA","ruleUuid":"RuleAAAAAAAAAAAAAAAAAA","triggeredTimestampMs":{},"deviceEvents":[{}],"ruleTriggers":[]}})",
      json_string(alert), timestamp_ms, events);
}

std::string hmac_hex(const std::string& body, const std::string& secret, bool sha256) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int length = 0;
  HMAC(sha256 ? EVP_sha256() : EVP_sha1(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(body.data()), body.size(), mac.data(), &length);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", mac[i]);
  return hex;
}

WebhookAnswer send_webhook(const std::string& url, const std::string& body, const std::string& secret, bool sha256) {
  const auto path_at = url.find('/', url.find("//") + 2);
  httplib::Client client(url.substr(0, path_at));
  client.enable_server_certificate_verification(false);
  client.set_connection_timeout(2);
  client.set_read_timeout(5);
  const httplib::Headers headers{
      {sha256 ? "X-Rhombus-Signature-SHA256" : "X-Rhombus-Signature-SHA1", hmac_hex(body, secret, sha256)}};
  const auto answer =
      client.Post(path_at == std::string::npos ? "/" : url.substr(path_at), headers, body, "application/json");
  return answer ? WebhookAnswer{answer->status, answer->body} : WebhookAnswer{};
}

std::string random_uuid() {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  static std::mutex mutex;
  static std::mt19937_64 random{std::random_device{}()};
  const std::lock_guard lock(mutex);
  std::string uuid;
  for (int i = 0; i < 22; ++i) uuid += alphabet[random() % alphabet.size()];
  return uuid;
}

}  // namespace fake_rhombus
