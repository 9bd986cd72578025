#include "responder/media/segment_check.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "responder/base/text.hpp"

#include "byte_reader.hpp"

namespace responder::media {
namespace {

Error bad(std::string_view why) { return Error{ErrorKind::transient, std::string(why)}; }

constexpr std::uint32_t fourcc(const char (&name)[5]) {
  return static_cast<std::uint32_t>(static_cast<unsigned char>(name[0])) << 24U |
         static_cast<std::uint32_t>(static_cast<unsigned char>(name[1])) << 16U |
         static_cast<std::uint32_t>(static_cast<unsigned char>(name[2])) << 8U | static_cast<unsigned char>(name[3]);
}

Micros ticks_to_micros(std::uint64_t ticks, std::int64_t timescale) {
  return Micros(
      static_cast<Micros::rep>(static_cast<long double>(ticks) * 1e6L / static_cast<long double>(timescale)));
}

// Times past this (thousands of years) are no times, and would overflow.
bool time_makes_sense(std::uint64_t ticks, std::int64_t timescale) {
  return static_cast<long double>(ticks) / static_cast<long double>(timescale) < 1e11L;
}

std::string fourcc_text(std::uint64_t code) {
  std::string text;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) text += static_cast<char>(code >> shift & 0xFFU);
  return printable(text);
}

// --- ISO BMFF
// -------------------------------------------------------------------------------------------------------

struct Box {
  std::uint32_t type = 0;
  std::uint64_t start = 0;
  std::uint64_t payload = 0;  // offset of what follows the header
  std::uint64_t end = 0;
};

// The box at `offset` inside [offset, limit).
Result<Box> box_at(ByteReader& file, std::uint64_t offset, std::uint64_t limit) {
  const auto size32 = file.integer(offset, 4);
  const auto type = file.integer(offset + 4, 4);
  if (!size32 || !type || limit - offset < 8) return bad("it is cut off in a box header");
  std::uint64_t header = 8;
  std::uint64_t size = *size32;
  if (size == 1) {
    const auto size64 = file.integer(offset + 8, 8);
    if (!size64) return bad("it is cut off in a box header");
    size = *size64;
    header = 16;
  } else if (size == 0) {
    size = limit - offset;
  }
  if (size < header) return bad(fmt::format("the box '{}' has no sensible size", fourcc_text(*type)));
  if (size > limit - offset)
    return bad(fmt::format("it is cut off: the box '{}' is longer than what came", fourcc_text(*type)));
  return Box{static_cast<std::uint32_t>(*type), offset, offset + header, offset + size};
}

// Calls `visit` with each box in [begin, end) until it returns an Error.
template <class Visit>
Result<void> each_box(ByteReader& file, std::uint64_t begin, std::uint64_t end, Visit visit) {
  constexpr int max_boxes = 4096;
  int count = 0;
  while (begin < end) {
    const auto box = box_at(file, begin, end);
    if (!box) return box.error();
    if (++count > max_boxes) return bad("it has too many boxes");
    if (auto visited = visit(*box); !visited) return visited.error();
    begin = box->end;
  }
  return {};
}

Result<std::optional<Box>> find_box(ByteReader& file, std::uint64_t begin, std::uint64_t end, std::uint32_t type) {
  std::optional<Box> found;
  const auto walked = each_box(file, begin, end, [&](const Box& box) -> Result<void> {
    if (box.type == type && !found) found = box;
    return {};
  });
  if (!walked) return walked.error();
  return found;
}

// The box at the end of a path of types.
Result<std::optional<Box>> find_path(ByteReader& file, Box from, std::initializer_list<std::uint32_t> path) {
  for (const auto type : path) {
    auto found = find_box(file, from.payload, from.end, type);
    if (!found) return found.error();
    if (!*found) return std::optional<Box>{};
    from = **found;
  }
  return std::optional(from);
}

bool sample_entry_fits(TrackKind kind, std::string_view codec) {
  constexpr std::string_view video[] = {"avc1", "avc3", "hvc1", "hev1"};
  constexpr std::string_view audio[] = {"mp4a", "Opus"};
  return kind == TrackKind::video ? std::find(std::begin(video), std::end(video), codec) != std::end(video)
                                  : std::find(std::begin(audio), std::end(audio), codec) != std::end(audio);
}

bool is_h264(const InitInfo& init) { return init.codec.starts_with("avc"); }

Result<std::string> bytes_of(ByteReader& file, std::uint64_t begin, std::uint64_t end) {
  std::string content(end - begin, '\0');
  if (!file.read(begin, std::span(reinterpret_cast<unsigned char*>(content.data()), content.size())))
    return bad("it cannot be read");
  return content;
}

std::string sha256_hex(std::string_view content) {
  std::array<unsigned char, 32> hash{};
  EVP_Digest(content.data(), content.size(), hash.data(), nullptr, EVP_sha256(), nullptr);
  return to_hex(hash);
}

// The sequence parameter sets of an avcC (ISO/IEC 14496-15, 5.3.3.1).
std::vector<std::string> sequence_parameter_sets(std::string_view config) {
  std::vector<std::string> sets;
  const auto byte = [&](std::size_t at) {
    return at < config.size() ? static_cast<unsigned char>(config[at]) : static_cast<unsigned char>(0);
  };
  std::size_t at = 6;
  for (int left = byte(5) & 0x1F; left > 0; --left) {
    const std::size_t size = static_cast<std::size_t>(byte(at)) << 8U | byte(at + 1);
    if (at + 2 + size > config.size()) break;
    sets.emplace_back(config.substr(at + 2, size));
    at += 2 + size;
  }
  return sets;
}

// What avcC or hvcC says: how long the lengths before the NAL units are, the SPS, and all of it as the encoding's
// identity (ISO/IEC 14496-15).
Result<void> read_video_configuration(ByteReader& file, const Box& stsd, InitInfo& init) {
  const auto entry = box_at(file, stsd.payload + 8, stsd.end);
  if (!entry) return entry.error();
  constexpr std::uint64_t visual_sample_entry = 78;
  const auto config = find_box(file, entry->payload + visual_sample_entry, entry->end,
                               is_h264(init) ? fourcc("avcC") : fourcc("hvcC"));
  if (!config) return config.error();
  if (!*config) return bad("its codec configuration is missing");
  const std::size_t length_field = is_h264(init) ? 4 : 21;
  auto content = bytes_of(file, (*config)->payload, (*config)->end);
  if (!content) return content.error();
  if (content->size() <= length_field) return bad("its codec configuration is cut off");
  init.nal_length_bytes = (static_cast<unsigned char>((*content)[length_field]) & 3U) + 1;
  if (is_h264(init)) init.parameter_sets = sequence_parameter_sets(*content);
  init.encoding = sha256_hex(init.codec + *content);
  return {};
}

// Whether a NAL unit's header is that of a picture's slice: those of H.264 have another lowest bit than those of
// H.265, so that one read as the other has none. Units of other types are ignored by decoders, sloppy as they may be.
bool is_slice(bool h264, std::uint64_t first, std::uint64_t second) {
  if ((first & 0x80U) != 0) return false;
  const auto h264_type = first & 0x1FU;
  if (h264) return h264_type == 1 || (h264_type == 5 && (first & 0x60U) != 0);
  // Every segment has some of these; the types between them look like sloppy units of H.264.
  constexpr std::uint64_t last_trailing = 1, first_random_access = 16, last_random_access = 21;
  const auto type = first >> 1U;
  const bool picture = type <= last_trailing || (type >= first_random_access && type <= last_random_access);
  return picture && (first & 1U) == 0 && second >> 3U == 0 && (second & 7U) != 0;
}

// Whether samples may only repeat the parameter sets of the initialization. Those of "avc3" may bring their own.
bool names_all_parameters(const InitInfo& init) { return init.codec == "avc1" && !init.parameter_sets.empty(); }

// The NAL units in [at, end): each inside it. `has_slice` is set where one is a slice of the codec that the
// initialization promised.
Result<void> check_nal_units(ByteReader& file, std::uint64_t at, std::uint64_t end, const InitInfo& init,
                             bool& has_slice) {
  constexpr std::uint64_t sequence_parameter_set = 7;
  while (at < end) {
    const auto size = file.integer(at, init.nal_length_bytes);
    at += init.nal_length_bytes;
    const auto first = file.integer(at, 1);
    if (!size || !first || *size == 0 || at > end || *size > end - at) return bad("its video data is damaged");
    // An end of a sequence is one byte, perhaps the file's last.
    has_slice = has_slice || is_slice(is_h264(init), *first, *size > 1 ? file.integer(at + 1, 1).value_or(0) : 0);
    if (names_all_parameters(init) && (*first & 0x1FU) == sequence_parameter_set) {
      const auto set = bytes_of(file, at, at + *size);
      if (!set) return set.error();
      if (std::find(init.parameter_sets.begin(), init.parameter_sets.end(), *set) == init.parameter_sets.end())
        return bad("its video has other parameters (another resolution, say) than its initialization");
    }
    at += *size;
  }
  return {};
}

// One descriptor of an esds box (ISO/IEC 14496-1, 7.2.2): its tag, and its content in front of what follows.
struct Descriptor {
  unsigned char tag = 0;
  std::string_view content;
};
std::optional<Descriptor> descriptor_at(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  Descriptor found{static_cast<unsigned char>(bytes[0]), {}};
  std::size_t size = 0;
  for (std::size_t at = 1; at < std::min<std::size_t>(bytes.size(), 5); ++at) {
    const auto byte = static_cast<unsigned char>(bytes[at]);
    size = size << 7U | (byte & 0x7FU);
    if ((byte & 0x80U) != 0) continue;
    if (size > bytes.size() - at - 1) return std::nullopt;
    found.content = bytes.substr(at + 1, size);
    return found;
  }
  return std::nullopt;
}

// What an esds box says of the decoder: the object type and its AudioSpecificConfig. The bit rates beside them are
// told anew by each session.
std::optional<std::string> decoder_of_esds(std::string_view esds) {
  constexpr unsigned char stream_tag = 3, decoder_tag = 4, specific_tag = 5;
  constexpr std::size_t version = 4, stream_header = 3, decoder_header = 13;
  if (esds.size() < version) return std::nullopt;
  const auto stream = descriptor_at(esds.substr(version));
  // Flags: a dependence, a URL or a clock reference, which no camera has, would stand before the decoder.
  if (!stream || stream->tag != stream_tag || stream->content.size() < stream_header ||
      (static_cast<unsigned char>(stream->content[2]) & 0xE0U) != 0)
    return std::nullopt;
  const auto decoder = descriptor_at(stream->content.substr(stream_header));
  if (!decoder || decoder->tag != decoder_tag || decoder->content.size() < decoder_header) return std::nullopt;
  const auto specific = descriptor_at(decoder->content.substr(decoder_header));
  if (!specific || specific->tag != specific_tag) return std::nullopt;
  return decoder->content.front() + std::string(specific->content);
}

// What decides whether two initializations' sound may stand in one track.
Result<std::string> sound_identity(ByteReader& file, const Box& stsd, const InitInfo& init) {
  constexpr std::uint64_t audio_sample_entry = 28, channels_and_rate = 16;
  const auto entry = box_at(file, stsd.payload + 8, stsd.end);
  if (!entry) return entry.error();
  if (init.codec == "mp4a" && entry->end - entry->payload > audio_sample_entry) {
    const auto esds = find_box(file, entry->payload + audio_sample_entry, entry->end, fourcc("esds"));
    const auto content = esds && *esds ? bytes_of(file, (*esds)->payload, (*esds)->end)
                                       : Result<std::string>(bad("its codec configuration is missing"));
    const auto decoder = content ? decoder_of_esds(*content) : std::nullopt;
    const auto format = bytes_of(file, entry->payload + channels_and_rate, entry->payload + audio_sample_entry);
    if (decoder && format) return sha256_hex(init.codec + *format + *decoder);
  }
  const auto all = bytes_of(file, stsd.payload, stsd.end);
  if (!all) return all.error();
  return sha256_hex(*all);
}

Result<InitInfo> check_mp4_init(ByteReader& file, TrackKind kind) {
  auto moov = find_box(file, 0, file.size(), fourcc("moov"));
  if (!moov) return moov.error();
  if (!*moov) return bad("it has no 'moov' box");
  auto trak = find_box(file, (*moov)->payload, (*moov)->end, fourcc("trak"));
  if (!trak) return trak.error();
  if (!*trak) return bad("it has no track");

  InitInfo info;
  const auto tkhd = find_path(file, **trak, {fourcc("tkhd")});
  if (!tkhd) return tkhd.error();
  const auto mdhd = find_path(file, **trak, {fourcc("mdia"), fourcc("mdhd")});
  if (!mdhd) return mdhd.error();
  const auto stsd = find_path(file, **trak, {fourcc("mdia"), fourcc("minf"), fourcc("stbl"), fourcc("stsd")});
  if (!stsd) return stsd.error();
  if (!*tkhd || !*mdhd || !*stsd) return bad("its track lacks tkhd, mdhd or stsd");
  // Version 1 of both headers has two 64-bit times before the field; version 0 two of 32 bits.
  const auto tkhd_version = file.integer((*tkhd)->payload, 1);
  const auto mdhd_version = file.integer((*mdhd)->payload, 1);
  const auto track_id = file.integer((*tkhd)->payload + (tkhd_version == 1 ? 20 : 12), 4);
  const auto timescale = file.integer((*mdhd)->payload + (mdhd_version == 1 ? 20 : 12), 4);
  const auto entry = file.integer((*stsd)->payload + 12, 4);  // version/flags, entry count, size, then the type
  if (!track_id || !timescale || !entry || *timescale == 0) return bad("its track headers make no sense");
  info.track_id = static_cast<std::uint32_t>(*track_id);
  info.timescale = static_cast<std::int64_t>(*timescale);
  info.codec = fourcc_text(*entry);
  if (const auto trex = find_path(file, **moov, {fourcc("mvex"), fourcc("trex")}); trex && *trex) {
    info.default_duration = static_cast<std::uint32_t>(file.integer((*trex)->payload + 12, 4).value_or(0));
    info.default_size = static_cast<std::uint32_t>(file.integer((*trex)->payload + 16, 4).value_or(0));
  }
  if (!sample_entry_fits(kind, info.codec))
    return bad(fmt::format("it is '{}', not {} this program knows", info.codec, to_string(kind)));
  if (kind == TrackKind::video) {
    if (auto read = read_video_configuration(file, **stsd, info); !read) return read.error();
    return info;
  }
  auto identity = sound_identity(file, **stsd, info);
  if (!identity) return identity.error();
  info.encoding = std::move(*identity);
  return info;
}

// What the fragments of a segment say of our track.
struct Fragments {
  std::optional<std::uint64_t> decode_time;  // of the first sample
  std::size_t samples = 0;
  std::uint64_t bytes = 0;  // all samples' sizes
  std::uint64_t ticks = 0;  // and durations
  // Where the samples are said to be.
  struct Data {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  std::vector<Data> data;
};

// tfhd's defaults (ISO/IEC 14496-12, 8.8.7).
struct TrackFragment {
  bool ours = false;
  std::uint64_t base = 0;  // what a run's data offset counts from
  std::uint64_t default_duration = 0;
  std::uint64_t default_size = 0;
  std::uint64_t next_data = 0;  // where the next run's samples are, unless it says otherwise
};

TrackFragment read_tfhd(ByteReader& file, const Box& moof, const Box& box, const InitInfo& init) {
  const auto flags = file.integer(box.payload + 1, 3).value_or(0);
  TrackFragment fragment;
  fragment.ours = file.integer(box.payload + 4, 4) == init.track_id;
  fragment.default_duration = init.default_duration;
  fragment.default_size = init.default_size;
  fragment.base = moof.start;
  fragment.next_data = moof.end + 8;  // right after the header of the mdat that follows
  std::uint64_t at = box.payload + 8;
  if ((flags & 0x1U) != 0) {
    fragment.base = fragment.next_data = file.integer(at, 8).value_or(0);
    at += 8;
  }
  if ((flags & 0x2U) != 0) at += 4;  // sample description index
  if ((flags & 0x8U) != 0) {
    fragment.default_duration = file.integer(at, 4).value_or(0);
    at += 4;
  }
  if ((flags & 0x10U) != 0) fragment.default_size = file.integer(at, 4).value_or(0);
  return fragment;
}

// More than an hour of sound. A table whose samples are all alike claims any number of them for nothing.
constexpr std::size_t max_samples = 200'000;

// A trun: how long its samples last and where they are (ISO/IEC 14496-12, 8.8.8).
Result<void> read_trun(ByteReader& file, const Box& box, TrackFragment& fragment, Fragments& found) {
  const auto flags = file.integer(box.payload + 1, 3).value_or(0);
  const auto count = file.integer(box.payload + 4, 4);
  if (!count || *count > max_samples - found.samples) return bad("its sample count makes no sense");
  std::uint64_t at = box.payload + 8;
  std::optional<std::uint64_t> offset;
  if ((flags & 0x1U) != 0) {
    offset = file.integer(at, 4);
    at += 4;
  }
  if ((flags & 0x4U) != 0) at += 4;  // first sample's flags
  const bool has_duration = (flags & 0x100U) != 0;
  const bool has_size = (flags & 0x200U) != 0;
  const std::uint64_t entry = 4ULL * ((has_duration ? 1U : 0U) + (has_size ? 1U : 0U) +
                                      ((flags & 0x400U) != 0 ? 1U : 0U) + ((flags & 0x800U) != 0 ? 1U : 0U));
  if (entry * *count > box.end - std::min(at, box.end)) return bad("its sample table is cut off");
  if (offset) fragment.next_data = fragment.base + *offset;
  for (std::uint64_t i = 0; i < *count; ++i, at += entry) {
    found.ticks += has_duration ? file.integer(at, 4).value_or(0) : fragment.default_duration;
    const auto size = has_size ? file.integer(at + (has_duration ? 4 : 0), 4).value_or(0) : fragment.default_size;
    found.data.push_back({fragment.next_data, fragment.next_data + size});
    found.bytes += size;
    fragment.next_data += size;
  }
  // Samples that lie on top of one another would be looked at again and again.
  if (found.bytes > file.size()) return bad("its sample table names more data than there is");
  found.samples += static_cast<std::size_t>(*count);
  return {};
}

Result<void> read_fragment(ByteReader& file, const Box& moof, const InitInfo& init, Fragments& found) {
  return each_box(file, moof.payload, moof.end, [&](const Box& traf) -> Result<void> {
    if (traf.type != fourcc("traf")) return {};
    TrackFragment fragment;
    return each_box(file, traf.payload, traf.end, [&](const Box& box) -> Result<void> {
      if (box.type == fourcc("tfhd")) {
        fragment = read_tfhd(file, moof, box, init);
      } else if (fragment.ours && box.type == fourcc("tfdt")) {
        const auto version = file.integer(box.payload, 1);
        const auto time = file.integer(box.payload + 4, version == 1 ? 8 : 4);
        if (!time || !time_makes_sense(*time, init.timescale)) return bad("its decode time makes no sense");
        if (!found.decode_time) found.decode_time = *time;
      } else if (fragment.ours && box.type == fourcc("trun")) {
        return read_trun(file, box, fragment, found);
      }
      return {};
    });
  });
}

Result<SegmentInfo> check_mp4_segment(ByteReader& file, const InitInfo& init) {
  Fragments found;
  std::vector<Box> media;
  const auto walked = each_box(file, 0, file.size(), [&](const Box& box) -> Result<void> {
    if (box.type == fourcc("moov")) return bad("it brings an initialization of its own");
    if (box.type == fourcc("moof")) return read_fragment(file, box, init, found);
    if (box.type == fourcc("mdat")) media.push_back(box);
    return {};
  });
  if (!walked) return walked.error();
  if (!found.decode_time || media.empty() || found.samples == 0) return bad("it holds no samples of its track");
  bool has_slice = false;
  for (const auto& data : found.data) {
    const auto next = std::upper_bound(media.begin(), media.end(), data.begin,
                                       [](std::uint64_t at, const Box& mdat) { return at < mdat.payload; });
    if (next == media.begin() || data.end > std::prev(next)->end || data.begin > data.end)
      return bad("its sample table names data that is not there");
    if (init.nal_length_bytes == 0) continue;
    if (auto fit = check_nal_units(file, data.begin, data.end, init, has_slice); !fit) return fit.error();
  }
  if (init.nal_length_bytes > 0 && !has_slice)
    return bad(fmt::format("its video data is not the '{}' of its initialization", init.codec));
  return SegmentInfo{ticks_to_micros(*found.decode_time, init.timescale), found.samples,
                     time_makes_sense(found.ticks, init.timescale) ? ticks_to_micros(found.ticks, init.timescale)
                                                                   : std::chrono::hours(24 * 366)};
}

// --- WebM (EBML)
// ------------------------------------------------------------------------------------------------------

constexpr std::uint64_t ebml_header = 0x1A45DFA3, webm_segment = 0x18538067, webm_tracks = 0x1654AE6B,
                        webm_track = 0xAE, webm_codec = 0x86, webm_codec_private = 0x63A2, webm_info = 0x1549A966,
                        webm_timescale = 0x2AD7B1, webm_cluster = 0x1F43B675, webm_time = 0xE7,
                        webm_simple_block = 0xA3, webm_block_group = 0xA0;

struct Element {
  std::uint64_t id = 0;
  std::uint64_t payload = 0;
  std::uint64_t end = 0;
};

Result<Element> element_at(ByteReader& file, std::uint64_t offset, std::uint64_t limit) {
  const auto first = file.integer(offset, 1);
  if (!first || *first == 0) return bad("it is cut off or not WebM");
  std::size_t id_length = 1;
  while (!(*first & (0x80U >> (id_length - 1)))) ++id_length;
  if (id_length > 4) return bad("it is cut off or not WebM");
  const auto id = file.integer(offset, id_length);
  const auto size_first = file.integer(offset + id_length, 1);
  if (!id || !size_first || *size_first == 0) return bad("it is cut off or not WebM");
  std::size_t size_length = 1;
  while (!(*size_first & (0x80U >> (size_length - 1)))) ++size_length;
  const auto coded = file.integer(offset + id_length, size_length);
  if (!coded) return bad("it is cut off in an element header");
  const std::uint64_t mask = (std::uint64_t{1} << (7 * size_length)) - 1;
  const std::uint64_t payload = offset + id_length + size_length;
  const std::uint64_t size = *coded & mask;
  // All ones: a live writer did not know the size; it goes to the end.
  if (size == mask) return Element{*id, payload, limit};
  if (payload > limit || size > limit - payload) return bad("it is cut off: an element is longer than what came");
  return Element{*id, payload, payload + size};
}

template <class Visit>
Result<void> each_element(ByteReader& file, std::uint64_t begin, std::uint64_t end, Visit visit) {
  constexpr int max_elements = 100'000;
  int count = 0;
  while (begin < end) {
    const auto element = element_at(file, begin, end);
    if (!element) return element.error();
    if (++count > max_elements) return bad("it has too many elements");
    if (auto visited = visit(*element); !visited) return visited.error();
    begin = element->end;
  }
  return {};
}

Result<InitInfo> check_webm_init(ByteReader& file, TrackKind kind) {
  InitInfo info;
  info.container = Container::webm;
  std::uint64_t nanoseconds_per_tick = 1'000'000;
  std::string configuration;
  const auto in_track = [&](const Element& element) -> Result<void> {
    if (element.id == webm_codec_private) {
      auto content = bytes_of(file, element.payload, element.end);
      if (content) configuration = std::move(*content);
    }
    if (element.id != webm_codec || element.end - element.payload > 32) return {};
    if (const auto codec = bytes_of(file, element.payload, element.end)) info.codec = printable(*codec);
    return {};
  };
  const auto in_segment = [&](const Element& element) -> Result<void> {
    if (element.id == webm_tracks) {
      return each_element(file, element.payload, element.end, [&](const Element& track) -> Result<void> {
        return track.id == webm_track ? each_element(file, track.payload, track.end, in_track) : Result<void>{};
      });
    }
    if (element.id == webm_info) {
      return each_element(file, element.payload, element.end, [&](const Element& one) -> Result<void> {
        const auto value = file.integer(one.payload, std::min<std::size_t>(8, one.end - one.payload));
        if (one.id == webm_timescale && value && *value > 0) nanoseconds_per_tick = *value;
        return {};
      });
    }
    return {};
  };
  const auto walked = each_element(file, 0, file.size(), [&](const Element& element) -> Result<void> {
    return element.id == webm_segment ? each_element(file, element.payload, element.end, in_segment) : Result<void>{};
  });
  if (!walked) return walked.error();
  if (kind != TrackKind::audio || info.codec != "A_OPUS") {
    return bad(fmt::format("it is WebM with '{}', not {} this program knows", info.codec, to_string(kind)));
  }
  info.timescale = static_cast<std::int64_t>(std::max<std::uint64_t>(1, 1'000'000'000 / nanoseconds_per_tick));
  info.encoding = sha256_hex("webm" + info.codec + configuration);
  return info;
}

Result<SegmentInfo> check_webm_segment(ByteReader& file, const InitInfo& init) {
  std::optional<std::uint64_t> first_time;
  SegmentInfo info;
  const auto walked = each_element(file, 0, file.size(), [&](const Element& element) -> Result<void> {
    if (element.id == ebml_header) return bad("it brings an initialization of its own");
    if (element.id != webm_cluster) return {};
    return each_element(file, element.payload, element.end, [&](const Element& one) -> Result<void> {
      if (one.id == webm_time && !first_time)
        first_time = file.integer(one.payload, std::min<std::size_t>(8, one.end - one.payload));
      if (one.id == webm_simple_block || one.id == webm_block_group) ++info.samples;
      return {};
    });
  });
  if (!walked) return walked.error();
  if (!first_time || !time_makes_sense(*first_time, init.timescale) || info.samples == 0)
    return bad("it holds no sound");
  info.decode_time = ticks_to_micros(*first_time, init.timescale);
  return info;
}

// What came instead, in words, when the first bytes are text.
std::optional<Error> refuse_text(ByteReader& file) {
  if (file.size() == 0) return bad("it is empty");
  std::array<unsigned char, 16> head{};
  const auto start = std::span(head).first(std::min<std::uint64_t>(head.size(), file.size()));
  if (!file.read(0, start)) return bad("it cannot be read");
  const auto first = std::find_if(start.begin(), start.end(),
                                  [](unsigned char c) { return c != ' ' && c != '\t' && c != '\r' && c != '\n'; });
  if (first != start.end() && (*first == '<' || *first == '{')) return bad("it is a page of text, not media");
  return std::nullopt;
}

}  // namespace

bool read_samples_alike(const InitInfo& a, const InitInfo& b) {
  const auto what_counts = [](const InitInfo& init) {
    return std::tie(init.container, init.encoding, init.timescale, init.track_id, init.nal_length_bytes,
                    init.default_duration, init.default_size);
  };
  return what_counts(a) == what_counts(b);
}

Result<InitInfo> check_init(const std::filesystem::path& path, TrackKind kind) {
  auto file = ByteReader::open(path);
  if (!file) return file.error();
  if (auto refused = refuse_text(*file)) return *refused;
  if (file->size() > max_init_bytes) return bad("it is too large");
  const bool webm = file->integer(0, 4) == ebml_header;
  return webm ? check_webm_init(*file, kind) : check_mp4_init(*file, kind);
}

Result<SegmentInfo> check_segment(const std::filesystem::path& path, const InitInfo& init) {
  auto file = ByteReader::open(path);
  if (!file) return file.error();
  if (auto refused = refuse_text(*file)) return *refused;
  return init.container == Container::webm ? check_webm_segment(*file, init) : check_mp4_segment(*file, init);
}

Result<void> end_last_box(const std::filesystem::path& path, Container container) {
  if (container != Container::mp4) return {};
  auto file = ByteReader::open(path);
  if (!file) return file.error();
  std::optional<Box> unended;
  const auto walked = each_box(*file, 0, file->size(), [&](const Box& box) -> Result<void> {
    if (file->integer(box.start, 4) == 0) unended = box;
    return {};
  });
  if (!walked) return walked.error();
  if (!unended) return {};
  const auto size = static_cast<std::uint32_t>(unended->end - unended->start);
  std::array<unsigned char, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(size >> (24 - 8 * i));
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "cannot write " + path.string());
  const auto written = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(unended->start));
  if (written == static_cast<ssize_t>(bytes.size())) return {};
  return errno_error(written < 0 ? errno : EIO, "cannot write " + path.string());
}

}  // namespace responder::media
