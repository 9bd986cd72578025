#include "responder/rhombus/directory.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace responder::rhombus {
namespace {

constexpr std::chrono::minutes fresh_for{5};
constexpr std::chrono::seconds ask_again_after{3};  // for what is not known, or when it failed

// An organization may have no list of gateways, or our key no right to it: some of that looks like any other failure,
// and captures cannot wait for sound for ever.
constexpr std::chrono::minutes gateways_fail_at_most{10};

}  // namespace

DeviceId without_facet(const DeviceId& device) { return DeviceId(device.str().substr(0, device.str().find('.'))); }

bool is_same_device(const DeviceId& a, const DeviceId& b) { return without_facet(a) == without_facet(b); }

std::optional<CameraWithSound> DeviceDirectory::look_up(const State& state, const DeviceId& id) {
  const auto exact = [&](const Camera& camera) { return camera.id == id; };
  const auto same_device = [&](const Camera& camera) { return is_same_device(camera.id, id); };
  auto found = std::find_if(state.cameras.begin(), state.cameras.end(), exact);
  if (found == state.cameras.end()) found = std::find_if(state.cameras.begin(), state.cameras.end(), same_device);
  if (found == state.cameras.end()) return std::nullopt;

  CameraWithSound result{*found, std::nullopt, state.gateways_are_known};
  for (const auto& gateway : state.gateways) {
    const bool hears = std::any_of(gateway.cameras.begin(), gateway.cameras.end(),
                                   [&](const DeviceId& camera) { return is_same_device(camera, id); });
    if (hears && (!result.gateway || (gateway.online && !result.gateway->online))) result.gateway = gateway;
  }
  return result;
}

void DeviceDirectory::note_unknown_gateways(State& state, const Error& error) const {
  if (error.kind == ErrorKind::cancelled || state.gateways_are_known) return;
  const auto now = clock_.steady_now();
  if (!state.gateways_failed_at) state.gateways_failed_at = now;
  state.gateways_are_known =
      error.kind != ErrorKind::transient || now - *state.gateways_failed_at >= gateways_fail_at_most;
}

Result<void> DeviceDirectory::ask(std::stop_token stop) {
  auto cameras = api_.cameras(stop);
  // Sound is second to pictures: without this list the last one serves.
  auto gateways = cameras ? api_.audio_gateways(stop) : Result<std::vector<AudioGateway>>(cameras.error());

  Result<void> outcome;
  {
    auto state = state_.lock();
    state->being_refreshed = false;
    if (cameras) {
      state->cameras = std::move(*cameras);
      state->cameras_outage.note_working(clock_.steady_now());
      if (gateways) {
        state->gateways = std::move(*gateways);
        state->gateways_are_known = true;
        state->gateways_outage.note_working(clock_.steady_now());
      } else if (gateways.error().kind != ErrorKind::cancelled &&
                 state->gateways_outage.note_failing(clock_.steady_now())) {
        spdlog::warn("list of audio gateways not refreshed: {}", gateways.error().message);
      }
      if (!gateways) note_unknown_gateways(*state, gateways.error());
      state->asked_at = clock_.steady_now();
      state->failure.reset();
    } else {
      outcome = cameras.error();
      // A stop of one who asks says nothing to the others.
      if (cameras.error().kind != ErrorKind::cancelled)
        state->failure = Failure{cameras.error(), clock_.steady_now()};
    }
  }
  state_.notify_all();
  return outcome;
}

Result<void> DeviceDirectory::refresh(std::stop_token stop) {
  {
    auto state = state_.lock();
    if (!state.wait(stop, [&] { return !state->being_refreshed; }))
      return Error{ErrorKind::cancelled, "shutting down"};
    state->being_refreshed = true;
  }
  return ask(stop);
}

Result<std::optional<CameraWithSound>> DeviceDirectory::find(const DeviceId& camera, std::stop_token stop) {
  std::optional<CameraWithSound> known;
  {
    auto state = state_.lock();
    while (true) {
      known = look_up(*state, camera);
      const auto now = clock_.steady_now();
      const bool all_is_known = known && known->gateway_is_known;
      const auto limit = all_is_known ? std::chrono::seconds(fresh_for) : ask_again_after;
      if (state->asked_at && now - *state->asked_at < limit) return known;
      const bool just_failed = state->failure && now - state->failure->at < ask_again_after;
      if (known && (state->being_refreshed || just_failed)) return known;
      if (just_failed) return state->failure->error;
      if (!state->being_refreshed) break;
      if (!state.wait(stop, [&] { return !state->being_refreshed; }))
        return Error{ErrorKind::cancelled, "shutting down"};
    }
    state->being_refreshed = true;
  }
  if (auto refreshed = ask(stop); !refreshed) {
    if (!known) return refreshed.error();
    if (refreshed.error().kind != ErrorKind::cancelled &&
        state_.lock()->cameras_outage.note_failing(clock_.steady_now()))
      spdlog::warn("device list not refreshed, the last one is used: {}", refreshed.error().message);
    return known;
  }
  return look_up(*state_.lock(), camera);
}

}  // namespace responder::rhombus
