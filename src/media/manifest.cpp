#include "responder/media/manifest.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>

#include "responder/base/text.hpp"

#include "xml_tree.hpp"

namespace responder::media {
namespace {

using std::chrono::seconds;

constexpr std::int64_t longest_segment_ticks = 1'000'000'000'000;
constexpr std::size_t max_periods = 1000;                    // each has URLs of its own
constexpr std::int64_t latest_time = std::int64_t{1} << 60;  // in ticks: what is later makes no sense
// Past this a timeline counts from the epoch, not from the session.
constexpr Micros epoch_like = seconds(100'000'000);

Error unusable(std::string_view why) {
  return Error{ErrorKind::permanent, fmt::format("the manifest cannot be used: {}", why)};
}

Micros ticks_to_micros(std::int64_t ticks, std::int64_t timescale) {
  // Thousands of years: what is past that is no time, and sums of such would overflow.
  constexpr long double most = 1e17L;
  const auto micros = static_cast<long double>(ticks) * 1e6L / static_cast<long double>(timescale);
  return Micros(static_cast<Micros::rep>(std::clamp(micros, -most, most)));
}

// ISO 8601 duration: P1DT2H3M4.5S. Years and months have no fixed length; where a camera writes them at all, they are
// 0.
std::optional<Micros> parse_duration(std::string_view text) {
  text = trim(text);
  if (!text.starts_with('P')) return std::nullopt;
  text.remove_prefix(1);
  double total = 0;
  bool in_time = false;
  while (!text.empty()) {
    if (text.front() == 'T') {
      in_time = true;
      text.remove_prefix(1);
      continue;
    }
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{} || end == text.data() + text.size() || value < 0) return std::nullopt;
    const char unit = *end;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
    if (unit == 'Y' && !in_time) {
      total += value * 365 * 86400;
    } else if (unit == 'M' && !in_time) {
      total += value * 30 * 86400;
    } else if (unit == 'D' && !in_time) {
      total += value * 86400;
    } else if (unit == 'H' && in_time) {
      total += value * 3600;
    } else if (unit == 'M' && in_time) {
      total += value * 60;
    } else if (unit == 'S' && in_time) {
      total += value;
    } else {
      return std::nullopt;
    }
  }
  if (!(total < 1e9)) return std::nullopt;
  return Micros(static_cast<Micros::rep>(std::llround(total * 1e6)));
}

std::int64_t integer_attribute(const XmlElement& element, std::string_view name, std::int64_t otherwise) {
  const auto text = element.attribute(name);
  const auto value = text ? parse_int(trim(*text)) : std::nullopt;
  // Bounded, so that sums and products with a number of segments cannot overflow.
  constexpr std::int64_t most = std::int64_t{1} << 60;
  return value ? std::clamp<std::int64_t>(*value, -most, most) : otherwise;
}

// What a SegmentTemplate says after its parents' templates have been inherited (ISO/IEC 23009-1, 5.3.9.1).
struct Template {
  std::string media;
  std::string initialization;
  std::int64_t start_number = 1;
  std::int64_t timescale = 1;
  std::int64_t duration = 0;
  std::int64_t presentation_offset = 0;
  const XmlElement* timeline = nullptr;
  bool present = false;

  void inherit(const XmlElement& parent) {
    const XmlElement* own = parent.child("SegmentTemplate");
    if (own == nullptr) return;
    present = true;
    if (const auto value = own->attribute("media")) media = *value;
    if (const auto value = own->attribute("initialization")) initialization = *value;
    start_number = integer_attribute(*own, "startNumber", start_number);
    timescale = integer_attribute(*own, "timescale", timescale);
    duration = integer_attribute(*own, "duration", duration);
    presentation_offset = integer_attribute(*own, "presentationTimeOffset", presentation_offset);
    if (const auto* list = own->child("SegmentTimeline")) timeline = list;
  }
};

struct Candidate {
  std::string codecs;
  Track::Part part;
};

struct Period {
  const XmlElement* element;
  Micros start;
  Micros duration;
  Micros wanted{0};  // how much of it the window can use: what a manifest names beyond is not looked at
};

// A reference as devices write it. What a URL cannot have is percent-encoded, as browsers do; a control character is
// left, and refused.
Result<net::Url> resolve_loosely(const net::Url& base, std::string_view reference) {
  constexpr std::string_view not_in_urls = " \"<>`{}|^";
  std::string encoded;
  for (const char c : trim(reference)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || not_in_urls.find(c) != std::string_view::npos) {
      encoded += fmt::format("%{:02X}", byte);
    } else {
      encoded += c;
    }
  }
  return base.resolve(encoded);
}

