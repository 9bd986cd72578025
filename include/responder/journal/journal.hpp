// The journal: what is known, what waits, what was done. It is the truth; every queue is a hint.
//
// A Journal is one connection and belongs to one thread at a time; several (also of several processes) may be open on
// the same file. A mutating call is atomic by itself; inside Journal::transaction several commit as one. A commit is
// synced to the disk before the call returns.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "responder/base/clock.hpp"
#include "responder/base/error.hpp"
#include "responder/base/ids.hpp"

namespace responder::journal {

enum class State { waiting, capturing, done, partial, failed, ignored };
std::string_view to_string(State state);
std::optional<State> parse_state(std::string_view text);

enum class Via { webhook, catch_up, manual };
std::string_view to_string(Via via);
Via parse_via(std::string_view text);  // what it does not know is taken for a webhook

// What a capture is of: an alert, or a range of time that a person asked for.
enum class Kind { alert, range };
std::string_view to_string(Kind kind);

using CaptureId = std::int64_t;

// The reason of captures that are ignored until their alert's time is near: their sender's clock or ours is wrong.
inline constexpr std::string_view future_reason = "in the future";
// How the alert ids of samples begin that we send ourselves: they tell nothing of Rhombus's webhooks.
inline constexpr std::string_view test_alert_prefix = "rhombus-responder-test-";

// missing: there was nothing to be had. placeholder: there were pictures that say that there is no footage.
enum class GapReason { missing, placeholder };
std::string_view to_string(GapReason reason);

// Footage that is not in the clip, wall clock.
struct Gap {
  WallTime start;
  WallTime end;
  GapReason reason = GapReason::missing;
  bool operator==(const Gap&) const = default;
};

// A capture as it is first written down. (alert, camera) is unique: whoever comes second finds a duplicate.
struct NewCapture {
  Kind kind = Kind::alert;
  AlertId alert;  // of a range: an id made of it
  DeviceId camera;
  LocationId location;
  std::vector<std::string> activities;
  Via via = Via::webhook;
  WallTime received_at;
  WallTime alert_at;
  std::chrono::seconds duration{0};
  bool duration_is_told = true;  // else it is the default, and no reason for a known alert to grow
  std::chrono::sys_seconds window_start;
  std::chrono::sys_seconds window_end;  // after window_start
  std::string clip_region = {};         // where the alert's own clip is stored, if that is known
  std::string ignored_reason = {};      // not empty: written down as `ignored`, never captured
  bool webhook_missed = false;          // found by asking, though we were listening: its webhook never came
  DeviceId instead_of = {};             // an `ignored` row that the alert has under this id becomes this capture's
};

// What is wrong with a published clip that is to be made anew: it is no measure for the one that comes.
enum class Damage { none, damaged, missing };
std::string_view to_string(Damage damage);  // empty: none

// Whether Rhombus has confirmed that all of a clip is footage, by its list of what exists. pending: it is to be asked
// when the list has come that far. unknown: Rhombus gave no usable answer for an hour, or says that parts are none and
// nothing better could be had. off: the configuration says not to ask. not_told: of a clip of an earlier version.
enum class PresenceState { not_told, pending, confirmed, unknown, off };
std::string_view to_string(PresenceState presence);  // empty: not_told
PresenceState parse_presence(std::string_view text);

// What an attempt left on disk.
struct Published {
  std::string clip;    // path under the archive
  std::string source;  // lan, wan, cloud
  std::uint64_t bytes = 0;
  std::string sha256;
  std::vector<Gap> gaps;
  std::chrono::sys_seconds window_end = {};  // what it was made for
  Damage damage = Damage::none;
  PresenceState presence = PresenceState::not_told;

