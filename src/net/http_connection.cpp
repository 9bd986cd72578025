// HttpConnection with libcurl: one easy handle, driven by a multi handle of its own, whose poll a stop wakes up.
#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <curl/curl.h>
#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/net/http_client.hpp"

#include "answer_head.hpp"
#include "client_error.hpp"
#include "client_tls.hpp"
#include "stall_rule.hpp"

namespace responder::net {
namespace {

using std::chrono::milliseconds;

constexpr long kept_for_seconds = 20;  // shorter than most servers keep idle connections
constexpr long buffer_bytes = 128 * 1024;

struct CleanUpEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct CleanUpMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

// Once for the program, and for as long as it runs.
void initialize_library() {
  static const CURLcode initialized = curl_global_init(CURL_GLOBAL_DEFAULT);
  static_cast<void>(initialized);
}

bool has_line_end(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != text.npos; }

// What is sent is what is given: a header that would begin another line is refused.
Result<HeaderList> header_list(const Headers& headers) {
  HeaderList list;
  const auto append = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) return false;
    static_cast<void>(list.release());
    list.reset(longer);
    return true;
  };
  bool appended = append("Expect:");  // never ask first whether a body is welcome
  for (const auto& [name, value] : headers) {
    if (has_line_end(name) || has_line_end(value))
      return Error{ErrorKind::permanent, fmt::format("the header {} has a line end in it", printable(name))};
    appended = appended && append(value.empty() ? name + ";" : name + ": " + value);
  }
  if (!appended) return Error{ErrorKind::transient, "out of memory"};
  return list;
}

// One request and what becomes of it.
struct Exchange {
  const BodyReceiver& receiver;
  ClientTls& tls;
  StallRule stalls;
  Clock& clock;
  AnswerHead head = {};
  std::optional<StallRule::Stall> stall = {};
  bool head_too_large = false;
  bool refused_by_us = false;
};

}  // namespace

struct HttpConnection::Impl {
  const Url origin;
  const ClientLimits limits;
  SystemClock clock;
  ClientSockets sockets;
  ClientTls tls;
  std::array<char, CURL_ERROR_SIZE> detail{};
  // libcurl uses all of the above until these are gone, the easy handle first.
  std::unique_ptr<CURLM, CleanUpMulti> multi;
  std::unique_ptr<CURL, CleanUpEasy> easy;
  bool stood_still = false;

