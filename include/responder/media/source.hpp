// Where a session's documents and segments come from.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "responder/base/error.hpp"
#include "responder/base/secret.hpp"
#include "responder/net/connections.hpp"

namespace responder::media {

// Decides what a request may carry. Thread-safe.
class Credentials {
 public:
  struct Grant {
    net::Headers headers;
    Secret token;  // the one in the headers that can be renewed; empty: none
  };

  virtual ~Credentials() = default;
  virtual Result<Grant> grant_for(const net::Url& url, std::stop_token stop) = 0;
  // After a 401 or 403 to a request with `refused`: whether asking again may help.
  virtual bool renew(const Secret& refused) = 0;
};

struct Document {
  net::Url url;  // after redirects: what its relative references count from
  std::string text;
};

// Thread-safe.
class Source {
 public:
  virtual ~Source() = default;
  virtual Result<Document> text(const net::Url& url, std::size_t max_bytes, std::stop_token stop) = 0;
  // Streams into `file`, which is created or emptied. What is there after an Error is of no use.
  virtual Result<void> file(const net::Url& url, const std::filesystem::path& file, std::size_t max_bytes,
                            std::stop_token stop) = 0;
  // How many requests may usefully run at once.
  virtual std::size_t parallel() const = 0;
};

class HttpSource final : public Source {
 public:
  using CountBytes = std::function<void(std::size_t)>;

  // `count` is told of bytes as they come.
  HttpSource(std::shared_ptr<net::Connections> connections, std::unique_ptr<Credentials> credentials,
             CountBytes count)
      : connections_(std::move(connections)), credentials_(std::move(credentials)), count_(std::move(count)) {}

  Result<Document> text(const net::Url& url, std::size_t max_bytes, std::stop_token stop) override;
  Result<void> file(const net::Url& url, const std::filesystem::path& file, std::size_t max_bytes,
                    std::stop_token stop) override;
  std::size_t parallel() const override { return connections_->max_connections(); }

 private:
  // `fresh` empties the place where the body goes, `write` takes it; both only for a 200.
  struct Body {
    std::function<Result<void>()> fresh;
    std::function<Result<void>(std::string_view)> write;
  };
  Result<net::Url> fetch(net::Url url, std::size_t max_bytes, const Body& body, std::stop_token stop);
  struct Answer {
    net::Response response;
    Secret token;  // that was sent
  };
  Result<Answer> request(const net::Url& url, std::size_t max_bytes, const Body& body, std::stop_token stop);

  std::shared_ptr<net::Connections> connections_;
  std::unique_ptr<Credentials> credentials_;
  CountBytes count_;
  // Alone: a device that has stood still so often in a row is not waited for again by this source.
  std::atomic<int> cut_in_a_row_{0};
};

}  // namespace responder::media
