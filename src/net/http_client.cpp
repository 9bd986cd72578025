#include "responder/net/http_client.hpp"

#include <atomic>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <httplib.h>
#if !defined(CPPHTTPLIB_OPENSSL_SUPPORT) || !defined(CPPHTTPLIB_ZLIB_SUPPORT) || !defined(CPPHTTPLIB_BROTLI_SUPPORT)
#error "cpp-httplib without its pkg-config flags: its types would differ in size from those in the library"
#endif
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

// The one table from httplib's errors (and what TLS said) to ours.
Error client_error(httplib::Error error, const Url& origin) {
  const auto make = [&](ErrorKind kind, std::string_view what) {
    return Error{kind, fmt::format("{}: {}", origin.origin(), what)};
  };
  switch (error) {
    case httplib::Error::Connection: return make(ErrorKind::transient, "cannot connect");
    case httplib::Error::ConnectionTimeout: return make(ErrorKind::transient, "no answer to the connection attempt");
    case httplib::Error::BindIPAddress: return make(ErrorKind::permanent, "cannot use that local address");
    case httplib::Error::Read: return make(ErrorKind::transient, "the connection broke or fell silent while reading");
    case httplib::Error::Write: return make(ErrorKind::transient, "the connection broke while writing");
    case httplib::Error::Canceled: return make(ErrorKind::cancelled, "broken off");
    case httplib::Error::SSLConnection:
      return make(ErrorKind::transient, "the TLS handshake failed or its certificate was refused");
    case httplib::Error::SSLLoadingCerts:
      return make(ErrorKind::permanent, "the CA certificates cannot be loaded (ca_file)");
    case httplib::Error::SSLServerVerification:
      return make(ErrorKind::permanent,
                  "its certificate is not trusted (wrong host name, expired, or a CA that ca_file should name)");
    default: return make(ErrorKind::transient, "the request failed");
  }
}

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

// What decides about a key, and what it decided last.
struct KeyCheck {
  std::function<Result<void>(const KeyHash&)> accept_key;
  std::optional<Error> refused;
};

// OpenSSL's verification hook for Trust::pinned: only the key counts.
int verify_pinned(X509_STORE_CTX* context, void* argument) {
  auto& check = *static_cast<KeyCheck*>(argument);
  X509* certificate = X509_STORE_CTX_get0_cert(context);
  auto accepted = certificate != nullptr && check.accept_key
                      ? check.accept_key(key_hash(certificate))
                      : Result<void>(Error{ErrorKind::auth, "it shows no certificate"});
  if (accepted) return 1;
  check.refused = accepted.error();
  X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

}  // namespace

std::optional<std::string> Response::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) return value;
  }
  return std::nullopt;
}

struct HttpConnection::Impl {
  Url origin;
  Trust trust;
  KeyCheck key_check;
  std::unique_ptr<httplib::ClientImpl> client;
  std::atomic<bool> aborted{false};  // alone: set by whoever breaks the present request off

  Impl(const Url& url, const Trust& whom, const ClientTimeouts& timeouts) : origin(url), trust(whom) {
    if (origin.scheme == "https") {
      client = make_tls_client();
    } else {
      client = std::make_unique<httplib::ClientImpl>(origin.host, origin.port);
    }
    set_up(timeouts);
  }

  Impl(const std::string& unix_path, const ClientTimeouts& timeouts)
      : origin(*Url::parse("http://localhost")), client(std::make_unique<httplib::ClientImpl>(unix_path)) {
    client->set_address_family(AF_UNIX);
    client->set_default_headers({{"Host", origin.host}});  // it would say the path
    set_up(timeouts);
  }

  void set_up(const ClientTimeouts& timeouts) {
    client->set_keep_alive(true);
    client->set_tcp_nodelay(true);
    client->set_url_encode(false);
    client->set_connection_timeout(timeouts.connect);
    client->set_read_timeout(timeouts.read);
    client->set_write_timeout(timeouts.read);
    client->set_decompress(false);
  }

  std::unique_ptr<httplib::ClientImpl> make_tls_client() {
    auto tls = trust.client_cert.empty() ? std::make_unique<httplib::SSLClient>(origin.host, origin.port)
                                         : std::make_unique<httplib::SSLClient>(origin.host, origin.port,
                                                                                trust.client_cert, trust.client_key);
    SSL_CTX* context = tls->ssl_context();
    if (context != nullptr) SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    switch (trust.mode) {
      case Trust::Mode::verify:
        tls->enable_server_certificate_verification(true);
        if (!trust.ca_file.empty() && context != nullptr) {
          // Beside the system's, not instead: httplib would take either one or the other.
          SSL_CTX_set_default_verify_paths(context);
          tls->set_ca_cert_path(trust.ca_file);
        }
        break;
      case Trust::Mode::pinned:
        tls->enable_server_certificate_verification(false);
        if (context != nullptr) {
          SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
          key_check.accept_key = trust.accept_key;
          SSL_CTX_set_cert_verify_callback(context, verify_pinned, &key_check);
        }
        break;
      case Trust::Mode::insecure: tls->enable_server_certificate_verification(false); break;
    }
    return tls;
  }

  Result<Response> send(const std::string& method, const std::string& target, const Headers& headers,
                        const std::string& body, const BodyReceiver& receiver) {
    httplib::Request request;
    request.method = method;
    request.path = target;
    for (const auto& [name, value] : headers) request.headers.emplace(name, value);
    if (!body.empty()) request.body = body;

    Response response;
    bool refused_by_us = false;
    std::size_t received = 0;
    request.response_handler = [&](const httplib::Response& answer) {
      response.status = answer.status;
      response.headers.assign(answer.headers.begin(), answer.headers.end());
      refused_by_us = receiver.on_headers && !receiver.on_headers(response);
      return !refused_by_us;
    };
    request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
      received += size;
      refused_by_us = !receiver.on_data(std::string_view(data, size));
      return !refused_by_us;
    };

