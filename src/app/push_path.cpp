#include "push_path.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

namespace responder::app {

std::string shown_url(std::string_view url) {
  const auto shown = url.substr(0, url.find_first_of("?#"));
  const bool has_login = shown.find('@') != std::string_view::npos;
  return has_login ? "(a URL with a login in it)" : printable(shown);
}

std::string what_is_off(const rhombus::WebhookSettings& settings) {
  std::vector<std::string> off;
  for (const auto& webhook : settings.webhooks) {
    if (webhook.disabled && !webhook.diagnostic) off.push_back(shown_url(webhook.url));
  }
  std::string said;
  if (!settings.enabled) said = "Rhombus says that webhooks are turned off; ";
  if (!off.empty()) said += fmt::format("Rhombus says that these URLs are turned off: {}; ", join(off, ", "));
  return said;
}

std::string what_rhombus_says(rhombus::ApiClient& api, WallTime since, std::stop_token stop) {
  const auto settings = api.webhook_settings(stop);
  if (!settings) return fmt::format("what Rhombus recorded cannot be had: {}", settings.error().message);
  const auto failed = api.failed_deliveries(since, std::move(stop));
  const auto off = what_is_off(*settings);
  if (!failed) return off + "what Rhombus recorded of failed deliveries cannot be had";
  if (failed->count == 0) return off + "Rhombus recorded no failed delivery since";
  return off + fmt::format("Rhombus recorded {} failed deliveries since{}", failed->count,
                           failed->last ? ", the last at " + *failed->last : "");
}

namespace {

// "the push path is broken since ...", or that some webhooks got lost.
std::string in_words(const ingest::SilenceReport& silence) {
  if (silence.broken_since)
    return fmt::format("BROKEN since {}: no webhook came since the alert of then; {} of the last day are missed",
                       format_rfc3339(*silence.broken_since), silence.missed);
  return fmt::format("{} of the last day never came, the first of {}; others came since", silence.missed,
                     format_rfc3339(*silence.first));
}

}  // namespace

void tell_of_silence(const ingest::SilenceReport& report, rhombus::ApiClient& api, journal::Writer& writer,
                     std::stop_token stop) {
  if (report.missed == 0) return;
  const auto told = what_rhombus_says(api, *report.first, std::move(stop));
  spdlog::warn("webhooks: {}; {}", in_words(report), told);
  const auto remembered =
      writer.run([&](journal::Journal& journal) { return journal.set_fact(webhook_diagnosis_fact, told); });
  if (!remembered) spdlog::warn("not written down: {}", remembered.error().message);
}

Result<std::string> describe_silence(journal::Journal& journal, WallTime now) {
  const auto silence = ingest::silence(journal, now);
  if (!silence) return silence.error();
  if (silence->missed == 0) return std::string();
  const auto diagnosis = journal.fact(webhook_diagnosis_fact);
  const bool told = diagnosis && *diagnosis && !(*diagnosis)->empty();
  return in_words(*silence) + (told ? "; " + **diagnosis : "");
}

}  // namespace responder::app
