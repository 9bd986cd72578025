#include "reply_slot.hpp"

#include <unistd.h>

namespace responder::net {

void ReplySlot::Target::wake() {
  if (wake_pending.exchange(true)) return;
  const std::uint64_t one = 1;
  // The counter cannot overflow, so the only failure left is a closed descriptor, when nobody listens any more.
  [[maybe_unused]] const ssize_t written = ::write(wake_fd.get(), &one, sizeof one);
}

ReplySlot::ReplySlot(std::shared_ptr<Target> target, std::uint64_t connection)
    : target_(std::move(target)), connection_(connection) {}

ReplySlot::~ReplySlot() {
  if (target_) send(ServerReply{.status = 500, .body = R"({"status":"error"})"});
}

void ReplySlot::send(ServerReply reply, SteadyTime not_before) {
  const auto target = std::move(target_);
  if (!target) return;
  if (std::this_thread::get_id() == target->loop) {
    target->own.push_back({connection_, std::move(reply), not_before});
    return;
  }
  target->replies.enqueue({connection_, std::move(reply), not_before});
  target->wake();
}

}  // namespace responder::net
