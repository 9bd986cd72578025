#include "archive_marker.hpp"

#include <random>

#include <fmt/format.h>

namespace responder::app {
namespace {

constexpr std::string_view fact_name = "archive_id";

}  // namespace

Result<std::string> adopt_as_archive(const archive::Archive& archive, journal::Journal& journal) {
  if (auto writable = archive.check_writable(); !writable) return writable.error();
  auto marker = archive.marker();
  if (!marker) return marker.error();
  // A journal that was made anew takes over the archive as it is.
  if (!*marker || (*marker)->empty()) {
    std::random_device random;
    *marker = fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
    if (auto written = archive.write_marker(**marker); !written) return written.error();
  }
  if (auto remembered = journal.set_fact(fact_name, **marker); !remembered) return remembered.error();
  return **marker;
}

Result<std::string> archive_id(const archive::Archive& archive, journal::Journal& journal) {
  const auto known = journal.fact(fact_name);
  if (!known) return known.error();
  if (*known) return **known;
  return adopt_as_archive(archive, journal);
}

}  // namespace responder::app
