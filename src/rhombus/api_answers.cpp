#include "api_answers.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "alert_json.hpp"
#include "own_secrets.hpp"
#include "say_once.hpp"
#include "webhook_json.hpp"

namespace responder::rhombus {
namespace {

// Every typed answer begins here: an object that says neither "error" nor "authenticationFailed".
class Answer {
 public:
  static Result<Answer> parse(const std::string& path, const std::string& text) {
    Answer answer;
    json::Element root;
    if (json::parse(*answer.parser_, text, root, &answer.repaired_) != simdjson::SUCCESS ||
        root.get(answer.object_) != simdjson::SUCCESS) {
      // Some answers hold secrets: none is quoted.
      const bool is_html = trim(text).starts_with('<');
      return Error{ErrorKind::transient,
                   fmt::format("{}: the answer ({} bytes) is not a JSON object{}", path, text.size(),
                               is_html ? " but HTML: from a proxy or a login page?" : "")};
    }
    // With status 200, and perhaps as an error as well.
    if (json::boolean(answer.object_, "authenticationFailed").value_or(false))
      return Error{ErrorKind::auth,
                   fmt::format("{}: Rhombus refuses the API key (rhombus.api_key, rhombus.api_key_file)", path)};
    if (json::boolean(answer.object_, "error").value_or(false)) {
      const auto why = json::text(answer.object_, "errorMsg").value_or("no reason given");
      return Error{ErrorKind::transient, fmt::format("{}: Rhombus says: {}", path, printable(without_secrets(why)))};
    }
    return answer;
  }

  const json::Object& object() const { return object_; }
  // Whether something had to be replaced to read it.
  bool repaired() const { return repaired_; }

