#include "responder/media/source.hpp"

#include <fmt/format.h>

#include "responder/base/file.hpp"

namespace responder::media {
namespace {

// Gathers small reads into writes worth a system call.
class BufferedFile {
 public:
  explicit BufferedFile(const std::filesystem::path& path) : path_(path) {}

  Result<void> open() {
    buffer_.clear();
    auto created = OutputFile::create(path_, OutputFile::Mode::truncate);
    if (!created) return created.error();
    file_.emplace(std::move(*created));
    return {};
  }
  Result<void> write(std::string_view data) {
    buffer_ += data;
    return buffer_.size() < flush_at ? Result<void>{} : flush();
  }
  Result<void> close() {
    if (auto flushed = flush(); !flushed) return flushed.error();
    return file_->close();
  }

 private:
  static constexpr std::size_t flush_at = 128 * 1024;

  Result<void> flush() {
    auto written = file_->write(buffer_);
    buffer_.clear();
    return written;
  }

  std::filesystem::path path_;
  std::string buffer_;
  std::optional<OutputFile> file_;
};

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

Result<HttpSource::Answer> HttpSource::request(const net::Url& url, std::size_t max_bytes, const Body& body,
                                               std::stop_token stop) {
  constexpr int patience = 2;
  if (cut_in_a_row_ >= patience)
    return Error{ErrorKind::transient, fmt::format("{}: not asked for, the device stands still", url.loggable())};
  auto grant = credentials_->grant_for(url, stop);
  if (!grant) return grant.error();
  auto pool = connections_->to(url);
  if (!pool) return pool.error();
  auto connection = (*pool)->borrow(stop);
  if (!connection) return connection.error();

  constexpr std::size_t max_error_page = 64 * 1024;  // read and thrown away, so that the connection stays usable
  bool wanted = false;
  std::size_t received = 0;
  std::optional<Error> failure;
  net::BodyReceiver receiver;
  receiver.on_headers = [&](const net::Response& response) {
    wanted = response.status == 200;
    if (wanted) {
      if (auto opened = body.fresh(); !opened) failure = opened.error();
    }
    return !failure;
  };
  receiver.on_data = [&](std::string_view data) {
    received += data.size();
    count_(data.size());
    if (received > (wanted ? max_bytes : max_error_page)) {
      failure = Error{ErrorKind::permanent, fmt::format("{} is larger than {} bytes", url.loggable(), max_bytes)};
    } else if (wanted) {
      if (auto written = body.write(data); !written) failure = written.error();
    }
    return !failure;
  };
  auto response = (*connection)->get(url.target(), grant->headers, receiver, stop);
  // What came whole all the same need not come again.
  if (!response && stop.stop_requested()) return Error{ErrorKind::cancelled, "shutting down"};
  if (failure && wanted) return *failure;
  if (response) cut_in_a_row_ = 0;
  if (!response && (*connection)->stood_still()) {
    ++cut_in_a_row_;
    return Error{ErrorKind::transient,
                 fmt::format("{}: cut off, it stood still after {} bytes", url.loggable(), received)};
  }
  if (!response && failure)
    return Error{ErrorKind::transient, fmt::format("{}: an endless error page", url.loggable())};
  if (!response) return response.error();
  return Answer{std::move(*response), std::move(grant->token)};
}

Result<net::Url> HttpSource::fetch(net::Url url, std::size_t max_bytes, const Body& body, std::stop_token stop) {
  constexpr int max_redirects = 3;
  bool renewed = false;
  for (int redirects = 0; redirects <= max_redirects;) {
    const auto answer = request(url, max_bytes, body, stop);
    if (!answer) return answer.error();
    const auto& response = answer->response;
    if (response.status == 200) return url;
    if (is_redirect(response.status)) {
      // By hand, so that the credentials stay with their origin.
      auto next = url.resolve(response.header("location").value_or(""));
      if (!next) return next.error();
      url = std::move(*next);
      ++redirects;
      continue;
    }
    auto error = net::status_error(response, url.loggable());
    // A media server's 400 says little about the next time.
    if (error.kind == ErrorKind::permanent) error.kind = ErrorKind::transient;
    if (error.kind != ErrorKind::auth || renewed || !credentials_->renew(answer->token)) return error;
    renewed = true;
  }
  return Error{ErrorKind::permanent, fmt::format("{}: too many redirects", url.loggable())};
}

Result<Document> HttpSource::text(const net::Url& url, std::size_t max_bytes, std::stop_token stop) {
  std::string content;
  Body body;
  body.fresh = [&]() -> Result<void> {
    content.clear();
    return {};
  };
  body.write = [&](std::string_view data) -> Result<void> {
    content += data;
    return {};
  };
  auto fetched = fetch(url, max_bytes, body, stop);
  if (!fetched) return fetched.error();
  return Document{std::move(*fetched), std::move(content)};
}

Result<void> HttpSource::file(const net::Url& url, const std::filesystem::path& path, std::size_t max_bytes,
                              std::stop_token stop) {
  BufferedFile file(path);
  Body body;
  body.fresh = [&] { return file.open(); };
  body.write = [&](std::string_view data) { return file.write(data); };
  if (auto fetched = fetch(url, max_bytes, body, stop); !fetched) return fetched.error();
  return file.close();
}

}  // namespace responder::media
