// Decides who may use the spool's room: when a capture may start, when it may fetch on, and which footage is removed
// to make room. It does no I/O and holds no files: Spool and StretchStore tell it what is on the disk, and so does
// the model test (tests/unit/archive/spool_model_test.cpp). Not thread-safe.
//
// The spool always drains. With an archive that takes clips, every capture ends, because:
//
//  1. Somebody can always finish. When no capture holds a claim, the next one gets one, whatever is in the spool. The
//     holder of the oldest claim may go past max_bytes, up to the free space that the disk has to keep.
//  2. A claim covers what its capture is expected to fetch, and room for the largest clip that is put together. Bytes
//     that were fetched count against their own claim. A claim grows as its capture goes on; when it may not grow,
//     its capture gives it back and waits. The oldest claim always may.
//  3. Room is made in this order: footage that no open capture wants; footage that only captures with a clip in the
//     archive want, the oldest first; footage of captures that wait, the newest first. The last kind is removed only
//     when a claim went past max_bytes or the disk is short. Footage in use, footage of the capture that needs the
//     room, and finished clips that wait for the archive are never removed.
//  4. Nobody is passed over for ever. A capture that could not go on for lack of disk is the next to be admitted, and
//     so is one that was refused for ten minutes. Only live captures that fit below max_bytes go before it: what they
//     are to fetch may be gone later.
//  5. When finished clips fill half of max_bytes (the archive is away), claims are given only for what fits below
//     max_bytes: captures wait as rows until clips leave.
//  6. A capture that runs short of disk while nothing but its own footage is in the spool is told so (`too_large`).
//     Its caller counts such attempts, so that it ends and the others go on.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "responder/base/clock.hpp"

namespace responder::archive {

using CaptureId = std::int64_t;

struct SpoolLimits {
  std::uint64_t max_bytes = 0;
  std::uint64_t min_free_bytes = 0;  // of the spool's disk
};

// What is in the spool, and what its disk has free besides.
struct SpoolContents {
  std::uint64_t footage = 0;
  std::uint64_t clips = 0;                      // finished, waiting for the archive
  std::optional<std::uint64_t> disk_free = {};  // nothing: not known, and no reason to refuse anybody
};

// What a capture is expected to need, in bytes.
struct SpoolNeed {
  std::uint64_t missing = 0;  // footage that is to be fetched
  std::uint64_t present = 0;  // of its footage, what is in the spool already
  std::uint64_t clip = 0;     // the clip that is made of both
  bool is_live = false;       // its camera records it just now, or did when its alert came
};

// Why a capture has to wait.
struct SpoolRefusal {
  enum class Cause {
    queueing,    // others use the room, and will be done: nothing is wrong
    clips_wait,  // finished clips fill it: the archive does not take them
    disk,        // the disk has less free than it has to keep
    too_large,   // the same, while the spool holds nothing but this capture's own footage
  };
  Cause cause = Cause::queueing;
  std::uint64_t asked = 0;
  std::uint64_t reserved = 0;  // by others, and not fetched yet
  SpoolContents contents = {};
  SteadyTime since = {};  // it has waited for that alone; of clips that wait: and no clip has left
};

// Room that is to be made by removing footage.
struct SpoolShortage {
  std::uint64_t bytes = 0;
  bool of_waiting = false;               // footage of captures that wait may go as well
  std::optional<CaptureId> for_capture;  // whose own footage stays
};

class SpoolBudget {
 public:
  using ClaimId = std::uint64_t;  // in the order in which claims were given

  explicit SpoolBudget(SpoolLimits limits) : limits_(limits) {}

