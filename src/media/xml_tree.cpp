#include "xml_tree.hpp"

#include <expat.h>
#include <fmt/format.h>

namespace responder::media {
namespace {

constexpr std::size_t max_depth = 32;
constexpr std::size_t max_elements = 100'000;
constexpr std::size_t max_text_bytes = 64 * 1024;

struct ParserFree {
  void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};

// The name without its namespace, if that is DASH's or none; another vendor's element keeps it and so is never taken
// for ours.
std::string element_name(const char* qualified) {
  constexpr std::string_view dash = "urn:mpeg:dash:schema:mpd:";
  const std::string_view name(qualified);
  const auto bar = name.rfind('|');
  if (bar == std::string_view::npos) return std::string(name);
  return std::string(name.starts_with(dash) ? name.substr(bar + 1) : name);
}

struct TreeBuilder {
  XML_Parser parser;
  std::unique_ptr<XmlElement> root;
  std::vector<XmlElement*> open;
  std::size_t elements = 0;
  std::string refusal;

  void refuse(std::string_view why) {
    refusal = why;
    XML_StopParser(parser, XML_FALSE);
  }

  static void on_start(void* data, const char* name, const char** attributes) {
    auto& self = *static_cast<TreeBuilder*>(data);
    if (self.open.size() >= max_depth) return self.refuse("it is nested too deeply");
    if (++self.elements > max_elements) return self.refuse("it has too many elements");
    auto element = std::make_unique<XmlElement>();
    element->name = element_name(name);
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
  TreeBuilder builder{parser.get(), nullptr, {}, 0, {}};
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
