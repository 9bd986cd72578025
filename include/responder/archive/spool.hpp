// Work in progress on a local disk, bounded. Nothing in it is promised to anybody: what is found there is checked
// before it is used.
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
#include <utility>

#include "responder/base/error.hpp"
#include "responder/base/synchronized.hpp"

namespace responder::archive {

class Spool {
 public:
  // At most `max_bytes`; `min_free_bytes` of its disk are left free.
  Spool(std::filesystem::path directory, std::uint64_t max_bytes, std::uint64_t min_free_bytes);

  Result<void> create() const;
  // Says by a file of its own whose clips it holds. Those of another journal are set aside, under a name with
  // `stamp`: where they are then; an empty path when there are none.
  Result<std::filesystem::path> belong_to(const std::string& journal_id, std::string stamp) const;
  std::filesystem::path work() const { return directory_ / "work"; }
  std::filesystem::path ready_clip(std::int64_t capture) const;
  std::filesystem::path ready_thumbnail(std::int64_t capture) const;
  // Made before a capture's picture is drawn and removed after it: where it is found, the process ended in between.
  std::filesystem::path picture_mark(std::int64_t capture) const;

  // An Error of kind no_space when there is no room for more.
  Result<void> check_room() const;

  // Room set aside for a capture, for as long as it lives.
  class Reservation {
   public:
    Reservation(Spool& spool, std::uint64_t bytes) : spool_(&spool), bytes_(bytes) {}
    Reservation(Reservation&& other) noexcept : spool_(std::exchange(other.spool_, nullptr)), bytes_(other.bytes_) {}
    Reservation& operator=(Reservation&&) = delete;
    ~Reservation() {
      if (spool_ != nullptr) *spool_->reserved_.lock() -= bytes_;
    }

   private:
    Spool* spool_;
    std::uint64_t bytes_;
  };
  // As much as the captures that run at once may fill, so that each of them can be finished: an Error of kind
  // no_space when that is taken. The first one is always let in.
  Result<Reservation> reserve(std::uint64_t bytes);
  // Something was written; measure() counts anew.
  void add(std::uint64_t bytes) { used_ += bytes; }
  void measure();
  std::uint64_t used() const { return used_; }
  std::uint64_t max_bytes() const { return max_bytes_; }

  // Removes finished clips that `still_wanted` denies.
  void sweep_ready(const std::function<bool(std::int64_t)>& still_wanted) const;

 private:
  Error full() const;

  const std::filesystem::path directory_;
  const std::uint64_t max_bytes_;
  const std::uint64_t min_free_bytes_;
  // Alone: an estimate between two measurements.
  std::atomic<std::uint64_t> used_{0};
  Synchronized<std::uint64_t> reserved_;
};

}  // namespace responder::archive
