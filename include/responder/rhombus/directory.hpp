// Which cameras and audio gateways the organization has: asked once, remembered, asked again when a camera is not
// known or the answer is old. Thread-safe; while one caller asks, the others wait for its answer.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <vector>

#include "responder/rhombus/api_client.hpp"

namespace responder::rhombus {

struct CameraWithSound {
  Camera camera;
  std::optional<AudioGateway> gateway;  // the one that records this camera's sound, if there is one
};

class DeviceDirectory {
 public:
  DeviceDirectory(ApiClient& api, Clock& clock) : api_(api), clock_(clock) {}

  // nullopt: Rhombus lists no such camera.
  Result<std::optional<CameraWithSound>> find(const DeviceId& camera, std::stop_token stop);

  Result<void> refresh(std::stop_token stop);

 private:
  struct State {
    std::optional<SteadyTime> asked_at;
    std::vector<Camera> cameras;
    std::vector<AudioGateway> gateways;
  };
  Result<void> refresh_locked(State& state, std::stop_token stop);
  static std::optional<CameraWithSound> look_up(const State& state, const DeviceId& camera);

  ApiClient& api_;
  Clock& clock_;
  Synchronized<State> state_;
};

}  // namespace responder::rhombus
