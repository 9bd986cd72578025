#include "responder/ingest/refusals.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/net/http_front.hpp"

namespace responder::ingest {
namespace {

constexpr std::string_view all_others = "other addresses";

}  // namespace

Refusals::Address& Refusals::find(Minute& minute, const std::string& from) {
  const auto group = net::client_group(from);
  const bool is_new = minute.addresses.size() >= max_addresses && !minute.addresses.contains(group);
  return minute.addresses[is_new ? std::string(all_others) : group];
}

SteadyTime Refusals::refused(const std::string& from, std::string_view why) {
  const auto now = clock_.steady_now();
  std::string line;
  SteadyTime answer_at = now;
  {
    auto minute = minute_.lock();
    Address& address = find(*minute, from);
    ++address.refused;
    if (address.said == 0 && minute->lines < max_lines_a_minute) {
      ++minute->lines;
      ++address.said;
      line = fmt::format("webhook from {} refused: {}", from, why);
    }
    if (address.refused > at_once) {
      address.next_answer = std::clamp<SteadyTime>(address.next_answer + distance, now, now + longest_delay);
      answer_at = address.next_answer;
    }
  }
  if (!line.empty()) log_(line);
  return answer_at;
}

void Refusals::report() {
  constexpr std::chrono::minutes period{1};
  constexpr std::size_t named = 5;
  const auto now = clock_.steady_now();
  std::map<std::string, Address> addresses;
  {
    auto minute = minute_.lock();
    if (now - minute->began < period) return;
    minute->began = now;
    minute->lines = 0;
    addresses.swap(minute->addresses);
    // Whoever is being held up stays so.
    for (const auto& [group, address] : addresses) {
      if (address.next_answer > now) minute->addresses[group].next_answer = address.next_answer;
    }
  }
  std::vector<std::pair<std::size_t, std::string>> unsaid;
  std::size_t all = 0;
  for (const auto& [group, address] : addresses) {
    if (address.refused <= address.said) continue;
    all += address.refused - address.said;
    unsaid.emplace_back(address.refused - address.said, group);
  }
  if (unsaid.empty()) return;
  std::sort(unsaid.rbegin(), unsaid.rend());
  std::vector<std::string> worst;
  for (std::size_t i = 0; i < std::min(named, unsaid.size()); ++i)
    worst.push_back(fmt::format("{} from {}", unsaid[i].first, unsaid[i].second));
  log_(fmt::format("{} more webhooks refused in the last minute: {}{}", all, join(worst, ", "),
                   unsaid.size() > named ? fmt::format(" and {} others", unsaid.size() - named) : ""));
}

}  // namespace responder::ingest
