// Signatures of what we post, after the Standard Webhooks specification: HMAC-SHA256 over "id.timestamp.body".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "responder/base/error.hpp"
#include "responder/base/secret.hpp"

namespace responder::deliver {

class SigningKey {
 public:
  // `whsec_` and the key in base64, or a text that is the key as it stands. An Error does not quote it.
  static Result<SigningKey> parse(const Secret& secret);

  // The value of the header webhook-signature. `timestamp` is what webhook-timestamp says: epoch seconds.
  std::string sign(std::string_view id, std::int64_t timestamp, std::string_view body) const;

 private:
  explicit SigningKey(Secret key) : key_(std::move(key)) {}
  Secret key_;
};

}  // namespace responder::deliver
