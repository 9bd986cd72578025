// OpenSSL's side of the front.
#pragma once

#include <memory>
#include <string>

#include <openssl/ssl.h>

#include "responder/base/error.hpp"
#include "responder/net/certificate.hpp"

namespace responder::net {

struct SslContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextFree>;
using Ssl = std::unique_ptr<SSL, SslFree>;

// Bytes of the certificates that a client may send.
constexpr std::size_t max_client_certificates = 16 * 1024;

// TLS 1.2 and later, AEAD ciphers with forward secrecy, session resumption by ticket alone: nothing is kept of a
// client that is gone. `client_ca_file`, if not empty: clients need a certificate of one of those authorities. Never
// asks for a pass phrase: an encrypted key is an Error.
Result<SslContext> make_server_context(const std::string& certificate_file, const std::string& key_file,
                                       const std::string& client_ca_file);

Validity validity_of(const X509* certificate);

}  // namespace responder::net
