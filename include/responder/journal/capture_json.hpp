// A capture as programs read it: what `events --json` prints, and what hooks are told.
#pragma once

#include "responder/base/json_writer.hpp"
#include "responder/journal/journal.hpp"

namespace responder::journal {

// Nothing more will be tried for it.
bool is_final(const Capture& capture);

// The capture's fields, into an object that is open.
void write_fields(JsonWriter& json, const Capture& capture);

}  // namespace responder::journal
