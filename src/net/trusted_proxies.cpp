#include "responder/net/trusted_proxies.hpp"

#include <algorithm>
#include <optional>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

std::optional<std::array<unsigned char, 16>> parse_address(const std::string& text) {
  std::array<unsigned char, 16> address{};
  if (::inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
  if (::inet_pton(AF_INET, text.c_str(), address.data() + 12) != 1) return std::nullopt;
  address[10] = address[11] = 0xFF;
  return address;
}

bool same_prefix(const std::array<unsigned char, 16>& a, const std::array<unsigned char, 16>& b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  if (bits % 8 == 0) return true;
  const unsigned mask = 0xFF00U >> (bits % 8) & 0xFFU;
  return (a[whole] & mask) == (b[whole] & mask);
}

}  // namespace

Result<TrustedProxies> TrustedProxies::parse(const std::vector<std::string>& networks) {
  TrustedProxies proxies;
  for (const auto& text : networks) {
    const auto slash = text.find('/');
    const std::string host = text.substr(0, slash);
    const auto address = parse_address(host);
    const bool v4 = host.find(':') == std::string::npos;
    const long long most = v4 ? 32 : 128;
    const auto bits = slash == std::string::npos ? std::optional<long long>(most) : parse_int(text.substr(slash + 1));
    if (!address || !bits || *bits < 0 || *bits > most) {
      return Error{ErrorKind::permanent,
                   fmt::format("'{}' is not a network like 10.0.0.0/8 or fd00::/8", printable(text, 60))};
    }
    proxies.networks_.push_back({*address, static_cast<unsigned>(*bits) + (v4 ? 96U : 0U)});
  }
  return proxies;
}

bool TrustedProxies::contains(std::string_view text) const {
  const auto address = parse_address(std::string(text));
  return address && std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
           return same_prefix(*address, network.address, network.prefix);
         });
}

std::string TrustedProxies::client(std::string_view peer, std::string_view forwarded_for) const {
  const std::string own(peer.empty() ? "unix" : peer);
  if (!peer.empty() && !contains(peer)) return own;
  std::string client = own;
  // From the end, and no farther than real chains of proxies go: a client writes the rest.
  constexpr int most_hops = 32;
  for (int i = 0; i < most_hops && !forwarded_for.empty(); ++i) {
    const auto comma = forwarded_for.rfind(',');
    const std::string hop(trim(forwarded_for.substr(comma == std::string_view::npos ? 0 : comma + 1)));
    forwarded_for = forwarded_for.substr(0, comma == std::string_view::npos ? 0 : comma);
    if (hop.empty()) continue;
    if (!parse_address(hop)) break;  // forged or broken: what came before it cannot be believed
    client = hop;
    if (!contains(client)) break;
  }
  return client;
}

}  // namespace responder::net
