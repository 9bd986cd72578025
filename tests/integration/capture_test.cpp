#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <fstream>

#include <catch2/catch.hpp>

#include "clip_checks.hpp"

using namespace responder::test;
using fake_rhombus::FakeRhombus;
using fake_rhombus::MpdForm;
using fake_rhombus::Reply;
using fake_rhombus::Request;
using fake_rhombus::VideoProfile;

namespace {

bool never_sent_to(const FakeRhombus& rhombus, const std::string& device, const std::string& secret) {
  const auto requests = rhombus.requests();
  return std::none_of(requests.begin(), requests.end(), [&](const Request& request) {
    if (request.server != device) return false;
    return request.query.find(secret) != std::string::npos ||
           std::any_of(request.headers.begin(), request.headers.end(),
                       [&](const auto& header) { return header.second.find(secret) != std::string::npos; });
  });
}

}  // namespace

TEST_CASE("a signed webhook becomes a clip from the LAN, every packet untouched") {
  FakeRhombus rhombus;
  const auto form = GENERATE(MpdForm::adaptation_set, MpdForm::representation, MpdForm::period, MpdForm::timeline,
                             MpdForm::prefixed);
  const auto camera = rhombus.add_camera(
      {.name = "Front Door #1", .video = small, .absolute_times = form == MpdForm::timeline, .form = form});
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  const auto alert = responder.alert(camera, now_ms() - 60'000, 5);
  const auto event = responder.wait_until_done(alert);
  CHECK(event.source == "lan");
  CHECK(event.camera_name == "Front Door #1");
  CHECK(event.clip.starts_with("FrontDoor1_" + camera + "_"));
  CHECK(event.clip.find("_alert_MOTIONHUMAN_") != std::string::npos);
  CHECK(event.clip.ends_with("_video.mp4"));
  CHECK(event.gaps == 0);
  check_clip(responder, rhombus, event);
  CHECK(never_sent_to(rhombus, camera, rhombus.api_key()));

  // The sidecar knows the same.
  const auto sidecar = event.clip.substr(0, event.clip.size() - 4) + ".json";
  std::ifstream file(responder.clips() / sidecar);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  CHECK(text.find(event.sha256) != std::string::npos);
  CHECK(text.find("\"state\":\"done\"") != std::string::npos);
  responder.wait_for_picture(event.alert);
  CHECK(responder.stop(SIGTERM) == 0);
  CHECK(std::filesystem::is_empty(responder.folder() / "state/spool/ready"));
}

TEST_CASE("the first capture of a camera is found by the camera's name while it runs") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Lobby", .video = small, .lan = false});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 120\n");
  responder.start();
  const auto alert = responder.alert(camera, now_ms(), 2);  // it is recorded for two minutes more
  const auto event = responder.wait_for(alert, [](const Event& e) { return e.camera_name == "Lobby"; });
  CHECK((event.state == "capturing" || event.state == "waiting"));
  CHECK(responder.command({"events", "--camera", "lobby"}).out.find(alert) != std::string::npos);
}

TEST_CASE("over the WAN, with the sound of an audio gateway") {
  FakeRhombus rhombus;
  const bool absolute = GENERATE(false, true);
  const auto camera = rhombus.add_camera({.name = "Dock",
                                          .video = {.width = 64, .height = 64, .frames_per_second = 5, .b_frames = 2},
                                          .lan = false,
                                          .absolute_times = absolute});
  const auto gateway = rhombus.add_gateway({.name = "Ears", .cameras = {camera}, .absolute_times = !absolute});
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  const auto event = responder.wait_until_done(responder.alert(camera, now_ms() - 60'500, 20));
  CHECK(event.source == "wan");
  CHECK(event.clip.ends_with("_combined.mp4"));
  check_clip(responder, rhombus, event, gateway);
  CHECK(never_sent_to(rhombus, gateway, rhombus.api_key()));
}

TEST_CASE("with the camera's own sound") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera(
      {.name = "Lobby", .video = small, .own_sound = true, .absolute_times = GENERATE(false, true)});
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  const auto event = responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 10));
  CHECK(event.clip.ends_with("_combined.mp4"));
  check_clip(responder, rhombus, event, camera);
}

