#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "responder/base/text.hpp"
#include "responder/deliver/program.hpp"
#include "responder/deliver/target.hpp"

namespace responder::deliver {
namespace {

namespace fs = std::filesystem;

// Of lsd: the folder is not there yet, and copying makes it.
constexpr int not_found_status = 3;
// No exit status of its own: it failed, and says that a name is too long for the remote.
constexpr int name_too_long = -1;

// As the local disk's error and those of clouds say it.
bool is_about_long_name(const std::string& output) {
  const auto text = ascii_lower(output);
  return text.find("name too long") != std::string::npos || text.find("name is too long") != std::string::npos;
}

// "2024/01/10 14:30:22 ERROR : x: Failed …" without its time, and without what URLs carry behind a '?'.
std::string without_time_and_queries(std::string_view text) {
  constexpr std::string_view time_form = "0000/00/00 00:00:00 ";
  std::string cleaned;
  for (auto& line : split(text, '\n')) {
    const bool dated = line.size() > time_form.size() && line[4] == '/' && line[7] == '/' && line[13] == ':';
    if (dated) line.erase(0, time_form.size());
    for (auto mark = line.find('?'); mark != std::string::npos; mark = line.find('?', mark + 1))
      line.erase(mark + 1, line.find_first_of(" \"'", mark) - mark - 1);
    cleaned += line + "\n";
  }
  return cleaned;
}

class Rclone {
 public:
  Rclone(const Offsite& offsite, Clock& clock) : offsite_(offsite), clock_(clock) {}

  // Its exit status, where that is one of its own, or name_too_long.
  Result<int> run(std::vector<std::string> words, std::string_view input, std::chrono::milliseconds timeout,
                  std::stop_token stop) const {
    words.insert(words.begin(), offsite_.rclone);
    // It is tried again by us, and nobody answers its questions.
    for (const auto* word : {"--retries=1", "--stats=0", "--log-level=ERROR", "--ask-password=false"})
      words.emplace_back(word);
    if (!offsite_.rclone_config.empty()) words.push_back("--config=" + offsite_.rclone_config);
    auto end = run_program({std::move(words), timeout}, input, clock_, std::move(stop));
    if (!end) return end.error();
    end->output = without_time_and_queries(end->output);
    for (const auto& line : split(end->output, '\n')) spdlog::debug("rclone: {}", printable(line));
    if (!end->timed_out && end->status == not_found_status) return end->status;
    if (!end->timed_out && end->status != 0 && is_about_long_name(end->output)) return name_too_long;
    if (const auto failure = describe_failure(*end, timeout); !failure.empty())
      return Error{ErrorKind::transient, "rclone: " + failure};
    return 0;
  }

 private:
  const Offsite& offsite_;
  Clock& clock_;
};

// rclone would make the folder, on the disk below one that is not mounted.
Result<void> check_folder(const std::string& remote) {
  std::error_code failed;
  if (!remote.starts_with('/') || fs::is_directory(remote, failed)) return {};
  return Error{ErrorKind::no_space,
               fmt::format("offsite.remote: {} is not there, or no folder: mount or make it", printable(remote))};
}

class OffsiteTarget final : public Target {
 public:
  OffsiteTarget(Offsite offsite, const archive::Archive& archive, Clock& clock)
      : offsite_(std::move(offsite)), archive_(archive), rclone_(offsite_, clock) {}

  const std::string& name() const override { return name_; }

  Result<void> deliver(const Parcel& parcel, std::stop_token stop) override {
    const auto& published = parcel.delivery.capture.published;
    if (!published) return Error{ErrorKind::permanent, "its clip was removed from the archive before it was copied"};
    // The copy that is there may be the last good one.
    if (!published->is_sound()) return Error{ErrorKind::permanent, "its clip is damaged"};
    const bool is_less =
        parcel.delivery.state == journal::State::done && parcel.delivery.capture.state == journal::State::partial;
    if (is_less) return Error{ErrorKind::permanent, "a lesser clip has taken its place in the archive"};
    if (auto there = check_clip(published->clip); !there) return there;
    if (auto there = check_folder(offsite_.remote); !there) return there;
    auto files = files_of(published->clip);
    if (auto copied = copy(files, stop); !copied) return copied;
    // A picture is drawn when its clip is in the archive already.
    const auto copied_before = std::exchange(files, files_of(published->clip));
    std::erase_if(files, [&](const std::string& file) {
      return std::find(copied_before.begin(), copied_before.end(), file) != copied_before.end();
    });
    if (auto copied = copy(files, stop); !copied) return copied;
    // It passes over what it does not find.
    return check_clip(published->clip);
  }

