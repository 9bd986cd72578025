#include "responder/archive/spool.hpp"

#include <fmt/format.h>

#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

namespace responder::archive {

namespace fs = std::filesystem;

namespace {

// Removes files that are named by the ids of captures, but for those that are still `wanted`.
void sweep(const fs::path& folder, const std::function<bool(std::int64_t)>& wanted) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    const auto capture = parse_int(entry.path().stem().string());
    if (capture && wanted(*capture)) continue;
    std::error_code ignored;
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace

std::uint64_t bytes_in(const fs::path& folder) {
  std::uint64_t total = 0;
  std::error_code failed;
  const auto options = fs::directory_options::skip_permission_denied;
  for (auto entry = fs::recursive_directory_iterator(folder, options, failed);
       !failed && entry != fs::recursive_directory_iterator(); entry.increment(failed)) {
    std::error_code gone;
    if (!entry->is_regular_file(gone)) continue;
    const auto size = entry->file_size(gone);
    if (!gone) total += size;
  }
  return total;
}

Spool::Spool(fs::path directory, SpoolLimits limits, const Clock& clock)
    : directory_(std::move(directory)), limits_(limits), clock_(clock), budget_(SpoolBudget(limits)) {}

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
    aside = directory_ / ("set-aside-" + stamp);
    fs::rename(directory_ / "ready", aside, failed);
    if (failed)
      return errno_error(failed.value(), fmt::format("cannot set {} aside", (directory_ / "ready").string()));
    if (auto made = make_directories(directory_ / "ready"); !made) return made.error();
  }
  sweep_picture_marks([](std::int64_t) { return false; });
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

std::optional<std::uint64_t> Spool::disk_free() const {
  const auto free = free_bytes(directory_);
  return free ? *free : std::nullopt;
}

// An archive that takes clips, if slowly, lets one go within that time.
bool Spool::clips_stay(const SpoolRefusal& refusal) const {
  constexpr std::chrono::minutes longest{1};
  return clock_.steady_now() - refusal.since >= longest;
}

Error Spool::error_of(const SpoolRefusal& refusal) const {
  const auto mib = [](std::uint64_t bytes) { return (bytes + (1U << 20U) - 1) >> 20U; };
  const auto& contents = refusal.contents;
  const auto disk =
      fmt::format("the disk of the spool {} has {} MiB free, {} MiB have to stay free", directory_.string(),
                  contents.disk_free.value_or(0) >> 20U, mib(limits_.min_free_bytes));
  std::string text;
  switch (refusal.cause) {
    case SpoolRefusal::Cause::queueing:
      text = fmt::format(
          "waits for room in the spool: {} MiB more are needed; of {} MiB {} are used and {} reserved by other "
          "captures",
          mib(refusal.asked), mib(limits_.max_bytes), mib(contents.footage + contents.clips), mib(refusal.reserved));
      break;
    case SpoolRefusal::Cause::clips_wait:
      text = fmt::format(
          "the spool is full of finished clips that wait for the archive ({} MiB of clips, capture.spool_max_bytes "
          "is {} MiB){}",
          mib(contents.clips), mib(limits_.max_bytes),
          clips_stay(refusal) ? ", and none has left for a minute: bring the archive back" : "");
      break;
    case SpoolRefusal::Cause::disk: text = disk + ": make room on it, or lower archive.min_free_bytes"; break;
    case SpoolRefusal::Cause::too_large:
      text = fmt::format(
          "{}, though the spool holds nothing but this capture's own {} MiB of footage: make room, move "
          "capture.spool_directory to a larger disk, or ask for shorter files",
          disk, mib(contents.footage));
      break;
  }
  return {ErrorKind::no_space, std::move(text)};
}

std::variant<Spool::Claim, Spool::Refused> Spool::claim(CaptureId capture, const SpoolNeed& need) {
  const auto free = disk_free();
  auto budget = budget_.lock();
  budget->set_disk_free(free);
  const auto admitted = budget->admit(capture, need, clock_.steady_now());
  if (const auto* refusal = std::get_if<SpoolRefusal>(&admitted)) return Refused{refusal->cause, error_of(*refusal)};
  return Claim(*this, std::get<SpoolBudget::ClaimId>(admitted));
}

Spool::Claim::~Claim() {
  if (spool_ == nullptr) return;
  auto budget = spool_->budget_.lock();
  settle(*budget);
  budget->release(id_);
}

void Spool::Claim::settle(SpoolBudget& budget) { budget.add_fetched(id_, fetched_.exchange(0)); }

void Spool::Claim::note_refusal(const SpoolRefusal& refusal) {
  refused_for_ = refusal.cause;
  is_refused_ = true;
}

Result<void> Spool::Claim::check() {
  const auto free = spool_->disk_free();
  auto budget = spool_->budget_.lock();
  settle(*budget);
  budget->set_disk_free(free);
  const auto refusal = budget->check(id_, spool_->clock_.steady_now());
  if (!refusal) return {};
  note_refusal(*refusal);
  return spool_->error_of(*refusal);
}

void Spool::Claim::note_disk_full(std::uint64_t bytes) {
  const auto free = spool_->disk_free();
  auto budget = spool_->budget_.lock();
  settle(*budget);
  budget->set_disk_free(free);
  note_refusal(budget->note_disk_full(id_, bytes, spool_->clock_.steady_now()));
}

bool Spool::Claim::has_room_beside() {
  const auto free = spool_->disk_free();
  auto budget = spool_->budget_.lock();
  settle(*budget);
  budget->set_disk_free(free);
  return budget->has_room_beside(id_);
}

Result<void> Spool::check_room() {
  const auto free = disk_free();
  auto budget = budget_.lock();
  budget->set_disk_free(free);
  const auto trouble = budget->trouble(clock_.steady_now());
  const bool is_passing = trouble && trouble->cause == SpoolRefusal::Cause::clips_wait && !clips_stay(*trouble);
  return trouble && !is_passing ? Result<void>(error_of(*trouble)) : Result<void>{};
}

std::uint64_t Spool::used() {
  const SpoolContents contents = budget_.lock()->contents();
  return contents.footage + contents.clips;
}

void Spool::measure() {
  const SpoolContents contents{bytes_in(work()), bytes_in(directory_ / "ready"), disk_free()};
  budget_.lock()->set_contents(contents);
}

void Spool::sweep_ready(const std::function<bool(std::int64_t)>& still_wanted) const {
  sweep(directory_ / "ready", still_wanted);
}

void Spool::sweep_picture_marks(const std::function<bool(std::int64_t)>& still_open) const {
  sweep(directory_ / "pictures", still_open);
}

}  // namespace responder::archive
