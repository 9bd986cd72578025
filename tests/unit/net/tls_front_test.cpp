// The front with TLS, and clients that write the records themselves.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "responder/net/http_client.hpp"
#include "responder/net/http_front.hpp"

#include "fake_rhombus.hpp"
#include "temp_folder.hpp"
#include "tls_attacker.hpp"

using namespace responder;
using namespace responder::net;
using namespace responder::test;
using namespace std::chrono_literals;

namespace {

const std::string request = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr int most_without_data = 32;

struct Fixture {
  TempFolder folder;
  SystemClock clock;
  fake_rhombus::Identity identity = fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr);
  std::unique_ptr<HttpFront> front;

  Fixture() {
    write_identity(identity);
    start([](const ServerRequest&, ReplySlot reply) { reply.send({.status = 200, .body = std::string(50, 'y')}); });
  }

  std::string in(const char* name) const { return (folder / name).string(); }
  void write_identity(const fake_rhombus::Identity& one) const {
    std::ofstream(folder / "cert.pem") << one.certificate_pem();
    std::ofstream(folder / "key.pem") << one.key_pem();
  }
  void start(RequestHandler handler) {
    FrontOptions options;
    options.listen = *ListenAddress::parse("127.0.0.1:0");
    options.tls_cert = in("cert.pem");
    options.tls_key = in("key.pem");
    front = std::move(*HttpFront::open(options, std::move(handler), clock));
  }
  TlsAttacker attacker(TlsVersion version = TlsVersion::tls13) const { return {front->port(), version}; }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "records without data are endured, and not without end") {
  auto one = attacker();
  for (int i = 0; i < most_without_data; ++i) one.socket().send(one.key_update());
  // A request begins the count anew, however often.
  for (int round = 0; round < 3; ++round) {
    REQUIRE(one.is_answered(request));
    for (int i = 0; i < most_without_data; ++i) one.socket().send(one.key_update());
  }
  one.socket().send(one.key_update());
  CHECK(one.socket().closed_by_server());
}

TEST_CASE_METHOD(Fixture, "a refused renegotiation does no harm, and many end the connection") {
  auto one = attacker(TlsVersion::tls12);
  // Records are made in the order in which they go.
  std::string two = one.renegotiation();
  two += one.renegotiation();
  one.socket().send(two);
  CHECK(one.is_answered(request));
  std::string many;
  for (int i = 0; i <= most_without_data; ++i) many += one.renegotiation();
  one.socket().send(many);
  CHECK(one.socket().closed_by_server());
}

TEST_CASE_METHOD(Fixture, "requests and control records in one packet are worked off to the last") {
  for (const auto version : {TlsVersion::tls12, TlsVersion::tls13}) {
    auto one = attacker(version);
    std::string all;
    for (const char byte : request) {
      all += one.application_data(std::string(1, byte));
      all += one.application_data("");
    }
    all += one.warning();
    CHECK(one.socket().send(all) == all.size());
    CHECK(one.is_answered(request));
    CHECK(one.is_answered(request));
  }
}

TEST_CASE_METHOD(Fixture, "an error that somebody left in OpenSSL's queue is not the next connection's") {
  start([](const ServerRequest&, ReplySlot reply) {
    ERR_raise(ERR_LIB_USER, 1);
    reply.send({.status = 200, .body = std::string(50, 'y')});
  });
  auto one = attacker();
  auto other = attacker();
  REQUIRE(one.is_answered(request));
  // Here OpenSSL has nothing to return, and looks into the queue for the reason.
  other.socket().send(other.key_update());
  CHECK(other.is_answered(request));
  CHECK(one.is_answered(request));
}

