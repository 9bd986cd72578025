#include "responder/media/thumbnail.hpp"

#include "responder/base/file.hpp"

#include "libav.hpp"

namespace responder::media {
namespace {

struct CodecFree {
  void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
};
struct FrameFree {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct ScalerFree {
  void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
};
using Codec = std::unique_ptr<AVCodecContext, CodecFree>;
using Frame = std::unique_ptr<AVFrame, FrameFree>;
using Scaler = std::unique_ptr<SwsContext, ScalerFree>;

constexpr std::string_view what = "no thumbnail";
constexpr std::int64_t most_pixels = 8192LL * 8192;

// The key frame at `at` or after it, else the last one before.
Result<void> find_key_frame(AVFormatContext& input, int stream, Micros at, AVPacket& packet) {
  const auto ticks = av_rescale_q(at.count(), {1, 1'000'000}, input.streams[stream]->time_base);
  if (av_seek_frame(&input, stream, ticks, 0) < 0) {
    if (const int code = av_seek_frame(&input, stream, ticks, AVSEEK_FLAG_BACKWARD); code < 0)
      return av_error(code, what);
  }
  while (true) {
    av_packet_unref(&packet);
    if (const int code = av_read_frame(&input, &packet); code < 0) return av_error(code, what);
    if (packet.stream_index == stream && (packet.flags & AV_PKT_FLAG_KEY) != 0) return {};
  }
}

Result<Frame> decode(const AVCodecParameters& parameters, const AVPacket& packet) {
  const AVCodec* decoder = avcodec_find_decoder(parameters.codec_id);
  if (decoder == nullptr) return av_error(AVERROR_DECODER_NOT_FOUND, what);
  const Codec codec(avcodec_alloc_context3(decoder));
  Frame frame(av_frame_alloc());
  if (!codec || !frame) return av_error(AVERROR(ENOMEM), what);
  if (const int code = avcodec_parameters_to_context(codec.get(), &parameters); code < 0) return av_error(code, what);
  codec->thread_count = 1;  // each more would cost memory
  codec->max_pixels = most_pixels;
  if (const int code = avcodec_open2(codec.get(), decoder, nullptr); code < 0) return av_error(code, what);
  for (const auto* sent : {&packet, static_cast<const AVPacket*>(nullptr)}) {
    if (const int code = avcodec_send_packet(codec.get(), sent); code < 0) return av_error(code, what);
  }
  if (const int code = avcodec_receive_frame(codec.get(), frame.get()); code < 0) return av_error(code, what);
  return frame;
}

Result<Frame> scale(const AVFrame& picture) {
  Frame small(av_frame_alloc());
  if (!small) return av_error(AVERROR(ENOMEM), what);
  small->format = AV_PIX_FMT_YUVJ420P;
  small->width = thumbnail_width;
  small->height = std::max(2, picture.height * thumbnail_width / std::max(1, picture.width) / 2 * 2);
  if (const int code = av_frame_get_buffer(small.get(), 0); code < 0) return av_error(code, what);
  const Scaler scaler(sws_getContext(picture.width, picture.height, static_cast<AVPixelFormat>(picture.format),
                                     small->width, small->height, AV_PIX_FMT_YUVJ420P, SWS_BILINEAR, nullptr, nullptr,
                                     nullptr));
  if (!scaler) return av_error(AVERROR(ENOMEM), what);
  sws_scale(scaler.get(), picture.data, picture.linesize, 0, picture.height, small->data, small->linesize);
  return small;
}

Result<Packet> encode(const AVFrame& picture) {
  const AVCodec* encoder = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
  if (encoder == nullptr) return av_error(AVERROR_ENCODER_NOT_FOUND, what);
  const Codec codec(avcodec_alloc_context3(encoder));
  Packet packet(av_packet_alloc());
  if (!codec || !packet) return av_error(AVERROR(ENOMEM), what);
  codec->width = picture.width;
  codec->height = picture.height;
  codec->pix_fmt = AV_PIX_FMT_YUVJ420P;
  codec->time_base = {1, 1};
  codec->thread_count = 1;
  codec->flags |= AV_CODEC_FLAG_QSCALE;
  constexpr int good_quality = 4;
  codec->global_quality = FF_QP2LAMBDA * good_quality;
  if (const int code = avcodec_open2(codec.get(), encoder, nullptr); code < 0) return av_error(code, what);
  if (const int code = avcodec_send_frame(codec.get(), &picture); code < 0) return av_error(code, what);
  if (const int code = avcodec_receive_packet(codec.get(), packet.get()); code < 0) return av_error(code, what);
  return packet;
}

}  // namespace

Result<void> write_thumbnail(const std::filesystem::path& clip, Micros at, const std::filesystem::path& output) {
  if (auto loaded = load_libav(); !loaded) return loaded;
  AVFormatContext* raw = nullptr;
  if (const int code = avformat_open_input(&raw, clip.c_str(), nullptr, nullptr); code < 0)
    return av_error(code, what);
  const InputContext input(raw);
  const int stream = av_find_best_stream(input.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (stream < 0) return av_error(stream, what);
  const Packet packet(av_packet_alloc());
  if (!packet) return av_error(AVERROR(ENOMEM), what);
  if (auto found = find_key_frame(*input, stream, at, *packet); !found) return found;
  const auto picture = decode(*input->streams[stream]->codecpar, *packet);
  if (!picture) return picture.error();
  const auto small = scale(**picture);
  if (!small) return small.error();
  const auto jpeg = encode(**small);
  if (!jpeg) return jpeg.error();
  auto file = OutputFile::create(output, OutputFile::Mode::truncate);
  if (!file) return file.error();
  const auto bytes =
      std::string_view(reinterpret_cast<const char*>((*jpeg)->data), static_cast<std::size_t>((*jpeg)->size));
  if (auto written = file->write(bytes); !written) return written;
  return file->close();
}

}  // namespace responder::media