  bool is_sound() const { return damage == Damage::none; }
};

struct Capture {
  CaptureId id = 0;
  Kind kind = Kind::alert;
  AlertId alert;
  DeviceId camera;
  std::string camera_name;
  LocationId location;
  std::vector<std::string> activities;
  Via via = Via::webhook;
  WallTime received_at;
  WallTime alert_at;
  std::chrono::seconds duration{0};
  std::chrono::sys_seconds window_start;
  std::chrono::sys_seconds window_end;
  State state = State::waiting;
  std::string reason;
  int attempts = 0;
  std::optional<WallTime> next_attempt_at;  // while `waiting`, and of a `partial` that is not final
  std::string clip_region;
  std::optional<Published> published;  // while its clip is in the archive
  bool held = false;                   // retention leaves its clip alone
  std::optional<WallTime> removed_at;  // when retention removed its clip
};
// What people are told it is: "alert ID", "range 2024-01-10T14:00:00Z + 3600 s".
std::string label(const Capture& capture);

// The outcome of an attempt whose clip stands in the spool.
struct ReadyClip {
  State state = State::done;  // or partial
  std::string reason;
  std::string camera_name;
  std::string source;
  std::vector<Gap> gaps;
  bool has_audio = false;
  WallTime starts_at;                       // the clip's time 0
  std::chrono::sys_seconds window_end;      // what it was made for
  std::optional<WallTime> next_attempt_at;  // of a partial one that is not final
  PresenceState presence = PresenceState::not_told;
  std::string sidecar;  // its sidecar's text, as far as it is known before publishing
};

struct ReadyCapture {
  Capture capture;
  ReadyClip clip;
};

// A published clip as its sidecar tells of it: what a lost journal is rebuilt from.
struct KnownClip {
  NewCapture capture;
  std::string camera_name;
  Published published;
  State state = State::done;  // or partial
  std::string reason;
  bool final = true;  // of a partial one: nothing more is to be tried
};

// A clip in the archive, as retention looks at it.
struct StoredClip {
  CaptureId id = 0;
  AlertId alert;
  DeviceId camera;
  LocationId location;
  std::vector<std::string> activities;
  std::chrono::sys_seconds window_end;
  std::string path;  // under the archive
  std::uint64_t bytes = 0;
  bool held = false;
  bool is_final = true;  // nothing better is tried for, or on its way
};

// A place in the order of stored clips: by the end of their windows.
struct ClipPosition {
  std::chrono::sys_seconds window_end;
  CaptureId id = 0;
};

struct HeldCaptures {
  std::size_t count = 0;    // captures of the alert, all told
  std::size_t removed = 0;  // of these, whose clips retention has removed
};

struct StoredTotals {
  std::uint64_t clips = 0, bytes = 0, held = 0;  // the bytes with those of damaged clips beside them
  std::uint64_t removed = 0;                     // by retention, and no longer among `clips`
};

// The end of an attempt.
struct Outcome {
  State state = State::done;
  std::string reason;
  std::string camera_name;
  std::optional<Published> published;       // none: what was published before stays
  std::optional<WallTime> next_attempt_at;  // of a partial one that is not final
  std::chrono::sys_seconds window_end;      // the window it is the outcome of
};

struct Due {
  CaptureId id = 0;
  bool live = false;  // came by webhook: goes first
};

// A span of time on a camera that some capture has yet to take.
struct OpenWindow {
  DeviceId camera;
  std::chrono::sys_seconds start;
  std::chrono::sys_seconds end;
  CaptureId capture = 0;
  bool has_clip = false;  // one is in the archive, and a better one is tried for
};

struct Pin {
  DeviceId device;
  std::string key_sha256;
  WallTime first_seen;
};

struct Filter {
  std::optional<State> state = {};
  std::optional<WallTime> after = {};   // received at or after
  std::optional<WallTime> before = {};  // received before
  std::optional<AlertId> alert = {};
  std::string camera = {};    // its UUID, or a part of its name (ASCII letters in either case); empty: any
  std::string activity = {};  // one of its activities, letters in either case; empty: any
  std::optional<Via> via = {};
  std::optional<bool> held = {};
  std::size_t limit = 100;
};

// What stands in the archive.
struct ClipTotals {
  std::uint64_t clips = 0;
  std::uint64_t bytes = 0;
};

struct Counts {
  std::uint64_t waiting = 0, capturing = 0, done = 0, partial = 0, failed = 0, ignored = 0;
  std::optional<WallTime> oldest_waiting;  // when it was received
};

struct Accepted {
  bool duplicate = false;  // it was known
  bool grew = false;       // a duplicate whose window now ends later than it did
  bool hurried = false;    // a duplicate that waited behind others and has turned out to be live
  CaptureId id = 0;        // of the capture, new or known
};

// Alerts that were found by asking and whose webhooks never came.
struct MissedWebhooks {
  std::uint64_t count = 0;
  std::optional<WallTime> first;  // when the earliest of their alerts began
};

// Who is told of finished captures, and of which outcomes.
struct Target {
  std::string name;
  std::vector<State> states;  // of done, partial and failed
};

// The target that copies clips to where they are kept as well: its deliveries are of clips.
inline constexpr std::string_view offsite_target = "offsite";

using DeliveryId = std::int64_t;

// What a target is to be told.
struct Delivery {
  DeliveryId id = 0;
  State state = State::done;  // what the capture came to
  WallTime created_at;        // when it did
  int attempts = 0;
  Capture capture;  // as it is known now
};

// What became of telling a target.
struct DeliveryState {
  std::string target;
  State state = State::done;  // what it is told
  WallTime created_at;
  int attempts = 0;
  std::optional<WallTime> next_at;  // when it is tried (again); without it and the next, it was given up
  std::optional<WallTime> delivered_at;
  std::string reason;  // of the last failure
};

// A camera that captures are of.
struct KnownCamera {
  DeviceId id;
  std::string name;  // as the newest capture that tells one has it; empty: none does
};

struct DeliveryCounts {
  std::string target;
  std::uint64_t waiting = 0;
  std::uint64_t given_up = 0;
  std::optional<WallTime> oldest_waiting;
  std::string reason;  // of the last that failed and is not delivered
};

// What there is to do beside captures.
struct WorkAfterCaptures {
  std::vector<std::string> targets;  // to which a delivery is due
  bool clips_to_remove = false;
};

class Journal {
 public:
  enum class Mode {
    read_write,         // makes the file and its schema where there is none, and settles its log
    read_write_beside,  // the same, beside a process that works on it: what the log holds is left to that one
    read_only  // only looks: it takes no lock that a writer waits for, brings no version up to date and makes no
               // file. An Error says in one line why it cannot be looked at.
  };

