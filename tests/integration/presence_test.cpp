// Placeholder pictures, which Rhombus serves for times without footage, never count as footage.
#include <algorithm>
#include <ctime>
#include <fstream>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "clip_checks.hpp"
#include "responder_process.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;

namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Fixture {
  FakeRhombus rhombus;
  std::string camera = rhombus.add_camera({.name = "Front Door", .video = small});
  std::optional<Responder> responder;

  void begin(const std::string& capture = "buffer_seconds = 2\n") {
    rhombus.start();
    responder.emplace(rhombus, "", capture);
    responder->start();
  }
  // Rhombus's clock is so far ahead, and its lists reach as far.
  void set_clock_ahead(std::chrono::seconds ahead) {
    rhombus.mangle([ahead](const fake_rhombus::Request& request, fake_rhombus::Reply& reply) {
      if (request.server != "api") return;
      const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + ahead);
      char text[64];
      std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&now));
      reply.headers["Date"] = text;
    });
  }
  std::string sidecar(const Event& event) const {
    return content((responder->clips() / event.clip).replace_extension(".json"));
  }
  std::size_t questions() const {
    const auto all = rhombus.requests();
    return static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [](const auto& one) { return one.path.ends_with("getPresenceWindows"); }));
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "placeholders are a gap of the clip, and the footage that comes later takes their place") {
  const auto at = some_time_ago(600);
  const auto start = at / 1000;
  begin();
  rhombus.add_hole(camera, start + 4, start + 7);
  const auto alert = responder->alert(camera, at, 10);
  const auto cut = responder->wait_for(alert, [](const Event& event) { return event.state == "partial"; });
  CHECK(cut.presence == "confirmed");
  CHECK(has(cut.reason, "placeholder"));
  CHECK(cut.gaps == 1);
  CHECK(cut.placeholders == 1);
  // A segment that begins before the hole is kept up to it, one that begins in it is left out.
  CHECK(cut.first_gap == start + 4);
  CHECK(cut.first_gap_end == start + 8);
  CHECK_FALSE(cut.final);
  check_packets_are_true(*responder, rhombus, cut);
  CHECK(has(sidecar(cut), R"("reason":"placeholder")"));
  CHECK(has(sidecar(cut), R"("presence":"confirmed")"));

  rhombus.fill_holes(camera);
  const auto whole = responder->wait_for(
      alert, [](const Event& event) { return event.state == "done"; }, 240s);
  CHECK(whole.gaps == 0);
  CHECK(whole.presence == "confirmed");
  CHECK(whole.final);
  check_clip(*responder, rhombus, whole);
}

TEST_CASE_METHOD(Fixture,
                 "a young clip is published at once, and is confirmed when Rhombus's list has come that far") {
  begin();
  const auto alert = responder->alert(camera, now_ms() / 2000 * 2000, 2);
  const auto young = responder->wait_until_done(alert);
  CHECK(young.presence == "pending");
  CHECK_FALSE(young.final);
  CHECK(has(sidecar(young), R"("final":false,"presence":"pending")"));
  CHECK(has(responder->command({"status"}).out, "1 clips are still to be confirmed"));
  CHECK(questions() == 0);

  set_clock_ahead(400s);
  // The running serve learns the time from its next call.
  responder->alert(camera, some_time_ago(600), 2);
  const auto confirmed = responder->wait_for(
      alert, [](const Event& event) { return event.presence == "confirmed"; }, 40s);
  CHECK(confirmed.state == "done");
  CHECK(confirmed.final);
  CHECK(confirmed.sha256 == young.sha256);
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!has(sidecar(young), R"("final":true,"presence":"confirmed")") &&
         std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(100ms);
  CHECK(has(sidecar(young), R"("final":true,"presence":"confirmed")"));
  CHECK(responder->command({"verify"}).status == 0);
}

TEST_CASE_METHOD(Fixture, "a young clip with placeholders is made anew without them when Rhombus lists no footage") {
  begin();
  const auto at = now_ms() / 2000 * 2000;
  const auto start = at / 1000;
  rhombus.add_hole(camera, start + 2, start + 4);
  const auto alert = responder->alert(camera, at, 6);
  const auto young = responder->wait_until_done(alert);
  CHECK(young.presence == "pending");
  CHECK(young.gaps == 0);
  set_clock_ahead(400s);
  responder->alert(camera, some_time_ago(600), 2);
  const auto cut = responder->wait_for(
      alert, [](const Event& event) { return event.state == "partial" && event.presence == "confirmed"; }, 60s);
  CHECK(cut.placeholders == 1);
  CHECK(cut.first_gap == start + 2);
  CHECK(cut.first_gap_end == start + 4);
  check_packets_are_true(*responder, rhombus, cut);
}

TEST_CASE_METHOD(Fixture, "a clip of nothing but placeholders is none") {
  const auto other = rhombus.add_camera({.name = "Side Door", .video = small});
  const auto now = now_ms() / 2000 * 2000;
  begin();
  for (const auto& one : {camera, other}) rhombus.add_hole(one, now / 1000 - 2000, now / 1000 + 1000);
  const auto young = responder->alert(other, now, 2);
  const auto published = responder->wait_until_done(young);
  const auto clip = responder->clips() / published.clip;
  CHECK(std::filesystem::exists(clip));
  set_clock_ahead(1200s);  // a list that has nothing newer is believed after a quarter of an hour

  const auto old = responder->alert(camera, some_time_ago(1200), 4);
  const auto none = responder->wait_for(old, [](const Event& event) { return event.state == "failed"; });
  CHECK(has(none.reason, "placeholder"));
  CHECK(none.clip.empty());

  const auto dropped = responder->wait_for(
      young, [](const Event& event) { return event.clip.empty(); }, 60s);
  CHECK(dropped.state != "done");
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (std::filesystem::exists(clip) && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(100ms);
  CHECK_FALSE(std::filesystem::exists(clip));
}

TEST_CASE_METHOD(Fixture, "capture.confirm decides for which clips Rhombus is asked") {
  const std::string mode = GENERATE("off", "wan");
  begin("buffer_seconds = 2\nconfirm = \"" + mode + "\"\n");
  const auto alert = responder->alert(camera, some_time_ago(600), 2);
  const auto event = responder->wait_until_done(alert);
  CHECK(event.source == "lan");
  CHECK(event.presence == "off");
  CHECK(event.final);
  CHECK(questions() == 0);
}

TEST_CASE_METHOD(Fixture, "an answer without the list says nothing, and many captures of a camera ask together") {
  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (!request.path.ends_with("getPresenceWindows")) return std::nullopt;
    return fake_rhombus::Reply{200, R"({"footage":[]})", "application/json"};
  });
  begin();
  std::vector<std::string> alerts;
  for (int i = 0; i < 6; ++i) alerts.push_back(responder->alert(camera, some_time_ago(700 - 20 * i), 2));
  for (const auto& alert : alerts) CHECK(responder->wait_until_done(alert).presence == "pending");
  CHECK(questions() == 1);
}
