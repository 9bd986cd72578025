#include "responder/capture/stretch.hpp"

#include <catch2/catch.hpp>

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
  archive::Spool spool{folder.path(), 1ULL << 40U, 0};
  StretchStore store{access, spool};
  const Recorder camera{.device = DeviceId("cam")};

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
  archive::Spool small(folder.path(), 1000, 0);
  small.add(900);
  StretchStore full(access, small);
  const auto in_use = full.cover(camera, {at(0), at(60)});
  full.tidy({});
  CHECK(is_there());
}