 private:
  std::unique_ptr<simdjson::dom::parser> parser_ = std::make_unique<simdjson::dom::parser>();
  json::Object object_;
  bool repaired_ = false;
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

void pass_over(std::string_view path, std::string_view list, std::size_t index, std::string_view why) {
  say_once(fmt::format("{}: {}[{}] is passed over: {}", path, list, index, why));
}

// Calls `take` with each object of an array and names those of which it says false: `needed` is what they lack.
template <class Take>
void each_object(const json::Array& array, std::string_view path, std::string_view name, std::string_view needed,
                 Take take) {
  std::size_t index = 0;
  for (const auto item : array) {
    json::Object entry;
    if (item.get(entry) != simdjson::SUCCESS) {
      pass_over(path, name, index, "it is not an object");
    } else if (!take(entry)) {
      pass_over(path, name, index, fmt::format("it has no usable {}", needed));
    }
    ++index;
  }
}

// The same for the named list. Null is an empty list: an organization may have none of a kind of device.
template <class Take>
Result<void> each_in_list(const Answer& answer, std::string_view path, std::string_view name, std::string_view needed,
                          Take take) {
  json::Element found;
  json::Array list;
  if (answer.object().at_key(name).get(found) != simdjson::SUCCESS) return lacks(path, name);
  if (found.is_null()) return {};
  if (found.get(list) != simdjson::SUCCESS) return lacks(path, fmt::format("a list {}", name));
  each_object(list, path, name, needed, take);
  return {};
}

bool has_key(const Answer& answer, std::string_view name) {
  json::Element found;
  return answer.object().at_key(name).get(found) == simdjson::SUCCESS;
}

// The texts of a list that may be absent; `is_usable` says which are.
template <class IsUsable>
std::vector<std::string> texts(const json::Object& object, std::string_view path, std::string_view name,
                               IsUsable is_usable) {
  std::vector<std::string> found;
  const auto list = json::array(object, name);
  if (!list) return found;
  std::size_t index = 0;
  for (const auto item : *list) {
    std::string_view text;
    if (item.get(text) == simdjson::SUCCESS && is_usable(text)) {
      found.emplace_back(text);
    } else {
      pass_over(path, name, index, "it is no text, or not one of that kind");
    }
    ++index;
  }
  return found;
}

LocationId location_of(const json::Object& state) {
  auto id = json::text(state, "locationUuid").value_or("");
  return LocationId(is_safe_id(id) ? std::move(id) : std::string());
}

// A whole number of seconds within what can be meant, rounded by `round`; nullopt where there is none.
std::optional<std::chrono::seconds> seconds_of(const json::Object& object, std::string_view name, std::int64_t most,
                                               double (*round)(double)) {
  const auto value = json::number(object, name);
  if (!value || !*value || **value < 0 || **value > static_cast<double>(most)) return std::nullopt;
  return std::chrono::seconds(static_cast<std::int64_t>(round(**value)));
}

double down(double value) { return std::floor(value); }
double up(double value) { return std::ceil(value); }

// "v0" of "v0" and of "UUID.v0".
std::string_view facet_of(std::string_view text) { return text.substr(text.rfind('.') + 1); }

// `supportedFacets` says which there are, `facetNameMap` how some are called; either may be missing.
std::vector<Facet> read_facets(const json::Object& state, std::string_view path) {
  std::vector<Facet> facets;
  const auto add = [&](std::string_view id, std::string_view name) {
    const auto known = std::find_if(facets.begin(), facets.end(), [&](const Facet& one) { return one.id == id; });
    if (!is_safe_id(id)) return;
    if (known == facets.end()) {
      facets.push_back({std::string(id), std::string(name)});
    } else if (!name.empty()) {
      known->name = name;
    }
  };
  for (const auto& id : texts(state, path, "supportedFacets", is_safe_id)) add(facet_of(id), "");
  if (const auto names = json::object(state, "facetNameMap")) {
    for (const auto [id, value] : *names) {
      std::string_view name;
      if (value.get(name) == simdjson::SUCCESS) add(facet_of(id), name);
    }
  }
  return facets;
}

// A list, or one alone.
std::vector<std::string> read_addresses(const json::Object& state, std::string_view path) {
  if (auto one = json::text(state, "lanAddresses"); one && !one->empty()) return {std::move(*one)};
  return texts(state, path, "lanAddresses", [](std::string_view address) { return !address.empty(); });
}

std::vector<DeviceId> read_cameras_of(const json::Object& device, std::string_view path) {
  std::vector<DeviceId> cameras;
  for (auto& camera : texts(device, path, "associatedCameras", is_safe_id)) cameras.emplace_back(std::move(camera));
  return cameras;
}

}  // namespace

Result<std::vector<Camera>> read_cameras(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  std::vector<Camera> cameras;
  const auto read = each_in_list(*answer, path, "cameraStates", "uuid", [&](const json::Object& state) {
    const auto id = device_id(state);
    if (!id) return false;
    cameras.push_back({*id, json::text(state, "name").value_or(""), location_of(state), is_online(state),
                       read_facets(state, path), read_addresses(state, path)});
    return true;
  });
  if (!read) return read.error();
  drop_repeated(cameras);
  return cameras;
}

Result<std::vector<AudioGateway>> read_audio_gateways(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  std::vector<AudioGateway> gateways;
  // An organization without any may not have the list at all.
  if (!has_key(*answer, "audioGatewayStates")) return gateways;
  const auto read = each_in_list(*answer, path, "audioGatewayStates", "uuid", [&](const json::Object& state) {
    const auto id = device_id(state);
    if (!id) return false;
    AudioGateway gateway{*id, json::text(state, "name").value_or(""), {}, is_online(state)};
    gateway.cameras = read_cameras_of(state, path);
    gateways.push_back(std::move(gateway));
    return true;
  });
  if (!read) return read.error();
  drop_repeated(gateways);
  return gateways;
}

namespace {

// False: it has no usable id. Those in it are added all the same.
bool add_location(const json::Object& described, std::string_view path, int depth, std::vector<Location>& locations) {
  constexpr int deepest = 8;
  const auto id = json::text(described, "uuid");
  const bool is_usable = id && is_safe_id(*id);
  if (is_usable) locations.push_back({LocationId(*id), json::text(described, "name").value_or("")});
  const auto inner = json::array(described, "subLocations");
  if (inner && depth < deepest)
    each_object(*inner, path, "subLocations", "uuid",
                [&](const json::Object& one) { return add_location(one, path, depth + 1, locations); });
  return is_usable;
}

}  // namespace

Result<std::vector<Location>> read_locations(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  std::vector<Location> locations;
  const auto read = each_in_list(*answer, path, "locations", "uuid", [&](const json::Object& described) {
    return add_location(described, path, 0, locations);
  });
  if (!read) return read.error();
  drop_repeated(locations);
  return locations;
}

Result<DoorPage> read_doors(const std::string& path, const std::string& text, Door::Kind kind) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  const bool is_sensor = kind == Door::Kind::sensor;
  const auto* list = is_sensor ? "doorStates" : "accessControlledDoors";
  DoorPage page;
  if (const auto key = json::field(answer->object(), "lastEvaluatedKey")) {
    std::string_view next;
    page.has_usable_key = key->get(next) == simdjson::SUCCESS;
    page.next_key = next;
  }
  // An organization without any may not have the list at all.
  if (!has_key(*answer, list)) return page;
  const auto read = each_in_list(*answer, path, list, "uuid", [&](const json::Object& described) {
    auto id = json::text(described, is_sensor ? "sensorUuid" : "uuid");
    if (!id) id = json::text(described, is_sensor ? "uuid" : "componentUuid");
    if (!id || !is_safe_id(*id)) return false;
    page.doors.push_back({kind, DeviceId(*id), json::text(described, "name").value_or(""), location_of(described),
                          read_cameras_of(described, path)});
    return true;
  });
  if (!read) return read.error();
  return page;
}

Result<MediaUris> read_media_uris(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();

  MediaUris uris;
  const auto is_some = [](std::string_view uri) { return !uri.empty(); };
  uris.lan = texts(answer->object(), path, "lanVodMpdUrisTemplates", is_some);
  uris.lan_checks = texts(answer->object(), path, "lanCheckUrls", is_some);
  uris.wan = json::text(answer->object(), "wanVodMpdUriTemplate");
  if (uris.wan && uris.wan->empty()) uris.wan.reset();
  return uris;
}

Result<std::optional<std::vector<Presence>>> read_presence(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  const auto by_kind = json::object(answer->object(), "presenceWindows");
  if (!by_kind) return std::optional<std::vector<Presence>>{};
  std::vector<Presence> held;
  // What cannot be read might be footage: such an answer says nothing.
  bool tells = false, is_readable = true;
  for (const auto [kind, list] : *by_kind) {
    if (kind != "VideoCloud" && kind != "VideoLocal") continue;  // no video
    json::Array windows;
    tells = true;
    if (list.get(windows) != simdjson::SUCCESS) {
      is_readable = false;
      continue;
    }
    const auto before = held.size();
    each_object(windows, path, "presenceWindows", "startSeconds and durationSeconds",
                [&](const json::Object& window) {
                  constexpr std::int64_t end_of_time = 100'000'000'000;
                  // Inward, where there are fractions: footage is not said to be there that may not be.
                  const auto from = seconds_of(window, "startSeconds", end_of_time, up);
                  const auto length = seconds_of(window, "durationSeconds", end_of_time, down);
                  if (!from || !length) return false;
                  const std::chrono::sys_seconds begin{*from};
                  held.push_back({begin, begin + *length});
                  return true;
                });
    if (held.size() - before != windows.size()) is_readable = false;
  }
  if (!tells || !is_readable) return std::optional<std::vector<Presence>>{};
  return std::optional(std::move(held));
}

Result<AlertDetails> read_alert_details(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  const auto described = json::object(answer->object(), "policyAlert");
  if (!described) return lacks(path, "policyAlert");
  AlertDetails details;
  constexpr std::int64_t longest = 86'400;
  details.duration = seconds_of(*described, "durationSec", longest, up);
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

Result<AlertPage> read_alerts(const std::string& path, const std::string& text, WallTime now) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  auto page = read_alert_page(answer->object(), now);
  if (!page) return with_context(page.error(), path);
  return page;
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

Result<WebhookSettings> read_webhook_settings(const std::string& path, const std::string& text) {
  const auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  auto settings = read_webhook_settings(answer->object());
  if (!settings) return with_context(settings.error(), path);
  settings->is_exact = !answer->repaired();
  return settings;
}

// It becomes a line of a file, and the key of a signature.
bool is_usable_secret(std::string_view secret) {
  constexpr std::size_t longest = 256;
  return !secret.empty() && secret.size() <= longest &&
         std::all_of(secret.begin(), secret.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

Error unusable_secret(const std::string& path) {
  return Error{ErrorKind::permanent, path +
                                         ": Rhombus's webhookSecret is not 1 to 256 visible ASCII characters: it is "
                                         "not stored; run webhook register again"};
}

Result<std::optional<Secret>> read_registration(const std::string& path, const std::string& text) {
  const auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  // Null or empty: the settings tell it.
  const auto told = json::field(answer->object(), "webhookSecret");
  std::string_view secret;
  if (!told || (told->get(secret) == simdjson::SUCCESS && secret.empty())) return std::optional<Secret>();
  if (!is_usable_secret(secret)) return unusable_secret(path);
  return std::optional(Secret(std::string(secret)));
}

Result<void> read_failures(const std::string& path, const std::string& text, std::string_view list,
                           FailedDeliveries& failed) {
  const auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  if (!json::array(answer->object(), list)) return {};
  return each_in_list(*answer, path, list, "activity", [&](const json::Object& event) {
    if (json::text(event, "activity") != "EXTERNAL_WEBHOOK_FAILURE" && json::text(event, "integration") != "WEBHOOKS")
      return true;
    ++failed.count;
    auto at = json::text(event, "timestamp");
    if (at && (!failed.last || *at > *failed.last)) failed.last = printable(without_secrets(*at), 40);
    return true;
  });
}

}  // namespace responder::rhombus
