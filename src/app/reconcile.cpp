// reconcile: what Rhombus lists against what the journal and the archive hold. It asks and compares, and changes
// nothing.
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

#include "archive_marker.hpp"
#include "capture_engine.hpp"
#include "commands.hpp"
#include "scope.hpp"
#include "set_up.hpp"

namespace responder::app {
namespace {

using journal::State;

// One (alert, camera) that Rhombus knows.
struct Account {
  AlertId alert;
  DeviceId camera;
  std::chrono::sys_seconds window_start;
  std::string clip;    // empty: there is none
  std::string reason;  // why there is none, or why it is not all that was wanted
};

struct Balance {
  // `capturing` counts as waiting.
  std::map<State, std::vector<Account>> by_state;
  std::vector<Account> unaccounted;

  std::size_t count(State state) const {
    const auto found = by_state.find(state);
    return found == by_state.end() ? 0 : found->second.size();
  }
  std::size_t known() const {
    std::size_t sum = 0;
    for (const auto& [state, accounts] : by_state) sum += accounts.size();
    return sum;
  }
};

constexpr std::array reported_states{State::done, State::partial, State::failed, State::ignored, State::waiting};

// What is wrong with a published clip; empty: it stands in the archive as it was recorded.
std::string problem_with_clip(const Config& config, const journal::Published& published) {
  const auto path = std::filesystem::path(config.archive.directory) / published.clip;
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  if (failed) return fmt::format("its clip {} is not in the archive: {}", published.clip, failed.message());
  if (size != published.bytes)
    return fmt::format("its clip {} has {} bytes, not {}", published.clip, size, published.bytes);
  return "";
}

void settle_account(const Config& config, Balance& balance, const journal::NewCapture& listed,
                    const std::optional<journal::Capture>& row) {
  Account account{listed.alert, listed.camera, listed.window_start, "", ""};
  const auto enter = [&](State state, std::string reason) {
    account.reason = std::move(reason);
    balance.by_state[state].push_back(std::move(account));
  };
  const auto miss = [&](std::string reason) {
    account.reason = std::move(reason);
    balance.unaccounted.push_back(std::move(account));
  };
  if (!row) return miss("it is not in the journal: run catch-up");
  const bool has_clip = row->state == State::done || row->state == State::partial;
  const bool waits = row->state == State::waiting || row->state == State::capturing;
  if (waits) return enter(State::waiting, row->reason.empty() ? "waits its turn" : row->reason);
  if (!has_clip || row->removed_at) return enter(row->state, row->reason);
  if (auto problem = problem_with_clip(config, *row->published); !problem.empty())
    return miss(problem + fmt::format(": run retry {}", listed.alert.str()));
  account.clip = row->published->clip;
  enter(row->state, row->reason);
}

void print_accounts(std::string_view title, const std::vector<Account>& accounts) {
  if (accounts.empty()) return;
  fmt::print("\n{}\n", title);
  for (const auto& account : accounts) {
    const auto* separator = account.clip.empty() || account.reason.empty() ? "" : ": ";
    fmt::print("  {}  alert {}  camera {}  {}\n", format_rfc3339(WallTime(account.window_start)), account.alert.str(),
               account.camera.str(), printable(account.clip + separator + account.reason, 400));
  }
}

void print(const Balance& balance) {
  fmt::print("known {} = {} done + {} partial + {} failed + {} ignored + {} waiting", balance.known(),
             balance.count(State::done), balance.count(State::partial), balance.count(State::failed),
             balance.count(State::ignored), balance.count(State::waiting));
  if (!balance.unaccounted.empty()) fmt::print(" + {} UNACCOUNTED FOR", balance.unaccounted.size());
  fmt::print("\n");
  print_accounts("unaccounted for", balance.unaccounted);
  for (const auto state : reported_states) {
    const auto found = balance.by_state.find(state);
    if (found != balance.by_state.end()) print_accounts(to_string(state), found->second);
  }
}

void write_accounts(JsonWriter& json, std::string_view name, const std::vector<Account>& accounts) {
  json.key(name).begin_array();
  for (const auto& account : accounts) {
    json.begin_object()
        .field("alert", account.alert.str())
        .field("camera", account.camera.str())
        .field("window_start", account.window_start.time_since_epoch().count())
        .field("reason", account.reason)
        .key("clip");
    account.clip.empty() ? json.null() : json.value(account.clip);
    json.end_object();
  }
  json.end_array();
}

void print_json(const Balance& balance) {
  JsonWriter json;
  json.begin_object().field("known", balance.known());
  for (const auto state : reported_states) json.field(to_string(state), balance.count(state));
  write_accounts(json, "unaccounted", balance.unaccounted);
  json.key("lists").begin_object();
  for (const auto state : reported_states) {
    const auto found = balance.by_state.find(state);
    write_accounts(json, to_string(state), found == balance.by_state.end() ? std::vector<Account>{} : found->second);
  }
  json.end_object().end_object();
  fmt::print("{}\n", std::move(json).str());
}

}  // namespace

int reconcile(const Config& config, const ReconcileOptions& options) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  SystemClock clock;
  auto scope = read_scope(options.scope, clock.wall_now());
  if (!scope) return complain(scope.error().message);
  if (!scope->after) return complain("give --after: from when on Rhombus's alerts are to be accounted for");
  if (const auto wrong_name = name_scope(config, {options.scope.camera, options.scope.location}, {}, *scope, {}))
    return complain(wrong_name->message, wrong_name->status);
  auto journal = open_journal_to_look(config);
  if (!journal) return complain(with_context(journal.error(), "journal.path").message);
  const archive::Archive archive(config.archive.directory, config.archive.layout, config.archive.timezone, 0);
  if (auto there = check_is_archive(archive, *journal); !there)
    return complain("archive.directory: " + there.error().message, exit_failed);

  rhombus::ApiClient api(api_options(config), clock, [](std::string_view, int) {});
  const rhombus::AlertQuery query{
      .after = scope->after, .before = scope->before, .location = scope->location, .cursor = {}};
  const auto policy = intake_policy(config);
  Balance balance;
  std::set<std::pair<std::string, std::string>> seen;
  bool rhombus_failed = false;
  const auto ask = [&](const rhombus::AlertQuery& page, std::stop_token stop) {
    auto answer = api.policy_alerts(page, std::move(stop));
    if (!answer) rhombus_failed = true;
    return answer;
  };
  const auto listing =
      rhombus::list_alerts(ask, query, {}, [&](std::vector<rhombus::ListedAlert> page) -> Result<bool> {
        for (const auto& listed : page) {
          const auto planned = ingest::plan_captures(listed.alert, policy, journal::Via::catch_up, clock.wall_now());
          for (const auto& capture : planned) {
            if (scope->camera && capture.camera != *scope->camera) continue;
            // A page may tell again what the one before has told.
            if (!seen.emplace(capture.alert.str(), capture.camera.str()).second) continue;
            const auto row = journal->find(capture.alert, capture.camera);
            if (!row) return row.error();
            settle_account(config, balance, capture, *row);
          }
        }
        return true;
      });
  if (!listing) return complain(listing.error().message, rhombus_failed ? exit_unreachable : exit_failed);
  options.json ? print_json(balance) : print(balance);
  if (listing->unusable > 0)
    complain(fmt::format("{} alerts that Rhombus lists cannot be read and are not counted", listing->unusable));
  const bool all_accounted_for = balance.unaccounted.empty() && listing->unusable == 0 && listing->complete;
  return all_accounted_for ? exit_done : exit_failed;
}

}  // namespace responder::app
