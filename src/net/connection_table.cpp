#include "connection_table.hpp"

#include <algorithm>
#include <tuple>

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
  memory_ -= found->second->memory;
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
    bool welcome = false;
    std::size_t of_group = 0;  // how many connections its group has
    SteadyTime idle_since;
    std::uint64_t id = 0;
  };
  std::vector<Candidate> candidates;
  for (const auto& [id, connection] : connections_) {
    if (connection->can_make_room())
      candidates.push_back({welcome_.contains(connection->peer_group), by_group_.at(connection->peer_group),
                            connection->idle_since, id});
  }
  // Several at once, so that a flood of new ones does not cost a look at all of them each.
  constexpr std::size_t share = 64;
  const auto count = std::min(candidates.size(), std::max<std::size_t>(1, most_ / share));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count), candidates.end(),
                    [](const Candidate& a, const Candidate& b) {
                      return std::tuple(a.welcome, b.of_group, a.idle_since) <
                             std::tuple(b.welcome, a.of_group, b.idle_since);
                    });
  for (std::size_t i = 0; i < count; ++i) {
    // Who has fewer keeps them.
    const bool as_first =
        candidates[i].welcome == candidates[0].welcome && candidates[i].of_group == candidates[0].of_group;
    if (as_first) erase(candidates[i].id);
  }
  return count > 0;
}

void ConnectionTable::note_memory(ServerConnection& connection) {
  const auto now = connection.buffered();
  memory_ += now - connection.memory;
  connection.memory = now;
}

void ConnectionTable::tidy_memory() {
  constexpr std::size_t worth_closing = 1024;  // an idle connection has a few bytes
  while (memory_ > most_memory_) {
    std::unordered_map<std::string, std::size_t> held;
    for (const auto& [id, connection] : connections_) held[connection->peer_group] += connection->memory;
    const auto worst =
        std::max_element(held.begin(), held.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    auto ids = ids_where([&](const ServerConnection& one) {
      return one.peer_group == worst->first && one.memory > worth_closing && one.can_make_room();
    });
    // Those that sent something valid go last; of the others, those that hold most.
    const auto order = [&](std::uint64_t id) {
      const auto* one = find(id);
      return std::tuple(one->sent_valid, most_memory_ - std::min(most_memory_, one->memory), one->idle_since);
    };
    std::sort(ids.begin(), ids.end(), [&](std::uint64_t a, std::uint64_t b) { return order(a) < order(b); });
    // Well below, so that the next byte does not cost another look at all of them.
    const auto enough = most_memory_ - most_memory_ / 8;
    const auto before = memory_;
    for (const auto id : ids) {
      if (memory_ <= enough) break;
      erase(id);
    }
    if (memory_ == before) return;
  }
}

void ConnectionTable::welcome(const std::string& group) {
  constexpr std::size_t most_remembered = 1024;
  if (welcome_.size() >= most_remembered) welcome_.clear();
  welcome_.insert(group);
}

void ConnectionTable::clear() {
  connections_.clear();
  by_group_.clear();
  memory_ = 0;
}

}  // namespace responder::net
