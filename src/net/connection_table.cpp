#include "connection_table.hpp"

#include <algorithm>

namespace responder::net {

bool ConnectionTable::add(std::unique_ptr<ServerConnection> connection) {
  if (connections_.size() >= most_ && !make_room()) return false;
  ++by_group_[connection->peer_group];
  const auto id = connection->id;
  connections_.emplace(id, std::move(connection));
  return true;
}

ServerConnection* ConnectionTable::find(std::uint64_t id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

void ConnectionTable::erase(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const auto group = by_group_.find(found->second->peer_group);
  if (--group->second == 0) by_group_.erase(group);
  connections_.erase(found);
}

void ConnectionTable::erase_if(const std::function<bool(const ServerConnection&)>& condition) {
  for (const auto id : ids_where(condition)) erase(id);
}

std::vector<std::uint64_t> ConnectionTable::ids_where(
    const std::function<bool(const ServerConnection&)>& condition) const {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, connection] : connections_) {
    if (condition(*connection)) ids.push_back(id);
  }
  return ids;
}

bool ConnectionTable::make_room() {
  struct Candidate {
    std::size_t of_group = 0;  // how many connections its group has
    SteadyTime idle_since;
    std::uint64_t id = 0;
  };
  std::vector<Candidate> candidates;
  for (const auto& [id, connection] : connections_) {
    if (connection->can_make_room())
      candidates.push_back({by_group_.at(connection->peer_group), connection->idle_since, id});
  }
  // Several at once, so that a flood of new ones does not cost a look at all of them each.
  constexpr std::size_t share = 64;
  const auto count = std::min(candidates.size(), std::max<std::size_t>(1, most_ / share));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end(),
                    [](const Candidate& a, const Candidate& b) {
                      return a.of_group != b.of_group ? a.of_group > b.of_group : a.idle_since < b.idle_since;
                    });
  for (std::size_t i = 0; i < count; ++i) {
    if (candidates[i].of_group == candidates[0].of_group) erase(candidates[i].id);  // who has fewer keeps them
  }
  return count > 0;
}

void ConnectionTable::clear() {
  connections_.clear();
  by_group_.clear();
}

}  // namespace responder::net
