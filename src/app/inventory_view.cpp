#include "inventory_view.hpp"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include "responder/base/json_writer.hpp"
#include "responder/base/text.hpp"

namespace responder::app {
namespace {

std::string without_facet(const DeviceId& id) { return id.str().substr(0, id.str().find('.')); }

// What the rows of a list look up. A search through the whole inventory for each row would take minutes where there
// are thousands of both.
class Index {
 public:
  explicit Index(const Inventory& inventory) {
    for (const auto& location : inventory.locations) locations_.emplace(location.id.str(), location.name);
    for (const auto& gateway : inventory.gateways) {
      for (const auto& camera : gateway.cameras) gateways_.emplace(without_facet(camera), &gateway);
    }
    for (const auto& camera : inventory.cameras) cameras_[camera.location.str()].push_back(camera.id.str());
  }

  std::string location_name(const LocationId& id) const {
    const auto found = locations_.find(id.str());
    return found == locations_.end() ? std::string() : found->second;
  }
  std::string shown_location(const LocationId& id) const {
    const auto name = location_name(id);
    return name.empty() ? id.str() : name;
  }
  // The gateway that records what is heard at the camera.
  const rhombus::AudioGateway* gateway_of(const rhombus::Camera& camera) const {
    const auto found = gateways_.find(without_facet(camera.id));
    return found == gateways_.end() ? nullptr : found->second;
  }
  // The UUIDs of the cameras of a location.
  const std::vector<std::string>& cameras_at(const LocationId& id) const {
    static const std::vector<std::string> none;
    const auto found = cameras_.find(id.str());
    return found == cameras_.end() ? none : found->second;
  }

 private:
  std::unordered_map<std::string, std::string> locations_;
  std::unordered_map<std::string, const rhombus::AudioGateway*> gateways_;
  std::unordered_map<std::string, std::vector<std::string>> cameras_;
};

// "v0 Left, v1 Right".
std::string shown_facets(const rhombus::Camera& camera) {
  std::vector<std::string> texts;
  for (const auto& facet : camera.facets)
    texts.push_back(facet.name.empty() ? facet.id : fmt::format("{} {}", facet.id, facet.name));
  return join(texts, ", ");
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

bool has(const std::vector<std::string>& list, const std::string& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

}  // namespace

CameraNames camera_names(const Inventory& inventory) {
  CameraNames names;
  for (const auto& camera : inventory.cameras) names.emplace(without_facet(camera.id), camera.name);
  return names;
}

std::vector<Watching> cameras_of(const rhombus::Door& door, const CameraNames& names, const Config& config) {
  std::vector<Watching> watching;
  std::unordered_set<std::string> known;
  const auto add = [&](const DeviceId& id, bool by_configuration) {
    const auto bare = without_facet(id);
    if (!known.insert(bare).second) return;
    const auto name = names.find(bare);
    watching.push_back({id, name == names.end() ? "" : name->second, by_configuration});
  };
  for (const auto& camera : door.cameras) add(camera, false);
  for (const auto& associate : config.associates) {
    if (!has(associate.devices, door.id.str()) && !has(associate.locations, door.location.str())) continue;
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
  const Index index(inventory);
  for (const auto& camera : by_name(inventory.cameras)) {
    const auto* gateway = index.gateway_of(camera);
    table.add({camera.name, camera.id.str(), camera.online ? "online" : "offline",
               index.shown_location(camera.location), shown_facets(camera), join(camera.lan_addresses, ", "),
               gateway == nullptr ? "" : gateway->name});
  }
  return table;
}

Table location_table(const Inventory& inventory) {
  Table table({{.heading = "NAME", .may_shrink = true}, {.heading = "UUID"}, {.heading = "CAMERAS"}});
  const Index index(inventory);
  for (const auto& location : by_name(inventory.locations)) {
    table.add({location.name, location.id.str(), std::to_string(index.cameras_at(location.id).size())});
  }
  return table;
}

Table door_table(const Inventory& inventory, const Config& config) {
  Table table({{.heading = "NAME", .may_shrink = true},
               {.heading = "UUID"},
               {.heading = "KIND"},
               {.heading = "LOCATION", .may_shrink = true},
               {.heading = "CAMERAS"}});
  const Index index(inventory);
  const auto names = camera_names(inventory);
  for (const auto& door : by_name(inventory.doors)) {
    std::vector<std::string> cameras;
    for (const auto& one : cameras_of(door, names, config))
      cameras.push_back((one.name.empty() ? one.camera.str() : one.name) +
                        (one.by_configuration ? " ([[associate]])" : ""));
    table.add({door.name, door.id.str(), std::string(kind_name(door)), index.shown_location(door.location),
               join(cameras, ", ")});
  }
  return table;
}

std::vector<std::string> camera_objects(const Inventory& inventory) {
  std::vector<std::string> objects;
  const Index index(inventory);
  for (const auto& camera : inventory.cameras) {
    JsonWriter json;
    json.begin_object()
        .field("uuid", camera.id.str())
        .field("name", camera.name)
        .field("online", camera.online)
        .field("location", camera.location.str())
        .field("location_name", index.location_name(camera.location));
    json.key("facets").begin_array();
    for (const auto& facet : camera.facets)
      json.begin_object().field("facet", facet.id).field("name", facet.name).end_object();
    json.end_array().key("lan_addresses").begin_array();
    for (const auto& address : camera.lan_addresses) json.value(address);
    json.end_array().key("gateway");
    const auto* gateway = index.gateway_of(camera);
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
  const Index index(inventory);
  for (const auto& location : inventory.locations) {
    JsonWriter json;
    json.begin_object().field("uuid", location.id.str()).field("name", location.name).key("cameras").begin_array();
    for (const auto& camera : index.cameras_at(location.id)) json.value(camera);
    json.end_array().end_object();
    objects.push_back(std::move(json).str());
  }
  return objects;
}

std::vector<std::string> door_objects(const Inventory& inventory, const Config& config) {
  std::vector<std::string> objects;
  const Index index(inventory);
  const auto names = camera_names(inventory);
  for (const auto& door : inventory.doors) {
    JsonWriter json;
    json.begin_object()
        .field("uuid", door.id.str())
        .field("name", door.name)
        .field("kind", kind_name(door))
        .field("location", door.location.str())
        .field("location_name", index.location_name(door.location));
    json.key("cameras").begin_array();
    for (const auto& one : cameras_of(door, names, config)) {
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
