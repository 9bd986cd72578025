// What an organization has, as `cameras`, `locations` and `doors` show it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "responder/rhombus/api_client.hpp"

#include "config.hpp"
#include "table.hpp"

namespace responder::app {

struct Inventory {
  std::vector<rhombus::Camera> cameras;
  std::vector<rhombus::AudioGateway> gateways;
  std::vector<rhombus::Location> locations;
  std::vector<rhombus::Door> doors;
};

// A camera that is said to see a door.
struct Watching {
  DeviceId camera;
  std::string name;               // where Rhombus lists it
  bool by_configuration = false;  // an [[associate]] says so, Rhombus does not
};
// The cameras' names by their UUIDs without facets: an organization may have thousands of cameras and of doors.
using CameraNames = std::unordered_map<std::string, std::string>;
CameraNames camera_names(const Inventory& inventory);
std::vector<Watching> cameras_of(const rhombus::Door& door, const CameraNames& names, const Config& config);

// For people: names are made printable, and sorted.
Table camera_table(const Inventory& inventory);
Table location_table(const Inventory& inventory);
Table door_table(const Inventory& inventory, const Config& config);

// For programs: one JSON object each.
std::vector<std::string> camera_objects(const Inventory& inventory);
std::vector<std::string> location_objects(const Inventory& inventory);
std::vector<std::string> door_objects(const Inventory& inventory, const Config& config);

}  // namespace responder::app
