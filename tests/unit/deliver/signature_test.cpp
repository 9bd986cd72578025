#include "responder/deliver/signature.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::deliver;

TEST_CASE("a signature is that of the specification's example") {
  const auto key = SigningKey::parse(Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
  REQUIRE(key);
  CHECK(key->sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, R"({"test": 2432232314})") ==
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST_CASE("a secret without the prefix is the key as it stands") {
  // The same key, as the bytes that the base64 of the other stands for would be: here a text.
  const auto plain = SigningKey::parse(Secret("plain text"));
  const auto encoded = SigningKey::parse(Secret("whsec_cGxhaW4gdGV4dA=="));
  const auto unpadded = SigningKey::parse(Secret("whsec_cGxhaW4gdGV4dA"));
  REQUIRE(plain);
  REQUIRE(encoded);
  REQUIRE(unpadded);
  CHECK(plain->sign("id", 1, "{}") == encoded->sign("id", 1, "{}"));
  CHECK(plain->sign("id", 1, "{}") == unpadded->sign("id", 1, "{}"));
  CHECK(plain->sign("id", 1, "{}") != plain->sign("id", 2, "{}"));
  CHECK(plain->sign("id", 1, "{}") != plain->sign("ie", 1, "{}"));
}

TEST_CASE("a secret that is none is refused, unquoted") {
  for (const auto* text : {"", "whsec_", "whsec_not base64!", "whsec_====", "whsec_A==="}) {
    INFO(text);
    const auto key = SigningKey::parse(Secret(text));
    REQUIRE_FALSE(key);
    CHECK(key.error().message.find("base64!") == std::string::npos);
  }
}
