// The connections of a front, at most so many. Where one comes too many, others make room, and not those of whoever
// has few: a stranger who opens as many as he can takes places from himself. Of the loop thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "server_connection.hpp"

namespace responder::net {

class ConnectionTable {
 public:
  // `most_memory`: bytes of half-sent requests.
  ConnectionTable(std::size_t most, std::size_t most_memory) : most_(most), most_memory_(most_memory) {}

  // False: everybody is being answered, nobody makes room.
  bool add(std::unique_ptr<ServerConnection> connection);
  ServerConnection* find(std::uint64_t id);
  void erase(std::uint64_t id);
  void erase_if(const std::function<bool(const ServerConnection&)>& condition);
  // Ids, so that a connection may go while its neighbours are worked on.
  std::vector<std::uint64_t> ids_where(const std::function<bool(const ServerConnection&)>& condition) const;
  // Closes some connections, the oldest of who has the most. False: there is none that may be closed.
  bool make_room();
  // note_memory() is called after each read. When all connections together hold too much, tidy_memory() takes the
  // address that holds the most, and closes its connections, the largest first.
  void note_memory(ServerConnection& connection);
  void tidy_memory();
  // Whoever sent something valid is the last to make room for strangers.
  void welcome(const std::string& group);
  bool empty() const { return connections_.empty(); }
  void clear();

 private:
  std::size_t most_;
  std::size_t most_memory_;
  std::size_t memory_ = 0;
  std::unordered_set<std::string> welcome_;
  std::unordered_map<std::uint64_t, std::unique_ptr<ServerConnection>> connections_;
  std::unordered_map<std::string, std::size_t> by_group_;  // how many each has
};

}  // namespace responder::net
