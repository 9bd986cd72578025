// cameras, locations, doors: what the organization has.
#include <fmt/format.h>

#include "capture_engine.hpp"
#include "commands.hpp"
#include "inventory_view.hpp"

namespace responder::app {
namespace {

// Asks for several lists. One that cannot be had is said in a line and stops no other.
class Asking {
 public:
  explicit Asking(const Config& config) : api_(command_api_options(config), clock_, [](std::string_view, int) {}) {}

  rhombus::ApiClient& api() { return api_; }

  template <class List>
  void take(List& into, Result<List> answer, std::string_view what) {
    if (answer) {
      into.insert(into.end(), answer->begin(), answer->end());
      any_ = true;
      return;
    }
    complain(fmt::format("{} cannot be listed: {}", what, answer.error().message));
    all_ = false;
  }

  void take(std::vector<rhombus::Door>& into, const rhombus::DoorList& list, std::string_view what) {
    into.insert(into.end(), list.doors.begin(), list.doors.end());
    if (!list.error || !list.doors.empty()) any_ = true;
    if (!list.error) return;
    all_ = false;
    complain(list.doors.empty() ? fmt::format("{} cannot be listed: {}", what, list.error->message)
                                : fmt::format("only {} {} are listed, there may be more: {}", list.doors.size(), what,
                                              list.error->message));
  }

  int status() const { return all_ ? exit_done : any_ ? exit_failed : exit_unreachable; }

 private:
  SystemClock clock_;
  rhombus::ApiClient api_;
  bool all_ = true;
  bool any_ = false;
};

void print(bool json, const std::vector<std::string>& objects, const Table& table) {
  if (!json && table.empty()) {
    if (terminal_width()) fmt::print("none\n");
    return;
  }
  for (const auto& line : json ? objects : table.lines(terminal_width())) fmt::print("{}\n", line);
}

}  // namespace

int list_cameras(const Config& config, bool json) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  Asking asking(config);
  auto cameras = asking.api().cameras({});
  if (!cameras) return complain(cameras.error().message, exit_unreachable);
  Inventory inventory;
  asking.take(inventory.cameras, std::move(cameras), "cameras");
  asking.take(inventory.gateways, asking.api().audio_gateways({}), "audio gateways");
  asking.take(inventory.locations, asking.api().locations({}), "locations");
  print(json, camera_objects(inventory), camera_table(inventory));
  return asking.status();
}

int list_locations(const Config& config, bool json) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  Asking asking(config);
  auto locations = asking.api().locations({});
  if (!locations) return complain(locations.error().message, exit_unreachable);
  Inventory inventory;
  asking.take(inventory.locations, std::move(locations), "locations");
  asking.take(inventory.cameras, asking.api().cameras({}), "cameras");
  print(json, location_objects(inventory), location_table(inventory));
  return asking.status();
}

int list_doors(const Config& config, bool json) {
  if (auto usable = check_for_asking(config); !usable) return complain(usable.error().message);
  using Kind = rhombus::Door::Kind;
  Asking asking(config);
  Inventory inventory;
  asking.take(inventory.doors, asking.api().doors(Kind::access_controlled, {}), "access-controlled doors");
  asking.take(inventory.doors, asking.api().doors(Kind::sensor, {}), "door sensors");
  if (asking.status() == exit_unreachable) return exit_unreachable;
  asking.take(inventory.cameras, asking.api().cameras({}), "cameras");
  asking.take(inventory.locations, asking.api().locations({}), "locations");
  print(json, door_objects(inventory, config), door_table(inventory, config));
  return asking.status();
}

}  // namespace responder::app
