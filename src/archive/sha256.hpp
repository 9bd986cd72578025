// SHA-256 of bytes that come in pieces.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include <openssl/evp.h>

#include "responder/base/text.hpp"

namespace responder::archive {

class Sha256 {
 public:
  Sha256() { begin(); }
  void update(std::span<const unsigned char> bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  // Of all there was since the last time; begins anew.
  std::string hex() {
    std::array<unsigned char, 32> hash{};
    EVP_DigestFinal_ex(context_.get(), hash.data(), nullptr);
    begin();
    return to_hex(hash);
  }

 private:
  void begin() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }

  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

}  // namespace responder::archive
