// What is done to the words of a command line before its options are read.
#pragma once

#include <string>
#include <vector>

namespace responder::app {

// Those after `copy-footage` in the form that ours reads; all others as they are. The script that it replaces had its
// command line read by Python's argparse: options of several letters after one dash (-loc), and long ones cut short
// (--loc).
std::vector<std::string> with_predecessor_words(std::vector<std::string> words);

// One alert's id in 64 begins with a dash. Such words of the commands that take alerts go to the end, behind "--",
// and are read as no option.
std::vector<std::string> with_alerts_apart(std::vector<std::string> words);

}  // namespace responder::app
