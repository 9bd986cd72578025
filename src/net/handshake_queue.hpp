// Clients whose first TLS message has come, in line for their handshake: the costly part of a connection, and anybody
// may ask for it. Addresses take turns; of one, who came last is first, as those before may have given up. Of the
// loop thread alone.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace responder::net {

class HandshakeQueue {
 public:
  void add(const std::string& group, std::uint64_t connection) {
    auto& waiting = waiting_[group];
    if (waiting.empty()) turns_.push_back(group);
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
