#include "retention.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "rules.hpp"

namespace responder::app {
namespace {

using archive::Removal;

constexpr std::size_t batch_size = 512;       // clips of one look
constexpr std::size_t commit_size = 64;       // of one transaction: nobody waits long for its turn
constexpr std::size_t everybody_s_limit = 0;  // the place of the archive's own; a rule's is its number

// The archive's limit, then those of the rules.
template <class Limit>
std::vector<Limit> limits(const Config& config, std::int64_t of_archive,
                          std::optional<std::int64_t> Config::Rule::*of_rule) {
  std::vector<Limit> all{Limit(of_archive)};
  for (const auto& rule : config.rules) all.push_back(Limit((rule.*of_rule).value_or(0)));
  return all;
}

archive::RetentionLimits all_limits(const Config& config) {
  return {limits<std::chrono::days>(config, config.archive.retention_days, &Config::Rule::retention_days),
          limits<std::uint64_t>(config, config.archive.max_bytes, &Config::Rule::max_bytes)};
}

bool any_by_age(const archive::RetentionLimits& all) {
  return std::any_of(all.ages.begin(), all.ages.end(), [](auto age) { return age.count() > 0; });
}

std::string key_of(std::string_view name, std::size_t limit) {
  return limit == everybody_s_limit ? fmt::format("archive.{}", name)
                                    : fmt::format("{} of [[rule]] number {}", name, limit);
}

std::string describe_days(std::chrono::days age) {
  return age.count() == 1 ? "a day" : fmt::format("{} days", age.count());
}

}  // namespace

bool has_retention(const Config& config) {
  const auto all = all_limits(config);
  return any_by_age(all) || std::any_of(all.bytes.begin(), all.bytes.end(), [](auto most) { return most > 0; });
}

RetentionPass::RetentionPass(const Config& config, WallTime now, std::uint64_t lacking)
    : config_(config), retention_(all_limits(config), now, lacking) {}

archive::LimitedClip RetentionPass::limited(const journal::StoredClip& clip) const {
  const RuleSubject subject{clip.camera, clip.location, clip.activities};
  const auto place = [&](auto setting) {
    const auto* rule = deciding_rule(config_, subject, setting);
    return rule == nullptr ? everybody_s_limit : static_cast<std::size_t>(rule - config_.rules.data()) + 1;
  };
  const auto damaged = damaged_.find(clip.path);
  return {.end = clip.window_end,
          .bytes = clip.bytes + (damaged == damaged_.end() ? 0 : damaged->second),
          .may_go = !clip.held && clip.is_final,
          .age_limit = place(&Config::Rule::retention_days),
          .bytes_limit = place(&Config::Rule::max_bytes)};
}

std::string RetentionPass::describe(Removal removal, const archive::LimitedClip& clip) const {
  const auto all = all_limits(config_);
  switch (removal) {
    case Removal::none: break;
    case Removal::by_age:
      return fmt::format("older than {} ({})", describe_days(all.ages[clip.age_limit]),
                         key_of("retention_days", clip.age_limit));
    case Removal::by_bytes:
      return fmt::format("more than {} bytes ({})", all.bytes[clip.bytes_limit],
                         key_of("max_bytes", clip.bytes_limit));
    case Removal::for_room: return "the archive's disk is short of room (archive.min_free_bytes)";
  }
  return "";
}

Result<std::vector<Condemned>> RetentionPass::next(journal::Journal& journal, std::size_t most) {
  std::vector<Condemned> found;
  const auto judge = [&](const journal::StoredClip& clip) {
    if (found.size() >= most || retention_.is_over(clip.window_end)) return false;
    position_ = {clip.window_end, clip.id};
    const auto facts = limited(clip);
    const auto removal = retention_.judge(facts);
    if (removal != Removal::none) {
      found.push_back(
          {clip.id, clip.alert, clip.camera, clip.window_end, clip.path, facts.bytes, describe(removal, facts)});
    }
    return true;
  };
  // Of one moment: what somebody else removes between weighing and judging would make too much go.
  const auto looked = journal.snapshot([&]() -> Result<void> {
    const bool is_first = !std::exchange(weighed_, true);
    if (is_first) {
      auto damaged = journal.kept_damaged();
      if (!damaged) return damaged.error();
      damaged_ = std::move(*damaged);
    }
    if (is_first && retention_.must_weigh()) {
      auto weighed =
          journal.each_stored_clip([&](const journal::StoredClip& clip) { retention_.weigh(limited(clip)); });
      if (!weighed) return weighed;
    }
    return journal.each_stored_clip(position_, judge);
  });
  if (!looked) return looked.error();
  return found;
}

std::vector<std::string> RetentionPass::remarks() const {
  std::vector<std::string> lines;
  for (const auto limit : retention_.filled_by_kept()) {
    lines.push_back(fmt::format(
        "the clips that are held, not final or still to be copied off site are more than {} allows: no other goes for "
        "it; release some or raise it",
        key_of("max_bytes", limit)));
  }
  return lines;
}

Result<std::vector<Condemned>> condemn(journal::Journal& journal, std::span<const Condemned> clips, WallTime now) {
  std::vector<Condemned> gone;
  for (const auto& clip : clips) {
    const auto removed = journal.remove_clip(clip.id, clip.clip, "its clip was removed: " + clip.why, now);
    if (!removed) return removed.error();
    if (*removed) gone.push_back(clip);
  }
  return gone;
}

Keeper::Keeper(const Config& config, journal::Journal reading, journal::Writer& writer, const rhombus::ApiClient& api,
               Clock& clock, std::function<void(std::size_t)> removed)
    : config_(config),
      by_age_(any_by_age(all_limits(config))),
      reading_(std::move(reading)),
      writer_(writer),
      api_(api),
      clock_(clock),
      removed_(std::move(removed)) {}

// By Rhombus's clock: to one of ours that has jumped ahead, everything would be old. As long as Rhombus does not
// answer nothing new comes in either, and there is no hurry.
Result<capture::TakenOut> Keeper::take_out(std::uint64_t lacking) {
  const auto their_time = api_.their_time();
  if (by_age_ && !their_time && lacking == 0) return capture::TakenOut{.all = false};
  RetentionPass pass(config_, their_time.value_or(WallTime{}), lacking);
  const auto chosen = pass.next(reading_, batch_size);
  if (!chosen) return chosen.error();
  auto remarks = pass.remarks();
  for (const auto& line : remarks) {
    if (std::find(remarks_.begin(), remarks_.end(), line) == remarks_.end()) spdlog::warn("{}", line);
  }
  remarks_ = std::move(remarks);

  capture::TakenOut taken{.all = chosen->size() < batch_size};
  const auto now = clock_.wall_now();
  for (std::span left(*chosen); !left.empty(); left = left.subspan(std::min(left.size(), commit_size))) {
    std::vector<Condemned> gone;
    const auto written = writer_.run([&](journal::Journal& journal) -> Result<void> {
      auto done = condemn(journal, left.first(std::min(left.size(), commit_size)), now);
      if (done) gone = std::move(*done);
      return done ? Result<void>{} : done.error();
    });
    if (!written) return written.error();
    for (const auto& clip : gone) {
      spdlog::info("alert {}: {} ({} bytes) is removed: {}", clip.alert.str(), clip.clip, clip.bytes, clip.why);
      taken.bytes += clip.bytes;
    }
    taken.clips += gone.size();
    removed_(gone.size());
  }
  return taken;
}

}  // namespace responder::app
