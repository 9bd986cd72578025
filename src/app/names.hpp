// Names that people give for cameras, locations and the like, and what they stand for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "responder/base/error.hpp"

namespace responder::app {

struct Named {
  std::string id;
  std::string name;  // may be empty
};

// For the words of an Error: "--camera: Rhombus lists no camera 'Lobbi'; did you mean 'Lobby'?".
struct NameQuestion {
  std::string_view where;   // the option or the key
  std::string_view lister;  // "Rhombus lists"
  std::string_view kind;    // "camera"
};

// The one that is meant: by its UUID (also one with a facet, which the answer keeps), its name, its name in other
// letter case, or a part of its name; whichever fits first and fits one. An Error (permanent) names the candidates.
Result<Named> find_named(const std::vector<Named>& all, const std::string& wanted, const NameQuestion& question);

// "; did you mean 'Lobby'?", or nothing where nothing is close.
std::string close_match(const std::vector<Named>& all, const std::string& wanted);
// The same, or "; there are: ..." where nothing is close, or nothing where there are none.
std::string suggestion(const std::vector<Named>& all, const std::string& wanted);

// "Lobby (UUID)", "Lobby (UUID), Dock (UUID) and 7 more".
std::string describe(const Named& one);
std::string describe(const std::vector<Named>& some);

}  // namespace responder::app
