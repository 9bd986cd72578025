#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "journal_impl.hpp"

namespace responder::journal {
namespace {

// Nothing is put off for longer. What seems to be was written by a clock that was ahead and has been set back.
constexpr std::chrono::hours longest_wait{2};
constexpr std::string_view no_target_reason = "its target is not in the configuration any more";

}  // namespace

// With the outcome, in its transaction: an outcome that is known is one that is told. A window that has grown has no
// outcome yet. What a target was told last, or is to be told, it is not told again.
Result<void> Journal::Impl::tell_targets(CaptureId id, std::int64_t now) {
  return run(
      "INSERT INTO deliveries (target, capture, state, sha256, created_ms, next_ms) "
      "SELECT t.name, c.id, c.state, coalesce(c.sha256, ''), ?2, ?2 FROM captures c JOIN targets t "
      "WHERE c.id = ?1 AND c.state IN ('done', 'partial', 'failed') AND instr(t.states, c.state) > 0 "
      // What is off site may be the last good clip: none that is less takes its place.
      "AND NOT (t.name = 'offsite' AND (c.damage <> '' OR (c.state = 'partial' AND EXISTS (SELECT 1 FROM deliveries "
      "d "
      "WHERE d.capture = c.id AND d.target = t.name AND d.state = 'done' AND d.delivered_ms IS NOT NULL)))) "
      "AND (SELECT d.state || d.sha256 FROM deliveries d WHERE d.capture = c.id AND d.target = t.name "
      "AND (d.next_ms IS NOT NULL OR d.delivered_ms IS NOT NULL) ORDER BY d.id DESC LIMIT 1) IS NOT c.state || "
      "coalesce(c.sha256, '')",
      id, now);
}

Result<std::int64_t> Journal::set_targets(const std::vector<Target>& targets) {
  if (auto cleared = impl_->run("DELETE FROM targets"); !cleared) return cleared.error();
  for (const auto& target : targets) {
    std::vector<std::string> states;
    for (const auto state : target.states) states.emplace_back(to_string(state));
    auto added = impl_->run("INSERT INTO targets (name, states) VALUES (?,?)", target.name, join(states, ","));
    if (!added) return added.error();
  }
  // Another configuration may have been tried out. What came after is told already.
  const auto again = impl_->run(
      "UPDATE deliveries AS d SET next_ms = created_ms, reason = '' "
      "WHERE next_ms IS NULL AND delivered_ms IS NULL AND reason = ?1 AND target IN (SELECT name FROM targets) "
      "AND NOT EXISTS (SELECT 1 FROM deliveries l WHERE l.capture = d.capture AND l.target = d.target AND l.id > "
      "d.id)",
      no_target_reason);
  if (!again) return again.error();
  const auto given_up = impl_->run(
      "UPDATE deliveries SET next_ms = NULL, reason = ?1 "
      "WHERE next_ms IS NOT NULL AND target NOT IN (SELECT name FROM targets)",
      no_target_reason);
  if (!given_up) return given_up.error();
  return impl_->database.changes();
}

Result<WorkAfterCaptures> Journal::work_after_captures(WallTime then) {
  auto query = impl_->statement(
      "SELECT DISTINCT target FROM deliveries d WHERE next_ms IS NOT NULL AND next_ms <= ? AND NOT EXISTS "
      "(SELECT 1 FROM deliveries e WHERE e.capture = d.capture AND e.target = d.target AND e.id < d.id "
      "AND e.next_ms IS NOT NULL) "
      "UNION ALL SELECT NULL WHERE EXISTS (SELECT 1 FROM leftovers)");
  if (!query) return query.error();
  (*query)->bind(to_ms(then));
  WorkAfterCaptures work;
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return work;
    if ((*query)->is_null(0)) {
      work.clips_to_remove = true;
    } else {
      work.targets.push_back((*query)->text(0));
    }
  }
}

