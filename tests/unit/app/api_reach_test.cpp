#include "api_reach.hpp"

#include <sstream>

#include <catch2/catch.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "manual_clock.hpp"

using namespace responder;
using namespace std::chrono_literals;

namespace {

// What is logged while it lives.
class LogText {
 public:
  LogText() : before_(spdlog::default_logger()) {
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)));
  }
  ~LogText() { spdlog::set_default_logger(before_); }
  LogText(const LogText&) = delete;
  LogText& operator=(const LogText&) = delete;

  int count(const std::string& what) const {
    int found = 0;
    const auto all = text_.str();
    for (auto at = all.find(what); at != std::string::npos; at = all.find(what, at + 1)) ++found;
    return found;
  }

 private:
  std::ostringstream text_;
  std::shared_ptr<spdlog::logger> before_;
};

}  // namespace

TEST_CASE("an outage of Rhombus's API is said once, and so is its end") {
  test::ManualClock clock;
  app::ApiReach reach("https://api.example", clock);
  const LogText log;
  reach.note(200);
  reach.note(0);
  reach.note(404);
  reach.note(0);
  reach.note(503);
  CHECK_FALSE(reach.is_away());
  reach.note(0);
  CHECK(reach.is_away());
  for (int i = 0; i < 500; ++i) {
    clock.advance(100ms);
    reach.note(i % 2 == 0 ? 0 : 502);
  }
  CHECK(log.count("Rhombus is unreachable since 2023-11-14T22:13:20Z (https://api.example)") == 1);
  CHECK(log.count("reachable again") == 0);
  reach.note(200);
  CHECK_FALSE(reach.is_away());
  CHECK(log.count("Rhombus is reachable again (https://api.example), after 50 s") == 1);
  reach.note(200);
  CHECK(log.count("reachable again") == 1);
}
