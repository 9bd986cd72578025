#include "responder/media/remux.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "responder/base/file.hpp"
#include "responder/base/time_text.hpp"

#include "libav.hpp"

namespace responder::media {

Error av_error(int code, std::string_view what) {
  if (code == AVERROR(ENOSPC) || code == AVERROR(EIO) || code == AVERROR(EDQUOT) || code == AVERROR(EROFS)) {
    return errno_error(AVUNERROR(code), what);
  }
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return Error{code == AVERROR(ENOMEM) ? ErrorKind::transient : ErrorKind::permanent,
               fmt::format("{}: {}", what, text.data())};
}

namespace {

constexpr AVRational micros_base{1, 1'000'000};  // AV_TIME_BASE_Q is C99
constexpr int io_buffer_bytes = 256 * 1024;

// The initialization and the segments of one part as one stream of bytes.
class SegmentChain {
 public:
  SegmentChain(const TakenTrack& track, const TakenPart& part) : track_(track), part_(part) {}

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
    if (next_ > 0 && track_.wait_for && !track_.wait_for(next_ - 1)) return false;
    const std::string path = next_ == 0 ? track_.init_file.string() : part_.segments[next_ - 1];
    open_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (open_) ++next_;
    return static_cast<bool>(open_);
  }

  const TakenTrack& track_;
  const TakenPart& part_;
  std::size_t next_ = 0;  // 0 is the initialization
  UniqueFd open_;
};

// One track's demuxer with the packet that comes next. Each part is opened anew: its timeline is its own.
class TrackReader {
 public:
  explicit TrackReader(const TakenTrack& track) : track_(track) {}
  TrackReader(const TrackReader&) = delete;
  TrackReader& operator=(const TrackReader&) = delete;

  Result<void> open() { return open_part(0); }
  Result<void> read_next();  // afterwards packet() is null at the end

  const TakenTrack& track() const { return track_; }
  const AVStream* stream() const { return input_->streams[stream_index_]; }
  AVPacket* packet() const { return at_end_ ? nullptr : packet_.get(); }
  // Of the next packet, on the session's timeline.
  Micros decode_time() const { return session_time(packet_->dts); }
  Micros presentation_time() const {
    return session_time(packet_->pts != AV_NOPTS_VALUE ? packet_->pts : packet_->dts);
  }
  Micros session_time(std::int64_t ticks) const {
    return Micros(av_rescale_q(ticks, stream()->time_base, micros_base)) - origin();
  }
  Micros origin() const { return track_.parts[part_].origin; }  // of the part that packet() is from

 private:
  Result<void> open_part(std::size_t part);
  void fill_codec_parameters();

