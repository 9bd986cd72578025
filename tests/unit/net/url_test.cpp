#include "responder/net/url.hpp"

#include <catch2/catch.hpp>

using responder::net::Url;

TEST_CASE("absolute URLs are taken apart") {
  const auto url = Url::parse("HTTPS://Media.Example:8443/a/b?x=1&y=2#frag");
  REQUIRE(url);
  CHECK(url->origin() == "https://media.example:8443");
  CHECK(url->path == "/a/b");
  CHECK(url->query == "x=1&y=2");
  CHECK(url->loggable() == "https://media.example:8443/a/b");
  CHECK(Url::parse("https://h")->str() == "https://h:443/");
  CHECK(Url::parse("https://[::1]:99/x")->origin() == "https://[::1]:99");
}

TEST_CASE("what is no usable URL is refused") {
  for (const auto* bad : {"", "ftp://h/x", "https:///x", "https://user:pass@h/", "https://h:0/", "https://h:70000/",
                          "https://h/a b", "/path", "https://h/\n"}) {
    CAPTURE(bad);
    CHECK_FALSE(Url::parse(bad));
  }
}

// RFC 3986, 5.4, with an http base.
TEST_CASE("references are resolved by the RFC's table") {
  const auto base = Url::parse("http://a/b/c/d?q");
  REQUIRE(base);
  const std::pair<const char*, const char*> table[] = {
      {"g", "/b/c/g"},
      {"./g", "/b/c/g"},
      {"g/", "/b/c/g/"},
      {"/g", "/g"},
      {"?y", "/b/c/d?y"},
      {"g?y", "/b/c/g?y"},
      {"#s", "/b/c/d?q"},
      {"g;x", "/b/c/g;x"},
      {"", "/b/c/d?q"},
      {".", "/b/c/"},
      {"./", "/b/c/"},
      {"..", "/b/"},
      {"../g", "/b/g"},
      {"../..", "/"},
      {"../../g", "/g"},
      {"../../../g", "/g"},
      {"/./g", "/g"},
      {"/../g", "/g"},
      {"g.", "/b/c/g."},
      {"..g", "/b/c/..g"},
      {"./g/.", "/b/c/g/"},
      {"g/../h", "/b/c/h"},
      {"g?y/../x", "/b/c/g?y/../x"},
  };
  for (const auto& [reference, target] : table) {
    CAPTURE(reference);
    CHECK(base->resolve(reference)->target() == target);
  }
  CHECK(base->resolve("//g/x")->origin() == "http://g:80");
  CHECK(base->resolve("https://other/x")->origin() == "https://other:443");
}