// The places that an element names, in its order; each one counts from those of the element around it. A place that
// cannot be used is left out, unless there is no other.
Result<std::vector<net::Url>> with_base_urls(const std::vector<net::Url>& bases, const XmlElement& element) {
  constexpr std::size_t most = 4;
  std::vector<net::Url> places;
  std::optional<Error> refused;
  std::size_t named = 0;
  for (const auto& child : element.children) {
    if (child->name != "BaseURL") continue;
    if (++named > most) break;
    for (const auto& base : bases) {
      auto place = resolve_loosely(base, child->text);
      if (!place) {
        if (!refused) refused = place.error();
        continue;
      }
      const bool is_new = std::none_of(places.begin(), places.end(),
                                       [&](const net::Url& other) { return other.str() == place->str(); });
      if (is_new && places.size() < most) places.push_back(std::move(*place));
    }
  }
  if (!places.empty()) return places;
  return refused ? Result<std::vector<net::Url>>(*refused) : bases;
}

bool is_codec_of(TrackKind kind, std::string_view codecs) {
  const auto starts_with_any = [&](std::initializer_list<std::string_view> names) {
    const std::string lower = ascii_lower(codecs);
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return lower.starts_with(name); });
  };
  return kind == TrackKind::video ? starts_with_any({"avc1", "avc3", "hvc1", "hev1"})
                                  : starts_with_any({"mp4a", "opus"});
}

std::string_view codecs_of(const XmlElement& adaptation, const XmlElement& representation) {
  return representation.attribute("codecs").value_or(adaptation.attribute("codecs").value_or(""));
}

// By the codecs where nothing else says it.
std::optional<TrackKind> kind_of(const XmlElement& adaptation, const XmlElement& representation) {
  for (const auto* element : {&representation, &adaptation}) {
    for (const auto* name : {"contentType", "mimeType"}) {
      const auto value = element->attribute(name);
      if (value && value->starts_with("video")) return TrackKind::video;
      if (value && value->starts_with("audio")) return TrackKind::audio;
    }
  }
  for (const auto kind : {TrackKind::video, TrackKind::audio}) {
    if (is_codec_of(kind, codecs_of(adaptation, representation))) return kind;
  }
  return std::nullopt;
}

// The segments that end after `from`, in the timeline's ticks.
Result<std::vector<Track::Run>> runs_of_timeline(const Template& t, const Period& period, std::int64_t from) {
  std::vector<Track::Run> runs;
  std::int64_t number = t.start_number;
  std::int64_t time = 0;
  std::size_t total = 0;
  const auto in_ticks = [&](Micros span) {
    return static_cast<std::int64_t>(static_cast<long double>(span.count()) * static_cast<long double>(t.timescale) /
                                     1e6L);
  };
  const auto& entries = t.timeline->children;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& entry = *entries[i];
    if (entry.name != "S") continue;
    time = integer_attribute(entry, "t", time);
    const auto duration = integer_attribute(entry, "d", 0);
    auto repeat = integer_attribute(entry, "r", 0);
    if (duration <= 0 || duration > longest_segment_ticks || time < 0 || time > latest_time)
      return unusable("a SegmentTimeline entry has no sensible time");
    if (repeat < 0) {
      // To the next entry's time, or to the Period's end.
      std::int64_t until = t.presentation_offset + in_ticks(period.duration);
      if (i + 1 < entries.size()) until = integer_attribute(*entries[i + 1], "t", until);
      repeat = std::max<std::int64_t>(0, (until - time + duration - 1) / duration - 1);
    }
    const bool is_before = time < from && (from - time) / duration > repeat;
    const auto before = is_before ? repeat + 1 : std::max<std::int64_t>(0, (from - time) / duration);
    number += before;
    time += before * duration;
    if (is_before) continue;
    repeat -= before;
    const std::int64_t useful_until =
        std::max(from, runs.empty() ? time : runs.front().first_time) + in_ticks(period.wanted);
    if (!runs.empty() && time > useful_until) break;
    repeat = std::min(repeat, (useful_until - time) / duration + 1);
    if (repeat >= static_cast<std::int64_t>(max_segments))
      return unusable(fmt::format("it names more than {} segments", max_segments));
    const auto count = static_cast<std::size_t>(repeat) + 1;
    total += count;
    if (total > max_segments) return unusable(fmt::format("it names more than {} segments", max_segments));
    runs.push_back({number, time, duration, count, 0});
    number += static_cast<std::int64_t>(count);
    time += duration * static_cast<std::int64_t>(count);
  }
  return runs;
}

