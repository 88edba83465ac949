#ifndef REMORA_FILTERS_FORMATTER_H_
#define REMORA_FILTERS_FORMATTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/arena.h"
#include "filters/api/stream_info.h"
#include "filters/format_operator.h"

namespace remora {

class MetadataValue;

// A compiled text with command operators ("%REQ(X?Y):Z%", "%RESPONSE_CODE%"), as access logs,
// header values and local replies use them; or a JSON object whose leaves are such texts.
//
// Threads: const after Parse, shared freely. Formatting takes no lock and, once `out` has grown or
// the arena is warm, no memory from the heap.
class Formatter {
 public:
  enum class Missing {
    kDash,   // a value that is not there prints as "-"
    kEmpty,  // ... as nothing (header values, `omit_empty_values`)
  };

  // Unknown operators and stray percent signs are errors with Envoy's text. "%%" is a percent sign.
  static absl::StatusOr<std::shared_ptr<const Formatter>> Parse(absl::string_view text,
                                                                Missing missing = Missing::kDash);
  // `object` is a struct whose string leaves are templates; other leaves are printed as they are.
  // A leaf of one operator alone keeps its type (number, object, null when missing); with kEmpty,
  // fields whose value is null or an object without fields are left out. Fields are sorted. A line
  // feed ends the text.
  static absl::StatusOr<std::shared_ptr<const Formatter>> ParseJson(
      const MetadataValue& object, Missing missing = Missing::kDash);
  // Envoy's default access log line.
  static std::shared_ptr<const Formatter> Default();

  // Appends to `out`.
  void Format(const StreamInfo& info, std::string* out) const;
  // The text in `arena`.
  absl::string_view Format(const StreamInfo& info, Arena& arena) const;

  // True when no operator occurs: the text never changes.
  bool is_plain() const;

 private:
  // One value of a JSON format.
  struct JsonNode {
    enum class Kind {
      kNull,
      kFixed,  // never changes: `fixed`, ready-made JSON
      kValue,  // one operator: the type of its value is kept
      kText,   // several: one string
      kList,
      kObject,
    };
    Kind kind = Kind::kNull;
    std::string name;  // of a field, quoted
    std::string fixed;
    std::vector<FormatOperator> operators;
    std::vector<JsonNode> children;
  };

  static absl::Status CompileText(absl::string_view text, std::vector<FormatOperator>* out);
  static absl::Status CompileJson(const MetadataValue& value, JsonNode* out);
  bool FormatNode(const JsonNode& node, const StreamInfo& info, std::string* out) const;
  bool FormatList(const JsonNode& node, const StreamInfo& info, std::string* out) const;
  bool FormatObject(const JsonNode& node, const StreamInfo& info, std::string* out) const;

  bool json_ = false;
  Missing missing_ = Missing::kDash;
  std::vector<FormatOperator> operators_;  // text
  JsonNode root_;                          // JSON
};

}  // namespace remora

#endif  // REMORA_FILTERS_FORMATTER_H_