  const TakenTrack& track_;
  std::size_t part_ = 0;
  std::unique_ptr<SegmentChain> chain_;
  IoContext io_;
  InputContext input_;
  Packet packet_{av_packet_alloc()};
  unsigned stream_index_ = 0;
  bool at_end_ = false;
  std::int64_t last_dts_ = AV_NOPTS_VALUE;
  std::int64_t last_duration_ = 0;
};

Result<void> TrackReader::open_part(std::size_t part) {
  part_ = part;
  input_.reset();
  chain_ = std::make_unique<SegmentChain>(track_, track_.parts[part]);
  last_dts_ = AV_NOPTS_VALUE;
  const auto what = fmt::format("cannot read the taken {}", to_string(track_.kind));
  auto* buffer = static_cast<unsigned char*>(av_malloc(io_buffer_bytes));
  io_.reset(avio_alloc_context(buffer, io_buffer_bytes, 0, chain_.get(), SegmentChain::read, nullptr, nullptr));
  AVFormatContext* raw = avformat_alloc_context();
  if (!io_ || raw == nullptr || !packet_) return av_error(AVERROR(ENOMEM), what);
  io_->seekable = 0;
  raw->pb = io_.get();
  const AVInputFormat* format = av_find_input_format(track_.init.container == Container::webm ? "matroska" : "mp4");
  // On failure libav frees the context itself.
  if (const int code = avformat_open_input(&raw, nullptr, format, nullptr); code < 0) return av_error(code, what);
  input_.reset(raw);

  const auto type = track_.kind == TrackKind::video ? AVMEDIA_TYPE_VIDEO : AVMEDIA_TYPE_AUDIO;
  const int index = av_find_best_stream(input_.get(), type, -1, -1, nullptr, 0);
  if (index < 0) return av_error(index, what);
  stream_index_ = static_cast<unsigned>(index);
  fill_codec_parameters();
  return read_next();
}

// What avformat_find_stream_info would find by decoding, and the muxer needs.
void TrackReader::fill_codec_parameters() {
  AVCodecParameters* parameters = input_->streams[stream_index_]->codecpar;
  if (parameters->frame_size == 0 && parameters->codec_id == AV_CODEC_ID_AAC) parameters->frame_size = 1024;
  if (parameters->frame_size == 0 && parameters->codec_id == AV_CODEC_ID_OPUS) parameters->frame_size = 960;
}

Result<void> TrackReader::read_next() {
  while (true) {
    av_packet_unref(packet_.get());
    const int code = av_read_frame(input_.get(), packet_.get());
    if (code == AVERROR_EOF) {
      if (part_ + 1 < track_.parts.size()) return open_part(part_ + 1);
      at_end_ = true;
      return {};
    }
    if (code < 0) return av_error(code, fmt::format("cannot read the taken {}", to_string(track_.kind)));
    if (packet_->stream_index != static_cast<int>(stream_index_)) continue;
    if (packet_->dts == AV_NOPTS_VALUE) packet_->dts = packet_->pts;
    if (packet_->dts == AV_NOPTS_VALUE)
      return Error{ErrorKind::permanent,
                   fmt::format("the taken {} has a packet without a time", to_string(track_.kind))};
    break;
  }
  // WebM does not store durations: the last one known serves until the next packet shows it.
  if (packet_->duration <= 0)
    packet_->duration = last_duration_ > 0 ? last_duration_ : av_rescale_q(20, {1, 1000}, stream()->time_base);
  if (last_dts_ != AV_NOPTS_VALUE && packet_->dts > last_dts_)
    last_duration_ = std::min(packet_->dts - last_dts_, av_rescale_q(1, {1, 1}, stream()->time_base));
  last_dts_ = packet_->dts;
  return {};
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

class ClipWriter {
 public:
  // `first`: session time of the earliest packet that is shown, which becomes time 0. With B-frames the first packets
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
    if (stream == nullptr || avcodec_parameters_copy(stream->codecpar, reader->stream()->codecpar) < 0)
      return av_error(AVERROR(ENOMEM), what);
    const bool hevc = stream->codecpar->codec_id == AV_CODEC_ID_HEVC;
    stream->codecpar->codec_tag = hevc ? MKTAG('h', 'v', 'c', '1') : 0;
    stream->time_base = reader->stream()->time_base;
    // Opus lives at 48 kHz in MP4; finer than WebM's milliseconds loses nothing.
    if (stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && stream->codecpar->sample_rate > 0)
      stream->time_base = {1, stream->codecpar->sample_rate};
    stream->sample_aspect_ratio = reader->stream()->sample_aspect_ratio;
  }
  last_dts_.assign(readers.size(), AV_NOPTS_VALUE);
  const WallTime starts_at = WallTime(metadata.session_start) + std::chrono::floor<std::chrono::milliseconds>(first);
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
  const AVRational from = reader.stream()->time_base;
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
  const AVCodecParameters& parameters = *reader.stream()->codecpar;
  return {.kind = reader.track().kind,
          .codec = avcodec_get_name(parameters.codec_id),
          .width = parameters.width,
          .height = parameters.height,
          .packets = 0};
}

// libav's own remarks are for its developers.
void quieten_libav() {
  static const bool once = [] {
    av_log_set_level(AV_LOG_FATAL);
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace

Result<ClipSummary> remux(std::span<const TakenTrack> tracks, const std::filesystem::path& output,
                          const ClipMetadata& metadata, std::stop_token stop) {
  quieten_libav();
  std::vector<std::unique_ptr<TrackReader>> readers;
  ClipSummary clip;
  std::optional<Micros> first;
  for (const auto& track : tracks) {
    auto reader = std::make_unique<TrackReader>(track);
    if (auto opened = reader->open(); !opened) return opened.error();
    if (reader->packet() == nullptr)
      return Error{ErrorKind::permanent, fmt::format("the taken {} has no packets", to_string(track.kind))};
    first = first ? std::min(*first, reader->presentation_time()) : reader->presentation_time();
    clip.streams.push_back(summarize(*reader));
    readers.push_back(std::move(reader));
  }
  if (!first) return Error{ErrorKind::permanent, "nothing was taken"};
  clip.starts_at = WallTime(metadata.session_start) + std::chrono::floor<std::chrono::milliseconds>(*first);

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
    const auto end =
        reader.presentation_time() + reader.session_time(reader.packet()->duration) - reader.session_time(0) - *first;
    clip.duration = std::max(clip.duration, end);
    if (auto read = reader.read_next(); !read) return read.error();
  }
  return Error{ErrorKind::cancelled, "shutting down"};
}

}  // namespace responder::media
