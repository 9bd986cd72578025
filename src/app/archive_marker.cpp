#include "archive_marker.hpp"

#include <random>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "restore.hpp"

namespace responder::app {
namespace {

constexpr std::string_view fact_name = "archive_id";

std::string random_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

// `new_id`: for a folder that has no marker. A journal that was made anew takes over an archive as it is.
Result<std::string> adopt(const archive::Archive& archive, journal::Journal& journal, const std::string& new_id) {
  if (auto writable = archive.check_writable(); !writable) return writable.error();
  auto marker = archive.marker();
  if (!marker) return marker.error();
  if (!*marker || (*marker)->empty()) {
    *marker = new_id;
    if (auto written = archive.write_marker(new_id); !written) return written.error();
  }
  if (auto remembered = journal.set_fact(fact_name, **marker); !remembered) return remembered.error();
  return **marker;
}

}  // namespace

Result<std::string> adopt_as_archive(const archive::Archive& archive, journal::Journal& journal) {
  return adopt(archive, journal, random_id());
}

Result<std::string> archive_id(const archive::Archive& archive, journal::Journal& journal) {
  const auto known = journal.fact(fact_name);
  if (!known) return known.error();
  if (*known) return **known;
  // A journal of before there were markers: its clips tell whether this is their folder.
  std::string newest;
  const auto listed =
      journal.each({.state = journal::State::done, .after = {}, .limit = 1}, [&](const journal::Capture& capture) {
        if (capture.published) newest = capture.published->clip;
      });
  if (!listed) return listed.error();
  std::error_code failed;
  if (!newest.empty() && !std::filesystem::exists(archive.directory() / newest, failed)) {
    return Error{ErrorKind::permanent,
                 fmt::format("{} does not have {}: mount the archive, or accept the folder as the new one with "
                             "rhombus-responder adopt-archive",
                             archive.directory().string(), newest)};
  }
  const auto marker = archive.marker();
  if (!marker) return marker.error();
  if (*marker) {
    const auto restored = restore_from_archive(archive, journal);
    if (!restored) return restored.error();
    if (restored->written > 0)
      spdlog::warn("the journal is new, and {} an archive: {} clips are written down from their sidecars",
                   archive.directory().string(), restored->written);
    for (const auto& why : restored->left_out) spdlog::warn("not written down: {}", why);
  }
  // A serve and catch-ups that begin at once with a new journal agree on one id.
  const auto first_id = journal.settle_fact("first_archive_id", random_id());
  if (!first_id) return first_id.error();
  return adopt(archive, journal, *first_id);
}

Result<void> check_is_archive(const archive::Archive& archive, journal::Journal& journal) {
  const auto known = journal.fact(fact_name);
  if (!known) return known.error();
  if (!*known) return {};
  const auto marker = archive.marker();
  if (!marker) return marker.error();
  if (*marker == *known) return {};
  return Error{ErrorKind::no_space,
               fmt::format("{} is not the archive this journal knows: its marker file is {}: mount it, or accept the "
                           "folder with rhombus-responder adopt-archive",
                           archive.directory().string(), *marker ? "another archive's" : "missing")};
}

}  // namespace responder::app
