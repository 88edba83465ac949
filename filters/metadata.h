#ifndef REMORA_FILTERS_METADATA_H_
#define REMORA_FILTERS_METADATA_H_

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

namespace envoy::config::core::v3 {
class Metadata;
}
namespace google::protobuf {
class Struct;
class Value;
}  // namespace google::protobuf

namespace remora {

// A JSON-like value of configuration or dynamic metadata, without protobuf.
class MetadataValue {
 public:
  using List = std::vector<MetadataValue>;
  using Fields = std::map<std::string, MetadataValue, std::less<>>;

  MetadataValue() = default;
  MetadataValue(bool value) : value_(value) {}                      // NOLINT: implicit by intent
  MetadataValue(double value) : value_(value) {}                    // NOLINT
  MetadataValue(std::string value) : value_(std::move(value)) {}    // NOLINT
  MetadataValue(const char* value) : value_(std::string(value)) {}  // NOLINT
  MetadataValue(List value) : value_(std::move(value)) {}           // NOLINT
  MetadataValue(Fields value) : value_(std::move(value)) {}         // NOLINT
  static MetadataValue From(const google::protobuf::Value& proto);
  static MetadataValue From(const google::protobuf::Struct& proto);

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  const double* number() const { return std::get_if<double>(&value_); }
  const std::string* text() const { return std::get_if<std::string>(&value_); }
  const List* list() const { return std::get_if<List>(&value_); }
  const Fields* fields() const { return std::get_if<Fields>(&value_); }
  Fields* mutable_fields() { return std::get_if<Fields>(&value_); }

  // The member of a struct, or null.
  const MetadataValue* Find(absl::string_view key) const;
  // Compact JSON with sorted keys; whole numbers without a fraction.
  std::string ToJson() const;

  bool operator==(const MetadataValue& other) const { return value_ == other.value_; }

 private:
  std::variant<std::monostate, bool, double, std::string, List, Fields> value_;
};

// Namespace ("envoy.lb") to struct.
struct Metadata {
  std::map<std::string, MetadataValue, std::less<>> namespaces;

  static Metadata From(const envoy::config::core::v3::Metadata& proto);
  // The value at `path` below a namespace, or null.
  const MetadataValue* Find(absl::string_view space, const std::vector<std::string>& path) const;
  bool empty() const { return namespaces.empty(); }
  bool operator==(const Metadata&) const = default;
};

}  // namespace remora

#endif  // REMORA_FILTERS_METADATA_H_