TEST_CASE("a rule action captures each of its cameras") {
  FakeRhombus rhombus;
  const auto one = rhombus.add_camera({.name = "One", .video = small});
  const auto two = rhombus.add_camera({.name = "Two", .video = small});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 2\ndefault_duration_seconds = 3\n");
  responder.start();
  const auto answer = fake_rhombus::send_webhook(
      responder.url(), fake_rhombus::rule_body("rule-1", {one, two}, now_ms() - 60'000), responder.secret(), true);
  REQUIRE(answer.status == 200);
  std::vector<Event> events;
  const auto deadline = now_ms() + 20'000;
  do events = responder.events();
  while (now_ms() < deadline &&
         !std::all_of(events.begin(), events.end(), [](const Event& event) { return event.state == "done"; }));
  REQUIRE(events.size() == 2);
  for (const auto& event : events) {
    REQUIRE(event.state == "done");
    check_clip(responder, rhombus, event);
  }
}

TEST_CASE("a window that is still open is followed as it is recorded") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Live", .video = small, .clamp_to_now = GENERATE(false, true)});
  const auto gateway = rhombus.add_gateway({.name = "Ears", .cameras = {camera}});
  rhombus.start();
  Responder responder(rhombus, "", "buffer_seconds = 4\n");
  responder.start();
  const auto sent_at = now_ms();
  const auto alert = responder.alert(camera, sent_at, 1);
  const auto event = responder.wait_until_done(alert);
  const auto done_at = now_ms();
  check_clip(responder, rhombus, event, gateway);
  CHECK(done_at - event.window_end * 1000 < 3000);  // the recording lag, the clip, and looking for it

  const auto requests = rhombus.requests();
  const auto first = std::find_if(requests.begin(), requests.end(),
                                  [&](const Request& request) { return request.server == camera; });
  REQUIRE(first != requests.end());
  CHECK(first->at_ms - sent_at < 2000);  // the pre-roll is asked for at once
}

TEST_CASE("LAN that does not answer gives way to the WAN") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  rhombus.start();
  rhombus.intercept([camera](const Request& request) -> std::optional<Reply> {
    if (request.server == camera) return Reply{503, "busy", "text/plain"};
    return std::nullopt;
  });
  Responder responder(rhombus);
  responder.start();
  const auto event = responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 5));
  CHECK(event.source == "wan");
  check_clip(responder, rhombus, event);
}

TEST_CASE("a token that is refused in mid-session is renewed once") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .wan = false});
  rhombus.start();
  std::atomic<bool> revoked{false};
  rhombus.intercept([&](const Request& request) -> std::optional<Reply> {
    if (request.path.ends_with("seg_2.m4v") && !revoked.exchange(true)) rhombus.revoke_tokens();
    return std::nullopt;
  });
  Responder responder(rhombus);
  responder.start();
  const auto event = responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 10));
  CHECK(event.attempts == 1);
  check_clip(responder, rhombus, event);
}

TEST_CASE("holes are said, error pages are not media") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .wan = false});
  rhombus.start();
  const auto [status, body] =
      GENERATE(std::pair<int, std::string>{404, "gone"},
               std::pair<int, std::string>{200, "<html>an error page</html>"}, std::pair<int, std::string>{200, ""});
  rhombus.intercept([status = status, body = body](const Request& request) -> std::optional<Reply> {
    if (request.path.ends_with("seg_2.m4v")) return Reply{status, body, "text/html"};
    return std::nullopt;
  });
  Responder responder(rhombus, "", "buffer_seconds = 2\nretry_for_seconds = 0\n");
  responder.start();
  const auto event = responder.wait_for(responder.alert(camera, now_ms() - 60'000, 10),
                                        [](const Event& e) { return e.state == "partial"; });
  CHECK(event.gaps == 1);
  CHECK_FALSE(event.reason.empty());
  const auto clip = read_clip(responder.clips() / event.clip);
  const auto truth = rhombus.truth(camera, false, event.window_start, event.window_end - event.window_start);
  REQUIRE(clip.streams.at(0).size() == truth.size() - 10);
  CHECK(std::abs(clip.streams[0][20].presentation - 6.0) < 0.01);  // the hole keeps its time
}

