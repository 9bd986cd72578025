// What strangers may do to the listener, from outside. The defects are those of the HTTP library that is behind it.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <httplib.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <zlib.h>

#include "responder/base/file.hpp"

#include "responder_process.hpp"
#include "sanitizers.hpp"

using namespace responder::test;
using namespace std::chrono_literals;
using fake_rhombus::FakeRhombus;
using fake_rhombus::hmac_hex;
using fake_rhombus::organization_body;
using responder::UniqueFd;

namespace {

const std::map<std::string, std::string> plain{{"RHOMBUS_RESPONDER_WEBHOOK_TLS_CERT", ""},
                                               {"RHOMBUS_RESPONDER_WEBHOOK_TLS_KEY", ""}};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// What is sent is what is written here.
class RawClient {
 public:
  explicit RawClient(int port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval timeout{5, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    REQUIRE(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }

  // How much of it was taken before the server had enough.
  std::size_t send(const std::string& text) const {
    std::size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t part = ::send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (part <= 0) break;
      sent += static_cast<std::size_t>(part);
    }
    return sent;
  }
  // All that comes until the server closes.
  std::string rest() const {
    std::string all;
    char buffer[4096];
    while (true) {
      const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return all;
      all.append(buffer, static_cast<std::size_t>(got));
    }
  }

 private:
  UniqueFd fd_;
};

struct Fixture {
  FakeRhombus rhombus;
  std::string camera =
      rhombus.add_camera({.name = "Cam", .video = {.width = 64, .height = 64, .frames_per_second = 5}});
  std::unique_ptr<Responder> responder;

  Fixture() {
    rhombus.start();
    responder = std::make_unique<Responder>(rhombus);
  }
  void start_plain(std::map<std::string, std::string> environment = {}) {
    environment.insert(plain.begin(), plain.end());
    responder->start(environment);
  }

