#include "media_loop.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
}

namespace fake_rhombus {
namespace {

struct CodecFree {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
};
struct FrameFree {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct PacketFree {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using Codec = std::unique_ptr<AVCodecContext, CodecFree>;
using Frame = std::unique_ptr<AVFrame, FrameFree>;
using Packet = std::unique_ptr<AVPacket, PacketFree>;

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string("fake media: ") + what);
}

// Encodes frames that `fill` paints; `each` gets every packet.
template <class Fill, class Each>
void encode(AVCodecContext* codec, AVFrame* frame, int count, int samples_per_frame, Fill fill, Each each) {
  const Packet packet(av_packet_alloc());
  const auto drain = [&] {
    while (avcodec_receive_packet(codec, packet.get()) == 0) {
      each(*packet);
      av_packet_unref(packet.get());
    }
  };
  for (int i = 0; i < count; ++i) {
    require(av_frame_make_writable(frame) >= 0, "frame");
    fill(*frame, i);
    frame->pts = static_cast<std::int64_t>(i) * samples_per_frame;
    require(avcodec_send_frame(codec, frame) >= 0, "encoder refuses a frame");
    drain();
  }
  avcodec_send_frame(codec, nullptr);
  drain();
}

// Muxes into memory.
struct MuxOptions {
  const char* format;
  std::vector<std::pair<const char*, const char*>> options;
};

std::string mux(const MuxOptions& how, const AVCodecParameters* parameters, AVRational time_base,
                const std::vector<Sample>& samples, std::int64_t time_offset) {
  AVFormatContext* context = nullptr;
  require(avformat_alloc_output_context2(&context, nullptr, how.format, nullptr) >= 0, "muxer");
  AVStream* stream = avformat_new_stream(context, nullptr);
  avcodec_parameters_copy(stream->codecpar, parameters);
  stream->codecpar->codec_tag = 0;
  stream->time_base = time_base;
  context->avoid_negative_ts = AVFMT_AVOID_NEG_TS_MAKE_NON_NEGATIVE;
  context->flags |= AVFMT_FLAG_BITEXACT;
  require(avio_open_dyn_buf(&context->pb) >= 0, "buffer");
  AVDictionary* options = nullptr;
  for (const auto& [key, value] : how.options) av_dict_set(&options, key, value, 0);
  require(avformat_write_header(context, &options) >= 0, "header");
  av_dict_free(&options);
  const Packet packet(av_packet_alloc());
  for (const auto& sample : samples) {
    av_new_packet(packet.get(), static_cast<int>(sample.data.size()));
    std::copy(sample.data.begin(), sample.data.end(), packet->data);
    packet->dts = av_rescale_q(sample.decode_time - time_offset, time_base, stream->time_base);
    packet->pts = av_rescale_q(sample.presentation_time - time_offset, time_base, stream->time_base);
    packet->duration = av_rescale_q(sample.duration, time_base, stream->time_base);
    packet->flags = sample.key ? AV_PKT_FLAG_KEY : 0;
    require(av_write_frame(context, packet.get()) >= 0, "packet");
    av_packet_unref(packet.get());
  }
  if (!samples.empty()) {
    av_write_frame(context, nullptr);
    av_write_trailer(context);
  } else {
    avio_flush(context->pb);
  }
  std::uint8_t* data = nullptr;
  const int size = avio_close_dyn_buf(context->pb, &data);
  std::string result(reinterpret_cast<char*>(data), static_cast<std::size_t>(size));
  av_free(data);
  avformat_free_context(context);
  return result;
}

const MuxOptions fragmented_mp4{
    "mp4",
    {{"movflags", "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer"}, {"use_editlist", "0"}}};
const MuxOptions live_webm{"webm",
                           {{"live", "1"}, {"cluster_time_limit", "100000"}, {"cluster_size_limit", "10000000"}}};

std::size_t find_moof(const std::string& file) {
  std::size_t at = 0;
  while (at + 8 <= file.size()) {
    if (file.compare(at + 4, 4, "moof") == 0) return at;
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8U | static_cast<unsigned char>(file[at + i]);
    require(size >= 8, "box");
    at += size;
  }
  return file.size();
}

// A sequence of samples of equal length that repeats for ever.
class Loop : public TrackLoop {
 public:
  Loop(std::shared_ptr<AVCodecParameters> parameters, std::int64_t scale, std::int64_t sample_duration)
      : parameters_(std::move(parameters)), timescale_(scale), sample_duration_(sample_duration) {}

  std::int64_t timescale() const override { return timescale_; }

