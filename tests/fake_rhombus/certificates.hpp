// Certificates for loopback, made on the spot: a CA with what it signs, and self-signed ones for LAN devices.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace fake_rhombus {

struct Identity {
  std::shared_ptr<X509> certificate;
  std::shared_ptr<EVP_PKEY> key;

  std::string certificate_pem() const;
  std::string key_pem() const;
};

Identity make_ca(const std::string& common_name);
// `addresses` are IP addresses and DNS names for the subjectAltName. Without `issuer`: self-signed. Valid for 60
// days by now, and for so many more.
Identity make_server(const std::string& common_name, const std::vector<std::string>& addresses,
                     const Identity* issuer, long days = 30);

}  // namespace fake_rhombus
