// What Rhombus's answers say, apart from the asking: text in, values out. `path` is the call's, for the Errors. An
// entry of a list that is odd costs itself only: it is passed over and named in the log, once.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "responder/rhombus/api_client.hpp"

namespace responder::rhombus {

// An id that is listed twice is one device or place: its first entry counts. Otherwise its name would fit two.
template <class Item>
void drop_repeated(std::vector<Item>& items) {
  std::set<std::string> seen;
  std::vector<Item> kept;
  for (auto& item : items) {
    if (seen.insert(item.id.str()).second) kept.push_back(std::move(item));
  }
  items = std::move(kept);
}

Result<std::vector<Camera>> read_cameras(const std::string& path, const std::string& text);
Result<std::vector<AudioGateway>> read_audio_gateways(const std::string& path, const std::string& text);
// With those that lie in others.
Result<std::vector<Location>> read_locations(const std::string& path, const std::string& text);
struct DoorPage {
  std::vector<Door> doors;
  std::string next_key;        // what the next page is asked for with; empty: there is none
  bool has_usable_key = true;  // false: there is one, but it is no text
};
Result<DoorPage> read_doors(const std::string& path, const std::string& text, Door::Kind kind);
Result<MediaUris> read_media_uris(const std::string& path, const std::string& text);
Result<std::optional<std::vector<Presence>>> read_presence(const std::string& path, const std::string& text);
Result<AlertDetails> read_alert_details(const std::string& path, const std::string& text);
// `now` is for alerts that tell no time (read_alert_page).
Result<AlertPage> read_alerts(const std::string& path, const std::string& text, WallTime now);
Result<WebhookSettings> read_webhook_settings(const std::string& path, const std::string& text);
// Adds what the named list of diagnostics says.
Result<void> read_failures(const std::string& path, const std::string& text, std::string_view list,
                           FailedDeliveries& failed);
// Whether it is 1 to 256 visible ASCII characters.
bool is_usable_secret(std::string_view secret);
Error unusable_secret(const std::string& path);
// The secret, where the answer tells it; an Error where it is not usable.
Result<std::optional<Secret>> read_registration(const std::string& path, const std::string& text);
Result<Secret> read_token(const std::string& path, const std::string& text);

}  // namespace responder::rhombus
