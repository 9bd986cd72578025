#include "inventory_view.hpp"

#include <chrono>

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::app;

namespace {

Inventory sample() {
  Inventory inventory;
  inventory.cameras = {
      {DeviceId("C2"), "Yard", LocationId("L2"), false, {}, {}},
      {DeviceId("C1"), "Front\nDoor", LocationId("L1"), true, {{"v0", "Left"}, {"v1", ""}}, {"10.0.0.7"}}};
  inventory.gateways = {{DeviceId("G1"), "Ears", {DeviceId("C1.v0")}, true}};
  inventory.locations = {{LocationId("L1"), "Headquarters"}};
  inventory.doors = {
      {rhombus::Door::Kind::access_controlled, DeviceId("D1"), "Main", LocationId("L1"), {DeviceId("C1.v0")}},
      {rhombus::Door::Kind::sensor, DeviceId("D2"), "Back", LocationId("L2"), {}}};
  return inventory;
}

std::string line(const Table& table, std::size_t number) { return table.lines(std::nullopt).at(number); }
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("cameras are listed by name with lenses, location, address and gateway") {
  const auto table = camera_table(sample());
  CHECK(table.lines(std::nullopt).size() == 3);
  const auto first = line(table, 1);
  CAPTURE(first);
  CHECK(first.starts_with("Front?Door  C1    online   Headquarters  v0 Left, v1  10.0.0.7     Ears"));
  CHECK(has(line(table, 2), "Yard        C2    offline  L2"));
  const auto object = camera_objects(sample()).at(1);
  CAPTURE(object);
  CHECK(has(object, R"("name":"Front\nDoor","online":true,"location":"L1","location_name":"Headquarters")"));
  CHECK(has(object,
            R"("facets":[{"facet":"v0","name":"Left"},{"facet":"v1","name":""}],"lan_addresses":["10.0.0.7"])"));
  CHECK(has(object, R"("gateway":{"uuid":"G1","name":"Ears","online":true}})"));
  CHECK(has(camera_objects(sample()).at(0), R"("gateway":null)"));
}

TEST_CASE("doors are listed with the cameras that Rhombus and the configuration name") {
  Config config;
  config.associates = {{{"D2"}, {}, {"C2", "C9"}}, {{}, {"L1"}, {"C1", "C2"}}};
  const auto inventory = sample();
  const auto of_main = cameras_of(inventory.doors[0], camera_names(inventory), config);
  REQUIRE(of_main.size() == 2);  // C1 only once
  CHECK(of_main[0].camera.str() == "C1.v0");
  CHECK_FALSE(of_main[0].by_configuration);
  CHECK(of_main[1].name == "Yard");
  CHECK(of_main[1].by_configuration);
  const auto table = door_table(inventory, config);
  CHECK(has(line(table, 1), "Back  D2    sensor             L2            Yard ([[associate]]), C9 ([[associate]])"));
  CHECK(has(line(table, 2), "Main  D1    access-controlled  Headquarters  Front?Door, Yard ([[associate]])"));
  CHECK(has(
      door_objects(inventory, config).at(1),
      R"("cameras":[{"uuid":"C2","name":"Yard","from":"associate"},{"uuid":"C9","name":"","from":"associate"}])"));
}

TEST_CASE("locations are listed with their cameras") {
  CHECK(has(line(location_table(sample()), 1), "Headquarters  L1    1"));
  CHECK(location_objects(sample()).at(0) == R"({"uuid":"L1","name":"Headquarters","cameras":["C1"]})");
}

TEST_CASE("thousands of cameras, doors and locations are listed in no time") {
  constexpr int many = 20'000;
  Inventory inventory;
  for (int i = 0; i < many; ++i) {
    const auto number = std::to_string(i);
    inventory.cameras.push_back({DeviceId("C" + number), "Camera " + number, LocationId("L" + number)});
    inventory.gateways.push_back({DeviceId("G" + number), "Ears", {DeviceId("C" + number)}, true});
    inventory.locations.push_back({LocationId("L" + number), "Place " + number});
    inventory.doors.push_back({rhombus::Door::Kind::sensor,
                               DeviceId("D" + number),
                               "Door " + number,
                               LocationId("L" + number),
                               {DeviceId("C" + number)}});
  }
  const auto began = std::chrono::steady_clock::now();
  CHECK(door_objects(inventory, {}).size() == many);
  CHECK(has(door_objects(inventory, {}).back(), R"("location_name":"Place 19999","cameras":[{"uuid":"C19999")"));
  CHECK(camera_objects(inventory).size() == many);
  CHECK(has(location_objects(inventory).back(), R"("cameras":["C19999"])"));
  // One search through all for each of them would take a minute.
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
}
