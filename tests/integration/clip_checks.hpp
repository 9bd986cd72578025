// Clips held against what the stand-in's devices served.
#pragma once

#include <string>

#include "clip_reader.hpp"
#include "responder_process.hpp"

namespace responder::test {

inline const fake_rhombus::VideoProfile small{.width = 64, .height = 64, .frames_per_second = 5};

// The clip of an event, held against what the device served for its window: every packet, in order, at its time.
void check_clip(const Responder& responder, const fake_rhombus::FakeRhombus& rhombus, const Event& event,
                const std::string& sound_device = "");

// Of a clip with gaps: every picture is one the device served, at its time.
void check_packets_are_true(const Responder& responder, const fake_rhombus::FakeRhombus& rhombus, const Event& event);

}  // namespace responder::test
