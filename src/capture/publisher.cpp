#include "responder/capture/publisher.hpp"

#include <limits>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/file.hpp"
#include "responder/base/synchronized.hpp"
#include "responder/capture/leftover.hpp"
#include "responder/capture/sidecar.hpp"
#include "responder/media/thumbnail.hpp"

namespace responder::capture {
namespace {

using journal::ReadyCapture;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds look_interval{10'000};  // at the archive, when nothing is ready
constexpr milliseconds pause{2000};            // after the archive refused a clip
constexpr milliseconds own_pause{30'000};      // of a clip that cannot be published though the archive is there,
constexpr std::chrono::minutes longest_own_pause{15};  // twice as long each time, up to this
constexpr std::size_t most_told_troubles = 8;          // of clips at once; events tells of the others
constexpr seconds copied_between{1};                   // before a long copy lets alerts' clips pass again
constexpr int most_at_once{8};                         // clips that it lets pass
constexpr seconds lease_for{20};                       // renewed by the pool
constexpr seconds slow_after{10};                      // for one operation
constexpr std::chrono::minutes keep_interval{5};       // between looks at what retention is to remove
constexpr std::chrono::minutes none_pause{1};          // when no clip may give way to others
constexpr std::chrono::hours vain_pause{1};            // after removing clips made no room

}  // namespace

struct Publisher::Impl {
  // What keeps a clip from an archive that is there.
  struct Trouble {
    std::string reason;
    int attempts = 0;
  };
  struct State {
    bool notified = true;  // what an earlier process left is looked for at once
    bool over = false;
    std::string problem;
    double free_bytes = std::numeric_limits<double>::quiet_NaN();
    std::optional<SteadyTime> busy_since;
    std::string busy_with;
  };

  const std::string owner;
  const std::string marker;
  const bool thumbnails;
  const archive::Archive& archive;
  archive::Spool& spool;
  PicturesInHand& pictures;
  const LayoutOf layout_of;
  journal::Writer& writer;
  Clock& clock;
  const Observer observer;
  const TakeOut take_out;
  // Of the publisher's thread.
  SteadyTime keep_at;          // when retention is looked at again
  SteadyTime may_give_way_at;  // when clips may give way to others again
  SteadyTime lets_pass_at;     // when a long copy next lets alerts' clips pass
  bool lets_pass = false;      // a long copy is at it
  bool storage_told = false;   // what it cannot do
  std::map<journal::CaptureId, Trouble> troubles;
  Synchronized<State> state;
  std::stop_source stopping;
  std::thread thread;

  Impl(std::string owner_, std::string marker_, bool thumbnails_, const archive::Archive& archive_,
       archive::Spool& spool_, PicturesInHand& pictures_, LayoutOf layout_of_, journal::Writer& writer_,
       Clock& clock_, Observer observer_, TakeOut take_out_)
      : owner(std::move(owner_)),
        marker(std::move(marker_)),
        thumbnails(thumbnails_),
        archive(archive_),
        spool(spool_),
        pictures(pictures_),
        layout_of(std::move(layout_of_)),
        writer(writer_),
        clock(clock_),
        observer(std::move(observer_)),
        take_out(std::move(take_out_)),
        keep_at(clock.steady_now()),
        may_give_way_at(clock.steady_now()),
        lets_pass_at(clock.steady_now()) {}

  void run();
  bool publish_all();
  Result<std::optional<ReadyCapture>> claim(bool alerts_only);
  bool publish(const ReadyCapture& ready);
  Result<void> let_others_pass();
  milliseconds note_trouble(const journal::Capture& row, const Error& error);
  void draw(const ReadyCapture& ready, const std::string& clip);
  void draw_marked(const ReadyCapture& ready, const std::string& clip);
  void tell_of_storage();
  Result<void> check_is_there();
  Result<void> remove_leftover(const std::string& clip);
  bool remove_leftovers(const std::function<bool()>& must_pause);
  void update_sidecars();
  Result<void> update_sidecar(const journal::Capture& row);
  bool keep_within_limits();
  Result<void> make_room(std::uint64_t more);
  Result<void> make_room_for(const ReadyCapture& ready);
  Result<void> bring_to_archive(const ReadyCapture& ready);
  Result<bool> is_of_another(journal::CaptureId id, const std::string& clip);
  Result<void> look_at_archive();
  void set_problem(std::string problem);
  void explain(const Error& why);
  template <class Work>
  auto busy(std::string with, Work work);
  bool write_down(const journal::Writer::Work& change);
};

// Whatever touches the archive goes through here, so that health() knows what hangs. One may be a part of another.
template <class Work>
auto Publisher::Impl::busy(std::string with, Work work) {
  bool is_part = false;
  {
    auto held = state.lock();
    is_part = held->busy_since.has_value();
    held->busy_since = clock.steady_now();
    std::swap(held->busy_with, with);
  }
  auto result = work();
  auto held = state.lock();
  held->busy_since = is_part ? std::optional(clock.steady_now()) : std::nullopt;
  held->busy_with = std::move(with);
  return result;
}

void Publisher::Impl::set_problem(std::string problem) {
  auto held = state.lock();
  if (held->problem == problem) return;
  if (problem.empty()) {
    spdlog::info("the archive is there again");
  } else if (held->problem.empty()) {
    spdlog::error("clips wait in the spool: {}", problem);
  }
  held->problem = std::move(problem);
}

// Each clip that waits says why.
void Publisher::Impl::explain(const Error& why) {
  const auto explained = writer.run(
      [&](journal::Journal& journal) { return journal.explain_ready("the clip is in the spool: " + why.message); });
  if (!explained) spdlog::error("not written down: {}", explained.error().message);
}

Result<void> Publisher::Impl::check_is_there() {
  const auto found = archive.marker();
  if (!found) return found.error();
  if (!*found || **found != marker) {
    return Error{
        ErrorKind::no_space,
        fmt::format("{} is not the archive this journal knows: its marker file is {}: mount it, or accept the "
                    "folder as the new one with rhombus-responder adopt-archive",
                    archive.directory().string(), *found ? "another archive's" : "missing")};
  }
  return {};
}

Result<void> Publisher::Impl::look_at_archive() {
  if (auto there = check_is_there(); !there) return there;
  if (const auto free = free_bytes(archive.directory()))
    state.lock()->free_bytes = *free ? static_cast<double>(**free) : std::numeric_limits<double>::quiet_NaN();
  return make_room(0);
}

// Once, in words: what it cannot do is the reason for what happens later.
void Publisher::Impl::tell_of_storage() {
  if (storage_told) return;
  const auto abilities = archive.try_out();
  if (!abilities) return;  // publishing says why
  storage_told = true;
  archive.remove_unfinished_thumbnail();
  for (const auto& line : archive::describe(*abilities)) spdlog::warn("{}: {}", archive.directory().string(), line);
}

bool Publisher::Impl::write_down(const journal::Writer::Work& change) {
  while (true) {
    const auto written = writer.run(change);
    if (written) return true;
    spdlog::error("not written down: {}", written.error().message);
    if (!clock.sleep(pause, stopping.get_token())) return false;
  }
}

// For so many bytes more. Where the archive's disk is short of room, clips that have a limit give way, the oldest
// first; unless that is in vain, as on a disk whose snapshots keep what is removed.
Result<void> Publisher::Impl::make_room(std::uint64_t more) {
  auto room = archive.check_space(more);
  while (!room && take_out && clock.steady_now() >= may_give_way_at && !stopping.stop_requested()) {
    const auto lacking = archive.lacking(more);
    if (!lacking || *lacking == 0) break;
    const auto taken = take_out(*lacking);
    if (!taken) spdlog::warn("no clips give way to others: {}", taken.error().message);
    if (!taken || taken->clips == 0) {
      may_give_way_at = clock.steady_now() + none_pause;
      break;
    }
    remove_leftovers([this] { return stopping.stop_requested(); });
    room = archive.check_space(more);
    const auto lacking_now = archive.lacking(more);
    if (!room && lacking_now && *lacking_now + taken->bytes / 2 > *lacking) {
      may_give_way_at = clock.steady_now() + vain_pause;
      spdlog::error("{} clips were removed to make room, and there is none: no more of them go for an hour",
                    taken->clips);
    }
  }
  return room;
}

Result<void> Publisher::Impl::make_room_for(const ReadyCapture& ready) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(spool.ready_clip(ready.capture.id), failed);
  if (failed == std::errc::no_such_file_or_directory)
    return Error{ErrorKind::not_found, "the clip is not in the spool any more"};
  // A disk that fails just now says nothing of the clip.
  if (failed) return Error{ErrorKind::no_space, fmt::format("the clip in the spool: {}", failed.message())};
  return make_room(size);
}

Result<bool> Publisher::Impl::is_of_another(journal::CaptureId id, const std::string& clip) {
  bool taken = false;
  const auto looked = writer.run([&](journal::Journal& journal) -> Result<void> {
    const auto found = journal.is_clip_of_another(clip, id);
    if (!found) return found.error();
    taken = *found;
    return {};
  });
  return looked ? Result<bool>(taken) : looked.error();
}

Result<void> Publisher::Impl::bring_to_archive(const ReadyCapture& ready) {
  const auto& row = ready.capture;
  const auto file = spool.ready_clip(row.id);
  std::error_code failed;
  const auto identity = identity_of(row, ready.clip.camera_name, ready.clip.has_audio);
  // A damaged clip is given up for a whole one alone: there may be more in it than in what comes.
  const bool was_damaged = row.published && row.published->damage == journal::Damage::damaged;
  const bool is_whole = ready.clip.state == journal::State::done;
  const archive::Naming naming{.whole = is_whole,
                               .layout = layout_of(row),
                               .own = row.published ? row.published->clip : "",
                               .keep_own = was_damaged && !is_whole,
                               .is_of_another = [&](const std::string& clip) { return is_of_another(row.id, clip); }};
  lets_pass_at = clock.steady_now() + copied_between;
  const auto archived = archive.publish(
      file, identity, naming,
      [&](const archive::ArchivedClip& clip) { return ready.clip.sidecar + sidecar_end(clip, clock.wall_now()); },
      [&](std::size_t) { return let_others_pass(); });
  if (!archived) return archived.error();
  // A share that is unmounted meanwhile leaves the folder it was mounted on: what was written there is not in the
  // archive, and the clip stays in the spool.
  if (auto still_there = check_is_there(); !still_there) return still_there;

  const bool draws = thumbnails && row.kind == journal::Kind::alert;
  if (draws) pictures.begin(row.id);
  const auto now = clock.wall_now();
  const journal::Outcome outcome{
      .state = ready.clip.state,
      .reason = ready.clip.reason,
      .camera_name = ready.clip.camera_name,
      .published =
          journal::Published{archived->path, ready.clip.source, archived->bytes, archived->sha256, ready.clip.gaps,
                             ready.clip.window_end, journal::Damage::none, ready.clip.presence},
      .next_attempt_at = ready.clip.next_attempt_at,
      .window_end = ready.clip.window_end};
  const bool written = write_down([&](journal::Journal& journal) {
    auto finished = journal.finish(row.id, owner, outcome, now);
    if (finished) finished = journal.note_sidecar(row.id, ready.clip.presence);
    return finished && row.published ? journal.set_kept_damaged(archived->path, archived->damaged_bytes) : finished;
  });
  if (written) {
    std::filesystem::remove(file, failed);
    spool.note_clip_left();
  }
  // What is drawn by a library that a damaged picture can crash comes when all else is safe.
  if (written && draws) draw(ready, archived->path);
  if (draws) pictures.end(row.id);
  if (!written) return Error{ErrorKind::cancelled, "interrupted by a stop of the program"};
  observer(ready.clip.state, now - row.received_at);
  if (ready.clip.state == journal::State::done) {
    spdlog::info("{}: done, {} ({} bytes)", label(row), archived->path, archived->bytes);
  } else {
    spdlog::warn("{} on {}: partial, {}: {}", label(row), row.camera.str(), archived->path, ready.clip.reason);
  }
  return {};
}

Result<void> Publisher::Impl::remove_leftover(const std::string& clip) {
  const auto find = [this](const AlertId& alert, const DeviceId& camera) {
    std::optional<journal::Capture> row;
    const auto looked = writer.run([&](journal::Journal& journal) -> Result<void> {
      auto found = journal.find(alert, camera);
      if (found) row = std::move(*found);
      return found ? Result<void>{} : found.error();
    });
    return looked ? Result<std::optional<journal::Capture>>(std::move(row)) : looked.error();
  };
  // Each time: where the archive is not, there is nothing to remove, and the clip would come back with it.
  const auto removed = busy("removing " + clip, [&] {
    auto there = check_is_there();
    return there ? capture::remove_leftover(archive, clip, find) : there;
  });
  return removed ? writer.run([&](journal::Journal& journal) { return journal.forget_leftover(clip); }) : removed;
}

// Clips that retention has taken out, or that better ones of another name (with sound where there was none) have
// replaced. False when some could not be.
bool Publisher::Impl::remove_leftovers(const std::function<bool()>& must_pause) {
  std::size_t staying = 0;
  std::string why;
  std::vector<std::string> clips{""};
  bool there = true;
  while (there && !clips.empty()) {
    const auto last = clips.back();
    clips.clear();
    const auto listed = writer.run([&](journal::Journal& journal) -> Result<void> {
      auto found = journal.leftovers(last);
      if (found) clips = std::move(*found);
      return found ? Result<void>{} : found.error();
    });
    if (!listed) spdlog::warn("clips that are to be removed stay for now: {}", listed.error().message);
    for (auto clip = clips.begin(); there && clip != clips.end(); ++clip) {
      if (must_pause()) return true;
      const auto removed = remove_leftover(*clip);
      if (removed) continue;
      if (staying++ == 0) why = *clip + ": " + removed.error().message;
      there = removed.error().kind != ErrorKind::no_space;
    }
  }
  if (staying > 0) spdlog::warn("{} clips that are to be removed stay for now: {}", staying, why);
  return staying == 0;
}

// A clip's sidecar says what has become known of its footage since it was published.
Result<void> Publisher::Impl::update_sidecar(const journal::Capture& row) {
  const auto updated = busy("the sidecar of " + row.published->clip, [&]() -> Result<void> {
    if (auto there = check_is_there(); !there) return there;
    return archive.rewrite_sidecar(row.published->clip, [&](std::string text) {
      return with_presence(std::move(text), row.published->presence, row.state == journal::State::done);
    });
  });
  if (!updated) return updated;
  return writer.run([&](journal::Journal& journal) { return journal.note_sidecar(row.id, row.published->presence); });
}

void Publisher::Impl::update_sidecars() {
  constexpr std::size_t at_once = 64;
  std::vector<journal::Capture> rows;
  const auto listed = writer.run([&](journal::Journal& journal) -> Result<void> {
    auto found = journal.outdated_sidecars(at_once);
    if (found) rows = std::move(*found);
    return found ? Result<void>{} : found.error();
  });
  if (!listed) return spdlog::warn("sidecars are not brought up to date: {}", listed.error().message);
  for (const auto& row : rows) {
    if (stopping.stop_requested() || state.lock()->notified) return;
    const auto updated = update_sidecar(row);
    // One that cannot be written does not keep the others from it.
    if (!updated) spdlog::debug("{}: its sidecar is not brought up to date: {}", label(row), updated.error().message);
  }
}

// What retention asks for, until that is done or a clip waits to be published. False when it cannot say yet.
bool Publisher::Impl::keep_within_limits() {
  const auto must_pause = [this] { return stopping.stop_requested() || state.lock()->notified; };
  while (take_out && clock.steady_now() >= keep_at && !must_pause()) {
    const auto taken = take_out(0);
    if (!taken) spdlog::warn("retention waits: {}", taken.error().message);
    const bool can_say = !taken || taken->all || taken->clips > 0;
    if (!can_say) return false;
    // Nothing more is taken out of an archive that lets go of nothing.
    const bool removed = remove_leftovers(must_pause);
    if (!taken || taken->all || !removed) keep_at = clock.steady_now() + keep_interval;
  }
  return true;
}

// The clip is there already: its picture is a help, and never in the way. One that has ended the process is not drawn
// again.
void Publisher::Impl::draw(const ReadyCapture& ready, const std::string& clip) {
  const auto& row = ready.capture;
  const auto mark = spool.picture_mark(row.id);
  std::error_code ignored;
  if (std::filesystem::exists(mark, ignored)) {
    spdlog::warn("{}: its picture was being drawn when the process ended, and is not drawn again", label(row));
    return;
  }
  auto marked = OutputFile::create(mark, OutputFile::Mode::exclusive);
  if (!marked) {
    spdlog::warn("{}: no picture: {}", label(row), marked.error().message);
    return;
  }
  draw_marked(ready, clip);
  std::filesystem::remove(mark, ignored);
}

void Publisher::Impl::draw_marked(const ReadyCapture& ready, const std::string& clip) {
  const auto& row = ready.capture;
  const auto at = std::max(row.alert_at - ready.clip.starts_at, WallTime::duration(0));
  const auto picture = spool.ready_thumbnail(row.id);
  // Of the archive's: the spool's may be another attempt's by now.
  auto drawn = media::write_thumbnail(archive.directory() / clip, at, picture);
  if (drawn) drawn = archive.publish_thumbnail(picture, clip);
  if (!drawn) spdlog::warn("{}: {}", label(row), drawn.error().message);
  std::error_code ignored;
  std::filesystem::remove(picture, ignored);
}

// Of a clip that the archive does not take for a reason of its own: how long it waits. Said once for each reason.
milliseconds Publisher::Impl::note_trouble(const journal::Capture& row, const Error& error) {
  auto& trouble = troubles[row.id];
  const bool is_new = trouble.reason != error.message;
  trouble.reason = error.message;
  ++trouble.attempts;
  milliseconds pause_now = own_pause;
  for (int attempt = 1; attempt < trouble.attempts && pause_now < longest_own_pause; ++attempt) pause_now *= 2;
  if (is_new && troubles.size() <= most_told_troubles) {
    spdlog::error("{}: {}; it is tried again from time to time", label(row), error.message);
  } else if (is_new && troubles.size() == most_told_troubles + 1) {
    spdlog::error("more clips cannot be published: rhombus-responder events --state waiting says why");
  }
  return std::min<milliseconds>(pause_now, longest_own_pause);
}

// False when the archive has to be waited for.
bool Publisher::Impl::publish(const ReadyCapture& ready) {
  bool archive_is_there = false;
  const auto published = busy(label(ready.capture), [&] {
    auto there = look_at_archive();
    if (there) there = make_room_for(ready);
    archive_is_there = there || there.error().kind == ErrorKind::not_found;
    return there ? bring_to_archive(ready) : there;
  });
  if (published) {
    set_problem("");
    if (troubles.erase(ready.capture.id) > 0) spdlog::info("{}: published at last", label(ready.capture));
    return true;
  }
  const auto& error = published.error();
  const bool lost = error.kind == ErrorKind::not_found;
  if (archive_is_there && !lost && error.kind != ErrorKind::cancelled) {
    archive_is_there = static_cast<bool>(busy("trying to write", [&] {
      auto there = check_is_there();
      return there ? archive.check_writable() : there;
    }));
  }
  // What is wrong with this clip alone holds the others up no longer.
  milliseconds pause_of_own{0};
  if (!archive_is_there) {
    set_problem(error.message);
    explain(error);
  } else if (lost) {
    troubles.erase(ready.capture.id);
    spdlog::error("{}: {}", label(ready.capture), error.message);
  } else if (error.kind != ErrorKind::cancelled) {
    pause_of_own = note_trouble(ready.capture, error);
  }
  const std::string reason = lost ? error.message : "the clip is in the spool: " + error.message;
  const auto next_at = clock.wall_now() + pause_of_own;
  const bool returned = write_down([&](journal::Journal& journal) {
    return journal.return_ready(ready.capture.id, owner, reason, lost, next_at);
  });
  return archive_is_there && returned;
}

Result<std::optional<ReadyCapture>> Publisher::Impl::claim(bool alerts_only) {
  std::optional<ReadyCapture> next;
  const auto claimed = writer.run([&](journal::Journal& journal) -> Result<void> {
    const auto now = clock.wall_now();
    auto ready = journal.claim_ready(owner, now, now + lease_for, alerts_only);
    if (!ready) return ready.error();
    next = std::move(*ready);
    return {};
  });
  if (!claimed) return claimed.error();
  return next;
}

// A clip of hours takes minutes to copy: in between, those of alerts that have become ready pass it, by the same
// thread, so that there is one owner of the archive's files. Also when the process stops is found out here.
Result<void> Publisher::Impl::let_others_pass() {
  if (stopping.stop_requested()) return Error{ErrorKind::cancelled, "interrupted by a stop of the program"};
  if (lets_pass || clock.steady_now() < lets_pass_at) return {};
  {
    auto held = state.lock();
    if (held->busy_since) held->busy_since = clock.steady_now();  // it goes on
    if (!std::exchange(held->notified, false)) return {};
  }
  lets_pass = true;
  for (int passed = 0; passed < most_at_once && !stopping.stop_requested(); ++passed) {
    const auto next = claim(true);
    if (!next || !*next) break;
    if (!publish(**next)) break;
    if (passed + 1 == most_at_once) state.lock()->notified = true;
  }
  lets_pass = false;
  lets_pass_at = clock.steady_now() + copied_between;
  return {};
}

// False when there may be more that could not be published.
bool Publisher::Impl::publish_all() {
  while (!stopping.stop_requested()) {
    const auto next = claim(false);
    if (!next) {
      spdlog::error("cannot look for finished clips: {}", next.error().message);
      return false;
    }
    if (!*next) return true;
    if (!publish(**next)) return false;
  }
  return true;
}

void Publisher::Impl::run() {
  const auto stop = stopping.get_token();
  while (!stop.stop_requested()) {
    const auto there = busy("looking at the archive", [this] {
      auto found = look_at_archive();
      // One that was wrong must show that it can be written to.
      const bool was_wrong = !state.lock()->problem.empty();
      if (found) tell_of_storage();
      return found && was_wrong ? archive.check_writable() : found;
    });
    if (!there) {
      set_problem(there.error().message);
      explain(there.error());
    }
    state.lock()->notified = false;
    const bool all_out = there && publish_all();
    bool soon = false;
    if (all_out) {
      // Not before: there may be room, but none for the clip that waits.
      set_problem("");
      remove_leftovers([this] { return stopping.stop_requested() || state.lock()->notified; });
      update_sidecars();
      soon = !keep_within_limits();
    }
    auto held = state.lock();
    if (all_out) {
      held.wait_for(stop, soon ? pause : look_interval, [&] { return held->notified; });
    } else {
      held.wait_for(stop, pause, [] { return false; });
    }
  }
  state.lock()->over = true;
  state.notify_all();
}

Publisher::Publisher(std::string owner, std::string marker, bool thumbnails, const archive::Archive& archive,
                     archive::Spool& spool, PicturesInHand& pictures, LayoutOf layout_of, journal::Writer& writer,
                     Clock& clock, Observer observer, TakeOut take_out)
    : impl_(std::make_shared<Impl>(std::move(owner), std::move(marker), thumbnails, archive, spool, pictures,
                                   std::move(layout_of), writer, clock, std::move(observer), std::move(take_out))) {
  impl_->thread = std::thread([impl = impl_] { impl->run(); });
}

Publisher::~Publisher() {
  impl_->stopping.request_stop();
  if (impl_->thread.joinable()) impl_->thread.join();
}

void Publisher::notify() {
  impl_->state.lock()->notified = true;
  impl_->state.notify_all();
}

ArchiveHealth Publisher::health() const {
  auto held = impl_->state.lock();
  ArchiveHealth health{held->problem, held->free_bytes};
  if (held->busy_since && impl_->clock.steady_now() - *held->busy_since > slow_after) {
    health.problem =
        fmt::format("the archive is slow or does not answer: {} for {} s", held->busy_with,
                    std::chrono::duration_cast<seconds>(impl_->clock.steady_now() - *held->busy_since).count());
  }
  return health;
}

bool Publisher::stop(milliseconds deadline) {
  impl_->stopping.request_stop();
  {
    auto held = impl_->state.lock();
    if (!held.wait_for({}, deadline, [&] { return held->over; })) {
      impl_->thread.detach();
      return false;
    }
  }
  impl_->thread.join();
  return true;
}

}  // namespace responder::capture
