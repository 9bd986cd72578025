// Who is told of finished captures: programs, receivers of signed posts, and rclone's remotes.
#include <csignal>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <httplib.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/base/text.hpp"

#include "clip_checks.hpp"

extern char** environ;

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
namespace fs = std::filesystem;

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool poll_until(std::chrono::milliseconds limit, const std::function<bool()>& true_now) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!true_now()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

std::size_t lines_in(const fs::path& path) {
  const auto text = slurp(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// A message as hooks get it.
struct Message {
  explicit Message(const std::string& json) {
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    const simdjson::padded_string padded(json);
    REQUIRE(parser.parse(padded).get(document) == simdjson::SUCCESS);
    const auto text = [](simdjson::dom::element object, const char* name) {
      std::string_view value;
      return object.at_key(name).get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
    };
    event = text(document, "event");
    id = text(document, "id");
    simdjson::dom::element capture;
    REQUIRE(document.at_key("capture").get(capture) == simdjson::SUCCESS);
    alert = text(capture, "alert");
    sha256 = text(capture, "sha256");
    clip_path = text(capture, "clip_path");
    sidecar_path = text(capture, "sidecar_path");
  }
  std::string event, id, alert, sha256, clip_path, sidecar_path;
};

struct Fixture {
  FakeRhombus rhombus;
  std::string camera = rhombus.add_camera({.name = "Cam", .video = small});
  TempFolder folder;

  Fixture() { rhombus.start(); }

  // A [[hook]] table that runs a shell script, which is told apart from the program's own doing by being one.
  std::string hook(const std::string& name, const std::string& script, const std::string& more = "") const {
    std::ofstream(folder / name) << "#!/bin/sh\ncd " << folder.path().string() << "\n" << script << "\n";
    ::chmod((folder / name).c_str(), 0700);
    return fmt::format("[[hook]]\nname = \"{0}\"\ncommand = [\"{1}\", \"a word\"]\n{2}", name,
                       (folder / name).string(), more);
  }
};

// What `status --json` says of a target's deliveries.
std::string deliveries_of(const Responder& responder, const std::string& target) {
  const auto status = responder.command({"status", "--json"});
  const auto at = status.out.find(fmt::format("{{\"target\":\"{}\"", target));
  return at == std::string::npos ? "" : status.out.substr(at, status.out.find('}', at) - at);
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE_METHOD(Fixture, "a program is told of a finished capture, and of where its clip is") {
  Responder responder(rhombus, hook("told", "printf '%s\\n' \"$1\" >>words; cat >>messages; env >environment"));
  responder.start({{"RHOMBUS_API_KEY", "from the environment"}});
  const auto alert = responder.alert(camera, now_ms() - 60'000, 3);
  const auto event = responder.wait_until_done(alert);
  REQUIRE(poll_until(30s, [&] { return has(deliveries_of(responder, "told"), "\"waiting\":0"); }));
  CHECK(slurp(folder / "words") == "a word\n");
  const Message message(slurp(folder / "messages"));
  CHECK(message.event == "done");
  CHECK(message.alert == alert);
  CHECK(message.sha256 == event.sha256);
  CHECK(message.clip_path == (responder.clips() / event.clip).string());
  CHECK(fs::exists(message.clip_path));
  CHECK(fs::exists(message.sidecar_path));
  CHECK_FALSE(has(slurp(folder / "environment"), "from the environment"));
  CHECK(has(responder.log(), fmt::format("alert {} on {}: done: delivered to told", alert, camera)));
}

TEST_CASE_METHOD(Fixture,
                 "programs that hang, flood, fail or are not there are said in a line, and hold up nothing else") {
  Responder responder(rhombus, hook("hanging", "echo $$ >>pids; exec sleep 600", "timeout_seconds = 600\n") +
                                   hook("flooding", "head -c 20000000 /dev/zero | tr '\\0' x; exit 9") +
                                   hook("late", "exec sleep 600", "timeout_seconds = 1\n") +
                                   "[[hook]]\nname = \"missing\"\ncommand = [\"/nowhere/at-all\"]\n" +
                                   hook("well", "cat >>messages"));
  responder.start();
  const auto first = responder.alert(camera, now_ms() - 60'000, 2);
  responder.wait_until_done(first);
  REQUIRE(poll_until(30s, [&] { return lines_in(folder / "pids") == 1; }));
  const auto second = responder.alert(camera, now_ms() - 90'000, 2);
  responder.wait_until_done(second);
  REQUIRE(poll_until(30s, [&] { return lines_in(folder / "messages") == 2; }));
  const auto says = [&](const std::string& target, const std::string& why) {
    return poll_until(30s, [&] { return has(deliveries_of(responder, target), why); });
  };
  CHECK(says("flooding", "it ended with status 9: xxx"));
  CHECK(says("late", "it did not end within 1 s and was ended"));
  CHECK(says("missing", "/nowhere/at-all is not there"));
  CHECK(says("hanging", "\"waiting\":2"));
  CHECK(lines_in(folder / "pids") == 1);  // one at a time
  CHECK(responder.command({"check"}).out.find("WRONG  hook      missing: command: /nowhere/at-all is not there") !=
        std::string::npos);
  CHECK(responder.stop(SIGTERM) == 0);
  // It went with us.
  CHECK(::kill(std::atoi(slurp(folder / "pids").c_str()), 0) != 0);
}

TEST_CASE_METHOD(Fixture,
                 "a kill between clip and delivery: the capture is not made again, the hook is told once more") {
  Responder responder(rhombus, hook("told", "cat >>messages; test -e go && exit 0; echo $$ >pid; exec sleep 600",
                                    "timeout_seconds = 600\n"));
  responder.start();
  const auto alert = responder.alert(camera, now_ms() - 60'000, 3);
  const auto before = responder.wait_until_done(alert);
  REQUIRE(poll_until(30s, [&] { return lines_in(folder / "pid") == 1; }));
  responder.stop(SIGKILL);
  ::kill(std::atoi(slurp(folder / "pid").c_str()), SIGKILL);
  std::ofstream(folder / "go") << "go";
  responder.start();
  REQUIRE(poll_until(30s, [&] { return has(deliveries_of(responder, "told"), "\"waiting\":0"); }));
  const auto messages = responder::split(slurp(folder / "messages"), '\n');
  REQUIRE(messages.size() == 2);
  CHECK(Message(messages[0]).id == Message(messages[1]).id);
  CHECK(Message(messages[0]).sha256 == Message(messages[1]).sha256);
  CHECK(responder.events().at(0).attempts == before.attempts);
  CHECK(responder.events().at(0).sha256 == before.sha256);
}

TEST_CASE_METHOD(Fixture, "what a run of catch-up has captured is told before it ends") {
  rhombus.set_alert({.uuid = "alert-of-cron",
                     .device = camera,
                     .timestamp_ms = now_ms() - 120'000,
                     .duration_s = 2,
                     .triggers = {"MOTION_HUMAN"}});
  const Responder responder(rhombus, hook("told", "cat >>messages"));
  const auto run = responder.command({"catch-up"});
  INFO(run.err);
  CHECK(run.status == 0);
  CHECK(Message(slurp(folder / "messages")).alert == "alert-of-cron");
}

TEST_CASE_METHOD(Fixture,
                 "a run waits for a delivery in hand, however long it may take, and for none that is put off") {
  const Responder responder(rhombus, hook("slow", "sleep 15; cat >>messages") + hook("wrong", "exit 1"));
  const auto run = responder.command({"backup", "--start", "1672531200", "--duration", "2", "--camera", camera});
  INFO(run.err);
  CHECK(run.status == 0);
  CHECK(lines_in(folder / "messages") == 1);
  CHECK(has(deliveries_of(responder, "slow"), "\"waiting\":0"));
  CHECK(has(deliveries_of(responder, "wrong"), "\"waiting\":1"));
  CHECK(has(run.err, "not delivered to wrong: it ended with status 1"));
}

namespace {

// A receiver of posts, over TLS of its own.
class Receiver {
 public:
  struct Post {
    std::string id, timestamp, signature, type, body;
  };

  Receiver()
      : identity_(fake_rhombus::make_server("localhost", {"127.0.0.1"}, &ca_)),
        server_(identity_.certificate.get(), identity_.key.get()) {
    std::ofstream(ca_file()) << ca_.certificate_pem();
    server_.Post("/hook", [this](const httplib::Request& request, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      posts_.push_back({request.get_header_value("webhook-id"), request.get_header_value("webhook-timestamp"),
                        request.get_header_value("webhook-signature"), request.get_header_value("Content-Type"),
                        request.body});
      response.status = answers_.empty() ? 204 : answers_.front();
      if (response.status == 302) response.set_header("Location", "/elsewhere");
      if (!answers_.empty()) answers_.erase(answers_.begin());
    });
    server_.Post("/elsewhere", [this](const httplib::Request&, httplib::Response&) { was_elsewhere_ = true; });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
  }
  ~Receiver() {
    server_.stop();
    thread_.join();
  }
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // The statuses of its next answers; after them it is content.
  void answer(std::vector<int> statuses) {
    const std::lock_guard lock(mutex_);
    answers_ = std::move(statuses);
  }
  std::vector<Post> posts() {
    const std::lock_guard lock(mutex_);
    return posts_;
  }
  bool was_elsewhere() const { return was_elsewhere_; }
  std::string ca_file() const { return (folder_ / "ca.pem").string(); }
  std::string hook(const std::string& secret) const {
    return fmt::format(
        "[[hook]]\nname = \"posts\"\nurl = \"https://127.0.0.1:{}/hook?token=in-the-query\"\nsecret = \"{}\"\n"
        "ca_file = \"{}\"\n",
        port_, secret, ca_file());
  }

 private:
  TempFolder folder_;
  fake_rhombus::Identity ca_ = fake_rhombus::make_ca("Receiver's CA");
  fake_rhombus::Identity identity_;
  httplib::SSLServer server_;
  std::mutex mutex_;
  std::vector<int> answers_;
  std::vector<Post> posts_;
  std::atomic<bool> was_elsewhere_{false};
  int port_ = 0;
  std::thread thread_;
};

// As a receiver checks it, with openssl's own means.
std::string expected_signature(const Receiver::Post& post, const std::string& key) {
  const auto text = post.id + "." + post.timestamp + "." + post.body;
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), mac.data(), &length);
  std::array<unsigned char, 64> base64{};
  EVP_EncodeBlock(base64.data(), mac.data(), static_cast<int>(length));
  return std::string("v1,") + reinterpret_cast<const char*>(base64.data());
}

}  // namespace

TEST_CASE_METHOD(Fixture,
                 "a receiver of posts is told under one id until it has taken it, and can tell that it is us") {
  Receiver receiver;
  receiver.answer({500, 302});
  Responder responder(rhombus, receiver.hook("whsec_dGhlIGtleSBvZiB0aGUgaG9vaw=="));
  responder.start();
  const auto alert = responder.alert(camera, now_ms() - 60'000, 3);
  const auto event = responder.wait_until_done(alert);
  REQUIRE(poll_until(60s, [&] { return has(deliveries_of(responder, "posts"), "\"waiting\":0"); }));
  const auto posts = receiver.posts();
  REQUIRE(posts.size() == 3);
  for (const auto& post : posts) {
    CHECK(post.id == posts[0].id);
    CHECK(post.signature == expected_signature(post, "the key of the hook"));
    CHECK(std::abs(std::atoll(post.timestamp.c_str()) * 1000 - now_ms()) < 120'000);
    CHECK(post.type == "application/json");
    CHECK(Message(post.body).sha256 == event.sha256);
  }
  CHECK(Message(posts[0].body).id == posts[0].id);
  CHECK_FALSE(receiver.was_elsewhere());
  const auto log = responder.log();
  CHECK(has(log, "not delivered to posts: https://127.0.0.1:"));
  CHECK_FALSE(has(log, "in-the-query"));
  CHECK_FALSE(has(log, "dGhlIGtl"));
  CHECK_FALSE(has(log, "the key of the hook"));
}

TEST_CASE_METHOD(Fixture,
                 "a receiver that wants no more is left alone, and one that cannot be trusted is told nothing") {
  Receiver receiver;
  Receiver stranger;
  receiver.answer({410});
  auto untrusted = stranger.hook("plain secret");
  untrusted.replace(untrusted.find("posts"), 5, "other");
  untrusted.erase(untrusted.find("ca_file"));
  Responder responder(rhombus, receiver.hook("plain secret") + untrusted);
  responder.start();
  responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 3));
  REQUIRE(poll_until(30s, [&] { return has(deliveries_of(responder, "posts"), "\"given_up\":1"); }));
  CHECK(has(deliveries_of(responder, "posts"), "HTTP 410"));
  CHECK(receiver.posts().size() == 1);
  REQUIRE(poll_until(30s, [&] { return has(deliveries_of(responder, "other"), "not trusted"); }));
  CHECK(stranger.posts().empty());
  CHECK(has(responder.log(), "given up"));
  // Put back in line by hand.
  CHECK(has(responder.command({"retry", "--deliveries"}).out, "1 delivery is in line again"));
  REQUIRE(poll_until(30s, [&] { return has(deliveries_of(responder, "posts"), "\"waiting\":0"); }));
  CHECK(has(deliveries_of(responder, "posts"), "\"given_up\":0"));
  CHECK(receiver.posts().size() == 2);
}

namespace {

// A WebDAV server, which rclone itself is.
class WebDav {
 public:
  explicit WebDav(const fs::path& folder, int port) {
    std::vector<std::string> words{"rclone",
                                   "serve",
                                   "webdav",
                                   folder.string(),
                                   fmt::format("--addr=127.0.0.1:{}", port),
                                   "--config=/dev/null",
                                   "--log-level=ERROR"};
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    REQUIRE(posix_spawnp(&pid_, "rclone", nullptr, nullptr, argv.data(), environ) == 0);
  }
  ~WebDav() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  WebDav(const WebDav&) = delete;
  WebDav& operator=(const WebDav&) = delete;

 private:
  pid_t pid_ = -1;
};

int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  ::close(fd);
  return ntohs(address.sin_port);
}

struct OffsiteFixture : Fixture {
  const fs::path remote = folder / "remote";

  OffsiteFixture() { fs::create_directories(remote); }

  std::string offsite(const std::string& rclone_config, const std::string& name) const {
    std::ofstream(folder / "rclone.conf") << rclone_config;
    return fmt::format("[offsite]\nremote = \"{}\"\nrclone_config = \"{}\"\ntimeout_seconds = 60\n", name,
                       (folder / "rclone.conf").string());
  }
  // The clip with what stands beside it, byte for byte.
  void check_copy(const Responder& responder, const Event& event, const fs::path& at) const {
    for (const auto* ending : {".mp4", ".json", ".jpg"}) {
      const auto path = fs::path(event.clip).replace_extension(ending);
      INFO(path);
      CHECK(slurp(responder.clips() / path).size() > 0);
      CHECK(slurp(at / path) == slurp(responder.clips() / path));
    }
  }
};

}  // namespace

TEST_CASE_METHOD(OffsiteFixture, "a clip is copied to a local remote, under its path in the archive") {
  Responder responder(rhombus, offsite("[disk]\ntype = local\n", "disk:" + (remote / "clips").string()));
  auto config = slurp(responder.config());
  config.insert(config.find("timezone ="), "layout = \"by-date\"\n");
  std::ofstream(responder.config()) << config;
  responder.start();
  const auto event = responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 3));
  CHECK(std::count(event.clip.begin(), event.clip.end(), '/') == 3);
  REQUIRE(poll_until(30s, [&] { return has(deliveries_of(responder, "offsite"), "\"waiting\":0"); }));
  check_copy(responder, event, remote / "clips");
}

TEST_CASE_METHOD(OffsiteFixture, "a WebDAV remote that refuses is waited for, and no capture waits with it") {
  const int port = free_port();
  Responder responder(rhombus,
                      offsite(fmt::format("[dav]\ntype = webdav\nurl = http://127.0.0.1:{}\nvendor = other\n", port),
                              "dav:site/one"));
  const auto checked = responder.command({"check"});
  CHECK(has(checked.out, "WRONG  offsite   offsite.remote dav:site/one: rclone: it ended with status 1: "));
  CHECK(has(checked.out, "connection refused"));
  responder.start();
  const auto first = responder.wait_until_done(responder.alert(camera, now_ms() - 60'000, 3));
  REQUIRE(poll_until(30s, [&] { return has(deliveries_of(responder, "offsite"), "connection refused"); }));
  const auto second = responder.wait_until_done(responder.alert(camera, now_ms() - 90'000, 3));
  CHECK(has(deliveries_of(responder, "offsite"), "\"waiting\":2"));

  const WebDav server(remote, port);
  REQUIRE(poll_until(100s, [&] { return has(deliveries_of(responder, "offsite"), "\"waiting\":0"); }));
  CHECK(has(deliveries_of(responder, "offsite"), "\"given_up\":0"));
  check_copy(responder, first, remote / "site/one");
  check_copy(responder, second, remote / "site/one");
  CHECK(has(responder.command({"check"}).out, "ok     offsite   dav:site/one"));
}
