#include "say_once.hpp"

#include <set>

#include <spdlog/spdlog.h>

#include "responder/base/synchronized.hpp"

namespace responder::rhombus {

void say_once(const std::string& line) {
  constexpr std::size_t most = 1000;
  static Synchronized<std::set<std::string>> said;
  {
    auto known = said.lock();
    if (known->size() >= most) known->clear();
    if (!known->insert(line).second) return;
  }
  spdlog::warn("{}", line);
}

}  // namespace responder::rhombus
