#include "responder/net/certificate.hpp"

#include <memory>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "responder/base/time_text.hpp"

#include "tls_server.hpp"

namespace responder::net {
namespace {

struct X509Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Certificate = std::unique_ptr<X509, X509Free>;

Result<Certificate> read_certificate(const std::string& file) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> input(BIO_new_file(file.c_str(), "r"), BIO_free);
  Certificate certificate(input ? PEM_read_bio_X509(input.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  if (!certificate) return Error{ErrorKind::permanent, fmt::format("{} holds no certificate (PEM)", file)};
  return certificate;
}

}  // namespace

std::optional<ValidityFinding> judge(const Validity& validity, WallTime now) {
  constexpr std::chrono::days notice{14};
  if (now >= validity.until)
    return ValidityFinding{false,
                           fmt::format("has expired at {}: renew it, and reload", format_rfc3339(validity.until))};
  if (now < validity.from)
    return ValidityFinding{false, fmt::format("is not valid before {}: is the clock of this machine right?",
                                              format_rfc3339(validity.from))};
  if (now < validity.until - notice) return std::nullopt;
  const auto days = std::chrono::floor<std::chrono::days>(validity.until - now).count();
  return ValidityFinding{true,
                         fmt::format("expires at {}, in {}: renew it, and reload", format_rfc3339(validity.until),
                                     days == 0   ? "less than a day"
                                     : days == 1 ? "1 day"
                                                 : fmt::format("{} days", days))};
}

Result<Validity> certificate_validity(const std::string& file) {
  const auto certificate = read_certificate(file);
  if (!certificate) return certificate.error();
  return validity_of(certificate->get());
}

Result<bool> certificate_names(const std::string& file, const std::string& host) {
  const auto certificate = read_certificate(file);
  if (!certificate) return certificate.error();
  return X509_check_host(certificate->get(), host.data(), host.size(), 0, nullptr) == 1 ||
         X509_check_ip_asc(certificate->get(), host.c_str(), 0) == 1;
}

Result<void> check_server_files(const std::string& certificate, const std::string& key,
                                const std::string& client_ca) {
  const auto context = make_server_context(certificate, key, client_ca);
  if (!context) return context.error();
  return {};
}

}  // namespace responder::net
