#include "responder/net/http_framing.hpp"

#include <catch2/catch.hpp>

using namespace responder::net;
using State = RequestFramer::State;

namespace {
const FrameLimits limits{.max_head_bytes = 1024, .max_headers = 10, .max_body_bytes = 100};

int refusal_of(const std::string& text) {
  RequestFramer framer(limits);
  return framer.feed(text) == State::refused ? framer.refusal_status() : 0;
}
}  // namespace

TEST_CASE("a request is found however it is cut") {
  const std::string text =
      "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: h\r\n\r\n";
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    CAPTURE(cut);
    RequestFramer framer(limits);
    auto state = framer.feed(text.substr(0, cut));
    state = framer.feed(text.substr(cut));
    REQUIRE(state == State::complete);
    CHECK(framer.body() == "hello");
    CHECK(framer.keep_alive());
    REQUIRE(framer.next() == State::complete);
    CHECK(framer.head() == "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(framer.next() == State::need_more);
    CHECK_FALSE(framer.started());
  }
}

TEST_CASE("chunks are joined, byte by byte") {
  const std::string text =
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n";
  RequestFramer framer(limits);
  State state = State::need_more;
  for (const char c : text) state = framer.feed(std::string_view(&c, 1));
  REQUIRE(state == State::complete);
  CHECK(framer.body() == "hello!");
}

TEST_CASE("what could be read in two ways is refused") {
  const std::string post = "POST / HTTP/1.1\r\nHost: h\r\n";
  const std::string table[] = {
      post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
      post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
      post + "Content-Length: +5\r\n\r\n",
      post + "Content-Length: 5, 5\r\n\r\n",
      post + "Content-Length: 0x5\r\n\r\n",
      post + "Content-Length:\r\n\r\n",
      post + "Content-Length : 5\r\n\r\n",
      post + "Transfer-Encoding: gzip, chunked\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      post + "A: b\r\n c: d\r\n\r\n",
      post + "A: b\nContent-Length: 5\r\n\r\n",
      post + std::string("A: b\0c\r\n\r\n", 10),
      post + ": b\r\n\r\n",
      "POST  / HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST /a b HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http:///x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http:// HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http:/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST ftp://h/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST h/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST * HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http://u@h/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http://h%2fa/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http://h\\a/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http://h#/x HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http://h/x#y HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http://h/a b HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST http://h/x HTTP/1.1\r\n\r\n",
      "\n\nPOST / HTTP/1.1\r\nHost: h\r\n\r\n",
      "\rPOST / HTTP/1.1\r\nHost: h\r\n\r\n",
      "\r\n\rPOST / HTTP/1.1\r\nHost: h\r\n\r\n",
      " \r\nPOST / HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST / HTTP/2.0\r\n\r\n",
      "\r\n\r\n\r\n",
      "\r\n\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n1;x\n1\r\na\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\nC: d\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
      post + "Host: i\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
  };
  for (const auto& text : table) {
    CAPTURE(text);
    CHECK(refusal_of(text) == 400);
  }
}

TEST_CASE("caps hold before memory is spent") {
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n") == 413);
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999999\r\n\r\n") == 413);
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n") == 413);
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n60\r\n" + std::string(96, 'x') +
                   "\r\n60\r\n") == 413);
  CHECK(refusal_of("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(2000, 'x')) == 431);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 11; ++i) many += "A: b\r\n";
  CHECK(refusal_of(many + "\r\n") == 431);
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " +
                   std::string(2000, 'x')) == 431);
}

TEST_CASE("the client that waits for 100 Continue is told to go on, or that it need not") {
  RequestFramer framer(limits);
  CHECK(framer.feed("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n") ==
        State::send_continue);
  CHECK(framer.feed("ok") == State::complete);
  CHECK(refusal_of("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n") == 413);
}

TEST_CASE("connections are kept as the version and the header say") {
  const auto kept = [](const std::string& head) {
    RequestFramer framer(limits);
    REQUIRE(framer.feed(head) == State::complete);
    return framer.keep_alive();
  };
  CHECK(kept("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
  CHECK_FALSE(kept("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
  CHECK_FALSE(kept("GET / HTTP/1.0\r\n\r\n"));
  CHECK(kept("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST_CASE("a target that names scheme and host is its path, whatever host it names") {
  const std::string rest = " HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::pair<std::string, std::string> table[] = {
      {"http://h/webhook/rhombus", "/webhook/rhombus"},
      {"HTTPS://h.example:8443/a?b=c", "/a?b=c"},
      {"http://[2001:db8::1]:80//x", "//x"},
      {"http://h", "/"},
      {"http://h?/webhook/rhombus", "/?/webhook/rhombus"},
      {"http://a/http://b/c", "/http://b/c"},
      {"/http://b/c", "/http://b/c"},
  };
  for (const auto& [target, path] : table) {
    CAPTURE(target);
    RequestFramer framer(limits);
    REQUIRE(framer.feed("POST " + target + rest) == State::complete);
    CHECK(framer.head() == "POST " + path + rest);
    CHECK(framer.fields() == HeaderFields{{"Host", "h"}});
  }
}

TEST_CASE("one or two empty lines before a request line are ignored, however they are cut") {
  const std::string request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
  for (const std::string between : {"\r\n", "\r\n\r\n"}) {
    const std::string text = request + between + request + between + request;
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      CAPTURE(between, cut);
      RequestFramer framer(limits);
      int complete = 0;
      for (const auto& part : {text.substr(0, cut), text.substr(cut)}) {
        for (auto state = framer.feed(part); state == State::complete; state = framer.next()) ++complete;
      }
      CHECK(complete == 3);
      CHECK(framer.refusal_status() == 0);
      CHECK_FALSE(framer.started());
    }
  }
  // They begin nothing: the connection idles.
  RequestFramer framer(limits);
  CHECK(framer.feed("\r\n") == State::need_more);
  CHECK_FALSE(framer.started());
  CHECK(framer.feed("\r\n") == State::need_more);
  CHECK(framer.feed("\r") == State::refused);
}
