// OpenSSL's side of the front.
#pragma once

#include <memory>
#include <string>

#include <openssl/ssl.h>

#include "responder/base/error.hpp"

namespace responder::net {

struct SslContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextFree>;
using Ssl = std::unique_ptr<SSL, SslFree>;

// TLS 1.2 and later, AEAD ciphers with forward secrecy, session resumption by ticket. `client_ca_file`, if not empty:
// clients need a certificate of one of those authorities.
Result<SslContext> make_server_context(const std::string& certificate_file, const std::string& key_file,
                                       const std::string& client_ca_file);

}  // namespace responder::net
