#include "responder/archive/spool.hpp"

#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

namespace responder::archive {

namespace fs = std::filesystem;

namespace {

const std::string aside_prefix = "set-aside-";

}  // namespace

Spool::Spool(fs::path directory, std::uint64_t max_bytes, std::uint64_t min_free_bytes)
    : directory_(std::move(directory)), max_bytes_(max_bytes), min_free_bytes_(min_free_bytes) {}

Result<void> Spool::create() const {
  for (const auto* folder : {"ready", "pictures"}) {
    if (auto made = make_directories(directory_ / folder); !made) return made;
  }
  return make_directories(work());
}

Result<fs::path> Spool::belong_to(const std::string& journal_id, std::string stamp) const {
  const auto file = directory_ / "journal-id";
  const auto known = read_file(file);
  if (known && *known == journal_id) return fs::path();
  if (!known && known.error().kind != ErrorKind::not_found) return known.error();
  fs::path aside;
  std::error_code failed;
  if (known && !fs::is_empty(directory_ / "ready", failed)) {
    std::erase(stamp, ':');
    aside = directory_ / (aside_prefix + stamp);
    fs::rename(directory_ / "ready", aside, failed);
    if (failed)
      return errno_error(failed.value(), fmt::format("cannot set {} aside", (directory_ / "ready").string()));
    if (auto made = make_directories(directory_ / "ready"); !made) return made.error();
  }
  auto output = OutputFile::create(file, OutputFile::Mode::truncate);
  if (!output) return output.error();
  auto written = output->write(journal_id);
  if (written) written = output->sync();
  if (written) written = output->close();
  if (written) written = sync_directory(directory_);
  if (!written) return written.error();
  return aside;
}

fs::path Spool::ready_clip(std::int64_t capture) const {
  return directory_ / "ready" / fmt::format("{}.mp4", capture);
}

fs::path Spool::ready_thumbnail(std::int64_t capture) const {
  return directory_ / "ready" / fmt::format("{}.jpg", capture);
}

fs::path Spool::picture_mark(std::int64_t capture) const {
  return directory_ / "pictures" / fmt::format("{}", capture);
}

Error Spool::full() const {
  return {ErrorKind::no_space,
          fmt::format("the spool is full ({} of {} MiB): bring the archive back or raise capture.spool_max_bytes",
                      used_.load() >> 20U, max_bytes_ >> 20U)};
}

Result<void> Spool::check_room() const {
  if (used_ >= max_bytes_) return full();
  const auto left = free_bytes(directory_);
  if (!left || !*left || **left >= min_free_bytes_) return {};
  return Error{ErrorKind::no_space,
               fmt::format("{} has {} MiB free, archive.min_free_bytes keeps {} MiB: make room or lower it",
                           directory_.string(), **left >> 20U, min_free_bytes_ >> 20U)};
}

Result<Spool::Reservation> Spool::reserve(std::uint64_t bytes) {
  constexpr std::uint64_t percent_for_fetching = 60;  // the rest is for putting clips together
  const std::uint64_t most = max_bytes_ / 100 * percent_for_fetching;
  if (auto room = check_room(); !room) return room.error();
  auto reserved = reserved_.lock();
  if (used_ >= most || (*reserved > 0 && used_ + *reserved + bytes > most)) return full();
  *reserved += bytes;
  return Reservation(*this, bytes);
}

void Spool::measure() {
  std::uint64_t total = 0;
  std::error_code failed;
  const auto options = fs::directory_options::skip_permission_denied;
  for (auto entry = fs::recursive_directory_iterator(directory_, options, failed);
       !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    std::error_code gone;
    // Nobody takes from there, so it must not keep anybody waiting.
    if (entry.depth() == 0 && entry->path().filename().string().starts_with(aside_prefix))
      entry.disable_recursion_pending();
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
