// What a player finds in a clip.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace responder::test {

struct ClipPacket {
  std::string data;
  double presentation = 0;  // seconds
};

struct Clip {
  bool readable = false;
  std::vector<std::vector<ClipPacket>> streams;  // video first
  std::map<std::string, std::string> tags;
  double start_time = 0;
  bool index_first = false;
};

Clip read_clip(const std::filesystem::path& path);

}  // namespace responder::test