  std::vector<Sample> samples(std::int64_t start, std::int64_t seconds) const override {
    const std::int64_t first = (start * timescale_ + sample_duration_ - 1) / sample_duration_;
    const std::int64_t end = (start + seconds) * timescale_;
    std::vector<Sample> result;
    for (std::int64_t i = first; i * sample_duration_ < end; ++i) result.push_back(sample(i, start));
    return result;
  }

 protected:
  virtual Sample sample(std::int64_t index, std::int64_t start) const = 0;

  std::shared_ptr<AVCodecParameters> parameters_;
  std::int64_t timescale_;
  std::int64_t sample_duration_;
  std::vector<Sample> loop_;  // times relative to its own start
};

class Mp4Loop : public Loop {
 public:
  using Loop::Loop;

  std::string init_segment() const override {
    return mux(fragmented_mp4, parameters_.get(), {1, static_cast<int>(timescale_)}, {}, 0);
  }

  std::string segment(std::int64_t start, std::int64_t seconds, std::int64_t time_base) const override {
    const auto file = mux(fragmented_mp4, parameters_.get(), {1, static_cast<int>(timescale_)},
                          for_muxer(samples(start, seconds)), time_base * timescale_);
    return file.substr(find_moof(file));
  }

 protected:
  virtual std::vector<Sample> for_muxer(std::vector<Sample> all) const { return all; }
};

std::shared_ptr<AVCodecParameters> parameters_of(const AVCodecContext* codec) {
  std::shared_ptr<AVCodecParameters> parameters(avcodec_parameters_alloc(),
                                                [](AVCodecParameters* p) { avcodec_parameters_free(&p); });
  avcodec_parameters_from_context(parameters.get(), codec);
  return parameters;
}

// --- H.264 and HEVC
// -----------------------------------------------------------------------------------------------------

// Annex B to the length-prefixed form of MP4.
std::string length_prefixed(const std::string& annex_b) {
  std::string result;
  std::size_t at = annex_b.find(std::string("\0\0\1", 3));
  while (at != std::string::npos) {
    const std::size_t begin = at + 3;
    const std::size_t next = annex_b.find(std::string("\0\0\1", 3), begin);
    std::size_t end = next == std::string::npos ? annex_b.size() : next;
    while (end > begin && annex_b[end - 1] == '\0') --end;
    const std::size_t size = end - begin;
    for (const unsigned shift : {24U, 16U, 8U, 0U}) result += static_cast<char>(size >> shift & 0xFFU);
    result += annex_b.substr(begin, size);
    at = next;
  }
  return result;
}

// An unregistered user-data SEI that says when the frame was taken, filled up to make the frame `wanted` bytes long.
std::string time_stamp_nal(std::int64_t decode_time, std::size_t frame_bytes, std::size_t wanted, bool hevc) {
  char text[64];
  std::snprintf(text, sizeof text, "rhombus-stand-in%020lld.",
                static_cast<long long>(decode_time));  // 16 bytes of uuid, then the time
  std::string payload = text;
  constexpr std::size_t overhead = 300;
  if (wanted > frame_bytes + payload.size() + overhead)
    payload.append(wanted - frame_bytes - payload.size() - overhead / 2, 'U');
  std::string nal = hevc ? std::string("\x4E\x01", 2) : std::string("\x06", 1);
  nal += '\x05';
  std::size_t size = payload.size();
  for (; size >= 255; size -= 255) nal += '\xFF';
  nal += static_cast<char>(size);
  nal += payload;
  nal += '\x80';
  std::string result;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) result += static_cast<char>(nal.size() >> shift & 0xFFU);
  return result + nal;
}

class VideoLoop final : public Mp4Loop {
 public:
  VideoLoop(const VideoProfile& profile, const AVCodecContext* codec, std::vector<Sample> loop,
            std::int64_t frame_duration)
      : Mp4Loop(parameters_of(codec), codec->time_base.den, frame_duration), profile_(profile) {
    loop_ = std::move(loop);
    if (profile.in_band) keep_parameters_in_band();
  }

  std::string init_segment() const override {
    auto init = Mp4Loop::init_segment();
    if (profile_.in_band && !profile_.hevc) init.replace(init.find("avc1"), 4, "avc3");
    return init;
  }

 protected:
  // With GOPs as long as segments they are cut where the session begins, as if the camera had cut them there.
  Sample sample(std::int64_t index, std::int64_t start) const override {
    const std::int64_t gop_frames = profile_.gop_seconds * profile_.frames_per_second;
    const std::int64_t gops = static_cast<std::int64_t>(loop_.size()) / gop_frames;
    const std::int64_t session_phase = start % profile_.gop_seconds * profile_.frames_per_second;
    const std::int64_t shifted = index - session_phase;
    const auto& source =
        loop_[static_cast<std::size_t>(shifted / gop_frames % gops * gop_frames + shifted % gop_frames)];
    Sample result = source;
    result.decode_time = index * sample_duration_;
    result.presentation_time = result.decode_time + (source.presentation_time - source.decode_time);
    const auto wanted = static_cast<std::size_t>(profile_.bits_per_second / 8 / profile_.frames_per_second);
    result.data.insert(0, time_stamp_nal(result.decode_time, source.data.size(), wanted, profile_.hevc));
    return result;
  }

