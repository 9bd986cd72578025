// FFmpeg's libraries, loaded when footage is first put together and not when the program starts: with all that they
// need they are more than a hundred, which cost every command a twentieth of a second.
//
// In this namespace the name of each of their functions is a pointer to it, which is null until load_libav() has
// succeeded. One owner type for each handle: input and output contexts are closed in different ways.
#pragma once

#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/dict.h>
#include <libavutil/mathematics.h>
#include <libavutil/mem.h>
#include <libswscale/swscale.h>
}

#include "responder/base/error.hpp"

// clang-format off
#define RESPONDER_LIBAV_FUNCTIONS(X)                                                                                 \
  X(av_dict_free) X(av_dict_set) X(av_find_best_stream) X(av_find_input_format) X(av_frame_alloc)                    \
  X(av_frame_free) X(av_frame_get_buffer) X(av_freep) X(av_log_set_level) X(av_malloc) X(av_max_alloc)               \
  X(av_packet_alloc) X(av_packet_free) X(av_packet_ref) X(av_packet_unref) X(av_read_frame) X(av_rescale_q)          \
  X(av_seek_frame) X(av_stream_get_side_data) X(av_stream_new_side_data) X(av_strerror) X(av_write_frame)            \
  X(av_write_trailer) X(avcodec_alloc_context3) X(avcodec_find_decoder) X(avcodec_find_encoder)                      \
  X(avcodec_free_context) X(avcodec_get_name) X(avcodec_open2) X(avcodec_parameters_copy)                            \
  X(avcodec_parameters_to_context) X(avcodec_receive_frame) X(avcodec_receive_packet) X(avcodec_send_frame)          \
  X(avcodec_send_packet) X(avformat_alloc_context) X(avformat_alloc_output_context2) X(avformat_close_input)         \
  X(avformat_free_context) X(avformat_new_stream) X(avformat_open_input) X(avformat_write_header)                    \
  X(avio_alloc_context) X(avio_closep) X(avio_context_free) X(avio_open) X(sws_freeContext) X(sws_getContext)        \
  X(sws_scale)
// clang-format on

namespace responder::media {

#define RESPONDER_LIBAV_POINTER(name) inline decltype(&::name) name = nullptr;
RESPONDER_LIBAV_FUNCTIONS(RESPONDER_LIBAV_POINTER)
#undef RESPONDER_LIBAV_POINTER

struct InputClose {
  void operator()(AVFormatContext* context) const { avformat_close_input(&context); }
};
struct OutputFree {
  void operator()(AVFormatContext* context) const {
    // Open only when writing was given up: whoever finishes a file closes it and looks at the answer.
    if (context->pb != nullptr) avio_closep(&context->pb);
    avformat_free_context(context);
  }
};
struct PacketFree {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
struct IoFree {
  void operator()(AVIOContext* io) const {
    av_freep(&io->buffer);  // libav may have replaced the one we gave it
    avio_context_free(&io);
  }
};

using InputContext = std::unique_ptr<AVFormatContext, InputClose>;
using OutputContext = std::unique_ptr<AVFormatContext, OutputFree>;
using Packet = std::unique_ptr<AVPacket, PacketFree>;
using IoContext = std::unique_ptr<AVIOContext, IoFree>;

class Dictionary {
 public:
  Dictionary() = default;
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  ~Dictionary() { av_dict_free(&entries_); }
  void set(const char* key, const std::string& value) { av_dict_set(&entries_, key, value.c_str(), 0); }
  AVDictionary** address() { return &entries_; }

 private:
  AVDictionary* entries_ = nullptr;
};

// Called before any of these names is used. Any thread may call it, as often as it likes; a failure is tried again
// the next time, as a package may have been installed. Transient: the footage is not at fault.
//
// libav's own remarks are for its developers and are not logged. A table of a broken initialization may claim
// gigabytes: no allocation goes beyond a limit that no packet, table or plane of a picture that we let pass comes
// near.
Result<void> load_libav();

// libav's codes as errors: the one table. Negative errno values among them are the disk's.
Error av_error(int code, std::string_view what);

}  // namespace responder::media
