#include "responder/media/assemble.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::media;
using namespace std::chrono_literals;

namespace {

// A session's video: two-second segments with these numbers.
Taken session(const std::string& name, const std::vector<int>& numbers, const std::string& encoding = "one") {
  Taken taken;
  taken.kinds = {TrackKind::video};
  TakenRun run;
  run.init.encoding = encoding;
  run.init_file = name + "-init";
  for (const int number : numbers)
    run.segments.push_back({name + std::to_string(number), {Micros(2s) * number, Micros(2s)}, 10});
  taken.runs.push_back(run);
  return taken;
}

std::vector<std::string> files(const TakenTrack& track) {
  std::vector<std::string> all;
  for (const auto& part : track.parts) all.insert(all.end(), part.segments.begin(), part.segments.end());
  return all;
}

using Files = std::vector<std::string>;

}  // namespace

TEST_CASE("each moment comes from the best session that has it") {
  auto lan = session("lan", {0, 1, 4});
  lan.missing.push_back({TrackKind::video, {4s, 6s}, ErrorKind::transient, "reset"});
  const auto wan = session("wan", {1, 2, 3, 4});
  const Contribution both[] = {{&lan, 0s, 10s}, {&wan, 0s, 10s}};
  const auto tracks = assemble(both, 10s);
  REQUIRE(tracks.size() == 1);
  CHECK(files(tracks[0]) == Files{"lan0", "lan1", "wan2", "wan3", "lan4"});
  CHECK(tracks[0].parts.size() == 3);
  CHECK(tracks[0].samples == 50);
  CHECK(tracks[0].gaps.empty());
  CHECK(tracks[0].reason.empty());
}

TEST_CASE("what nobody has is a gap, with the reason and whether it may come") {
  auto lan = session("lan", {0, 1, 4});
  lan.missing.push_back({TrackKind::video, {4s, 6s}, ErrorKind::not_found, "HTTP 404"});
  lan.missing.push_back({TrackKind::video, {6s, 8s}, ErrorKind::transient, "reset"});
  const Contribution alone[] = {{&lan, 0s, 10s}};
  const auto track = assemble(alone, 10s).at(0);
  CHECK(track.gaps == std::vector<Interval>{{4s, 8s}});
  CHECK(track.reason == "HTTP 404");
  CHECK(track.why_missing == ErrorKind::transient);
}

TEST_CASE("sessions of other windows are shifted, and cut where they reach beyond ours") {
  const auto earlier = session("a", {0, 1, 2, 3});  // 3 s before our window to 5 s into it
  const auto later = session("b", {0, 1, 2});       // from 5 s on, 1 s too long
  const Contribution both[] = {{&earlier, -3s, 8s}, {&later, 5s, 6s}};
  const auto track = assemble(both, 10s).at(0);
  CHECK(files(track) == Files{"a1", "a2", "a3", "b0", "b1", "b2"});
  CHECK(track.gaps.empty());
  REQUIRE(track.parts.size() == 2);
  CHECK(track.parts[0].from == Micros(0));
  CHECK_FALSE(track.parts[0].to);
  CHECK(track.parts[0].origin == 3s);
  CHECK_FALSE(track.parts[1].from);
  CHECK(track.parts[1].to == Micros(10s));
  CHECK(track.parts[1].origin == -5s);
}

TEST_CASE("where sessions overlap, the later one takes over where it begins") {
  const auto earlier = session("a", {0, 1, 2});
  const auto later = session("b", {0, 1, 2});
  const Contribution both[] = {{&earlier, 0s, 6s}, {&later, 5s, 6s}};
  const auto track = assemble(both, 11s).at(0);
  REQUIRE(track.parts.size() == 2);
  CHECK(track.parts[0].to == Micros(5s));
  CHECK(track.gaps.empty());
}

TEST_CASE("one track has one encoding: the one that covers most") {
  const auto lan = session("lan", {0}, "old");
  const auto wan = session("wan", {1, 2, 3, 4}, "new");
  const Contribution both[] = {{&lan, 0s, 10s}, {&wan, 0s, 10s}};
  const auto track = assemble(both, 10s).at(0);
  CHECK(files(track) == Files{"wan1", "wan2", "wan3", "wan4"});
  CHECK(track.reason == "the device changes the video encoding in the window");
}

TEST_CASE("a track that is named and has nothing is all gap") {
  Taken nothing;
  nothing.kinds = {TrackKind::audio};
  nothing.missing.push_back({TrackKind::audio, {0s, 10s}, ErrorKind::auth, "HTTP 403"});
  const Contribution alone[] = {{&nothing, 0s, 10s}};
  const auto track = assemble(alone, 10s).at(0);
  CHECK(track.parts.empty());
  CHECK(track.gaps == std::vector<Interval>{{0s, 10s}});
  CHECK(track.reason == "HTTP 403");
}

TEST_CASE("what may be earlier than it says is taken beyond the window's end, and counts for nothing there") {
  auto lan = session("lan", {0, 1, 2, 3, 4, 5});
  auto wan = session("wan", {4, 5});
  for (auto* taken : {&lan, &wan}) {
    taken->runs[0].early = 2s;
    taken->runs[0].segments.back().time.duration = Micros(0);
  }
  const Contribution both[] = {{&lan, 0s, 10s}, {&wan, 0s, 10s}};
  const auto track = assemble(both, 10s).at(0);
  CHECK(files(track) == Files{"lan0", "lan1", "lan2", "lan3", "lan4", "lan5"});
  CHECK(track.gaps.empty());

  const Contribution longer[] = {{&lan, 0s, 12s}};
  CHECK(assemble(longer, 10s).at(0).parts.at(0).to == Micros(12s));
}

TEST_CASE("short segments are taken like others") {
  Taken lan;
  lan.kinds = {TrackKind::video};
  lan.runs.resize(1);
  lan.runs[0].init.encoding = "one";
  const auto add = [&](Micros start, Micros duration) {
    const auto samples = static_cast<std::size_t>(duration / 20ms);
    lan.runs[0].segments.push_back({std::to_string(lan.runs[0].segments.size()), {start, duration}, samples});
  };
  const Contribution alone[] = {{&lan, 0s, 10s}};
  SECTION("all of them are") {
    for (int i = 0; i < 50; ++i) add(200ms * i, 200ms);
    const auto track = assemble(alone, 10s).at(0);
    CHECK(files(track).size() == 50);
    CHECK(track.gaps.empty());
  }
  SECTION("one is, between long ones") {
    add(0s, 2s);
    add(2s, 200ms);
    add(2200ms, 7800ms);
    CHECK(files(assemble(alone, 10s).at(0)) == Files{"0", "1", "2"});
  }
  SECTION("the window has little of one that begins before it") {
    add(-1800ms, 2s);
    add(200ms, 9800ms);
    CHECK(files(assemble(alone, 10s).at(0)) == Files{"0", "1"});
  }
  SECTION("one that ends at the window's start has nothing of it") {
    add(-1990ms, 2s);
    add(10ms, 9990ms);
    CHECK(files(assemble(alone, 10s).at(0)) == Files{"1"});
  }
}
