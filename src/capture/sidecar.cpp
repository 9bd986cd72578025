#include "responder/capture/sidecar.hpp"

#include <cmath>

#include <fmt/format.h>
#include <simdjson.h>

#include "responder/base/json_writer.hpp"

namespace responder::capture {
namespace {

double to_seconds(WallTime time) { return static_cast<double>(time.time_since_epoch().count()) / 1000.0; }

void write_gaps(JsonWriter& json, std::string_view name, const std::vector<journal::Gap>& gaps) {
  json.key(name).begin_array();
  for (const auto& gap : gaps)
    json.begin_object()
        .field("start", to_seconds(gap.start))
        .field("end", to_seconds(gap.end))
        .field("reason", to_string(gap.reason))
        .end_object();
  json.end_array();
}

WallTime from_seconds(double seconds) { return WallTime(std::chrono::milliseconds(std::llround(seconds * 1000))); }

// Gaps of earlier versions have none.
journal::GapReason gap_reason(simdjson::dom::element gap) {
  std::string_view text;
  const bool is_placeholder =
      gap.at_key("reason").get(text) == simdjson::SUCCESS && text == to_string(journal::GapReason::placeholder);
  return is_placeholder ? journal::GapReason::placeholder : journal::GapReason::missing;
}

// What a sidecar says of the presence, beside the word itself: for people.
std::string_view explain(journal::PresenceState presence) {
  switch (presence) {
    case journal::PresenceState::pending:
      return "Rhombus's list of existing footage does not reach this window yet; parts may still turn out to be "
             "placeholder pictures";
    case journal::PresenceState::confirmed: return "Rhombus lists footage for all of the clip";
    case journal::PresenceState::unknown:
      return "Rhombus did not confirm that all of the clip is footage; parts may be placeholder pictures";
    case journal::PresenceState::off: return "Rhombus was not asked which footage exists (capture.confirm)";
    case journal::PresenceState::not_told: break;
  }
  return "";
}

// The fields of the presence, as they stand in a sidecar.
std::string presence_fields(journal::PresenceState presence) {
  JsonWriter json;
  json.begin_object().field("presence", to_string(presence)).field("presence_means", explain(presence)).end_object();
  const auto text = std::move(json).str();
  return text.substr(1, text.size() - 2);
}

// Reads the fields of one object; remembers the first that is not there.
class Fields {
 public:
  explicit Fields(simdjson::dom::object object) : object_(object) {}

  std::string text(const char* name) { return std::string(get<std::string_view>(name)); }
  double number(const char* name) { return get<double>(name); }
  std::int64_t integer(const char* name) { return get<std::int64_t>(name); }
  bool flag(const char* name) { return get<bool>(name); }
  WallTime time(const char* name) { return from_seconds(number(name)); }
  std::chrono::sys_seconds second(const char* name) {
    return std::chrono::sys_seconds(std::chrono::seconds(integer(name)));
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> values;
    for (const auto item : elements(name)) {
      std::string_view value;
      if (item.get(value) == simdjson::SUCCESS) values.emplace_back(value);
    }
    return values;
  }
  std::vector<journal::Gap> gaps(const char* name) {
    std::vector<journal::Gap> gaps;
    for (const auto item : elements(name)) {
      double start = 0;
      double end = 0;
      if (item.at_key("start").get(start) == simdjson::SUCCESS && item.at_key("end").get(end) == simdjson::SUCCESS)
        gaps.push_back({from_seconds(start), from_seconds(end), gap_reason(item)});
    }
    return gaps;
  }
  bool has(const char* name) const { return object_.at_key(name).error() == simdjson::SUCCESS; }
  const std::string& missing() const { return missing_; }

 private:
  // An array that is not there cannot be gone through.
  std::vector<simdjson::dom::element> elements(const char* name) {
    simdjson::dom::array array;
    if (object_.at_key(name).get(array) == simdjson::SUCCESS) return {array.begin(), array.end()};
    if (missing_.empty()) missing_ = name;
    return {};
  }
  template <class Value>
  Value get(const char* name) {
    Value value{};
    if (object_.at_key(name).get(value) != simdjson::SUCCESS && missing_.empty()) missing_ = name;
    return value;
  }

