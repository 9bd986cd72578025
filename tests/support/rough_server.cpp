#include "rough_server.hpp"

#include <array>
#include <csignal>
#include <cstdio>
#include <stdexcept>

#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace responder::test {
namespace {

void must(bool done, const char* what) {
  if (!done) throw std::runtime_error(what);
}

void use_certificate(SSL_CTX* context, const ServerKind& kind, const std::string& file) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(2048), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(X509_new(), X509_free);
  X509* x = certificate.get();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), kind.valid_from);
  X509_gmtime_adj(X509_getm_notAfter(x), kind.valid_until);
  X509_set_pubkey(x, key.get());
  auto* name = X509_get_subject_name(x);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("rough"), -1, -1, 0);
  X509_set_issuer_name(x, name);
  X509V3_CTX extension_context;
  X509V3_set_ctx_nodb(&extension_context);
  X509V3_set_ctx(&extension_context, x, x, nullptr, nullptr, 0);
  for (const auto& [id, value] :
       {std::pair(NID_subject_alt_name, "IP:127.0.0.1"), std::pair(NID_basic_constraints, "critical,CA:TRUE")}) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &extension_context, id, value);
    must(extension != nullptr, "no extension");
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  }
  must(X509_sign(x, key.get(), EVP_sha256()) > 0, "cannot sign");
  must(SSL_CTX_use_certificate(context, x) == 1 && SSL_CTX_use_PrivateKey(context, key.get()) == 1, "cannot use it");
  const std::unique_ptr<FILE, decltype(&std::fclose)> out(std::fopen(file.c_str(), "w"), std::fclose);
  PEM_write_X509(out.get(), x);
}

void allow_only_weak_dhe(SSL_CTX* context) {
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
  must(SSL_CTX_set_cipher_list(context, "DHE-RSA-AES128-GCM-SHA256") == 1, "no cipher");
  std::unique_ptr<BIGNUM, decltype(&BN_free)> prime(BN_get_rfc2409_prime_1024(nullptr), BN_free);
  std::unique_ptr<BIGNUM, decltype(&BN_free)> generator(BN_new(), BN_free);
  BN_set_word(generator.get(), 2);
  const std::unique_ptr<OSSL_PARAM_BLD, decltype(&OSSL_PARAM_BLD_free)> builder(OSSL_PARAM_BLD_new(),
                                                                                OSSL_PARAM_BLD_free);
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_FFC_P, prime.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_FFC_G, generator.get());
  const std::unique_ptr<OSSL_PARAM, decltype(&OSSL_PARAM_free)> params(OSSL_PARAM_BLD_to_param(builder.get()),
                                                                       OSSL_PARAM_free);
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> making(
      EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* group = nullptr;
  EVP_PKEY_fromdata_init(making.get());
  must(EVP_PKEY_fromdata(making.get(), &group, EVP_PKEY_KEY_PARAMETERS, params.get()) == 1, "no group");
  must(SSL_CTX_set0_tmp_dh_pkey(context, group) == 1, "cannot use the group");
}

}  // namespace

Peer::Peer(int fd, SSL_CTX* context, std::stop_token stop)
    : fd_(fd), ssl_(context != nullptr ? SSL_new(context) : nullptr, SSL_free), stop_(std::move(stop)) {
  if (ssl_) SSL_set_fd(ssl_.get(), fd_);
}

Peer::~Peer() {
  ssl_.reset();
  ::close(fd_);
}

bool Peer::handshake() { return SSL_accept(ssl_.get()) == 1; }

std::string Peer::read_head() {
  std::string head;
  std::array<char, 4096> buffer{};
  while (head.find("\r\n\r\n") == std::string::npos) {
    const auto size = ssl_ ? SSL_read(ssl_.get(), buffer.data(), buffer.size())
                           : static_cast<int>(::recv(fd_, buffer.data(), buffer.size(), 0));
    if (size <= 0) return {};
    head.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return head;
}

bool Peer::send(std::string_view data) {
  if (!ssl_) return send_raw(data);
  return SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size())) == static_cast<int>(data.size());
}

bool Peer::send_raw(std::string_view data) {
  return ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(data.size());
}

bool Peer::update_keys() {
  return SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1 && SSL_do_handshake(ssl_.get()) == 1;
}

void Peer::close_politely() {
  SSL_shutdown(ssl_.get());
  ::shutdown(fd_, SHUT_WR);
}

void Peer::wait_for_end() {
  std::array<char, 4096> buffer{};
  while (::recv(fd_, buffer.data(), buffer.size(), 0) > 0) continue;
}

bool Peer::wait(std::chrono::milliseconds time) {
  SystemClock clock;
  return clock.sleep(time, stop_);
}

RoughServer::RoughServer(ServerKind kind, Behaviour behaviour) : kind_(kind), behaviour_(std::move(behaviour)) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to clients that are gone
  if (kind_.tls) {
    context_.reset(SSL_CTX_new(TLS_server_method()));
    use_certificate(context_.get(), kind_, ca_file());
    if (kind_.weak_dhe) allow_only_weak_dhe(context_.get());
  }
  listening_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  must(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0, "cannot bind");
  must(::listen(listening_.get(), 16) == 0, "cannot listen");
  ::getsockname(listening_.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  accepting_ = std::jthread([this](std::stop_token stop) { accept_all(std::move(stop)); });
}

RoughServer::~RoughServer() {
  accepting_.request_stop();
  ::shutdown(listening_.get(), SHUT_RDWR);  // ends its accept()
  accepting_.join();
  connections_.clear();
}

void RoughServer::accept_all(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const int fd = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    connections_.emplace_back([this, fd](std::stop_token over) {
      const std::stop_callback end(over, [fd] { ::shutdown(fd, SHUT_RDWR); });
      Peer peer(fd, context_.get(), over);
      behaviour_(peer);
    });
  }
}

net::Url RoughServer::url() const {
  return *net::Url::parse(fmt::format("{}://127.0.0.1:{}", kind_.tls ? "https" : "http", port_));
}

std::size_t RoughServer::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_.size();
}

}  // namespace responder::test
