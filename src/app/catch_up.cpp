// catch-up: one pass over Rhombus's alerts, captures what is missing, ends.
#include <optional>

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/capture_json.hpp"

#include "alert_run.hpp"
#include "beside.hpp"
#include "capture_run.hpp"
#include "commands.hpp"
#include "scope.hpp"
#include "serve_report.hpp"
#include "set_up.hpp"
#include "signals.hpp"

namespace responder::app {
namespace {

using journal::State;
using std::chrono::seconds;

// Lists what a run would take. Without the signals held back: it may be ended at any moment.
int dry_run(const Config& config, const ingest::PassScope& scope) {
  // Two of them: a pass reads its bounds through the writer's.
  auto bounds = open_journal_to_look(config);
  auto known = open_journal_to_look(config);
  if (!bounds || !known) return complain(with_context((bounds ? known : bounds).error(), "journal.path").message);
  SystemClock clock;
  journal::Writer writer(std::move(*bounds), max_queued_changes);
  rhombus::ApiClient api(api_options(config), clock, [](std::string_view, int) {});
  ingest::Intake intake(intake_policy(config), writer, [](journal::CaptureId, bool) {});
  bool rhombus_failed = false;
  const ingest::CatchUp catch_up(
      [&](const rhombus::AlertQuery& query, std::stop_token stop) {
        auto page = api.policy_alerts(query, std::move(stop));
        if (!page) rhombus_failed = true;
        return page;
      },
      intake, writer, clock, seconds(config.catch_up.lookback_seconds));
  std::size_t would_take = 0;
  const auto listing = catch_up.plan(scope, {}, [&](std::vector<journal::NewCapture> captures) -> Result<void> {
    for (const auto& capture : captures) {
      const auto row = known->find(capture.alert, capture.camera);
      if (!row) return row.error();
      const bool longer = capture.duration_is_told && *row && (*row)->duration < capture.duration;
      const bool has_it = *row && is_final(**row) && (*row)->state != State::ignored && !longer;
      if (!capture.ignored_reason.empty() || has_it) continue;
      ++would_take;
      fmt::print("{}  alert {}  camera {}  {} s  {}\n", format_rfc3339(WallTime(capture.window_start)),
                 capture.alert.str(), capture.camera.str(), (capture.window_end - capture.window_start).count(),
                 join(capture.activities, ","));
    }
    return {};
  });
  if (!listing) return complain(listing.error().message, rhombus_failed ? exit_unreachable : exit_failed);
  fmt::print("{} alerts listed, {} captures would be taken\n", listing->alerts, would_take);
  return exit_done;
}

}  // namespace

int catch_up(const Config& config, const CatchUpOptions& options, const Signals* signals) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  auto scope = read_scope(options.scope, SystemClock().wall_now());
  if (!scope) return complain(scope.error().message);
  std::optional<Complaint> wrong_name;
  const auto find_names = [&](std::stop_token stop) {
    wrong_name = name_scope(config, {options.scope.camera, options.scope.location}, {}, *scope, std::move(stop));
  };
  if (signals == nullptr) {
    find_names({});
  } else if (run_beside(*signals, find_names)) {
    return complain("interrupted while asking Rhombus; nothing is lost", exit_failed);
  }
  if (wrong_name) return complain(wrong_name->message, wrong_name->status);
  set_process_up();
  if (signals == nullptr) return dry_run(config, *scope);
  scope->webhooks_expected = ProcessLock::is_held(serve_lock(config.journal.path));
  const int status = take_alerts(config, *scope, {}, *signals);
  if (status == exit_done || status == exit_failed) {
    auto journal = open_known_journal(config);
    const auto remembered = journal ? remember_catch_up(*journal, SystemClock().wall_now()) : journal.error();
    if (!remembered) complain(with_context(remembered.error(), "journal.path").message);
  }
  return status;
}

}  // namespace responder::app
