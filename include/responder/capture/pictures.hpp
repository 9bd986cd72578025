// Captures whose clip is in the archive and whose picture is being drawn. Thread-safe.
#pragma once

#include <chrono>
#include <set>
#include <stop_token>

#include "responder/base/synchronized.hpp"
#include "responder/journal/journal.hpp"

namespace responder::capture {

class PicturesInHand {
 public:
  // Before the capture's end is written down, and after its picture was drawn, or could not be.
  void begin(journal::CaptureId capture) { drawn_.lock()->insert(capture); }
  void end(journal::CaptureId capture) {
    drawn_.lock()->erase(capture);
    drawn_.notify_all();
  }

  // Returns when the capture's picture is not being drawn, after `longest`, or on `stop`: whoever tells of a clip may
  // want its picture, and must not hang with it.
  void wait_for(journal::CaptureId capture, std::chrono::milliseconds longest, std::stop_token stop) {
    auto held = drawn_.lock();
    held.wait_for(std::move(stop), longest, [&] { return !held->contains(capture); });
  }

 private:
  Synchronized<std::set<journal::CaptureId>> drawn_;
};

}  // namespace responder::capture
