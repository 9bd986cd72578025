// The way of replies to the loop of a front.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <thread>

#include <concurrentqueue/concurrentqueue.h>

#include "responder/base/file.hpp"
#include "responder/net/http_front.hpp"

namespace responder::net {

// Where replies from other threads arrive; outlives the front as long as a slot does.
struct ReplySlot::Target {
  struct Posted {
    std::uint64_t connection = 0;
    ServerReply reply;
    SteadyTime not_before;
  };

  // Those of the loop thread itself, which has no need to be woken. Apart: of several producers' queues, the longest
  // is dequeued from first, and a commit's answer would wait behind any number of refusals.
  std::deque<Posted> own;
  std::thread::id loop;  // set before it hands out the first slot

  moodycamel::ConcurrentQueue<Posted> replies;
  UniqueFd wake_fd;
  // Whether the loop has been told already: one eventfd write serves a whole batch of replies.
  std::atomic<bool> wake_pending{false};

  void wake();
};

}  // namespace responder::net
