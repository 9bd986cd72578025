#include "responder/archive/spool.hpp"

#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

namespace responder::archive {

namespace fs = std::filesystem;

Spool::Spool(fs::path directory, std::uint64_t max_bytes, std::uint64_t min_free_bytes)
    : directory_(std::move(directory)), max_bytes_(max_bytes), min_free_bytes_(min_free_bytes) {}

Result<void> Spool::create() const {
  if (auto made = make_directories(directory_ / "ready"); !made) return made;
  return make_directories(work());
}

fs::path Spool::ready_clip(std::int64_t capture) const {
  return directory_ / "ready" / fmt::format("{}.mp4", capture);
}

fs::path Spool::ready_thumbnail(std::int64_t capture) const {
  return directory_ / "ready" / fmt::format("{}.jpg", capture);
}

Result<void> Spool::check_room() const {
  constexpr std::uint64_t percent_for_fetching = 60;
  return check(used_, max_bytes_ / 100 * percent_for_fetching);
}

Result<void> Spool::check_room_for_clip(std::uint64_t bytes) const { return check(used_ + bytes, max_bytes_); }

Result<void> Spool::check(std::uint64_t used, std::uint64_t bound) const {
  if (used >= bound) {
    return Error{ErrorKind::no_space, fmt::format("the spool is full ({} of {} MiB): bring the archive back or raise "
                                                  "capture.spool_max_bytes",
                                                  used_.load() >> 20U, max_bytes_ >> 20U)};
  }
  const auto left = free_bytes(directory_);
  if (!left || *left >= min_free_bytes_) return {};
  return Error{ErrorKind::no_space,
               fmt::format("{} has {} MiB free, archive.min_free_bytes keeps {} MiB: make room or lower it",
                           directory_.string(), *left >> 20U, min_free_bytes_ >> 20U)};
}

void Spool::measure() {
  std::uint64_t total = 0;
  std::error_code failed;
  const auto options = fs::directory_options::skip_permission_denied;
  for (auto entry = fs::recursive_directory_iterator(directory_, options, failed);
       !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    std::error_code gone;
    if (entry->is_regular_file(gone)) {
      const auto size = entry->file_size(gone);
      if (!gone) total += size;
    }
  }
  used_ = total;
}

void Spool::sweep_ready(const std::function<bool(std::int64_t)>& still_wanted) const {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory_ / "ready", failed)) {
    const auto capture = parse_int(entry.path().stem().string());
    if (capture && still_wanted(*capture)) continue;
    std::error_code ignored;
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace responder::archive
