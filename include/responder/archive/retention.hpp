// Which clips are to go: by age, by bytes, and, when the disk is short of room, the oldest of those that have a limit
// at all. Pure: no journal, no files, no clock. One thread.
//
// First all clips that stand in the archive are weighed, in any order; then they are judged, the oldest first.
// Memory grows with the number of limits, not with that of clips.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "responder/base/clock.hpp"

namespace responder::archive {

// The limits there are; a clip names those that are its by their places. 0: none.
struct RetentionLimits {
  std::vector<std::chrono::days> ages;
  std::vector<std::uint64_t> bytes;  // for all clips together that name it
};

struct LimitedClip {
  std::chrono::sys_seconds end;  // of its footage
  std::uint64_t bytes = 0;
  bool may_go = true;  // it is not held, and nothing better is still tried for; it counts all the same
  std::size_t age_limit = 0;
  std::size_t bytes_limit = 0;
};

enum class Removal { none, by_age, by_bytes, for_room };

class Retention {
 public:
  // `lacking`: bytes that are to be made room for, whatever the limits leave; if that can be.
  Retention(RetentionLimits limits, WallTime now, std::uint64_t lacking);

  // False: clips may be judged without having been weighed.
  bool must_weigh() const;
  void weigh(const LimitedClip& clip);

  Removal judge(const LimitedClip& clip);
  // Whether no clip that ends then or later is to go, as far as is judged.
  bool is_over(std::chrono::sys_seconds end) const;

  // Limits that clips which may not go exceed alone: none of the others goes for them, as that would be in vain.
  std::vector<std::size_t> filled_by_kept() const;

 private:
  struct Weight {
    std::uint64_t all = 0;   // of what age leaves
    std::uint64_t kept = 0;  // of that, what may not go
  };

  bool is_aged(const LimitedClip& clip) const;
  bool has_limit(const LimitedClip& clip) const;
  std::uint64_t excess(std::size_t limit) const;
  void settle_lacking();

  const RetentionLimits limits_;
  const WallTime now_;
  std::vector<Weight> weights_;  // by limit of bytes
  std::uint64_t aged_ = 0;       // bytes that go by age
  std::uint64_t limited_ = 0;    // bytes of all others that may go and have a limit
  std::uint64_t lacking_;
  bool judging_ = false;
};

}  // namespace responder::archive
