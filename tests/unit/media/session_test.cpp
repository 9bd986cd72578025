#include "responder/media/session.hpp"

#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "responder/media/assemble.hpp"
#include "responder/media/remux.hpp"

#include "manual_clock.hpp"
#include "media_loop.hpp"
#include "temp_folder.hpp"

using namespace responder;
using namespace responder::media;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t start = 1'700'000'000;
const auto sound = fake_rhombus::make_aac();
const auto video = fake_rhombus::make_video({.width = 64, .height = 64, .frames_per_second = 5});

// The last box has size 0: to the end of the file.
std::string with_open_last_box(std::string content) {
  std::size_t last = 0;
  for (std::size_t at = 0; at < content.size();) {
    last = at;
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8U | static_cast<unsigned char>(content[at + i]);
    at += size;
  }
  return content.replace(last, 4, 4, '\0');
}

std::string content_of(const std::filesystem::path& file) {
  std::ostringstream content;
  content << std::ifstream(file, std::ios::binary).rdbuf();
  return content.str();
}

// A device in memory, with its own idea of what is recorded.
class Device final : public Source {
 public:
  explicit Device(Clock& clock) : clock_(clock) {}

  bool clamped = false;
  bool gone = false;
  int begins = 0;                    // where its session does, after the asked start
  double lasts = 20;                 // as its manifest says
  std::int64_t counts_from = start;  // its decode times
  std::string template_attributes;
  bool init_tells_time = false;  // each one another
  int jumps_at = 1000;           // the decode times do, at this segment
  std::int64_t jumps_by = 0;     // by so many seconds
  std::string places;            // BaseURL elements; nothing is at "empty/"
  bool last_box_is_open = false;
  bool has_sound = false;               // from the asked start on
  std::map<int, Error> broken;          // by segment, until removed
  std::map<int, std::string> replaced;  // by segment, with status 200
  std::map<std::string, int> asked;     // by file name

  Result<Document> text(const net::Url& url, std::size_t, std::stop_token) override {
    const std::lock_guard lock(mutex_);
    ++asked["mpd"];
    const double shown = clamped ? std::clamp(recorded() - begins, 0.0, lasts) : lasts;
    if (gone) return Error{ErrorKind::transient, "cannot connect"};
    return Document{
        url,
        fmt::format(
            R"(<MPD mediaPresentationDuration="PT{:.3f}S">{}<Period><AdaptationSet mimeType="video/mp4"><SegmentTemplate media="$Number$" initialization="init" )"
            R"(startNumber="0" duration="2" {}/><Representation id="r" bandwidth="1"/></AdaptationSet>{}</Period></MPD>)",
            shown, places, template_attributes, has_sound ? sound_set : "")};
  }

  Result<void> file(const net::Url& url, const std::filesystem::path& path, std::size_t, std::stop_token) override {
    const auto name = url.path.substr(url.path.rfind('/') + 1);
    std::string content;
    {
      const std::lock_guard lock(mutex_);
      if (url.path.find("/empty/") != std::string::npos) {
        ++asked["at empty"];
        return Error{ErrorKind::not_found, "404 at empty"};
      }
      ++asked[name];
      if (name == "init") {
        content = video->init_segment();
        if (last_box_is_open) content = with_open_last_box(content);
        if (init_tells_time) content[content.find("mvhd") + 11] = static_cast<char>(asked[name]);
      } else if (name == "sound-init") {
        content = sound->init_segment();
      } else if (name.starts_with("sound-")) {
        content = sound->segment(start + 2 * std::atoi(name.c_str() + 6), 2, counts_from);
      } else {
        const int number = std::atoi(name.c_str());
        if (const auto found = broken.find(number); found != broken.end()) return found->second;
        if (begins + number * 2 + 2 > recorded()) return Error{ErrorKind::not_found, "404"};
        const auto other = replaced.find(number);
        const auto from = number < jumps_at ? counts_from : counts_from - jumps_by;
        content = other != replaced.end() ? other->second : video->segment(start + begins + number * 2, 2, from);
        if (last_box_is_open) content = with_open_last_box(content);
      }
    }
    std::ofstream(path, std::ios::binary) << content;
    return {};
  }

  std::size_t parallel() const override { return 3; }

