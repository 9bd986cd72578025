#include "sidecar.hpp"

#include "responder/base/json_writer.hpp"
#include "responder/base/time_text.hpp"

namespace responder::capture {
namespace {

double to_seconds(WallTime time) { return static_cast<double>(time.time_since_epoch().count()) / 1000.0; }

}  // namespace

std::string sidecar_text(const SidecarFacts& facts, const archive::ArchivedClip& clip) {
  JsonWriter json;
  // First alert and camera: the archive knows a clip's owner by them (archive::sidecar_identity).
  json.begin_object()
      .field("alert", facts.identity.alert.str())
      .field("camera", facts.identity.camera.str())
      .field("camera_name", facts.identity.camera_name)
      .field("location", facts.row.location.str());
  json.key("activities").begin_array();
  for (const auto& activity : facts.row.activities) json.value(activity);
  json.end_array();
  json.field("via", to_string(facts.row.via))
      .field("alert_at", to_seconds(facts.row.alert_at))
      .field("received_at", to_seconds(facts.row.received_at))
      .field("window_start", facts.row.window_start.time_since_epoch().count())
      .field("window_end", facts.row.window_end.time_since_epoch().count())
      .field("state", to_string(facts.state))
      .field("reason", facts.reason)
      .field("source", facts.source);
  json.key("gaps").begin_array();
  for (const auto& gap : facts.gaps) {
    json.begin_object().field("start", to_seconds(gap.start)).field("end", to_seconds(gap.end)).end_object();
  }
  json.end_array();
  json.key("streams").begin_array();
  for (const auto& stream : facts.summary.streams) {
    json.begin_object()
        .field("kind", to_string(stream.kind))
        .field("codec", stream.codec)
        .field("packets", stream.packets);
    if (stream.width > 0) json.field("width", stream.width).field("height", stream.height);
    json.end_object();
  }
  json.end_array();
  json.field("clip", clip.path)
      .field("clip_start", to_seconds(facts.summary.starts_at))
      .field("duration", static_cast<double>(facts.summary.duration.count()) / 1e6)
      .field("bytes", clip.bytes)
      .field("sha256", clip.sha256)
      .field("published_at", format_rfc3339(facts.published_at))
      .end_object();
  return std::move(json).str() + "\n";
}

}  // namespace responder::capture
