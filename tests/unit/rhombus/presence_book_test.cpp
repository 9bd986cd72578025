// What is known of a camera's footage from what Rhombus has said of it.
#include "responder/rhombus/presence_book.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::rhombus;
using namespace std::chrono_literals;

namespace {

const DeviceId camera("cam");
const std::chrono::sys_seconds t0(1'700'000'000s);

Presence span(std::chrono::seconds from, std::chrono::seconds to) { return {t0 + from, t0 + to}; }

std::vector<std::pair<long, long>> plain(const std::optional<std::vector<Presence>>& pieces) {
  REQUIRE(pieces);
  std::vector<std::pair<long, long>> found;
  for (const auto& one : *pieces) found.emplace_back((one.start - t0).count(), (one.end - t0).count());
  return found;
}
using Pieces = std::vector<std::pair<long, long>>;

}  // namespace

TEST_CASE("nothing is known of a camera that was never asked for") {
  const PresenceBook book;
  CHECK_FALSE(book.missing(camera, span(0s, 60s), t0 + 300s));
  CHECK(book.lag(camera) == 150s);
}

TEST_CASE("what lies between the footage that is listed is missing") {
  PresenceBook book;
  book.note(camera, {t0, t0 + 1'000'000s}, {span(0s, 100s), span(110s, 400s)}, t0 + 520s);
  CHECK(plain(book.missing(camera, span(0s, 100s), t0 + 520s)).empty());
  CHECK(plain(book.missing(camera, span(90s, 130s), t0 + 520s)) == Pieces{{100, 110}});
  CHECK(plain(book.missing(camera, span(102s, 104s), t0 + 520s)) == Pieces{{102, 104}});
  CHECK(plain(book.missing(DeviceId("cam.v1"), span(90s, 130s), t0 + 520s)) == Pieces{{100, 110}});
  CHECK_FALSE(book.missing(DeviceId("other"), span(0s, 100s), t0 + 520s));
}

TEST_CASE("the newest two minutes are not known yet, nor what is newer than the newest footage") {
  PresenceBook book;
  book.note(camera, {t0, t0 + 1'000'000s}, {span(0s, 590s)}, t0 + 600s);
  CHECK(book.missing(camera, span(400s, 480s), t0 + 600s));
  CHECK_FALSE(book.missing(camera, span(400s, 481s), t0 + 600s));
  const DeviceId slow("slow");
  book.note(slow, {t0, t0 + 1'000'000s}, {span(0s, 300s)}, t0 + 700s);
  CHECK(plain(book.missing(slow, span(200s, 300s), t0 + 700s)).empty());
  CHECK_FALSE(book.missing(slow, span(200s, 301s), t0 + 700s));
  CHECK(book.lag(slow) == 400s);
}

TEST_CASE("a quarter of an hour later a list is believed though it has nothing newer") {
  PresenceBook book;
  book.note(camera, {t0, t0 + 1'000'000s}, {span(0s, 100s)}, t0 + 1000s);
  CHECK(plain(book.missing(camera, span(50s, 100s), t0 + 1000s)).empty());
  CHECK_FALSE(book.missing(camera, span(50s, 101s), t0 + 1000s));
  book.note(camera, {t0, t0 + 1'000'000s}, {span(0s, 100s)}, t0 + 1020s);
  CHECK(plain(book.missing(camera, span(50s, 120s), t0 + 1020s)) == Pieces{{100, 120}});
  book.note(camera, {t0, t0 + 1'000'000s}, {}, t0 + 1100s);
  CHECK(plain(book.missing(camera, span(0s, 150s), t0 + 1100s)) == Pieces{{0, 150}});
}

TEST_CASE("what was missing may come: it is known for a minute, what is there for good") {
  PresenceBook book;
  book.note(camera, {t0, t0 + 1'000'000s}, {span(0s, 100s), span(110s, 400s)}, t0 + 520s);
  CHECK(book.missing(camera, span(90s, 130s), t0 + 580s));
  CHECK_FALSE(book.missing(camera, span(90s, 130s), t0 + 581s));
  CHECK(book.missing(camera, span(20s, 90s), t0 + 2000s));
  book.note(camera, {t0 + 80s, t0 + 1'000'000s}, {span(80s, 600s)}, t0 + 800s);
  CHECK(plain(book.missing(camera, span(90s, 130s), t0 + 900s)).empty());
  CHECK(plain(book.missing(camera, span(0s, 600s), t0 + 900s)).empty());
}

TEST_CASE("an answer is fresh for a minute, for the time that it told of") {
  PresenceBook book;
  CHECK_FALSE(book.is_fresh(camera, span(0s, 60s), t0));
  book.note(camera, {t0, t0 + 1'000'000s}, {span(0s, 400s)}, t0 + 520s);
  CHECK(book.is_fresh(camera, span(0s, 400s), t0 + 580s));
  CHECK_FALSE(book.is_fresh(camera, span(0s, 401s), t0 + 580s));
  CHECK_FALSE(book.is_fresh(camera, span(0s, 400s), t0 + 581s));
  book.note(camera, {t0 + 100s, t0 + 200s}, {span(100s, 200s)}, t0 + 600s);
  CHECK_FALSE(book.is_fresh(camera, span(0s, 400s), t0 + 600s));
}

TEST_CASE("odd windows are survived") {
  PresenceBook book;
  // One runs backwards, two overlap, one ends in the future, one lies there; seams are no gaps.
  book.note(camera, {t0, t0 + 1'000'000s},
            {span(300s, 200s), span(0s, 150s), span(100s, 201s), span(202s, 99999s), span(5000s, 6000s)}, t0 + 520s);
  CHECK(plain(book.missing(camera, span(0s, 400s), t0 + 520s)).empty());
  CHECK_FALSE(book.missing(camera, span(0s, 401s), t0 + 520s));
  // A hundred thousand: the newest are kept.
  std::vector<Presence> many;
  for (int i = 0; i < 100'000; ++i) many.push_back({t0 + 5s * i, t0 + 5s * i + 2s});
  const auto now = t0 + 500'000s;
  book.note(DeviceId("busy"), {t0, t0 + 1'000'000s}, many, now + 120s);
  CHECK_FALSE(book.missing(DeviceId("busy"), span(0s, 10s), now));
  CHECK(plain(book.missing(DeviceId("busy"), {now - 13s, now - 3s}, now + 120s)).size() == 2);
}

TEST_CASE("a second at an end of a window is rounding, a second in its middle is none") {
  PresenceBook book;
  book.note(camera, {t0, t0 + 1'000'000s}, {span(1s, 50s), span(52s, 400s)}, t0 + 520s);
  CHECK(plain(book.missing(camera, span(0s, 40s), t0 + 520s)).empty());
  CHECK(plain(book.missing(camera, span(0s, 60s), t0 + 520s)) == Pieces{{50, 52}});
}
