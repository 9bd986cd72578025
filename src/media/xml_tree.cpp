#include "xml_tree.hpp"

#include <expat.h>
#include <fmt/format.h>

#include "responder/base/text.hpp"

namespace responder::media {
namespace {

constexpr std::size_t max_depth = 32;
constexpr std::size_t max_elements = 100'000;
constexpr std::size_t max_text_bytes = 64 * 1024;

struct ParserFree {
  void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};

// The namespace of a name as expat gives it, empty where it has none.
std::string_view namespace_of(std::string_view qualified) {
  const auto bar = qualified.rfind('|');
  return bar == std::string_view::npos ? std::string_view{} : qualified.substr(0, bar);
}

// A byte order mark and blank lines in front of the declaration, which XML does not allow and devices send.
std::string_view without_beginning(std::string_view document) {
  constexpr std::string_view mark = "\xEF\xBB\xBF", blank = " \t\r\n";
  while (!document.empty()) {
    if (document.starts_with(mark)) {
      document.remove_prefix(mark.size());
    } else if (blank.find(document.front()) != std::string_view::npos) {
      document.remove_prefix(1);
    } else {
      break;
    }
  }
  return document;
}

struct TreeBuilder {
  XML_Parser parser;
  std::unique_ptr<XmlElement> root;
  std::string root_namespace;
  std::vector<XmlElement*> open;
  std::size_t elements = 0;
  std::string refusal;

  // The name without its namespace, if that is DASH's, the document's (devices spell it in several ways) or none.
  // Another vendor's element keeps it and so is never taken for ours.
  std::string own_name(std::string_view qualified) const {
    constexpr std::string_view dash = "urn:mpeg:dash:schema:mpd:";
    const auto space = namespace_of(qualified);
    const bool is_own = space == root_namespace || ascii_lower(space).starts_with(dash);
    return std::string(is_own && !space.empty() ? qualified.substr(space.size() + 1) : qualified);
  }

  void refuse(std::string_view why) {
    refusal = why;
    XML_StopParser(parser, XML_FALSE);
  }

  static void on_start(void* data, const char* name, const char** attributes) {
    auto& self = *static_cast<TreeBuilder*>(data);
    if (self.open.size() >= max_depth) return self.refuse("it is nested too deeply");
    if (++self.elements > max_elements) return self.refuse("it has too many elements");
    auto element = std::make_unique<XmlElement>();
    if (self.open.empty()) self.root_namespace = namespace_of(name);
    element->name = self.own_name(name);
    for (; *attributes != nullptr; attributes += 2) element->attributes.emplace_back(attributes[0], attributes[1]);
    XmlElement* added = element.get();
    if (self.open.empty()) {
      self.root = std::move(element);
    } else {
      self.open.back()->children.push_back(std::move(element));
    }
    self.open.push_back(added);
  }

  static void on_end(void* data, const char*) {
    auto& self = *static_cast<TreeBuilder*>(data);
    if (!self.open.empty()) self.open.pop_back();
  }

  static void on_text(void* data, const char* text, int length) {
    auto& self = *static_cast<TreeBuilder*>(data);
    if (self.open.empty()) return;
    auto& content = self.open.back()->text;
    if (content.size() + static_cast<std::size_t>(length) > max_text_bytes)
      return self.refuse("an element's text is too long");
    content.append(text, static_cast<std::size_t>(length));
  }

  static void on_doctype(void* data, const char*, const char*, const char*, int) {
    static_cast<TreeBuilder*>(data)->refuse("it has a document type declaration");
  }
};

}  // namespace

std::optional<std::string_view> XmlElement::attribute(std::string_view key) const {
  for (const auto& [name_, value] : attributes) {
    if (name_ == key) return value;
  }
  return std::nullopt;
}

const XmlElement* XmlElement::child(std::string_view key) const {
  for (const auto& one : children) {
    if (one->name == key) return one.get();
  }
  return nullptr;
}

Result<std::unique_ptr<XmlElement>> parse_xml(std::string_view document) {
  const std::unique_ptr<std::remove_pointer_t<XML_Parser>, ParserFree> parser(XML_ParserCreateNS(nullptr, '|'));
  if (!parser) return Error{ErrorKind::transient, "no memory to read XML"};
  TreeBuilder builder{parser.get(), nullptr, {}, {}, 0, {}};
  document = without_beginning(document);
  XML_SetUserData(parser.get(), &builder);
  XML_SetElementHandler(parser.get(), TreeBuilder::on_start, TreeBuilder::on_end);
  XML_SetCharacterDataHandler(parser.get(), TreeBuilder::on_text);
  XML_SetStartDoctypeDeclHandler(parser.get(), TreeBuilder::on_doctype);
  const auto status = XML_Parse(parser.get(), document.data(), static_cast<int>(document.size()), XML_TRUE);
  if (!builder.refusal.empty()) return Error{ErrorKind::permanent, builder.refusal};
  if (status != XML_STATUS_OK) {
    return Error{ErrorKind::transient,
                 fmt::format("it is not XML: {} at line {}", XML_ErrorString(XML_GetErrorCode(parser.get())),
                             XML_GetCurrentLineNumber(parser.get()))};
  }
  return std::move(builder.root);
}

}  // namespace responder::media
