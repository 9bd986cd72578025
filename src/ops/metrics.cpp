#include "responder/ops/metrics.hpp"

#include <map>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace responder::ops {

struct Metrics::Impl {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& webhooks = prometheus::BuildCounter()
                                                          .Name("rhombus_responder_webhooks_total")
                                                          .Help("Webhook requests by what became of them")
                                                          .Register(registry);
  prometheus::Family<prometheus::Counter>& captures = prometheus::BuildCounter()
                                                          .Name("rhombus_responder_captures_total")
                                                          .Help("Captures that ended, by state")
                                                          .Register(registry);
  prometheus::Histogram& capture_seconds =
      prometheus::BuildHistogram()
          .Name("rhombus_responder_capture_seconds")
          .Help("From an alert's receipt to the end of its capture")
          .Register(registry)
          .Add({}, prometheus::Histogram::BucketBoundaries{5, 15, 30, 60, 120, 180, 240, 300, 600, 1800, 3600, 21600,
                                                           86400});
  prometheus::Gauge& queue_depth = prometheus::BuildGauge()
                                       .Name("rhombus_responder_queue_depth")
                                       .Help("Captures that wait for a worker")
                                       .Register(registry)
                                       .Add({});
  prometheus::Family<prometheus::Counter>& bytes = prometheus::BuildCounter()
                                                       .Name("rhombus_responder_bytes_total")
                                                       .Help("Media bytes fetched, by where from")
                                                       .Register(registry);
  prometheus::Family<prometheus::Counter>& api_requests = prometheus::BuildCounter()
                                                              .Name("rhombus_responder_api_requests_total")
                                                              .Help("Calls to Rhombus's API; code 0: no answer")
                                                              .Register(registry);
  prometheus::Family<prometheus::Counter>& deliveries =
      prometheus::BuildCounter()
          .Name("rhombus_responder_deliveries_total")
          .Help("Attempts to tell a hook or to copy off site, by what became of them")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& deliveries_waiting =
      prometheus::BuildGauge()
          .Name("rhombus_responder_deliveries_waiting")
          .Help("Finished captures that a hook is still to be told of, or that are still to be copied off site")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& deliveries_given_up =
      prometheus::BuildGauge()
          .Name("rhombus_responder_deliveries_given_up")
          .Help("Those that were given up and not put back in line")
          .Register(registry);
  prometheus::Gauge& clips_unconfirmed =
      prometheus::BuildGauge()
          .Name("rhombus_responder_clips_unconfirmed")
          .Help("Published clips that Rhombus's list of existing footage is still to confirm")
          .Register(registry)
          .Add({});
  prometheus::Counter& webhooks_missed = prometheus::BuildCounter()
                                             .Name("rhombus_responder_webhooks_missed_total")
                                             .Help("Alerts found by asking whose webhooks never came")
                                             .Register(registry)
                                             .Add({});
  prometheus::Counter& clips_removed = prometheus::BuildCounter()
                                           .Name("rhombus_responder_clips_removed_total")
                                           .Help("Clips that retention has removed from the archive")
                                           .Register(registry)
                                           .Add({});
  prometheus::Gauge& last_catch_up = prometheus::BuildGauge()
                                         .Name("rhombus_responder_catch_up_last_success_timestamp_seconds")
                                         .Help("When Rhombus was last asked for all its alerts")
                                         .Register(registry)
                                         .Add({});
  // Without TLS there is none, and no time that an alert rule could take for one.
  prometheus::Family<prometheus::Gauge>& tls_not_after =
      prometheus::BuildGauge()
          .Name("rhombus_responder_tls_not_after_timestamp_seconds")
          .Help("When the certificate that the webhook listener shows expires")
          .Register(registry);
  prometheus::Gauge& archive_up = prometheus::BuildGauge()
                                      .Name("rhombus_responder_archive_up")
                                      .Help("1 while clips can be brought to the archive, 0 while they wait")
                                      .Register(registry)
                                      .Add({});
  prometheus::Gauge& archive_free = prometheus::BuildGauge()
                                        .Name("rhombus_responder_archive_free_bytes")
                                        .Help("Free space where the clips go")
                                        .Register(registry)
                                        .Add({});
};

Metrics::Metrics(std::string_view version) : impl_(std::make_unique<Impl>()) {
  prometheus::BuildGauge()
      .Name("rhombus_responder_build_info")
      .Help("Always 1; the version is in the label")
      .Register(impl_->registry)
      .Add({{"version", std::string(version)}})
      .Set(1);
  // From the start, so that the first of each is an increase.
  for (const char* result : {"accepted", "duplicate", "ignored", "unsigned", "wrong_signature", "not_recorded"})
    impl_->webhooks.Add({{"result", result}});
  for (const char* state : {"done", "partial", "failed"}) impl_->captures.Add({{"state", state}});
  for (const char* source : {"lan", "wan", "cloud"}) impl_->bytes.Add({{"source", source}});
}

Metrics::~Metrics() = default;

void Metrics::count_webhook(std::string_view result) {
  impl_->webhooks.Add({{"result", std::string(result)}}).Increment();
}

void Metrics::count_capture(std::string_view state, std::chrono::milliseconds since_received) {
  impl_->captures.Add({{"state", std::string(state)}}).Increment();
  impl_->capture_seconds.Observe(static_cast<double>(since_received.count()) / 1000.0);
}

void Metrics::count_clips_removed(std::size_t clips) { impl_->clips_removed.Increment(static_cast<double>(clips)); }

void Metrics::count_bytes(std::string_view source, std::size_t bytes) {
  impl_->bytes.Add({{"source", std::string(source)}}).Increment(static_cast<double>(bytes));
}

void Metrics::count_api_request(std::string_view call, int code) {
  impl_->api_requests.Add({{"call", std::string(call)}, {"code", std::to_string(code)}}).Increment();
}

void Metrics::count_delivery(std::string_view target, std::string_view result) {
  impl_->deliveries.Add({{"target", std::string(target)}, {"result", std::string(result)}}).Increment();
}

void Metrics::set_clips_unconfirmed(std::uint64_t clips) { impl_->clips_unconfirmed.Set(static_cast<double>(clips)); }

void Metrics::set_deliveries(std::string_view target, std::uint64_t waiting, std::uint64_t given_up) {
  const std::map<std::string, std::string> labels{{"target", std::string(target)}};
  impl_->deliveries_waiting.Add(labels).Set(static_cast<double>(waiting));
  impl_->deliveries_given_up.Add(labels).Set(static_cast<double>(given_up));
}

void Metrics::set_webhooks_missed(std::uint64_t in_all) {
  const double more = static_cast<double>(in_all) - impl_->webhooks_missed.Value();
  if (more > 0) impl_->webhooks_missed.Increment(more);
}

void Metrics::set_catch_up_last_success(WallTime at) {
  impl_->last_catch_up.Set(static_cast<double>(at.time_since_epoch().count()) / 1000.0);
}

void Metrics::set_queue_depth(std::size_t depth) { impl_->queue_depth.Set(static_cast<double>(depth)); }
void Metrics::set_tls_not_after(WallTime at) {
  impl_->tls_not_after.Add({}).Set(static_cast<double>(at.time_since_epoch().count()) / 1000.0);
}

void Metrics::set_archive_up(bool up) { impl_->archive_up.Set(up ? 1 : 0); }
void Metrics::set_archive_free_bytes(double bytes) { impl_->archive_free.Set(bytes); }

std::string Metrics::exposition() const { return prometheus::TextSerializer().Serialize(impl_->registry.Collect()); }

}  // namespace responder::ops