 private:
  // Each version of a clip is copied once, so what is there already is no measure: some remotes know no more of a
  // file than its size.
  Result<void> copy(const std::vector<std::string>& files, const std::stop_token& stop) const {
    if (files.empty()) return {};
    const auto copied = rclone_.run({"copy", archive_.directory().string(), offsite_.remote, "--files-from-raw=-",
                                     "--no-traverse", "--ignore-times", "--transfers=1"},
                                    join(files, "\n") + "\n", offsite_.timeout, stop);
    if (!copied) return copied.error();
    if (*copied == name_too_long) return copy_under_shorter_names(files, stop);
    return judge(*copied);
  }

  // Remotes that encrypt names take 143 bytes of them; others less still.
  Result<void> copy_under_shorter_names(const std::vector<std::string>& files, const std::stop_token& stop) const {
    constexpr std::array<std::size_t, 2> lengths{143, 100};
    for (const auto& file : files) {
      int status = name_too_long;
      for (const auto most : lengths) {
        if (status != name_too_long) break;
        const auto copied = copy_as(file, shorter(file, most), stop);
        if (!copied) return copied.error();
        status = *copied;
      }
      if (status == name_too_long)
        return Error{ErrorKind::permanent,
                     fmt::format("rclone: {} finds names of {} bytes too long", offsite_.remote, lengths.back())};
      if (auto done = judge(status); !done) return done;
    }
    return {};
  }

  // The same for a clip and what stands beside it, up to the ending.
  static std::string shorter(const fs::path& file, std::size_t most) {
    constexpr std::size_t longest_ending = 5;  // .json
    return archive::shorter_name(file.stem().string(), most - longest_ending) + file.extension().string();
  }

  Result<int> copy_as(const std::string& file, const std::string& name, const std::stop_token& stop) const {
    const bool is_root = offsite_.remote.ends_with(':') || offsite_.remote.ends_with('/');
    const auto to = offsite_.remote + (is_root ? "" : "/") + (fs::path(file).parent_path() / name).string();
    return rclone_.run({"copyto", (archive_.directory() / file).string(), to, "--ignore-times"}, {}, offsite_.timeout,
                       stop);
  }

  Result<void> judge(int status) const {
    if (status == 0) return {};
    return Error{ErrorKind::transient, "rclone: it does not find " + offsite_.remote};
  }

  Result<void> check_clip(const std::string& clip) const {
    const auto marker = archive_.marker();
    if (!marker || !*marker || **marker != offsite_.marker)
      return Error{ErrorKind::no_space, fmt::format("the archive {} is away", archive_.directory().string())};
    std::error_code failed;
    const bool there = fs::exists(archive_.directory() / clip, failed);
    if (failed) return errno_error(failed.value(), "cannot look at " + clip);
    if (!there) return Error{ErrorKind::permanent, fmt::format("{} is not in the archive any more", clip)};
    return {};
  }

  // The clip with what stands beside it.
  std::vector<std::string> files_of(const std::string& clip) const {
    std::vector<std::string> files{clip};
    for (const auto* ending : {".jpg", ".json"}) {
      const auto beside = fs::path(clip).replace_extension(ending);
      std::error_code ignored;
      if (fs::exists(archive_.directory() / beside, ignored)) files.push_back(beside.string());
    }
    return files;
  }

  const std::string name_{journal::offsite_target};
  const Offsite offsite_;
  const archive::Archive& archive_;
  const Rclone rclone_;
};

}  // namespace

std::unique_ptr<Target> make_target(Offsite offsite, const archive::Archive& archive, Clock& clock) {
  return std::make_unique<OffsiteTarget>(std::move(offsite), archive, clock);
}

Result<void> try_remote(const Offsite& offsite, Clock& clock) {
  constexpr std::chrono::seconds patience{20};
  if (auto there = check_folder(offsite.remote); !there) return there;
  const auto listed = Rclone(offsite, clock)
                          .run({"lsd", offsite.remote, "--low-level-retries=1", "--contimeout=10s", "--timeout=10s"},
                               {}, patience, {});
  return listed ? Result<void>{} : listed.error();
}

}  // namespace responder::deliver
