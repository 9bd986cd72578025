#include "client_tls.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include "responder/base/clock.hpp"
#include "responder/base/synchronized.hpp"

namespace responder::net {
namespace {

// A handshake takes about ten messages, and a server may send some tickets and new keys afterwards.
constexpr std::size_t max_messages = 128;
// Beyond some, records must carry data worth their cost.
constexpr std::size_t min_records = 10'000;
constexpr std::size_t least_bytes_a_record = 16;

KeyHash key_hash(X509* certificate) {
  KeyHash hash{};
  unsigned char* der = nullptr;
  const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (length > 0) {
    EVP_Digest(der, static_cast<std::size_t>(length), hash.data(), nullptr, EVP_sha256(), nullptr);
    OPENSSL_free(der);
  }
  return hash;
}

struct FreeStore {
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
};

// The certificates that are believed: the system's, and those of `ca_file` unless it is empty. nullptr: it cannot be
// loaded.
std::shared_ptr<X509_STORE> read_store(const std::string& ca_file) {
  std::shared_ptr<X509_STORE> store(X509_STORE_new(), FreeStore());
  const bool loaded = store != nullptr && X509_STORE_set_default_paths(store.get()) == 1 &&
                      (ca_file.empty() || X509_STORE_load_file(store.get(), ca_file.c_str()) == 1);
  ERR_clear_error();
  // As libcurl allows for its own: `ca_file` may have the server's certificate, or an intermediate one, alone.
  if (loaded) X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  return loaded ? store : nullptr;
}

// The same, read once for all connections: the system's are more than a hundred, which take some 20 ms and a
// megabyte. They are read anew when `ca_file` has changed, and every hour, as the system's are updated. Thread-safe.
std::shared_ptr<X509_STORE> shared_store(const std::string& ca_file) {
  struct Read {
    std::shared_ptr<X509_STORE> store;
    std::filesystem::file_time_type written;
    SteadyTime at;
  };
  constexpr std::chrono::hours longest{1};
  static Synchronized<std::map<std::string, Read>> all;
  std::error_code none;
  const auto written = std::filesystem::last_write_time(ca_file, none);
  const auto now = SystemClock().steady_now();
  auto stores = all.lock();
  auto& read = (*stores)[ca_file];
  if (read.store == nullptr || read.written != written || now >= read.at + longest)
    read = {read_store(ca_file), written, now};
  return read.store;
}

}  // namespace

int ClientSockets::open(int family, int type, int protocol) {
  const int made = ::socket(family, type | SOCK_CLOEXEC, protocol);
  if (made < 0) return -1;
  sockets_.push_back(made);
  ++opened_;
  return made;
}

int ClientSockets::close(int socket) {
  std::erase(sockets_, socket);
  return ::close(socket);
}

void ClientSockets::shut_down() {
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
}

bool ClientTls::prepare(SSL_CTX* context) {
  messages_ = 0;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_msg_callback(context, on_message);
  SSL_CTX_set_msg_callback_arg(context, this);
  switch (trust_.mode) {
    case Trust::Mode::verify: {
      const auto store = shared_store(trust_.ca_file);
      if (store == nullptr) return false;
      SSL_CTX_set1_cert_store(context, store.get());  // counts it once more
      return true;
    }
    case Trust::Mode::pinned:
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
      SSL_CTX_set_cert_verify_callback(context, verify_key, this);
      break;
    case Trust::Mode::insecure: break;
  }
  if (trust_.allow_1024_bits) SSL_CTX_set_security_level(context, 1);
  return true;
}

void ClientTls::begin_request() {
  refused_.reset();
  flooded_ = hello_sent_ = false;
  messages_ = records_ = bytes_ = 0;
}

bool ClientTls::received(std::size_t bytes) {
  bytes_ += bytes;
  flooded_ = flooded_ || (records_ > min_records && bytes_ / records_ < least_bytes_a_record);
  return !flooded_;
}

// OpenSSL's verification hook for Trust::pinned: only the key counts.
int ClientTls::verify_key(X509_STORE_CTX* context, void* self) {
  auto& tls = *static_cast<ClientTls*>(self);
  X509* certificate = X509_STORE_CTX_get0_cert(context);
  auto accepted = certificate != nullptr && tls.trust_.accept_key
                      ? tls.trust_.accept_key(key_hash(certificate))
                      : Result<void>(Error{ErrorKind::auth, "it shows no certificate"});
  if (accepted) {
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
  }
  tls.refused_ = accepted.error();
  X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

void ClientTls::on_message(int written, int, int type, const void*, std::size_t, SSL*, void* self) {
  auto& tls = *static_cast<ClientTls*>(self);
  if (written != 0) {
    tls.hello_sent_ = tls.hello_sent_ || type == SSL3_RT_HANDSHAKE;
  } else {
    tls.count(type);
  }
}

// OpenSSL reads on for as long as there are messages that are not data, so the count alone ends them.
void ClientTls::count(int type) {
  if (type == SSL3_RT_HEADER) ++records_;
  if (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT || type == SSL3_RT_CHANGE_CIPHER_SPEC) ++messages_;
  if (messages_ <= max_messages || flooded_) return;
  flooded_ = true;
  sockets_.shut_down();
}

}  // namespace responder::net
