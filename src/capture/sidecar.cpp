#include "sidecar.hpp"

#include "responder/base/json_writer.hpp"
#include "responder/base/time_text.hpp"

namespace responder::capture {
namespace {

double to_seconds(WallTime time) { return static_cast<double>(time.time_since_epoch().count()) / 1000.0; }

void write_gaps(JsonWriter& json, std::string_view name, const std::vector<journal::Gap>& gaps) {
  json.key(name).begin_array();
  for (const auto& gap : gaps)
    json.begin_object().field("start", to_seconds(gap.start)).field("end", to_seconds(gap.end)).end_object();
  json.end_array();
}

}  // namespace

std::string sidecar_beginning(const SidecarFacts& facts) {
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
      .field("final", facts.final)
      .field("reason", facts.reason)
      .field("source", facts.source);
  write_gaps(json, "gaps", facts.gaps);
  json.key("tracks").begin_array();
  for (const auto& [kind, gaps] : facts.track_gaps) {
    json.begin_object().field("kind", to_string(kind));
    write_gaps(json, "gaps", gaps);
    json.end_object();
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
  json.field("clip_start", to_seconds(facts.summary.starts_at))
      .field("duration", static_cast<double>(facts.summary.duration.count()) / 1e6)
      .end_object();
  auto text = std::move(json).str();
  text.pop_back();  // the object's end
  return text;
}

std::string sidecar_end(const archive::ArchivedClip& clip, WallTime published_at) {
  JsonWriter json;
  json.begin_object()
      .field("clip", clip.path)
      .field("bytes", clip.bytes)
      .field("sha256", clip.sha256)
      .field("published_at", format_rfc3339(published_at))
      .end_object();
  auto text = std::move(json).str();
  text.front() = ',';  // goes on where sidecar_beginning() stopped
  return text + "\n";
}

}  // namespace responder::capture
