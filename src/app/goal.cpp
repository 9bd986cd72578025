#include "goal.hpp"

#include <algorithm>

#include "responder/journal/capture_json.hpp"

namespace responder::app {
namespace {

using journal::State;
using std::chrono::seconds;

constexpr seconds longest_recording{600};  // an alert that goes on for longer is not waited for

}  // namespace

Result<void> Goal::add(journal::CaptureId id) {
  const auto row = journal_.find(id);
  if (!row) return row.error();
  if (!*row || is_final(**row) || open_.contains(id)) return {};
  open_.insert({id, {**row, (*row)->attempts}});
  ++total_;
  auto& camera = cameras_[(*row)->camera];
  if (!(*row)->camera_name.empty()) camera.name = (*row)->camera_name;
  if (camera.name.empty()) camera.name = (*row)->camera.str();
  ++camera.total;
  camera.length += (*row)->window_end - (*row)->window_start;
  return {};
}

Result<void> Goal::add_all_open() {
  const auto ids = journal_.open_ids();
  if (!ids) return ids.error();
  for (const auto id : *ids) {
    if (auto added = add(id); !added) return added;
  }
  return {};
}

Result<bool> Goal::look(WallTime now) {
  bool moved = false;
  running_ = 0;
  for (auto found = open_.begin(); found != open_.end();) {
    auto& [id, one] = *found;
    const auto row = journal_.find(id);
    if (!row) return row.error();
    if (!*row || is_final(**row) || is_for_later_runs(**row, one, now)) {
      moved = true;
      if (*row) close(**row);
      found = open_.erase(found);
      continue;
    }
    if ((*row)->state == State::capturing) ++running_;
    if (!one.since || (*row)->state != one.row.state) one.since = now;
    moved = moved || (*row)->state != one.row.state || (*row)->attempts != one.row.attempts;
    one.row = **row;
    ++found;
  }
  return moved;
}

void Goal::give_up() {
  for (const auto& [id, one] : open_) {
    if (const auto row = journal_.find(id); row && *row) close(**row);
  }
  open_.clear();
}

std::map<DeviceId, Goal::Activity> Goal::activities(WallTime now) const {
  std::map<DeviceId, Activity> all;
  for (const auto& [id, one] : open_) {
    const auto lasts = std::max(seconds(0), std::chrono::floor<seconds>(now - one.since.value_or(now)));
    const Activity activity{one.row.state == State::capturing ? State::capturing : State::waiting, lasts};
    auto& known = all.try_emplace(one.row.camera, activity).first->second;
    const bool says_more =
        activity.state == known.state ? activity.lasts > known.lasts : activity.state == State::capturing;
    if (says_more) known = activity;
  }
  return all;
}

const journal::Capture* Goal::open(journal::CaptureId id) const {
  const auto found = open_.find(id);
  return found == open_.end() ? nullptr : &found->second.row;
}

bool Goal::is_for_later_runs(const journal::Capture& row, const Open& one, WallTime now) const {
  if (WallTime(row.window_end) > now + longest_recording) return true;
  const auto next = row.next_attempt_at.value_or(WallTime::min());
  const bool tried = row.attempts >= one.attempts + patience_.attempts;
  return row.state != State::capturing && next > (tried ? now : now + patience_.wait);
}

void Goal::close(const journal::Capture& row) {
  ++(row.state == State::done ? done_ : not_done_);
  auto& camera = cameras_[row.camera];
  if (!row.camera_name.empty()) camera.name = row.camera_name;
  ++camera.closed;
  camera.closed_length += row.window_end - row.window_start;
  auto told = row;
  told.camera_name = camera.name;
  closed_(told);
}

}  // namespace responder::app
