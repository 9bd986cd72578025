// Whether Rhombus's webhooks come: what the journal knows of it, and what Rhombus says.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "responder/ingest/catch_up.hpp"
#include "responder/rhombus/api_client.hpp"

namespace responder::app {

// The fact that keeps what_rhombus_says() of the last time webhooks were missed.
inline constexpr std::string_view webhook_diagnosis_fact = "webhook_diagnosis";

// Without what may be secret in it.
std::string shown_url(std::string_view url);

// In words: settings that are off; empty when none is.
std::string what_is_off(const rhombus::WebhookSettings& settings);

// In words: settings that are off, deliveries that failed since.
std::string what_rhombus_says(rhombus::ApiClient& api, WallTime since, std::stop_token stop);

// Logs that webhooks stay away, with what Rhombus says, and keeps that for describe_silence().
void tell_of_silence(const ingest::SilenceReport& report, rhombus::ApiClient& api, journal::Writer& writer,
                     std::stop_token stop);

// One line on missed webhooks. Empty: none are missed.
Result<std::string> describe_silence(journal::Journal& journal, WallTime now);

}  // namespace responder::app