 private:
  static constexpr const char* sound_set =
      R"(<AdaptationSet mimeType="audio/mp4"><SegmentTemplate media="sound-$Number$" initialization="sound-init" )"
      R"(startNumber="0" duration="2"/><Representation id="s" bandwidth="1"/></AdaptationSet>)";

  double recorded() const {
    return static_cast<double>(clock_.wall_now().time_since_epoch().count()) / 1000.0 - start - 0.2;
  }

  Clock& clock_;
  std::mutex mutex_;
};

// What the session alone makes of the window.
TakenTrack video_of(const Session& session) {
  const auto taken = session.taken();
  const Contribution alone{&taken, Micros(0), 20s};
  const auto tracks = assemble(std::span(&alone, 1), 20s);
  return tracks.empty() ? TakenTrack{} : tracks.front();
}

std::size_t segments(const TakenTrack& track) {
  std::size_t count = 0;
  for (const auto& part : track.parts) count += part.segments.size();
  return count;
}

struct Fixture {
  test::TempFolder folder;
  test::ManualClock clock{WallTime(std::chrono::seconds(start + 100))};
  Device device{clock};

  SessionOptions options() const {
    SessionOptions options;
    options.mpd = *net::Url::parse("https://h/x/file.mpd");
    options.start = std::chrono::sys_seconds(std::chrono::seconds(start));
    options.duration = 20s;
    options.directory = folder.path();
    return options;
  }
  Session session() { return {options(), device, clock}; }

