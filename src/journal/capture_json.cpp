#include "responder/journal/capture_json.hpp"

namespace responder::journal {
namespace {

double to_seconds(WallTime time) { return static_cast<double>(time.time_since_epoch().count()) / 1000.0; }

}  // namespace

bool is_final(const Capture& capture) {
  return capture.state != State::waiting && capture.state != State::capturing && !capture.next_attempt_at;
}

void write_fields(JsonWriter& json, const Capture& capture) {
  const bool may_be_doubted = capture.published && capture.published->presence == PresenceState::pending;
  json.field("alert", capture.alert.str())
      .field("camera", capture.camera.str())
      .field("camera_name", capture.camera_name)
      .field("location", capture.location.str());
  json.key("activities").begin_array();
  for (const auto& activity : capture.activities) json.value(activity);
  json.end_array();
  json.field("state", to_string(capture.state))
      .field("reason", capture.reason)
      .field("via", to_string(capture.via))
      .field("received_at", to_seconds(capture.received_at))
      .field("window_start", capture.window_start.time_since_epoch().count())
      .field("window_end", capture.window_end.time_since_epoch().count())
      .field("attempts", capture.attempts)
      .field("final", is_final(capture) && !may_be_doubted);
  json.key("next_attempt_at");
  capture.next_attempt_at ? json.value(to_seconds(*capture.next_attempt_at)) : json.null();
  const auto& published = capture.published;
  json.key("source");
  published ? json.value(published->source) : json.null();
  json.key("clip");
  published ? json.value(published->clip) : json.null();
  json.key("bytes");
  published ? json.value(published->bytes) : json.null();
  json.key("sha256");
  published ? json.value(published->sha256) : json.null();
  json.key("gaps").begin_array();
  if (published) {
    for (const auto& gap : published->gaps)
      json.begin_object()
          .field("start", to_seconds(gap.start))
          .field("end", to_seconds(gap.end))
          .field("reason", to_string(gap.reason))
          .end_object();
  }
  json.end_array().key("presence");
  const bool is_told = published && published->presence != PresenceState::not_told;
  is_told ? json.value(to_string(published->presence)) : json.null();
  json.field("kind", to_string(capture.kind)).field("held", capture.held).key("removed_at");
  capture.removed_at ? json.value(to_seconds(*capture.removed_at)) : json.null();
}

}  // namespace responder::journal
