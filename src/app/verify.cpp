// verify: every published clip against what the journal has recorded of it; with --repair, what is wrong is captured
// again.
#include <deque>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/archive/archive.hpp"
#include "responder/base/file.hpp"
#include "responder/base/text.hpp"

#include "archive_marker.hpp"
#include "clip_check.hpp"
#include "commands.hpp"
#include "process_lock.hpp"
#include "progress_line.hpp"
#include "set_up.hpp"
#include "signals.hpp"

namespace responder::app {
namespace {

namespace fs = std::filesystem;
using journal::Damage;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* position_fact = "verify";
constexpr std::size_t page = 256;           // captures asked for at a time
constexpr std::size_t least_ahead = 64;     // files in line to be read
constexpr milliseconds look_interval{250};  // at signals, when nothing comes
constexpr seconds save_interval{10};
constexpr milliseconds disk_deadline{10'000};  // for the read in hand, at a stop

// How far a verify has got, as the journal remembers it while it is not finished: "ID CLIPS WRONG REPAIRED".
struct Position {
  journal::CaptureId id = 0;  // all up to it are checked
  std::int64_t clips = 0;
  std::int64_t wrong = 0;
  std::int64_t repaired = 0;  // 1: those that are wrong are in line again, as far as that helps

  static Position parse(std::string_view text) {
    std::vector<std::int64_t> numbers;
    for (const auto& part : split(text, ' ')) numbers.push_back(parse_int(part).value_or(0));
    return numbers.size() == 4 ? Position{numbers[0], numbers[1], numbers[2], numbers[3]} : Position{};
  }
  std::string str() const { return fmt::format("{} {} {} {}", id, clips, wrong, repaired); }
};

class Verification {
 public:
  Verification(const Config& config, const VerifyOptions& options, journal::Journal journal, const Signals& signals)
      : config_(config),
        options_(options),
        signals_(signals),
        journal_(std::move(journal)),
        archive_(config.archive.directory, config.archive.layout, config.archive.timezone, 0),
        digests_(options.bytes_a_second, clock_),
        progress_(clock_),
        saved_at_(clock_.steady_now()) {}

  int run();

 private:
  Result<void> begin();
  Result<void> look_ahead();
  Result<void> work();
  Result<void> settle(const journal::Capture& row, const Result<archive::FileDigest>& read);
  Result<bool> is_replaced(const journal::Capture& row, const Result<archive::FileDigest>& read);
  Result<void> tell(const journal::Capture& row, const ClipFinding& finding);
  Result<std::string> repair(const journal::Capture& row, Damage damage);
  Result<void> welcome_back(const journal::Capture& row);
  Result<journal::Journal*> to_write();
  void save(const std::string& position);
  int conclude(const Result<void>& worked);

  const Config& config_;
  const VerifyOptions& options_;
  const Signals& signals_;
  SystemClock clock_;
  journal::Journal journal_;                 // for looking
  std::optional<journal::Journal> writing_;  // once there is something to write
  archive::Archive archive_;
  archive::BulkDigest digests_;
  std::deque<journal::Capture> ahead_;  // whose clips are in line to be read, in that order
  journal::CaptureId asked_up_to_ = 0;
  bool no_more_ = false;
  Position position_;
  journal::ClipTotals totals_;  // of this run
  ProgressLine progress_;
  SteadyTime saved_at_;
  std::int64_t told_before_ = 0;  // wrong ones, by the run that was interrupted
  std::int64_t put_in_line_ = 0;
  bool interrupted_ = false;
  bool said_not_saved_ = false;
};

Result<void> Verification::begin() {
  if (auto there = check_is_archive(archive_, journal_); !there)
    return with_context(there.error(), "archive.directory");
  const auto left = journal_.fact(position_fact);
  if (!left) return left.error();
  if (*left && !options_.anew) position_ = Position::parse(**left);
  // What was only told of is still to be repaired.
  if (options_.repair && position_.wrong > 0 && position_.repaired == 0) position_ = {};
  position_.repaired = options_.repair ? 1 : 0;
  told_before_ = position_.wrong;
  asked_up_to_ = position_.id;
  if (position_.id > 0) fmt::print("going on after the {} clips that were checked before\n", position_.clips);
  const auto totals = journal_.published_totals(position_.id);
  if (!totals) return totals.error();
  totals_ = *totals;
  return {};
}

Result<void> Verification::look_ahead() {
  if (no_more_ || ahead_.size() >= least_ahead) return {};
  auto rows = journal_.published(asked_up_to_, page);
  if (!rows) return rows.error();
  no_more_ = rows->size() < page;
  for (auto& row : *rows) {
    asked_up_to_ = row.id;
    digests_.add(archive_.directory() / row.published->clip);
    ahead_.push_back(std::move(row));
  }
  return {};
}

Result<void> Verification::work() {
  const auto clips_before = position_.clips;
  while (!interrupted_) {
    if (auto looked = look_ahead(); !looked) return looked;
    if (ahead_.empty()) return {};
    const auto read = digests_.next(look_interval);
    interrupted_ = signals_.wait_for(milliseconds(0)).has_value();
    progress_.show(fmt::format("{} of {} clips", position_.clips - clips_before, totals_.clips),
                   digests_.bytes_hashed(), totals_.bytes);
    if (!read) continue;
    const auto row = std::move(ahead_.front());
    ahead_.pop_front();
    if (auto settled = settle(row, *read); !settled) return settled;
    position_.id = row.id;
    ++position_.clips;
    if (clock_.steady_now() - saved_at_ >= save_interval) save(position_.str());
  }
  return {};
}

Result<void> Verification::settle(const journal::Capture& row, const Result<archive::FileDigest>& read) {
  const auto finding = judge_clip(*row.published, read);
  if (!finding) return row.published->is_sound() || !options_.repair ? Result<void>{} : welcome_back(row);
  const auto replaced = is_replaced(row, read);
  if (!replaced) return replaced.error();
  return *replaced ? Result<void>{} : tell(row, *finding);
}

// Whether the clip is not what is recorded because another has taken its place, or retention has taken it away.
Result<bool> Verification::is_replaced(const journal::Capture& row, const Result<archive::FileDigest>& read) {
  // An archive that went away in the middle is one thing that is wrong, not a thousand.
  if (auto there = check_is_archive(archive_, journal_); !there)
    return with_context(there.error(), "archive.directory");
  const auto now = journal_.find(row.id);
  if (!now) return now.error();
  // What came in its place was hashed when it came.
  if (!*now || !is_same_clip(row, **now)) return true;
  const auto sidecar = (archive_.directory() / row.published->clip).replace_extension(".json");
  return read && is_just_published(**now, *read, read_file(sidecar));
}

Result<void> Verification::tell(const journal::Capture& row, const ClipFinding& finding) {
  std::string outcome;
  if (options_.repair && finding.damage != Damage::none) {
    auto repaired = repair(row, finding.damage);
    if (!repaired) return repaired.error();
    outcome = "; " + *repaired;
  }
  ++position_.wrong;
  progress_.clear();
  fmt::print("{}  alert {}  camera {}  {}{}\n", printable(row.published->clip, 400), row.alert.str(),
             row.camera.str(), printable(finding.text, 400), outcome);
  return {};
}

// Puts the capture back in line: whoever works on captures takes it, a serve or the next catch-up. What came of it.
Result<std::string> Verification::repair(const journal::Capture& row, Damage damage) {
  const auto writing = to_write();
  if (!writing) return writing.error();
  const auto put_in_line = (*writing)->repair(row, damage, clock_.wall_now());
  if (!put_in_line) return put_in_line.error();
  if (*put_in_line) {
    ++put_in_line_;
    return std::string("it is in line to be captured again");
  }
  const auto now = journal_.find(row.id);
  if (!now) return now.error();
  const bool is_final = *now && (*now)->state != journal::State::waiting &&
                        (*now)->state != journal::State::capturing && !(*now)->next_attempt_at;
  if (is_final)
    return fmt::format("not to be had again: {} (rhombus-responder retry {} tries all the same)",
                       printable((*now)->reason, 300), row.alert.str());
  return std::string("its capture is being worked on already");
}

// A clip that was wrong and is not any more: somebody has put it back.
Result<void> Verification::welcome_back(const journal::Capture& row) {
  const auto writing = to_write();
  if (!writing) return writing.error();
  const auto sound = (*writing)->set_sound(row, clock_.wall_now());
  if (!sound) return sound.error();
  progress_.clear();
  if (*sound) fmt::print("{}  alert {}  is sound again\n", printable(row.published->clip, 400), row.alert.str());
  return {};
}

Result<journal::Journal*> Verification::to_write() {
  if (!writing_) {
    auto opened = open_known_journal(config_);
    if (!opened) return opened.error();
    writing_.emplace(std::move(*opened));
  }
  return &*writing_;
}

// Not worth ending for, nor waiting long: then the next verify begins a little earlier.
void Verification::save(const std::string& position) {
  constexpr milliseconds patience{200};
  saved_at_ = clock_.steady_now();
  const auto writing = to_write();
  auto saved = writing ? Result<void>{} : writing.error();
  if (writing) {
    (*writing)->set_patience(patience);
    saved = (*writing)->set_fact(position_fact, position);
    (*writing)->set_patience(journal::Journal::usual_patience);
  }
  if (saved) return;
  if (!std::exchange(said_not_saved_, true))
    spdlog::warn("not written down how far verify is: {}", saved.error().message);
}

int Verification::conclude(const Result<void>& worked) {
  const bool is_finished = worked && !interrupted_;
  save(is_finished ? "" : position_.str());
  if (!worked) return complain(worked.error().message, exit_failed);
  if (interrupted_)
    return complain(fmt::format("interrupted after {} clips, {} of them wrong; the next verify goes on there",
                                position_.clips, position_.wrong),
                    exit_failed);
  const auto before = told_before_ > 0 ? fmt::format(" ({} of them told before)", told_before_) : "";
  fmt::print("{} clips checked, {} wrong{}\n", position_.clips, position_.wrong, before);
  if (put_in_line_ > 0) fmt::print("{} captures are in line again, for serve or the next catch-up\n", put_in_line_);
  return position_.wrong == 0 ? exit_done : exit_failed;
}

int Verification::run() {
  if (auto begun = begin(); !begun) return complain(begun.error().message, exit_failed);
  const auto worked = work();
  progress_.clear();
  const int status = conclude(worked);
  if (digests_.stop(disk_deadline)) return status;
  complain("the archive does not answer", exit_failed);
  std::fflush(stdout);
  end_at_once(exit_failed);
}

}  // namespace

int verify(const Config& config, const VerifyOptions& options, const Signals& signals) {
  auto journal = open_known_journal_to_look(config);
  if (!journal) return complain(journal.error().message);
  fs::path lock_file = config.journal.path;
  const auto lock = ProcessLock::try_take(lock_file += ".verify-lock");
  // Who may not write beside the journal can do without: nothing is written then.
  if (!lock && options.repair) return complain(with_context(lock.error(), "journal.path").message);
  if (lock && !*lock) return complain("another verify is at work on this journal: wait for it, or end it");
  return Verification(config, options, std::move(*journal), signals).run();
}

}  // namespace responder::app
