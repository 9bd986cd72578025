#include "responder/net/http_client.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "responder/base/text.hpp"

namespace responder::net {

std::optional<std::string> Response::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) return value;
  }
  return std::nullopt;
}

std::optional<WallTime> Response::time(std::string_view name) const {
  const auto date = header(name);
  std::tm parsed{};
  if (!date || ::strptime(date->c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parsed) == nullptr) return std::nullopt;
  return WallTime(std::chrono::seconds(::timegm(&parsed)));
}

ConnectionPool::ConnectionPool(Url origin, Trust trust, ClientLimits limits, std::size_t max_connections)
    : origin_(std::move(origin)),
      trust_(std::move(trust)),
      limits_(limits),
      max_connections_(std::max<std::size_t>(1, max_connections)) {}

ConnectionPool::Loan::~Loan() {
  if (connection_) pool_->give_back(std::move(connection_));
}

Result<ConnectionPool::Loan> ConnectionPool::borrow(std::stop_token stop) {
  {
    auto state = state_.lock();
    if (!state.wait(std::move(stop), [&] { return state->lent < max_connections_; })) {
      return Error{ErrorKind::cancelled, "shutting down"};
    }
    ++state->lent;
    if (!state->idle.empty()) {
      auto connection = std::move(state->idle.back());
      state->idle.pop_back();
      return Loan(*this, std::move(connection));
    }
  }
  return Loan(*this, std::make_unique<HttpConnection>(origin_, trust_, limits_));
}

void ConnectionPool::give_back(std::unique_ptr<HttpConnection> connection) {
  {
    auto state = state_.lock();
    --state->lent;
    state->idle.push_back(std::move(connection));
  }
  state_.notify_one();
}

Result<void> check_ca_file(const std::string& path) {
  const std::unique_ptr<X509_STORE, decltype(&X509_STORE_free)> store(X509_STORE_new(), X509_STORE_free);
  const bool loaded = store && X509_STORE_load_file(store.get(), path.c_str()) == 1;
  ERR_clear_error();
  if (!loaded) return Error{ErrorKind::permanent, fmt::format("{} holds no CA certificate (PEM)", path)};
  return {};
}

namespace {

// A date is as far away as the server's own clock says, or ours where it does not tell the time.
std::optional<std::chrono::seconds> retry_after(const Response& response) {
  constexpr std::chrono::seconds longest{3600};
  const auto header = response.header("retry-after");
  if (!header) return std::nullopt;
  if (const auto wait = parse_int(trim(*header))) {
    if (*wait < 0) return std::nullopt;
    return std::chrono::seconds(std::min<long long>(*wait, longest.count()));
  }
  const auto until = response.time("retry-after");
  if (!until) return std::nullopt;
  const auto now = response.time("date").value_or(SystemClock().wall_now());
  return std::clamp(std::chrono::ceil<std::chrono::seconds>(*until - now), std::chrono::seconds(0), longest);
}

}  // namespace

Error status_error(const Response& response, std::string_view what) {
  ErrorKind kind = ErrorKind::permanent;
  switch (response.status) {
    case 401:
    case 403: kind = ErrorKind::auth; break;
    case 404:
    case 410: kind = ErrorKind::not_found; break;
    case 408:
    case 425:
    case 429: kind = ErrorKind::transient; break;
    default:
      if (response.status >= 500) kind = ErrorKind::transient;
  }
  Error error{kind, fmt::format("{}: HTTP {}", what, response.status)};
  error.retry_after = retry_after(response);
  return error;
}

}  // namespace responder::net
