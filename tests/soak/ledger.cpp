#include "ledger.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <simdjson.h>

#include "clip_reader.hpp"

namespace soak {
namespace {

namespace fs = std::filesystem;
using responder::test::Clip;

std::string text_field(simdjson::dom::element object, const char* name) {
  std::string_view value;
  return object.at_key(name).get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
}

std::int64_t integer_field(simdjson::dom::element object, const char* name) {
  std::int64_t value = 0;
  return object.at_key(name).get(value) == simdjson::SUCCESS ? value : 0;
}

bool flag_field(simdjson::dom::element object, const char* name) {
  bool value = false;
  return object.at_key(name).get(value) == simdjson::SUCCESS && value;
}

Event read_event(simdjson::dom::element object) {
  Event event;
  event.alert = text_field(object, "alert");
  event.camera = text_field(object, "camera");
  event.state = text_field(object, "state");
  event.reason = text_field(object, "reason");
  event.via = text_field(object, "via");
  event.clip = text_field(object, "clip");
  event.sha256 = text_field(object, "sha256");
  event.kind = text_field(object, "kind");
  event.window_start = integer_field(object, "window_start");
  event.window_end = integer_field(object, "window_end");
  event.final = flag_field(object, "final");
  event.held = flag_field(object, "held");
  double removed_at = 0;
  event.removed = object.at_key("removed_at").get(removed_at) == simdjson::SUCCESS;
  simdjson::dom::array gaps;
  if (object.at_key("gaps").get(gaps) == simdjson::SUCCESS) event.gaps = gaps.size();
  return event;
}

bool has_clip(const Event& event) {
  return (event.state == "done" || event.state == "partial") && !event.clip.empty() && !event.removed;
}

// Every packet in order; empty: equal.
std::string difference(const std::vector<responder::test::ClipPacket>& packets,
                       const std::vector<fake_rhombus::Sample>& truth, const char* track) {
  if (packets.size() != truth.size())
    return fmt::format("{} {} packets, {} were served", packets.size(), track, truth.size());
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (packets[i].data != truth[i].data) return fmt::format("{} packet {} differs", track, i);
  }
  return "";
}

// Sound is cut where the pictures begin and end, in packets of 20 ms: one may be missing at each end, none between.
std::string sound_difference(const std::vector<responder::test::ClipPacket>& packets,
                             const std::vector<fake_rhombus::Sample>& truth) {
  std::size_t before = 0;
  while (before < truth.size() && !packets.empty() && truth[before].data != packets[0].data) ++before;
  if (before + packets.size() > truth.size())
    return fmt::format("{} sound packets, {} were served", packets.size(), truth.size());
  const auto after = truth.size() - before - packets.size();
  if (before > 1 || after > 1)
    return fmt::format("sound lacks {} packets at its start and {} at its end", before, after);
  const auto served = truth.begin() + static_cast<std::ptrdiff_t>(before);
  return difference(packets, {served, served + static_cast<std::ptrdiff_t>(packets.size())}, "sound");
}

// Of a clip with gaps: each packet is one that was served, in order.
std::string untrue(const std::vector<responder::test::ClipPacket>& packets,
                   const std::vector<fake_rhombus::Sample>& truth) {
  std::size_t next = 0;
  for (const auto& packet : packets) {
    while (next < truth.size() && truth[next].data != packet.data) ++next;
    if (next == truth.size()) return "a video packet was not served, or is out of order";
    ++next;
  }
  return "";
}

}  // namespace

void Ledger::raise(const Raised& alert) {
  const std::lock_guard lock(mutex_);
  raised_[alert.alert] = alert;
}

void Ledger::answered(const std::string& alert) {
  const std::lock_guard lock(mutex_);
  raised_[alert].known = true;
}

void Ledger::grew(const std::string& alert, std::int64_t duration_s) {
  const std::lock_guard lock(mutex_);
  raised_[alert].duration_s = duration_s;
}

std::size_t Ledger::raised() const {
  const std::lock_guard lock(mutex_);
  return raised_.size();
}

