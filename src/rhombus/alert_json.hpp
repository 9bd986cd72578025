// What the vendor's ways of telling of an alert have in common. Ids are strict: an Error names the field that makes
// the alert unusable. What only helps is not: where it is odd it counts as not told, and the alert's remarks say so.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "responder/rhombus/alert.hpp"
#include "responder/rhombus/alert_listing.hpp"

#include "json.hpp"

namespace responder::rhombus {

inline constexpr std::size_t max_cameras = 256;  // of one alert

Error bad(std::string message);

// Adds a line to the remarks, of which an alert has a bounded number.
void remark(Alert& alert, std::string line);

// An id that may be absent: empty then.
Result<std::string> optional_id(const json::Object& object, std::string_view name);
Result<std::string> required_id(const json::Object& object, std::string_view name);

// Empty when it is absent or odd.
LocationId location_id(Alert& alert, const json::Object& object, std::string_view name);

// nullopt when it is absent or no time between 2015 and 2200. A fraction is cut off.
std::optional<WallTime> time_ms(Alert& alert, const json::Object& object, std::string_view name);
// nullopt when it is absent, negative or no number. A fraction is rounded up.
std::optional<std::chrono::seconds> duration_s(Alert& alert, const json::Object& object, std::string_view name);

// Enum values end up in file names' neighbourhood and in logs: what does not look like one is dropped.
std::vector<std::string> enum_values(std::vector<std::string> values);
std::vector<std::string> text_list(const json::Object& object, std::string_view name);

// Adds a camera, or what it says to the one that is there: one capture for each camera, spanning everything the alert
// has there.
void add_camera(Alert& alert, AlertCamera camera);

// When it was, and the cameras of an alert: its device where that is one, and those of its `clipLocationMap` fields.
// What is no camera's id there, and what is too much, is passed over with a remark.
void add_cameras(Alert& alert, const json::Object& object, std::string_view device_type, std::optional<WallTime> at,
                 std::optional<std::chrono::seconds> duration);

// getPolicyAlertsV2's answer, or one of the older shape. A list that is null is empty; one that is absent, or no
// list, is an Error (transient). `now` is taken for the time of an alert that tells none, when no other alert of the
// page does.
Result<AlertPage> read_alert_page(const json::Object& answer, WallTime now);

}  // namespace responder::rhombus
