#include "own_secrets.hpp"

#include <algorithm>
#include <vector>

#include "responder/base/synchronized.hpp"

namespace responder::rhombus {
namespace {

Synchronized<std::vector<Secret>>& remembered() {
  static Synchronized<std::vector<Secret>> secrets;
  return secrets;
}

}  // namespace

void remember_secret(const Secret& secret) {
  constexpr std::size_t shortest = 6;
  constexpr std::size_t most = 1000;
  if (secret.reveal().size() < shortest) return;
  auto secrets = remembered().lock();
  const bool is_known = std::any_of(secrets->begin(), secrets->end(),
                                    [&](const Secret& one) { return one.reveal() == secret.reveal(); });
  if (is_known || secrets->size() >= most) return;
  secrets->push_back(secret);
  // The longest first: one may be the beginning of another.
  std::stable_sort(secrets->begin(), secrets->end(),
                   [](const Secret& a, const Secret& b) { return a.reveal().size() > b.reveal().size(); });
}

std::string without_secrets(std::string text) {
  constexpr std::string_view mask = "[secret]";
  auto secrets = remembered().lock();
  for (const auto& secret : *secrets) {
    for (auto at = text.find(secret.reveal()); at != std::string::npos; at = text.find(secret.reveal(), at)) {
      text.replace(at, secret.reveal().size(), mask);
      at += mask.size();
    }
  }
  return text;
}

}  // namespace responder::rhombus
