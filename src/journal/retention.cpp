#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "journal_impl.hpp"

namespace responder::journal {
namespace {

StoredClip read_stored_clip(const Statement& row) {
  StoredClip clip;
  clip.id = row.integer(0);
  clip.alert = AlertId(row.text(1));
  clip.camera = DeviceId(row.text(2));
  clip.location = LocationId(row.text(3));
  clip.activities = split(row.text(4), ',');
  clip.window_end = sys_seconds(seconds(row.integer(5)));
  clip.path = row.text(6);
  clip.bytes = static_cast<std::uint64_t>(row.integer(7));
  clip.held = row.integer(8) != 0;
  clip.is_final = row.integer(9) != 0;
  return clip;
}

// Facts of that name, a space and a clip tell the bytes of a damaged clip that stands beside that one.
constexpr std::string_view damaged_fact = "damaged";

// Nothing better is tried for, and nobody has to copy it any more.
const std::string is_at_rest =
    fmt::format("state NOT IN ('waiting', 'capturing') AND next_attempt_ms IS NULL AND NOT {}", awaits_offsite_sql);

const std::string stored_columns =
    fmt::format("id, alert, camera, location, activities, window_end_s, clip, bytes, held, {}", is_at_rest);

}  // namespace

Result<void> Journal::each_stored_clip(const std::function<void(const StoredClip&)>& visit) {
  // Not through the index, which would look for each row by itself.
  static const std::string sql = fmt::format(
      "SELECT {} FROM captures NOT INDEXED WHERE clip IS NOT NULL AND removed_ms IS NULL", stored_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return {};
    visit(read_stored_clip(**query));
  }
}

Result<void> Journal::each_stored_clip(const std::optional<ClipPosition>& after,
                                       const std::function<bool(const StoredClip&)>& visit) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM captures INDEXED BY captures_clips WHERE clip IS NOT NULL AND removed_ms IS NULL "
      "AND (window_end_s, id) > (?, ?) ORDER BY window_end_s, id",
      stored_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  (*query)->bind(after ? to_s(after->window_end) : std::numeric_limits<std::int64_t>::min(),
                 after ? after->id : CaptureId{0});
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return {};
    if (visit(read_stored_clip(**query))) continue;
    (*query)->reset();
    return {};
  }
}

Result<bool> Journal::remove_clip(CaptureId id, std::string_view clip, std::string_view reason, WallTime now) {
  static const std::string sql = fmt::format(
      "UPDATE captures SET removed_ms = ?4, reason = CASE reason WHEN '' THEN ?3 ELSE reason || '; ' || ?3 END "
      "WHERE id = ?1 AND clip = ?2 AND removed_ms IS NULL AND held = 0 AND {}",
      is_at_rest);
  const auto removed = impl_->run(sql, id, clip, reason, to_ms(now));
  if (!removed) return removed.error();
  if (impl_->database.changes() == 0) return false;
  const auto left = impl_->run(
      "INSERT OR IGNORE INTO leftovers SELECT ?1 WHERE NOT EXISTS "
      "(SELECT 1 FROM captures WHERE clip = ?1 AND clip IS NOT NULL AND removed_ms IS NULL)",
      clip);
  if (!left) return left.error();
  return true;
}

Result<HeldCaptures> Journal::set_held(const AlertId& alert, bool held) {
  const auto set = impl_->run("UPDATE captures SET held = ?2 WHERE alert = ?1 AND state <> 'ignored'", alert.str(),
                              std::int64_t{held ? 1 : 0});
  if (!set) return set.error();
  HeldCaptures captures{.count = static_cast<std::size_t>(impl_->database.changes())};
  auto query = impl_->statement("SELECT count(*) FROM captures WHERE alert = ? AND removed_ms IS NOT NULL");
  if (!query) return query.error();
  const auto row = (*query)->bind(alert.str()).step();
  if (!row) return row.error();
  captures.removed = static_cast<std::size_t>((*query)->integer(0));
  (*query)->reset();
  return captures;
}

Result<StoredTotals> Journal::stored_totals() {
  auto query = impl_->statement("SELECT sum(clips), sum(clip_bytes), sum(held), sum(removed) FROM totals");
  if (!query) return query.error();
  (*query)->bind();
  const auto row = (*query)->step();
  if (!row) return row.error();
  const auto count = [&](int column) { return static_cast<std::uint64_t>((*query)->integer(column)); };
  StoredTotals totals{.clips = count(0), .bytes = count(1), .held = count(2), .removed = count(3)};
  (*query)->reset();
  const auto damaged = kept_damaged();
  if (!damaged) return damaged.error();
  for (const auto& [clip, bytes] : *damaged) totals.bytes += bytes;
  return totals;
}

Result<std::map<std::string, std::uint64_t>> Journal::kept_damaged() {
  static const std::string sql = fmt::format(
      "SELECT substr(name, length('{0} ') + 1), CAST(value AS INTEGER) FROM facts WHERE name > '{0} ' AND name < "
      "'{0}!' AND EXISTS (SELECT 1 FROM captures WHERE clip = substr(name, length('{0} ') + 1) AND clip IS NOT NULL "
      "AND removed_ms IS NULL)",
      damaged_fact);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  std::map<std::string, std::uint64_t> kept;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return kept;
    kept[(*query)->text(0)] = static_cast<std::uint64_t>((*query)->integer(1));
  }
}

Result<void> Journal::set_kept_damaged(std::string_view clip, std::uint64_t bytes) {
  const auto name = fmt::format("{} {}", damaged_fact, clip);
  return bytes > 0 ? set_fact(name, std::to_string(bytes)) : impl_->run("DELETE FROM facts WHERE name = ?", name);
}

}  // namespace responder::journal
