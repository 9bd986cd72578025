#include "responder/rhombus/webhook_settings.hpp"

#include <algorithm>

#include "responder/base/json_writer.hpp"

#include "webhook_json.hpp"

namespace responder::rhombus {
namespace {

// Newer accounts have {url: {webhookSecret, webhookDisabled}}, older ones {url: secret}.
void read_webhooks(const json::Object& settings, std::string_view name, bool diagnostic,
                   std::vector<RegisteredWebhook>& into) {
  const auto urls = json::object(settings, name);
  if (!urls) return;
  for (const auto entry : *urls) {
    const bool known = std::any_of(into.begin(), into.end(), [&](const RegisteredWebhook& one) {
      return one.url == entry.key && one.diagnostic == diagnostic;
    });
    if (known) continue;
    RegisteredWebhook webhook{std::string(entry.key), diagnostic};
    json::Object described;
    std::string_view secret;
    if (entry.value.get(described) == simdjson::SUCCESS) {
      webhook.disabled = json::boolean(described, "webhookDisabled").value_or(false);
      webhook.secret = Secret(json::text(described, "webhookSecret").value_or(""));
    } else if (entry.value.get(secret) == simdjson::SUCCESS) {
      webhook.secret = Secret(std::string(secret));
    }
    into.push_back(std::move(webhook));
  }
}

}  // namespace

Result<WebhookSettings> read_webhook_settings(const json::Object& answer) {
  WebhookSettings read;
  json::Element given;
  json::Object settings;
  const bool is_told = answer.at_key("orgIntegrationV2").get(given) == simdjson::SUCCESS;
  if (is_told && given.is_null()) return read;
  // A change sends the settings back: taken for empty ones, they would replace those that there are.
  if (!is_told || given.get(settings) != simdjson::SUCCESS)
    return Error{ErrorKind::transient, "the answer lacks orgIntegrationV2, the webhook settings"};
  read.enabled = json::boolean(settings, "enabled").value_or(true);
  read_webhooks(settings, "activityWebhooksV2", false, read.webhooks);
  read_webhooks(settings, "diagnosticWebhooksV2", true, read.webhooks);
  read_webhooks(settings, "activityWebhooks", false, read.webhooks);
  read_webhooks(settings, "diagnosticWebhooks", true, read.webhooks);
  read.as_given = Secret(simdjson::minify(settings));
  return read;
}

std::string registration_body(const WebhookSettings& now, std::string_view url, bool diagnostic) {
  JsonWriter json;
  json.begin_object();
  json.field("webhookUrl", url).field("isDiagnostic", diagnostic).field("disabled", false);
  json.key("updatedWebhookSettings").begin_object().field("enabled", true);
  simdjson::dom::parser parser;
  json::Object settings;
  if (parser.parse(now.as_given.reveal()).get(settings) == simdjson::SUCCESS) {
    for (const auto [name, value] : settings) {
      if (name != "enabled") json.key(name).document(simdjson::minify(value));
    }
  }
  json.end_object().end_object();
  return std::move(json).str();
}

std::string unregistration_body(const WebhookSettings& now, std::string_view url, bool diagnostic) {
  const auto names_url = [&](std::string_view list) {
    return diagnostic ? list == "diagnosticWebhooks" || list == "diagnosticWebhooksV2"
                      : list == "activityWebhooks" || list == "activityWebhooksV2";
  };
  JsonWriter json;
  json.begin_object();
  json.field("webhookUrl", url).field("isDiagnostic", diagnostic).field("disabled", true);
  json.key("updatedWebhookSettings").begin_object();
  simdjson::dom::parser parser;
  json::Object settings;
  if (parser.parse(now.as_given.reveal()).get(settings) == simdjson::SUCCESS) {
    for (const auto [name, value] : settings) {
      json.key(name);
      json::Object urls;
      if (!names_url(name) || value.get(urls) != simdjson::SUCCESS) {
        json.document(simdjson::minify(value));
        continue;
      }
      json.begin_object();
      for (const auto [one, described] : urls) {
        if (one != url) json.key(one).document(simdjson::minify(described));
      }
      json.end_object();
    }
  }
  json.end_object().end_object();
  return std::move(json).str();
}

}  // namespace responder::rhombus
