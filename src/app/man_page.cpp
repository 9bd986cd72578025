#include "man_page.hpp"

#include <cctype>

#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::app {
namespace {

// As roff shows it just so: a dash that can be copied, no line taken for a request.
std::string roff(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '-') {
      escaped += "\\-";
    } else if (c == '\\') {
      escaped += "\\e";
    } else if (c == '\n') {
      escaped += "\n.br\n";
    } else {
      escaped += c;
    }
  }
  return escaped.starts_with('.') || escaped.starts_with('\'') ? "\\&" + escaped : escaped;
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string slanted(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

// --log-level trace|debug, on one line: words are said as they are, the rest stands for something.
std::string value_of(const OptionEntry& option) {
  if (option.value.empty() || option.is_argument) return "";
  std::vector<std::string> words = option.choices();
  for (auto& word : words) word = bold(word);
  return "\\ " + (words.empty() ? slanted(option.value) : join(words, "|"));
}

std::string in_synopsis(const OptionEntry& option) {
  const auto name = option.is_argument ? slanted(option.names.front()) : bold(option.names.back());
  const auto text = name + value_of(option) + (option.repeats ? "\\ ..." : "");
  return option.required ? text : "[" + text + "]";
}

// A description of the command line, as one.
std::string sentence(std::string_view text) {
  auto whole = roff(text);
  if (whole.empty()) return whole;
  if (!whole.starts_with("http"))
    whole.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(whole.front())));
  return whole.ends_with('.') ? whole : whole + ".";
}

bool is_help(const OptionEntry& option) { return option.names.back() == "--help"; }

std::string option_paragraph(const OptionEntry& option) {
  std::vector<std::string> names;
  for (const auto& name : option.names) names.push_back(option.is_argument ? slanted(name) : bold(name));
  const auto preset = option.preset.empty() ? "" : fmt::format("\nThe default is {}.", roff(option.preset));
  return fmt::format(".TP\n{}{}\n{}{}\n", join(names, ", "), value_of(option), sentence(option.description), preset);
}

void add_command(std::string& page, const CommandEntry& command, const std::string& before) {
  const auto name = before.empty() ? command.name : before + " " + command.name;
  std::string synopsis = bold(name);
  std::string options;
  for (const auto& option : command.options) {
    if (is_help(option)) continue;
    synopsis += " " + in_synopsis(option);
    options += option_paragraph(option);
  }
  page += fmt::format(".SS {}\n{}\n.PP\n{}\n{}", roff(name), synopsis, sentence(command.description), options);
  for (const auto& one : command.commands) add_command(page, one, name);
}

constexpr const char* description = R"(.SH DESCRIPTION
When a Rhombus security camera raises a policy alert,
.B rhombus\-responder serve
takes Rhombus's signed webhook, writes the alert to disk, pulls the footage around it from the camera while it is being
recorded, and publishes one MP4 for each alert and camera.
What webhooks did not tell, it finds by asking; what it has taken it does not take again.
The other commands show what it knows, repair it, and set it up.
)";

constexpr const char* times = R"(.SH TIMES
A time is given as seconds since the epoch, as RFC 3339
.RB ( 2026\-01\-31T14:00:00Z ),
or by how long ago it was
.RB ( \-24h ,
.BR \-30m ).
)";

constexpr const char* rest = R"(.SH EXIT STATUS
.TP
.B 0
All is done.
.TP
.B 1
Something is not captured, not accounted for or not sound.
.TP
.B 2
Wrong usage or configuration.
.TP
.B 3
Rhombus's API cannot be reached or refuses us.
.PP
Errors are one line on standard error, which says what is wrong and what to do about it.
.SH USER
Run by root, a command works as the user that owns the folder of the journal, so that the service can use what it leaves there.
Only what
.B export
and
.B copy\-footage
write to another folder is root's.
.SH ENVIRONMENT
.TP
.B RHOMBUS_RESPONDER_CONFIG
The configuration, where
.B \-\-config
does not name one.
.TP
.BI RHOMBUS_RESPONDER_ TABLE _ KEY
A key of the configuration, which goes before the file's; lists with commas.
.TP
.B RHOMBUS_API_KEY
The API key, where the configuration has none.
.TP
.B CREDENTIALS_DIRECTORY
Where systemd puts
.BR api_key ,
.B webhook_secrets
and
.BR admin_token .
.SH FILES
.TP
.I /etc/rhombus\-responder/config.toml
The configuration, with every key, its default and what it does.
.TP
.I /var/lib/rhombus\-responder
Journal, work in progress and, unless
.B archive.directory
is elsewhere, the clips.
Where this folder does not exist, the journal is in
.I ~/.local/state/rhombus\-responder
and clips go to
.IR ./clips .
.TP
.I /etc/credstore/rhombus\-responder.api_key
The API key of the services.
.SH SEE ALSO
.BR systemd.exec (5),
.I /usr/share/doc/rhombus\-responder/README.md
and
.I deploy/README.md
beside it.
)";

}  // namespace

std::string man_page(const CommandEntry& program) {
  std::string page =
      ".\\\" Made by: rhombus-responder man\n"
      ".TH RHOMBUS\\-RESPONDER 1 \"\" \"rhombus\\-responder\" \"User Commands\"\n"
      ".SH NAME\nrhombus\\-responder \\- take the footage of Rhombus alerts onto own storage\n"
      ".SH SYNOPSIS\n.B rhombus\\-responder\n";
  for (const auto& option : program.options) page += in_synopsis(option) + "\n";
  page += ".I COMMAND\n[\\fIOPTION\\fR ...]\n";
  page += description;
  page += ".SH OPTIONS\nOf the program; they may be given before a command or after it.\n";
  for (const auto& option : program.options) page += option_paragraph(option);
  page += ".SH COMMANDS\n";
  for (const auto& command : program.commands) add_command(page, command, "");
  return page + times + rest;
}

}  // namespace responder::app
