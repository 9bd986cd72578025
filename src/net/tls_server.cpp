#include "tls_server.hpp"

#include <array>
#include <ctime>
#include <string>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509err.h>

namespace responder::net {
namespace {

Error tls_error(std::string_view what) {
  std::array<char, 160> reason{};
  ERR_error_string_n(ERR_get_error(), reason.data(), reason.size());
  ERR_clear_error();
  return Error{ErrorKind::permanent, fmt::format("{}: {}", what, reason.data())};
}

// Whoever resumes a session has shown a certificate when it began.
Result<void> require_client_certificate(SSL_CTX* context, const std::string& client_ca_file) {
  constexpr std::array<unsigned char, 17> session_context{"rhombus-responde"};
  SSL_CTX_set_session_id_context(context, session_context.data(), session_context.size() - 1);
  auto* names = SSL_load_client_CA_file(client_ca_file.c_str());
  if (names == nullptr || SSL_CTX_load_verify_locations(context, client_ca_file.c_str(), nullptr) != 1)
    return tls_error(fmt::format("cannot read the clients' authorities {} (webhook.client_ca)", client_ca_file));
  SSL_CTX_set_client_CA_list(context, names);  // takes it over
  constexpr int longest_chain = 8;
  SSL_CTX_set_verify_depth(context, longest_chain);
  SSL_CTX_set_max_cert_list(context, max_client_certificates);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return {};
}

// For keys that are encrypted. OpenSSL's own would ask on the terminal, of whoever happens to sit there.
int note_that_it_is_encrypted(char*, int, int, void* is_encrypted) {
  *static_cast<bool*>(is_encrypted) = true;
  return -1;
}

Result<void> use_key(SSL_CTX* context, const std::string& key_file, const std::string& certificate_file) {
  bool is_encrypted = false;
  SSL_CTX_set_default_passwd_cb(context, note_that_it_is_encrypted);
  SSL_CTX_set_default_passwd_cb_userdata(context, &is_encrypted);
  const bool used = SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  if (used) return {};
  const bool other = ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH;
  Error error = tls_error(other ? fmt::format("the key {} (webhook.tls_key) does not belong to the certificate {}",
                                              key_file, certificate_file)
                                : fmt::format("cannot read the key {} (webhook.tls_key)", key_file));
  if (is_encrypted)
    error.message =
        fmt::format("the key {} (webhook.tls_key) is encrypted: give one without a pass phrase", key_file);
  return error;
}

// What a client may choose that costs the server little. OpenSSL's own list has finite fields of 8192 bits, where one
// message without any work of the client's keeps the loop busy for 20 ms, and P-384, where it is 4 ms. Every client
// of TLS 1.3 has P-256.
void limit_costs(SSL_CTX* context) {
  std::string groups = "X25519:P-256";  // the macro takes no constant
  SSL_CTX_set1_groups_list(context, groups.data());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

}  // namespace

Validity validity_of(const X509* certificate) {
  const auto wall_time = [](const ASN1_TIME* time) {
    std::tm parts{};
    ASN1_TIME_to_tm(time, &parts);
    return WallTime(std::chrono::seconds(::timegm(&parts)));
  };
  return {wall_time(X509_get0_notBefore(certificate)), wall_time(X509_get0_notAfter(certificate))};
}

Result<SslContext> make_server_context(const std::string& certificate_file, const std::string& key_file,
                                       const std::string& client_ca_file) {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(TLS_server_method()));
  if (!context) return tls_error("cannot set up TLS");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  limit_costs(context.get());
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1) {
    return tls_error(fmt::format("cannot read the certificate {} (webhook.tls_cert)", certificate_file));
  }
  if (auto used = use_key(context.get(), key_file, certificate_file); !used) return used.error();
  if (!client_ca_file.empty()) {
    if (auto required = require_client_certificate(context.get(), client_ca_file); !required) return required.error();
  }
  return context;
}

}  // namespace responder::net
