// The organization's webhooks as Rhombus has them. Source: Rhombus's OpenAPI document (IWebhooksType, WebhookInfo).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "responder/base/secret.hpp"

namespace responder::rhombus {

struct RegisteredWebhook {
  std::string url;
  bool diagnostic = false;  // told of devices that go offline and the like, not of alerts
  bool disabled = false;
  Secret secret = {};  // empty: Rhombus does not tell it
};

struct WebhookSettings {
  bool enabled = true;  // off: none of them is called
  std::vector<RegisteredWebhook> webhooks = {};
  Secret as_given = {};  // the JSON object, with every secret: it is sent back with a change
  bool is_exact =
      true;  // false: something in `as_given` had to be replaced (json::repair), and it must not be sent back
};

// The body of updateWebhookIntegrationV2 that adds the URL, or renews its registration. What else there is stays as
// it is; webhooks that are off are turned on.
std::string registration_body(const WebhookSettings& now, std::string_view url, bool diagnostic);

// The body that takes the URL out of the settings of its kind, and turns it off should Rhombus keep it. What else
// there is stays as it is.
std::string unregistration_body(const WebhookSettings& now, std::string_view url, bool diagnostic);

}  // namespace responder::rhombus
