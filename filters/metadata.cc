#include "filters/metadata.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "envoy/config/core/v3/base.pb.h"
#include "google/protobuf/struct.pb.h"

namespace remora {
namespace {

void AppendJsonString(absl::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        out->append("\\\"");
        break;
      case '\\':
        out->append("\\\\");
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(out, "\\u%04x", c);
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

void AppendJsonNumber(double number, std::string* out) {
  if (std::floor(number) == number && std::fabs(number) < 9e15) {
    absl::StrAppend(out, static_cast<int64_t>(number));
  } else if (std::isfinite(number)) {
    // The shortest text that reads back as the same number.
    std::string shown;
    for (int digits = 6; digits <= 17; ++digits) {
      shown = absl::StrFormat("%.*g", digits, number);
      if (std::stod(shown) == number) break;
    }
    out->append(shown);
  } else {
    out->append("null");
  }
}

void AppendJson(const MetadataValue& value, std::string* out) {
  if (const bool* truth = value.boolean()) {
    out->append(*truth ? "true" : "false");
  } else if (const double* number = value.number()) {
    AppendJsonNumber(*number, out);
  } else if (const std::string* text = value.text()) {
    AppendJsonString(*text, out);
  } else if (const auto* list = value.list()) {
    const char* between = "[";
    for (const MetadataValue& item : *list) {
      out->append(between);
      AppendJson(item, out);
      between = ",";
    }
    out->append(list->empty() ? "[]" : "]");
  } else if (const auto* fields = value.fields()) {
    const char* between = "{";
    for (const auto& [key, member] : *fields) {
      out->append(between);
      AppendJsonString(key, out);
      out->push_back(':');
      AppendJson(member, out);
      between = ",";
    }
    out->append(fields->empty() ? "{}" : "}");
  } else {
    out->append("null");
  }
}

}  // namespace

MetadataValue MetadataValue::From(const google::protobuf::Value& proto) {
  using google::protobuf::Value;
  switch (proto.kind_case()) {
    case Value::kBoolValue:
      return MetadataValue(proto.bool_value());
    case Value::kNumberValue:
      return MetadataValue(proto.number_value());
    case Value::kStringValue:
      return MetadataValue(proto.string_value());
    case Value::kStructValue:
      return From(proto.struct_value());
    case Value::kListValue: {
      List list;
      for (const Value& item : proto.list_value().values()) {
        list.push_back(From(item));
      }
      return MetadataValue(std::move(list));
    }
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return MetadataValue();
}

MetadataValue MetadataValue::From(const google::protobuf::Struct& proto) {
  Fields fields;
  for (const auto& [key, value] : proto.fields()) {
    fields.emplace(key, From(value));
  }
  return MetadataValue(std::move(fields));
}

const MetadataValue* MetadataValue::Find(absl::string_view key) const {
  const Fields* members = fields();
  if (members == nullptr) return nullptr;
  const auto found = members->find(key);
  return found == members->end() ? nullptr : &found->second;
}

std::string MetadataValue::ToJson() const {
  std::string out;
  AppendJson(*this, &out);
  return out;
}

Metadata Metadata::From(const envoy::config::core::v3::Metadata& proto) {
  Metadata metadata;
  for (const auto& [space, fields] : proto.filter_metadata()) {
    metadata.namespaces.emplace(space, MetadataValue::From(fields));
  }
  return metadata;
}

const MetadataValue* Metadata::Find(absl::string_view space,
                                    const std::vector<std::string>& path) const {
  const auto found = namespaces.find(space);
  if (found == namespaces.end()) return nullptr;
  const MetadataValue* value = &found->second;
  for (const std::string& key : path) {
    value = value->Find(key);
    if (value == nullptr) return nullptr;
  }
  return value;
}

}  // namespace remora
