// What several sessions took of one window, put together: each moment from the best of them that has it. Pure.
#pragma once

#include <span>
#include <vector>

#include "responder/media/taken.hpp"

namespace responder::media {

// One session's share.
struct Contribution {
  const Taken* taken = nullptr;
  Micros shift{0};  // the session's start on the window's timeline
  Micros span{0};   // how much the session was asked for: where that reaches beyond the window, its media is cut
};

// One track for each kind that any of them names, without parts where there is nothing. `best_first` says whose
// segments count where two have the same moment. Only one encoding fits into a track: the one that covers most.
// `absent`: times of the window for which what was taken is no footage. It is left out: a segment that begins before
// such a time ends with it, one that begins in it is left out whole, as its key frame is.
std::vector<TakenTrack> assemble(std::span<const Contribution> best_first, Micros window,
                                 std::span<const Interval> absent = {});

}  // namespace responder::media
