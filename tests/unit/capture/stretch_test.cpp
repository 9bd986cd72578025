#include "responder/capture/stretch.hpp"

#include <fstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "manual_clock.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::capture;
using namespace std::chrono_literals;

namespace {

std::chrono::sys_seconds at(int second) {
  return std::chrono::sys_seconds(1'700'000'000s + std::chrono::seconds(second));
}

// Nothing here asks Rhombus anything.
struct Fixture {
  test::TempFolder folder;
  test::ManualClock clock;
  rhombus::ApiClient api{{.url = *net::Url::parse("https://127.0.0.1:1"),
                          .media_url = *net::Url::parse("https://127.0.0.1:1"),
                          .api_key = Secret("k")},
                         clock,
                         [](std::string_view, int) {}};
  rhombus::TokenCache tokens{api, clock};
  rhombus::MediaLocator locator{api, clock};
  FootageAccess access{{},
                       api,
                       tokens,
                       locator,
                       [](const DeviceId&, const std::string&) { return Result<void>{}; },
                       [](rhombus::Route, std::size_t) {},
                       clock};
  archive::Spool spool{folder.path(), {1ULL << 40U, 0}, clock};
  StretchStore store{access, spool};
  const Recorder camera{.device = DeviceId("cam")};

  void write(const std::string& name, std::size_t bytes) const {
    const auto file = folder.path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << std::string(bytes, 'x');
  }

  std::vector<std::pair<int, int>> cover(int start, int end) {
    std::vector<std::pair<int, int>> spans;
    for (const auto& stretch : store.cover(camera, {at(start), at(end)}))
      spans.emplace_back((stretch->span().start - at(0)).count(), (stretch->span().end - at(0)).count());
    return spans;
  }
};

using Spans = std::vector<std::pair<int, int>>;

}  // namespace

TEST_CASE_METHOD(Fixture, "windows that overlap share what they have in common") {
  CHECK(cover(0, 60) == Spans{{0, 60}});
  CHECK(cover(0, 60) == Spans{{0, 60}});
  CHECK(cover(10, 50) == Spans{{0, 60}});
  CHECK(cover(-5, 20) == Spans{{-5, 0}, {0, 60}});
  CHECK(cover(100, 110) == Spans{{100, 110}});
  CHECK(store.cover({.device = DeviceId("other")}, {at(0), at(60)}).front()->span().start == at(0));
}

TEST_CASE_METHOD(Fixture, "what may come by one way alone is kept apart, also after a restart") {
  auto by_lan = camera;
  by_lan.connection = ConnectionMode::lan;
  CHECK(by_lan.name() == "cam+va-lan");
  CHECK(Recorder{.device = DeviceId("a-lan"), .video = false, .connection = ConnectionMode::wan}.name() ==
        "a-lan+a-wan");
  const auto shared = store.cover(camera, {at(0), at(60)}).front();
  CHECK(store.cover(by_lan, {at(0), at(60)}).front() != shared);
  CHECK(store.cover(camera, {at(0), at(60)}).front() == shared);

  std::filesystem::create_directories(folder.path() / "work/cam+va-lan/1700000000_60/lan-1");
  StretchStore found(access, spool);
  CHECK(found.cover(by_lan, {at(10), at(20)}).front()->span().end == at(60));
  CHECK(found.cover(camera, {at(10), at(20)}).front()->span().end == at(20));
  const auto is_there = [&] { return std::filesystem::exists(folder.path() / "work/cam+va-lan"); };
  clock.advance(11min);
  found.tidy({{DeviceId("cam"), at(59), at(70)}});
  CHECK(is_there());
  found.tidy({});
  CHECK_FALSE(is_there());
}

TEST_CASE_METHOD(Fixture, "one that has not begun grows instead of getting a neighbour") {
  CHECK(cover(0, 60) == Spans{{0, 60}});
  CHECK(cover(30, 90) == Spans{{0, 90}});
  CHECK(cover(50, 120) == Spans{{0, 120}});
}

TEST_CASE_METHOD(Fixture, "a stretch leaves its beginning to the one before only while all who hold it hold both") {
  // The one before was asked for already: it grows no more.
  std::filesystem::create_directories(folder.path() / "work/cam+va/1700000000_60/lan-1");
  StretchStore found(access, spool);
  const auto alone = GENERATE(false, true);
  const auto both = found.cover(camera, {at(30), at(90)});
  REQUIRE(both.size() == 2);
  CHECK(both[1]->span().start == at(60));
  const auto joined = found.cover(camera, {alone ? at(60) : at(50), at(80)});
  REQUIRE(joined.size() == (alone ? 1 : 2));
  CHECK(joined.back() == both[1]);
  // The one before has turned out to have a second more.
  both[1]->begin_after(both[0], at(61));
  CHECK(both[1]->span().start == (alone ? at(60) : at(61)));
  CHECK(both[1]->span().end == at(90));
  both[1]->begin_after(both[0], at(62));
  CHECK(both[1]->span().start == (alone ? at(60) : at(61)));
  // Who comes later and needs the second has it of its own.
  const auto later = found.cover(camera, {at(60), at(80)});
  CHECK(later.front()->span().start == at(60));
  CHECK(later.back() == both[1]);
}

TEST_CASE_METHOD(Fixture, "what is idle and wanted by nobody goes after a while, at once when the spool is full") {
  std::filesystem::create_directories(folder.path() / "work/cam+va/1700000000_60/lan-1");
  StretchStore found(access, spool);
  const auto is_there = [&] { return std::filesystem::exists(folder.path() / "work/cam+va/1700000000_60"); };
  found.tidy({});
  CHECK(is_there());
  clock.advance(11min);
  found.tidy({{DeviceId("cam"), at(59), at(70)}});
  CHECK(is_there());
  found.tidy({{DeviceId("cam"), at(60), at(70)}, {DeviceId("other"), at(0), at(70)}});
  CHECK_FALSE(is_there());

  std::filesystem::create_directories(folder.path() / "work/cam+va/1700000000_60/lan-1");
  write("work/cam+va/1700000000_60/lan-1/video-000000", 900);
  archive::Spool small(folder.path(), {1000, 0}, clock);
  small.measure();
  StretchStore full(access, small);
  const auto in_use = full.cover(camera, {at(0), at(60)});
  full.tidy({});
  CHECK(is_there());
}

TEST_CASE_METHOD(Fixture, "the time since footage was last used goes on over a restart") {
  const auto now = std::chrono::file_clock::from_sys(clock.wall_now());
  const auto session = folder.path() / "work/cam+va/1700000000_60/lan-1";
  std::filesystem::create_directories(session);
  std::filesystem::last_write_time(session, now - 9min);
  std::filesystem::last_write_time(session.parent_path(), now - 30min);
  for (int i = 0; i < 3; ++i) {
    StretchStore(access, spool).tidy({});
    CHECK(std::filesystem::exists(session));
  }
  clock.advance(61s);
  StretchStore(access, spool).tidy({});
  CHECK_FALSE(std::filesystem::exists(session));
}

TEST_CASE_METHOD(Fixture, "footage of a device is wanted by whoever names it with a lens") {
  write("work/cam+va/1700000000_60/lan-1/video-000000", 10);
  StretchStore found(access, spool);
  const auto is_there = [&] { return std::filesystem::exists(folder.path() / "work/cam+va/1700000000_60"); };
  clock.advance(11min);
  found.tidy({{DeviceId("cam.v0"), at(10), at(20)}});
  CHECK(is_there());
  found.tidy({{DeviceId("camera.v0"), at(10), at(20)}});
  CHECK_FALSE(is_there());
}

TEST_CASE_METHOD(Fixture,
                 "when room is needed, footage goes that its captures have a clip of, then that of the newest") {
  for (const auto* name : {"1700000000_60", "1700000100_60", "1700000200_60", "1700000300_60"})
    write("work/cam+va/" + std::string(name) + "/lan-1/video-000000", 1000);
  archive::Spool full(folder.path(), {3000, std::uint64_t{1} << 60U}, clock);  // its disk is always short
  full.measure();
  StretchStore found(access, full);
  const auto left = [&] {
    std::string starts;
    for (const int start : {0, 100, 200, 300}) {
      if (std::filesystem::exists(folder.path() / fmt::format("work/cam+va/{}_60", 1'700'000'000 + start)))
        starts += fmt::format("{} ", start);
    }
    return starts;
  };
  const std::vector<journal::OpenWindow> open{{DeviceId("cam"), at(0), at(60), 5, false},
                                              {DeviceId("cam"), at(100), at(160), 6, true},
                                              {DeviceId("cam"), at(200), at(260), 7, false},
                                              {DeviceId("cam"), at(300), at(360), 8, false}};
  found.tidy(open);
  CHECK(left() == "0 100 200 300 ");
  const auto in_use = found.cover(camera, {at(300), at(360)});
  CHECK(std::holds_alternative<archive::Spool::Refused>(full.claim(5, {1000, 1000, 2000})));
  found.tidy(open);
  CHECK(left() == "0 300 ");  // not what it is needed for, nor what is in use
  CHECK(full.used() == 2000);
}

TEST_CASE_METHOD(Fixture,
                 "what a window needs of the spool is told by what its device has sent, and by what is there") {
  BitRates rates;
  CHECK(rates.of(camera) == 1'000'000);
  CHECK(rates.of({.device = DeviceId("gateway"), .video = false}) < 100'000);
  rates.learn(camera, 0, 60s);
  rates.learn(camera, 1000, 0s);
  CHECK(rates.of(camera) == 1'000'000);
  rates.learn(camera, 2'500'000 * 60, 60s);
  CHECK(rates.of(camera) == 2'750'000);
  rates.learn(camera, 100'000 * 60, 60s);
  CHECK(rates.of(camera) == 110'000);

  write("work/cam+va/1700000000_60/lan-1/video-000000", 1'100'000);
  const Stretch stretch(camera, {at(0), at(60)}, folder.path() / "work/cam+va", access, rates, true);
  const auto whole = stretch.need({at(0), at(60)});
  CHECK(whole.clip == 6'600'000);
  CHECK(whole.present == 1'100'000);
  CHECK(whole.missing == 5'500'000);
  const auto half = stretch.need({at(30), at(90)});
  CHECK(half.clip == 3'300'000);
  CHECK(half.missing == 2'750'000);
  CHECK(stretch.need({at(60), at(90)}).clip == 0);
}
