#include "responder/rhombus/directory.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace responder::rhombus {
namespace {

constexpr std::chrono::minutes fresh_for{5};
constexpr std::chrono::seconds ask_again_after{3};  // for a camera that is not known

// A UUID may carry a facet ("UUID.v0"): the same device seen through one of its lenses.
std::string_view without_facet(const DeviceId& id) {
  return std::string_view(id.str()).substr(0, id.str().find('.'));
}

}  // namespace

std::optional<CameraWithSound> DeviceDirectory::look_up(const State& state, const DeviceId& id) {
  const auto exact = [&](const Camera& camera) { return camera.id == id; };
  const auto same_device = [&](const Camera& camera) { return without_facet(camera.id) == without_facet(id); };
  auto found = std::find_if(state.cameras.begin(), state.cameras.end(), exact);
  if (found == state.cameras.end()) found = std::find_if(state.cameras.begin(), state.cameras.end(), same_device);
  if (found == state.cameras.end()) return std::nullopt;

  CameraWithSound result{*found, std::nullopt};
  for (const auto& gateway : state.gateways) {
    const bool hears = std::any_of(gateway.cameras.begin(), gateway.cameras.end(), [&](const DeviceId& camera) {
      return without_facet(camera) == without_facet(id);
    });
    if (hears && (!result.gateway || (gateway.online && !result.gateway->online))) result.gateway = gateway;
  }
  return result;
}

Result<void> DeviceDirectory::refresh_locked(State& state, std::stop_token stop) {
  auto cameras = api_.cameras(stop);
  if (!cameras) return cameras.error();
  state.cameras = std::move(*cameras);
  // Sound is second to pictures: without this list the last one serves.
  if (auto gateways = api_.audio_gateways(stop)) {
    state.gateways = std::move(*gateways);
  } else if (gateways.error().kind != ErrorKind::cancelled) {
    spdlog::warn("list of audio gateways not refreshed: {}", gateways.error().message);
  }
  state.asked_at = clock_.steady_now();
  return {};
}

Result<void> DeviceDirectory::refresh(std::stop_token stop) {
  auto state = state_.lock();
  return refresh_locked(*state, stop);
}

Result<std::optional<CameraWithSound>> DeviceDirectory::find(const DeviceId& camera, std::stop_token stop) {
  auto state = state_.lock();
  auto known = look_up(*state, camera);
  const auto limit = known ? std::chrono::seconds(fresh_for) : ask_again_after;
  if (state->asked_at && clock_.steady_now() - *state->asked_at < limit) return known;
  if (auto refreshed = refresh_locked(*state, stop); !refreshed) {
    if (!known) return refreshed.error();
    spdlog::warn("device list not refreshed, the last one is used: {}", refreshed.error().message);
    return known;
  }
  return look_up(*state, camera);
}

}  // namespace responder::rhombus