  simdjson::dom::object object_;
  std::string missing_;
};

// Sidecars of earlier versions do not say how long the alert was; the buffer is as long after it as before.
std::chrono::seconds alert_duration(Fields& fields, const journal::NewCapture& capture) {
  if (fields.has("alert_duration")) return std::chrono::seconds(fields.integer("alert_duration"));
  const auto buffer = std::chrono::floor<std::chrono::seconds>(capture.alert_at - WallTime(capture.window_start));
  const auto after = WallTime(capture.window_end) - capture.alert_at - buffer;
  return std::max(std::chrono::seconds(0), std::chrono::floor<std::chrono::seconds>(after));
}

}  // namespace

archive::ClipIdentity identity_of(const journal::Capture& row, std::string camera_name, bool has_audio) {
  return {.camera_name = std::move(camera_name),
          .camera = row.camera,
          .alert = row.alert,
          .activities = row.activities,
          .window_start = row.window_start,
          .has_audio = has_audio,
          .is_range = row.kind == journal::Kind::range};
}

std::optional<std::string> with_presence(std::string text, journal::PresenceState presence, bool is_done) {
  using journal::PresenceState;
  for (const auto before : {PresenceState::pending, PresenceState::confirmed, PresenceState::unknown}) {
    const auto fields = presence_fields(before);
    const auto at = text.find(fields);
    if (before == presence || at == std::string::npos) continue;
    text.replace(at, fields.size(), presence_fields(presence));
    // Nothing else kept a clip that is done from being final.
    constexpr std::string_view pending = R"("state":"done","final":false)", final = R"("state":"done","final":true)";
    const auto state = text.find(pending);
    if (is_done && presence != PresenceState::pending && state != std::string::npos && state < at)
      text.replace(state, pending.size(), final);
    return text;
  }
  return std::nullopt;
}

Result<journal::KnownClip> read_sidecar(std::string_view text) {
  const auto unusable = [](std::string why) { return Error{ErrorKind::permanent, std::move(why)}; };
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(text.data(), text.size()).get(object) != simdjson::SUCCESS) return unusable("not a JSON object");
  Fields fields(object);
  journal::KnownClip known;
  auto& capture = known.capture;
  capture.alert = AlertId(fields.text("alert"));
  // Sidecars of earlier versions are all of alerts.
  if (fields.has("kind") && fields.text("kind") == to_string(journal::Kind::range))
    capture.kind = journal::Kind::range;
  capture.camera = DeviceId(fields.text("camera"));
  known.camera_name = fields.text("camera_name");
  capture.location = LocationId(fields.text("location"));
  capture.activities = fields.texts("activities");
  capture.via = journal::parse_via(fields.text("via"));
  capture.alert_at = fields.time("alert_at");
  capture.received_at = fields.time("received_at");
  capture.window_start = fields.second("window_start");
  capture.window_end = fields.second("window_end");
  capture.duration = alert_duration(fields, capture);
  const auto state = journal::parse_state(fields.text("state"));
  known.final = fields.flag("final");
  known.reason = fields.text("reason");
  // Sidecars of earlier versions do not tell.
  const auto presence =
      fields.has("presence") ? journal::parse_presence(fields.text("presence")) : journal::PresenceState::not_told;
  known.published = {.clip = fields.text("clip"),
                     .source = fields.text("source"),
                     .bytes = static_cast<std::uint64_t>(fields.integer("bytes")),
                     .sha256 = fields.text("sha256"),
                     .gaps = fields.gaps("gaps"),
                     .window_end = capture.window_end,
                     .presence = presence};
  if (!fields.missing().empty()) return unusable(fmt::format("{} is missing", fields.missing()));
  if (!is_safe_id(capture.alert.str()) || !is_safe_id(capture.camera.str()))
    return unusable("alert and camera are no ids");
  const bool is_published = state == journal::State::done || state == journal::State::partial;
  if (!is_published || capture.window_end <= capture.window_start) return unusable("state or window make no sense");
  known.state = *state;
  return known;
}

std::string sidecar_beginning(const SidecarFacts& facts) {
  JsonWriter json;
  // First alert and camera: the archive knows a clip's owner by them (archive::sidecar_identity).
  json.begin_object()
      .field("alert", facts.identity.alert.str())
      .field("camera", facts.identity.camera.str())
      .field("kind", to_string(facts.row.kind))
      .field("camera_name", facts.identity.camera_name)
      .field("location", facts.row.location.str());
  json.key("activities").begin_array();
  for (const auto& activity : facts.row.activities) json.value(activity);
  json.end_array();
  json.field("via", to_string(facts.row.via))
      .field("alert_at", to_seconds(facts.row.alert_at))
      .field("alert_duration", facts.row.duration.count())
      .field("received_at", to_seconds(facts.row.received_at))
      .field("window_start", facts.row.window_start.time_since_epoch().count())
      .field("window_end", facts.row.window_end.time_since_epoch().count())
      .field("state", to_string(facts.state))
      .field("final", facts.final)
      .field("presence", to_string(facts.presence))
      .field("presence_means", explain(facts.presence))
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
      .field("published_at", to_seconds(published_at))
      .end_object();
  auto text = std::move(json).str();
  text.front() = ',';  // goes on where sidecar_beginning() stopped
  return text + "\n";
}

}  // namespace responder::capture
