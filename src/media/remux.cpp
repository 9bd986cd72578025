#include "responder/media/remux.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/time_text.hpp"

#include "libav.hpp"
#include "parameter_sets.hpp"

namespace responder::media {

namespace {

constexpr AVRational micros_base{1, 1'000'000};  // AV_TIME_BASE_Q is C99
constexpr int io_buffer_bytes = 256 * 1024;

// The initialization and the segments of one part as one stream of bytes.
class SegmentChain {
 public:
  SegmentChain(const TakenTrack& track, const TakenPart& part, std::stop_token stop)
      : track_(track), part_(part), stop_(std::move(stop)) {}

  static int read(void* self, std::uint8_t* out, int size) {
    return static_cast<SegmentChain*>(self)->read_some(out, size);
  }

 private:
  int read_some(std::uint8_t* out, int size) {
    while (true) {
      if (!open_ && !open_next()) return next_ > part_.segments.size() ? AVERROR_EOF : AVERROR(EIO);
      const ssize_t got = ::read(open_.get(), out, static_cast<std::size_t>(size));
      if (got > 0) return static_cast<int>(got);
      if (got < 0 && errno != EINTR) return AVERROR(errno);
      if (got == 0) open_ = UniqueFd();
    }
  }

  bool open_next() {
    if (next_ > part_.segments.size()) return false;
    if (next_ > 0 && track_.wait_for && !track_.wait_for(next_ - 1, stop_)) return false;
    const std::string path = next_ == 0 ? part_.init_file.string() : part_.segments[next_ - 1];
    open_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (open_) ++next_;
    return static_cast<bool>(open_);
  }

  const TakenTrack& track_;
  const TakenPart& part_;
  const std::stop_token stop_;
  std::size_t next_ = 0;  // 0 is the initialization
  UniqueFd open_;
};

// The packets of one part, demuxed. Each part is opened anew: its initialization and its timeline are its own.
class PartDemuxer {
 public:
  static Result<std::unique_ptr<PartDemuxer>> open(const TakenTrack& track, const TakenPart& part,
                                                   std::stop_token stop);
  PartDemuxer(const PartDemuxer&) = delete;
  PartDemuxer& operator=(const PartDemuxer&) = delete;

  // Into `packet`; false at the end.
  Result<bool> read(AVPacket& packet);

  const AVStream& stream() const { return *input_->streams[stream_index_]; }
  // On the window's timeline.
  Micros time_of(std::int64_t ticks) const { return to_micros(ticks) - part_.origin; }
  Micros to_micros(std::int64_t ticks) const { return Micros(av_rescale_q(ticks, stream().time_base, micros_base)); }
  Micros shown_at(const AVPacket& packet) const {
    return time_of(packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts);
  }
  const TakenPart& part() const { return part_; }

 private:
  PartDemuxer(const TakenTrack& track, const TakenPart& part, std::stop_token stop)
      : kind_(track.kind), part_(part), chain_(track, part, std::move(stop)) {}
  void fill_codec_parameters();

