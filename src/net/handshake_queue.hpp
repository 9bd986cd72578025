// Clients whose first TLS message has come, in line for their handshake: the costly part of a connection, and anybody
// may ask for it. Addresses take turns; of one, who came last is first, as those before may have given up. Of the
// loop thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace responder::net {

class HandshakeQueue {
 public:
  static constexpr std::size_t most_of_a_group = 4096;

  void add(const std::string& group, std::uint64_t connection) {
    auto& waiting = waiting_[group];
    if (waiting.empty()) turns_.push_back(group);
    // Those at the bottom have gone, or are about to be late.
    if (waiting.size() >= 2 * most_of_a_group)
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(most_of_a_group));
    waiting.push_back(connection);
  }

  std::optional<std::uint64_t> next() {
    if (turns_.empty()) return std::nullopt;
    const auto found = waiting_.find(turns_.front());
    const auto connection = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) {
      waiting_.erase(found);
    } else {
      turns_.push_back(turns_.front());
    }
    turns_.pop_front();
    return connection;
  }

  bool empty() const { return turns_.empty(); }

 private:
  std::deque<std::string> turns_;  // each group that has someone waiting, once
  std::unordered_map<std::string, std::vector<std::uint64_t>> waiting_;
};

}  // namespace responder::net
