#include "client_error.hpp"

#include <cerrno>
#include <chrono>
#include <system_error>

#include <fmt/format.h>
#include <openssl/x509_vfy.h>

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

std::string in_seconds(std::chrono::milliseconds time) {
  return fmt::format("{:g} s", std::chrono::duration<double>(time).count());
}

std::string why_not_connected(CURL* easy) {
  long number = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
  switch (number) {
    case 0: return "cannot connect";
    case ECONNREFUSED: return "cannot connect: connection refused, nothing listens there";
    default: return fmt::format("cannot connect: {}", std::generic_category().message(static_cast<int>(number)));
  }
}

std::string why_connecting_took_too_long(const RequestProgress& progress, const ClientLimits& limits) {
  const auto time = in_seconds(limits.connect);
  if (!progress.resolved)
    return fmt::format("cannot connect: its name was not resolved within {} (does DNS work on this machine?)", time);
  if (!progress.handshake)
    return fmt::format("cannot connect: no answer within {} (is it switched off, or is there a firewall?)", time);
  if (!progress.peer_answered)
    return fmt::format("it accepted the connection and then sent nothing for {} (is there a firewall or a proxy?)",
                       time);
  return fmt::format("it did not finish the TLS handshake within {}", time);
}

std::string why_handshake_failed(std::string_view detail) {
  if (detail.find("wrong version number") != std::string_view::npos)
    return "the TLS handshake failed: it does not speak TLS on this port";
  return detail.empty() ? "the TLS handshake failed" : fmt::format("the TLS handshake failed: {}", printable(detail));
}

// Of a clock that is wrong, or a certificate that is about to be renewed, a later try may find nothing any more.
Error why_not_trusted(CURL* easy, std::string_view detail, const Url& origin) {
  long result = X509_V_OK;
  curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
  const auto make = [](ErrorKind kind, std::string_view why) {
    return Error{kind, fmt::format("its certificate is not trusted: {}", why)};
  };
  // OpenSSL has nothing to say of a name: libcurl compares it.
  if (detail.find("subject name") != std::string_view::npos)
    return make(ErrorKind::permanent, fmt::format("it is not for {}", printable(origin.host)));
  switch (result) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return make(ErrorKind::transient, "it is not valid yet (is this machine's clock right?)");
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return make(ErrorKind::transient, "it has expired (or this machine's clock is ahead)");
    default:
      return make(ErrorKind::permanent,
                  fmt::format("{} (does ca_file have to name its CA?)", X509_verify_cert_error_string(result)));
  }
}

}  // namespace

Error client_error(CURLcode code, CURL* easy, std::string_view detail, const RequestProgress& progress,
                   const Url& origin, const ClientLimits& limits) {
  const auto transient = [](std::string what) { return Error{ErrorKind::transient, std::move(what)}; };
  const auto permanent = [](std::string what) { return Error{ErrorKind::permanent, std::move(what)}; };
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return transient(
          "cannot connect: its name cannot be resolved (is it right, and does DNS work on this machine?)");
    case CURLE_COULDNT_CONNECT: return transient(why_not_connected(easy));
    case CURLE_OPERATION_TIMEDOUT: return transient(why_connecting_took_too_long(progress, limits));
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER: return transient(why_handshake_failed(detail));
    case CURLE_PEER_FAILED_VERIFICATION: return why_not_trusted(easy, detail, origin);
    case CURLE_SSL_CERTPROBLEM:
      return permanent("our certificate or its key cannot be used (client_cert, client_key)");
    case CURLE_SSL_CLIENTCERT: return permanent("it asks for a certificate of ours (client_cert, client_key)");
    case CURLE_SSL_CACERT_BADFILE: return permanent("the CA certificates cannot be loaded (ca_file)");
    case CURLE_GOT_NOTHING: return transient("it closed the connection without an answer");
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE: return transient("the connection broke while reading");
    case CURLE_SEND_ERROR: return transient("the connection broke while writing");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: return transient("its answer is not HTTP");
    case CURLE_OUT_OF_MEMORY:
      // libcurl says the same of a line that is too long.
      return transient(progress.head_begun ? "the head of its answer is too large" : "out of memory");
    default: return transient(fmt::format("the request failed: {}", curl_easy_strerror(code)));
  }
}

Error stall_error(StallRule::Stall stall, const RequestProgress& progress, const ClientLimits& limits) {
  const auto time = in_seconds(stall == StallRule::Stall::total ? *limits.total : limits.first_byte);
  const auto what =
      stall == StallRule::Stall::too_slow
          ? fmt::format("its answer stood still: less than {} bytes in {}", limits.least_bytes,
                        in_seconds(limits.interval))
          : fmt::format("{} within {}", progress.head_complete ? "no complete answer" : "no answer", time);
  return {ErrorKind::transient, what};
}

}  // namespace responder::net