  const TrackKind kind_;
  const TakenPart& part_;
  SegmentChain chain_;
  IoContext io_;
  InputContext input_;
  unsigned stream_index_ = 0;
  std::int64_t last_dts_ = AV_NOPTS_VALUE;
  std::int64_t last_duration_ = 0;
};

Result<std::unique_ptr<PartDemuxer>> PartDemuxer::open(const TakenTrack& track, const TakenPart& part,
                                                       std::stop_token stop) {
  auto demuxer = std::unique_ptr<PartDemuxer>(new PartDemuxer(track, part, std::move(stop)));
  const auto what = fmt::format("cannot read the taken {}", to_string(track.kind));
  auto* buffer = static_cast<unsigned char*>(av_malloc(io_buffer_bytes));
  demuxer->io_.reset(
      avio_alloc_context(buffer, io_buffer_bytes, 0, &demuxer->chain_, SegmentChain::read, nullptr, nullptr));
  AVFormatContext* raw = avformat_alloc_context();
  if (!demuxer->io_ || raw == nullptr) return av_error(AVERROR(ENOMEM), what);
  demuxer->io_->seekable = 0;
  raw->pb = demuxer->io_.get();
  const AVInputFormat* format = av_find_input_format(part.init.container == Container::webm ? "matroska" : "mp4");
  // On failure libav frees the context itself.
  if (const int code = avformat_open_input(&raw, nullptr, format, nullptr); code < 0) return av_error(code, what);
  demuxer->input_.reset(raw);

  const auto type = track.kind == TrackKind::video ? AVMEDIA_TYPE_VIDEO : AVMEDIA_TYPE_AUDIO;
  const int index = av_find_best_stream(demuxer->input_.get(), type, -1, -1, nullptr, 0);
  if (index < 0) return av_error(index, what);
  demuxer->stream_index_ = static_cast<unsigned>(index);
  demuxer->fill_codec_parameters();
  return demuxer;
}

// What avformat_find_stream_info would find by decoding, and the muxer needs.
void PartDemuxer::fill_codec_parameters() {
  AVCodecParameters* parameters = input_->streams[stream_index_]->codecpar;
  if (parameters->frame_size == 0 && parameters->codec_id == AV_CODEC_ID_AAC) parameters->frame_size = 1024;
  if (parameters->frame_size == 0 && parameters->codec_id == AV_CODEC_ID_OPUS) parameters->frame_size = 960;
}

Result<bool> PartDemuxer::read(AVPacket& packet) {
  do {
    av_packet_unref(&packet);
    const int code = av_read_frame(input_.get(), &packet);
    if (code == AVERROR_EOF) return false;
    if (code < 0) return av_error(code, fmt::format("cannot read the taken {}", to_string(kind_)));
  } while (packet.stream_index != static_cast<int>(stream_index_));
  if (packet.dts == AV_NOPTS_VALUE) packet.dts = packet.pts;
  if (packet.dts == AV_NOPTS_VALUE)
    return Error{ErrorKind::permanent, fmt::format("the taken {} has a packet without a time", to_string(kind_))};
  // Thousands of years: sums of what is past that would overflow, and no device means it.
  const auto sane = [this](std::int64_t ticks) {
    constexpr Micros most{100'000'000'000'000'000};
    const auto time = to_micros(ticks);
    return time > -most && time < most;
  };
  if (!sane(packet.dts) || !sane(packet.duration) || (packet.pts != AV_NOPTS_VALUE && !sane(packet.pts)))
    return Error{ErrorKind::permanent, fmt::format("the taken {} has a packet whose time is none", to_string(kind_))};
  // WebM does not store durations: the last one known serves until the next packet shows it.
  if (packet.duration <= 0)
    packet.duration = last_duration_ > 0 ? last_duration_ : av_rescale_q(20, {1, 1000}, stream().time_base);
  if (last_dts_ != AV_NOPTS_VALUE && packet.dts > last_dts_)
    last_duration_ = std::min(packet.dts - last_dts_, av_rescale_q(1, {1, 1}, stream().time_base));
  last_dts_ = packet.dts;
  return true;
}

// One track's packets over all its parts, cut where a part reaches beyond the window, with the one that comes next.
class TrackReader {
 public:
  TrackReader(const TakenTrack& track, std::stop_token stop) : track_(track), stop_(std::move(stop)) {}
  TrackReader(const TrackReader&) = delete;
  TrackReader& operator=(const TrackReader&) = delete;

  Result<void> open() {
    if (auto opened = open_part(0); !opened) return opened;
    return read_next();
  }
  Result<void> read_next();  // afterwards packet() is null at the end

  const TakenTrack& track() const { return track_; }
  const AVStream& stream() const { return demuxer_->stream(); }
  AVPacket* packet() const { return has_packet_ ? packet_.get() : nullptr; }
  // Of the next packet, on the window's timeline.
  Micros decode_time() const { return demuxer_->time_of(packet_->dts); }
  Micros presentation_time() const { return demuxer_->shown_at(*packet_); }
  Micros duration() const { return demuxer_->to_micros(packet_->duration); }
  Micros origin() const { return demuxer_->part().origin; }  // of the part that packet() is from

 private:
  Result<void> open_part(std::size_t index);
  Result<std::size_t> packets_before_window(const TakenPart& part) const;
  bool belongs(const AVPacket& packet) const;
  bool is_past_window(const AVPacket& packet) const;
  Result<bool> read_from_part();

  const TakenTrack& track_;
  const std::stop_token stop_;
  std::size_t part_ = 0;
  std::unique_ptr<PartDemuxer> demuxer_;
  std::size_t to_skip_ = 0;
  bool joins_ = false;  // at the beginning of a part that follows another
  Packet packet_{av_packet_alloc()};
  bool has_packet_ = false;
  Micros reached_{Micros::min()};  // the end of what has been given, for parts that overlap
};

// Decode times decide at both ends of the window, so that one rule serves devices that cut their segments by decode
// time and those that cut by presentation time.
constexpr Micros hair{1000};

// How many packets come before the last key frame that is no later than the window.
Result<std::size_t> TrackReader::packets_before_window(const TakenPart& part) const {
  auto demuxer = PartDemuxer::open(track_, part, stop_);
  if (!demuxer) return demuxer.error();
  const Packet packet(av_packet_alloc());
  std::size_t count = 0;
  std::size_t last_key = 0;
  while (true) {
    const auto read = (*demuxer)->read(*packet);
    if (!read) return read.error();
    if (!*read) return last_key;
    const Micros at = (*demuxer)->time_of(packet->dts);
    if (track_.kind == TrackKind::audio) {  // needs none before it
      if (at >= *part.from - hair) return count;
      last_key = count + 1;
    } else {
      if (at > *part.from + hair) return last_key;
      if ((packet->flags & AV_PKT_FLAG_KEY) != 0) last_key = count;
    }
    ++count;
  }
}

Result<void> TrackReader::open_part(std::size_t index) {
  part_ = index;
  joins_ = index > 0;
  const auto& part = track_.parts[index];
  to_skip_ = 0;
  if (part.from) {
    const auto before = packets_before_window(part);
    if (!before) return before.error();
    to_skip_ = *before;
  }
  auto demuxer = PartDemuxer::open(track_, part, stop_);
  if (!demuxer) return demuxer.error();
  demuxer_ = std::move(*demuxer);
  return {};
}

// Two sessions' segments may overlap where one takes over from the other: what has been given is not given again.
bool TrackReader::belongs(const AVPacket& packet) const {
  return demuxer_->time_of(packet.dts) + demuxer_->to_micros(packet.duration) / 2 >= reached_;
}

bool TrackReader::is_past_window(const AVPacket& packet) const {
  const auto& to = demuxer_->part().to;
  if (!to) return false;
  const bool key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  return (key ? demuxer_->shown_at(packet) : demuxer_->time_of(packet.dts)) >= *to - hair;
}

// The part's next packet into packet_; false at its end.
Result<bool> TrackReader::read_from_part() {
  while (true) {
    const auto read = demuxer_->read(*packet_);
    if (!read || !*read || is_past_window(*packet_)) return read && *read ? false : read;
    if (to_skip_ > 0) {
      --to_skip_;
      continue;
    }
    if (joins_ && !belongs(*packet_)) continue;
    joins_ = false;
    return true;
  }
}

Result<void> TrackReader::read_next() {
  if (has_packet_) reached_ = std::max(reached_, decode_time() + duration());
  while (true) {
    const auto read = read_from_part();
    if (!read) return read.error();
    has_packet_ = *read;
    if (has_packet_ || part_ + 1 >= track_.parts.size()) return {};
    if (auto opened = open_part(part_ + 1); !opened) return opened;
  }
}

// An upper bound of the index's size, so that the space before the data can be kept free for it.
std::size_t index_bound(std::span<const TakenTrack> tracks) {
  constexpr std::size_t fixed = 64 * 1024;
  // stsz 4, stts 8, ctts 8, stss 4, and at worst a chunk of its own: stco 8 (as co64), stsc 12.
  constexpr std::size_t per_sample = 44;
  std::size_t samples = 0;
  for (const auto& track : tracks) samples += track.samples;
  return fixed + per_sample * samples;
}

// Where the parameter sets stand in front of the pictures alone, the index gets those of the first one: without them
// most players show nothing. H.265 is "hvc1", which Apple's players need, unless there are none.
Result<void> describe_video(AVCodecParameters& parameters, const AVPacket& first) {
  parameters.codec_tag = 0;
  const bool hevc = parameters.codec_id == AV_CODEC_ID_HEVC;
  if (!hevc && parameters.codec_id != AV_CODEC_ID_H264) return {};
  const auto codec = hevc ? VideoCodec::h265 : VideoCodec::h264;
  const auto bytes = [](const std::uint8_t* data, int size) {
    return std::string_view(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  const auto given = bytes(parameters.extradata, parameters.extradata_size);
  bool named = has_parameter_sets(codec, given);
  if (const auto completed =
          named ? std::nullopt : with_parameter_sets(codec, given, bytes(first.data, first.size))) {
    auto* const data = static_cast<std::uint8_t*>(av_malloc(completed->size() + AV_INPUT_BUFFER_PADDING_SIZE));
    if (data == nullptr) return av_error(AVERROR(ENOMEM), "cannot describe the video");
    std::fill_n(std::copy(completed->begin(), completed->end(), data), AV_INPUT_BUFFER_PADDING_SIZE, std::uint8_t{0});
    av_freep(&parameters.extradata);
    parameters.extradata = data;
    parameters.extradata_size = static_cast<int>(completed->size());
    named = true;
  }
  if (hevc) parameters.codec_tag = named ? MKTAG('h', 'v', 'c', '1') : MKTAG('h', 'e', 'v', '1');
  return {};
}

// A camera that hangs upside down or on its side says so beside the pictures.
bool copy_rotation(const AVStream& from, AVStream& to) {
  std::size_t size = 0;
  const auto* matrix = av_stream_get_side_data(&from, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (matrix == nullptr) return true;
  auto* const copy = av_stream_new_side_data(&to, AV_PKT_DATA_DISPLAYMATRIX, size);
  if (copy != nullptr) std::copy_n(matrix, size, copy);
  return copy != nullptr;
}

class ClipWriter {
 public:
  // `first`: window time of the earliest packet that is shown, which becomes time 0. With B-frames the first packets
  // are decoded before it, at negative times, as an edit list says.
  Result<void> open(std::span<const std::unique_ptr<TrackReader>> readers, const std::filesystem::path& path,
                    Micros first, std::size_t index_bytes, const ClipMetadata& metadata);
  Result<void> write(std::size_t stream, const TrackReader& reader);
  Result<void> finish();

 private:
  std::filesystem::path path_;
  OutputContext output_;
  Packet packet_{av_packet_alloc()};
  Micros first_{0};
  std::vector<std::int64_t> last_dts_;
};

Result<void> ClipWriter::open(std::span<const std::unique_ptr<TrackReader>> readers,
                              const std::filesystem::path& path, Micros first, std::size_t index_bytes,
                              const ClipMetadata& metadata) {
  path_ = path;
  first_ = first;
  const auto what = fmt::format("cannot write {}", path.string());
  AVFormatContext* raw = nullptr;
  if (const int code = avformat_alloc_output_context2(&raw, nullptr, "mp4", path.c_str()); code < 0)
    return av_error(code, what);
  output_.reset(raw);
  for (const auto& reader : readers) {
    AVStream* stream = avformat_new_stream(output_.get(), nullptr);
    if (stream == nullptr || avcodec_parameters_copy(stream->codecpar, reader->stream().codecpar) < 0)
      return av_error(AVERROR(ENOMEM), what);
    if (auto described = describe_video(*stream->codecpar, *reader->packet()); !described) return described;
    stream->time_base = reader->stream().time_base;
    // Opus lives at 48 kHz in MP4; finer than WebM's milliseconds loses nothing.
    if (stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && stream->codecpar->sample_rate > 0)
      stream->time_base = {1, stream->codecpar->sample_rate};
    stream->sample_aspect_ratio = reader->stream().sample_aspect_ratio;
    if (!copy_rotation(reader->stream(), *stream)) return av_error(AVERROR(ENOMEM), what);
  }
  last_dts_.assign(readers.size(), AV_NOPTS_VALUE);
  const WallTime starts_at = WallTime(metadata.window_start) + std::chrono::floor<std::chrono::milliseconds>(first);
  av_dict_set(&output_->metadata, "title", metadata.title.c_str(), 0);
  av_dict_set(&output_->metadata, "creation_time",
              format_rfc3339(std::chrono::round<std::chrono::seconds>(starts_at)).c_str(), 0);

  if (const int code = avio_open(&output_->pb, path.c_str(), AVIO_FLAG_WRITE); code < 0) return av_error(code, what);
  Dictionary options;
  options.set("moov_size", std::to_string(index_bytes));
  options.set("movie_timescale", "90000");  // edit lists round to it
  if (const int code = avformat_write_header(output_.get(), options.address()); code < 0) return av_error(code, what);
  return {};
}

Result<void> ClipWriter::write(std::size_t index, const TrackReader& reader) {
  const auto what = fmt::format("cannot write {}", path_.string());
  if (av_packet_ref(packet_.get(), reader.packet()) < 0) return av_error(AVERROR(ENOMEM), what);
  const AVRational from = reader.stream().time_base;
  const AVRational to = output_->streams[index]->time_base;
  // Shifted before it is rescaled, so that every packet of a track is rounded alike.
  const std::int64_t shift = av_rescale_q((reader.origin() + first_).count(), micros_base, from);
  packet_->stream_index = static_cast<int>(index);
  packet_->dts = av_rescale_q(packet_->dts - shift, from, to);
  if (packet_->pts != AV_NOPTS_VALUE) packet_->pts = av_rescale_q(packet_->pts - shift, from, to);
  packet_->duration = av_rescale_q(packet_->duration, from, to);
  packet_->pos = -1;
  // Segments may overlap by a frame (a camera a little faster than its nominal rate): moved up by a tick, none is
  // lost.
  if (last_dts_[index] != AV_NOPTS_VALUE && packet_->dts <= last_dts_[index]) {
    packet_->dts = last_dts_[index] + 1;
    if (packet_->pts != AV_NOPTS_VALUE) packet_->pts = std::max(packet_->pts, packet_->dts);
  }
  last_dts_[index] = packet_->dts;
  const int code = av_write_frame(output_.get(), packet_.get());
  av_packet_unref(packet_.get());
  if (code < 0) return av_error(code, what);
  return {};
}

Result<void> ClipWriter::finish() {
  const auto what = fmt::format("cannot write {}", path_.string());
  const int written = av_write_trailer(output_.get());
  // avio_closep flushes: what fails now would be missing from the file.
  const int pending = output_->pb->error;
  const int closed = avio_closep(&output_->pb);
  for (const int code : {written, pending, closed}) {
    if (code < 0) return av_error(code, what);
  }
  return {};
}

StreamSummary summarize(const TrackReader& reader) {
  const AVCodecParameters& parameters = *reader.stream().codecpar;
  return {.kind = reader.track().kind,
          .codec = avcodec_get_name(parameters.codec_id),
          .width = parameters.width,
          .height = parameters.height,
          .packets = 0};
}

}  // namespace

Result<ClipSummary> remux(std::span<const TakenTrack> tracks, const std::filesystem::path& output,
                          const ClipMetadata& metadata, std::stop_token stop) {
  if (auto loaded = load_libav(); !loaded) return loaded.error();
  std::vector<std::unique_ptr<TrackReader>> readers;
  ClipSummary clip;
  std::optional<Micros> first;
  for (const auto& track : tracks) {
    auto reader = std::make_unique<TrackReader>(track, stop);
    if (auto opened = reader->open(); !opened) return opened.error();
    if (reader->packet() == nullptr)
      return Error{ErrorKind::permanent, fmt::format("the taken {} has no packets", to_string(track.kind))};
    first = first ? std::min(*first, reader->presentation_time()) : reader->presentation_time();
    clip.streams.push_back(summarize(*reader));
    readers.push_back(std::move(reader));
  }
  if (!first) return Error{ErrorKind::permanent, "nothing was taken"};
  clip.starts_at = WallTime(metadata.window_start) + std::chrono::floor<std::chrono::milliseconds>(*first);

  ClipWriter writer;
  if (auto opened = writer.open(readers, output, *first, index_bound(tracks), metadata); !opened)
    return opened.error();
  while (!stop.stop_requested()) {
    // The earliest packet of all tracks.
    std::optional<std::size_t> next;
    for (std::size_t i = 0; i < readers.size(); ++i) {
      if (readers[i]->packet() != nullptr && (!next || readers[i]->decode_time() < readers[*next]->decode_time()))
        next = i;
    }
    if (!next) {
      if (auto finished = writer.finish(); !finished) return finished.error();
      std::error_code failed;
      clip.bytes = std::filesystem::file_size(output, failed);
      if (failed) return errno_error(failed.value(), fmt::format("cannot look at {}", output.string()));
      return clip;
    }
    TrackReader& reader = *readers[*next];
    if (auto written = writer.write(*next, reader); !written) return written.error();
    ++clip.streams[*next].packets;
    clip.duration = std::max(clip.duration, reader.presentation_time() + reader.duration() - *first);
    if (auto read = reader.read_next(); !read) return read.error();
  }
  return Error{ErrorKind::cancelled, "shutting down"};
}

}  // namespace responder::media