Result<std::optional<Delivery>> Journal::next_delivery(std::string_view target, WallTime now) {
  auto query = impl_->statement(
      "SELECT id, state, created_ms, attempts, capture FROM deliveries d WHERE target = ?1 AND next_ms IS NOT NULL "
      "AND (next_ms <= ?2 OR next_ms > ?3) AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.capture = d.capture "
      "AND e.target = d.target AND e.id < d.id AND e.next_ms IS NOT NULL) ORDER BY next_ms LIMIT 1");
  if (!query) return query.error();
  const auto row = (*query)->bind(target, to_ms(now), to_ms(now + longest_wait)).step();
  if (!row) return row.error();
  if (!*row) return std::optional<Delivery>{};
  Delivery delivery;
  delivery.id = (*query)->integer(0);
  delivery.state = parse_state((*query)->text(1)).value_or(State::failed);
  delivery.created_at = from_ms((*query)->integer(2));
  delivery.attempts = static_cast<int>((*query)->integer(3));
  const auto id = (*query)->integer(4);
  (*query)->reset();
  auto capture = find(id);
  if (!capture) return capture.error();
  if (!*capture) return impl_->database.damage(fmt::format("delivery {} is of no capture", delivery.id));
  delivery.capture = std::move(**capture);
  return std::optional(std::move(delivery));
}

Result<void> Journal::delivered(DeliveryId id, WallTime now) {
  return impl_->run(
      "UPDATE deliveries SET delivered_ms = ?2, next_ms = NULL, reason = '', attempts = attempts + 1 "
      "WHERE id = ?1 AND next_ms IS NOT NULL",
      id, to_ms(now));
}

Result<void> Journal::not_delivered(DeliveryId id, std::string_view reason, std::optional<WallTime> next_at,
                                    bool counts) {
  std::optional<std::int64_t> next;
  if (next_at) next = to_ms(*next_at);
  return impl_->run(
      "UPDATE deliveries SET next_ms = ?3, reason = ?2, attempts = attempts + ?4 "
      "WHERE id = ?1 AND next_ms IS NOT NULL",
      id, reason, next, std::int64_t{counts ? 1 : 0});
}

Result<std::vector<DeliveryCounts>> Journal::delivery_counts() {
  auto query = impl_->statement(
      "SELECT name, (SELECT count(*) FROM deliveries WHERE target = name AND next_ms IS NOT NULL), "
      "(SELECT count(*) FROM deliveries WHERE target = name AND next_ms IS NULL AND delivered_ms IS NULL), "
      "(SELECT min(created_ms) FROM deliveries WHERE target = name AND next_ms IS NOT NULL), "
      "coalesce((SELECT reason FROM deliveries WHERE target = name AND next_ms IS NOT NULL AND reason <> '' "
      "ORDER BY id DESC LIMIT 1), (SELECT reason FROM deliveries WHERE target = name AND next_ms IS NULL "
      "AND delivered_ms IS NULL ORDER BY id DESC LIMIT 1), '') FROM targets ORDER BY name");
  if (!query) return query.error();
  std::vector<DeliveryCounts> counts;
  (*query)->bind();
  while (true) {
    const auto row = (*query)->step();
    if (!row) return row.error();
    if (!*row) return counts;
    DeliveryCounts one{.target = (*query)->text(0),
                       .waiting = static_cast<std::uint64_t>((*query)->integer(1)),
                       .given_up = static_cast<std::uint64_t>((*query)->integer(2)),
                       .oldest_waiting = {},
                       .reason = (*query)->text(4)};
    if (!(*query)->is_null(3)) one.oldest_waiting = from_ms((*query)->integer(3));
    counts.push_back(std::move(one));
  }
}

Result<std::int64_t> Journal::retry_deliveries(WallTime now) {
  const auto done = impl_->run(
      "UPDATE deliveries SET next_ms = ?, attempts = 0 WHERE next_ms IS NULL AND delivered_ms IS NULL "
      "AND target IN (SELECT name FROM targets)",
      to_ms(now));
  if (!done) return done.error();
  return impl_->database.changes();
}

}  // namespace responder::journal
