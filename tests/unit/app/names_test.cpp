#include "names.hpp"

#include <catch2/catch.hpp>

using namespace responder;
using namespace responder::app;

namespace {

const NameQuestion question{"--camera", "Rhombus lists", "camera"};

std::string found(const std::vector<Named>& all, const std::string& wanted) {
  const auto one = find_named(all, wanted, question);
  return one ? one->id : one.error().message;
}

}  // namespace

TEST_CASE("a name is a UUID, a name, or the part of one name") {
  const std::vector<Named> all{{"uuid1", "Lobby"}, {"uuid2", "Lobby North"}, {"uuid3", "Dock"}, {"uuid4", ""}};
  CHECK(found(all, "uuid4") == "uuid4");
  CHECK(found(all, "uuid3.v1") == "uuid3.v1");
  CHECK(find_named(all, "uuid3.v0", question));
  CHECK(found(all, "Lobby") == "uuid1");
  CHECK(found(all, "lobby") == "uuid1");
  CHECK(found(all, "north") == "uuid2");
  CHECK(found(all, "lob") ==
        "--camera: 'lob' is the name of 2 cameras, give the UUID of one: Lobby (uuid1), Lobby North (uuid2)");
}

TEST_CASE("what has no such name is said, with what is close or what there is") {
  const std::vector<Named> all{{"uuid1", "Lobby"}, {"uuid3", "Dock"}};
  CHECK(found(all, "Lobbi") == "--camera: Rhombus lists no camera 'Lobbi'; did you mean 'Lobby'?");
  CHECK(found(all, "LOBBI") == "--camera: Rhombus lists no camera 'LOBBI'; did you mean 'Lobby'?");
  CHECK(found(all, "nowhere to be seen") ==
        "--camera: Rhombus lists no camera 'nowhere to be seen'; there are: Lobby (uuid1), Dock (uuid3)");
  CHECK(found(all, "") != "uuid1");
  CHECK(found({}, "Lobby") == "--camera: Rhombus lists no camera 'Lobby'");
  CHECK(found(all, "a\nb").find('\n') == std::string::npos);
  std::vector<Named> many;
  for (int i = 0; i < 40; ++i) many.push_back({"uuid" + std::to_string(i), "Camera number " + std::to_string(i)});
  CHECK(found(many, "elsewhere").ends_with("and 28 more"));
}
