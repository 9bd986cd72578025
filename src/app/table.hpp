// A table for people: columns as wide as what is in them, and on a terminal no wider than that.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace responder::app {

// Columns that the text takes on a terminal: East Asian wide characters take two, combining ones none.
std::size_t display_width(std::string_view text);
// At most so wide, with … in the place of what is left out; no character is broken.
std::string fit(std::string_view text, std::size_t width);

struct TableColumn {
  std::string heading;
  bool may_shrink = false;
};

class Table {
 public:
  explicit Table(std::vector<TableColumn> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns. They are made printable.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // The lines, headings first. With a `width` they are no wider, as far as columns may shrink; the last column goes
  // below the others, indented, where there is no room for it beside them.
  std::vector<std::string> lines(std::optional<std::size_t> width) const;

 private:
  std::vector<std::size_t> natural_widths() const;

  std::vector<TableColumn> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Of standard output, if it is a terminal.
std::optional<std::size_t> terminal_width();

}  // namespace responder::app
