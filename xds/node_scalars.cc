#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cmath>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "xds/node_to_proto.h"

namespace remora::xds {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Shown(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      return "null";
    case ConfigNode::Kind::kBool:
      return node.boolean ? "true" : "false";
    case ConfigNode::Kind::kNumber:
      return node.text;
    case ConfigNode::Kind::kString:
      return absl::StrCat("\"", node.text, "\"");
    case ConfigNode::Kind::kList:
      return "a list";
    case ConfigNode::Kind::kMap:
      return "a mapping";
  }
  return "";
}

std::string Wrong(const ConfigNode& node, absl::string_view due) {
  return absl::StrCat("expected ", due, ", got ", Shown(node));
}

bool IsText(const ConfigNode& node) {
  return node.kind == ConfigNode::Kind::kNumber || node.kind == ConfigNode::Kind::kString;
}

// Whole numbers, also written as 1.0 or 1e3.
template <typename T>
std::optional<T> Whole(const ConfigNode& node) {
  if (!IsText(node)) return std::nullopt;
  T value;
  if (absl::SimpleAtoi(node.text, &value)) return value;
  double real = 0;
  if (!absl::SimpleAtod(node.text, &real) || std::floor(real) != real ||
      real < static_cast<double>(std::numeric_limits<T>::min()) ||
      real >= static_cast<double>(std::numeric_limits<T>::max())) {
    return std::nullopt;
  }
  return static_cast<T>(real);
}

std::optional<double> Real(const ConfigNode& node) {
  double value = 0;
  if (!IsText(node) || !absl::SimpleAtod(node.text, &value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<bool> Truth(const ConfigNode& node) {
  if (node.kind == ConfigNode::Kind::kBool) return node.boolean;
  if (node.kind != ConfigNode::Kind::kString) return std::nullopt;
  if (node.text == "true") return true;
  if (node.text == "false") return false;
  return std::nullopt;
}

const EnumValueDescriptor* FindEnum(const ConfigNode& node, const EnumDescriptor* type) {
  if (!IsText(node)) return nullptr;
  if (const auto* found = type->FindValueByName(node.text)) return found;
  if (const auto number = Whole<int32_t>(node)) {
    return type->FindValueByNumber(*number);
  }
  const std::string wanted = absl::StrReplaceAll(node.text, {{"-", "_"}});
  for (int i = 0; i < type->value_count(); ++i) {
    if (absl::EqualsIgnoreCase(type->value(i)->name(), wanted)) {
      return type->value(i);
    }
  }
  return nullptr;
}

// Base64 in either alphabet, padded or not.
std::optional<std::string> Bytes(const ConfigNode& node) {
  if (node.kind != ConfigNode::Kind::kString) return std::nullopt;
  std::string bytes;
  if (absl::Base64Unescape(node.text, &bytes) || absl::WebSafeBase64Unescape(node.text, &bytes)) {
    return bytes;
  }
  return std::nullopt;
}

// Calls the setter or the adder of a field, as it is repeated or not.
template <typename T, typename Set, typename Add>
std::string Put(const std::optional<T>& value, const ConfigNode& node, absl::string_view due,
                const FieldDescriptor* field, Set set, Add add) {
  if (!value.has_value()) return Wrong(node, due);
  if (field->is_repeated()) {
    add(*value);
  } else {
    set(*value);
  }
  return "";
}

std::string SetEnum(const ConfigNode& node, const FieldDescriptor* field, Message* message) {
  const auto* reflection = message->GetReflection();
  const EnumValueDescriptor* value = FindEnum(node, field->enum_type());
  if (value != nullptr) {
    if (field->is_repeated()) {
      reflection->AddEnum(message, field, value);
    } else {
      reflection->SetEnum(message, field, value);
    }
    return "";
  }
  std::string names;
  for (int i = 0; i < field->enum_type()->value_count(); ++i) {
    absl::StrAppend(&names, i == 0 ? "" : ", ", field->enum_type()->value(i)->name());
  }
  return Wrong(node, absl::StrCat("one of ", names));
}

std::string SetText(const ConfigNode& node, const FieldDescriptor* field, Message* message) {
  const auto* reflection = message->GetReflection();
  std::optional<std::string> value;
  const bool bytes = field->type() == FieldDescriptor::TYPE_BYTES;
  if (bytes) {
    value = Bytes(node);
  } else if (node.kind == ConfigNode::Kind::kString) {
    value = node.text;
  }
  return Put(
      value, node, bytes ? "bytes in base64" : "a string", field,
      [&](const std::string& v) { reflection->SetString(message, field, v); },
      [&](const std::string& v) { reflection->AddString(message, field, v); });
}

}  // namespace

std::string SetScalar(const ConfigNode& node, const FieldDescriptor* field, Message* message) {
  const auto* r = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return Put(
          Truth(node), node, "true or false", field, [&](bool v) { r->SetBool(message, field, v); },
          [&](bool v) { r->AddBool(message, field, v); });
    case FieldDescriptor::CPPTYPE_INT32:
      return Put(
          Whole<int32_t>(node), node, "a 32-bit number", field,
          [&](int32_t v) { r->SetInt32(message, field, v); },
          [&](int32_t v) { r->AddInt32(message, field, v); });
    case FieldDescriptor::CPPTYPE_INT64:
      return Put(
          Whole<int64_t>(node), node, "a 64-bit number", field,
          [&](int64_t v) { r->SetInt64(message, field, v); },
          [&](int64_t v) { r->AddInt64(message, field, v); });
    case FieldDescriptor::CPPTYPE_UINT32:
      return Put(
          Whole<uint32_t>(node), node, "an unsigned 32-bit number", field,
          [&](uint32_t v) { r->SetUInt32(message, field, v); },
          [&](uint32_t v) { r->AddUInt32(message, field, v); });
    case FieldDescriptor::CPPTYPE_UINT64:
      return Put(
          Whole<uint64_t>(node), node, "an unsigned 64-bit number", field,
          [&](uint64_t v) { r->SetUInt64(message, field, v); },
          [&](uint64_t v) { r->AddUInt64(message, field, v); });
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Put(
          Real(node), node, "a number", field, [&](double v) { r->SetDouble(message, field, v); },
          [&](double v) { r->AddDouble(message, field, v); });
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Put(
          Real(node), node, "a number", field,
          [&](double v) { r->SetFloat(message, field, static_cast<float>(v)); },
          [&](double v) { r->AddFloat(message, field, static_cast<float>(v)); });
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(node, field, message);
    case FieldDescriptor::CPPTYPE_STRING:
      return SetText(node, field, message);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return "is not a plain value";
}

}  // namespace remora::xds
