// How Rhombus writes its webhook settings.
#pragma once

#include "responder/rhombus/webhook_settings.hpp"

#include "json.hpp"

namespace responder::rhombus {

// Of the whole answer to getWebhookIntegration. Settings that are null are empty; absent ones, or ones that are no
// object, are an Error (transient).
Result<WebhookSettings> read_webhook_settings(const json::Object& answer);

}  // namespace responder::rhombus
