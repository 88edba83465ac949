#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "xds/config_node.h"

namespace remora::xds {
namespace {

// Deeper documents are refused rather than answered with a full stack.
constexpr int kMostDepth = 200;
// And so are those whose aliases make a small text a huge tree.
constexpr int64_t kMostNodes = 4'000'000;

// Plain scalars mean what yaml-cpp says: also y, n, on and off are truth
// values, and whole numbers may be hexadecimal or octal. Numbers with a
// fraction stay text, which the field's type will read.
void ReadScalar(const YAML::Node& from, ConfigNode* to) {
  to->kind = ConfigNode::Kind::kString;
  to->text = from.Scalar();
  if (from.Tag() == "!") return;  // quoted
  bool truth = false;
  if (YAML::convert<bool>::decode(from, truth)) {
    to->kind = ConfigNode::Kind::kBool;
    to->boolean = truth;
    return;
  }
  int64_t number = 0;
  if (!YAML::convert<int64_t>::decode(from, number)) return;
  to->text = absl::StrCat(number);
  // Larger ones are kept as text, so that a Struct does not lose digits.
  if (number >= std::numeric_limits<int32_t>::min() &&
      number <= std::numeric_limits<int32_t>::max()) {
    to->kind = ConfigNode::Kind::kNumber;
  }
}

absl::Status Read(const YAML::Node& from, int depth, int64_t* budget, ConfigNode* to) {
  if (--*budget < 0) return absl::InvalidArgumentError("too many nodes");
  if (depth > kMostDepth) return absl::InvalidArgumentError("nested too deep");
  to->line = from.Mark().line + 1;
  switch (from.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      to->kind = ConfigNode::Kind::kNull;
      return absl::OkStatus();
    case YAML::NodeType::Scalar:
      ReadScalar(from, to);
      return absl::OkStatus();
    case YAML::NodeType::Sequence:
      to->kind = ConfigNode::Kind::kList;
      to->items.reserve(from.size());
      for (const auto& item : from) {
        absl::Status status = Read(item, depth + 1, budget, &to->items.emplace_back());
        if (!status.ok()) return status;
      }
      return absl::OkStatus();
    case YAML::NodeType::Map:
      to->kind = ConfigNode::Kind::kMap;
      to->members.reserve(from.size());
      for (const auto& member : from) {
        auto& added = to->members.emplace_back(member.first.Scalar(), ConfigNode());
        absl::Status status = Read(member.second, depth + 1, budget, &added.second);
        if (!status.ok()) return status;
        added.second.line = member.first.Mark().line + 1;
      }
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConfigNode> ReadYaml(absl::string_view text, absl::string_view file) {
  ConfigNode root;
  int64_t budget = kMostNodes;
  try {
    const YAML::Node document = YAML::Load(std::string(text));
    absl::Status status = Read(document, 0, &budget, &root);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": ", status.message()));
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", error.mark.line + 1, ": column ",
                                                   error.mark.column + 1, ": ", error.msg));
  }
  return root;
}

}  // namespace remora::xds