 private:
  // The muxer takes Annex B, as the encoder's parameter sets are, and makes the length-prefixed form of it again.
  std::vector<Sample> for_muxer(std::vector<Sample> all) const override {
    if (profile_.in_band) return all;
    for (auto& one : all) {
      std::size_t at = 0;
      while (at + 4 <= one.data.size()) {
        std::size_t size = 0;
        for (std::size_t i = 0; i < 4; ++i) size = size << 8U | static_cast<unsigned char>(one.data[at + i]);
        one.data.replace(at, 4, std::string("\0\0\0\1", 4));
        at += 4 + size;
      }
    }
    return all;
  }

  void keep_parameters_in_band() {
    const std::string sets = length_prefixed(std::string(reinterpret_cast<const char*>(parameters_->extradata),
                                                         static_cast<std::size_t>(parameters_->extradata_size)));
    for (auto& one : loop_) {
      if (one.key) one.data.insert(0, sets);
    }
    std::string empty("\1\x42\xC0\x0A\xFF\xE0\0", 7);
    if (profile_.hevc) {
      empty.assign(23, '\0');
      empty[0] = '\1';
      empty[21] = '\x0F';
    }
    require(empty.size() <= static_cast<std::size_t>(parameters_->extradata_size), "room for a configuration");
    std::copy(empty.begin(), empty.end(), parameters_->extradata);
    parameters_->extradata_size = static_cast<int>(empty.size());
  }

  VideoProfile profile_;
};

}  // namespace

std::shared_ptr<const TrackLoop> make_video(const VideoProfile& profile) {
  constexpr int gops = 5;
  av_log_set_level(AV_LOG_ERROR);
  constexpr int timescale = 90000;
  const AVCodec* encoder = avcodec_find_encoder_by_name(profile.hevc ? "libx265" : "libx264");
  require(encoder != nullptr, "no video encoder");
  const Codec codec(avcodec_alloc_context3(encoder));
  const int gop_frames = profile.gop_seconds * profile.frames_per_second;
  codec->width = profile.width;
  codec->height = profile.height;
  codec->pix_fmt = AV_PIX_FMT_YUV420P;
  codec->time_base = {1, timescale};
  codec->framerate = {profile.frames_per_second, 1};
  codec->gop_size = gop_frames;
  codec->max_b_frames = profile.b_frames;
  codec->thread_count = 1;
  codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_CLOSED_GOP;
  av_opt_set(codec->priv_data, "preset", "ultrafast", 0);
  const std::string fixed_gops = "keyint=" + std::to_string(gop_frames) +
                                 ":min-keyint=" + std::to_string(gop_frames) +
                                 ":scenecut=0:open-gop=0:bframes=" + std::to_string(profile.b_frames) + ":b-adapt=0" +
                                 (profile.hevc ? ":info=0:log-level=none" : "");
  av_opt_set(codec->priv_data, profile.hevc ? "x265-params" : "x264-params", fixed_gops.c_str(), 0);
  require(avcodec_open2(codec.get(), encoder, nullptr) >= 0, "video encoder");
  codec->time_base = {1, timescale};

  const Frame frame(av_frame_alloc());
  frame->format = codec->pix_fmt;
  frame->width = codec->width;
  frame->height = codec->height;
  require(av_frame_get_buffer(frame.get(), 0) >= 0, "frame buffer");
  const std::int64_t frame_duration = timescale / profile.frames_per_second;
  std::vector<Sample> loop;
  std::int64_t first_decode_time = 0;
  encode(
      codec.get(), frame.get(), gops * gop_frames, static_cast<int>(frame_duration),
      [&](AVFrame& picture, int n) {
        for (int y = 0; y < picture.height; ++y) {
          for (int x = 0; x < picture.width; ++x)
            picture.data[0][y * picture.linesize[0] + x] = static_cast<std::uint8_t>(x + y + n * 3);
        }
        for (int y = 0; y < picture.height / 2; ++y) {
          for (int x = 0; x < picture.width / 2; ++x) {
            picture.data[1][y * picture.linesize[1] + x] = static_cast<std::uint8_t>(128 + y + n * 2);
            picture.data[2][y * picture.linesize[2] + x] = static_cast<std::uint8_t>(64 + x + n * 5);
          }
        }
      },
      [&](const AVPacket& packet) {
        if (loop.empty()) first_decode_time = packet.dts;
        Sample sample;
        sample.data = length_prefixed(
            std::string(reinterpret_cast<const char*>(packet.data), static_cast<std::size_t>(packet.size)));
        sample.decode_time = packet.dts - first_decode_time;
        sample.presentation_time = packet.pts - first_decode_time;
        sample.duration = frame_duration;
        sample.key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
        loop.push_back(std::move(sample));
      });
  require(loop.size() == static_cast<std::size_t>(gops * gop_frames), "frames lost");
  for (std::size_t i = 0; i < loop.size(); ++i)
    require(loop[i].key == (i % static_cast<std::size_t>(gop_frames) == 0), "a GOP is not where it should be");
  return std::make_shared<VideoLoop>(profile, codec.get(), std::move(loop), frame_duration);
}

