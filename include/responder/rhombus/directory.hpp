// Which cameras and audio gateways the organization has: asked once, remembered, asked again when a camera is not
// known or the answer is old. Thread-safe. One caller asks at a time, without a lock: meanwhile, and for some seconds
// after a failure, the others get the last answer if it has their camera, and else what becomes of the question.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <vector>

#include "responder/base/outage.hpp"
#include "responder/rhombus/api_client.hpp"

namespace responder::rhombus {

// The id of the device to which a lens, a channel or a microphone belongs: "UUID" for "UUID.v0".
DeviceId without_facet(const DeviceId& device);
// Whether both are the same device, perhaps seen through different lenses ("UUID" and "UUID.v0").
bool is_same_device(const DeviceId& a, const DeviceId& b);

struct CameraWithSound {
  Camera camera;
  std::optional<AudioGateway> gateway;  // the one that records this camera's sound, if there is one
  // False: the list of gateways could not be read yet, so that there may be one.
  bool gateway_is_known = true;
};

class DeviceDirectory {
 public:
  DeviceDirectory(ApiClient& api, Clock& clock) : api_(api), clock_(clock) {}

  // nullopt: Rhombus lists no such camera. An Error: it is not known, and Rhombus could not be asked.
  Result<std::optional<CameraWithSound>> find(const DeviceId& camera, std::stop_token stop);

  Result<void> refresh(std::stop_token stop);

 private:
  struct Failure {
    Error error;
    SteadyTime at;
  };
  struct State {
    bool being_refreshed = false;
    std::optional<SteadyTime> asked_at;  // with success
    // The gateways were listed, or it is clear that we get no list of them.
    bool gateways_are_known = false;
    std::optional<SteadyTime> gateways_failed_at;  // the first time, while they are not known
    std::optional<Failure> failure;                // since then
    std::vector<Camera> cameras;
    std::vector<AudioGateway> gateways;
    Outage cameras_outage, gateways_outage;  // of their lists
  };
  // Asks Rhombus; the caller has set being_refreshed.
  Result<void> ask(std::stop_token stop);
  // The list of cameras was had, and that of gateways was not.
  void note_unknown_gateways(State& state, const Error& error) const;
  static std::optional<CameraWithSound> look_up(const State& state, const DeviceId& camera);

  ApiClient& api_;
  Clock& clock_;
  Synchronized<State> state_;
};

}  // namespace responder::rhombus
