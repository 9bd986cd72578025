#include "own_listener.hpp"

#include <fmt/format.h>

#include "process_lock.hpp"

namespace responder::app {
namespace {

constexpr std::string_view fact_name = "listening_on";
constexpr std::string_view tls_scheme = "https ";
constexpr std::string_view plain_scheme = "http ";

std::optional<OwnListener> parse(std::string_view text) {
  const bool has_tls = text.starts_with(tls_scheme);
  if (!has_tls && !text.starts_with(plain_scheme)) return std::nullopt;
  const auto address = net::ListenAddress::parse(text.substr((has_tls ? tls_scheme : plain_scheme).size()));
  if (!address) return std::nullopt;
  return OwnListener{*address, has_tls};
}

std::optional<OwnListener> recorded_listener(const Config& config) {
  if (!ProcessLock::is_held(serve_lock(config.journal.path))) return std::nullopt;
  auto journal = journal::Journal::open(config.journal.path, journal::Journal::Mode::read_only);
  if (!journal) return std::nullopt;
  const auto fact = journal->fact(fact_name);
  if (!fact || !*fact) return std::nullopt;
  return parse(**fact);
}

}  // namespace

Result<void> record_listener(journal::Journal& journal, const std::optional<OwnListener>& listener) {
  if (!listener) return journal.set_fact(fact_name, "");
  return journal.set_fact(
      fact_name, fmt::format("{}{}", listener->has_tls ? tls_scheme : plain_scheme, listener->address.str()));
}

OwnListener find_own_listener(const Config& config) {
  if (auto recorded = recorded_listener(config)) return *recorded;
  return {*net::ListenAddress::parse(config.webhook.listen),
          !config.webhook.tls_cert.empty()};  // load_config has parsed it
}

}  // namespace responder::app
