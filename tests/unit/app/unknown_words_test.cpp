#include "unknown_words.hpp"

#include <catch2/catch.hpp>

using namespace responder::app;

namespace {

OptionEntry option(const std::string& name, const std::string& value = "") {
  return {{name}, value, "", "", false, false, false};
}

const CommandEntry tree{
    "rhombus-responder",
    "",
    {option("--config", "FILE"), option("--help")},
    {{"events", "", {option("--json"), option("--camera", "CAMERA")}, {}},
     {"export", "", {option("--to", "DIR")}, {}},
     {"webhook", "", {}, {{"register", "", {option("--url", "URL")}, {}}, {"show", "", {}, {}}}}}};

std::string mistake(const std::vector<std::string>& words) {
  return read_commands(tree, words, {"man"}).mistake.value_or("none");
}

}  // namespace

TEST_CASE("a mistyped command is named with its nearest match, wherever it stands") {
  CHECK(mistake({"event"}) == "unknown command 'event'; did you mean events?");
  CHECK(mistake({"--config", "events.toml", "event"}) == "unknown command 'event'; did you mean events?");
  CHECK(mistake({"--config=x", "exprt"}) == "unknown command 'exprt'; did you mean export?");
  CHECK(mistake({"webhook", "regster"}) == "unknown command 'webhook regster'; did you mean webhook register?");
  CHECK(mistake({"register"}) == "unknown command 'register'; did you mean webhook register?");
  CHECK(mistake({"frobnicate"}) == "unknown command 'frobnicate': rhombus-responder --help lists those there are");
  CHECK(mistake({"help"}) == "unknown command 'help'; did you mean --help?");
  CHECK(mistake({"version"}) == "unknown command 'version'; did you mean --version?");
  CHECK(mistake({"-v"}) == "unknown option '-v'; did you mean --version?");
  CHECK(mistake({"webhook"}) == "webhook what? Give one of: register, show");
}

TEST_CASE("the command that was meant is known, for its own help") {
  CHECK(mistake({}) == "none");
  CHECK(mistake({"events", "--json", "unexpected"}) == "none");
  CHECK(mistake({"man", "unexpected"}) == "none");
  CHECK(read_commands(tree, {"export", "A1"}).command == "export");
  CHECK(read_commands(tree, {"webhook", "register", "--url", "show"}).command == "webhook register");
  CHECK(read_commands(tree, {"--config", "export"}).command.empty());
}
