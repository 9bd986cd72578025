// A model of everything that uses the spool: captures that arrive, fetch, fail and come again, an archive that takes
// their clips sooner or later, a disk that fills. One history is one run from a seed, in simulated time. The rules
// under test are a parameter; they are the real ones (SpoolBudget, choose_evictions) or others to compare with.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "responder/archive/spool_budget.hpp"

namespace responder::test {

template <class Rules>
class SpoolModel {
 public:
  explicit SpoolModel(std::uint64_t seed) : random_(seed), rules_(make_limits()) {
    make_captures();
    make_disk();
  }

  // What went wrong; empty when every capture ended.
  std::string run() {
    while (now_ < horizon_ && ended_ < captures_.size() && wrong_.empty()) {
      turn();
      now_ += something_runs() ? 1 : time_to_next_event();
    }
    if (wrong_.empty() && ended_ < captures_.size())
      wrong_ = std::to_string(captures_.size() - ended_) + " captures have not ended after a day";
    return wrong_;
  }
  bool waited() const { return waited_; }        // some capture was refused
  bool made_room() const { return made_room_; }  // footage was removed that somebody wanted

 private:
  static constexpr std::uint64_t mega = 1'000'000;
  static constexpr std::uint64_t segment = 4 * mega;
  static constexpr int attempts_at_most = 12;
  enum class State { to_come, waiting, running, ready, ended };

  // Footage of one window, which several captures may share.
  struct Footage {
    std::uint64_t total = 0;
    std::uint64_t have = 0;
    int recorded_from = 0;
    int seconds = 0;
    int used_at = 0;
    std::optional<std::size_t> driver = {};
  };
  struct Capture {
    std::size_t footage = 0;
    int arrives = 0;
    std::vector<std::uint64_t> fails_at = {};  // bytes of footage at which a request fails for a while
    int partials = 0;                          // so often only a part can be had
    double estimate_error = 1;
    State state = State::to_come;
    int next_at = 0;
    int attempts = 0;
    bool published = false;
    bool last = false;       // what is ready is the last of it
    std::uint64_t clip = 0;  // its file in ready/: finished when `ready`, else begun early or left behind
    std::optional<typename Rules::ClaimId> claim = {};
  };

  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  double real(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }
  bool chance(double p) { return real(0, 1) < p; }
  SteadyTime steady() const { return SteadyTime(std::chrono::seconds(now_)); }

  archive::SpoolLimits make_limits() {
    limits_ = {static_cast<std::uint64_t>(between(10, 400)) * mega,
               static_cast<std::uint64_t>(between(5, 50)) * mega};
    return limits_;
  }

  void make_captures() {
    const int count = between(3, 12);
    int at = 0;
    for (int i = 0; i < count; ++i) {
      at += chance(0.5) ? 0 : between(0, 60);
      Capture capture;
      capture.arrives = at;
      if (i > 0 && chance(0.2)) {
        capture.footage = captures_.back().footage;
      } else {
        const int seconds = chance(0.05) ? between(300, 900) : between(4, 90);
        const double rate = real(0.5, 4);
        const int recorded_from = chance(0.6) ? at - 5 : at - 100'000;
        footage_.push_back({static_cast<std::uint64_t>(rate * seconds * mega), 0, recorded_from, seconds});
        capture.footage = footage_.size() - 1;
      }
      const auto total = footage_[capture.footage].total;
      for (int fails = chance(0.5) ? between(1, 3) : 0; fails > 0; --fails)
        capture.fails_at.push_back(static_cast<std::uint64_t>(real(0, 1) * static_cast<double>(total)));
      std::sort(capture.fails_at.rbegin(), capture.fails_at.rend());
      capture.partials = chance(0.3) ? between(1, 4) : 0;
      capture.estimate_error = real(0.2, 3);
      captures_.push_back(capture);
    }
    last_arrival_ = at;
  }

  void make_disk() {
    std::uint64_t largest = 0;
    for (const auto& one : footage_) largest = std::max(largest, one.total);
    const auto wanted = limits_.min_free_bytes + 80 * mega + largest * 22 / 10;
    capacity_ = std::max(wanted, static_cast<std::uint64_t>(real(1, 3) * static_cast<double>(limits_.max_bytes)));
    if (chance(0.05))  // too small for some
      capacity_ = limits_.min_free_bytes + 20 * mega +
                  static_cast<std::uint64_t>(real(0.3, 1.5) * static_cast<double>(largest));
    if (chance(0.1)) {  // somebody else fills it for a while
      of_others_ = static_cast<std::uint64_t>(real(0.3, 1.2) * static_cast<double>(capacity_));
      others_until_ = between(1, 600);
    }
    archive_back_at_ = chance(0.2) ? between(0, 2000) : 0;
    horizon_ = last_arrival_ + archive_back_at_ + 86'400;
  }

