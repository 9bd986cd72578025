#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

#include "journal_impl.hpp"

namespace responder::journal {
namespace {

constexpr std::string_view placeholder_mark = "p";

}  // namespace

std::string encode_gaps(const std::vector<Gap>& gaps) {
  std::vector<std::string> parts;
  for (const auto& gap : gaps) {
    const auto mark = gap.reason == GapReason::placeholder ? placeholder_mark : "";
    parts.push_back(fmt::format("{}-{}{}", to_ms(gap.start), to_ms(gap.end), mark));
  }
  return join(parts, ",");
}

std::vector<Gap> decode_gaps(std::string_view text) {
  std::vector<Gap> gaps;
  for (const auto& one : split(text, ',')) {
    std::string_view part(one);
    const bool is_placeholder = part.ends_with(placeholder_mark);
    if (is_placeholder) part.remove_suffix(placeholder_mark.size());
    const auto dash = part.find('-');
    const auto start = parse_int(part.substr(0, dash));
    const auto end = dash == std::string_view::npos ? std::nullopt : parse_int(part.substr(dash + 1));
    const auto reason = is_placeholder ? GapReason::placeholder : GapReason::missing;
    if (start && end) gaps.push_back({from_ms(*start), from_ms(*end), reason});
  }
  return gaps;
}

std::string label(const Capture& capture) {
  if (capture.kind == Kind::alert) return "alert " + capture.alert.str();
  return fmt::format("range {} + {} s", format_rfc3339(WallTime(capture.window_start)),
                     (capture.window_end - capture.window_start).count());
}

namespace {

Damage parse_damage(std::string_view text) {
  if (text == to_string(Damage::damaged)) return Damage::damaged;
  return text == to_string(Damage::missing) ? Damage::missing : Damage::none;
}

// As a pattern of LIKE, with \ before what would mean something else.
std::string part_of(std::string_view text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

}  // namespace

Capture read_capture(const Statement& row) {
  Capture capture;
  capture.id = row.integer(0);
  capture.alert = AlertId(row.text(1));
  capture.camera = DeviceId(row.text(2));
  capture.camera_name = row.text(3);
  capture.location = LocationId(row.text(4));
  capture.activities = split(row.text(5), ',');
  capture.via = parse_via(row.text(6));
  capture.received_at = from_ms(row.integer(7));
  capture.alert_at = from_ms(row.integer(8));
  capture.duration = seconds(row.integer(9));
  capture.window_start = sys_seconds(seconds(row.integer(10)));
  capture.window_end = sys_seconds(seconds(row.integer(11)));
  capture.state = parse_state(row.text(12)).value_or(State::failed);
  capture.reason = row.text(13);
  capture.attempts = static_cast<int>(row.integer(14));
  if (!row.is_null(15)) capture.next_attempt_at = from_ms(row.integer(15));
  capture.kind = row.text(23) == to_string(Kind::range) ? Kind::range : Kind::alert;
  capture.held = row.integer(24) != 0;
  if (!row.is_null(25)) capture.removed_at = from_ms(row.integer(25));
  if (!row.is_null(16) && !capture.removed_at) {
    capture.published =
        Published{.clip = row.text(16),
                  .source = row.text(17),
                  .bytes = static_cast<std::uint64_t>(row.integer(18)),
                  .sha256 = row.text(19),
                  .gaps = decode_gaps(row.text(20)),
                  .window_end = row.is_null(22) ? capture.window_end : sys_seconds(seconds(row.integer(22))),
                  .damage = parse_damage(row.text(26)),
                  .presence = parse_presence(row.text(27))};
  }
  capture.clip_region = row.text(21);
  return capture;
}

Result<void> Journal::each(const Filter& filter, const std::function<void(const Capture&)>& visit) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM captures WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR received_ms >= ?2) "
      "AND (?4 IS NULL OR alert = ?4) AND (?5 IS NULL OR received_ms < ?5) AND (?6 IS NULL OR via = ?6) "
      "AND (?7 IS NULL OR camera = ?7 OR camera_name LIKE ?8 ESCAPE '\\' OR (camera_name = '' AND camera IN "
      "(SELECT camera FROM captures WHERE camera_name LIKE ?8 ESCAPE '\\'))) AND (?10 IS NULL OR held = ?10) "
      "AND (?9 IS NULL OR ',' || activities || ',' LIKE ?9 ESCAPE '\\') ORDER BY id DESC LIMIT ?3",
      capture_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  std::optional<std::string_view> state;
  if (filter.state) state = to_string(*filter.state);
  std::optional<std::int64_t> after;
  if (filter.after) after = to_ms(*filter.after);
  std::optional<std::string_view> alert;
  if (filter.alert) alert = filter.alert->str();
  std::optional<std::int64_t> before;
  if (filter.before) before = to_ms(*filter.before);
  std::optional<std::string_view> via;
  if (filter.via) via = to_string(*filter.via);
  std::optional<std::string_view> camera;
  if (!filter.camera.empty()) camera = filter.camera;
  const auto camera_name = part_of(filter.camera);
  const auto one_activity = part_of("," + filter.activity + ",");
  std::optional<std::string_view> activity;
  if (!filter.activity.empty()) activity = one_activity;
  std::optional<std::int64_t> held;
  if (filter.held) held = *filter.held ? 1 : 0;
  (*query)->bind(state, after, static_cast<std::int64_t>(filter.limit), alert, before, via, camera,
                 std::string_view(camera_name), activity, held);
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return {};
    visit(read_capture(**query));
  }
}