  Impl(const Url& url, Trust trust, const ClientLimits& how_long, const std::string& unix_path)
      : origin(url), limits(how_long), tls(std::move(trust), sockets) {
    initialize_library();
    multi.reset(curl_multi_init());
    easy.reset(curl_easy_init());
    if (!multi || !easy) return;  // every request says so
    curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, 1L);
    set_up_connecting(unix_path);
    set_up_trust();
    set_up_callbacks();
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    curl_easy_setopt(easy.get(), option, value);
  }

  // Nothing comes from the environment or from files, and nothing is kept between requests but the connection.
  void set_up_connecting(const std::string& unix_path) {
    const auto host = origin.host.find(':') == std::string::npos ? origin.host : "[" + origin.host + "]";
    set(CURLOPT_URL, fmt::format("{}://{}:{}/", origin.scheme, host, origin.port).c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits.connect.count()));
    set(CURLOPT_QUICK_EXIT, 1L);  // nobody waits for a resolver's thread
    set(CURLOPT_MAXAGE_CONN, kept_for_seconds);
    set(CURLOPT_BUFFERSIZE, buffer_bytes);
    set(CURLOPT_USERAGENT, "rhombus-responder");
    set(CURLOPT_ERRORBUFFER, detail.data());
    if (!unix_path.empty()) set(CURLOPT_UNIX_SOCKET_PATH, unix_path.c_str());
  }

  void set_up_trust() {
    const auto& trust = tls.trust();
    const bool verified = trust.mode == Trust::Mode::verify;
    set(CURLOPT_SSL_VERIFYPEER, verified ? 1L : 0L);
    set(CURLOPT_SSL_VERIFYHOST, verified ? 2L : 0L);
    // ClientTls loads the CA certificates: ca_file beside the system's, not instead of them.
    set(CURLOPT_CAINFO, static_cast<const char*>(nullptr));
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    set(CURLOPT_CA_CACHE_TIMEOUT, 0L);
    set(CURLOPT_SSL_SESSIONID_CACHE, 0L);  // a resumed session would not ask accept_key
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_SSL_ENABLE_ALPN, 0L);
    if (trust.client_cert.empty()) return;
    set(CURLOPT_SSLCERT, trust.client_cert.c_str());
    set(CURLOPT_SSLKEY, trust.client_key.c_str());
    set(CURLOPT_KEYPASSWD, "");  // an encrypted key is an error, not a question on the terminal
  }

  void set_up_callbacks() {
    set(
        CURLOPT_SSL_CTX_FUNCTION, +[](CURL*, void* context, void* self) {
          return static_cast<ClientTls*>(self)->prepare(static_cast<SSL_CTX*>(context)) ? CURLE_OK
                                                                                        : CURLE_SSL_CACERT_BADFILE;
        });
    set(CURLOPT_SSL_CTX_DATA, static_cast<void*>(&tls));
    set(
        CURLOPT_OPENSOCKETFUNCTION, +[](void* self, curlsocktype, curl_sockaddr* address) -> curl_socket_t {
          return static_cast<ClientSockets*>(self)->open(address->family, address->socktype, address->protocol);
        });
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&sockets));
    set(
        CURLOPT_CLOSESOCKETFUNCTION,
        +[](void* self, curl_socket_t socket) { return static_cast<ClientSockets*>(self)->close(socket); });
    set(CURLOPT_CLOSESOCKETDATA, static_cast<void*>(&sockets));
    set(CURLOPT_HEADERFUNCTION, on_header);
    set(CURLOPT_WRITEFUNCTION, on_body);
  }

  // Anything but `size` breaks the transfer off.
  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    switch (exchange.head.add(std::string_view(data, size))) {
      case AnswerHead::Step::more: return size;
      case AnswerHead::Step::too_large: exchange.head_too_large = true; return 0;
      case AnswerHead::Step::complete: break;
    }
    const auto& on_headers = exchange.receiver.on_headers;
    exchange.refused_by_us = on_headers && !on_headers(exchange.head.response());
    return exchange.refused_by_us ? 0 : size;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    exchange.stalls.received(size, exchange.clock.steady_now());
    if (!exchange.tls.received(size)) return 0;
    exchange.refused_by_us = !exchange.receiver.on_data(std::string_view(data, size));
    return exchange.refused_by_us ? 0 : size;
  }

  struct Request {
    const std::string& target;
    const Headers& headers;
    const std::string* body = nullptr;  // a POST's
    Repeat repeat = Repeat::allowed;
  };

  Result<Response> send(const Request& request, const BodyReceiver& receiver, const std::stop_token& stop) {
    stood_still = false;
    if (!multi || !easy) return Error{ErrorKind::transient, origin.origin() + ": out of memory"};
    const auto list = header_list(request.headers);
    if (!list) return with_context(list.error(), origin.origin());
    if (has_line_end(request.target))
      return Error{ErrorKind::permanent, origin.origin() + ": the path has a line end"};
    Exchange exchange{receiver, tls, StallRule(limits, clock.steady_now()), clock};
    set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
    set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
    set(CURLOPT_REQUEST_TARGET, request.target.c_str());
    set(CURLOPT_HTTPHEADER, list->get());
    set(CURLOPT_FRESH_CONNECT, request.repeat == Repeat::never ? 1L : 0L);
    if (request.body != nullptr) {
      set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
      set(CURLOPT_POSTFIELDS, request.body->data());
    } else {
      set(CURLOPT_HTTPGET, 1L);
    }
    const auto opened_before = sockets.opened();
    auto ended = run(exchange, stop);
    // libcurl repeats such a request by itself where it sees in time that the connection was closed.
    if (ended && was_closed_meanwhile(*ended) && request.repeat == Repeat::allowed && exchange.head.is_empty() &&
        sockets.opened() == opened_before) {
      set(CURLOPT_FRESH_CONNECT, 1L);
      ended = run(exchange, stop);
    }
    if (ended == CURLE_OK) return std::move(exchange.head.response());
    stood_still = exchange.stall.has_value();
    return why_not(exchange, ended, sockets.opened() > opened_before);
  }

  static bool was_closed_meanwhile(CURLcode code) {
    return code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING;
  }

  std::optional<CURLcode> run(Exchange& exchange, const std::stop_token& stop) {
    if (stop.stop_requested()) return std::nullopt;
    tls.begin_request();
    detail.front() = '\0';
    const std::stop_callback wake_up(stop, [&] { curl_multi_wakeup(multi.get()); });
    curl_multi_add_handle(multi.get(), easy.get());
    const auto ended = drive(exchange, stop);
    // Closes the connection of a request that has not ended; waits for nothing.
    curl_multi_remove_handle(multi.get(), easy.get());
    return ended;
  }

  Error why_not(const Exchange& exchange, std::optional<CURLcode> ended, bool resolved) {
    if (exchange.refused_by_us) return {ErrorKind::cancelled, origin.origin() + ": broken off by us"};
    if (auto refused = tls.take_refusal()) return *refused;
    const RequestProgress progress{.resolved = resolved,
                                   .handshake = tls.hello_sent(),
                                   .peer_answered = tls.peer_answered(),
                                   .head_begun = !exchange.head.is_empty(),
                                   .head_complete = exchange.head.is_complete()};
    auto error = exchange.stall            ? stall_error(*exchange.stall, progress, limits)
                 : !ended                  ? Error{ErrorKind::cancelled, "broken off"}
                 : exchange.head_too_large ? Error{ErrorKind::transient, "the head of its answer is too large"}
                 : tls.flooded()           ? Error{ErrorKind::transient, "it sends TLS records without end"}
                                 : client_error(*ended, easy.get(), detail.data(), progress, origin, limits);
    return with_context(std::move(error), origin.origin());
  }

  // libcurl's code when the request has ended; nothing when it was stopped, or cut because of exchange.stall.
  std::optional<CURLcode> drive(Exchange& exchange, const std::stop_token& stop) {
    while (true) {
      int count = 0;
      if (curl_multi_perform(multi.get(), &count) != CURLM_OK) return CURLE_FAILED_INIT;
      while (const CURLMsg* message = curl_multi_info_read(multi.get(), &count)) {
        if (message->msg == CURLMSG_DONE) return message->data.result;
      }
      if (stop.stop_requested()) return std::nullopt;
      const auto now = clock.steady_now();
      exchange.stall = exchange.stalls.look(now);
      if (exchange.stall) return std::nullopt;
      const auto wait = std::chrono::ceil<milliseconds>(exchange.stalls.next_look() - now);
      curl_multi_poll(multi.get(), nullptr, 0, static_cast<int>(std::clamp<long>(wait.count(), 0, 60'000)), nullptr);
    }
  }

  Result<Response> send_buffered(const Request& request, std::size_t max_body_bytes, const std::stop_token& stop,
                                 LongBody long_body = LongBody::error) {
    std::string collected;
    bool too_large = false;
    std::optional<Response> head;
    BodyReceiver receiver;
    receiver.on_headers = [&](const Response& answer) {
      head = answer;
      return true;
    };
    receiver.on_data = [&](std::string_view data) {
      const auto room = max_body_bytes - collected.size();
      too_large = data.size() > room;
      collected += data.substr(0, room);
      return !too_large;
    };
    auto response = send(request, receiver, stop);
    if (too_large && head && long_body == LongBody::cut) {
      head->body = std::move(collected);
      return std::move(*head);
    }
    if (too_large) {
      return Error{ErrorKind::permanent,
                   fmt::format("{}: the answer is larger than {} bytes", origin.origin(), max_body_bytes)};
    }
    if (response) response->body = std::move(collected);
    return response;
  }
};

HttpConnection::HttpConnection(const Url& origin, Trust trust, const ClientLimits& limits)
    : impl_(std::make_unique<Impl>(origin, std::move(trust), limits, std::string())) {}
HttpConnection::HttpConnection(const std::string& unix_path, const ClientLimits& limits)
    : impl_(std::make_unique<Impl>(*Url::parse("http://localhost"), Trust{}, limits, unix_path)) {}
HttpConnection::~HttpConnection() = default;
HttpConnection::HttpConnection(HttpConnection&&) noexcept = default;
HttpConnection& HttpConnection::operator=(HttpConnection&&) noexcept = default;

Result<Response> HttpConnection::get(const std::string& target, const Headers& headers, std::size_t max_body_bytes,
                                     std::stop_token stop) {
  return impl_->send_buffered({target, headers}, max_body_bytes, stop);
}

Result<Response> HttpConnection::get(const std::string& target, const Headers& headers, const BodyReceiver& receiver,
                                     std::stop_token stop) {
  return impl_->send({target, headers}, receiver, stop);
}

Result<Response> HttpConnection::post_json(const std::string& target, const Headers& headers, const std::string& body,
                                           std::size_t max_body_bytes, Repeat repeat, std::stop_token stop,
                                           LongBody long_body) {
  Headers with_type = headers;
  with_type.emplace_back("Content-Type", "application/json");
  with_type.emplace_back("Accept", "application/json");
  return impl_->send_buffered({target, with_type, &body, repeat}, max_body_bytes, stop, long_body);
}

bool HttpConnection::stood_still() const { return impl_->stood_still; }

}  // namespace responder::net
