#include "certificates.hpp"

#include <array>
#include <atomic>

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace fake_rhombus {
namespace {

std::shared_ptr<EVP_PKEY> make_key() {
  std::string curve = "P-256";
  return {EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve.data()), EVP_PKEY_free};
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

std::shared_ptr<X509> make_certificate(const std::string& common_name, EVP_PKEY* key) {
  static std::atomic<long> serial{1000};
  std::shared_ptr<X509> certificate(X509_new(), X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60L * 86400);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 30L * 86400);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  return certificate;
}

template <class Write>
std::string to_pem(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), BIO_free);
  write(memory.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

std::string Identity::certificate_pem() const {
  return to_pem([&](BIO* out) { PEM_write_bio_X509(out, certificate.get()); });
}

std::string Identity::key_pem() const {
  return to_pem([&](BIO* out) { PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
}

Identity make_ca(const std::string& common_name) {
  Identity ca;
  ca.key = make_key();
  ca.certificate = make_certificate(common_name, ca.key.get());
  X509_set_issuer_name(ca.certificate.get(), X509_get_subject_name(ca.certificate.get()));
  add_extension(ca.certificate.get(), ca.certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(ca.certificate.get(), ca.certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  X509_sign(ca.certificate.get(), ca.key.get(), EVP_sha256());
  return ca;
}

Identity make_server(const std::string& common_name, const std::vector<std::string>& addresses,
                     const Identity* issuer, long days) {
  Identity server;
  server.key = make_key();
  server.certificate = make_certificate(common_name, server.key.get());
  // A little before, so that 0 days are over.
  X509_gmtime_adj(X509_getm_notAfter(server.certificate.get()), days * 86400 - 60);
  std::string names;
  for (const auto& address : addresses) {
    std::array<unsigned char, 16> binary{};
    const bool ip = inet_pton(AF_INET, address.c_str(), binary.data()) == 1 ||
                    inet_pton(AF_INET6, address.c_str(), binary.data()) == 1;
    names += (names.empty() ? "" : ",") + std::string(ip ? "IP:" : "DNS:") + address;
  }
  X509* signer = issuer != nullptr ? issuer->certificate.get() : server.certificate.get();
  X509_set_issuer_name(server.certificate.get(), X509_get_subject_name(signer));
  if (!names.empty()) add_extension(server.certificate.get(), signer, NID_subject_alt_name, names);
  X509_sign(server.certificate.get(), issuer != nullptr ? issuer->key.get() : server.key.get(), EVP_sha256());
  return server;
}

}  // namespace fake_rhombus
