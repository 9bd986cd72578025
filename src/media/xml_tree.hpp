// An XML document as a small tree, read with expat under limits. Names lose DASH's namespace and
// the document's own. A document type
// declaration, and with it every entity, is refused.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "responder/base/error.hpp"

namespace responder::media {

struct XmlElement {
  std::string name;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<std::unique_ptr<XmlElement>> children;
  std::string text;

  std::optional<std::string_view> attribute(std::string_view key) const;
  const XmlElement* child(std::string_view key) const;  // the first of that name, or null
};

Result<std::unique_ptr<XmlElement>> parse_xml(std::string_view document);

}  // namespace responder::media