std::vector<Event> Ledger::events(const std::string& after) const {
  std::vector<std::string> arguments{"events", "--json", "--limit", "1000000"};
  if (!after.empty()) arguments.insert(arguments.end(), {"--after", after});
  const auto listed = site_.run(arguments);
  std::vector<Event> events;
  std::istringstream lines(listed.out);
  simdjson::dom::parser parser;
  for (std::string line; std::getline(lines, line);) {
    simdjson::dom::element object;
    if (parser.parse(line).get(object) == simdjson::SUCCESS) {
      events.push_back(read_event(object));
    } else {
      problems_.add("events --json printed a line that is no JSON: " + line);
    }
  }
  return events;
}

bool Ledger::has_hole(const Event& event) const {
  const auto holes = faults_.holes();
  return std::any_of(holes.begin(), holes.end(), [&](const Hole& hole) {
    return hole.camera == event.camera && hole.start < event.window_end && hole.start + 2 > event.window_start;
  });
}

std::string Ledger::problem_with(const Event& event) const {
  const Clip clip = responder::test::read_clip(site_.clips() / event.clip);
  if (!clip.readable) return "it cannot be read";
  if (!clip.index_first) return "its index is not at its front";
  const auto* camera = site_.camera(event.camera);
  if (camera == nullptr) return "its camera is not known";
  const auto duration = event.window_end - event.window_start;
  const auto video = site_.rhombus().truth(event.camera, false, event.window_start, duration);
  if (event.state == "partial") return clip.streams.empty() ? "it has no video" : untrue(clip.streams[0], video);
  if (clip.streams.size() != (camera->sound_from.empty() ? 1U : 2U))
    return fmt::format("it has {} tracks", clip.streams.size());
  if (auto differs = difference(clip.streams[0], video, "video"); !differs.empty()) return differs;
  if (camera->sound_from.empty()) return "";
  return sound_difference(clip.streams[1],
                          site_.rhombus().truth(camera->sound_from, true, event.window_start, duration));
}

void Ledger::check_clips(const std::vector<Event>& events) {
  for (const auto& event : events) {
    if (!has_clip(event) || event.kind == "range") continue;
    {
      const std::lock_guard lock(mutex_);
      const auto known = checked_.find(event.clip);
      if (damaged_.contains(event.clip) || (known != checked_.end() && known->second == event.sha256)) continue;
    }
    const bool away = faults_.is_archive_away();
    const auto problem = problem_with(event);
    if (away || faults_.is_archive_away()) continue;
    const std::lock_guard lock(mutex_);
    if (problem.empty()) {
      checked_[event.clip] = event.sha256;
      ++clips_checked_;
      failed_checks_.erase(event.sha256);
    } else if (++failed_checks_[event.sha256] == 3) {
      problems_.add(fmt::format("clip {} ({}, window {} to {}): {}", event.clip, event.state, event.window_start,
                                event.window_end, problem));
    }
  }
}

void Ledger::damaged(const std::string& clip) {
  const std::lock_guard lock(mutex_);
  damaged_.insert(clip);
  checked_.erase(clip);
}

void Ledger::repaired() {
  const std::lock_guard lock(mutex_);
  damaged_.clear();
}

void Ledger::held(const std::string& alert) {
  const std::lock_guard lock(mutex_);
  held_.insert(alert);
}

void Ledger::released(const std::string& alert) {
  const std::lock_guard lock(mutex_);
  held_.erase(alert);
}

bool Ledger::is_at_rest(const std::vector<Event>& events) const {
  std::map<std::string, std::size_t> found;
  for (const auto& event : events) {
    const bool hopeless = event.state == "partial" && has_hole(event);
    if (!event.final && !hopeless) return false;
    ++found[event.alert];
  }
  const std::lock_guard lock(mutex_);
  return std::all_of(raised_.begin(), raised_.end(), [&](const auto& one) {
    return !one.second.known || found[one.first] >= one.second.cameras.size();
  });
}

