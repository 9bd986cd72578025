#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "responder/base/file.hpp"

#include "responder_process.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using responder::UniqueFd;

namespace {

const std::string url = "https://door.example.com/webhook/rhombus";
const std::string update_path = "/api/integrations/webhooks/updateWebhookIntegrationV2";
const std::string show_path = "/api/integrations/webhooks/getWebhookIntegration";

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct Fixture {
  FakeRhombus rhombus;
  std::string camera =
      rhombus.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  std::unique_ptr<Responder> responder;

  Fixture() {
    rhombus.start();
    responder = std::make_unique<Responder>(rhombus);
  }

  std::filesystem::path store() const { return responder->folder() / "state/webhook-secrets"; }
  CommandResult webhook(std::vector<std::string> words, const std::map<std::string, std::string>& environment = {}) {
    words.insert(words.begin(), "webhook");
    return responder->command(words, environment);
  }
  int send(const std::string& secret, const std::string& alert) const {
    const auto body = fake_rhombus::organization_body(alert, camera, now_ms() - 60'000, 2);
    return fake_rhombus::send_webhook(responder->url(), body, secret, false).status;
  }
  void answer(const std::string& path, const std::string& body) {
    rhombus.intercept([=](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
      if (request.path != path) return std::nullopt;
      return fake_rhombus::Reply{200, body, "application/json"};
    });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture,
                 "a registered webhook's secret is stored for its owner only, and a running serve takes it") {
  responder->start();
  const auto registered = webhook({"register", "--url", url});
  CAPTURE(registered.out, registered.err);
  REQUIRE(registered.status == 0);
  REQUIRE(lines_of(store()).size() == 1);
  const auto secret = lines_of(store()).at(0);
  CHECK_FALSE(has(registered.out + registered.err, secret));
  struct stat info {};
  REQUIRE(::stat(store().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);

  const auto deadline = now_ms() + 5000;
  int n = 0;
  while (send(secret, fmt::format("A{}", ++n)) != 200 && now_ms() < deadline) std::this_thread::sleep_for(50ms);
  CHECK(send(secret, "B") == 200);
  CHECK(send(responder->secret(), "C") == 200);
  CHECK_FALSE(has(responder->log(), secret));
  // The same again changes nothing.
  CHECK(webhook({"register", "--url", url}).status == 0);
  CHECK(lines_of(store()).size() == 1);
}

TEST_CASE_METHOD(Fixture, "registering leaves the other webhooks as they are, and sends the settings back") {
  REQUIRE(webhook({"register", "--url", url}).status == 0);
  REQUIRE(webhook({"register", "--url", url, "--diagnostic"}).status == 0);
  REQUIRE(webhook({"register", "--url", "https://other.example.com/elsewhere?key=hidden"}).status == 0);
  CHECK(lines_of(store()).size() == 3);
  std::string last;
  for (const auto& request : rhombus.requests()) {
    if (request.path == update_path) last = request.body;
  }
  CHECK(has(last, R"("updatedWebhookSettings":{"enabled":true,)"));
  CHECK(has(last, fmt::format(R"("activityWebhooksV2":{{"{}":{{"webhookSecret":)", url)));
  CHECK(has(last, fmt::format(R"("diagnosticWebhooksV2":{{"{}":{{"webhookSecret":)", url)));

  const auto shown = webhook({"show"});
  CAPTURE(shown.out);
  CHECK(shown.status == 0);
  CHECK(has(shown.out, "activity   on       " + url));
  CHECK(has(shown.out, "diagnostic on       " + url));
  CHECK(has(shown.out, "https://other.example.com/elsewhere  its secret is known here"));
  CHECK_FALSE(has(shown.out, "hidden"));
  for (const auto& secret : lines_of(store())) CHECK_FALSE(has(shown.out, secret));
}

TEST_CASE_METHOD(Fixture, "while a secret is exchanged both count, and what is unused can be forgotten") {
  REQUIRE(webhook({"register", "--url", url}).status == 0);
  answer(update_path, R"({"webhookSecret":"thenewone"})");
  REQUIRE(webhook({"register", "--url", url}).status == 0);
  const auto both = lines_of(store());
  REQUIRE(both.size() == 2);
  CHECK(both[1] == "thenewone");
  responder->start();
  CHECK(send(both[0], "A1") == 200);
  CHECK(send(both[1], "A2") == 200);

  // Without every secret told, nothing can be said to be unused.
  answer(show_path, fmt::format(R"({{"orgIntegrationV2":{{"activityWebhooksV2":{{"{}":{{}}}}}}}})", url));
  CHECK(webhook({"forget-unused"}).status == 1);
  CHECK(lines_of(store()).size() == 2);
  answer(show_path,
         fmt::format(R"({{"orgIntegrationV2":{{"activityWebhooksV2":{{"{}":{{"webhookSecret":"thenewone"}}}}}}}})",
                     url));
  CHECK(webhook({"forget-unused"}).status == 0);
  CHECK(lines_of(store()) == std::vector<std::string>{"thenewone"});
}

TEST_CASE_METHOD(Fixture, "a secret that only the settings tell is taken from there") {
  answer(update_path, "{}");
  CHECK(webhook({"register", "--url", url}).status == 3);
  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path == update_path) return fake_rhombus::Reply{200, "{}", "application/json"};
    if (request.path != show_path) return std::nullopt;
    const auto settings =
        fmt::format(R"({{"orgIntegrationV2":{{"activityWebhooks":{{"{}":"of-an-older-account"}}}}}})", url);
    return fake_rhombus::Reply{200, settings, "application/json"};
  });
  CHECK(webhook({"register", "--url", url}).status == 0);
  CHECK(lines_of(store()) == std::vector<std::string>{"of-an-older-account"});
}

TEST_CASE_METHOD(Fixture, "what cannot be registered is said, and nothing is stored") {
  CHECK(webhook({"register", "--url", "http://door.example.com/x"}).status == 2);
  CHECK(webhook({"register", "--url", "door.example.com"}).status == 2);
  CHECK(webhook({"register"}).status == 2);
  CHECK(webhook({"register", "--url", url}, {{"RHOMBUS_RESPONDER_RHOMBUS_API_KEY", "wrong"}}).status == 3);
  CHECK(webhook({"register", "--url", url}, {{"RHOMBUS_RESPONDER_RHOMBUS_API_URL", "https://127.0.0.1:1"}}).status ==
        3);
  CHECK_FALSE(std::filesystem::exists(store()));
}

TEST_CASE_METHOD(Fixture, "a signed sample shows whether the listener takes webhooks") {
  responder->start();
  const std::map<std::string, std::string> there{
      {"RHOMBUS_RESPONDER_WEBHOOK_LISTEN", fmt::format("127.0.0.1:{}", responder->port())}};
  const auto taken = webhook({"test"}, there);
  CAPTURE(taken.out, taken.err);
  CHECK(taken.status == 0);
  CHECK(has(taken.out, R"({"status":"ignored","reason":"diagnostic"})"));
  const auto event = responder->events().at(0);
  CHECK(event.state == "ignored");
  CHECK(event.alert.starts_with("rhombus-responder-test-"));

  auto other = there;
  other["RHOMBUS_RESPONDER_WEBHOOK_SECRETS"] = "another secret";
  const auto refused = webhook({"test"}, other);
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "HTTP 401: it does not know the secret"));
  // From outside, a certificate that nobody knows is what Rhombus would not believe either.
  const auto strict = webhook({"test", "--url", responder->url()});
  CHECK(strict.status == 1);
  responder->stop(SIGTERM);
  const auto nobody = webhook({"test"}, there);
  CHECK(nobody.status == 1);
  CHECK(has(nobody.err, "does serve run"));
}

