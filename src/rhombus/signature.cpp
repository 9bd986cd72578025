#include "responder/rhombus/signature.hpp"

#include <array>

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "responder/base/text.hpp"

namespace responder::rhombus {

std::string sign(std::string_view body, const Secret& secret, Digest digest) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int length = 0;
  const auto key = secret.reveal();
  HMAC(digest == Digest::sha1 ? EVP_sha1() : EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(body.data()), body.size(), mac.data(), &length);
  return to_hex(std::span(mac).first(length));
}

Signature check_signature(std::string_view body, std::optional<std::string_view> sha1,
                          std::optional<std::string_view> sha256, std::span<const Secret> secrets) {
  if (!sha1 && !sha256) return Signature::missing;
  const Digest digest = sha256 ? Digest::sha256 : Digest::sha1;
  const std::string given = ascii_lower(trim(sha256 ? *sha256 : *sha1));
  bool valid = false;
  for (const auto& secret : secrets) {
    if (secret.empty()) continue;
    const std::string expected = sign(body, secret, digest);
    valid |= given.size() == expected.size() && CRYPTO_memcmp(given.data(), expected.data(), expected.size()) == 0;
  }
  return valid ? Signature::valid : Signature::wrong;
}

}  // namespace responder::rhombus
