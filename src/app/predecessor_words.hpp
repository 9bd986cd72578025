// The command line of the script that copy-footage replaces, which Python's argparse read: options of several letters
// after one dash (-loc), and long ones cut short (--loc).
#pragma once

#include <string>
#include <vector>

namespace responder::app {

// The words of a command line, those after `copy-footage` in the form that ours reads; all others as they are.
std::vector<std::string> with_predecessor_words(std::vector<std::string> words);

}  // namespace responder::app
