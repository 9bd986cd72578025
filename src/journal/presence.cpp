#include <fmt/format.h>

#include "journal_impl.hpp"

namespace responder::journal {

Result<bool> Journal::set_presence(CaptureId id, std::string_view sha256, PresenceState presence) {
  const auto set = impl_->run(
      "UPDATE captures SET presence = ?3 WHERE id = ?1 AND sha256 = ?2 AND presence <> ?3 AND clip IS NOT NULL "
      "AND removed_ms IS NULL AND state <> 'capturing' AND id NOT IN (SELECT capture FROM ready)",
      id, sha256, to_string(presence));
  if (!set) return set.error();
  return impl_->database.changes() > 0;
}

Result<bool> Journal::doubt(CaptureId id, std::string_view sha256, WallTime now) {
  const auto doubted = impl_->run(
      "UPDATE captures SET state = 'waiting', reason = 'Rhombus has no footage of a part of its clip', "
      "next_attempt_ms = ?3, attempts = 0, finished_ms = NULL WHERE id = ?1 AND sha256 = ?2 AND presence = 'pending' "
      "AND clip IS NOT NULL AND removed_ms IS NULL AND state <> 'capturing' AND id NOT IN (SELECT capture FROM "
      "ready)",
      id, sha256, to_ms(now));
  if (!doubted) return doubted.error();
  return impl_->database.changes() > 0;
}

Result<bool> Journal::drop_clip(CaptureId id, std::string_view sha256) {
  const auto left = impl_->run(
      "INSERT OR IGNORE INTO leftovers SELECT clip FROM captures c WHERE id = ?1 AND sha256 = ?2 AND held = 0 AND "
      "state "
      "= 'capturing' AND clip IS NOT NULL AND removed_ms IS NULL AND NOT EXISTS (SELECT 1 FROM captures o WHERE "
      "o.clip "
      "= c.clip AND o.clip IS NOT NULL AND o.removed_ms IS NULL AND o.id <> ?1)",
      id, sha256);
  if (!left) return left.error();
  const auto dropped = impl_->run(
      "UPDATE captures SET clip = NULL, source = NULL, bytes = NULL, sha256 = NULL, gaps = '', clip_end_s = NULL, "
      "damage = '', presence = '', sidecar_presence = '' WHERE id = ?1 AND sha256 = ?2 AND held = 0 AND state = "
      "'capturing' AND removed_ms IS NULL",
      id, sha256);
  if (!dropped) return dropped.error();
  return impl_->database.changes() > 0;
}

Result<std::vector<Journal::Unconfirmed>> Journal::unconfirmed(std::size_t limit) {
  auto query = impl_->statement(
      "SELECT id, camera, window_start_s, window_end_s, sha256, gaps FROM captures INDEXED BY captures_unconfirmed "
      "WHERE presence = 'pending' AND clip IS NOT NULL AND removed_ms IS NULL AND next_attempt_ms IS NULL "
      "AND state <> 'capturing' ORDER BY window_end_s LIMIT ?");
  if (!query) return query.error();
  std::vector<Unconfirmed> found;
  (*query)->bind(static_cast<std::int64_t>(limit));
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return found;
    found.push_back({(*query)->integer(0), DeviceId((*query)->text(1)), sys_seconds(seconds((*query)->integer(2))),
                     sys_seconds(seconds((*query)->integer(3))), (*query)->text(4), decode_gaps((*query)->text(5))});
  }
}

Result<std::uint64_t> Journal::count_unconfirmed() {
  auto query = impl_->statement("SELECT count(*) FROM captures WHERE presence = 'pending' AND removed_ms IS NULL");
  if (!query) return query.error();
  (*query)->bind();
  if (const auto row = (*query)->step(); !row) return row.error();
  const auto count = static_cast<std::uint64_t>((*query)->integer(0));
  (*query)->reset();
  return count;
}

Result<std::vector<Capture>> Journal::outdated_sidecars(std::size_t limit) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM captures INDEXED BY captures_sidecars WHERE sidecar_presence <> presence AND clip IS NOT NULL "
      "AND removed_ms IS NULL AND state NOT IN ('waiting', 'capturing') ORDER BY id LIMIT ?",
      capture_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  std::vector<Capture> found;
  (*query)->bind(static_cast<std::int64_t>(limit));
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return found;
    found.push_back(read_capture(**query));
  }
}

Result<void> Journal::note_sidecar(CaptureId id, PresenceState says) {
  return impl_->run("UPDATE captures SET sidecar_presence = ?2 WHERE id = ?1", id, to_string(says));
}

}  // namespace responder::journal