namespace {

// --- sound
// ----------------------------------------------------------------------------------------------------------------

constexpr int sample_rate = 48000;

template <class Base>
class AudioLoop final : public Base {
 public:
  AudioLoop(const AVCodecContext* codec, std::vector<Sample> loop, std::int64_t frame_size)
      : Base(parameters_of(codec), sample_rate, frame_size) {
    Base::loop_ = std::move(loop);
    Base::parameters_->frame_size = static_cast<int>(frame_size);
  }

 protected:
  Sample sample(std::int64_t index, std::int64_t) const override {
    Sample result = Base::loop_[static_cast<std::size_t>(index) % Base::loop_.size()];
    result.decode_time = result.presentation_time = index * Base::sample_duration_;
    return result;
  }
};

class WebmLoop : public Loop {
 public:
  using Loop::Loop;

  // Through the webm muxer with one packet too many, cut before its first Cluster: the header as the muxer finishes
  // it.
  std::string init_segment() const override {
    const auto file = mux(live_webm, parameters_.get(), {1, sample_rate}, samples(0, 1), 0);
    return file.substr(0, file.find(cluster_id));
  }

  std::string segment(std::int64_t start, std::int64_t seconds, std::int64_t time_base) const override {
    const auto file =
        mux(live_webm, parameters_.get(), {1, sample_rate}, samples(start, seconds), time_base * sample_rate);
    return file.substr(file.find(cluster_id));
  }

 private:
  inline static const std::string cluster_id{"\x1F\x43\xB6\x75", 4};
};

template <class Base>
std::shared_ptr<const TrackLoop> make_audio(const char* encoder_name, AVSampleFormat format) {
  const AVCodec* encoder = avcodec_find_encoder_by_name(encoder_name);
  require(encoder != nullptr, "no audio encoder");
  const Codec codec(avcodec_alloc_context3(encoder));
  codec->sample_rate = sample_rate;
  codec->sample_fmt = format;
  codec->bit_rate = 64000;
  codec->time_base = {1, sample_rate};
  av_channel_layout_default(&codec->ch_layout, 1);
  codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  require(avcodec_open2(codec.get(), encoder, nullptr) >= 0, "audio encoder");

  const Frame frame(av_frame_alloc());
  frame->format = codec->sample_fmt;
  frame->nb_samples = codec->frame_size;
  frame->sample_rate = sample_rate;
  av_channel_layout_copy(&frame->ch_layout, &codec->ch_layout);
  require(av_frame_get_buffer(frame.get(), 0) >= 0, "audio buffer");
  std::vector<Sample> loop;
  double phase = 0;
  constexpr int frames = 500;  // about ten seconds, no two alike
  encode(
      codec.get(), frame.get(), frames, codec->frame_size,
      [&](AVFrame& sound, int n) {
        auto* out = reinterpret_cast<float*>(sound.data[0]);
        for (int i = 0; i < sound.nb_samples; ++i) {
          phase += 2 * M_PI * (200.0 + n) / sample_rate;
          out[i] = static_cast<float>(0.3 * std::sin(phase));
        }
      },
      [&](const AVPacket& packet) {
        loop.push_back(
            {std::string(reinterpret_cast<const char*>(packet.data), static_cast<std::size_t>(packet.size)), 0, 0,
             codec->frame_size, true});
      });
  return std::make_shared<AudioLoop<Base>>(codec.get(), std::move(loop), codec->frame_size);
}

}  // namespace

std::shared_ptr<const TrackLoop> make_aac() { return make_audio<Mp4Loop>("aac", AV_SAMPLE_FMT_FLTP); }
std::shared_ptr<const TrackLoop> make_opus_webm() { return make_audio<WebmLoop>("libopus", AV_SAMPLE_FMT_FLT); }

}  // namespace fake_rhombus
