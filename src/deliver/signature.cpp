#include "responder/deliver/signature.hpp"

#include <array>
#include <vector>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace responder::deliver {
namespace {

constexpr std::string_view base64_prefix = "whsec_";

std::string to_base64(const unsigned char* bytes, std::size_t size) {
  std::string text(4 * ((size + 2) / 3) + 1, '\0');
  text.resize(static_cast<std::size_t>(
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size))));
  return text;
}

std::optional<std::string> from_base64(std::string text) {
  while (text.size() % 4 != 0) text += '=';
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  const auto padding = text.size() - (text.find_last_not_of('=') + 1);
  if (length < 0 || padding > 2) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  return bytes;
}

}  // namespace

Result<SigningKey> SigningKey::parse(const Secret& secret) {
  const auto text = secret.reveal();
  if (!text.starts_with(base64_prefix)) {
    if (text.empty()) return Error{ErrorKind::permanent, "is empty"};
    return SigningKey(secret);
  }
  auto key = from_base64(std::string(text.substr(base64_prefix.size())));
  if (!key || key->empty())
    return Error{ErrorKind::permanent, fmt::format("begins with {} and goes on with no base64", base64_prefix)};
  return SigningKey(Secret(std::move(*key)));
}

std::string SigningKey::sign(std::string_view id, std::int64_t timestamp, std::string_view body) const {
  const auto signed_text = fmt::format("{}.{}.{}", id, timestamp, body);
  const auto key = key_.reveal();
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size(), mac.data(), &length);
  return "v1," + to_base64(mac.data(), length);
}

}  // namespace responder::deliver