  // Follows the session to its end, as a worker would.
  TakenTrack follow(Session& session) {
    for (int steps = 0; steps < 1000; ++steps) {
      const auto progress = session.advance({});
      REQUIRE(progress);
      if (progress->finished) {
        return video_of(session);
      }
      REQUIRE(progress->next_at > clock.wall_now());
      clock.advance(progress->next_at - clock.wall_now());
    }
    FAIL("the session never ends");
    return {};
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a window of the past is taken at once, whole") {
  auto one = session();
  const auto before = clock.elapsed();
  const auto taken = follow(one);
  CHECK(clock.elapsed() == before);
  CHECK(segments(taken) == 10);
  CHECK(taken.samples == 100);
  CHECK(taken.gaps.empty());
  CHECK(taken.reason.empty());
  CHECK(device.asked["mpd"] == 1);
}

TEST_CASE_METHOD(Fixture, "a window that is still being recorded is followed to its end") {
  device.clamped = GENERATE(false, true);
  test::ManualClock live(WallTime(std::chrono::seconds(start + 7)));
  Device camera(live);
  camera.clamped = device.clamped;
  SessionOptions options;
  options.mpd = *net::Url::parse("https://h/x/file.mpd");
  options.start = std::chrono::sys_seconds(std::chrono::seconds(start));
  options.duration = 20s;
  options.directory = folder.path();
  Session one(options, camera, live);

  std::size_t first_step = 0;
  for (int steps = 0; steps < 200; ++steps) {
    const auto progress = one.advance({});
    REQUIRE(progress);
    if (steps == 0) first_step = segments(video_of(one));
    if (progress->finished) break;
    live.advance(progress->next_at - live.wall_now());
  }
  CHECK(first_step == 3);  // the pre-roll, at once
  CHECK(segments(video_of(one)) == 10);
  CHECK(video_of(one).gaps.empty());
  CHECK(live.wall_now() < WallTime(std::chrono::seconds(start + 21)));
}

TEST_CASE_METHOD(Fixture, "a session that begins with the segment before the start is taken to the window's end") {
  device.begins = -1;
  device.counts_from = 0;
  device.lasts = GENERATE(21.0, 22.0);
  {
    auto one = session();
    const auto taken = follow(one);
    CHECK(segments(taken) == 11);
    CHECK(taken.gaps.empty());
    CHECK(one.taken().runs.at(0).segments.front().time.start == -1s);
    CHECK(one.taken().runs.at(0).segments.back().time.end() == 21s);
  }
  auto again = session();
  follow(again);
  CHECK(device.asked["10"] == 1);  // what is there is not fetched twice
}

TEST_CASE_METHOD(Fixture, "where a session begins early and its manifest names no more, the end is a gap") {
  device.begins = -1;
  device.counts_from = 0;
  auto one = session();
  const auto taken = follow(one);
  CHECK(segments(taken) == 10);
  CHECK(taken.gaps == std::vector<Interval>{{19s, 20s}});
  CHECK(taken.reason == "the device recorded less than the window");
}

TEST_CASE_METHOD(Fixture, "a session that begins early and declares its timeline's offset is where its media is") {
  const auto [counts_from, offset] = GENERATE(std::pair{std::int64_t{0}, start - 1}, std::pair{start - 999, 999L});
  device.begins = -1;
  device.counts_from = counts_from;
  device.lasts = 21;
  device.template_attributes = fmt::format(R"(presentationTimeOffset="{}")", offset);
  auto one = session();
  const auto taken = follow(one);
  CHECK(one.taken().runs.at(0).segments.front().time.start == -1s);
  CHECK(segments(taken) == 11);
  CHECK(taken.gaps.empty());
}

TEST_CASE_METHOD(Fixture, "a session that begins with the segment after the start lacks what is before") {
  device.begins = 1;
  device.counts_from = 0;
  device.lasts = GENERATE(19.0, 20.0);
  auto one = session();
  const auto taken = follow(one);
  CHECK(segments(taken) == 10);
  CHECK(taken.gaps == std::vector<Interval>{{0s, 1s}});
  CHECK(device.asked["mpd"] == 1);  // it ends where the window does
}

TEST_CASE_METHOD(Fixture, "a session that does not tell its time and lasts longer than asked is taken whole") {
  device.begins = -1;
  device.counts_from = GENERATE(start - 1, start - 54'321);
  device.lasts = 22;
  auto one = session();
  CHECK(segments(follow(one)) == 11);
  for (const auto& run : one.taken().runs) CHECK(run.early == 2s);

  // Whole segments, no more than the window needs: nothing is said about where it begins.
  device.lasts = 20;
  auto odd = options();
  odd.duration = 19s;
  Session shorter(odd, device, clock);
  follow(shorter);
  for (const auto& run : shorter.taken().runs) CHECK(run.early == 0s);
  device.lasts = 3600;
  auto another = session();
  CHECK(segments(follow(another)) == 10);
}

TEST_CASE_METHOD(Fixture, "picture and sound that count from anywhere count from the same moment") {
  device.begins = -1;
  device.has_sound = true;
  device.counts_from = GENERATE(std::int64_t{0}, start - 54'321);
  device.lasts = GENERATE(20, 21);
  auto one = session();
  follow(one);
  const auto taken = one.taken();
  REQUIRE(taken.runs.size() == 2);
  CHECK(taken.runs[0].kind == TrackKind::video);
  CHECK(taken.runs[0].origin == Micros(std::chrono::seconds(start - device.counts_from)));
  CHECK(std::chrono::abs(taken.runs[0].origin - taken.runs[1].origin) < 25ms);
  CHECK(video_of(one).gaps == (device.lasts > 20 ? std::vector<Interval>{} : std::vector<Interval>{{19s, 20s}}));
}

TEST_CASE_METHOD(Fixture, "a live session that begins early is followed to the window's end") {
  device.begins = -1;
  device.counts_from = 0;
  device.lasts = 21;
  device.clamped = GENERATE(false, true);
  clock.jump(-90s);
  auto one = session();
  const auto taken = follow(one);
  CHECK(segments(taken) == 11);
  CHECK(taken.gaps.empty());
  CHECK(clock.wall_now() < WallTime(std::chrono::seconds(start + 23)));
}

TEST_CASE_METHOD(Fixture, "neighbours that begin with another segment than asked join without a packet twice") {
  // The second one goes on with the first one's segments, or has boundaries of its own.
  const int second_begins = GENERATE(19, 20);
  device.begins = -1;
  device.counts_from = 0;
  device.lasts = 21;
  Device later_device(clock);
  later_device.begins = second_begins;
  later_device.counts_from = 0;
  later_device.lasts = 40 - second_begins;
  auto later = options();
  later.start += 20s;
  later.directory = folder / "later";
  std::filesystem::create_directory(later.directory);
  auto one = session();
  Session other(later, later_device, clock);
  follow(one);
  follow(other);
  const auto first = one.taken();
  const auto second = other.taken();
  const Contribution both[] = {{&first, 0s, 20s}, {&second, 20s, 20s}};
  const auto tracks = assemble(both, 40s);
  REQUIRE(tracks.size() == 1);
  CHECK(tracks[0].gaps.empty());
  const auto clip = remux(tracks, folder / "clip.mp4", {"join", options().start}, {});
  REQUIRE(clip);
  // Five frames a second from a second before the window on.
  const auto seconds = second_begins == 19 ? 42 : 41;
  CHECK(clip->streams.at(0).packets == static_cast<std::size_t>(5 * seconds));
  CHECK(std::chrono::abs(clip->duration - std::chrono::seconds(seconds)) < 1ms);
  CHECK(clip->starts_at == WallTime(std::chrono::seconds(start - 1)));
}

TEST_CASE_METHOD(Fixture, "what another session lacks is asked for where it is, not where the manifest names it") {
  device.begins = -1;
  device.counts_from = 0;
  device.lasts = 21;
  auto some = options();
  some.wanted = [](TrackKind, const SegmentTime& time) { return time.end() > 19s || time.start == 0s; };
  Session one(some, device, clock);
  while (!one.advance({})->finished) clock.advance(1s);
  CHECK(device.asked["10"] == 1);
  CHECK(device.asked["8"] == 0);
}

TEST_CASE_METHOD(Fixture, "what the device does not have is a gap with its time") {
  device.broken[3] = Error{ErrorKind::not_found, "HTTP 404"};
  device.broken[4] = Error{ErrorKind::not_found, "HTTP 404"};
  device.broken[9] = Error{ErrorKind::not_found, "HTTP 404"};
  auto one = session();
  const auto taken = follow(one);
  CHECK(segments(taken) == 7);
  CHECK(taken.gaps == std::vector<Interval>{{6s, 10s}, {18s, 20s}});
  CHECK(taken.reason == "HTTP 404");
  CHECK(taken.why_missing == ErrorKind::not_found);
  CHECK(device.asked["3"] == 2);  // to be sure, once more
}

TEST_CASE_METHOD(Fixture, "the moment before a camera went off is taken, and all of it once it is back") {
  device.lasts = 17.5;
  device.replaced[8] = video->segment(start + 16, 1, start);
  {
    auto one = session();
    const auto taken = follow(one);
    CHECK(segments(taken) == 9);
    CHECK(taken.gaps == std::vector<Interval>{{17s, 20s}});
    CHECK(device.asked["9"] == 0);
  }
  device.lasts = 20;
  device.replaced.clear();
  auto again = session();
  const auto taken = follow(again);
  CHECK(taken.gaps.empty());
  CHECK(device.asked["7"] == 1);
}

TEST_CASE_METHOD(Fixture, "what the first place does not have is taken from the second") {
  device.places = "<BaseURL>empty/</BaseURL><BaseURL>full/</BaseURL>";
  device.broken[3] = Error{ErrorKind::transient, "reset"};
  auto one = session();
  const auto taken = follow(one);
  CHECK(taken.gaps == std::vector<Interval>{{6s, 8s}});
  CHECK(segments(taken) == 9);
  CHECK(device.asked["at empty"] <= 1 + 4);  // once it is known where they are, nowhere else, but for the broken one
}

TEST_CASE_METHOD(Fixture, "what fails for the moment is tried again, and may be later") {
  device.init_tells_time = GENERATE(false, true);
  device.broken[5] = Error{ErrorKind::transient, "reset"};
  auto one = session();
  auto taken = follow(one);
  CHECK(device.asked["5"] == 4);
  CHECK(taken.gaps == std::vector<Interval>{{10s, 12s}});
  CHECK(taken.why_missing == ErrorKind::transient);

  device.broken.clear();
  device.asked.clear();
  auto again = session();
  taken = follow(again);
  CHECK(taken.gaps.empty());
  CHECK(segments(taken) == 10);
  CHECK(device.asked["5"] == 1);
  CHECK(device.asked["4"] == 0);  // what is there is not fetched twice
}

TEST_CASE_METHOD(Fixture, "a device that is gone ends the attempt early") {
  for (int i = 2; i < 10; ++i) device.broken[i] = Error{ErrorKind::transient, "cannot connect"};
  auto one = session();
  std::optional<Error> ending;
  for (int steps = 0; steps < 50 && !ending; ++steps) {
    const auto progress = one.advance({});
    if (!progress) {
      ending = progress.error();
    } else {
      REQUIRE_FALSE(progress->finished);
      clock.advance(progress->next_at - clock.wall_now());
    }
  }
  REQUIRE(ending);
  CHECK(ending->kind == ErrorKind::transient);
  CHECK(segments(video_of(one)) == 2);
}

TEST_CASE_METHOD(Fixture, "what an earlier attempt took is there though the device is gone for good") {
  device.broken[5] = Error{ErrorKind::transient, "reset"};
  {
    auto one = session();
    follow(one);
  }
  device.gone = true;
  auto again = session();
  REQUIRE_FALSE(again.advance({}));
  CHECK(again.taken().runs.empty());
  again.recall();
  CHECK(segments(video_of(again)) == 9);
  CHECK(video_of(again).gaps == std::vector<Interval>{{10s, 12s}});
}

TEST_CASE_METHOD(Fixture, "media that is not where it should be is left out, alone") {
  device.replaced[4] = video->segment(start + 14, 2, start);           // another segment's bytes
  device.replaced[6] = video->segment(start + 12, 2, start - 86'400);  // a day ahead
  auto one = session();
  const auto taken = follow(one);
  CHECK(segments(taken) == 8);
  CHECK(taken.gaps == std::vector<Interval>{{8s, 10s}, {12s, 14s}});
}

TEST_CASE_METHOD(Fixture, "where decode times jump, the footage goes on") {
  device.jumps_at = GENERATE(3, 5, 7);
  device.jumps_by = GENERATE(-2, -5, 3600, -100);
  device.counts_from = start - GENERATE(0, 100 * 86'400);
  if (device.jumps_by < -5) device.jumps_by = device.counts_from - start - 2 * device.jumps_at;  // back to 0
  {
    auto one = session();
    const auto taken = follow(one);
    CHECK(segments(taken) == 10);
    CHECK(taken.gaps.empty());
    REQUIRE(taken.parts.size() == 2);
    const auto clip = remux(std::span(&taken, 1), folder / "clip.mp4", {"jump", options().start}, {});
    REQUIRE(clip);
    CHECK(clip->streams.at(0).packets == 100);
    CHECK(std::chrono::abs(clip->duration - Micros(20s)) < 1ms);
  }
  auto again = session();
  follow(again);
  CHECK(device.asked["9"] == 1);
}

TEST_CASE_METHOD(Fixture, "several segments that are copies of others are no jump") {
  device.replaced[4] = video->segment(start + 12, 2, start);
  device.replaced[5] = video->segment(start + 14, 2, start);
  auto one = session();
  const auto taken = follow(one);
  CHECK(segments(taken) == 8);
  CHECK(taken.gaps == std::vector<Interval>{{8s, 12s}});
}

TEST_CASE_METHOD(Fixture, "a device that serves its segments once more and then goes on has not jumped") {
  for (const int number : {5, 6, 7}) device.replaced[number] = video->segment(start + 2 * number - 2, 2, start);
  auto one = session();
  const auto taken = follow(one);
  // All but the copy are where their media is, not where they are named.
  CHECK(segments(taken) == 9);
  CHECK(taken.parts.size() == 1);
  CHECK(taken.gaps == std::vector<Interval>{{14s, 16s}});
}

TEST_CASE_METHOD(Fixture, "broken segments never count as taken") {
  const auto good = video->segment(start + 4, 2, start);
  device.replaced[2] = good.substr(0, good.size() / 2);
  device.replaced[3] = "<html>busy</html>";
  device.replaced[4] = "";
  device.replaced[6] = video->segment(start, 2, start);  // decode time of the first
  auto one = session();
  const auto taken = follow(one);
  CHECK(segments(taken) == 6);
  CHECK(taken.gaps == std::vector<Interval>{{4s, 10s}, {12s, 14s}});
}

TEST_CASE_METHOD(Fixture, "a last box without an end has one when it is kept") {
  device.last_box_is_open = true;
  auto one = session();
  CHECK(segments(follow(one)) == 10);
  CHECK(content_of(folder / "video-init-0") == video->init_segment());
  CHECK(content_of(folder / "video-000009") == video->segment(start + 18, 2, start));
}

TEST_CASE_METHOD(Fixture, "a full disk stops the attempt") {
  device.broken[2] = Error{ErrorKind::no_space, "full"};
  auto one = session();
  const auto progress = one.advance({});
  REQUIRE_FALSE(progress);
  CHECK(progress.error().kind == ErrorKind::no_space);
}
