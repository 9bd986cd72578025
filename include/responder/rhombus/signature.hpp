// Webhook signatures: lowercase hex HMAC over the raw body bytes, keyed with the secret string as it stands.
// Source: Rhombus's developer guide on webhooks; header names x-rhombus-signature-sha1 (organization webhooks) and
// x-rhombus-signature-sha256 (rule actions). Where both are present the SHA-256 one decides.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "responder/base/secret.hpp"

namespace responder::rhombus {

inline constexpr std::string_view signature_header_sha1 = "x-rhombus-signature-sha1";
inline constexpr std::string_view signature_header_sha256 = "x-rhombus-signature-sha256";

enum class Digest { sha1, sha256 };

std::string sign(std::string_view body, const Secret& secret, Digest digest);

enum class Signature { valid, missing, wrong };

// Compares in constant time. Any of the secrets may match; an empty one never does.
Signature check_signature(std::string_view body, std::optional<std::string_view> sha1,
                          std::optional<std::string_view> sha256, std::span<const Secret> secrets);

}  // namespace responder::rhombus