void Ledger::check_states(const std::vector<Event>& events) {
  std::map<std::pair<std::string, std::string>, const Event*> by_capture;
  for (const auto& event : events) {
    const auto key = std::make_pair(event.alert, event.camera);
    if (by_capture.contains(key))
      problems_.add(fmt::format("alert {} has two captures of {}", key.first, key.second));
    by_capture[key] = &event;
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [alert, raised] : raised_) {
    if (!raised.known) continue;
    for (const auto& camera : raised.cameras) {
      const auto found = by_capture.find({alert, camera});
      const auto what = fmt::format("alert {} ({}) on {}", alert, raised.kind, camera);
      if (found == by_capture.end()) {
        problems_.add(what + " is not in the journal");
        continue;
      }
      const auto& event = *found->second;
      const bool explained = event.state == "partial" && has_hole(event);
      if (event.state != "done" && !explained)
        problems_.add(fmt::format("{} is {}: {}", what, event.state, event.reason));
      if (event.window_start > raised.at_s - 2 || event.window_end < raised.at_s + raised.duration_s + 2)
        problems_.add(fmt::format("{} has a window of {} to {}, and lasted from {} for {} s", what,
                                  event.window_start, event.window_end, raised.at_s, raised.duration_s));
      if (held_.contains(alert) && event.removed) problems_.add(what + " was removed although it is held");
    }
  }
}

void Ledger::check_archive(const std::vector<Event>& events) {
  std::set<std::string> expected;
  for (const auto& event : events) {
    if (!has_clip(event)) continue;
    if (!expected.insert(event.clip).second) problems_.add("two captures have the clip " + event.clip);
  }
  for (const auto& file : fs::recursive_directory_iterator(site_.clips())) {
    if (!file.is_regular_file()) continue;
    const auto path = file.path().lexically_relative(site_.clips()).string();
    const auto name = file.path().filename().string();
    if (name == ".rhombus-responder-archive") continue;
    if (name.starts_with('.') || name.ends_with(".part")) problems_.add("left over in the archive: " + path);
    if (file.path().extension() == ".mp4" && !name.ends_with(".damaged.mp4") && !expected.contains(path))
      problems_.add("a clip that the journal does not know: " + path);
  }
  for (const auto& clip : expected) {
    if (!fs::exists(site_.clips() / clip)) problems_.add("a clip that is not in the archive: " + clip);
  }
  check_spool();
}

// Finished clips have left it. Footage in it is kept for ten minutes after its last use, for the next alert of a
// burst, and goes then.
void Ledger::check_spool() {
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::minutes(30);
  for (const auto& file : fs::recursive_directory_iterator(site_.state() / "spool")) {
    const auto path = file.path().lexically_relative(site_.state()).string();
    if (!file.is_regular_file() || path.find("/work/") == std::string::npos) {
      if (path.find("/ready/") != std::string::npos) problems_.add("a clip is left over in the spool: " + path);
      continue;
    }
    if (file.last_write_time() < long_ago) problems_.add("footage is left over in the spool: " + path);
  }
}

std::vector<std::string> Ledger::settle() {
  repaired();
  const auto events = this->events("");
  {
    const std::lock_guard lock(mutex_);
    checked_.clear();
    failed_checks_.clear();
  }
  for (int i = 0; i < 3; ++i) check_clips(events);
  check_states(events);
  check_archive(events);
  const auto acknowledged = site_.hook().acknowledged();
  std::map<std::string, int> states;
  std::map<std::string, int> ways;
  int removed = 0;
  for (const auto& event : events) {
    ++states[event.state];
    ++ways[event.via];
    removed += event.removed ? 1 : 0;
    if (event.state == "done" && !acknowledged.contains(event.alert))
      problems_.add(fmt::format("the hook was never told of alert {}, which is done", event.alert));
  }
  std::string counted;
  for (const auto& [state, count] : states)
    counted += fmt::format("{}{} {}", counted.empty() ? "" : ", ", count, state);
  std::string came;
  for (const auto& [way, count] : ways) came += fmt::format("{}{} {}", came.empty() ? "" : ", ", count, way);
  const std::lock_guard lock(mutex_);
  std::map<std::string, int> kinds;
  for (const auto& [alert, raised] : raised_) ++kinds[raised.kind];
  std::string raised;
  for (const auto& [kind, count] : kinds) raised += fmt::format(", {} {}", count, kind);
  return {fmt::format("| alerts raised | {}{} |", raised_.size(), raised),
          fmt::format("| captures | {} ({}) |", counted, came),
          fmt::format("| clips held against the footage | {} checks |", clips_checked_),
          fmt::format("| clips removed by retention | {} |", removed)};
}

}  // namespace soak
