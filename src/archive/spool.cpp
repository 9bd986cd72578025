#include "responder/archive/spool.hpp"

#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

namespace responder::archive {

namespace fs = std::filesystem;

Result<fs::path> Spool::folder_of(std::int64_t capture) const {
  const auto folder = directory_ / std::to_string(capture);
  if (auto made = make_directories(folder); !made) return made.error();
  return folder;
}

void Spool::remove(std::int64_t capture) const {
  std::error_code failed;
  fs::remove_all(directory_ / std::to_string(capture), failed);
  if (failed) spdlog::warn("spool: cannot remove the folder of capture {}: {}", capture, failed.message());
}

void Spool::sweep(const std::function<bool(std::int64_t)>& still_wanted) const {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory_, failed)) {
    const auto capture = parse_int(entry.path().filename().string());
    if (capture && !still_wanted(*capture)) remove(*capture);
  }
}

}  // namespace responder::archive