TEST_CASE_METHOD(Fixture, "a first message in pieces is put together, and not from thousands") {
  const RawSocket patient(front->port());
  const auto hello = client_hello();
  patient.send(in_handshake_records(hello, 1));
  REQUIRE(hello.size() < 256);
  CHECK(patient.receive(1) == "\x16");
  const RawSocket dripping(front->port());
  for (const char byte : in_handshake_records(hello, 16'384)) dripping.send(std::string(1, byte));
  CHECK(dripping.receive(1) == "\x16");
  const RawSocket endless(front->port());
  endless.send(in_handshake_records(client_hello({.padding = 400}), 1));
  CHECK(endless.receive(1).empty());
  const RawSocket large(front->port());
  large.send(in_handshake_records(client_hello({.padding = 60'000}), 16'384));
  CHECK(large.receive(1).empty());
  const RawSocket no_tls(front->port());
  no_tls.send(request);
  CHECK(no_tls.receive(1).empty());
}

TEST_CASE_METHOD(Fixture, "a client cannot choose a key exchange that costs tens of milliseconds") {
  constexpr std::uint16_t ffdhe8192 = 0x0104;
  const RawSocket costly(front->port());
  costly.send(in_handshake_records(client_hello({.group = ffdhe8192, .share_size = 1024}), 16'384));
  CHECK(costly.receive(1) == "\x15");
}

TEST_CASE_METHOD(Fixture, "of the usual curves only the quick ones are taken") {
  const std::pair<const char*, bool> curves[] = {
      {"X25519", true}, {"P-256", true}, {"P-384", false}, {"P-521", false}};
  for (const auto& [curve, is_taken] : curves) {
    CAPTURE(curve);
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    std::string groups = curve;  // the macro takes no constant
    SSL_CTX_set1_groups_list(context.get(), groups.data());
    const RawSocket socket(front->port());
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    CHECK((SSL_connect(ssl.get()) == 1) == is_taken);
    ERR_clear_error();
  }
}

TEST_CASE_METHOD(Fixture, "the server keeps nothing of a client that has gone") {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_SESSION* session = nullptr;
  for (const bool resumed : {false, false}) {
    const RawSocket socket(front->port());
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    if (session != nullptr) SSL_set_session(ssl.get(), session);
    REQUIRE(SSL_connect(ssl.get()) == 1);
    CHECK((SSL_session_reused(ssl.get()) == 1) == resumed);
    SSL_SESSION_free(session);
    session = SSL_get1_session(ssl.get());
    SSL_shutdown(ssl.get());
  }
  SSL_SESSION_free(session);
}

TEST_CASE_METHOD(Fixture,
                 "a client needs no more than the server's own certificate in ca_file, and notices another") {
  const auto ca = fake_rhombus::make_ca("one");
  identity = fake_rhombus::make_server("localhost", {"127.0.0.1"}, &ca);
  write_identity(identity);
  REQUIRE(front->reload_certificate());
  Trust trust;
  trust.ca_file = in("ca.pem");
  const auto ask = [&] {
    const auto url = *Url::parse("https://127.0.0.1:" + std::to_string(front->port()));
    return HttpConnection(url, trust, {}).get("/", {}, 1024, {});
  };
  std::ofstream(trust.ca_file) << identity.certificate_pem();
  CHECK(ask());
  CHECK(ask());
  std::ofstream(trust.ca_file) << fake_rhombus::make_ca("another").certificate_pem();
  std::filesystem::last_write_time(trust.ca_file, std::filesystem::file_time_type::clock::now() + 1s);
  CHECK_FALSE(ask());
}

TEST_CASE_METHOD(Fixture, "the certificate in use is known, a new one after it was read") {
  const auto before = front->certificate();
  REQUIRE(before);
  CHECK(before->until - clock.wall_now() < 30 * 24h);
  CHECK(before->until - clock.wall_now() > 29 * 24h);
  write_identity(fake_rhombus::make_server("localhost", {"127.0.0.1"}, nullptr, 90));
  CHECK(front->certificate() == before);
  REQUIRE(front->reload_certificate());
  CHECK(front->certificate()->until - before->until > 59 * 24h);
  std::ofstream(folder / "key.pem") << "no key";
  CHECK_FALSE(front->reload_certificate());
  CHECK(front->certificate()->until - before->until > 59 * 24h);
}

TEST_CASE_METHOD(Fixture, "an encrypted key is refused, and nobody is asked for its pass phrase") {
  std::unique_ptr<BIO, decltype(&BIO_free)> key(BIO_new_file(in("key.pem").c_str(), "w"), BIO_free);
  char phrase[] = "secret";
  REQUIRE(PEM_write_bio_PrivateKey(
              key.get(), identity.key.get(), EVP_aes_256_cbc(), nullptr, 0,
              [](char* out, int, int, void* given) {
                std::copy_n(static_cast<char*>(given), 6, out);
                return 6;
              },
              phrase) == 1);
  key.reset();
  const auto checked = check_server_files(in("cert.pem"), in("key.pem"), "");
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message ==
        "the key " + in("key.pem") + " (webhook.tls_key) is encrypted: give one without a pass phrase");
}
