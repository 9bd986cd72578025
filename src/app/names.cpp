#include "names.hpp"

#include <algorithm>
#include <functional>
#include <iterator>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

constexpr std::size_t longest_name = 60;  // in a message

std::string without_facet(const std::string& id) { return id.substr(0, id.find('.')); }

}  // namespace

std::string describe(const Named& one) {
  return one.name.empty() ? one.id : fmt::format("{} ({})", printable(one.name, longest_name), one.id);
}

std::string describe(const std::vector<Named>& some) {
  constexpr std::size_t most = 12;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < std::min(most, some.size()); ++i) texts.push_back(describe(some[i]));
  if (some.size() > most) texts.push_back(fmt::format("and {} more", some.size() - most));
  return join(texts, ", ");
}

std::string close_match(const std::vector<Named>& all, const std::string& wanted) {
  std::vector<std::string> texts;  // in lower case; the names first
  for (const auto& one : all) texts.push_back(ascii_lower(one.name));
  for (const auto& one : all) texts.push_back(ascii_lower(one.id));
  const auto close = nearest(ascii_lower(wanted), texts);
  if (!close || close->empty()) return {};
  const auto at =
      static_cast<std::size_t>(std::distance(texts.begin(), std::find(texts.begin(), texts.end(), *close)));
  const auto& meant = at < all.size() ? all[at].name : all[at - all.size()].id;
  return fmt::format("; did you mean '{}'?", printable(meant, longest_name));
}

std::string suggestion(const std::vector<Named>& all, const std::string& wanted) {
  if (all.empty()) return {};
  const auto close = close_match(all, wanted);
  return close.empty() ? "; there are: " + describe(all) : close;
}

Result<Named> find_named(const std::vector<Named>& all, const std::string& wanted, const NameQuestion& question) {
  const auto lower = ascii_lower(wanted);
  const std::vector<std::function<bool(const Named&)>> fits{
      [&](const Named& one) { return one.id == wanted; },
      [&](const Named& one) { return one.id == without_facet(wanted); },
      [&](const Named& one) { return one.name == wanted; },
      [&](const Named& one) { return ascii_lower(one.name) == lower; },
      [&](const Named& one) { return ascii_lower(one.name).find(lower) != std::string::npos; }};
  for (const auto& fit : fits) {
    std::vector<Named> found;
    if (!wanted.empty()) std::copy_if(all.begin(), all.end(), std::back_inserter(found), fit);
    if (found.size() > 1)
      return Error{ErrorKind::permanent,
                   fmt::format("{}: '{}' is the name of {} {}s, give the UUID of one: {}", question.where,
                               printable(wanted, longest_name), found.size(), question.kind, describe(found))};
    if (found.empty()) continue;
    if (without_facet(wanted) == found.front().id) found.front().id = wanted;
    return found.front();
  }
  return Error{ErrorKind::permanent,
               fmt::format("{}: {} no {} '{}'{}", question.where, question.lister, question.kind,
                           printable(wanted, longest_name), suggestion(all, wanted))};
}

}  // namespace responder::app
