// The spool always drains: random histories of all that uses it. SPOOL_HISTORIES says how many, if not the few that
// every run of the tests takes:
//
//   SPOOL_HISTORIES=100000 build/release/tests/unit/unit_archive "in every history*"
#include "spool_model.hpp"

#include <cstdlib>

#include <catch2/catch.hpp>

using namespace responder;

namespace {

struct RealRules : archive::SpoolBudget {
  using SpoolBudget::SpoolBudget;
  static std::vector<std::size_t> evict(const std::vector<archive::IdleFootage>& idle,
                                        const archive::SpoolShortage& shortage) {
    return archive::choose_evictions(idle, shortage);
  }
  static constexpr bool removes_early_clips = true;
  static constexpr bool is_bounded = true;
};

}  // namespace

TEST_CASE("in every history of the spool every capture ends") {
  const char* wanted = std::getenv("SPOOL_HISTORIES");
  const std::uint64_t histories = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 5000;
  REQUIRE(histories > 0);
  std::uint64_t waited = 0, made_room = 0;
  for (std::uint64_t seed = 1; seed <= histories; ++seed) {
    test::SpoolModel<RealRules> model(seed);
    const auto wrong = model.run();
    if (!wrong.empty()) FAIL("history " << seed << ": " << wrong);
    waited += model.waited() ? 1 : 0;
    made_room += model.made_room() ? 1 : 0;
  }
  // The histories are about something.
  CHECK(waited > histories / 4);
  CHECK(made_room > histories / 10);
}
