#include "xds/config_node.h"

#include <google/protobuf/struct.pb.h>

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace remora::xds {

const ConfigNode* ConfigNode::Find(absl::string_view key) const {
  for (auto it = members.rbegin(); it != members.rend(); ++it) {
    if (it->first == key) return &it->second;
  }
  return nullptr;
}

ConfigNode NodeFrom(const google::protobuf::Value& value) {
  using google::protobuf::Value;
  ConfigNode node;
  switch (value.kind_case()) {
    case Value::kBoolValue:
      node.kind = ConfigNode::Kind::kBool;
      node.boolean = value.bool_value();
      break;
    case Value::kNumberValue: {
      node.kind = ConfigNode::Kind::kNumber;
      const double number = value.number_value();
      node.text = std::floor(number) == number && std::fabs(number) < 9e15
                      ? absl::StrCat(static_cast<int64_t>(number))
                      : absl::StrFormat("%.17g", number);
      break;
    }
    case Value::kStringValue:
      node.kind = ConfigNode::Kind::kString;
      node.text = value.string_value();
      break;
    case Value::kStructValue:
      return NodeFrom(value.struct_value());
    case Value::kListValue:
      node.kind = ConfigNode::Kind::kList;
      for (const Value& item : value.list_value().values()) {
        node.items.push_back(NodeFrom(item));
      }
      break;
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      break;
  }
  return node;
}

ConfigNode NodeFrom(const google::protobuf::Struct& value) {
  ConfigNode node;
  node.kind = ConfigNode::Kind::kMap;
  for (const auto& [key, member] : value.fields()) {
    node.members.emplace_back(key, NodeFrom(member));
  }
  return node;
}

std::string SourceMap::Locate(absl::string_view path) const {
  while (true) {
    const auto found = lines_.find(path);
    if (found != lines_.end()) return absl::StrCat(file_, ":", found->second);
    const size_t cut = path.find_last_of(".[");
    if (cut == absl::string_view::npos) return file_;
    path = path.substr(0, cut);
  }
}

}  // namespace remora::xds
