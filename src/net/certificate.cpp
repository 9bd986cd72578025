#include "responder/net/certificate.hpp"

#include <ctime>
#include <memory>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tls_server.hpp"

namespace responder::net {
namespace {

WallTime wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return WallTime(std::chrono::seconds(::timegm(&parts)));
}

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

Result<Validity> certificate_validity(const std::string& file) {
  const auto certificate = read_certificate(file);
  if (!certificate) return certificate.error();
  return Validity{wall_time(X509_get0_notBefore(certificate->get())),
                  wall_time(X509_get0_notAfter(certificate->get()))};
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
