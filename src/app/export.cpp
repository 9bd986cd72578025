// export: clips with what stands beside them, copied out of the archive and checked on the way, to be handed over.
#include <fmt/format.h>

#include "responder/archive/archive.hpp"
#include "responder/archive/hand_over.hpp"
#include "responder/base/file.hpp"
#include "responder/base/text.hpp"
#include "responder/capture/sidecar.hpp"

#include "alert_words.hpp"
#include "archive_marker.hpp"
#include "clip_check.hpp"
#include "commands.hpp"
#include "progress_line.hpp"
#include "run_as.hpp"
#include "set_up.hpp"
#include "signals.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;
using archive::HandOver;
using journal::Capture;

class Export {
 public:
  Export(const Config& config, journal::Journal journal, HandOver folder, std::string to, const Signals& signals)
      : journal_(std::move(journal)),
        archive_(config.archive.directory, config.archive.layout, config.archive.timezone, 0),
        folder_(std::move(folder)),
        to_(std::move(to)),
        signals_(signals),
        progress_line_(clock_) {}

  int run(const std::vector<Capture>& captures);

 private:
  Result<void> export_capture(Capture row);
  Result<void> export_clip(Capture& row);
  Result<std::optional<Capture>> look_again(const Capture& row, const Result<archive::FileDigest>& read);
  Result<void> export_sidecar(const Capture& row);
  Result<void> export_picture(const Capture& row);
  fs::path path_of(const Capture& row) const { return archive_.directory() / row.published->clip; }

  journal::Journal journal_;
  archive::Archive archive_;
  HandOver folder_;
  const std::string to_;
  const Signals& signals_;
  SystemClock clock_;
  ProgressLine progress_line_;
  std::uint64_t bytes_ = 0;
  std::uint64_t total_bytes_ = 0;
  std::size_t exported_ = 0;
  bool interrupted_ = false;
  const HandOver::Progress progress_ = [this](std::size_t bytes) {
    bytes_ += bytes;
    progress_line_.show(fmt::format("{} clips", exported_), bytes_, total_bytes_);
    interrupted_ = interrupted_ || signals_.wait_for(std::chrono::milliseconds(0));
    return !interrupted_;
  };
};

// The clip as the journal has recorded it. A better one may take its place meanwhile; then `row` is the new one.
Result<void> Export::export_clip(Capture& row) {
  constexpr int most_replacements = 3;
  for (int attempt = 1;; ++attempt) {
    const auto path = path_of(row);
    const auto name = path.filename().string();
    const auto there = folder_.has(name, row.published->sha256, progress_);
    if (!there) return there.error();
    if (*there) return {};
    auto copy = folder_.copy(path, name, progress_);
    if (!copy && copy.error().kind == ErrorKind::cancelled) return copy.error();
    const auto read = copy ? Result<archive::FileDigest>(copy->digest()) : copy.error();
    const auto finding = judge_clip(*row.published, read);
    if (!finding) return folder_.keep(std::move(*copy), progress_);
    auto now = look_again(row, read);
    if (!now) return now.error();
    if (!*now || !(*now)->published || is_same_clip(row, **now) || attempt == most_replacements)
      return Error{ErrorKind::permanent, finding->text};
    row = std::move(**now);
  }
}

// The row as it is now. A clip that has just come is there a moment before its row says so: that is waited for.
Result<std::optional<Capture>> Export::look_again(const Capture& row, const Result<archive::FileDigest>& read) {
  constexpr std::chrono::milliseconds interval{250};
  constexpr int most_looks = 40;
  const auto sidecar = path_of(row).replace_extension(".json");
  auto now = journal_.find(row.id);
  for (int looks = 1; looks < most_looks; ++looks) {
    const bool is_coming = now && *now && (*now)->published && is_same_clip(row, **now) && read &&
                           is_just_published(**now, *read, read_file(sidecar));
    if (!is_coming) break;
    clock_.sleep(interval, {});
    now = journal_.find(row.id);
  }
  return now;
}

