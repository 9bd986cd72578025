// One owner type for each libav handle; input and output contexts are closed in different ways and so have different
// types.
#pragma once

#include <memory>
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/dict.h>
#include <libavutil/mathematics.h>
#include <libavutil/mem.h>
}

#include "responder/base/error.hpp"

namespace responder::media {

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

// Called before libav is used. Its own remarks are for its developers, and would stand in the log as they are. A
// table of a broken initialization may claim gigabytes; no packet, table or plane of a picture that we let pass comes
// near the limit. Any thread may call it, as often as it likes.
void tame_libav();

// libav's codes as errors: the one table. Negative errno values among them are the disk's.
Error av_error(int code, std::string_view what);

}  // namespace responder::media
