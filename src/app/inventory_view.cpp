#include "inventory_view.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"

namespace responder::app {
namespace {

constexpr std::size_t whole = 4096;

std::string without_facet(const DeviceId& id) { return id.str().substr(0, id.str().find('.')); }

std::string location_name(const Inventory& inventory, const LocationId& id) {
  const auto found = std::find_if(inventory.locations.begin(), inventory.locations.end(),
                                  [&](const auto& one) { return one.id == id; });
  return found == inventory.locations.end() ? std::string() : found->name;
}

std::string shown_location(const Inventory& inventory, const LocationId& id) {
  const auto name = location_name(inventory, id);
  return printable(name.empty() ? id.str() : name, whole);
}

// The gateway that records what is heard at the camera.
const rhombus::AudioGateway* gateway_of(const Inventory& inventory, const rhombus::Camera& camera) {
  for (const auto& gateway : inventory.gateways) {
    const bool hears = std::any_of(gateway.cameras.begin(), gateway.cameras.end(), [&](const DeviceId& one) {
      return without_facet(one) == without_facet(camera.id);
    });
    if (hears) return &gateway;
  }
  return nullptr;
}

// "v0 Left, v1 Right".
std::string shown_facets(const rhombus::Camera& camera) {
  std::vector<std::string> texts;
  for (const auto& facet : camera.facets)
    texts.push_back(facet.name.empty() ? facet.id : fmt::format("{} {}", facet.id, facet.name));
  return printable(join(texts, ", "), whole);
}

template <class Items>
Items by_name(Items items) {
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return ascii_lower(a.name) < ascii_lower(b.name); });
  return items;
}

std::string_view kind_name(const rhombus::Door& door) {
  return door.kind == rhombus::Door::Kind::sensor ? "sensor" : "access-controlled";
}

bool names(const std::vector<std::string>& list, const std::string& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

}  // namespace

std::vector<Watching> cameras_of(const rhombus::Door& door, const Inventory& inventory, const Config& config) {
  std::vector<Watching> watching;
  const auto add = [&](const DeviceId& id, bool by_configuration) {
    const bool known = std::any_of(watching.begin(), watching.end(), [&](const Watching& one) {
      return without_facet(one.camera) == without_facet(id);
    });
    if (known) return;
    const auto camera = std::find_if(inventory.cameras.begin(), inventory.cameras.end(),
                                     [&](const auto& one) { return without_facet(one.id) == without_facet(id); });
    watching.push_back({id, camera == inventory.cameras.end() ? "" : camera->name, by_configuration});
  };
  for (const auto& camera : door.cameras) add(camera, false);
  for (const auto& associate : config.associates) {
    if (!names(associate.devices, door.id.str()) && !names(associate.locations, door.location.str())) continue;
    for (const auto& camera : associate.cameras) add(DeviceId(camera), true);
  }
  return watching;
}

Table camera_table(const Inventory& inventory) {
  Table table({{.heading = "NAME", .may_shrink = true},
               {.heading = "UUID"},
               {.heading = "STATE"},
               {.heading = "LOCATION", .may_shrink = true},
               {.heading = "LENSES", .may_shrink = true},
               {.heading = "LAN ADDRESS"},
               {.heading = "AUDIO GATEWAY"}});
  for (const auto& camera : by_name(inventory.cameras)) {
    const auto* gateway = gateway_of(inventory, camera);
    table.add({printable(camera.name, whole), camera.id.str(), camera.online ? "online" : "offline",
               shown_location(inventory, camera.location), shown_facets(camera),
               printable(join(camera.lan_addresses, ", "), whole),
               gateway == nullptr ? "" : printable(gateway->name, whole)});
  }
  return table;
}

Table location_table(const Inventory& inventory) {
  Table table({{.heading = "NAME", .may_shrink = true}, {.heading = "UUID"}, {.heading = "CAMERAS"}});
  for (const auto& location : by_name(inventory.locations)) {
    const auto cameras = std::count_if(inventory.cameras.begin(), inventory.cameras.end(),
                                       [&](const auto& camera) { return camera.location == location.id; });
    table.add({printable(location.name, whole), location.id.str(), std::to_string(cameras)});
  }
  return table;
}

Table door_table(const Inventory& inventory, const Config& config) {
  Table table({{.heading = "NAME", .may_shrink = true},
               {.heading = "UUID"},
               {.heading = "KIND"},
               {.heading = "LOCATION", .may_shrink = true},
               {.heading = "CAMERAS"}});
  for (const auto& door : by_name(inventory.doors)) {
    std::vector<std::string> cameras;
    for (const auto& one : cameras_of(door, inventory, config))
      cameras.push_back((one.name.empty() ? one.camera.str() : one.name) +
                        (one.by_configuration ? " ([[associate]])" : ""));
    table.add({printable(door.name, whole), door.id.str(), std::string(kind_name(door)),
               shown_location(inventory, door.location), printable(join(cameras, ", "), whole)});
  }
  return table;
}

std::vector<std::string> camera_objects(const Inventory& inventory) {
  std::vector<std::string> objects;
  for (const auto& camera : inventory.cameras) {
    JsonWriter json;
    json.begin_object()
        .field("uuid", camera.id.str())
        .field("name", camera.name)
        .field("online", camera.online)
        .field("location", camera.location.str())
        .field("location_name", location_name(inventory, camera.location));
    json.key("facets").begin_array();
    for (const auto& facet : camera.facets)
      json.begin_object().field("facet", facet.id).field("name", facet.name).end_object();
    json.end_array().key("lan_addresses").begin_array();
    for (const auto& address : camera.lan_addresses) json.value(address);
    json.end_array().key("gateway");
    const auto* gateway = gateway_of(inventory, camera);
    if (gateway == nullptr) {
      json.null();
    } else {
      json.begin_object()
          .field("uuid", gateway->id.str())
          .field("name", gateway->name)
          .field("online", gateway->online)
          .end_object();
    }
    json.end_object();
    objects.push_back(std::move(json).str());
  }
  return objects;
}

std::vector<std::string> location_objects(const Inventory& inventory) {
  std::vector<std::string> objects;
  for (const auto& location : inventory.locations) {
    JsonWriter json;
    json.begin_object().field("uuid", location.id.str()).field("name", location.name).key("cameras").begin_array();
    for (const auto& camera : inventory.cameras) {
      if (camera.location == location.id) json.value(camera.id.str());
    }
    json.end_array().end_object();
    objects.push_back(std::move(json).str());
  }
  return objects;
}

std::vector<std::string> door_objects(const Inventory& inventory, const Config& config) {
  std::vector<std::string> objects;
  for (const auto& door : inventory.doors) {
    JsonWriter json;
    json.begin_object()
        .field("uuid", door.id.str())
        .field("name", door.name)
        .field("kind", kind_name(door))
        .field("location", door.location.str())
        .field("location_name", location_name(inventory, door.location));
    json.key("cameras").begin_array();
    for (const auto& one : cameras_of(door, inventory, config)) {
      json.begin_object()
          .field("uuid", one.camera.str())
          .field("name", one.name)
          .field("from", one.by_configuration ? "associate" : "rhombus")
          .end_object();
    }
    json.end_array().end_object();
    objects.push_back(std::move(json).str());
  }
  return objects;
}

}  // namespace responder::app
