#include "responder/rhombus/signature.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::rhombus;

namespace {
const std::string body = R"({"version":"2","summary":"Test webhook"})";
const std::string sha1 = "7c67f32d7b1320f76fa6d171a1a54dd6808570b6";
const std::string sha256 = "5d3808f7c72ed8b6e52c12cf3ae13e72667d316178c6110081d58282828b2482";
const std::vector<Secret> secrets{Secret("another"), Secret("AAAAAAAAAAAAAAAAAAAAAA")};
}  // namespace

TEST_CASE("the vendor's test vector") {
  CHECK(sign(body, secrets[1], Digest::sha1) == sha1);
  CHECK(sign(body, secrets[1], Digest::sha256) == sha256);
}

TEST_CASE("any secret may match, by either digest, and SHA-256 decides where both are") {
  CHECK(check_signature(body, sha1, {}, secrets) == Signature::valid);
  CHECK(check_signature(body, {}, sha256, secrets) == Signature::valid);
  CHECK(check_signature(body, "0000", sha256, secrets) == Signature::valid);
  CHECK(check_signature(body, sha1, std::string(64, '0'), secrets) == Signature::wrong);
  CHECK(check_signature(body, {}, {}, secrets) == Signature::missing);
  CHECK(check_signature(body + " ", sha1, {}, secrets) == Signature::wrong);
  CHECK(check_signature(body, sha1.substr(1), {}, secrets) == Signature::wrong);
  CHECK(check_signature(body, "", {}, secrets) == Signature::wrong);
}

TEST_CASE("an empty secret lets nobody in") {
  const std::vector<Secret> empty{Secret("")};
  CHECK(check_signature(body, {}, sign(body, Secret(""), Digest::sha256), empty) == Signature::wrong);
  CHECK(check_signature(body, {}, sha256, {}) == Signature::wrong);
}
