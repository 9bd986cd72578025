#include "clip_reader.hpp"

#include <fstream>

extern "C" {
#include <libavformat/avformat.h>
}

namespace responder::test {
namespace {

bool index_before_data(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  unsigned char header[8];
  while (file.read(reinterpret_cast<char*>(header), sizeof header)) {
    const std::string type(reinterpret_cast<char*>(header) + 4, 4);
    if (type == "moov") return true;
    if (type == "mdat") return false;
    const auto size = static_cast<std::streamoff>(header[0]) << 24 | header[1] << 16 | header[2] << 8 | header[3];
    if (size < 8) return false;
    file.seekg(size - 8, std::ios::cur);
  }
  return false;
}

}  // namespace

Clip read_clip(const std::filesystem::path& path) {
  Clip clip;
  AVFormatContext* input = nullptr;
  if (avformat_open_input(&input, path.c_str(), nullptr, nullptr) != 0) return clip;
  clip.readable = avformat_find_stream_info(input, nullptr) >= 0;
  clip.index_first = index_before_data(path);
  clip.streams.resize(input->nb_streams);
  clip.start_time = static_cast<double>(input->start_time) / AV_TIME_BASE;
  const AVDictionaryEntry* tag = nullptr;
  while ((tag = av_dict_get(input->metadata, "", tag, AV_DICT_IGNORE_SUFFIX)) != nullptr)
    clip.tags[tag->key] = tag->value;
  AVPacket* packet = av_packet_alloc();
  while (av_read_frame(input, packet) == 0) {
    const auto* stream = input->streams[packet->stream_index];
    clip.streams[static_cast<std::size_t>(packet->stream_index)].push_back(
        {std::string(reinterpret_cast<char*>(packet->data), static_cast<std::size_t>(packet->size)),
         static_cast<double>(packet->pts) * av_q2d(stream->time_base)});
    av_packet_unref(packet);
  }
  av_packet_free(&packet);
  avformat_close_input(&input);
  return clip;
}

}  // namespace responder::test
