#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "journal_impl.hpp"

namespace responder::journal {
namespace {

// Calls `take` with each row of the query, which is bound.
template <class Take>
Result<void> each_row(Statement& query, Take take) {
  while (true) {
    const auto row = query.step();
    if (!row) return row.error();
    if (!*row) return {};
    take(query);
  }
}

Result<std::vector<AlertId>> alerts_of(Statement& query) {
  std::vector<AlertId> alerts;
  const auto read = each_row(query, [&](const Statement& row) { alerts.emplace_back(row.text(0)); });
  if (!read) return read.error();
  return alerts;
}

}  // namespace

Result<std::vector<KnownCamera>> Journal::cameras() {
  // SQLite takes the other columns from the row that max() is of.
  auto query = impl_->statement(
      "SELECT camera, camera_name, max(CASE camera_name WHEN '' THEN -1 ELSE id END) FROM captures WHERE camera <> "
      "'' "
      "GROUP BY camera");
  if (!query) return query.error();
  std::vector<KnownCamera> cameras;
  const auto read = each_row((*query)->bind(), [&](const Statement& row) {
    cameras.push_back({DeviceId(row.text(0)), row.text(1)});
  });
  if (!read) return read.error();
  return cameras;
}

Result<std::map<DeviceId, std::string>> Journal::camera_names(std::size_t newest) {
  auto query = impl_->statement(
      "SELECT camera, camera_name FROM (SELECT camera, camera_name FROM captures ORDER BY id DESC LIMIT ?) "
      "WHERE camera_name <> ''");
  if (!query) return query.error();
  std::map<DeviceId, std::string> names;
  const auto read = each_row((*query)->bind(static_cast<std::int64_t>(newest)), [&](const Statement& row) {
    names.emplace(DeviceId(row.text(0)), row.text(1));  // the newest comes first
  });
  if (!read) return read.error();
  return names;
}

Result<std::vector<std::string>> Journal::activities() {
  auto query = impl_->statement("SELECT DISTINCT activities FROM captures");
  if (!query) return query.error();
  std::vector<std::string> names;
  const auto read = each_row((*query)->bind(), [&](const Statement& row) {
    for (auto& name : split(row.text(0), ',')) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
    }
  });
  if (!read) return read.error();
  return names;
}

Result<std::vector<AlertId>> Journal::newest_alerts(std::size_t newest) {
  auto query = impl_->statement("SELECT DISTINCT alert FROM (SELECT alert FROM captures ORDER BY id DESC LIMIT ?)");
  if (!query) return query.error();
  return alerts_of((*query)->bind(static_cast<std::int64_t>(newest)));
}

Result<std::vector<AlertId>> Journal::alerts_of_letters(std::string_view letters_and_digits) {
  auto query = impl_->statement(
      "SELECT DISTINCT alert FROM captures "
      "WHERE replace(replace(replace(alert, '-', ''), '_', ''), '.', '') = ? LIMIT 20");
  if (!query) return query.error();
  return alerts_of((*query)->bind(letters_and_digits));
}

Result<std::vector<Capture>> Journal::captures_of_file(std::string_view file_name) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM captures WHERE clip = ?1 OR (clip IS NOT NULL AND substr(clip, -length(?2)) = ?2) LIMIT 20",
      capture_columns);
  auto query = impl_->statement(sql);
  if (!query) return query.error();
  const auto below = "/" + std::string(file_name);
  std::vector<Capture> captures;
  const auto read = each_row((*query)->bind(file_name, std::string_view(below)),
                             [&](const Statement& row) { captures.push_back(read_capture(row)); });
  if (!read) return read.error();
  return captures;
}

Result<std::vector<DeliveryState>> Journal::deliveries_of(CaptureId id) {
  auto query = impl_->statement(
      "SELECT target, state, created_ms, attempts, next_ms, delivered_ms, reason FROM deliveries WHERE capture = ? "
      "ORDER BY id");
  if (!query) return query.error();
  std::vector<DeliveryState> deliveries;
  const auto read = each_row((*query)->bind(id), [&](const Statement& row) {
    DeliveryState one{.target = row.text(0),
                      .state = parse_state(row.text(1)).value_or(State::failed),
                      .created_at = from_ms(row.integer(2)),
                      .attempts = static_cast<int>(row.integer(3)),
                      .next_at = {},
                      .delivered_at = {},
                      .reason = row.text(6)};
    if (!row.is_null(4)) one.next_at = from_ms(row.integer(4));
    if (!row.is_null(5)) one.delivered_at = from_ms(row.integer(5));
    deliveries.push_back(std::move(one));
  });
  if (!read) return read.error();
  return deliveries;
}

}  // namespace responder::journal
