#include "http_parse.hpp"

#include <cstring>

#include <fmt/format.h>
#include <httplib.h>
#if !defined(CPPHTTPLIB_OPENSSL_SUPPORT) || !defined(CPPHTTPLIB_ZLIB_SUPPORT) || !defined(CPPHTTPLIB_BROTLI_SUPPORT)
#error "cpp-httplib without its pkg-config flags: its types would differ in size from those in the library"
#endif

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

// What httplib reads from is the line and nothing else; what it writes goes nowhere, the front writes the answers.
class HeadStream final : public httplib::Stream {
 public:
  explicit HeadStream(std::string_view head) : rest_(head) {}

  bool is_readable() const override { return !rest_.empty(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* out, size_t size) override {
    const std::size_t count = std::min(size, rest_.size());
    std::memcpy(out, rest_.data(), count);
    rest_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char*, size_t size) override { return static_cast<ssize_t>(size); }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  std::string_view rest_;
};

}  // namespace

class HeadParser::Parser final : public httplib::Server {
 public:
  Parser() {
    // Routing ends here: httplib's own would match regular expressions and read bodies.
    set_pre_routing_handler([](const httplib::Request&, httplib::Response&) { return HandlerResponse::Handled; });
  }

  std::optional<ServerRequest> parse(std::string_view head, HeaderFields fields) {
    const auto line = head.substr(0, head.find("\r\n"));
    const std::string method(line.substr(0, line.find(' ')));
    // httplib refuses methods it does not know, where HTTP asks for 405: it is shown one that it does.
    const auto shown = fmt::format("GET{}\r\n\r\n", line.substr(method.size()));
    HeadStream stream(shown);
    std::optional<ServerRequest> parsed;
    bool closed = false;
    process_request(stream, true, closed, [&](httplib::Request& request) {
      parsed.emplace();
      parsed->method = method;
      parsed->path = request.path;
      parsed->headers = std::move(fields);
    });
    return parsed;
  }
};

HeadParser::HeadParser() : parser_(std::make_unique<Parser>()) {}
HeadParser::~HeadParser() = default;
std::optional<ServerRequest> HeadParser::parse(std::string_view head, HeaderFields fields) {
  return parser_->parse(head, std::move(fields));
}

std::optional<std::string_view> ServerRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) return value;
  }
  return std::nullopt;
}

std::string ServerRequest::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) values.push_back(value);
  }
  return join(values, ",");
}

std::size_t ServerRequest::count(std::string_view name) const {
  return static_cast<std::size_t>(
      std::count_if(headers.begin(), headers.end(), [&](const auto& field) { return iequals(field.first, name); }));
}

}  // namespace responder::net
