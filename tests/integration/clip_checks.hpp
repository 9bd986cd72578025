// Clips held against what the stand-in's devices served.
#pragma once

#include <string>

#include "clip_reader.hpp"
#include "responder_process.hpp"

namespace responder::test {

inline const fake_rhombus::VideoProfile small{.width = 64, .height = 64, .frames_per_second = 5};

// Epoch milliseconds. An alert of then, of an even number of seconds, has a window that begins and ends with a group
// of pictures of the stand-in's: its clip equals what a session of its own serves, whoever shares the footage.
std::int64_t some_time_ago(std::int64_t seconds);

// The clip of an event, held against what the device served for its window: every packet, in order, at its time.
void check_clip(const Responder& responder, const fake_rhombus::FakeRhombus& rhombus, const Event& event,
                const std::string& sound_device = "");

// Of a clip with gaps: every picture is one the device served, at its time.
void check_packets_are_true(const Responder& responder, const fake_rhombus::FakeRhombus& rhombus, const Event& event);

}  // namespace responder::test