    aborted = false;
    const bool reused = client->is_socket_open() != 0;
    auto result = client->send(request);
    // A server may close an idle connection just as we use it: that says nothing about the request.
    const bool stale = reused && !aborted && response.status == 0 && method == "GET" &&
                       (result.error() == httplib::Error::Read || result.error() == httplib::Error::Write);
    if (stale) result = client->send(request);
    if (refused_by_us) return Error{ErrorKind::cancelled, fmt::format("{}: broken off by us", origin.origin())};
    if (auto refused = std::exchange(key_check.refused, std::nullopt); refused && !result) return *refused;
    if (!result) return client_error(result.error(), origin);
    if (response.status == 0) {
      response.status = result->status;
      response.headers.assign(result->headers.begin(), result->headers.end());
    }
    return response;
  }

  Result<Response> send_buffered(const std::string& method, const std::string& target, const Headers& headers,
                                 const std::string& body, std::size_t max_body_bytes) {
    std::string collected;
    bool too_large = false;
    BodyReceiver receiver;
    receiver.on_data = [&](std::string_view data) {
      too_large = collected.size() + data.size() > max_body_bytes;
      if (!too_large) collected += data;
      return !too_large;
    };
    auto response = send(method, target, headers, body, receiver);
    if (too_large) {
      return Error{ErrorKind::permanent,
                   fmt::format("{}: the answer is larger than {} bytes", origin.origin(), max_body_bytes)};
    }
    if (response) response->body = std::move(collected);
    return response;
  }
};

HttpConnection::HttpConnection(const Url& origin, const Trust& trust, const ClientTimeouts& timeouts)
    : impl_(std::make_unique<Impl>(origin, trust, timeouts)) {}
HttpConnection::HttpConnection(const std::string& unix_path, const ClientTimeouts& timeouts)
    : impl_(std::make_unique<Impl>(unix_path, timeouts)) {}
HttpConnection::~HttpConnection() = default;
HttpConnection::HttpConnection(HttpConnection&&) noexcept = default;
HttpConnection& HttpConnection::operator=(HttpConnection&&) noexcept = default;

Result<Response> HttpConnection::get(const std::string& target, const Headers& headers, std::size_t max_body_bytes) {
  return impl_->send_buffered("GET", target, headers, {}, max_body_bytes);
}

Result<Response> HttpConnection::get(const std::string& target, const Headers& headers,
                                     const BodyReceiver& receiver) {
  return impl_->send("GET", target, headers, {}, receiver);
}

Result<Response> HttpConnection::post_json(const std::string& target, const Headers& headers, const std::string& body,
                                           std::size_t max_body_bytes) {
  Headers with_type = headers;
  with_type.emplace_back("Content-Type", "application/json");
  with_type.emplace_back("Accept", "application/json");
  return impl_->send_buffered("POST", target, with_type, body, max_body_bytes);
}

void HttpConnection::abort() {
  impl_->aborted = true;
  impl_->client->stop();
}

ConnectionPool::ConnectionPool(Url origin, Trust trust, ClientTimeouts timeouts, std::size_t max_connections)
    : origin_(std::move(origin)),
      trust_(std::move(trust)),
      timeouts_(timeouts),
      max_connections_(std::max<std::size_t>(1, max_connections)) {}

ConnectionPool::Loan::~Loan() {
  if (connection_) pool_->give_back(std::move(connection_));
}

Result<ConnectionPool::Loan> ConnectionPool::borrow(std::stop_token stop) {
  {
    auto state = state_.lock();
    if (!state.wait(std::move(stop), [&] { return state->lent < max_connections_; })) {
      return Error{ErrorKind::cancelled, "shutting down"};
    }
    ++state->lent;
    if (!state->idle.empty()) {
      auto connection = std::move(state->idle.back());
      state->idle.pop_back();
      return Loan(*this, std::move(connection));
    }
  }
  return Loan(*this, std::make_unique<HttpConnection>(origin_, trust_, timeouts_));
}

void ConnectionPool::give_back(std::unique_ptr<HttpConnection> connection) {
  {
    auto state = state_.lock();
    --state->lent;
    state->idle.push_back(std::move(connection));
  }
  state_.notify_one();
}

Result<void> check_ca_file(const std::string& path) {
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  const bool loaded = store && X509_STORE_load_file(store.get(), path.c_str()) == 1;
  ERR_clear_error();
  if (!loaded) return Error{ErrorKind::permanent, fmt::format("{} holds no CA certificate (PEM)", path)};
  return {};
}

Error status_error(const Response& response, std::string_view what) {
  ErrorKind kind = ErrorKind::permanent;
  switch (response.status) {
    case 401:
    case 403: kind = ErrorKind::auth; break;
    case 404:
    case 410: kind = ErrorKind::not_found; break;
    case 408:
    case 425:
    case 429: kind = ErrorKind::transient; break;
    default:
      if (response.status >= 500) kind = ErrorKind::transient;
  }
  Error error{kind, fmt::format("{}: HTTP {}", what, response.status)};
  if (const auto header = response.header("retry-after")) {
    if (const auto wait = parse_int(trim(*header)); wait && *wait >= 0) {
      error.retry_after = std::chrono::seconds(std::min<long long>(*wait, 3600));
    }
  }
  return error;
}

}  // namespace responder::net
