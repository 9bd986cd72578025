#include "hosts.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include <arpa/inet.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

std::string why_ipv4(std::uint32_t address) {
  struct Block {
    std::uint32_t base;
    int bits;
    std::string_view why;
  };
  constexpr std::array<Block, 7> blocks{{{0x00000000, 8, "no address of a host"},
                                         {0x7F000000, 8, "a loopback address"},
                                         {0xA9FE0000, 16, "a link-local address"},
                                         {0x0A000000, 8, "a private address"},
                                         {0xAC100000, 12, "a private address"},
                                         {0xC0A80000, 16, "a private address"},
                                         {0x64400000, 10, "a provider's private address"}}};
  const auto found = std::find_if(blocks.begin(), blocks.end(), [&](const Block& block) {
    return (address >> (32 - block.bits)) == (block.base >> (32 - block.bits));
  });
  return found == blocks.end() ? std::string() : std::string(found->why);
}

std::string why_ipv6(const in6_addr& address) {
  const auto* bytes = address.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address))
    return why_ipv4(std::uint32_t{bytes[12]} << 24U | std::uint32_t{bytes[13]} << 16U |
                    std::uint32_t{bytes[14]} << 8U | std::uint32_t{bytes[15]});
  if (IN6_IS_ADDR_LOOPBACK(&address)) return "a loopback address";
  if (IN6_IS_ADDR_UNSPECIFIED(&address)) return "no address of a host";
  if (IN6_IS_ADDR_LINKLOCAL(&address)) return "a link-local address";
  return (bytes[0] & 0xFEU) == 0xFC ? "a private address" : "";
}

}  // namespace

std::string why_unreachable_from_outside(const std::string& host) {
  in_addr ipv4{};
  if (::inet_pton(AF_INET, host.c_str(), &ipv4) == 1) return why_ipv4(ntohl(ipv4.s_addr));
  in6_addr ipv6{};
  if (::inet_pton(AF_INET6, host.c_str(), &ipv6) == 1) return why_ipv6(ipv6);
  const auto name = ascii_lower(host);
  if (name == "localhost" || name.ends_with(".localhost")) return "a loopback name";
  constexpr std::array<std::string_view, 6> local{".local",    ".lan",       ".internal",
                                                  ".intranet", ".home.arpa", ".localdomain"};
  const bool is_local = std::any_of(local.begin(), local.end(), [&](auto ending) { return name.ends_with(ending); });
  return is_local || name.find('.') == std::string::npos ? "a name of a local network" : "";
}

}  // namespace responder::app
