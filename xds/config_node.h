#ifndef REMORA_XDS_CONFIG_NODE_H_
#define REMORA_XDS_CONFIG_NODE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Struct;
class Value;
}  // namespace google::protobuf

namespace remora::xds {

// A configuration text as a tree, before it is known what it means. Both YAML
// and JSON become one; every node knows its line.
struct ConfigNode {
  enum class Kind { kNull, kBool, kNumber, kString, kList, kMap };

  Kind kind = Kind::kNull;
  bool boolean = false;
  // kString: the text; kNumber: the number as written.
  std::string text;
  std::vector<ConfigNode> items;                            // kList
  std::vector<std::pair<std::string, ConfigNode>> members;  // kMap, in order
  int line = 0;                                             // from 1; 0: not from a text

  // The last member of that name (duplicate keys: the last wins), or null.
  const ConfigNode* Find(absl::string_view key) const;
};

// Errors say where: "FILE:LINE: what".
absl::StatusOr<ConfigNode> ReadYaml(absl::string_view text, absl::string_view file);
// As lax as the reader that control planes and launchers were written against:
// trailing commas, single quotes and bare keys are let pass; comments are not.
absl::StatusOr<ConfigNode> ReadJson(absl::string_view text, absl::string_view file);

ConfigNode NodeFrom(const google::protobuf::Value& value);
ConfigNode NodeFrom(const google::protobuf::Struct& value);

// Where each field path lies in a file.
class SourceMap {
 public:
  explicit SourceMap(std::string file) : file_(std::move(file)) {}

  void Add(absl::string_view path, int line) {
    if (line > 0) lines_.try_emplace(std::string(path), line);
  }
  // "FILE:LINE" of the path or of its nearest known ancestor; "FILE" when there
  // is none.
  std::string Locate(absl::string_view path) const;

 private:
  std::string file_;
  absl::flat_hash_map<std::string, int> lines_;
};

}  // namespace remora::xds

#endif  // REMORA_XDS_CONFIG_NODE_H_
