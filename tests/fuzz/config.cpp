// A configuration file, without an environment.
#include "config.hpp"

#include <fstream>

#include "fuzz.hpp"
#include "temp_folder.hpp"

using namespace responder;
using fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const test::TempFolder folder;
  static const auto file = (folder / "config.toml").string();
  std::ofstream(file, std::ios::binary) << fuzz::as_text(data, size);
  const auto config = app::load_config(file, [](const std::string&) { return std::nullopt; });
  if (!config) {
    fuzz::require_one_line(config.error().message);
    return 0;
  }
  for (const auto& secret : config->webhook.secrets) require(!secret.empty(), "no secret is empty");
  require(config->webhook.path.starts_with('/'), "the webhook's path is one");
  require(config->capture.workers >= 1 && config->capture.workers <= 64, "numbers are in their range");
  if (auto usable = app::check_for_serving(*config); !usable) fuzz::require_one_line(usable.error().message);
  return 0;
}