// What ends before the presentation begins is not footage of the window. Where nothing is left, the offset counts
// from somewhere else than the timeline and says nothing.
Result<std::vector<Track::Run>> runs_of_timeline(const Template& t, const Period& period) {
  auto runs = runs_of_timeline(t, period, std::min(t.presentation_offset, latest_time));
  constexpr auto all = std::numeric_limits<std::int64_t>::min() / 2;
  return runs && runs->empty() ? runs_of_timeline(t, period, all) : runs;
}

Result<std::vector<Track::Run>> runs_of_duration(const Template& t, const Period& period) {
  if (t.duration <= 0 || t.duration > longest_segment_ticks)
    return unusable("its SegmentTemplate has neither a duration nor a SegmentTimeline");
  // One more than the window: a session that begins early names it for the window's end.
  const Micros useful = period.wanted + ticks_to_micros(t.duration, t.timescale);
  const long double in_ticks = static_cast<long double>(std::min(period.duration, useful).count()) *
                               static_cast<long double>(t.timescale) / 1e6L;
  // A hair over a whole number is rounding in the manifest, not one more segment.
  const long double count = std::ceil(in_ticks / static_cast<long double>(t.duration) - 1e-3L);
  if (count > static_cast<long double>(max_segments))
    return unusable(fmt::format("it names more than {} segments", max_segments));
  if (count <= 0) return std::vector<Track::Run>{};
  return std::vector<Track::Run>{
      {t.start_number, t.presentation_offset, t.duration, static_cast<std::size_t>(count), 0}};
}

Result<Track::Part> make_part(const Template& t, const Period& period, const XmlElement& representation,
                              std::vector<net::Url> bases) {
  if (t.media.empty() || t.initialization.empty())
    return unusable("its SegmentTemplate lacks media or initialization");
  if (t.timescale <= 0 || t.timescale > 1'000'000'000) return unusable("its timescale makes no sense");
  auto runs = t.timeline != nullptr ? runs_of_timeline(t, period) : runs_of_duration(t, period);
  if (!runs) return runs.error();
  Track::Part part;
  part.bases = std::move(bases);
  part.media_template = t.media;
  part.init_template = t.initialization;
  part.representation_id = representation.attribute("id").value_or("");
  part.bandwidth =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer_attribute(representation, "bandwidth", 0)));
  part.timescale = t.timescale;
  part.presentation_offset = t.presentation_offset;
  part.period_start = period.start;
  part.end = period.start + period.duration;
  for (const auto& run : *runs) {
    part.count += run.count;
    if (t.timeline == nullptr) continue;
    const auto end_ticks =
        run.first_time + run.duration * static_cast<std::int64_t>(run.count) - t.presentation_offset;
    part.end = period.start + ticks_to_micros(end_ticks, t.timescale);
  }
  part.runs = std::move(*runs);
  return part;
}

// The best Representation of one kind in one Period; why there is none goes to `refusal`.
std::optional<Candidate> best_of_period(const Period& period, const std::vector<net::Url>& bases, TrackKind kind,
                                        std::optional<Error>& refusal) {
  std::optional<Candidate> best;
  Template of_period;
  of_period.inherit(*period.element);
  for (const auto& adaptation : period.element->children) {
    if (adaptation->name != "AdaptationSet") continue;
    Template of_set = of_period;
    of_set.inherit(*adaptation);
    const auto set_bases = with_base_urls(bases, *adaptation);
    for (const auto& representation : adaptation->children) {
      if (representation->name != "Representation" || kind_of(*adaptation, *representation) != kind) continue;
      const std::string codecs(codecs_of(*adaptation, *representation));
      if (!codecs.empty() && !is_codec_of(kind, codecs)) {
        refusal = unusable(fmt::format("{} in '{}'", to_string(kind), printable(codecs, 40)));
        continue;
      }
      Template own = of_set;
      own.inherit(*representation);
      auto own_bases = set_bases ? with_base_urls(*set_bases, *representation) : set_bases;
      if (!own_bases || !own.present) {
        refusal = own_bases ? unusable("a Representation is not addressed by a SegmentTemplate") : own_bases.error();
        continue;
      }
      auto part = make_part(own, period, *representation, std::move(*own_bases));
      if (!part) {
        refusal = part.error();
        continue;
      }
      if (!best || part->bandwidth > best->part.bandwidth) best = Candidate{codecs, std::move(*part)};
    }
  }
  return best;
}