  static Result<Journal> open(const std::filesystem::path& path, Mode mode);
  // Whether the file is there and is no sound journal, whatever version wrote it.
  static Result<bool> is_damaged(const std::filesystem::path& path);
  // One that nobody else sees and that is gone with the object.
  static Result<Journal> in_memory();
  // Whether the whole file is sound: an Error of kind permanent names the mend. Reads all of it.
  Result<void> check();
  ~Journal();
  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;

  // Whether it has a write-ahead log. Where its file system allows none, who reads keeps others from writing.
  Result<bool> has_write_ahead_log();

  // What the write-ahead log's file is let grow to before it is used anew, and how long it is now (0: there is none).
  static constexpr std::uint64_t usual_log_bytes = 64U << 20U;
  std::uint64_t log_bytes() const;
  // Moves what the log holds into the database, by writes and syncs of our own, and empties its file. An Error of
  // kind transient: somebody reads an older state, or writes.
  Result<void> settle();

  // How long to wait for others that write.
  static constexpr std::chrono::milliseconds usual_patience{10'000};
  void set_patience(std::chrono::milliseconds longest);

  // Runs `work` and commits, all or nothing: an Error of `work` or of the commit undoes everything.
  Result<void> transaction(const std::function<Result<void>()>& work);

  // Runs change(0) to change(count - 1) and commits them as one. One that fails is undone alone: what became of each.
  // An Error: nothing of it is there, because the journal could not be written (somebody else has it, the disk is
  // full). A change may run twice.
  Result<std::vector<Result<void>>> commit_each(std::size_t count,
                                                const std::function<Result<void>(std::size_t)>& change);

  // What `work` reads is the journal of one moment, whatever others write meanwhile. It must not write.
  Result<void> snapshot(const std::function<Result<void>()>& work);

  // A known capture grows with its alert; an `ignored` one that is no longer to be ignored (the filter was changed,
  // the clock put right, a camera associated with its device) becomes work.
  Result<Accepted> accept(const NewCapture& capture);
  // The alert of a known capture turned out to be this long: its window grows by what that is more.
  Result<void> grow(CaptureId id, std::chrono::seconds duration);
  // What its camera is called, for people who look before it has come to its end.
  Result<void> name_camera(CaptureId id, std::string_view name);

  // Captures to work on now: first those that came by webhook, then the others, each the earliest first; among them
  // those of a lease that ran out, and those put off so far that only a clock set back can explain it.
  Result<std::vector<Due>> due(WallTime now, std::size_t limit);

  // Takes a due capture for `owner` until `lease_until`; nullopt when somebody else has it or it is finished.
  Result<std::optional<Capture>> claim(CaptureId id, std::string_view owner, WallTime now, WallTime lease_until);
  // Gives back all that is claimed, whatever the leases say: for who knows that nobody else works on captures.
  Result<void> release_leases(WallTime now);
  Result<void> renew_leases(std::string_view owner, WallTime lease_until);
  // Captures that are not at their end.
  Result<std::vector<CaptureId>> open_ids();
  // Of those ignored because they were in the future, puts in line what is to begin until then.
  Result<void> revive_future(WallTime until, WallTime now);
  // The window's end as it is now: an alert may have grown.
  Result<std::optional<std::chrono::sys_seconds>> window_end(CaptureId id);

  // The ends of an attempt. Each gives the lease up; each does nothing when `owner` no longer holds it. When the
  // window has grown meanwhile, finish() puts the capture back in line.
  Result<void> finish(CaptureId id, std::string_view owner, const Outcome& outcome, WallTime now);
  Result<void> postpone(CaptureId id, std::string_view owner, std::string_view reason, WallTime next_attempt_at,
                        bool count_attempt, WallTime now);
  Result<void> ready(CaptureId id, std::string_view owner, const ReadyClip& clip, WallTime now);

  // Takes a clip that waits for the archive, as claim() does: the earliest of an alert, or where there is none and
  // not `alerts_only`, of a range. Those are large, and nobody waits for them as for an alert's.
  Result<std::optional<ReadyCapture>> claim_ready(std::string_view owner, WallTime now, WallTime lease_until,
                                                  bool alerts_only = false);
  // Back in line for the archive, from `next_at` on, because of `reason`; or, when the clip is lost, for another
  // attempt.
  Result<void> return_ready(CaptureId id, std::string_view owner, std::string_view reason, bool clip_is_lost,
                            WallTime next_at);
  // Says of all clips that wait for the archive why they do.
  Result<void> explain_ready(std::string_view reason);
  Result<std::vector<CaptureId>> ready_ids();
  // How many clips wait for the archive, and what keeps most of them from it; an empty reason: nothing does.
  struct Waiting {
    std::uint64_t clips = 0;
    std::string reason;
  };
  Result<Waiting> waiting_for_archive();

  // Of the clip that it has with this SHA-256, unless somebody is at work on the capture: what Rhombus says of it.
  // False: it is not so, or was said before.
  Result<bool> set_presence(CaptureId id, std::string_view sha256, PresenceState presence);
  // Likewise: a part of it is no footage. The capture is back in line.
  Result<bool> doubt(CaptureId id, std::string_view sha256, WallTime now);
  // Of a capture in work: the clip that it has is none, and goes. False: it is another by now, or a person holds it.
  Result<bool> drop_clip(CaptureId id, std::string_view sha256);
  // Clips whose footage is to be confirmed and that are not tried again before, those of the oldest windows first.
  struct Unconfirmed {
    CaptureId id = 0;
    DeviceId camera;
    std::chrono::sys_seconds window_start;
    std::chrono::sys_seconds window_end;
    std::string sha256;
    std::vector<Gap> gaps;
  };
  Result<std::vector<Unconfirmed>> unconfirmed(std::size_t limit);
  Result<std::uint64_t> count_unconfirmed();
  // Captures whose clips' sidecars do not say yet what is known of their footage.
  Result<std::vector<Capture>> outdated_sidecars(std::size_t limit);
  Result<void> note_sidecar(CaptureId id, PresenceState says);

  // Puts finished captures back in line, whatever became of them; how many there were.
  Result<std::int64_t> retry(const AlertId& alert, WallTime now);
  Result<std::int64_t> retry(CaptureId id, WallTime now);
  Result<std::int64_t> retry_failed(WallTime now);  // but none whose clip retention has removed
  // The clip of a capture that is to be tried again is not in the archive any more.
  Result<void> forget_clip(CaptureId id);
  // Puts a capture back in line because its clip, as `seen` names it, is damaged or missing. What is known of that
  // clip stays until another one has taken its place. False: it is in line for that already, or was in vain; or
  // somebody is at work on it, or a new clip waits for the archive.
  Result<bool> repair(const Capture& seen, Damage damage, WallTime now);
  // The clip that was damaged or missing is as it should be: the capture is judged anew. False: nothing was wrong, or
  // somebody is at work on it.
  Result<bool> set_sound(const Capture& seen, WallTime now);

  Result<void> each(const Filter& filter, const std::function<void(const Capture&)>& visit);  // newest first
  // Captures with a clip in the archive, in the order of their ids, from the one after `after` on.
  Result<std::vector<Capture>> published(CaptureId after, std::size_t limit);
  Result<ClipTotals> published_totals(CaptureId after);
  Result<std::optional<Capture>> find(CaptureId id);
  Result<std::optional<Capture>> find(const AlertId& alert, const DeviceId& camera);
  // What people's names stand for. Each reads the whole journal unless it says otherwise.
  Result<std::vector<KnownCamera>> cameras();
  // Names of cameras in the newest so many captures; fast.
  Result<std::map<DeviceId, std::string>> camera_names(std::size_t newest);
  Result<std::vector<std::string>> activities();
  // Of the newest captures; fast.
  Result<std::vector<AlertId>> newest_alerts(std::size_t newest);
  // Alerts whose ids have these letters and digits, whatever stands between them, as in names of clips.
  Result<std::vector<AlertId>> alerts_of_letters(std::string_view letters_and_digits);
  // Captures whose clip has that file name, in whatever folder.
  Result<std::vector<Capture>> captures_of_file(std::string_view file_name);
  Result<Counts> counts();
  // Of alerts that began in that time.
  Result<MissedWebhooks> missed_webhooks(WallTime from, WallTime to);
  // When the alert of the last webhook that brought one began.
  Result<std::optional<WallTime>> last_webhook_alert();

  // Who is told from now on. What was still to be told to others is given up, until they are told again; how many.
  Result<std::int64_t> set_targets(const std::vector<Target>& targets);
  // The next that a target is to be told; nullopt when nothing is due. Of one capture it is told in order.
  Result<std::optional<Delivery>> next_delivery(std::string_view target, WallTime now);
  // The ends of an attempt. Without `next_at` it is given up; `counts`: the attempt is one of those that lead to
  // that.
  Result<void> delivered(DeliveryId id, WallTime now);
  Result<void> not_delivered(DeliveryId id, std::string_view reason, std::optional<WallTime> next_at, bool counts);
  // Of each target there is now, by name.
  Result<std::vector<DeliveryCounts>> delivery_counts();
  // All of one capture, in order.
  Result<std::vector<DeliveryState>> deliveries_of(CaptureId id);
  // What was due at that time and still is.
  Result<WorkAfterCaptures> work_after_captures(WallTime then);
  // Puts what was given up, of targets there are now, back in line; how many there were.
  Result<std::int64_t> retry_deliveries(WallTime now);

  // Clips in the archive, in any order: faster than the other one for looking at all.
  Result<void> each_stored_clip(const std::function<void(const StoredClip&)>& visit);
  // Those after a position, oldest first, until `visit` says false.
  Result<void> each_stored_clip(const std::optional<ClipPosition>& after,
                                const std::function<bool(const StoredClip&)>& visit);
  Result<StoredTotals> stored_totals();
  // The bytes of damaged clips that stand beside clips in the archive, by the paths of those: they count with them
  // and go with them. 0: there is none.
  Result<std::map<std::string, std::uint64_t>> kept_damaged();
  Result<void> set_kept_damaged(std::string_view clip, std::uint64_t bytes);
  // Retention removes a capture's clip: the row says so, and `reason`, and the clip is left to be removed. Inside a
  // transaction. False: it is held, work again, or has another clip by now, and nothing has changed.
  Result<bool> remove_clip(CaptureId id, std::string_view clip, std::string_view reason, WallTime now);
  // Keeps retention from the clips of an alert's captures, those to come as well, or no longer.
  Result<HeldCaptures> set_held(const AlertId& alert, bool held);

  // Whether a capture other than this one has, or had, the clip of that name: one that is missing may come back, and
  // of one that retention has removed there may be a copy off site.
  Result<bool> is_clip_of_another(std::string_view clip, CaptureId id);
  // Paths under the archive that retention or a better clip of another name has left to be removed: those after one
  // of them.
  Result<std::vector<std::string>> leftovers(std::string_view after = "", std::size_t limit = 1000);
  Result<void> forget_leftover(std::string_view clip);

  // Writes a published clip down as it stands. False: the capture is known, has been worked on or asks for more, and
  // stays as it is.
  Result<bool> restore(const KnownClip& clip);

  // The key (hex SHA-256) a LAN device was first seen with.
  Result<std::optional<std::string>> pin(const DeviceId& device);
  Result<void> set_pin(const DeviceId& device, std::string_view key_sha256, WallTime now);
  Result<std::vector<Pin>> pins();
  Result<bool> forget_pin(const DeviceId& device);  // false: there was none

  Result<std::vector<OpenWindow>> open_windows();

  Result<std::optional<std::string>> fact(std::string_view name);
  Result<void> set_fact(std::string_view name, std::string_view value);
  // The fact's value: `value` if there was none. Processes that ask at once all get the same.
  Result<std::string> settle_fact(std::string_view name, std::string_view value);

 private:
  struct Impl;
  explicit Journal(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::journal
