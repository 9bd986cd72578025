// check: what is wrong with the set-up, one line each with the mend.
#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/file.hpp"

#include "archive_marker.hpp"
#include "capture_engine.hpp"
#include "commands.hpp"
#include "push_path.hpp"

namespace responder::app {
namespace {

// Prints each finding as it comes; counts those that are wrong.
class Findings {
 public:
  void good(std::string_view what, std::string_view detail) { fmt::print("ok     {:<9} {}\n", what, detail); }
  void wrong(std::string_view what, std::string_view detail) {
    fmt::print("WRONG  {:<9} {}\n", what, detail);
    ++wrong_;
  }
  bool all_good() const { return wrong_ == 0; }

 private:
  int wrong_ = 0;
};

void check_journal(const Config& config, Findings& findings, std::optional<journal::Journal>& opened) {
  std::error_code ignored;
  if (!std::filesystem::exists(config.journal.path, ignored))
    return findings.good("journal", config.journal.path + " is not there yet; serve and catch-up make it");
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  auto sound = journal ? journal->check() : Result<void>(journal.error());
  if (!sound) return findings.wrong("journal", "journal.path: " + sound.error().message);
  findings.good("journal", config.journal.path);
  opened.emplace(std::move(*journal));
}

void check_archive(const Config& config, Findings& findings, std::optional<journal::Journal>& journal) {
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone,
                                 static_cast<std::uint64_t>(config.archive.min_free_bytes));
  auto usable = journal ? check_is_archive(archive, *journal) : Result<void>{};
  if (usable) usable = archive.check_writable();
  if (usable) usable = archive.check_space(0);
  if (!usable) return findings.wrong("archive", "archive.directory: " + usable.error().message);
  findings.good("archive", config.archive.directory);
}

// True: Rhombus can be asked.
bool check_api(rhombus::ApiClient& api, const Config& config, Findings& findings) {
  const auto cameras = api.cameras({});
  if (!cameras) {
    findings.wrong("API", cameras.error().message);
    return false;
  }
  if (const auto ahead = api.clock_ahead(); ahead != std::chrono::milliseconds(0)) {
    findings.wrong("clock", fmt::format("it is {} s {} Rhombus's: let it follow a time server",
                                        std::abs(ahead.count()) / 1000, ahead.count() > 0 ? "ahead of" : "behind"));
  } else {
    findings.good("clock", "as Rhombus's");
  }
  findings.good("API", fmt::format("{} lists {} cameras", config.rhombus.api_url, cameras->size()));
  return true;
}

void check_push_path(rhombus::ApiClient& api, Findings& findings, std::optional<journal::Journal>& journal,
                     WallTime now) {
  constexpr std::chrono::hours looked_at{24};
  const auto health = api.webhook_health(now - looked_at, {});
  const auto silence = journal ? describe_silence(*journal, now) : Result<std::string>(std::string());
  if (silence && !silence->empty()) return findings.wrong("webhooks", *silence);
  if (!health) return findings.wrong("webhooks", health.error().message);
  if (!health->enabled || !health->disabled_urls.empty() || health->failures > 0)
    return findings.wrong("webhooks", what_rhombus_says(api, now - looked_at, {}));
  findings.good("webhooks", "none is known to be missed");
}

}  // namespace

int check(const Config& config) {
  Findings findings;
  if (auto usable = check_for_serving(config); !usable) {
    findings.wrong("config", usable.error().message);
  } else {
    findings.good("config", "complete");
  }
  std::optional<journal::Journal> journal;
  check_journal(config, findings, journal);
  check_archive(config, findings, journal);
  bool reached = true;
  const bool can_ask = static_cast<bool>(check_for_asking(config));
  if (can_ask) {
    SystemClock clock;
    rhombus::ApiClient api(api_options(config), clock, [](std::string_view, int) {});
    reached = check_api(api, config, findings);
    if (reached) check_push_path(api, findings, journal, clock.wall_now());
  }
  if (findings.all_good()) return exit_done;
  if (!can_ask) return exit_usage;
  return reached ? exit_failed : exit_unreachable;
}

}  // namespace responder::app
