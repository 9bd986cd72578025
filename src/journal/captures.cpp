#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "journal_impl.hpp"

namespace responder::journal {
namespace {

// Nothing is put off for longer. What seems to be was written by a clock that was ahead and has been set back.
constexpr std::chrono::hours longest_wait{1};
constexpr std::chrono::minutes longest_ready_wait{20};  // of a clip for the archive

}  // namespace

Result<Accepted> Journal::accept(const NewCapture& capture) {
  const bool ignored = !capture.ignored_reason.empty();
  if (!ignored && !capture.instead_of.empty()) {
    const auto renamed =
        impl_->run("UPDATE OR IGNORE captures SET camera = ?3 WHERE alert = ?1 AND camera = ?2 AND state = 'ignored'",
                   capture.alert.str(), capture.instead_of.str(), capture.camera.str());
    if (!renamed) return renamed.error();
  }
  const std::optional<std::int64_t> now = to_ms(capture.received_at);
  // What is caught up is worked on in the order of its alerts: the oldest is the next to be lost.
  const bool live = capture.via == Via::webhook;
  const std::optional<std::int64_t> due = live ? *now : std::min(*now, to_ms(capture.alert_at));
  const auto inserted = impl_->run(
      "INSERT INTO captures (alert, camera, location, activities, via, received_ms, alert_ms, duration_s, "
      "window_start_s, window_end_s, state, reason, next_attempt_ms, finished_ms, clip_region, webhook_missed, kind, "
      "held) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17, "
      "EXISTS (SELECT 1 FROM captures INDEXED BY captures_held WHERE alert = ?1 AND held = 1)) ON CONFLICT (alert, "
      "camera) DO NOTHING",
      capture.alert.str(), capture.camera.str(), capture.location.str(), join(capture.activities, ","),
      to_string(capture.via), *now, to_ms(capture.alert_at), to_count(capture.duration), to_s(capture.window_start),
      to_s(capture.window_end), to_string(ignored ? State::ignored : State::waiting), capture.ignored_reason,
      ignored ? std::nullopt : due, ignored ? now : std::nullopt, capture.clip_region,
      std::int64_t{capture.webhook_missed ? 1 : 0}, to_string(capture.kind));
  if (!inserted) return inserted.error();
  if (impl_->database.changes() > 0) return Accepted{.id = impl_->database.last_id()};
  return impl_->accept_known(capture);
}

// The poller was faster than the webhook.
Result<void> Journal::Impl::note_late_webhook(Accepted& accepted, bool was_missed, std::int64_t now) {
  if (was_missed) {
    if (auto here = run("UPDATE captures SET webhook_missed = 0 WHERE id = ?", accepted.id); !here) return here;
  }
  const auto hurried =
      run("UPDATE captures SET via = 'webhook', next_attempt_ms = ?2 "
          "WHERE id = ?1 AND via = 'catch-up' AND state = 'waiting' AND attempts = 0 "
          "AND id NOT IN (SELECT capture FROM ready)",
          accepted.id, now);
  if (hurried) accepted.hurried = database.changes() > 0;
  return hurried;
}

// What the journal knows of the capture already, and what this telling adds.
Result<Accepted> Journal::Impl::accept_known(const NewCapture& capture) {
  auto query = statement("SELECT id, state, duration_s, webhook_missed FROM captures WHERE alert = ? AND camera = ?");
  if (!query) return query.error();
  const auto row = (*query)->bind(capture.alert.str(), capture.camera.str()).step();
  if (!row) return row.error();
  Accepted accepted{.duplicate = true, .id = (*query)->integer(0)};
  const bool was_ignored = (*query)->text(1) == to_string(State::ignored);
  const bool goes_on = capture.duration_is_told && (*query)->integer(2) < to_count(capture.duration);
  const bool was_missed = (*query)->integer(3) != 0;
  (*query)->reset();
  const auto now = to_ms(capture.received_at);

  if (capture.via == Via::webhook) {
    if (auto came = note_late_webhook(accepted, was_missed, now); !came) return came.error();
  }
  if (!capture.ignored_reason.empty()) return accepted;
  if (was_ignored) {
    accepted.duplicate = false;
    const auto revived = run(
        "UPDATE captures SET state = 'waiting', reason = '', finished_ms = NULL, next_attempt_ms = ?2, "
        "alert_ms = ?3, duration_s = ?4, window_start_s = ?5, window_end_s = ?6, activities = ?7, location = ?8, "
        "clip_region = ?9, held = EXISTS (SELECT 1 FROM captures o WHERE o.alert = captures.alert AND o.held = 1) "
        "WHERE id = ?1",
        accepted.id, now, to_ms(capture.alert_at), to_count(capture.duration), to_s(capture.window_start),
        to_s(capture.window_end), join(capture.activities, ","), capture.location.str(), capture.clip_region);
    if (!revived) return revived.error();
    return accepted;
  }
  if (!goes_on) return accepted;
  // The alert went on: its window grows, and what was finished is work again.
  const auto grown =
      run("UPDATE captures SET window_end_s = window_end_s + (?2 - duration_s), duration_s = ?2, "
          "next_attempt_ms = CASE state WHEN 'capturing' THEN NULL ELSE ?3 END, "
          "finished_ms = NULL, state = CASE state WHEN 'capturing' THEN state ELSE 'waiting' END "
          "WHERE id = ?1 AND removed_ms IS NULL",
          accepted.id, to_count(capture.duration), now);
  if (!grown) return grown.error();
  accepted.grew = database.changes() > 0;
  return accepted;
}

Result<void> Journal::grow(CaptureId id, seconds duration) {
  return impl_->run(
      "UPDATE captures SET window_end_s = window_end_s + (?2 - duration_s), duration_s = ?2 "
      "WHERE id = ?1 AND duration_s < ?2",
      id, static_cast<std::int64_t>(duration.count()));
}

Result<void> Journal::name_camera(CaptureId id, std::string_view name) {
  return impl_->run("UPDATE captures SET camera_name = ?2 WHERE id = ?1", id, name);
}

Result<std::vector<Due>> Journal::due(WallTime now, std::size_t limit) {
  auto query = impl_->statement(
      "SELECT id, via = 'webhook' FROM captures WHERE state = 'capturing' AND lease_until_ms < ?1 "
      "AND id NOT IN (SELECT capture FROM ready) "
      "UNION ALL SELECT * FROM (SELECT id, 1 FROM captures WHERE via = 'webhook' AND next_attempt_ms <= ?1 "
      "AND id NOT IN (SELECT capture FROM ready) ORDER BY next_attempt_ms LIMIT ?2) "
      // Each through the index and no further than the limit: the backlog may be long.
      "UNION ALL SELECT id, 0 FROM (SELECT * FROM (SELECT id, next_attempt_ms FROM captures WHERE via = 'catch-up' "
      "AND next_attempt_ms <= ?1 AND id NOT IN (SELECT capture FROM ready) ORDER BY next_attempt_ms LIMIT ?2) "
      "UNION ALL SELECT * FROM (SELECT id, next_attempt_ms FROM captures WHERE via = 'manual' "
      "AND next_attempt_ms <= ?1 AND id NOT IN (SELECT capture FROM ready) ORDER BY next_attempt_ms LIMIT ?2) "
      "ORDER BY next_attempt_ms LIMIT ?2) "
      "UNION ALL SELECT * FROM (SELECT id, via = 'webhook' FROM captures WHERE "
      "via IN ('webhook', 'catch-up', 'manual') AND next_attempt_ms > ?3 AND id NOT IN (SELECT capture FROM ready) "
      "LIMIT ?2)");
  if (!query) return query.error();
  std::vector<Due> due;
  (*query)->bind(to_ms(now), static_cast<std::int64_t>(limit), to_ms(now + longest_wait));
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return due;
    due.push_back({(*query)->integer(0), (*query)->integer(1) != 0});
  }
}