  // As measured. The disk's free space is to be told anew before each question.
  void set_contents(const SpoolContents& contents) { contents_ = contents; }
  void set_disk_free(std::optional<std::uint64_t> bytes) { contents_.disk_free = bytes; }
  void add_footage(std::uint64_t bytes) { contents_.footage += bytes; }
  void add_clip(std::uint64_t bytes) { contents_.clips += bytes; }
  // The archive has taken a finished clip. What is in the spool then is to be measured.
  void note_clip_left(SteadyTime now) { clip_left_at_ = now; }
  const SpoolContents& contents() const { return contents_; }
  const SpoolLimits& limits() const { return limits_; }

  // Whether the capture may start. It holds its claim until release().
  std::variant<ClaimId, SpoolRefusal> admit(CaptureId capture, const SpoolNeed& need, SteadyTime now);
  // Its capture has fetched so much more: add_footage(), on account of the claim.
  void add_fetched(ClaimId claim, std::uint64_t bytes);
  // Whether its capture may fetch more. Refused, it is to give the claim back and to ask again later.
  std::optional<SpoolRefusal> check(ClaimId claim, SteadyTime now);
  // The disk turned out full while `bytes` more were written.
  SpoolRefusal note_disk_full(ClaimId claim, std::uint64_t bytes, SteadyTime now);
  // Whether a clip may be put together beside what is fetched, before the footage is complete.
  bool has_room_beside(ClaimId claim) const;
  void release(ClaimId claim) { claims_.erase(claim); }

  // Why captures wait just now, if they do for a reason that somebody may have to mend: never `queueing`. Of those
  // that wait for clips to leave, what the one is told that has waited longest.
  std::optional<SpoolRefusal> trouble(SteadyTime now) const;

  // The room that has to be made for what was refused, or granted past the limit, since this was last asked. It is
  // short when that is urgent: the spool or its disk is past its limit.
  bool is_short() const { return shortage_.bytes > 0 && shortage_.of_waiting; }
  SpoolShortage take_shortage();

 private:
  struct Claim {
    CaptureId capture = 0;
    SpoolNeed need;
    std::uint64_t fetched = 0;

    std::uint64_t outstanding() const { return need.missing > fetched ? need.missing - fetched : 0; }
  };
  // Who was refused, and waits.
  struct Waiting {
    SteadyTime since;
    SteadyTime asked_at;
    SpoolRefusal refusal;
  };

  std::uint64_t reserved() const;
  std::uint64_t missing_room(std::uint64_t more, std::uint64_t clip) const;
  bool disk_is_short() const;
  bool clips_fill_it() const;
  bool is_all_there_is(std::uint64_t own) const;
  bool is_oldest(ClaimId claim) const { return claims_.begin()->first == claim; }
  bool another_goes_first(CaptureId capture, SteadyTime now) const;
  SpoolRefusal refuse(SpoolRefusal::Cause cause, CaptureId capture, std::uint64_t asked, SteadyTime now);
  SteadyTime since(const Waiting& waiting) const;
  SpoolRefusal refuse_for_disk(ClaimId claim, std::uint64_t bytes, SteadyTime now);
  void need_room(std::uint64_t bytes, bool of_waiting, std::optional<CaptureId> for_capture);

  const SpoolLimits limits_;
  SpoolContents contents_;
  std::map<ClaimId, Claim> claims_;
  ClaimId next_claim_ = 1;
  std::map<CaptureId, Waiting> waiting_;
  SteadyTime clip_left_at_;
  // Admitted before all others, until then.
  struct First {
    CaptureId capture = 0;
    SteadyTime until;
  };
  std::optional<First> first_;
  SpoolShortage shortage_;
};

// Footage in the spool that nobody uses just now.
struct IdleFootage {
  std::uint64_t bytes = 0;
  std::vector<CaptureId> wanted_by = {};  // open captures, in any order
  bool only_by_published = true;          // each of these has a clip in the archive
};

// Which of them are to be removed, by their places in the list: as many as the shortage needs, in the order of the
// third rule above.
std::vector<std::size_t> choose_evictions(const std::vector<IdleFootage>& idle, const SpoolShortage& shortage);

}  // namespace responder::archive
