// The connections of a front, at most so many. Where one comes too many, others make room, and not those of whoever
// has few: a stranger who opens as many as he can takes places from himself. Of the loop thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "server_connection.hpp"

namespace responder::net {

class ConnectionTable {
 public:
  explicit ConnectionTable(std::size_t most) : most_(most) {}

  // False: everybody is being answered, nobody makes room.
  bool add(std::unique_ptr<ServerConnection> connection);
  ServerConnection* find(std::uint64_t id);
  void erase(std::uint64_t id);
  void erase_if(const std::function<bool(const ServerConnection&)>& condition);
  // Ids, so that a connection may go while its neighbours are worked on.
  std::vector<std::uint64_t> ids_where(const std::function<bool(const ServerConnection&)>& condition) const;
  // Closes some connections, the oldest of who has the most. False: there is none that may be closed.
  bool make_room();
  bool empty() const { return connections_.empty(); }
  void clear();

 private:
  std::size_t most_;
  std::unordered_map<std::uint64_t, std::unique_ptr<ServerConnection>> connections_;
  std::unordered_map<std::string, std::size_t> by_group_;  // how many each has
};

}  // namespace responder::net