  std::string answer(const std::string& request) const {
    const RawClient client(responder->port());
    client.send(request);
    return client.rest();
  }
  // A request that is right but for the fields that are added.
  std::string signed_request(const std::string& body, const std::string& fields = "") const {
    return fmt::format(
        "POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        "x-rhombus-signature-sha256: {}\r\nContent-Length: {}\r\n{}\r\n{}",
        hmac_hex(body, responder->secret(), true), body.size(), fields, body);
  }
  std::string body(const std::string& alert) const {
    return organization_body(alert, camera, now_ms() - 3600'000, 2);
  }
  // The log is written by a thread of its own.
  bool log_tells(const std::string& text) const {
    const auto deadline = now_ms() + 5000;
    while (!has(responder->log(), text)) {
      if (now_ms() > deadline) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }
  bool valid_is_taken(const std::string& alert) const {
    return fake_rhombus::send_webhook(responder->url(), body(alert), responder->secret(), false).status == 200;
  }

  // Each of so many valid requests, beside others that cost much, and not too late. One alone may be late because the
  // machine is busy with something else.
  void check_valid_are_taken(std::size_t count) const {
    constexpr std::int64_t longest_ms = is_sanitized ? 20'000 : 2'500;
    std::vector<std::int64_t> took_ms;
    for (std::size_t i = 0; i < count; ++i) {
      const auto began = now_ms();
      CHECK(valid_is_taken(fmt::format("A{}", i)));
      took_ms.push_back(now_ms() - began);
    }
    std::sort(took_ms.begin(), took_ms.end());
    CHECK(took_ms[count / 2] < longest_ms);
  }
};

std::string gzipped(const std::string& text) {
  z_stream stream{};
  constexpr int gzip_format = 15 + 16;
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, gzip_format, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::int64_t resident_kib(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

// As the macro BIO_set_conn_hostname, whose cast takes the const from what is only read.
void set_peer(BIO* connection, int port) {
  auto name = fmt::format("127.0.0.1:{}", port);
  BIO_set_conn_hostname(connection, name.data());
}

// The certificate that is served just now, as its serial number; 0: the handshake failed.
long served_serial(int port) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> connection(BIO_new_ssl_connect(context.get()), BIO_free_all);
  set_peer(connection.get(), port);
  if (BIO_do_handshake(connection.get()) != 1) return 0;
  SSL* ssl = nullptr;
  BIO_get_ssl(connection.get(), &ssl);
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(ssl), X509_free);
  return ASN1_INTEGER_get(X509_get0_serialNumber(shown.get()));
}

}  // namespace

TEST_CASE_METHOD(Fixture, "what is too much or read in two ways is refused, and the connection closed") {
  start_plain();
  const std::string post = "POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  std::string many_headers = post;
  for (int i = 0; i < 10'000; ++i) many_headers += fmt::format("H{}: x\r\n", i);
  std::string many_chunks = chunked;
  for (int i = 0; i < 5000; ++i) many_chunks += "1\r\nx\r\n";
  const std::pair<std::string, int> table[] = {
      {post + "Content-Length: 4097\r\n\r\n", 413},
      {many_chunks, 413},
      {chunked + "fffffff\r\n", 413},
      {many_headers, 431},
      {post + "X: " + std::string(1 << 20, 'x'), 431},
      {std::string(1 << 20, 'x'), 431},
      {post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400},
      {post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400},
      {post + "Content-Length: two\r\n\r\n{}", 400},
      {post + "Content-Length: -1\r\n\r\n", 400},
      {chunked + "-1\r\n\r\n", 400},
      {chunked + "2\n{}\n0\n\n" + std::string(300, ' '), 400},
      {"GET /webhook/rhombus\r\n\r\n", 400},
      {"\x16\x03\x01\x02", 400},
      {post + "Content-Length: \x0c"
              "2\r\n\r\n{}",
       400},
      {post + "Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n", 400},
      {post + "X: y\r\r\n\r\n", 400},
  };
  const auto before = resident_kib(responder->pid());
  for (const auto& [request, status] : table) {
    CAPTURE(request.substr(0, 200));
    CHECK(answer(request).starts_with(fmt::format("HTTP/1.1 {} ", status)));
  }
  CHECK(resident_kib(responder->pid()) - before < (is_sanitized ? 256 : 16) * 1024);
  // A line without end is not read to its end.
  const RawClient endless(responder->port());
  const std::string part(1 << 20, 'x');
  std::size_t taken = 0;
  for (int i = 0; i < 100; ++i) {
    const auto sent = endless.send(part);
    taken += sent;
    if (sent < part.size()) break;
  }
  CHECK(taken < 50U << 20U);
  CHECK(valid_is_taken("A"));
}

TEST_CASE_METHOD(Fixture, "what the HTTP library would act on changes nothing") {
  start_plain({{"RHOMBUS_RESPONDER_WEBHOOK_MAX_BODY_BYTES", "65536"}});
  // Neither a part of the answer, nor a body that is unpacked, parsed as a form or cut off.
  const auto ranged = answer(signed_request(body("A"), "Range: bytes=0-1,1-2,2-3\r\n"));
  CHECK(ranged.starts_with("HTTP/1.1 200 "));
  CHECK(ranged.ends_with(R"({"status":"accepted"})"));
  const auto bomb = gzipped(std::string(30 << 20, ' '));
  const auto before = resident_kib(responder->pid());
  CHECK(answer(signed_request(bomb, "Content-Encoding: gzip\r\n")).starts_with("HTTP/1.1 400 "));
  CHECK(resident_kib(responder->pid()) - before < (is_sanitized ? 256 : 16) * 1024);
  const auto padded = body("B") + std::string(20'000, ' ');
  CHECK(answer(signed_request(padded, "Content-Type: application/x-www-form-urlencoded\r\n"))
            .ends_with(R"({"status":"accepted"})"));
  CHECK(answer(signed_request(body("C"), "Content-Type: multipart/form-data; boundary=x\r\n"))
            .ends_with(R"({"status":"accepted"})"));

  // A signature stands as it is: neither decoded, nor passed over when it is empty.
  std::string encoded;
  for (const char c : hmac_hex(body("D"), responder->secret(), true)) encoded += fmt::format("%{:02x}", c);
  CHECK(answer(fmt::format("POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                           "x-rhombus-signature-sha256: {}\r\nContent-Length: {}\r\n\r\n{}",
                           encoded, body("D").size(), body("D")))
            .starts_with("HTTP/1.1 401 "));
  CHECK(answer(
            fmt::format("POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                        "x-rhombus-signature-sha256:\r\nx-rhombus-signature-sha1: {}\r\nContent-Length: {}\r\n\r\n{}",
                        hmac_hex(body("D"), responder->secret(), false), body("D").size(), body("D")))
            .starts_with("HTTP/1.1 401 "));

  // Who asked is who is connected, in one line of the log.
  const auto forged = fmt::format(
      "POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\nConnection: close\r\nREMOTE_ADDR: 6.6.6.6\r\n"
      "X-Forwarded-For: 7.7.7.7%0d%0aforged line\r\nx-rhombus-signature-sha1: {}\r\nContent-Length: 2\r\n\r\n{{}}",
      std::string(40, '0'));
  CHECK(answer(forged).starts_with("HTTP/1.1 401 "));
  CHECK_FALSE(has(answer(forged), "EXCEPTION"));
  CHECK(log_tells("webhook from 127.0.0.1 refused: the signature is wrong"));
  CHECK_FALSE(has(responder->log(), "6.6.6.6"));
  CHECK_FALSE(has(responder->log(), "\nforged line"));

  // A second one on the same port is told so; one that stops does not wait for who idles.
  const auto second = responder->command(
      {"serve"}, {{"RHOMBUS_RESPONDER_WEBHOOK_LISTEN", fmt::format("127.0.0.1:{}", responder->port())},
                  {"RHOMBUS_RESPONDER_JOURNAL_PATH", (responder->folder() / "other/journal.db").string()},
                  {"RHOMBUS_RESPONDER_WEBHOOK_TLS_CERT", ""},
                  {"RHOMBUS_RESPONDER_WEBHOOK_TLS_KEY", ""}});
  CHECK(second.status == 2);
  CHECK(has(second.err, "another program has it"));
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 50; ++i) idle.push_back(std::make_unique<RawClient>(responder->port()));
  const auto began = now_ms();
  CHECK(responder->stop(SIGTERM) == 0);
  CHECK(now_ms() - began < 4000);
}

TEST_CASE_METHOD(Fixture, "a request in records of one byte is read to its end") {
  responder->start();
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> connection(BIO_new_ssl_connect(context.get()), BIO_free_all);
  set_peer(connection.get(), responder->port());
  REQUIRE(BIO_do_handshake(connection.get()) == 1);
  // Many more bytes on the wire than OpenSSL reads ahead.
  const auto request = signed_request(body("A") + std::string(3000, ' '));
  for (const char byte : request) REQUIRE(BIO_write(connection.get(), &byte, 1) == 1);
  char answer[512];
  const int got = BIO_read(connection.get(), answer, sizeof answer);
  REQUIRE(got > 0);
  CHECK(std::string(answer, static_cast<std::size_t>(got)).starts_with("HTTP/1.1 200 "));
}

TEST_CASE_METHOD(Fixture, "slow, silent and half-open clients keep nobody out", "[alone]") {
  responder->start();
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 300; ++i) {
    held.push_back(std::make_unique<RawClient>(responder->port()));
    if (i % 3 == 0) held.back()->send("\x16\x03\x01");
    if (i % 3 == 1) held.back()->send("POST /webhook/rhombus HTTP/1.1\r\n");
  }
  check_valid_are_taken(10);
}

TEST_CASE_METHOD(Fixture, "clients that send thousands of requests ahead, and read nothing, keep nobody out",
                 "[alone]") {
  start_plain();
  std::string ahead;
  while (ahead.size() < 500'000) ahead += "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
  std::vector<std::thread> threads;
  std::atomic<bool> over{false};
  for (int i = 0; i < 60; ++i) {
    threads.emplace_back([&] {
      const RawClient client(responder->port());
      client.send(ahead);
      while (!over) std::this_thread::sleep_for(10ms);
    });
  }
  check_valid_are_taken(20);
  over = true;
  for (auto& thread : threads) thread.join();
}

TEST_CASE_METHOD(Fixture, "bodies of tiny chunks, and bodies that lack a byte, keep nobody out and fill no memory",
                 "[alone]") {
  start_plain({{"RHOMBUS_RESPONDER_WEBHOOK_MAX_BODY_BYTES", "262144"}});
  const std::string post = "POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\n";
  std::string tiny = post + "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 262'000; ++i) tiny += "1\r\na\r\n";
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      while (!over) {
        const RawClient client(responder->port());
        client.send(tiny);
      }
    });
  }
  check_valid_are_taken(10);
  over = true;
  for (auto& thread : threads) thread.join();

