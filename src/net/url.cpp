#include "responder/net/url.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::net {
namespace {

constexpr std::size_t max_url_bytes = 8192;

Error bad_url(std::string_view text, std::string_view why) {
  return Error{ErrorKind::permanent,
               fmt::format("'{}' is not a usable URL: {}", printable(text.substr(0, text.find('?')), 120), why)};
}

bool has_forbidden_bytes(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7F || c == '\\' || c == '"' || c == '<' || c == '>';
  });
}

// The scheme at the start of `text`, empty when it is a relative reference.
std::string_view scheme_of(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.find_first_of("/?#") < colon) return {};
  return text.substr(0, colon);
}

// RFC 3986, 5.2.4.
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  bool directory = false;
  path.remove_prefix(1);
  while (true) {
    const auto slash = path.find('/');
    const auto segment = path.substr(0, slash);
    directory = segment == "." || segment == "..";
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segment != ".") {
      kept.push_back(segment);
    }
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  std::string result;
  for (const auto segment : kept) result.append("/").append(segment);
  if (directory || result.empty()) result += '/';
  return result;
}

Result<void> parse_authority(std::string_view authority, std::string_view whole, Url& url) {
  if (authority.find('@') != std::string_view::npos) return bad_url("(hidden)", "it carries a user name or password");
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto bracket = authority.find(']');
    if (bracket == std::string_view::npos) return bad_url(whole, "the IPv6 address lacks its ']'");
    url.host = ascii_lower(authority.substr(1, bracket - 1));
    const auto rest = authority.substr(bracket + 1);
    if (!rest.empty() && rest.front() != ':') return bad_url(whole, "what follows the host is not a port");
    if (!rest.empty()) port = rest.substr(1);
  } else {
    const auto colon = authority.find(':');
    url.host = ascii_lower(authority.substr(0, colon));
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) return bad_url(whole, "it names no host");
  if (url.host.find_first_of("[]") != std::string::npos) return bad_url(whole, "its host has a bracket too many");
  url.port = url.scheme == "https" ? 443 : 80;
  if (!port.empty()) {
    const auto number = parse_int(port);
    if (!number || *number < 1 || *number > 65535) return bad_url(whole, "its port is not 1-65535");
    url.port = static_cast<int>(*number);
  }
  return {};
}

void split_path_and_query(std::string_view rest, std::string& path, std::string& query) {
  rest = rest.substr(0, rest.find('#'));
  const auto mark = rest.find('?');
  path = rest.substr(0, mark);
  query = mark == std::string_view::npos ? "" : rest.substr(mark + 1);
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > max_url_bytes) return bad_url(text, "it is too long");
  if (has_forbidden_bytes(text)) return bad_url(text, "it has a space or a control character");
  Url url;
  url.scheme = ascii_lower(scheme_of(text));
  if (url.scheme != "http" && url.scheme != "https")
    return bad_url(text, "it does not start with https:// or http://");
  auto rest = text.substr(url.scheme.size() + 1);
  if (!rest.starts_with("//")) return bad_url(text, "it names no host");
  rest.remove_prefix(2);
  const auto authority = rest.substr(0, rest.find_first_of("/?#"));
  if (auto parsed = parse_authority(authority, text, url); !parsed) return parsed.error();
  split_path_and_query(rest.substr(authority.size()), url.path, url.query);
  url.path = remove_dot_segments(url.path.empty() ? "/" : url.path);
  return url;
}

Result<Url> Url::resolve(std::string_view reference) const {
  if (reference.size() > max_url_bytes) return bad_url(reference, "it is too long");
  if (has_forbidden_bytes(reference)) return bad_url(reference, "it has a space or a control character");
  if (!scheme_of(reference).empty()) return parse(reference);
  if (reference.starts_with("//")) return parse(fmt::format("{}:{}", scheme, reference));

  Url url = *this;
  if (reference.empty() || reference.front() == '#') return url;
  std::string path_part;
  split_path_and_query(reference, path_part, url.query);
  if (path_part.empty()) return url;
  if (path_part.front() != '/') path_part.insert(0, path.substr(0, path.rfind('/') + 1));
  url.path = remove_dot_segments(path_part);
  return url;
}

std::string Url::origin() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", scheme, v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::string Url::target() const { return query.empty() ? path : fmt::format("{}?{}", path, query); }
std::string Url::str() const { return origin() + target(); }
std::string Url::loggable() const { return origin() + path; }

}  // namespace responder::net