TEST_CASE("what is wrong at Rhombus is the capture's reason, and the next alert is taken") {
  FakeRhombus rhombus;
  const auto good = rhombus.add_camera({.name = "Good", .video = small, .wan = false});
  struct Case {
    std::string path;
    Reply reply;
    std::string state;
    std::string reason;
  };
  const Case cases[] = {
      {"getMediaUris", {200, "<html>busy</html>"}, "waiting", "not a JSON object"},
      {"getMediaUris", {200, R"({"error":true,"errorMsg":"camera unknown"})"}, "waiting", "camera unknown"},
      {"getMediaUris",
       {200, R"({"lanVodMpdUrisTemplates":null,"wanVodMpdUriTemplate":null})"},
       "waiting",
       "no way to its footage"},
      {"getMediaUris", {500, "oops"}, "waiting", "HTTP 500"},
      {"clip.mpd", {200, "not xml"}, "waiting", "not XML"},
      {"clip.mpd", {200, "<!DOCTYPE MPD [<!ENTITY x \"y\">]><MPD/>"}, "failed", "document type"},
      {"clip.mpd", {200, "<MPD mediaPresentationDuration=\"PT10S\"><Period/></MPD>"}, "failed", "no video"},
      {"clip.mpd", {404, "none"}, "waiting", "HTTP 404"},
      {"clip.mpd", {401, "no"}, "waiting", "HTTP 401"},
      {"seg_init.mp4", {200, "<html/>"}, "waiting", "page of text"},
      {"seg_init.mp4", {200, ""}, "waiting", "empty"},
  };
  std::vector<std::string> cameras;
  for (const auto& one : cases)
    cameras.push_back(rhombus.add_camera({.name = "Bad " + one.reason, .video = small, .wan = false}));
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    const auto& one = cases[i];
    const auto& bad = cameras[i];
    CAPTURE(one.path, one.reason);
    rhombus.intercept([one, bad](const Request& request) -> std::optional<Reply> {
      const bool about_bad = request.server == bad || request.body.find(bad) != std::string::npos;
      return about_bad && request.path.ends_with(one.path) ? std::optional(one.reply) : std::nullopt;
    });
    const auto event = responder.wait_for(responder.alert(bad, now_ms() - 60'000, 2),
                                          [&](const Event& e) { return e.state == one.state && !e.reason.empty(); });
    CHECK(event.reason.find(one.reason) != std::string::npos);
    CHECK(event.clip.empty());
  }
  const auto event = responder.wait_until_done(responder.alert(good, now_ms() - 60'000, 2));
  check_clip(responder, rhombus, event);

  // And once it is right again, what waits is done.
  rhombus.intercept(nullptr);
  for (const auto& waiting : responder.events()) {
    if (waiting.state == "waiting") check_clip(responder, rhombus, responder.wait_until_done(waiting.alert));
  }
  CHECK(responder.log().find(rhombus.api_key()) == std::string::npos);
  CHECK(responder.log().find(responder.secret()) == std::string::npos);
}

TEST_CASE("what was taken is published when the camera never comes back") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Stolen", .video = small, .wan = false});
  rhombus.start();
  std::atomic<bool> gone{false};
  rhombus.intercept([&gone, camera](const Request& request) -> std::optional<Reply> {
    if (request.path.ends_with("seg_5.m4v")) gone = true;
    return gone && request.server == camera ? std::optional(Reply{503, "gone", "text/plain"}) : std::nullopt;
  });
  Responder responder(rhombus, "", "buffer_seconds = 0\nretry_for_seconds = 0\nsegment_connections = 1\n");
  responder.start();
  const auto event = responder.wait_for(responder.alert(camera, now_ms() / 1000 * 1000 - 60'000, 20),
                                        [](const Event& e) { return e.state == "partial"; });
  CHECK(event.gaps == 1);
  CHECK(read_clip(responder.clips() / event.clip).streams.at(0).size() == 50);  // the five segments before
}

TEST_CASE("sound that cannot be had does not keep the picture") {
  FakeRhombus rhombus;
  const bool own = GENERATE(true, false);
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .own_sound = own});
  if (!own) rhombus.add_gateway({.name = "Ears", .cameras = {camera}});
  rhombus.start();
  rhombus.intercept([](const Request& request) -> std::optional<Reply> {
    const bool sound = request.path.ends_with("seg_init_sound.mp4") || request.path.ends_with("seg_init_audio.hdr");
    return sound ? std::optional(Reply{404, "none", "text/plain"}) : std::nullopt;
  });
  Responder responder(rhombus);
  responder.start();
  const auto event = responder.wait_for(responder.alert(camera, now_ms() - 60'000, 10),
                                        [](const Event& e) { return e.state == "partial"; });
  CHECK(event.clip.ends_with("_video.mp4"));
  CHECK(event.reason.find("sound") != std::string::npos);
  check_clip(responder, rhombus, event);
}

TEST_CASE("an organization without a list of gateways has pictures all the same") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  rhombus.start();
  const auto reply = GENERATE(Reply{403, "no"}, Reply{200, R"({"audioGatewayStates":null})"});
  rhombus.intercept([reply](const Request& request) -> std::optional<Reply> {
    return request.path.ends_with("getMinimalAudioGatewayStateList") ? std::optional(reply) : std::nullopt;
  });
  Responder responder(rhombus);
  responder.start();
  check_clip(responder, rhombus, responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 5)));
}