  const auto before = resident_kib(responder->pid());
  const auto lacking = post + "Content-Length: 262144\r\n\r\n" + std::string(262'143, 'x');
  std::vector<std::unique_ptr<RawClient>> held;
  for (int i = 0; i < 500; ++i) {
    held.push_back(std::make_unique<RawClient>(responder->port()));
    held.back()->send(lacking);
  }
  CHECK(valid_is_taken("B"));
  CHECK(resident_kib(responder->pid()) - before < (is_sanitized ? 512 : 64) * 1024);
}

TEST_CASE_METHOD(Fixture, "of several lines of X-Forwarded-For the last hop counts") {
  start_plain();
  const auto request = fmt::format(
      "POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6\r\n"
      "X-Forwarded-For: 203.0.113.9\r\nx-rhombus-signature-sha1: {}\r\nContent-Length: 2\r\n\r\n{{}}",
      std::string(40, '0'));
  CHECK(answer(request).starts_with("HTTP/1.1 401 "));
  CHECK(log_tells("webhook from 203.0.113.9 refused"));
}

TEST_CASE_METHOD(Fixture, "wrong signatures are counted, and the log has a line, not one each") {
  start_plain();
  const auto request = fmt::format(
      "POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\nx-rhombus-signature-sha1: {}\r\nContent-Length: 2\r\n\r\n{{}}",
      std::string(40, '0'));
  std::string batch;
  constexpr int count = 500;
  for (int i = 0; i < count; ++i) batch += request;
  const RawClient client(responder->port());
  client.send(batch + "GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const auto answers = client.rest();
  std::size_t refused = 0;
  for (auto at = answers.find(" 401 "); at != std::string::npos; at = answers.find(" 401 ", at + 1)) ++refused;
  CHECK(refused == count);
  CHECK(valid_is_taken("A"));
  REQUIRE(log_tells("refused: the signature is wrong"));
  const auto log = responder->log();
  const auto first = log.find("refused: the signature is wrong");
  CHECK(log.find("refused", first + 10) == std::string::npos);
}

TEST_CASE_METHOD(Fixture, "only clients with a certificate are let in where that is asked") {
  const auto ours = fake_rhombus::make_ca("Ours");
  const auto theirs = fake_rhombus::make_ca("Theirs");
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(responder->folder() / name) << text;
    return (responder->folder() / name).string();
  };
  responder->start({{"RHOMBUS_RESPONDER_WEBHOOK_CLIENT_CA", write("ca.pem", ours.certificate_pem())}});
  const auto status_with = [&](const fake_rhombus::Identity* issuer) {
    const auto client_identity = fake_rhombus::make_server("client", {}, issuer != nullptr ? issuer : &ours);
    const auto certificate = write("client.pem", client_identity.certificate_pem());
    const auto key = write("client.key", client_identity.key_pem());
    auto client = issuer == nullptr
                      ? std::make_unique<httplib::SSLClient>("127.0.0.1", responder->port())
                      : std::make_unique<httplib::SSLClient>("127.0.0.1", responder->port(), certificate, key);
    client->enable_server_certificate_verification(false);
    const auto text = body("A");
    const auto answer =
        client->Post("/webhook/rhombus", {{"x-rhombus-signature-sha1", hmac_hex(text, responder->secret(), false)}},
                     text, "application/json");
    return answer ? answer->status : 0;
  };
  CHECK(status_with(&ours) == 200);
  CHECK(status_with(nullptr) == 0);
  CHECK(status_with(&theirs) == 0);
}

TEST_CASE_METHOD(Fixture, "certificates and secrets are exchanged under load without a failed request") {
  responder->start();
  std::atomic<bool> over{false};
  std::atomic<int> sent{0};
  std::atomic<int> failed{0};
  const auto load = [&](bool keep_alive, int name) {
    const auto client = [&] {
      auto made = std::make_unique<httplib::SSLClient>("127.0.0.1", responder->port());
      made->enable_server_certificate_verification(false);
      made->set_keep_alive(keep_alive);
      return made;
    };
    auto kept = client();
    for (int i = 0; !over; ++i) {
      const auto text = body(fmt::format("L{}-{}", name, i % 50));
      const auto answer =
          kept->Post("/webhook/rhombus", {{"x-rhombus-signature-sha1", hmac_hex(text, responder->secret(), false)}},
                     text, "application/json");
      ++sent;
      if (!answer || answer->status != 200) ++failed;
      if (!keep_alive) kept = client();
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back(load, true, 1);
  threads.emplace_back(load, false, 2);
  long serial = served_serial(responder->port());
  for (int round = 0; round < 10; ++round) {
    const auto fresh = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr);
    std::ofstream(responder->folder() / "cert.pem") << fresh.certificate_pem();
    std::ofstream(responder->folder() / "key.pem") << fresh.key_pem();
    ::kill(responder->pid(), SIGHUP);
    const auto deadline = now_ms() + 5000;
    while (served_serial(responder->port()) == serial && now_ms() < deadline) std::this_thread::sleep_for(5ms);
    const long now = served_serial(responder->port());
    CHECK(now != serial);
    serial = now;
    for (const int enough = sent + 10; sent < enough && now_ms() < deadline;) std::this_thread::sleep_for(1ms);
  }
  // A pair that does not fit leaves the present one.
  std::ofstream(responder->folder() / "key.pem") << "no key";
  ::kill(responder->pid(), SIGHUP);
  CHECK(log_tells("the running certificate stays"));
  CHECK(served_serial(responder->port()) == serial);
  over = true;
  for (auto& thread : threads) thread.join();
  CHECK(sent > 50);
  CHECK(failed == 0);
}

TEST_CASE_METHOD(Fixture,
                 "a certificate that has expired or is about to is told of at the start and at each reload") {
  const auto write = [&](long days) {
    const auto one = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr, days);
    std::ofstream(responder->folder() / "cert.pem") << one.certificate_pem();
    std::ofstream(responder->folder() / "key.pem") << one.key_pem();
  };
  write(-1);
  responder->start();
  CHECK(log_tells("cert.pem (webhook.tls_cert) has expired at "));
  write(5);
  ::kill(responder->pid(), SIGHUP);
  CHECK(log_tells("cert.pem (webhook.tls_cert) holds a new certificate, in use from now on, valid until "));
  CHECK(log_tells("cert.pem (webhook.tls_cert) expires at "));
  ::kill(responder->pid(), SIGHUP);
  CHECK(log_tells("cert.pem (webhook.tls_cert) holds the same certificate as before, valid until "));
}

TEST_CASE_METHOD(Fixture, "unsigned bodies that are unusable cost a line of log, not one each") {
  start_plain({{"RHOMBUS_RESPONDER_WEBHOOK_ALLOW_UNSIGNED", "true"}});
  constexpr int count = 50;
  std::string batch;
  for (int i = 0; i < count; ++i) batch += "POST /webhook/rhombus HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n[]";
  const RawClient client(responder->port());
  client.send(batch + "GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const auto answers = client.rest();
  std::size_t refused = 0;
  for (auto at = answers.find(" 400 "); at != std::string::npos; at = answers.find(" 400 ", at + 1)) ++refused;
  CHECK(refused == count);
  CHECK(log_tells("refused: the body is unsigned, as allowed, but unusable: "));
  CHECK_FALSE(has(responder->log(), "signed but unusable"));
  const auto log = responder->log();
  CHECK(log.find("unusable", log.find("unusable") + 1) == std::string::npos);
}

TEST_CASE_METHOD(Fixture, "the service manager is told how we are, and lends more than one socket") {
  const auto path = (responder->folder() / "notify").string();
  const UniqueFd notified(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  REQUIRE(::bind(notified.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  timeval timeout{5, 0};
  ::setsockopt(notified.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  const auto told = [&](const std::string& wanted) {
    char buffer[512];
    while (true) {
      const ssize_t got = ::recv(notified.get(), buffer, sizeof buffer, 0);
      if (got <= 0) return false;
      if (has(std::string(buffer, static_cast<std::size_t>(got)), wanted)) return true;
    }
  };
  std::vector<UniqueFd> sockets;
  std::vector<int> ports;
  for (int i = 0; i < 2; ++i) {
    sockets.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof any;
    REQUIRE(::bind(sockets.back().get(), reinterpret_cast<sockaddr*>(&any), length) == 0);
    REQUIRE(::listen(sockets.back().get(), 16) == 0);
    ::getsockname(sockets.back().get(), reinterpret_cast<sockaddr*>(&any), &length);
    ports.push_back(ntohs(any.sin_port));
  }
  responder->start({{"NOTIFY_SOCKET", path}, {"WATCHDOG_USEC", "10000000"}}, {sockets[0].get(), sockets[1].get()});
  CHECK(told("READY=1"));
  CHECK(told("WATCHDOG=1"));
  CHECK(served_serial(ports[0]) != 0);
  CHECK(served_serial(ports[1]) == served_serial(ports[0]));
  ::kill(responder->pid(), SIGHUP);
  CHECK(told("RELOADING=1"));
  CHECK(told("READY=1"));
  CHECK(responder->stop(SIGTERM) == 0);
  CHECK(told("STOPPING=1"));
}

TEST_CASE_METHOD(Fixture, "old events are ignored, and catching up takes those that Rhombus lists") {
  responder->start({{"RHOMBUS_RESPONDER_CATCH_UP_INTERVAL_SECONDS", "0"}});
  const auto send = [&](const std::string& alert, std::int64_t at) {
    return fake_rhombus::send_webhook(responder->url(), organization_body(alert, camera, at, 1), responder->secret(),
                                      false)
        .body;
  };
  const auto eight_days_ago = now_ms() - 8 * 86'400'000LL;
  CHECK(send("A1", eight_days_ago) == R"({"status":"ignored","reason":"too old"})");
  CHECK(send("A1", eight_days_ago) == R"({"status":"duplicate"})");
  CHECK(send("A2", now_ms() + 2 * 3600'000) == R"({"status":"ignored","reason":"in the future"})");
  rhombus.add_alert({.uuid = "A1",
                     .device = camera,
                     .timestamp_ms = eight_days_ago,
                     .duration_s = 1,
                     .triggers = {"MOTION_HUMAN"}});
  CHECK(responder->command({"catch-up", "--after", "-216h"}).status == 0);
  responder->wait_until_done("A1");
}
