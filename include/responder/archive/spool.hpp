// Work in progress on a local disk, bounded. Nothing in it is promised to anybody: what is found there is checked
// before it is used.
//
//   work/DEVICE/START_DURATION/   what was fetched of a device's footage
//   ready/ID.mp4, ready/ID.jpg    a finished clip that waits for the archive, by its capture's id
//
// Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "responder/base/error.hpp"

namespace responder::archive {

class Spool {
 public:
  // At most `max_bytes`; `min_free_bytes` of its disk are left free.
  Spool(std::filesystem::path directory, std::uint64_t max_bytes, std::uint64_t min_free_bytes);

  Result<void> create() const;
  std::filesystem::path work() const { return directory_ / "work"; }
  std::filesystem::path ready_clip(std::int64_t capture) const;
  std::filesystem::path ready_thumbnail(std::int64_t capture) const;

  // An Error of kind no_space when there is no room to fetch more: some is left for putting clips together.
  Result<void> check_room() const;
  // The same for a clip of this size.
  Result<void> check_room_for_clip(std::uint64_t bytes) const;
  // Something was written; measure() counts anew.
  void add(std::uint64_t bytes) { used_ += bytes; }
  void measure();
  std::uint64_t used() const { return used_; }
  std::uint64_t max_bytes() const { return max_bytes_; }

  // Removes finished clips that `still_wanted` denies.
  void sweep_ready(const std::function<bool(std::int64_t)>& still_wanted) const;

 private:
  Result<void> check(std::uint64_t used, std::uint64_t bound) const;

  const std::filesystem::path directory_;
  const std::uint64_t max_bytes_;
  const std::uint64_t min_free_bytes_;
  // Alone: an estimate between two measurements.
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace responder::archive