TEST_CASE_METHOD(Fixture, "a sample reaches the socket of the service manager, wherever that is") {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) == 0);
  REQUIRE(::listen(socket.get(), 16) == 0);
  // webhook.listen leads to nobody.
  const std::map<std::string, std::string> elsewhere{{"RHOMBUS_RESPONDER_WEBHOOK_LISTEN", "127.0.0.1:1"}};
  responder->start(elsewhere, {socket.get()});
  const auto taken = webhook({"test"}, elsewhere);
  CAPTURE(taken.out, taken.err);
  CHECK(taken.status == 0);
  // Who is killed takes nothing back: what it has written down counts for nothing any more.
  responder->stop(SIGKILL);
  const auto nobody = webhook({"test"}, elsewhere);
  CHECK(nobody.status == 1);
  CHECK(has(nobody.err, "127.0.0.1:1"));
}

TEST_CASE_METHOD(Fixture, "a sample goes through a unix socket, too, and the socket goes with its listener") {
  const auto socket = (responder->folder() / "webhook.sock").string();
  const std::map<std::string, std::string> there{{"RHOMBUS_RESPONDER_WEBHOOK_LISTEN", "unix:" + socket},
                                                 {"RHOMBUS_RESPONDER_WEBHOOK_TLS_CERT", ""},
                                                 {"RHOMBUS_RESPONDER_WEBHOOK_TLS_KEY", ""}};
  responder->start(there);
  const auto taken = webhook({"test"}, there);
  CAPTURE(taken.out, taken.err);
  CHECK(taken.status == 0);
  CHECK(responder->stop(SIGTERM) == 0);
  CHECK_FALSE(std::filesystem::exists(socket));
}

