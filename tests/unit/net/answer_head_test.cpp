#include "answer_head.hpp"

#include <catch2/catch.hpp>

using namespace responder::net;
using Step = AnswerHead::Step;

TEST_CASE("a head is read line by line, interim answers left out") {
  AnswerHead head;
  CHECK(head.is_empty());
  for (const auto* line : {"HTTP/1.1 103 Early Hints\r\n", "Link: x\r\n", "\r\n", "HTTP/1.1 404 Not Found\r\n",
                           "Retry-After:  7 \r\n", "no field\r\n"})
    CHECK(head.add(line) == Step::more);
  CHECK_FALSE(head.is_complete());
  CHECK(head.add("\r\n") == Step::complete);
  CHECK(head.response().status == 404);
  REQUIRE(head.response().headers.size() == 1);
  CHECK(head.response().header("retry-after") == "7");
  // Trailers change nothing.
  CHECK(head.add("Retry-After: 9\r\n") == Step::more);
  CHECK(head.response().header("retry-after") == "7");
}

TEST_CASE("a head has bounds, trailers and interim answers included") {
  const auto lines_until_too_large = [](std::string_view line, bool complete) {
    AnswerHead head;
    head.add("HTTP/1.1 200 OK\r\n");
    if (complete) head.add("\r\n");
    std::size_t count = 0;
    while (head.add(line) != Step::too_large && count < 10'000) ++count;
    return count;
  };
  CHECK(lines_until_too_large("a:b\r\n", false) < 1000);
  CHECK(lines_until_too_large("a:b\r\n", true) < 1000);
  CHECK(lines_until_too_large("HTTP/1.1 100 Continue\r\n", false) < 1000);
  CHECK(lines_until_too_large("a: " + std::string(64 * 1024, 'x'), false) == 3);
}

TEST_CASE("a status that is none is 0") {
  AnswerHead head;
  head.add("HTTP/1.1\r\n");
  CHECK(head.response().status == 0);
  head.add("HTTP/1.1 2x0\r\n");
  CHECK(head.response().status == 0);
}
