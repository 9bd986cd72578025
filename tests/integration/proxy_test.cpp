// The examples of deploy/ for reverse proxies, each run as it stands there in front of the program: only addresses
// and paths are put in the place of those in the file.
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

#include "certificates.hpp"
#include "responder_process.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using fake_rhombus::hmac_hex;
using fake_rhombus::organization_body;
using responder::UniqueFd;

namespace {

const std::string host = "webhook.example.com";  // as in the examples
constexpr std::string_view webhook_path = "/webhook/rhombus";
constexpr std::size_t body_limit = 262144;

bool poll_until(std::chrono::milliseconds limit, const std::function<bool()>& true_now) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!true_now()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

sockaddr_storage socket_address(const std::string& address, int port, socklen_t& length) {
  sockaddr_storage storage{};
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
      ::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    length = sizeof(sockaddr_in);
    return storage;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  REQUIRE(::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<std::uint16_t>(port));
  length = sizeof(sockaddr_in6);
  return storage;
}

bool bind_to(int fd, const std::string& address, int port) {
  socklen_t length = 0;
  const auto name = socket_address(address, port, length);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&name), length) == 0;
}

// One that nobody has on either loopback address.
int free_port() {
  // Below those that the kernel gives to whoever asks for any: another test's is not among them.
  constexpr int first = 20'000;
  constexpr int count = 12'000;
  static std::mt19937 random(std::random_device{}());
  for (int attempt = 0; attempt < 100; ++attempt) {
    const int port = first + static_cast<int>(random() % count);
    const UniqueFd v4(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const UniqueFd v6(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (bind_to(v4.get(), "127.0.0.1", port) && bind_to(v6.get(), "::1", port)) return port;
  }
  FAIL("no free port on 127.0.0.1 and ::1");
  return 0;
}

struct Answer {
  int status = 0;  // 0: none
  std::string body;
};

// A client of a proxy: comes from an address of its own choice, and believes only our CA and the host name.
class TlsClient {
 public:
  TlsClient(const std::string& from, const std::string& to, int port, const std::string& ca_file,
            int highest_version = TLS1_3_VERSION)
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), tls_(nullptr, SSL_free) {
    SSL_CTX_set_max_proto_version(context_.get(), highest_version);
    // So that it is the server who refuses an old version, not we.
    if (highest_version < TLS1_2_VERSION) SSL_CTX_set_cipher_list(context_.get(), "DEFAULT@SECLEVEL=0");
    REQUIRE(SSL_CTX_load_verify_locations(context_.get(), ca_file.c_str(), nullptr) == 1);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    socklen_t length = 0;
    const auto peer = socket_address(to, port, length);
    fd_ = UniqueFd(::socket(peer.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{8, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    REQUIRE(bind_to(fd_.get(), from, 0));
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&peer), length) != 0) return;
    tls_.reset(SSL_new(context_.get()));
    SSL_set_fd(tls_.get(), fd_.get());
    std::string name = host;
    SSL_ctrl(tls_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
    SSL_set1_host(tls_.get(), host.c_str());
    connected_ = SSL_connect(tls_.get()) == 1;
  }

  bool connected() const { return connected_; }

  // False when the server has had enough.
  bool send(std::string_view bytes) {
    std::size_t written = 0;
    return connected_ && SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &written) == 1;
  }

  // One answer, or what there is of it when the server closes.
  Answer read_answer() {
    std::string all;
    std::array<char, 4096> piece{};
    std::size_t got = 0;
    while (connected_ && !is_whole(all) && SSL_read_ex(tls_.get(), piece.data(), piece.size(), &got) == 1)
      all.append(piece.data(), got);
    const auto body = all.find("\r\n\r\n");
    if (!all.starts_with("HTTP/1.1 ") || body == std::string::npos) return {};
    return {std::atoi(all.c_str() + 9), all.substr(body + 4)};
  }

 private:
  // Some servers keep the connection for a while after an early refusal, to take in what is still on its way.
  static bool is_whole(const std::string& answer) {
    const auto body = answer.find("\r\n\r\n");
    if (body == std::string::npos) return false;
    const std::string length = "content-length: ";
    const auto at = responder::ascii_lower(answer.substr(0, body)).find(length);
    if (at == std::string::npos) return false;
    return answer.size() >= body + 4 + std::strtoul(answer.c_str() + at + length.size(), nullptr, 10);
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> tls_;
  UniqueFd fd_;
  bool connected_ = false;
};

// A proxy in the foreground, with the example of deploy/ as its configuration.
class Proxy {
 public:
  using Substitutes = std::vector<std::pair<std::string, std::string>>;

  virtual ~Proxy() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  virtual void start() = 0;
  // How the program has to listen for it.
  virtual std::map<std::string, std::string> program_environment() const {
    return {{"RHOMBUS_RESPONDER_WEBHOOK_LISTEN", fmt::format("127.0.0.1:{}", upstream_port)},
            {"RHOMBUS_RESPONDER_WEBHOOK_TLS_CERT", ""},
            {"RHOMBUS_RESPONDER_WEBHOOK_TLS_KEY", ""},
            {"RHOMBUS_RESPONDER_WEBHOOK_MAX_BODY_BYTES", std::to_string(body_limit)},
            {"RHOMBUS_RESPONDER_ADMIN_LISTEN", fmt::format("127.0.0.1:{}", admin_port)}};
  }
  // Whether its health check, if it has one, has failed.
  virtual bool has_noticed() const { return true; }
  std::string log() const { return slurp(log_file()); }
  std::string ca_file() const { return (folder / "ca.pem").string(); }

  TempFolder folder;
  const int port = free_port();
  const int upstream_port = free_port();
  const int admin_port = free_port();

 protected:
  Proxy() {
    const auto ca = fake_rhombus::make_ca("Test CA");
    const auto server = fake_rhombus::make_server(host, {host}, &ca);
    std::ofstream(ca_file()) << ca.certificate_pem();
    std::ofstream(folder / "fullchain.pem") << server.certificate_pem();
    std::ofstream(folder / "privkey.pem") << server.key_pem();
    std::ofstream(folder / "both.pem") << server.certificate_pem() << server.key_pem();
  }

  std::filesystem::path log_file() const { return folder / "proxy.log"; }

  // Writes the example with the substitutes into our folder; each has to be in it.
  std::string from_example(const std::string& example, const Substitutes& substitutes) const {
    std::string text = slurp(std::filesystem::path(RESPONDER_DEPLOY) / example);
    INFO(example);
    REQUIRE_FALSE(text.empty());
    for (const auto& [old, fresh] : substitutes) {
      INFO("is not in it: " << old);
      auto at = text.find(old);
      REQUIRE(at != std::string::npos);
      for (; at != std::string::npos; at = text.find(old, at + fresh.size())) text.replace(at, old.size(), fresh);
    }
    const auto file = folder / std::filesystem::path(example).filename();
    std::ofstream(file) << text;
    return file.string();
  }

  void run(std::vector<std::string> words) {
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    // What it keeps for itself goes with the test.
    const std::string home = folder.path().string();
    std::vector<std::string> variables{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + home, "XDG_DATA_HOME=" + home,
                                       "XDG_CONFIG_HOME=" + home};
    std::vector<char*> envp;
    for (auto& variable : variables) envp.push_back(variable.data());
    envp.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log_file().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const int failed = posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    INFO(words[0] << " is in scripts/packages.txt");
    REQUIRE(failed == 0);
  }

 private:
  pid_t pid_ = -1;
};

struct Nginx : Proxy {
  void start() override {
    const auto in = [&](const char* name) { return (folder / name).string(); };
    const auto site = from_example("nginx/rhombus-responder.conf",
                                   {{"listen 443 ssl", fmt::format("listen 127.0.0.1:{} ssl", port)},
                                    {"listen [::]:443 ssl", fmt::format("listen [::1]:{} ssl", port)},
                                    {"server unix:/run/rhombus-responder.sock", "server unix:" + socket()},
                                    {"/etc/ssl/webhook.example.com/fullchain.pem", in("fullchain.pem")},
                                    {"/etc/ssl/webhook.example.com/privkey.pem", in("privkey.pem")}});
    // What /etc/nginx/nginx.conf is around it.
    std::ofstream(folder / "nginx.conf") << fmt::format(
        "daemon off;\nuser {};\npid {};\nerror_log {} info;\nworker_processes 1;\nevents {{}}\nhttp {{\naccess_log "
        "off;\nclient_body_temp_path {};\nproxy_temp_path {};\nfastcgi_temp_path {};\nuwsgi_temp_path "
        "{};\nscgi_temp_path {};\ninclude {};\n}}\n",
        ::getpwuid(::geteuid())->pw_name, in("nginx.pid"), log_file().string(), in("body"), in("proxied"),
        in("fastcgi"), in("uwsgi"), in("scgi"), site);
    run({"/usr/sbin/nginx", "-p", folder.path().string(), "-c", in("nginx.conf")});
  }

  std::string socket() const { return (folder / "webhook.sock").string(); }
  std::map<std::string, std::string> program_environment() const override {
    auto environment = Proxy::program_environment();
    environment["RHOMBUS_RESPONDER_WEBHOOK_LISTEN"] = "unix:" + socket();
    return environment;
  }
};

struct Caddy : Proxy {
  void start() override {
    const auto in = [&](const char* name) { return (folder / name).string(); };
    const auto file =
        from_example("caddy/Caddyfile", {{"admin localhost:2019", "admin unix/" + in("caddy-admin.sock")},
                                         {"webhook.example.com:443", fmt::format("webhook.example.com:{}", port)},
                                         {"bind tcp4/0.0.0.0 tcp6/[::]", "bind tcp4/127.0.0.1 tcp6/[::1]"},
                                         {"/etc/ssl/webhook.example.com/fullchain.pem", in("fullchain.pem")},
                                         {"/etc/ssl/webhook.example.com/privkey.pem", in("privkey.pem")},
                                         {"127.0.0.1:8443", fmt::format("127.0.0.1:{}", upstream_port)},
                                         {"health_port 9464", fmt::format("health_port {}", admin_port)}});
    run({"/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", file});
  }

  bool has_noticed() const override { return log().find("health_checker.active") != std::string::npos; }
};

struct Haproxy : Proxy {
  void start() override {
    Substitutes substitutes{{"bind 0.0.0.0:443", fmt::format("bind 127.0.0.1:{}", port)},
                            {"bind [::]:443", fmt::format("bind [::1]:{}", port)},
                            {"/etc/haproxy/webhook.example.com.pem", (folder / "both.pem").string()},
                            {"127.0.0.1:8443", fmt::format("127.0.0.1:{}", upstream_port)},
                            {"port 9464", fmt::format("port {}", admin_port)}};
    // What only root may do.
    if (::geteuid() != 0) {
      for (const auto* line : {"\tchroot /var/lib/haproxy\n", "\tuser haproxy\n", "\tgroup haproxy\n"})
        substitutes.emplace_back(line, "");
    }
    run({"/usr/sbin/haproxy", "-db", "-f", from_example("haproxy/haproxy.cfg", substitutes)});
  }

  bool has_noticed() const override { return log().find("responder/responder is DOWN") != std::string::npos; }
};

// What has to be true of each.
template <class Kind>
class Scenario {
 public:
  Scenario() {
    rhombus_.start();
    responder_ = std::make_unique<Responder>(rhombus_);
    start_program();
    proxy_.start();
    INFO(proxy_.log());
    REQUIRE(poll_until(10s, [&] { return post(body("UP"), "127.0.0.1", "/").status == 404; }));
  }

  void answers_as_the_program_does() {
    INFO(proxy_.log() << responder_->log());
    auto answer = signed_post(body("A1"));
    CHECK(answer.status == 200);
    CHECK(answer.body == R"({"status":"accepted"})");
    CHECK(signed_post(body("A1")).body == R"({"status":"duplicate"})");
    CHECK(signed_post(body("A6"), "::1").body == R"({"status":"accepted"})");
    for (const char* path : {"/", "/metrics", "/readyz", "/webhook/rhombus/", "/webhook/rhombus/x", "/webhook"}) {
      CAPTURE(path);
      const auto refused = post(body("A2"), "127.0.0.1", path, signature(body("A2")));
      CHECK(refused.status == 404);
      CHECK(refused.body.find("no such path") == std::string::npos);  // which the program would say
    }
    CHECK(ask(fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", webhook_path, host)).status ==
          405);
    const auto events = responder_->events();
    REQUIRE(events.size() == 2);
    CHECK(events[0].alert != events[1].alert);
    for (const auto& event : events) CHECK((event.alert == "A1" || event.alert == "A6"));
  }

  void tells_who_the_client_is() {
    // An address of 127/8 is one of the trusted proxies, so a forged one that came along would be believed.
    const std::string forged = "X-Forwarded-For: 203.0.113.7\r\n";
    CHECK(post(body("A3"), "127.0.0.2", webhook_path, forged + signature("something else")).status == 401);
    CHECK(post(body("A3"), "::1", webhook_path, forged + signature("something else")).status == 401);
    CAPTURE(proxy_.log(), responder_->log());
    CHECK(poll_until(2s, [&] { return responder_->log().find("webhook from ::1 refused") != std::string::npos; }));
    CHECK(responder_->log().find("webhook from 127.0.0.2 refused") != std::string::npos);
    CHECK(responder_->log().find("203.0.113.7") == std::string::npos);
  }

  void limits_bodies() {
    INFO(proxy_.log() << responder_->log());
    // The largest comes through whole: its signature is right, only its text is not.
    CHECK(signed_post(std::string(body_limit, ' ')).status == 400);
    // One more is refused before it is sent.
    CHECK(ask(head(webhook_path, fmt::format("Content-Length: {}\r\n", body_limit + 1))).status == 413);
    std::string unsaid = head(webhook_path, "Transfer-Encoding: chunked\r\n");
    const std::string chunk = "1000\r\n" + std::string(0x1000, ' ') + "\r\n";
    for (std::size_t sent = 0; sent <= body_limit; sent += 0x1000) unsaid += chunk;
    CHECK(ask(unsaid + "0\r\n\r\n").status == 413);
  }

  void refuses_old_tls() {
    CHECK(TlsClient("127.0.0.1", "127.0.0.1", proxy_.port, proxy_.ca_file(), TLS1_2_VERSION).connected());
    CHECK_FALSE(TlsClient("127.0.0.1", "127.0.0.1", proxy_.port, proxy_.ca_file(), TLS1_1_VERSION).connected());
  }

  void says_at_once_that_the_program_is_away() {
    CHECK(responder_->stop(SIGTERM) == 0);
    const auto began = std::chrono::steady_clock::now();
    const auto status = signed_post(body("A4")).status;
    INFO(proxy_.log());
    CHECK((status == 502 || status == 503));
    CHECK(std::chrono::steady_clock::now() - began < 2s);
  }

  // It does not come again, so what a health check found before must not keep it out.
  void takes_the_first_webhook_when_the_program_is_back() {
    INFO(proxy_.log());
    REQUIRE(poll_until(5s, [&] { return proxy_.has_noticed(); }));
    start_program();
    CHECK(signed_post(body("A5")).body == R"({"status":"accepted"})");
  }

  void meanwhile_closes_on_a_slow_client(const std::function<void()>& meanwhile) {
    TlsClient slow("127.0.0.1", "127.0.0.1", proxy_.port, proxy_.ca_file());
    REQUIRE(slow.send(fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\n", webhook_path, host)));
    meanwhile();
    const auto began = std::chrono::steady_clock::now();
    slow.read_answer();
    CHECK(std::chrono::steady_clock::now() - began < 5s);
  }

 private:
  void start_program() { responder_->start(proxy_.program_environment()); }
  std::string body(const std::string& alert) const {
    return organization_body(alert, camera_, now_ms() / 60'000 * 60'000, 2);
  }
  std::string signature(const std::string& of) const {
    return fmt::format("X-Rhombus-Signature-SHA1: {}\r\n", hmac_hex(of, responder_->secret(), false));
  }
  std::string head(std::string_view path, const std::string& more) const {
    return fmt::format(
        "POST {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n{}\r\n", path, host,
        more);
  }
  // `from` is of the family that the proxy is reached over.
  Answer ask(const std::string& request, const std::string& from = "127.0.0.1") const {
    TlsClient client(from, from.find(':') == std::string::npos ? "127.0.0.1" : "::1", proxy_.port, proxy_.ca_file());
    client.send(request);  // a refusal may come before its end
    return client.read_answer();
  }
  Answer post(const std::string& body, const std::string& from = "127.0.0.1", std::string_view path = webhook_path,
              const std::string& headers = "") const {
    return ask(head(path, fmt::format("Content-Length: {}\r\n{}", body.size(), headers)) + body, from);
  }
  Answer signed_post(const std::string& body, const std::string& from = "127.0.0.1") const {
    return post(body, from, webhook_path, signature(body));
  }

  FakeRhombus rhombus_;
  std::string camera_ =
      rhombus_.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  Kind proxy_;
  std::unique_ptr<Responder> responder_;
};

}  // namespace

TEMPLATE_TEST_CASE("the example of deploy/ for a reverse proxy", "", Nginx, Caddy, Haproxy) {
  ::signal(SIGPIPE, SIG_IGN);  // of a proxy that has had enough of us
  Scenario<TestType> scenario;
  scenario.answers_as_the_program_does();
  scenario.tells_who_the_client_is();
  scenario.limits_bodies();
  scenario.refuses_old_tls();
  scenario.meanwhile_closes_on_a_slow_client([&] {
    scenario.says_at_once_that_the_program_is_away();
    scenario.takes_the_first_webhook_when_the_program_is_back();
  });
}
