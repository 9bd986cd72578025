// Clients whose first TLS message has come, in line for their handshake: the costly part of a connection, and anybody
// may ask for it. Addresses take turns. Within an address the newest and the oldest connection take turns: an old one
// may have given up, but must not wait for ever behind newer ones. Of the loop thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

namespace responder::net {

class HandshakeQueue {
 public:
  static constexpr std::size_t most_of_a_group = 4096;

  void add(const std::string& group, std::uint64_t connection) {
    auto& waiting = waiting_[group].connections;
    if (waiting.empty()) turns_.push_back(group);
    // The oldest have gone, or are about to be late.
    if (waiting.size() >= most_of_a_group) waiting.pop_front();
    waiting.push_back(connection);
  }

  std::optional<std::uint64_t> next() {
    if (turns_.empty()) return std::nullopt;
    const auto found = waiting_.find(turns_.front());
    auto& [waiting, oldest_is_next] = found->second;
    const auto connection = oldest_is_next ? waiting.front() : waiting.back();
    oldest_is_next ? waiting.pop_front() : waiting.pop_back();
    oldest_is_next = !oldest_is_next;
    if (waiting.empty()) {
      waiting_.erase(found);
    } else {
      turns_.push_back(turns_.front());
    }
    turns_.pop_front();
    return connection;
  }

  bool empty() const { return turns_.empty(); }

 private:
  struct Group {
    std::deque<std::uint64_t> connections;  // the oldest first
    bool oldest_is_next = false;
  };

  std::deque<std::string> turns_;  // each group that has someone waiting, once
  std::unordered_map<std::string, Group> waiting_;
};

}  // namespace responder::net