Result<std::vector<Period>> periods_of(const XmlElement& mpd, Micros asked_duration) {
  const auto total_text = mpd.attribute("mediaPresentationDuration");
  const auto total = total_text ? parse_duration(*total_text) : std::optional(asked_duration);
  if (!total) return unusable("its mediaPresentationDuration is not a duration");
  std::vector<Period> periods;
  Micros next_start{0};
  for (const auto& element : mpd.children) {
    if (element->name != "Period") continue;
    if (periods.size() >= max_periods) return unusable(fmt::format("it has more than {} Periods", max_periods));
    const auto start_text = element->attribute("start");
    const Micros start = start_text ? parse_duration(*start_text).value_or(next_start) : next_start;
    if (!periods.empty() && periods.back().duration < Micros(0))
      periods.back().duration = start - periods.back().start;
    const auto duration_text = element->attribute("duration");
    // Not known yet: up to the next Period or the end.
    const Micros duration = duration_text ? parse_duration(*duration_text).value_or(Micros(-1)) : Micros(-1);
    periods.push_back({element.get(), start, duration,
                       start > epoch_like ? asked_duration : std::max(Micros(0), asked_duration - start)});
    next_start = start + std::max(duration, Micros(0));
  }
  if (periods.empty()) return unusable("it has no Period");
  if (periods.back().duration < Micros(0)) {
    // Where Periods start in epoch time, the whole is as long as from the first one's start.
    const auto zero = *total > epoch_like || periods.front().start <= epoch_like ? Micros(0) : periods.front().start;
    periods.back().duration = std::max(Micros(0), *total - (periods.back().start - zero));
  }
  return periods;
}

// $Number$, $Number%05d$, $Time$, $RepresentationID$, $Bandwidth$, $$ (ISO/IEC 23009-1, 5.3.9.4.4).
Result<std::string> expand(std::string_view text, const Track::Part& part, std::int64_t number, std::int64_t time) {
  constexpr std::size_t longest = 8192;  // as a URL may be
  std::string result;
  while (!text.empty()) {
    if (result.size() > longest) return unusable("a template makes too long a URL");
    const auto dollar = text.find('$');
    result += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar + 1);
    const auto end = text.find('$');
    if (end == std::string_view::npos) return unusable("a template has a '$' without its end");
    auto identifier = text.substr(0, end);
    text.remove_prefix(end + 1);

    int width = 1;
    if (const auto percent = identifier.find('%'); percent != std::string_view::npos) {
      auto format = identifier.substr(percent + 1);
      if (!format.starts_with('0') || !format.ends_with('d')) return unusable("a template's width is not like %05d");
      const auto parsed = parse_int(format.substr(1, format.size() - 2));
      if (!parsed || *parsed < 1 || *parsed > 20) return unusable("a template's width is not like %05d");
      width = static_cast<int>(*parsed);
      identifier = identifier.substr(0, percent);
    }
    if (identifier.empty()) {
      result += '$';
    } else if (identifier == "Number") {
      result += fmt::format("{:0{}}", number, width);
    } else if (identifier == "Time") {
      result += fmt::format("{:0{}}", time, width);
    } else if (identifier == "Bandwidth") {
      result += fmt::format("{:0{}}", part.bandwidth, width);
    } else if (identifier == "RepresentationID") {
      result += part.representation_id;
    } else {
      return unusable(fmt::format("a template has the unknown ${}$", printable(identifier, 30)));
    }
  }
  return result;
}

}  // namespace

std::string_view to_string(TrackKind kind) { return kind == TrackKind::video ? "video" : "audio"; }

Result<net::Url> Track::Part::resolve(std::string_view reference, std::size_t place) const {
  auto url = resolve_loosely(bases.at(place), reference);
  // Some servers put their session into the manifest's query: segments beside it carry it on.
  if (url && url->query.empty() && url->origin() == manifest_origin) url->query = manifest_query;
  return url;
}

