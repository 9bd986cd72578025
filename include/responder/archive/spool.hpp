// Work in progress on a local disk, bounded. Nothing in it is promised to anybody: what is found there is checked
// before it is used. Who may fill it is decided by SpoolBudget, which also says why it always drains.
//
//   work/DEVICE/START_DURATION/   what was fetched of a device's footage
//   ready/ID.mp4, ready/ID.jpg    a finished clip that waits for the archive, by its capture's id
//   pictures/ID                   the picture of that capture is being drawn, or the process ended while it was
//   journal-id                    the journal whose ids those are
//   set-aside-TIME/               finished clips of a journal that is lost: somebody's to look at, and not counted
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>
#include <variant>

#include "responder/archive/spool_budget.hpp"
#include "responder/base/error.hpp"
#include "responder/base/synchronized.hpp"

namespace responder::archive {

// The bytes of all files under a folder; those that go away meanwhile count nothing.
std::uint64_t bytes_in(const std::filesystem::path& folder);

class Spool {
 public:
  // About max_bytes at most; min_free_bytes of its disk are left free.
  Spool(std::filesystem::path directory, SpoolLimits limits, const Clock& clock);

  Result<void> create() const;
  // Says by a file of its own whose clips it holds. Those of another journal are set aside, under a name with
  // `stamp`: where they are then; an empty path when there are none. Marks of its pictures are removed: their numbers
  // are those of other captures now.
  Result<std::filesystem::path> belong_to(const std::string& journal_id, std::string stamp) const;
  std::filesystem::path work() const { return directory_ / "work"; }
  std::filesystem::path ready_clip(std::int64_t capture) const;
  std::filesystem::path ready_thumbnail(std::int64_t capture) const;
  // Made before a capture's picture is drawn and removed after it: where it is found, the process ended in between.
  std::filesystem::path picture_mark(std::int64_t capture) const;

  // Why a capture may not start, or fetch on.
  struct Refused {
    SpoolRefusal::Cause cause = SpoolRefusal::Cause::queueing;
    Error error;  // of kind no_space: the sentence for people
  };

  // A capture's right to fill the spool, for as long as it lives. The spool outlives it. Thread-safe, but for moving.
  class Claim {
   public:
    Claim(Spool& spool, SpoolBudget::ClaimId id) : spool_(&spool), id_(id) {}
    Claim(Claim&& other) noexcept
        : spool_(std::exchange(other.spool_, nullptr)),
          id_(other.id_),
          fetched_(other.fetched_.load()),
          is_refused_(other.is_refused_.load()),
          refused_for_(other.refused_for_.load()) {}
    Claim& operator=(Claim&&) = delete;
    ~Claim();

    // So many bytes of footage were written.
    void add(std::uint64_t bytes) { fetched_ += bytes; }
    // Before more is fetched. An Error of kind no_space: the capture is to end its attempt.
    Result<void> check();
    // The disk turned out full while a clip of about so many bytes was put together.
    void note_disk_full(std::uint64_t bytes);
    // Why check() or note_disk_full() has last refused it.
    std::optional<SpoolRefusal::Cause> refused_for() const {
      return is_refused_ ? std::optional(refused_for_.load()) : std::nullopt;
    }
    // Whether a clip may be put together while its footage is still fetched.
    bool has_room_beside();

   private:
    void settle(SpoolBudget& budget);
    void note_refusal(const SpoolRefusal& refusal);

    Spool* spool_;
    SpoolBudget::ClaimId id_;
    // Alone: written, and not yet told to the budget.
    std::atomic<std::uint64_t> fetched_{0};
    // Alone: set by those who fetch, read when they have ended.
    std::atomic<bool> is_refused_{false};
    std::atomic<SpoolRefusal::Cause> refused_for_{};
  };
  std::variant<Claim, Refused> claim(CaptureId capture, const SpoolNeed& need);

  // Why captures wait, if they wait for something that a person has to mend; an Error of kind no_space. Clips that
  // merely pass through fill a small spool as well: they are no such reason before none has left for a minute.
  Result<void> check_room();

  // A finished clip was written.
  void add_clip(std::uint64_t bytes) { budget_.lock()->add_clip(bytes); }
  // The archive has taken one.
  void note_clip_left() { budget_.lock()->note_clip_left(clock_.steady_now()); }
  // Counts anew what is there.
  void measure();
  std::uint64_t used();
  std::uint64_t max_bytes() const { return limits_.max_bytes; }
  // As in SpoolBudget: room that somebody is to make.
  bool is_short() { return budget_.lock()->is_short(); }
  SpoolShortage take_shortage() { return budget_.lock()->take_shortage(); }

  // Removes finished clips that `still_wanted` denies.
  void sweep_ready(const std::function<bool(std::int64_t)>& still_wanted) const;
  // Removes marks of pictures of captures that `still_open` denies: nobody draws theirs again. At start, while none
  // is drawn.
  void sweep_picture_marks(const std::function<bool(std::int64_t)>& still_open) const;

 private:
  bool clips_stay(const SpoolRefusal& refusal) const;
  Error error_of(const SpoolRefusal& refusal) const;
  std::optional<std::uint64_t> disk_free() const;

  const std::filesystem::path directory_;
  const SpoolLimits limits_;
  const Clock& clock_;
  Synchronized<SpoolBudget> budget_;
};

}  // namespace responder::archive
