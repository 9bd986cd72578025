#include "refused_devices.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "responder/base/text.hpp"
#include "responder/base/time_text.hpp"

namespace responder::app {
namespace {

// A line for each: its UUID, a space, epoch milliseconds.
constexpr std::string_view fact_name = "refused_devices";
constexpr std::size_t max_devices = 1000;

Result<void> write_list(journal::Journal& journal, const std::vector<RefusedDevice>& devices) {
  std::string text;
  for (const auto& one : devices)
    text += fmt::format("{} {}\n", one.device.str(), one.since.time_since_epoch().count());
  return journal.set_fact(fact_name, text);
}

auto position_of(std::vector<RefusedDevice>& devices, const DeviceId& device) {
  return std::find_if(devices.begin(), devices.end(), [&](const RefusedDevice& one) { return one.device == device; });
}

}  // namespace

Result<std::vector<RefusedDevice>> refused_devices(journal::Journal& journal) {
  const auto text = journal.fact(fact_name);
  if (!text) return text.error();
  std::vector<RefusedDevice> devices;
  for (const auto& line : split(text->value_or(""), '\n')) {
    const auto space = line.find(' ');
    const auto ms = space == std::string::npos ? std::nullopt : parse_int(line.substr(space + 1));
    if (ms) devices.push_back({DeviceId(line.substr(0, space)), WallTime(std::chrono::milliseconds(*ms))});
  }
  return devices;
}

Result<void> add_refused_device(journal::Journal& journal, const DeviceId& device, WallTime now) {
  auto devices = refused_devices(journal);
  if (!devices) return devices.error();
  if (position_of(*devices, device) != devices->end() || devices->size() >= max_devices) return {};
  devices->push_back({device, now});
  return write_list(journal, *devices);
}

Result<void> remove_refused_device(journal::Journal& journal, const DeviceId& device) {
  auto devices = refused_devices(journal);
  if (!devices) return devices.error();
  const auto position = position_of(*devices, device);
  if (position == devices->end()) return {};
  devices->erase(position);
  return write_list(journal, *devices);
}

std::string describe(const RefusedDevice& refused, const std::string& name) {
  return fmt::format(
      "{} has shown another TLS key since {} and is refused; if its key was changed on purpose, accept it with: "
      "rhombus-responder pins forget {}",
      name.empty() ? refused.device.str() : fmt::format("{} ({})", printable(name), refused.device.str()),
      format_rfc3339(refused.since), refused.device.str());
}

}  // namespace responder::app
