// How Rhombus writes its webhook settings.
#pragma once

#include "responder/rhombus/webhook_settings.hpp"

#include "json.hpp"

namespace responder::rhombus {

// Of the whole answer to getWebhookIntegration.
WebhookSettings read_webhook_settings(const json::Object& answer);

}  // namespace responder::rhombus
