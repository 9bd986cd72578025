// Secrets that must not come back in an error text: Rhombus's answers may repeat what they were asked with.
#pragma once

#include <string>
#include <string_view>

#include "responder/base/secret.hpp"

namespace responder::rhombus {

// From now on, in this process. One of fewer than 6 characters is not remembered: ordinary text would have it as
// well.
void remember_secret(const Secret& secret);

// The text with "[secret]" in place of each remembered one. Before the text is cut: half a secret is not recognized.
std::string without_secrets(std::string text);

}  // namespace responder::rhombus