  std::uint64_t footage_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& one : footage_) sum += one.have;
    return sum;
  }
  std::uint64_t clip_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& one : captures_) sum += one.clip;
    return sum;
  }
  std::uint64_t disk_free() const {
    const auto used = footage_bytes() + clip_bytes() + (now_ < others_until_ ? of_others_ : 0);
    return capacity_ > used ? capacity_ - used : 0;
  }

  bool something_runs() const {
    return std::any_of(captures_.begin(), captures_.end(), [](const auto& c) { return c.state == State::running; });
  }
  int time_to_next_event() const {
    int next = horizon_;
    for (const auto& one : captures_) {
      if (one.state == State::to_come) next = std::min(next, one.arrives);
      if (one.state == State::waiting) next = std::min(next, one.next_at);
      if (one.state == State::ready) next = std::min(next, std::max(one.next_at, archive_back_at_));
    }
    return std::max(1, std::min(next - now_, rules_.is_short() ? 1 : next - now_));
  }

  void turn() {
    for (auto& one : captures_) {
      if (one.state == State::to_come && one.arrives <= now_) one.state = State::waiting;
    }
    publish();
    if (now_ >= next_tidy_ || rules_.is_short()) tidy();
    for (std::size_t i = 0; i < captures_.size(); ++i) {
      if (captures_[i].state == State::waiting && captures_[i].next_at <= now_) begin(i);
    }
    for (std::size_t i = 0; i < captures_.size(); ++i) {
      if (captures_[i].state == State::running) go_on(i);
    }
    check_bounds();
  }

  void publish() {
    if (now_ < archive_back_at_) return;
    for (auto& one : captures_) {
      if (one.state != State::ready || one.next_at > now_) continue;
      one.clip = 0;
      one.published = true;
      if (one.last) {
        end(one);
      } else {
        one.state = State::waiting;
        one.next_at = now_ + between(60, 600);
      }
    }
  }

  void end(Capture& capture) {
    capture.state = State::ended;
    ++ended_;
  }

  void tidy() {
    next_tidy_ = now_ + 5;
    rules_.set_contents({footage_bytes(), clip_bytes(), disk_free()});
    std::vector<archive::IdleFootage> idle;
    std::vector<std::size_t> places;
    std::uint64_t freed = 0;
    const bool in_need = footage_bytes() + clip_bytes() > limits_.max_bytes / 2;
    for (std::size_t i = 0; i < footage_.size(); ++i) {
      auto& footage = footage_[i];
      archive::IdleFootage one{footage.have, {}, true};
      bool in_use = false;
      for (std::size_t c = 0; c < captures_.size(); ++c) {
        const auto& capture = captures_[c];
        if (capture.footage != i) continue;
        in_use = in_use || capture.state == State::running;
        if (capture.state != State::waiting) continue;
        one.wanted_by.push_back(static_cast<archive::CaptureId>(c));
        one.only_by_published = one.only_by_published && capture.published;
      }
      if (in_use || footage.have == 0) continue;
      if (one.wanted_by.empty() && (in_need || now_ > footage.used_at + 600)) {
        freed += std::exchange(footage.have, 0);
        continue;
      }
      idle.push_back(one);
      places.push_back(i);
    }
    auto shortage = rules_.take_shortage();
    shortage.bytes -= std::min(shortage.bytes, freed);
    for (const auto place : Rules::evict(idle, shortage)) {
      footage_[places[place]].have = 0;
      made_room_ = made_room_ || !idle[place].wanted_by.empty();
    }
    rules_.set_contents({footage_bytes(), clip_bytes(), disk_free()});
  }

  void begin(std::size_t id) {
    auto& capture = captures_[id];
    const auto& footage = footage_[capture.footage];
    const auto expected = static_cast<std::uint64_t>(static_cast<double>(footage.total) * capture.estimate_error);
    rules_.set_disk_free(disk_free());
    auto admitted =
        rules_.admit(static_cast<archive::CaptureId>(id),
                     {expected > footage.have ? expected - footage.have : 0, footage.have, expected}, steady());
    if (const auto* refusal = std::get_if<archive::SpoolRefusal>(&admitted)) return postpone(capture, *refusal);
    capture.claim = std::get<0>(admitted);
    capture.state = State::running;
  }

  void give_back(Capture& capture) {
    rules_.release(*capture.claim);
    capture.claim.reset();
    if (footage_[capture.footage].driver == static_cast<std::size_t>(&capture - captures_.data()))
      footage_[capture.footage].driver.reset();
    footage_[capture.footage].used_at = now_;
    if (Rules::removes_early_clips) capture.clip = 0;
  }

  void postpone(Capture& capture, const archive::SpoolRefusal& refusal) {
    if (capture.claim) give_back(capture);
    waited_ = true;
    capture.state = State::waiting;
    check_refusal(refusal);
    if (refusal.cause == archive::SpoolRefusal::Cause::too_large) return fail(capture);
    capture.next_at = now_ + between(5, 10);
  }

  // An attempt that counts.
  void fail(Capture& capture) {
    ++capture.attempts;
    capture.state = State::waiting;
    capture.next_at = now_ + std::min(300, 2 << std::min(capture.attempts, 10));
    if (capture.attempts >= attempts_at_most) end(capture);
  }

  void go_on(std::size_t id) {
    auto& capture = captures_[id];
    auto& footage = footage_[capture.footage];
    if (footage.driver && *footage.driver != id) return;
    footage.driver = id;
    footage.used_at = now_;
    const auto recorded =
        std::min(1.0, std::max(0.0, static_cast<double>(now_ - footage.recorded_from) / footage.seconds));
    const auto there = static_cast<std::uint64_t>(recorded * static_cast<double>(footage.total));
    for (std::uint64_t budget = bandwidth_; budget > 0 && footage.have < there;) {
      rules_.set_disk_free(disk_free());
      if (const auto refused = rules_.check(*capture.claim, steady())) return postpone(capture, *refused);
      const auto bytes = std::min({segment, budget, there - footage.have});
      if (!capture.fails_at.empty() && footage.have + bytes >= capture.fails_at.back()) {
        capture.fails_at.pop_back();
        give_back(capture);
        return fail_transiently(capture);
      }
      footage.have += bytes;
      budget -= bytes;
      rules_.add_fetched(*capture.claim, bytes);
    }
    if (recorded < 1) return;
    if (capture.clip > 0 || rules_.has_room_beside(*capture.claim))
      capture.clip = std::max(capture.clip, footage.have);
    if (footage.have >= footage.total) finish(capture, footage);
  }

  void fail_transiently(Capture& capture) {
    const int attempts = capture.attempts;  // none of these is the last
    fail(capture);
    if (capture.state == State::ended) return;
    capture.attempts = std::min(attempts + 1, attempts_at_most - 2);
  }

  void finish(Capture& capture, const Footage& footage) {
    if (capture.clip < footage.total && disk_free() < footage.total - capture.clip) {
      rules_.set_disk_free(disk_free());
      return postpone(capture, rules_.note_disk_full(*capture.claim, footage.total, steady()));
    }
    give_back(capture);
    capture.clip = footage.total;
    rules_.add_clip(capture.clip);
    capture.state = State::ready;
    capture.last = capture.partials-- <= 0;
    capture.next_at = now_ + (chance(0.7) ? 1 : between(1, 20));
  }

  // What people are told of a refusal is so.
  void check_refusal(const archive::SpoolRefusal& refusal) {
    using Cause = archive::SpoolRefusal::Cause;
    if (!Rules::is_bounded) return;
    const auto trouble = rules_.trouble(steady());
    const bool disk_is_short = disk_free() < limits_.min_free_bytes;
    if ((disk_is_short || refusal.cause == Cause::clips_wait || refusal.cause == Cause::too_large) && !trouble)
      wrong_ = "a capture waits for something that nobody is told of";
  }

  // The spool is bounded: its limit, and what one capture may need beyond it.
  void check_bounds() {
    if (!Rules::is_bounded) return;
    std::uint64_t largest = 0;
    for (const auto& one : footage_) largest = std::max(largest, one.total);
    const auto most = limits_.max_bytes + 2 * largest + 64 * mega * captures_.size();
    if (footage_bytes() + clip_bytes() > most)
      wrong_ = "the spool holds " + std::to_string((footage_bytes() + clip_bytes()) / mega) + " MB of " +
               std::to_string(limits_.max_bytes / mega);
  }

  std::mt19937_64 random_;
  archive::SpoolLimits limits_;
  Rules rules_;
  std::vector<Footage> footage_;
  std::vector<Capture> captures_;
  std::uint64_t capacity_ = 0;
  std::uint64_t of_others_ = 0;
  int others_until_ = 0;
  std::uint64_t bandwidth_ = 20 * mega;
  int archive_back_at_ = 0;
  int last_arrival_ = 0;
  int horizon_ = 0;
  int now_ = 0;
  int next_tidy_ = 0;
  std::size_t ended_ = 0;
  bool waited_ = false;
  bool made_room_ = false;
  std::string wrong_;
};

}  // namespace responder::test
