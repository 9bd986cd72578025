#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"
#include "responder/deliver/program.hpp"
#include "responder/deliver/target.hpp"
#include "responder/journal/capture_json.hpp"
#include "responder/net/http_client.hpp"

namespace responder::deliver {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t max_answer = 64 * 1024;
constexpr milliseconds longest_connect{10'000};
constexpr int gone = 410;

// What came back, as a person reads it: a few short lines.
void tell(const Parcel& parcel, std::string_view output) {
  constexpr std::size_t most_lines = 20;
  const auto lines = split(output, '\n');
  for (std::size_t i = 0; i < std::min(most_lines, lines.size()); ++i) parcel.answer(printable(lines[i]));
  if (lines.size() > most_lines) parcel.answer(fmt::format("… and {} more lines", lines.size() - most_lines));
}

class ProgramTarget final : public Target {
 public:
  ProgramTarget(ProgramHook hook, Clock& clock) : hook_(std::move(hook)), clock_(clock) {}

  const std::string& name() const override { return hook_.name; }

  Result<void> deliver(const Parcel& parcel, std::stop_token stop) override {
    const auto input = message(parcel, hook_.archive) + "\n";
    const auto end = run_program({hook_.command, hook_.timeout}, input, clock_, std::move(stop));
    if (!end) return end.error();
    for (const auto& line : split(end->output, '\n')) spdlog::debug("hook {}: {}", hook_.name, printable(line));
    if (parcel.answer) {
      parcel.answer(fmt::format("exit status {}", end->status));
      tell(parcel, end->output);
    }
    const auto failure = describe_failure(*end, hook_.timeout);
    return failure.empty() ? Result<void>{} : Error{ErrorKind::transient, failure};
  }

 private:
  const ProgramHook hook_;
  Clock& clock_;
};

class UrlTarget final : public Target {
 public:
  UrlTarget(UrlHook hook, Clock& clock) : hook_(std::move(hook)), clock_(clock) {}

  const std::string& name() const override { return hook_.name; }

  Result<void> deliver(const Parcel& parcel, std::stop_token stop) override {
    const auto body = message(parcel, hook_.archive);
    const auto timestamp = std::chrono::floor<seconds>(clock_.wall_now()).time_since_epoch().count();
    const net::Headers headers{{"webhook-id", parcel.id},
                               {"webhook-timestamp", std::to_string(timestamp)},
                               {"webhook-signature", hook_.key.sign(parcel.id, timestamp, body)},
                               {"User-Agent", "rhombus-responder"}};
    net::Trust trust;
    trust.ca_file = hook_.ca_file;
    // A receiver may drip: the time is for all of it.
    const net::ClientLimits limits{.connect = std::min<milliseconds>(hook_.timeout, longest_connect),
                                   .first_byte = hook_.timeout,
                                   .interval = hook_.timeout,
                                   .total = hook_.timeout};
    net::HttpConnection connection(hook_.url, std::move(trust), limits);
    // Receivers are told of the same id more than once anyway. What they answer beside the status is for people.
    const auto answer = connection.post_json(hook_.url.target(), headers, body, max_answer, net::Repeat::allowed,
                                             stop, net::LongBody::cut);
    if (answer && parcel.answer) {
      parcel.answer(fmt::format("HTTP status {}", answer->status));
      tell(parcel, answer->body);
    }
    if (!answer && stop.stop_requested()) return Error{ErrorKind::cancelled, "interrupted by a stop of the program"};
    return judge(answer);
  }

 private:
  Result<void> judge(const Result<net::Response>& answer) const {
    if (!answer) return Error{ErrorKind::transient, answer.error().message};
    if (answer->status >= 200 && answer->status < 300) return {};
    if (answer->status == gone)
      return Error{ErrorKind::permanent, hook_.url.origin() + " does not want it any more (HTTP 410)"};
    auto error = net::status_error(*answer, hook_.url.origin());
    if (answer->status >= 300 && answer->status < 400)
      error.message += ": redirects are not followed, name the URL itself";
    error.kind = ErrorKind::transient;  // receivers are mended, and a key is no better than it was
    return error;
  }

  const UrlHook hook_;
  Clock& clock_;
};

}  // namespace

std::string message(const Parcel& parcel, const std::filesystem::path& archive) {
  const auto& delivery = parcel.delivery;
  JsonWriter json;
  json.begin_object()
      .field("event", parcel.is_test ? std::string_view("test") : to_string(delivery.state))
      .field("id", parcel.id)
      .field("time", format_rfc3339(delivery.created_at));
  json.key("capture").begin_object();
  write_fields(json, delivery.capture);
  const auto path = [&](std::string_view name, std::string_view ending) {
    json.key(name);
    const auto& published = delivery.capture.published;
    published ? json.value((archive / published->clip).replace_extension(ending).string()) : json.null();
  };
  path("clip_path", ".mp4");
  path("sidecar_path", ".json");
  json.end_object().end_object();
  return std::move(json).str();
}

std::unique_ptr<Target> make_target(ProgramHook hook, Clock& clock) {
  return std::make_unique<ProgramTarget>(std::move(hook), clock);
}

std::unique_ptr<Target> make_target(UrlHook hook, Clock& clock) {
  return std::make_unique<UrlTarget>(std::move(hook), clock);
}

}  // namespace responder::deliver