Result<std::vector<Capture>> Journal::published(CaptureId after, std::size_t limit) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM captures WHERE id > ? AND clip IS NOT NULL AND removed_ms IS NULL ORDER BY id LIMIT ?",
      capture_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  std::vector<Capture> found;
  (*query)->bind(after, static_cast<std::int64_t>(limit));
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return found;
    found.push_back(read_capture(**query));
  }
}

Result<ClipTotals> Journal::published_totals(CaptureId after) {
  auto query = impl_->statement(
      "SELECT count(*), coalesce(sum(bytes), 0) FROM captures "
      "WHERE id > ? AND clip IS NOT NULL AND removed_ms IS NULL");
  if (!query) return query.error();
  const auto row = (*query)->bind(after).step();
  if (!row) return row.error();
  const ClipTotals totals{static_cast<std::uint64_t>((*query)->integer(0)),
                          static_cast<std::uint64_t>((*query)->integer(1))};
  (*query)->reset();
  return totals;
}

Result<std::optional<Capture>> Journal::find(CaptureId id) {
  static const std::string sql = fmt::format("SELECT {} FROM captures WHERE id = ?", capture_columns);
  return impl_->one(sql, id);
}

Result<std::optional<Capture>> Journal::find(const AlertId& alert, const DeviceId& camera) {
  static const std::string sql =
      fmt::format("SELECT {} FROM captures WHERE alert = ? AND camera = ?", capture_columns);
  return impl_->one(sql, alert.str(), camera.str());
}

Result<MissedWebhooks> Journal::missed_webhooks(WallTime from, WallTime to) {
  auto query = impl_->statement(
      "SELECT count(*), min(alert_ms) FROM captures WHERE webhook_missed = 1 AND alert_ms BETWEEN ? AND ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(to_ms(from), to_ms(to)).step();
  if (!row) return row.error();
  MissedWebhooks missed{.count = static_cast<std::uint64_t>((*query)->integer(0)), .first = {}};
  if (missed.count > 0) missed.first = from_ms((*query)->integer(1));
  (*query)->reset();
  return missed;
}

Result<std::optional<WallTime>> Journal::last_webhook_alert() {
  auto query = impl_->statement(
      "SELECT alert_ms FROM captures WHERE via = 'webhook' AND substr(alert, 1, ?1) <> ?2 ORDER BY id DESC LIMIT 1");
  if (!query) return query.error();
  (*query)->bind(static_cast<std::int64_t>(test_alert_prefix.size()), test_alert_prefix);
  const auto row = (*query)->step();
  if (!row) return row.error();
  std::optional<WallTime> at;
  if (*row) at = from_ms((*query)->integer(0));
  (*query)->reset();
  return at;
}

Result<Counts> Journal::counts() {
  auto query = impl_->statement("SELECT state, captures FROM totals");
  if (!query) return query.error();
  Counts counts;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) break;
    const auto count = static_cast<std::uint64_t>((*query)->integer(1));
    switch (parse_state((*query)->text(0)).value_or(State::failed)) {
      case State::waiting: counts.waiting = count; break;
      case State::capturing: counts.capturing = count; break;
      case State::done: counts.done = count; break;
      case State::partial: counts.partial = count; break;
      case State::failed: counts.failed = count; break;
      case State::ignored: counts.ignored = count; break;
    }
  }
  auto oldest = impl_->statement("SELECT min(received_ms) FROM captures WHERE state = 'waiting'");
  if (!oldest) return oldest.error();
  (*oldest)->bind();
  if (const auto row = (*oldest)->step(); !row) return row.error();
  if (!(*oldest)->is_null(0)) counts.oldest_waiting = from_ms((*oldest)->integer(0));
  (*oldest)->reset();
  return counts;
}

Result<std::vector<CaptureId>> Journal::open_ids() {
  return impl_->ids(
      "SELECT id FROM captures WHERE next_attempt_ms IS NOT NULL UNION ALL "
      "SELECT id FROM captures WHERE state = 'capturing'");
}

Result<Journal::Waiting> Journal::waiting_for_archive() {
  auto query = impl_->statement(
      "SELECT count(*), reason FROM captures WHERE id IN (SELECT capture FROM ready) AND state <> 'capturing' "
      "GROUP BY reason ORDER BY reason = '', count(*) DESC");
  if (!query) return query.error();
  Waiting waiting;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return waiting;
    if (waiting.clips == 0) waiting.reason = (*query)->text(1);
    waiting.clips += static_cast<std::uint64_t>((*query)->integer(0));
  }
}

Result<std::vector<CaptureId>> Journal::ready_ids() { return impl_->ids("SELECT capture FROM ready"); }

Result<std::optional<sys_seconds>> Journal::window_end(CaptureId id) {
  auto query = impl_->statement("SELECT window_end_s FROM captures WHERE id = ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(id).step();
  if (!row) return row.error();
  std::optional<sys_seconds> end;
  if (*row) end = sys_seconds(seconds((*query)->integer(0)));
  (*query)->reset();
  return end;
}

Result<std::vector<OpenWindow>> Journal::open_windows() {
  auto query = impl_->statement(
      "SELECT camera, window_start_s, window_end_s, id, clip IS NOT NULL FROM captures "
      "WHERE next_attempt_ms IS NOT NULL AND id NOT IN (SELECT capture FROM ready) "
      "UNION ALL SELECT camera, window_start_s, window_end_s, id, clip IS NOT NULL FROM captures "
      "WHERE state = 'capturing'");
  if (!query) return query.error();
  std::vector<OpenWindow> windows;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return windows;
    windows.push_back({DeviceId((*query)->text(0)), sys_seconds(seconds((*query)->integer(1))),
                       sys_seconds(seconds((*query)->integer(2))), (*query)->integer(3), (*query)->integer(4) != 0});
  }
}

}  // namespace responder::journal
