// What people give for an alert on a command line, and the alert that it stands for.
#pragma once

#include <string>
#include <vector>

#include "responder/journal/journal.hpp"

namespace responder::app {

// The alert's id; its id as names of clips have it, letters and digits only; or a clip's file name or path, its
// sidecar's or its picture's. An Error (permanent) names the candidates, or what is close.
Result<AlertId> find_alert(journal::Journal& journal, const std::string& word);

// Each of them once, in the order in which they are given: all, or an Error.
Result<std::vector<AlertId>> find_alerts(journal::Journal& journal, const std::vector<std::string>& words);

}  // namespace responder::app