TEST_CASE_METHOD(Fixture, "check says what is wrong with certificates, webhooks and the cameras' network") {
  const auto sound = responder->command({"check"});
  CAPTURE(sound.out);
  CHECK(sound.status == 0);
  CHECK(has(sound.out, "ok     TLS       webhook.tls_cert is valid until "));
  CHECK(has(sound.out, "ok     LAN       Cam answers at "));
  CHECK(has(sound.out, "ok     webhooks  none of ours is registered for the organization"));

  const auto expired = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr, 0);
  const auto soon = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr, 7);
  const auto check_with = [&](const fake_rhombus::Identity& certificate, const fake_rhombus::Identity& key) {
    std::ofstream(responder->folder() / "cert.pem") << certificate.certificate_pem();
    std::ofstream(responder->folder() / "key.pem") << key.key_pem();
    return responder->command({"check"});
  };
  CHECK(has(check_with(expired, expired).out, "WRONG  TLS       webhook.tls_cert: "));
  CHECK(has(check_with(expired, expired).out, "has expired at "));
  CHECK(check_with(expired, expired).status == 1);
  CHECK(has(check_with(soon, soon).out, "warn   TLS       webhook.tls_cert: "));
  CHECK(has(check_with(soon, soon).out, "renew it, and reload"));
  CHECK(check_with(soon, soon).status == 0);
  CHECK(has(check_with(soon, expired).out, "does not belong to the certificate"));
  CHECK(check_with(soon, expired).status == 1);

  answer(
      show_path,
      fmt::format(
          R"({{"orgIntegrationV2":{{"enabled":true,"activityWebhooksV2":{{"{}":{{"webhookSecret":"?"}}}}}}}})", url));
  const auto unknown = responder->command({"check"});
  CHECK(has(unknown.out, "WRONG  webhooks  the secret of "));
  CHECK(has(unknown.out, "webhook register --url " + url));

  rhombus.intercept([](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path != "/api/camera/getMediaUris") return std::nullopt;
    return fake_rhombus::Reply{
        200, R"({"lanVodMpdUrisTemplates":["https://127.0.0.1:1/cam/{START_TIME}_{DURATION}/clip.mpd"]})",
        "application/json"};
  });
  const auto away = responder->command({"check"});
  CAPTURE(away.out);
  CHECK(away.status == 1);
  CHECK(has(away.out, "WRONG  LAN       Cam: "));
  CHECK(has(away.out, "set capture.connection to \"wan\""));
  CHECK(responder->command({"check"}, {{"RHOMBUS_RESPONDER_CAPTURE_CONNECTION", "wan"}}).out.find("LAN") ==
        std::string::npos);
}

TEST_CASE_METHOD(Fixture, "check asks cameras that are silent at the same time") {
  // It takes connections and says nothing.
  const UniqueFd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(::bind(silent.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(silent.get(), 64) == 0);
  REQUIRE(::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const auto uris = fmt::format(
      R"({{"lanCheckUrls":["https://127.0.0.1:{0}/a","https://127.0.0.1:{0}/b","https://127.0.0.1:{0}/c"]}})",
      ntohs(address.sin_port));
  rhombus.intercept([=](const fake_rhombus::Request& request) -> std::optional<fake_rhombus::Reply> {
    if (request.path == "/api/camera/getMediaUris") return fake_rhombus::Reply{200, uris, "application/json"};
    if (request.path != "/api/camera/getMinimalCameraStateList") return std::nullopt;
    return fake_rhombus::Reply{
        200,
        R"({"cameraStates":[{"uuid":"C1","name":"One"},{"uuid":"C2","name":"Two"},{"uuid":"C3","name":"Three"}]})",
        "application/json"};
  });
  const auto began = std::chrono::steady_clock::now();
  const auto checked = responder->command({"check"});
  CAPTURE(checked.out);
  CHECK(has(checked.out, "WRONG  LAN       One: "));
  CHECK(checked.status == 1);
  // One after another they would take 45 s.
  CHECK(std::chrono::steady_clock::now() - began < 30s);
}
