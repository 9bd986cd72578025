#include "api_answers.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "alert_json.hpp"
#include "webhook_json.hpp"

namespace responder::rhombus {
namespace {

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

Result<AlertPage> read_alerts(const std::string& path, const std::string& text) {
  auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  return read_alert_page(answer->object());
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
  return read_webhook_settings(answer->object());
}

Result<std::optional<Secret>> read_registration(const std::string& path, const std::string& text) {
  const auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  auto secret = json::text(answer->object(), "webhookSecret");
  if (!secret || secret->empty()) return std::optional<Secret>();
  // It becomes a line of a file.
  const auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  if (std::any_of(secret->begin(), secret->end(), is_blank)) return lacks(path, "a usable webhookSecret");
  return std::optional(Secret(std::move(*secret)));
}

Result<void> read_failures(const std::string& path, const std::string& text, std::string_view list,
                           FailedDeliveries& failed) {
  const auto answer = Answer::parse(path, text);
  if (!answer) return answer.error();
  if (!json::array(answer->object(), list)) return {};
  return each_in_list(*answer, path, list, [&](const json::Object& event) {
    if (json::text(event, "activity") != "EXTERNAL_WEBHOOK_FAILURE" && json::text(event, "integration") != "WEBHOOKS")
      return;
    ++failed.count;
    auto at = json::text(event, "timestamp");
    if (at && (!failed.last || *at > *failed.last)) failed.last = printable(*at, 40);
  });
}

}  // namespace responder::rhombus
