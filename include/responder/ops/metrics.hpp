// What the program counts, for Prometheus. Every name starts with rhombus_responder_. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "responder/base/clock.hpp"

namespace responder::ops {

class Metrics {
 public:
  explicit Metrics(std::string_view version);
  ~Metrics();

  void count_webhook(std::string_view result);
  void count_capture(std::string_view state, std::chrono::milliseconds since_received);
  void count_clips_removed(std::size_t clips);  // by retention
  void count_bytes(std::string_view source, std::size_t bytes);
  void count_api_request(std::string_view call, int code);
  void count_delivery(std::string_view target, std::string_view result);
  void set_clips_unconfirmed(std::uint64_t clips);
  void set_deliveries(std::string_view target, std::uint64_t waiting, std::uint64_t given_up);
  void set_webhooks_missed(std::uint64_t in_all);  // a lower figure than before changes nothing
  void set_catch_up_last_success(WallTime at);
  void set_queue_depth(std::size_t depth);
  void set_tls_not_after(WallTime at);  // of the listener's own certificate
  void set_archive_up(bool up);
  void set_archive_free_bytes(double bytes);

  // The text exposition format, version 0.0.4.
  std::string exposition() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace responder::ops
