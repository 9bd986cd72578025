// What Rhombus's API answers: each text is read as each of the answers.
#include "api_answers.hpp"

#include <simdjson.h>

#include "fuzz.hpp"

using namespace responder;
using namespace responder::rhombus;
using fuzz::require;

namespace {

const std::string path = "/api/x/y";

template <class Read>
void check(const Result<Read>& result) {
  if (!result) fuzz::require_one_line(result.error().message);
}

void check_devices(const std::string& text) {
  const auto cameras = read_cameras(path, text);
  check(cameras);
  if (cameras) {
    for (const auto& camera : *cameras) require(is_safe_id(camera.id.str()), "a camera's id is safe");
  }
  const auto gateways = read_audio_gateways(path, text);
  check(gateways);
  if (gateways) {
    for (const auto& gateway : *gateways) {
      require(is_safe_id(gateway.id.str()), "a gateway's id is safe");
      for (const auto& camera : gateway.cameras) require(is_safe_id(camera.str()), "a camera's id is safe");
    }
  }
  const auto uris = read_media_uris(path, text);
  check(uris);
  if (uris) require(!uris->wan || !uris->wan->empty(), "no URI is none");

  const auto presence = read_presence(path, text);
  check(presence);
  if (presence && *presence) {
    for (const auto& held : **presence) require(held.start <= held.end, "what begins ends later");
  }
}

void check_alerts(const std::string& text) {
  const auto details = read_alert_details(path, text);
  check(details);
  if (details) {
    require(!details->duration || *details->duration <= std::chrono::hours(24), "an alert has a bounded length");
    for (const auto& [camera, region] : details->clip_regions)
      require(is_safe_id(camera.str()) && is_safe_id(region), "a stored clip's place is safe");
  }
  const auto page = read_alerts(path, text, WallTime(std::chrono::seconds(1'700'000'000)));
  check(page);
  if (page) {
    for (const auto& why : page->unusable) fuzz::require_one_line(why);
    for (const auto& listed : page->alerts) require(is_safe_id(listed.alert.id.str()), "an alert's id is safe");
    for (const auto& cursor : page->told) require(is_safe_id(cursor.id.str()), "a cursor's id is safe");
  }
}

void check_secrets_and_settings(const std::string& text) {
  const auto settings = read_webhook_settings(path, text);
  check(settings);
  if (settings) {
    const auto again = registration_body(*settings, "https://a.example/x", false);
    simdjson::dom::parser parser;
    simdjson::dom::object sent_back;
    require(parser.parse(again)["updatedWebhookSettings"].get(sent_back) == simdjson::SUCCESS,
            "settings are sent back as JSON");
  }
  const auto secret = read_registration(path, text);
  check(secret);
  if (secret && *secret) {
    require(!(*secret)->empty() && (*secret)->reveal().size() <= 256, "a secret has a bounded length");
    for (const char c : (*secret)->reveal()) require(c > 0x20 && c < 0x7F, "a secret is visible ASCII");
  }
  FailedDeliveries failed;
  check(read_failures(path, text, "diagnosticEvents", failed));
  check(read_failures(path, text, "integrationDiagnosticEvents", failed));
  if (failed.last) fuzz::require_one_line(*failed.last);
  const auto token = read_token(path, text);
  check(token);
  if (token) {
    require(!token->empty(), "no token is none");
    for (const char c : token->reveal()) require(c > 0x20 && c < 0x7F && c != ';', "a token fits into a cookie");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(fuzz::as_text(data, size));
  check_devices(text);
  check_alerts(text);
  check_secrets_and_settings(text);
  return 0;
}