TEST_CASE("a list of gateways that fails at first does not make a clip without its sound done") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small});
  const auto gateway = rhombus.add_gateway({.name = "Ears", .cameras = {camera}});
  rhombus.start();
  std::atomic<int> failures{0};
  rhombus.intercept([&](const Request& request) -> std::optional<Reply> {
    if (!request.path.ends_with("getMinimalAudioGatewayStateList") || failures >= 1) return std::nullopt;
    ++failures;
    return Reply{500, "oops"};
  });
  Responder responder(rhombus);
  responder.start();
  const auto event = responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 5));
  CHECK(failures == 1);
  check_clip(responder, rhombus, event, gateway);
}

TEST_CASE("a device that shows another key is refused") {
  FakeRhombus rhombus;
  const auto camera = rhombus.add_camera({.name = "Cam", .video = small, .wan = false});
  rhombus.start();
  Responder responder(rhombus);
  responder.start();
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 2));
  responder.stop(SIGTERM);
  rhombus.stop();

  // The same device with a new certificate, at the same API's address.
  FakeRhombus other({.api_key = rhombus.api_key(), .directory = responder.folder() / "other"});
  other.add_camera({.name = "Cam", .uuid = camera, .video = small, .wan = false});
  other.start();
  std::ifstream in(responder.config());
  std::string config((std::istreambuf_iterator<char>(in)), {});
  const auto replace_line = [&](const std::string& key, const std::string& value) {
    const auto at = config.find(key + " = ");
    config.replace(at, config.find('\n', at) - at, key + " = \"" + value + "\"");
  };
  replace_line("api_url", other.api_url());
  replace_line("ca_file", other.ca_file());
  std::ofstream(responder.config()) << config;
  responder.start();
  const auto alert = responder.alert(camera, now_ms() - 600'000, 2);
  const auto event =
      responder.wait_for(alert, [](const Event& e) { return e.state == "waiting" && !e.reason.empty(); });
  CHECK(event.reason.find("another TLS key") != std::string::npos);
  CHECK(event.reason.find("rhombus-responder pins forget " + camera) != std::string::npos);
  // And it is said wherever somebody looks, until the new key is accepted.
  const auto names_it = [&](const std::vector<std::string>& command) {
    const auto said = responder.command(command).out;
    CAPTURE(said);
    return said.find("another TLS key") != std::string::npos &&
           said.find("rhombus-responder pins forget " + camera) != std::string::npos;
  };
  CHECK(names_it({"check"}));
  CHECK(names_it({"status"}));
  CHECK(names_it({"pins"}));
  CHECK(responder.command({"status", "--json"}).out.find(R"("refused_devices":[{"device":")" + camera) !=
        std::string::npos);
  // Refused in the handshake: no token has left. Whether the device is there was asked before, without one.
  const auto requests = other.requests();
  CHECK(std::none_of(requests.begin(), requests.end(), [&](const Request& request) {
    const auto& headers = request.headers;
    return request.server == camera && (request.path != "/check" || headers.contains("x-auth-ft") ||
                                        headers.contains("x-auth-apikey") || headers.contains("cookie"));
  }));
}
