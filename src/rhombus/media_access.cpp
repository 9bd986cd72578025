#include "responder/rhombus/media_access.hpp"

#include <fmt/format.h>

namespace responder::rhombus {
namespace {

constexpr std::chrono::seconds token_duration{3600};
constexpr std::chrono::seconds renew_before{600};
constexpr std::chrono::minutes uris_fresh_for{10};

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

std::string_view to_string(Route route) {
  switch (route) {
    case Route::lan: return "lan";
    case Route::wan: return "wan";
    case Route::cloud: return "cloud";
  }
  return "lan";
}

MediaPath stored_clip(const net::Url& media_url, const DeviceId& camera, const std::string& region,
                      const AlertId& alert) {
  return {Route::cloud,
          fmt::format("{}/media/metadata/{}/{}/{}/clip.mpd", media_url.origin(), camera.str(), region, alert.str())};
}

Result<net::Url> MediaPath::mpd(std::chrono::sys_seconds start, std::chrono::seconds duration) const {
  std::string uri = mpd_template;
  replace_all(uri, "{START_TIME}", std::to_string(start.time_since_epoch().count()));
  replace_all(uri, "{DURATION}", std::to_string(duration.count()));
  auto url = net::Url::parse(uri);
  if (url && url->scheme != "https") {
    return Error{ErrorKind::permanent, fmt::format("{} is not https: no token goes there", url->loggable())};
  }
  return url;
}

Result<Secret> TokenCache::get(const std::optional<DeviceId>& device, std::stop_token stop) {
  const std::string key = device ? device->str() : "";
  {
    auto entries = entries_.lock();
    const auto found = entries->find(key);
    if (found != entries->end() && clock_.steady_now() < found->second.renew_at) return found->second.token;
  }
  // Asked without the lock: one device's slow answer holds nobody else up. Two askers at once cost one request too
  // many.
  auto token = api_.federated_token(token_duration, device, stop);
  if (!token) return token.error();
  (*entries_.lock())[key] = Entry{*token, clock_.steady_now() + token_duration - renew_before};
  return token;
}

void TokenCache::discard(const std::optional<DeviceId>& device, const Secret& refused) {
  auto entries = entries_.lock();
  const auto found = entries->find(device ? device->str() : "");
  if (found != entries->end() && found->second.token.reveal() == refused.reveal()) entries->erase(found);
}

Result<std::vector<MediaPath>> MediaLocator::locate(DeviceKind kind, const DeviceId& device, std::stop_token stop) {
  {
    auto entries = entries_.lock();
    const auto found = entries->find(device);
    if (found != entries->end() && clock_.steady_now() - found->second.asked_at < uris_fresh_for) {
      return found->second.paths;
    }
  }
  auto uris = api_.media_uris(kind, device, stop);
  if (!uris) return uris.error();
  std::vector<MediaPath> paths;
  for (auto& lan : uris->lan) paths.push_back({Route::lan, std::move(lan), uris->lan_checks});
  if (uris->wan) paths.push_back({Route::wan, std::move(*uris->wan)});
  // A device without a way may be offline just now: that answer is not worth remembering.
  if (!paths.empty()) (*entries_.lock())[device] = Entry{paths, clock_.steady_now()};
  return paths;
}

MediaCredentials::MediaCredentials(Route route, DeviceId device, const net::Url& mpd, ApiClient& api,
                                   TokenCache& tokens)
    : route_(route), device_(std::move(device)), origin_(mpd.origin()), api_(api), tokens_(tokens) {}

std::optional<DeviceId> MediaCredentials::token_scope() const {
  return route_ == Route::lan ? std::optional(device_) : std::nullopt;
}

Result<MediaCredentials::Grant> MediaCredentials::grant_for(const net::Url& url, std::stop_token stop) {
  if (url.origin() != origin_) return Grant{};
  if (route_ == Route::cloud) return Grant{api_auth_headers(api_.options()), {}};
  auto token = tokens_.get(token_scope(), stop);
  if (!token) return token.error();

  net::Headers headers;
  if (route_ == Route::lan) {
    headers = {{"x-auth-scheme", "federated-token"}, {"x-auth-ft", std::string(token->reveal())}};
  } else {
    headers = api_auth_headers(api_.options());
  }
  headers.emplace_back("Cookie", fmt::format("RSESSIONID=RFT:{0}; RHOMBUS_SESSIONID=RFT:{0}", token->reveal()));
  return Grant{std::move(headers), std::move(*token)};
}

bool MediaCredentials::renew(const Secret& refused) {
  if (refused.empty()) return false;
  tokens_.discard(token_scope(), refused);
  return true;
}

}  // namespace responder::rhombus
