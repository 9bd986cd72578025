// What commands that take alerts in have in common.
#pragma once

#include "responder/ingest/intake.hpp"
#include "responder/journal/journal.hpp"

#include "config.hpp"

namespace responder::app {

inline constexpr std::size_t max_queued_changes = 100'000;

// `config` outlives the policy.
ingest::IntakePolicy intake_policy(const Config& config);

// File modes and memory. Before the first thread.
void set_process_up();

// Creates the journal where there is none; one that is damaged is an Error.
Result<journal::Journal> open_sound_journal(const Config& config);

// The journal there is, to change what it remembers; where there is none, an Error.
Result<journal::Journal> open_known_journal(const Config& config);

// The journal as it is, for looking; where there is none, one in memory that knows nothing.
Result<journal::Journal> open_journal_to_look(const Config& config);

// The journal there is, for looking; where there is none, an Error.
Result<journal::Journal> open_known_journal_to_look(const Config& config);

// Ends the process without waiting for threads that something outside holds.
[[noreturn]] void end_at_once(int status);

}  // namespace responder::app
