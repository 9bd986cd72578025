#include "capture_report.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/journal/capture_json.hpp"

#include "progress_line.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;
using journal::Capture;
using journal::DeliveryState;

constexpr std::size_t whole = 4096;

std::string span(WallTime from, WallTime to) {
  return fmt::format("{} to {} ({} s)", format_rfc3339(from), format_rfc3339(to),
                     std::chrono::ceil<std::chrono::seconds>(to - from).count());
}

std::string describe_clip(const CaptureReport& report) {
  const auto& capture = report.capture;
  if (capture.removed_at) return "removed by retention at " + format_rfc3339(*capture.removed_at);
  if (!capture.published) return report.waits_for_archive ? "finished, and waits for the archive" : "none yet";
  const auto& published = *capture.published;
  auto text = fmt::format("{} ({}, from {}, SHA-256 {})", report.clip.empty() ? published.clip : report.clip.string(),
                          format_bytes(published.bytes), published.source, published.sha256);
  if (report.clip.empty()) text += ": NOT in the archive now";
  if (!published.is_sound()) text += fmt::format(": {}, and is made anew", to_string(published.damage));
  return text;
}

std::string describe_delivery(const DeliveryState& delivery) {
  auto text = fmt::format("{}: {}, ", delivery.target, to_string(delivery.state));
  if (delivery.delivered_at) return text + "delivered at " + format_rfc3339(*delivery.delivered_at);
  text += delivery.next_at ? "due at " + format_rfc3339(*delivery.next_at) : std::string("given up");
  if (delivery.attempts > 0) text += fmt::format(" after {} attempts", delivery.attempts);
  return delivery.reason.empty() ? text : text + ": " + delivery.reason;
}

fs::path if_there(const fs::path& path) {
  std::error_code failed;
  return fs::exists(path, failed) ? path : fs::path();
}

}  // namespace

Result<CaptureReport> report_on(journal::Journal& journal, const fs::path& archive, const Capture& capture) {
  CaptureReport report;
  report.capture = capture;
  auto deliveries = journal.deliveries_of(capture.id);
  if (!deliveries) return deliveries.error();
  report.deliveries = std::move(*deliveries);
  const auto ready = journal.ready_ids();
  if (!ready) return ready.error();
  report.waits_for_archive = std::find(ready->begin(), ready->end(), capture.id) != ready->end();
  if (!capture.published) return report;
  auto path = fs::absolute(archive / capture.published->clip).lexically_normal();
  report.clip = if_there(path);
  report.sidecar = if_there(path.replace_extension(".json"));
  report.picture = if_there(path.replace_extension(".jpg"));
  return report;
}

std::vector<std::string> as_lines(const CaptureReport& report) {
  const auto& capture = report.capture;
  std::vector<std::string> lines;
  const auto& name = capture.camera_name.empty() ? std::string("camera") : capture.camera_name;
  lines.push_back(fmt::format("{} ({}): {}{}{}", name, capture.camera.str(), to_string(capture.state),
                              journal::is_final(capture) ? "" : ", not at its end", capture.held ? ", held" : ""));
  const auto add = [&](std::string_view what, const std::string& text) {
    if (!text.empty()) lines.push_back(fmt::format("  {:<10} {}", what, text));
  };
  add("received", fmt::format("{} by {}", format_rfc3339(capture.received_at), to_string(capture.via)));
  add("began", format_rfc3339(capture.alert_at));
  add("window", span(WallTime(capture.window_start), WallTime(capture.window_end)));
  add("activities", join(capture.activities, ", "));
  add("location", capture.location.str());
  add("reason", capture.reason);
  add("attempts",
      fmt::format(
          "{}{}", capture.attempts,
          capture.next_attempt_at ? ", the next one at " + format_rfc3339(*capture.next_attempt_at) : std::string()));
  add("clip", describe_clip(report));
  add("sidecar", report.sidecar.string());
  add("picture", report.picture.string());
  if (capture.published) {
    for (const auto& gap : capture.published->gaps) {
      const auto what = gap.reason == journal::GapReason::placeholder ? " (placeholder)" : "";
      add("gap", span(gap.start, gap.end) + what);
    }
    add("presence", std::string(to_string(capture.published->presence)));
  }
  for (const auto& delivery : report.deliveries) add("delivery", describe_delivery(delivery));
  for (auto& line : lines) line = printable(line, whole);
  return lines;
}

void write_report(JsonWriter& json, const CaptureReport& report) {
  const auto optional_text = [&](std::string_view name, const std::string& text) {
    json.key(name);
    text.empty() ? json.null() : json.value(text);
  };
  const auto optional_time = [&](std::string_view name, const std::optional<WallTime>& time) {
    optional_text(name, time ? format_rfc3339(*time) : std::string());
  };
  json.begin_object();
  journal::write_fields(json, report.capture);
  json.field("waits_for_archive", report.waits_for_archive);
  optional_text("damage", report.capture.published ? std::string(to_string(report.capture.published->damage)) : "");
  optional_text("clip_path", report.clip.string());
  optional_text("sidecar_path", report.sidecar.string());
  optional_text("picture_path", report.picture.string());
  json.key("deliveries").begin_array();
  for (const auto& delivery : report.deliveries) {
    json.begin_object()
        .field("target", delivery.target)
        .field("event", to_string(delivery.state))
        .field("created_at", format_rfc3339(delivery.created_at))
        .field("attempts", delivery.attempts);
    optional_time("next_attempt_at", delivery.next_at);
    optional_time("delivered_at", delivery.delivered_at);
    json.field("reason", delivery.reason).end_object();
  }
  json.end_array().end_object();
}

}  // namespace responder::app
