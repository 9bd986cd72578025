#include "responder/media/manifest.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace responder;
using namespace responder::media;
using namespace std::chrono_literals;

namespace {

const net::Url url = *net::Url::parse("https://h/dash/CAM/S/1700000000/60/vod/file.mpd?session=7");
const std::chrono::sys_seconds start(1'700'000'000s);

Result<Manifest> parse(const std::string& xml) { return parse_manifest(xml, url, start, 60s); }

std::string mpd(const std::string& periods, const std::string& attributes = "mediaPresentationDuration=\"PT1M\"") {
  return "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" " + attributes + ">" + periods + "</MPD>";
}
std::string video(const std::string& inner, const std::string& attributes = "") {
  return "<Period><AdaptationSet mimeType=\"video/mp4\">" + inner + "<Representation id=\"r1\" bandwidth=\"100\" " +
         attributes + "/></AdaptationSet></Period>";
}
const std::string numbered =
    R"(<SegmentTemplate media="seg_$Number$.m4v" initialization="seg_init.mp4" startNumber="1" duration="2000" timescale="1000"/>)";

}  // namespace

TEST_CASE("the vendor's video manifest") {
  const auto manifest = parse(mpd(video(numbered)));
  REQUIRE(manifest);
  REQUIRE(manifest->video);
  CHECK_FALSE(manifest->audio);
  CHECK(manifest->video->size() == 30);
  CHECK(manifest->video->end() == 60s);
  const auto last = *manifest->video->at(29);
  CHECK(last.url.str() == "https://h:443/dash/CAM/S/1700000000/60/vod/seg_30.m4v?session=7");
  CHECK(last.init.path == "/dash/CAM/S/1700000000/60/vod/seg_init.mp4");
  CHECK(last.time.start == 58s);
  CHECK(last.time.duration == 2s);
}

TEST_CASE("templates are inherited, overridden and filled in") {
  const auto manifest = parse(mpd(
      R"(<Period><SegmentTemplate timescale="90000" duration="180000" startNumber="5" initialization="$RepresentationID$/i.mp4"/>)"
      R"(<AdaptationSet contentType="video"><SegmentTemplate media="$RepresentationID$/$Bandwidth$/n$Number%05d$-$$.m4s"/>)"
      R"(<Representation id="low" bandwidth="100"/><Representation id="high" bandwidth="900"/></AdaptationSet>)"
      R"(<AdaptationSet><Representation id="a" mimeType="audio/webm" codecs="opus" bandwidth="5">)"
      R"(<SegmentTemplate media="seg_$Number$.webm" initialization="seg_init_audio.hdr" startNumber="1" duration="2" timescale="1"/></Representation></AdaptationSet></Period>)"));
  REQUIRE(manifest);
  const auto first = *manifest->video->at(0);
  CHECK(first.url.path.ends_with("/vod/high/900/n00005-$.m4s"));
  CHECK(first.init.path.ends_with("/vod/high/i.mp4"));
  CHECK(manifest->video->size() == 30);
  CHECK(manifest->audio->at(0)->url.path.ends_with("/seg_1.webm"));
}

TEST_CASE("prefixes, base URLs at every level, absolute and relative") {
  const auto manifest = parse(
      R"(<d:MPD xmlns:d="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT4S"><d:BaseURL>/media/</d:BaseURL><d:Period><d:BaseURL>p/</d:BaseURL>)"
      R"(<d:AdaptationSet mimeType="video/mp4"><d:BaseURL>a/</d:BaseURL><d:SegmentTemplate media="s$Number$" initialization="//other/i" duration="2"/>)"
      R"(<d:Representation id="r" bandwidth="1"><d:BaseURL> r/ </d:BaseURL></d:Representation></d:AdaptationSet></d:Period></d:MPD>)");
  REQUIRE(manifest);
  const auto first = *manifest->video->at(0);
  CHECK(first.url.str() == "https://h:443/media/p/a/r/s1?session=7");
  CHECK(first.init.str() == "https://other:443/i");  // another host does not get our query
}

TEST_CASE("each place that a manifest names is known, and one that cannot be used is no harm") {
  const auto manifest =
      parse(mpd("<BaseURL>http://user@other/</BaseURL><BaseURL>one/</BaseURL><BaseURL>https://other/two/</BaseURL>"
                "<Period><BaseURL>p/</BaseURL>" +
                video(numbered).substr(8)));
  REQUIRE(manifest);
  const auto& track = *manifest->video;
  REQUIRE(track.places(0) == 2);
  CHECK(track.at(0, 0)->url.path.ends_with("/vod/one/p/seg_1.m4v"));
  CHECK(track.at(0, 1)->url.str() == "https://other:443/two/p/seg_1.m4v");
  CHECK_FALSE(parse(mpd("<BaseURL>http://user@other/</BaseURL>" + video(numbered))));
}

TEST_CASE("what a URL cannot have is percent-encoded, and control characters are refused") {
  const auto of = [](const std::string& base, const std::string& media) {
    return parse(mpd("<BaseURL>" + base + "</BaseURL>" +
                     video("<SegmentTemplate media=\"" + media + "\" initialization=\"i\" duration=\"2\"/>")));
  };
  const auto manifest = of("front door/%20/", "k\xC3\xBC $RepresentationID$ {$Number$}");
  REQUIRE(manifest);
  CHECK(manifest->video->at(0)->url.path == "/dash/CAM/S/1700000000/60/vod/front%20door/%20/k%C3%BC%20r1%20%7B1%7D");
  CHECK_FALSE(of("a/", "s&#10;$Number$")->video->at(0));
  CHECK_FALSE(of("a&#9;b/", "s$Number$"));
}

TEST_CASE("other vendors' elements are not ours") {
  const auto manifest = parse(
      R"(<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:x="urn:example" mediaPresentationDuration="P0Y0M0DT0H0M4S"><x:BaseURL>https://other/</x:BaseURL><x:Period/>)"
      R"(<Period><AdaptationSet mimeType="video/mp4"><x:SegmentTemplate media="no"/>)" +
      numbered + R"(<Representation id="r" bandwidth="1"/></AdaptationSet></Period></MPD>)");
  REQUIRE(manifest);
  CHECK(manifest->video->size() == 2);
  CHECK(manifest->video->at(0)->url.host == "h");
}

TEST_CASE("a manifest is read however its namespace is spelled and whatever stands before it") {
  const auto* name =
      GENERATE("urn:mpeg:dash:schema:mpd:2011", "urn:mpeg:DASH:schema:MPD:2011", "http://example.com/mpd", "");
  const auto* before = GENERATE("", "\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF\r\n", " \n\xEF\xBB\xBF");
  const auto manifest =
      parse(fmt::format("{}<?xml version=\"1.0\"?><MPD xmlns=\"{}\" mediaPresentationDuration=\"PT1M\">{}</MPD>",
                        before, name, video(numbered)));
  REQUIRE(manifest);
  CHECK(manifest->video->size() == 30);
}

TEST_CASE("codecs alone tell picture from sound") {
  const auto manifest = parse(mpd("<Period><AdaptationSet codecs=\"avc1.4d401f\">" + numbered +
                                  "<Representation id=\"v\"/></AdaptationSet><AdaptationSet>" + numbered +
                                  "<Representation id=\"a\" codecs=\"mp4a.40.2\"/></AdaptationSet></Period>"));
  REQUIRE(manifest);
  CHECK(manifest->video);
  CHECK(manifest->audio);
}

TEST_CASE("a SegmentTimeline gives the times") {
  const auto manifest = parse(mpd(
      video(R"(<SegmentTemplate media="t$Time$" initialization="i" timescale="10"><SegmentTimeline>)"
            R"(<S t="0" d="20" r="2"/><S d="15"/><S t="100" d="20" r="-1"/></SegmentTimeline></SegmentTemplate>)")));
  REQUIRE(manifest);
  const auto& track = *manifest->video;
  REQUIRE(track.size() == 4 + 25);
  CHECK(track.at(3)->url.path.ends_with("/t60"));
  CHECK(track.time_of(3).duration == 1500ms);
  CHECK(track.time_of(4).start == 10s);
  CHECK(track.end() == 60s);
}

TEST_CASE("a timeline that begins well before its offset covers the window") {
  // Ten minutes of a buffer, of which the window is the last: in one entry, in many, and after one with a hole.
  std::string many;
  for (int i = 0; i < 300; ++i) many += fmt::format(R"(<S t="{}" d="2"/>)", 1000 + 2 * i);
  const auto entries = GENERATE_REF(std::string(R"(<S t="1000" d="2" r="299"/>)"), many,
                                    std::string(R"(<S t="1000" d="2" r="9"/><S t="1500" d="2" r="49"/>)"));
  const auto manifest = parse(
      mpd(video(R"(<SegmentTemplate media="s$Time$" initialization="i" timescale="1" presentationTimeOffset="1540">)"
                "<SegmentTimeline>" +
                entries + "</SegmentTimeline></SegmentTemplate>")));
  REQUIRE(manifest);
  const auto& track = *manifest->video;
  CHECK(track.at(0)->time.start == 0s);
  CHECK(track.at(0)->url.path.ends_with("/s1540"));
  CHECK(track.end() == 60s);
  CHECK(track.size() == 30);
}

TEST_CASE("a segment across a timeline's offset is kept, and its number counts those before it") {
  const auto manifest = parse(mpd(video(
      R"(<SegmentTemplate media="s$Number$" initialization="i" timescale="1" startNumber="5" presentationTimeOffset="7">)"
      R"(<SegmentTimeline><S t="0" d="2" r="39"/></SegmentTimeline></SegmentTemplate>)")));
  REQUIRE(manifest);
  CHECK(manifest->video->at(0)->time.start == -1s);
  CHECK(manifest->video->at(0)->url.path.ends_with("/s8"));
  CHECK(manifest->video->end() >= 60s);
}

TEST_CASE("Periods in epoch time with a matching offset begin at the session's start") {
  const auto of = [](const std::string& attributes, const std::string& inner) {
    return parse(mpd("<Period " + attributes + R"(><AdaptationSet mimeType="video/mp4">)" + inner +
                     R"(<Representation id="r1"/></AdaptationSet></Period>)"));
  };
  const std::string timeline =
      R"(<SegmentTemplate media="s$Time$" initialization="i" timescale="1" presentationTimeOffset="1700000000">)"
      R"(<SegmentTimeline><S t="1700000000" d="2" r="29"/></SegmentTimeline></SegmentTemplate>)";
  const std::string absolute =
      R"(<SegmentTemplate media="s$Time$" initialization="i" timescale="1">)"
      R"(<SegmentTimeline><S t="1700000000" d="2" r="29"/></SegmentTimeline></SegmentTemplate>)";
  const std::string counted =
      R"(<SegmentTemplate media="s$Number$" initialization="i" timescale="1" startNumber="1" duration="2"/>)";
  for (const auto& inner : {timeline, absolute, counted}) {
    const auto manifest = of(R"(start="PT1700000000S")", inner);
    REQUIRE(manifest);
    CHECK(manifest->video->at(0)->time.start == 0s);
    CHECK(manifest->video->size() == 30);
    CHECK(manifest->video->end() == 60s);
  }
}

TEST_CASE("timelines in epoch time and with an offset begin at the session's start") {
  const auto timeline = [](const std::string& attributes) {
    return mpd(video(R"(<SegmentTemplate media="t$Time$" initialization="i" timescale="1" )" + attributes +
                     R"(><SegmentTimeline><S t="1700000000" d="2" r="29"/></SegmentTimeline></SegmentTemplate>)"));
  };
  for (const auto& text : {timeline(""), timeline("presentationTimeOffset=\"1700000000\"")}) {
    const auto manifest = parse(text);
    REQUIRE(manifest);
    CHECK(manifest->video->time_of(1).start == 2s);
    CHECK(manifest->video->end() == 60s);
    CHECK(manifest->video->presentation_offset(0) == 1'700'000'000s);
    CHECK(manifest->video->at(1)->url.path.ends_with("/t1700000002"));
  }
}

TEST_CASE("several Periods follow one another") {
  const std::string set = R"(<AdaptationSet mimeType="video/mp4">)" + numbered +
                          R"(<Representation id="r" bandwidth="1"/></AdaptationSet>)";
  const auto manifest =
      parse(mpd("<Period duration=\"PT20S\">" + set + "</Period><Period start=\"PT20S\">" + set + "</Period>"));
  REQUIRE(manifest);
  CHECK(manifest->video->size() == 30);
  CHECK(manifest->video->time_of(10).start == 20s);
  CHECK(manifest->video->part_of(9) == 0);
  CHECK(manifest->video->part_of(10) == 1);
  CHECK(manifest->video->presentation_offset(1) == -20s);  // the second Period's media begins at 0
  CHECK(manifest->video->at(10)->url.path.ends_with("/seg_1.m4v"));
}

TEST_CASE("the duration comes from the manifest, the Period, or what was asked for") {
  CHECK(parse(mpd(video(numbered), "mediaPresentationDuration=\"PT37.3S\""))->video->size() == 19);
  CHECK(parse(mpd(video(numbered), "mediaPresentationDuration=\"PT37.3S\""))->video->end() == 37300ms);
  CHECK(parse(mpd(video(numbered), ""))->video->size() == 30);
  CHECK(parse(mpd(video(numbered), "mediaPresentationDuration=\"PT0S\""))->video->size() == 0);
  CHECK(parse(mpd(video(numbered), "mediaPresentationDuration=\"P0DT0H1M0.0005S\""))->video->size() == 30);
}

TEST_CASE("what cannot be used is refused with a reason, in bounded time and memory") {
  const auto reason = [](const std::string& xml) {
    const auto manifest = parse(xml);
    REQUIRE_FALSE(manifest);
    return manifest.error().message;
  };
  const auto has = [&](const std::string& xml, const std::string& text) {
    const auto message = reason(xml);
    CAPTURE(message, text);
    CHECK(message.find(text) != std::string::npos);
  };
  has("", "not XML");
  has("not xml at all", "not XML");
  has("<html><body>busy</body></html>", "'html', not an MPD");
  has("<MPD>", "not XML");
  has("<!DOCTYPE MPD [<!ENTITY a \"b\">]>" + mpd(video(numbered)), "document type");
  has("<!DOCTYPE MPD SYSTEM \"file:///etc/passwd\"><MPD/>", "document type");
  has(mpd(""), "no Period");
  has(mpd("<Period/>"), "no video and no audio");
  has(mpd(video("")), "SegmentTemplate");
  has(mpd(video(numbered, "codecs=\"av01.0\"")), "av01.0");
  has(mpd(video(R"(<SegmentTemplate media="s$Number$" initialization="i" duration="0"/>)")), "duration");
  has(mpd(video(R"(<SegmentTemplate media="s$Number$" initialization="i" duration="1" timescale="0"/>)")),
      "timescale");
  has(mpd(video(R"(<SegmentTemplate media="s$Number$" initialization="i" duration="1" timescale="100000"/>)")),
      "more than 50000");
  has(mpd(video(
          R"(<SegmentTemplate media="s$Time$" initialization="i" timescale="100000"><SegmentTimeline><S t="0" d="1" r="99999999999"/></SegmentTimeline></SegmentTemplate>)")),
      "more than 50000");
  has(mpd(video(numbered), "mediaPresentationDuration=\"forever\""), "mediaPresentationDuration");
  std::string long_list;
  for (int i = 0; i < 120'000; ++i) long_list += "<S d=\"1\"/>";
  has(mpd(video("<SegmentTemplate media=\"s$Time$\" initialization=\"i\"><SegmentTimeline>" + long_list +
                "</SegmentTimeline></SegmentTemplate>")),
      "too many");
  std::string periods;
  for (int i = 0; i < 1001; ++i) periods += "<Period/>";
  has("<MPD>" + periods + "</MPD>", "more than 1000 Periods");
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "<x>";
  has(deep, "nested too deeply");

  const auto manifest =
      parse(mpd(video(R"(<SegmentTemplate media="s$Nonsense$" initialization="i" duration="2"/>)")));
  REQUIRE(manifest);
  CHECK_FALSE(manifest->video->at(0));
  std::string growing = R"(<SegmentTemplate initialization="i" duration="2" media=")";
  for (int i = 0; i < 10'000; ++i) growing += "$Number%020d$";
  const auto grown = parse(mpd(video(growing + "\"/>")));
  REQUIRE(grown);
  CHECK(grown->video->at(0).error().message.find("too long") != std::string::npos);
}

TEST_CASE("what a manifest names beyond the window is not looked at") {
  const auto* year = R"(mediaPresentationDuration="P365D")";
  const auto by_duration = parse(mpd(video(numbered), year));
  REQUIRE(by_duration);
  CHECK(by_duration->video->size() == 31);  // one more, for a session that begins early
  CHECK(by_duration->video->end() > 60s);
  const auto by_timeline = parse(mpd(
      video(
          R"(<SegmentTemplate media="s$Time$" initialization="i"><SegmentTimeline><S t="0" d="2" r="99999999"/></SegmentTimeline></SegmentTemplate>)"),
      year));
  REQUIRE(by_timeline);
  CHECK(by_timeline->video->size() < 40);
  CHECK(by_timeline->video->end() >= 60s);
}