// Only the clip's own: it is what the clip is known by elsewhere.
Result<void> Export::export_sidecar(const Capture& row) {
  const auto path = path_of(row).replace_extension(".json");
  const auto text = read_file(path);
  if (!text) return with_context(text.error(), "exported without its sidecar");
  const auto known = capture::read_sidecar(*text);
  if (!known) return with_context(known.error(), "exported without its sidecar, which is damaged");
  if (known->published.sha256 != row.published->sha256)
    return Error{ErrorKind::permanent, "exported without its sidecar, which is another clip's"};
  auto copy = folder_.write(*text, path.filename().string());
  return copy ? folder_.keep(std::move(*copy), progress_) : copy.error();
}

// Not every clip has one.
Result<void> Export::export_picture(const Capture& row) {
  const auto path = path_of(row).replace_extension(".jpg");
  auto copy = folder_.copy(path, path.filename().string(), progress_);
  if (copy) return folder_.keep(std::move(*copy), progress_);
  return copy.error().kind == ErrorKind::not_found ? Result<void>{} : copy.error();
}

Result<void> Export::export_capture(Capture row) {
  if (row.removed_at) return Error{ErrorKind::not_found, "its clip was removed by retention"};
  if (!row.published)
    return Error{ErrorKind::not_found, fmt::format("it has no clip: it is {}{}", to_string(row.state),
                                                   row.reason.empty() ? "" : ", " + row.reason)};
  if (auto clip = export_clip(row); !clip) return clip;
  ++exported_;
  fmt::print("{}\n", (fs::path(to_) / path_of(row).filename()).string());
  if (auto picture = export_picture(row); !picture) return picture;
  return export_sidecar(row);
}

int Export::run(const std::vector<Capture>& captures) {
  if (auto there = check_is_archive(archive_, journal_); !there)
    return complain("archive.directory: " + there.error().message, exit_failed);
  for (const auto& row : captures) total_bytes_ += row.published ? row.published->bytes : 0;
  std::size_t wrong = 0;
  for (const auto& row : captures) {
    const auto done = export_capture(row);
    if (interrupted_) break;
    progress_line_.clear();
    if (done) continue;
    ++wrong;
    complain(fmt::format("alert {} on camera {}: {}", row.alert.str(), row.camera.str(),
                         printable(done.error().message, 400)));
  }
  progress_line_.clear();
  // What was exported is listed, whatever became of the rest.
  if (auto listed = folder_.write_sums(); !listed) return complain("--to: " + listed.error().message, exit_failed);
  if (interrupted_)
    return complain(fmt::format("interrupted after {} clips; the same command goes on there", exported_),
                    exit_failed);
  return wrong == 0 ? exit_done : exit_failed;
}

// Of all the alerts.
Result<std::vector<Capture>> find_captures(journal::Journal& journal, const std::vector<AlertId>& alerts) {
  constexpr std::size_t most_cameras = 1000;
  std::vector<Capture> captures;
  for (const auto& alert : alerts) {
    const auto found = journal.each({.alert = alert, .limit = most_cameras},
                                    [&](const Capture& capture) { captures.push_back(capture); });
    if (!found) return found.error();
  }
  return captures;
}

}  // namespace

int export_clips(const Config& config, const ExportOptions& options, const Signals& signals) {
  // What is opened as root would leave files that the service cannot use; what is exported is root's.
  std::optional<journal::Journal> journal;
  const auto opened = with_rights_of_owner(config, [&]() -> Result<void> {
    auto known = open_known_journal_to_look(config);
    if (!known) return known.error();
    journal.emplace(std::move(*known));
    return {};
  });
  if (!opened) return complain(opened.error().message);
  const auto alerts = find_alerts(*journal, options.alerts);
  if (!alerts) return complain(alerts.error().message);
  const auto captures = find_captures(*journal, *alerts);
  if (!captures) return complain(captures.error().message);
  auto folder = HandOver::open(options.to);
  if (!folder) return complain("--to: " + folder.error().message);
  return Export(config, std::move(*journal), std::move(*folder), options.to, signals).run(*captures);
}

}  // namespace responder::app