Result<std::optional<Capture>> Journal::claim(CaptureId id, std::string_view owner, WallTime now,
                                              WallTime lease_until) {
  static const std::string sql = fmt::format(
      "UPDATE captures SET state = 'capturing', lease_owner = ?2, lease_until_ms = ?3, next_attempt_ms = NULL, "
      "finished_ms = NULL WHERE id = ?1 AND (next_attempt_ms <= ?4 OR next_attempt_ms > ?5 OR "
      "(state = 'capturing' AND lease_until_ms < ?4)) AND id NOT IN (SELECT capture FROM ready) RETURNING {}",
      capture_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  auto row = (*query)->bind(id, owner, to_ms(lease_until), to_ms(now), to_ms(now + longest_wait)).step();
  if (!row) return row.error();
  std::optional<Capture> claimed;
  if (*row) {
    claimed = read_capture(**query);
    if (auto rest = (*query)->run(); !rest) return rest.error();
  }
  return claimed;
}

Result<void> Journal::release_leases(WallTime now) {
  return impl_->run(
      "UPDATE captures SET state = CASE WHEN clip IS NULL OR id IN (SELECT capture FROM ready) THEN 'waiting' "
      "ELSE 'partial' END, "
      "finished_ms = CASE WHEN clip IS NULL OR id IN (SELECT capture FROM ready) THEN NULL ELSE ?1 END, "
      "next_attempt_ms = min(?1, CASE via WHEN 'webhook' THEN ?1 ELSE alert_ms END), lease_owner = NULL, "
      "lease_until_ms = NULL WHERE state = 'capturing'",
      to_ms(now));
}

Result<void> Journal::renew_leases(std::string_view owner, WallTime lease_until) {
  return impl_->run("UPDATE captures SET lease_until_ms = ?2 WHERE state = 'capturing' AND lease_owner = ?1", owner,
                    to_ms(lease_until));
}

Result<void> Journal::forget_clip(CaptureId id) {
  return impl_->run(
      "UPDATE captures SET clip = NULL, source = NULL, bytes = NULL, sha256 = NULL, gaps = '', clip_end_s = NULL, "
      "removed_ms = NULL, damage = '', presence = '', sidecar_presence = '' WHERE id = ? AND state = 'waiting'",
      id);
}

Result<bool> Journal::repair(const Capture& seen, Damage damage, WallTime now) {
  const auto put_in_line = impl_->run(
      "UPDATE captures SET damage = ?4, reason = 'its clip is ' || ?4, state = 'waiting', next_attempt_ms = ?5, "
      "attempts = 0, finished_ms = NULL "
      "WHERE id = ?1 AND clip = ?2 AND sha256 = ?3 AND damage <> ?4 AND removed_ms IS NULL AND state <> 'capturing' "
      "AND id NOT IN (SELECT capture FROM ready)",
      seen.id, seen.published->clip, seen.published->sha256, to_string(damage), to_ms(now));
  if (!put_in_line) return put_in_line.error();
  return impl_->database.changes() > 0;
}

Result<bool> Journal::set_sound(const Capture& seen, WallTime now) {
  const auto sound = impl_->run(
      "UPDATE captures SET damage = '', state = 'waiting', next_attempt_ms = ?4, attempts = 0, finished_ms = NULL "
      "WHERE id = ?1 AND clip = ?2 AND sha256 = ?3 AND damage <> '' AND removed_ms IS NULL AND state <> 'capturing' "
      "AND id NOT IN (SELECT capture FROM ready)",
      seen.id, seen.published->clip, seen.published->sha256, to_ms(now));
  if (!sound) return sound.error();
  return impl_->database.changes() > 0;
}

Result<void> Journal::revive_future(WallTime until, WallTime now) {
  static const std::string sql = fmt::format(
      "UPDATE captures SET state = 'waiting', reason = '', finished_ms = NULL, next_attempt_ms = ?2 "
      "WHERE state = 'ignored' AND reason = '{}' AND alert_ms <= ?1",
      future_reason);
  return impl_->run(sql, to_ms(until), to_ms(now));
}

Result<void> Journal::finish(CaptureId id, std::string_view owner, const Outcome& outcome, WallTime now) {
  std::optional<std::string_view> source, clip, sha256;
  std::optional<std::int64_t> bytes;
  std::optional<std::string> gaps;
  std::optional<std::int64_t> clip_end;
  std::optional<std::string_view> damage, presence;
  if (const auto& published = outcome.published) {
    source = published->source;
    clip = published->clip;
    sha256 = published->sha256;
    bytes = static_cast<std::int64_t>(published->bytes);
    gaps = encode_gaps(published->gaps);
    clip_end = to_s(published->window_end);
    damage = to_string(published->damage);
    presence = to_string(published->presence);
  }
  std::optional<std::int64_t> next;
  if (outcome.next_attempt_at) next = to_ms(*outcome.next_attempt_at);
  // What a clip of another name replaces is to be removed, whatever happens after this commit. The name of one that
  // is removed already may be another's by now.
  const auto replaced = impl_->run(
      "INSERT OR IGNORE INTO leftovers SELECT clip FROM captures c "
      "WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2 AND clip <> ?3 AND removed_ms IS NULL AND NOT "
      "EXISTS "
      "(SELECT 1 FROM captures o WHERE o.clip = c.clip AND o.clip IS NOT NULL AND o.removed_ms IS NULL AND o.id <> "
      "?1)",
      id, owner, clip);
  if (!replaced) return replaced;
  const auto finished = impl_->run(
      "UPDATE captures SET reason = ?4, camera_name = CASE ?5 WHEN '' THEN camera_name ELSE ?5 END, "
      "source = coalesce(?6, source), clip = coalesce(?7, clip), sha256 = coalesce(?8, sha256), "
      "bytes = coalesce(?9, bytes), gaps = coalesce(?10, gaps), clip_end_s = coalesce(?14, clip_end_s), "
      "damage = coalesce(?15, damage), presence = coalesce(?16, presence), removed_ms = CASE WHEN ?7 IS NULL THEN "
      "removed_ms END, attempts = attempts + "
      "1, lease_owner = NULL, "
      "lease_until_ms = NULL, "
      "state = CASE WHEN window_end_s > ?13 THEN 'waiting' ELSE ?3 END, "
      "next_attempt_ms = CASE WHEN window_end_s > ?13 THEN ?12 ELSE ?11 END, "
      "finished_ms = CASE WHEN window_end_s > ?13 THEN NULL ELSE ?12 END "
      "WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, to_string(outcome.state), outcome.reason, outcome.camera_name, source, clip, sha256, bytes, gaps,
      next, to_ms(now), to_s(outcome.window_end), clip_end, damage, presence);
  if (!finished || impl_->database.changes() == 0) return finished;
  if (auto kept = impl_->run("DELETE FROM leftovers WHERE clip = ?", clip); !kept) return kept;
  if (auto told = impl_->tell_targets(id, to_ms(now)); !told) return told;
  return impl_->run("DELETE FROM ready WHERE capture = ?", id);
}

Result<void> Journal::postpone(CaptureId id, std::string_view owner, std::string_view reason,
                               WallTime next_attempt_at, bool count_attempt, WallTime now) {
  return impl_->run(
      "UPDATE captures SET state = CASE WHEN clip IS NULL THEN 'waiting' ELSE 'partial' END, "
      "finished_ms = CASE WHEN clip IS NULL THEN NULL ELSE ?6 END, reason = ?3, next_attempt_ms = ?4, "
      "attempts = attempts + ?5, lease_owner = NULL, lease_until_ms = NULL "
      "WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, reason, to_ms(next_attempt_at), std::int64_t{count_attempt ? 1 : 0}, to_ms(now));
}

Result<void> Journal::ready(CaptureId id, std::string_view owner, const ReadyClip& clip, WallTime now) {
  const auto waits = impl_->run(
      "UPDATE captures SET state = 'waiting', next_attempt_ms = ?3, lease_owner = NULL, lease_until_ms = NULL, "
      "camera_name = ?4 WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, to_ms(now), clip.camera_name);
  if (!waits || impl_->database.changes() == 0) return waits;
  std::optional<std::int64_t> next;
  if (clip.next_attempt_at) next = to_ms(*clip.next_attempt_at);
  return impl_->run(
      "INSERT INTO ready (capture, state, reason, camera_name, source, gaps, has_audio, window_end_s, "
      "next_attempt_ms, sidecar, starts_ms, presence) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
      id, to_string(clip.state), clip.reason, clip.camera_name, clip.source, encode_gaps(clip.gaps),
      std::int64_t{clip.has_audio ? 1 : 0}, to_s(clip.window_end), next, clip.sidecar, to_ms(clip.starts_at),
      to_string(clip.presence));
}

Result<std::optional<ReadyCapture>> Journal::claim_ready(std::string_view owner, WallTime now, WallTime lease_until,
                                                         bool alerts_only) {
  auto ready = impl_->claim_ready(Kind::alert, owner, now, lease_until);
  if (!ready || *ready || alerts_only) return ready;
  return impl_->claim_ready(Kind::range, owner, now, lease_until);
}

Result<std::optional<ReadyCapture>> Journal::Impl::claim_ready(Kind kind, std::string_view owner, WallTime now,
                                                               WallTime lease_until) {
  auto query = statement(
      "SELECT r.capture, r.state, r.reason, r.camera_name, r.source, r.gaps, r.has_audio, r.window_end_s, "
      "r.next_attempt_ms, r.sidecar, r.starts_ms, r.presence FROM ready r JOIN captures c ON c.id = r.capture "
      "WHERE c.kind = ?3 AND (c.next_attempt_ms <= ?1 OR c.next_attempt_ms > ?2 OR c.lease_until_ms < ?1) "
      "ORDER BY r.capture LIMIT 1");
  if (!query) return query.error();
  const auto row = (*query)->bind(to_ms(now), to_ms(now + longest_ready_wait), to_string(kind)).step();
  if (!row) return row.error();
  if (!*row) return std::optional<ReadyCapture>{};
  const auto id = (*query)->integer(0);
  ReadyClip clip;
  clip.state = parse_state((*query)->text(1)).value_or(State::partial);
  clip.reason = (*query)->text(2);
  clip.camera_name = (*query)->text(3);
  clip.source = (*query)->text(4);
  clip.gaps = decode_gaps((*query)->text(5));
  clip.has_audio = (*query)->integer(6) != 0;
  clip.window_end = sys_seconds(seconds((*query)->integer(7)));
  if (!(*query)->is_null(8)) clip.next_attempt_at = from_ms((*query)->integer(8));
  clip.sidecar = (*query)->text(9);
  clip.starts_at = from_ms((*query)->integer(10));
  clip.presence = parse_presence((*query)->text(11));
  (*query)->reset();

  static const std::string sql = fmt::format(
      "UPDATE captures SET state = 'capturing', lease_owner = ?2, lease_until_ms = ?3, next_attempt_ms = NULL, "
      "finished_ms = NULL WHERE id = ?1 RETURNING {}",
      capture_columns);
  auto claim = statement(sql);
  if (!claim) return claim.error();
  const auto claimed = (*claim)->bind(id, owner, to_ms(lease_until)).step();
  if (!claimed) return claimed.error();
  ReadyCapture ready{read_capture(**claim), std::move(clip)};
  if (auto rest = (*claim)->run(); !rest) return rest.error();
  return std::optional(std::move(ready));
}

Result<void> Journal::return_ready(CaptureId id, std::string_view owner, std::string_view reason, bool clip_is_lost,
                                   WallTime next_at) {
  const auto returned = impl_->run(
      "UPDATE captures SET state = 'waiting', reason = ?3, next_attempt_ms = ?4, lease_owner = NULL, "
      "lease_until_ms = NULL WHERE id = ?1 AND state = 'capturing' AND lease_owner = ?2",
      id, owner, reason, to_ms(next_at));
  if (!returned || impl_->database.changes() == 0 || !clip_is_lost) return returned;
  return impl_->run("DELETE FROM ready WHERE capture = ?", id);
}

Result<void> Journal::explain_ready(std::string_view reason) {
  return impl_->run(
      "UPDATE captures SET reason = ?1 WHERE id IN (SELECT capture FROM ready) AND state <> 'capturing' AND reason "
      "<> ?1",
      reason);
}

namespace {

// Puts in line again; of a clip that retention removed nothing is left to compare with.
constexpr std::string_view put_in_line =
    "UPDATE captures SET state = 'waiting', next_attempt_ms = ?1, attempts = 0, finished_ms = NULL, "
    "clip = CASE WHEN removed_ms IS NULL THEN clip END, removed_ms = NULL WHERE ";

}  // namespace

Result<std::int64_t> Journal::retry(const AlertId& alert, WallTime now) {
  static const std::string sql =
      fmt::format("{} alert = ?2 AND state IN ('waiting', 'done', 'partial', 'failed')", put_in_line);
  if (const auto done = impl_->run(sql, to_ms(now), alert.str()); !done) return done.error();
  return impl_->database.changes();
}

Result<std::int64_t> Journal::retry(CaptureId id, WallTime now) {
  static const std::string sql =
      fmt::format("{} id = ?2 AND state IN ('waiting', 'done', 'partial', 'failed')", put_in_line);
  if (const auto done = impl_->run(sql, to_ms(now), id); !done) return done.error();
  return impl_->database.changes();
}

Result<std::int64_t> Journal::retry_failed(WallTime now) {
  static const std::string sql = fmt::format(
      "{} (state = 'failed' OR (state = 'partial' AND next_attempt_ms IS NULL)) AND removed_ms IS NULL", put_in_line);
  if (const auto done = impl_->run(sql, to_ms(now)); !done) return done.error();
  return impl_->database.changes();
}

Result<bool> Journal::is_clip_of_another(std::string_view clip, CaptureId id) {
  auto query =
      impl_->statement("SELECT EXISTS (SELECT 1 FROM captures WHERE clip = ? AND clip IS NOT NULL AND id <> ?)");
  if (!query) return query.error();
  const auto row = (*query)->bind(clip, id).step();
  if (!row) return row.error();
  const bool is = *row && (*query)->integer(0) != 0;
  (*query)->reset();
  return is;
}

Result<std::vector<std::string>> Journal::leftovers(std::string_view after, std::size_t limit) {
  auto query = impl_->statement("SELECT clip FROM leftovers WHERE clip > ? ORDER BY clip LIMIT ?");
  if (!query) return query.error();
  std::vector<std::string> clips;
  (*query)->bind(after, static_cast<std::int64_t>(limit));
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return clips;
    clips.push_back((*query)->text(0));
  }
}

Result<void> Journal::forget_leftover(std::string_view clip) {
  if (auto gone = set_kept_damaged(clip, 0); !gone) return gone;  // with its clip
  return impl_->run("DELETE FROM leftovers WHERE clip = ?", clip);
}

Result<bool> Journal::restore(const KnownClip& known) {
  const auto& capture = known.capture;
  const auto& clip = known.published;
  const bool goes_on = known.state == State::partial && !known.final;
  const auto now = to_ms(capture.received_at);
  const auto restored = impl_->run(
      "INSERT INTO captures (alert, camera, camera_name, location, activities, via, received_ms, alert_ms, "
      "duration_s, "
      "window_start_s, window_end_s, state, reason, attempts, next_attempt_ms, finished_ms, source, clip, bytes, "
      "sha256, gaps, clip_end_s, kind, presence, sidecar_presence) "
      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,1,?,?,?,?,?,?,?,?,?,?23,?23) "
      "ON CONFLICT (alert, camera) DO UPDATE SET camera_name = excluded.camera_name, state = excluded.state, "
      "reason = excluded.reason, attempts = 1, next_attempt_ms = excluded.next_attempt_ms, "
      "finished_ms = excluded.finished_ms, source = excluded.source, clip = excluded.clip, bytes = excluded.bytes, "
      "sha256 = excluded.sha256, gaps = excluded.gaps, clip_end_s = excluded.clip_end_s, "
      "presence = excluded.presence, sidecar_presence = excluded.sidecar_presence "
      "WHERE state = 'waiting' AND clip IS NULL AND attempts = 0 AND window_end_s <= excluded.window_end_s "
      "AND id NOT IN (SELECT capture FROM ready) AND excluded.clip NOT IN (SELECT clip FROM leftovers)",
      capture.alert.str(), capture.camera.str(), known.camera_name, capture.location.str(),
      join(capture.activities, ","), to_string(capture.via), now, to_ms(capture.alert_at), to_count(capture.duration),
      to_s(capture.window_start), to_s(capture.window_end), to_string(known.state), known.reason,
      goes_on ? std::optional(now) : std::nullopt, now, clip.source, clip.clip, static_cast<std::int64_t>(clip.bytes),
      clip.sha256, encode_gaps(clip.gaps), to_s(clip.window_end), to_string(capture.kind), to_string(clip.presence));
  if (!restored) return restored.error();
  return impl_->database.changes() > 0;
}

}  // namespace responder::journal