void Track::add(Part part) {
  std::size_t index = 0;
  for (auto& run : part.runs) {
    run.first_index = index;
    index += run.count;
  }
  part.first_index = size_;
  size_ += part.count;
  parts_.push_back(std::move(part));
}

Micros Track::presentation_offset(std::size_t part) const {
  return ticks_to_micros(parts_[part].presentation_offset, parts_[part].timescale) - parts_[part].period_start;
}

std::size_t Track::part_of(std::size_t index) const {
  return static_cast<std::size_t>(position_of(index).part - parts_.data());
}

Track::Position Track::position_of(std::size_t index) const {
  // The last that begins no later. There may be as many as segments, and each of those is looked up often.
  const auto holding = [](const auto& list, std::size_t at) {
    return std::prev(std::upper_bound(list.begin(), list.end(), at,
                                      [](std::size_t i, const auto& one) { return i < one.first_index; }));
  };
  if (index >= size_) std::abort();  // the caller broke the contract
  const Part& part = *holding(parts_, index);
  const Run& run = *holding(part.runs, index - part.first_index);
  const auto step = static_cast<std::int64_t>(index - part.first_index - run.first_index);
  return {&part, run.first_number + step, run.first_time + step * run.duration, run.duration};
}

SegmentTime Track::time_of(std::size_t index) const {
  const Position position = position_of(index);
  const Part& part = *position.part;
  return {part.period_start + ticks_to_micros(position.time - part.presentation_offset, part.timescale),
          ticks_to_micros(position.duration, part.timescale)};
}

std::size_t Track::places(std::size_t index) const { return position_of(index).part->bases.size(); }

Result<Segment> Track::at(std::size_t index, std::size_t place) const {
  const Position position = position_of(index);
  const Part& part = *position.part;
  auto media = expand(part.media_template, part, position.number, position.time);
  if (!media) return media.error();
  auto init = expand(part.init_template, part, position.number, position.time);
  if (!init) return init.error();
  auto url = part.resolve(*media, place);
  if (!url) return url.error();
  auto init_url = part.resolve(*init, place);
  if (!init_url) return init_url.error();
  return Segment{time_of(index), std::move(*url), std::move(*init_url)};
}

namespace {

// A timeline, or a Period, in epoch time: the session's start is its zero.
void count_from(std::chrono::sys_seconds asked_start, Track::Part& part) {
  if (part.runs.empty()) return;
  const auto first = ticks_to_micros(part.runs.front().first_time - part.presentation_offset, part.timescale);
  Micros shift{0};
  if (part.period_start > epoch_like || first > epoch_like) shift = asked_start.time_since_epoch();
  // Both are: the timeline is not counted from the Period.
  if (part.period_start > epoch_like && first > epoch_like) shift += part.period_start;
  part.period_start -= shift;
  part.end -= shift;
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view xml, const net::Url& url, std::chrono::sys_seconds asked_start,
                                seconds asked_duration) {
  auto document = parse_xml(xml);
  if (!document) return with_context(document.error(), "the manifest cannot be used");
  const XmlElement& mpd = **document;
  if (mpd.name != "MPD") {
    // A proxy's page, say: it may be gone the next time.
    auto error = unusable(fmt::format("it is a '{}', not an MPD", printable(mpd.name, 40)));
    error.kind = ErrorKind::transient;
    return error;
  }
  auto periods = periods_of(mpd, asked_duration);
  if (!periods) return periods.error();
  auto bases = with_base_urls({url}, mpd);
  if (!bases) return bases.error();

  Manifest manifest;
  std::optional<Error> refusal;
  for (const auto& period : *periods) {
    auto period_bases = with_base_urls(*bases, *period.element);
    if (!period_bases) return period_bases.error();
    for (const TrackKind kind : {TrackKind::video, TrackKind::audio}) {
      auto best = best_of_period(period, *period_bases, kind, refusal);
      if (!best) continue;
      best->part.manifest_origin = url.origin();
      best->part.manifest_query = url.query;
      auto& track = kind == TrackKind::video ? manifest.video : manifest.audio;
      if (!track) track.emplace(kind, best->codecs);
      count_from(asked_start, best->part);
      if (track->size() + best->part.count > max_segments)
        return unusable(fmt::format("it names more than {} segments", max_segments));
      track->add(std::move(best->part));
    }
  }
  if (!manifest.video && !manifest.audio) return refusal ? *refusal : unusable("it has no video and no audio");
  return manifest;
}

}  // namespace responder::media
