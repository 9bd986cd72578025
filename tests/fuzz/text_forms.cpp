// The small texts that come from outside: URLs, addresses, times, templates, names.
#include <simdjson.h>

#include "responder/archive/names.hpp"
#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/net/http_client.hpp"
#include "responder/net/listen_address.hpp"
#include "responder/net/trusted_proxies.hpp"
#include "responder/net/url.hpp"
#include "responder/rhombus/media_access.hpp"

#include "fuzz.hpp"

using namespace responder;
using fuzz::require;

namespace {

const WallTime now{std::chrono::seconds(1'700'000'000)};

void check_url(std::string_view text) {
  static const auto base = *net::Url::parse("https://host/a/b/c?d=e");
  const auto check = [](const Result<net::Url>& url) {
    if (!url) return fuzz::require_one_line(url.error().message);
    require(url->port > 0 && url->port <= 65535 && url->path.starts_with('/'), "a URL has all its parts");
    const auto again = net::Url::parse(url->str());
    if (url->str().size() > 8192) return;  // longer for its port
    require(again && again->str() == url->str(), "a URL is written as it is read");
  };
  check(net::Url::parse(text));
  check(base.resolve(text));
  check(rhombus::MediaPath{rhombus::Route::lan, std::string(text)}.mpd(std::chrono::floor<std::chrono::seconds>(now),
                                                                       std::chrono::seconds(60)));
}

void check_addresses(std::string_view text) {
  const auto address = net::ListenAddress::parse(text);
  if (address) {
    static_cast<void>(address->is_local());
    require(address->port >= 0 && address->port <= 65535, "a port is one");
  } else {
    fuzz::require_one_line(address.error().message);
  }
  static const auto proxies = *net::TrustedProxies::parse({"127.0.0.0/8", "10.0.0.0/9", "fd00::/8", "::1"});
  const auto client = proxies.client("127.0.0.1", text);
  require(client == "127.0.0.1" || text.find(client) != std::string_view::npos, "a client is named by somebody");
  require(proxies.client("8.8.8.8", text) == "8.8.8.8", "a stranger speaks for nobody");
  static_cast<void>(proxies.contains(text));
  if (auto parsed = net::TrustedProxies::parse(split(text, ',')); parsed) {
    static_cast<void>(parsed->client("", text));
  } else {
    fuzz::require_one_line(parsed.error().message);
  }
}

void check_time(std::string_view text) {
  const auto time = parse_time(text, now);
  if (!time) return fuzz::require_one_line(time.error().message);
  const auto written = format_rfc3339(*time);
  const auto again = parse_time(written, now);
  if (*time >= WallTime{} && *time < WallTime(std::chrono::seconds(253'402'300'800)))
    require(again && *again == std::chrono::floor<std::chrono::seconds>(*time), "a time is written as it is read");
}

void check_names(std::string_view text) {
  require(is_valid_utf8(printable(text)), "what is printed is UTF-8");
  fuzz::require_one_line(printable(text));
  const archive::ClipIdentity clip{std::string(text),
                                   DeviceId("C1"),
                                   AlertId("A1"),
                                   split(text, ','),
                                   std::chrono::floor<std::chrono::seconds>(now),
                                   true};
  for (const auto layout : {archive::Layout::flat, archive::Layout::by_date, archive::Layout::by_camera}) {
    const auto stem = archive::clip_stem(clip, layout, NameZone::utc);
    require(stem.is_relative() && stem.lexically_normal() == stem, "a clip stays in its archive");
    for (const auto& part : stem) require(part != ".." && part.string().size() <= 250, "a name is one");
    require(stem.filename().string().size() + 5 <= archive::max_name_bytes, "a name has a bounded length");
  }
}

void check_json(std::string_view text) {
  JsonWriter json;
  json.begin_object().field("text", text).end_object();
  const auto written = std::move(json).str();
  static simdjson::dom::parser parser;
  std::string_view back;
  require(parser.parse(written)["text"].get(back) == simdjson::SUCCESS, "what is written is JSON");
  if (is_valid_utf8(text)) require(back == text, "text is written as it is");
}

void check_answer(std::string_view text) {
  const auto error = net::status_error({429, {{"Retry-After", std::string(text)}}, {}}, "asked");
  if (error.retry_after) require(error.retry_after->count() >= 0, "nobody waits into the past");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = fuzz::as_text(data, size);
  check_url(text);
  check_addresses(text);
  check_time(text);
  check_names(text);
  check_json(text);
  check_answer(text);
  return 0;
}
