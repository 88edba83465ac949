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
  // A leaf of one operator alone keeps its type (number, object, null when missing); fields are
  // sorted unless `sort` is false (MetadataValue sorts anyway). A line feed ends the text.
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
  struct Piece {
    std::string literal;                   // printed when there is no operator
    std::vector<FormatOperator> operators;  // one value: its type is kept; several: one JSON string
  };

  void FormatText(const StreamInfo& info, std::string* out) const;
  void FormatJson(const StreamInfo& info, std::string* out) const;
  static absl::Status CompileText(absl::string_view text, std::vector<FormatOperator>* out);
  absl::Status CompileJson(const MetadataValue& value);
  absl::Status CompileJsonText(const std::string& text);
  void AddLiteral(absl::string_view text);

  bool json_ = false;
  Missing missing_ = Missing::kDash;
  std::vector<FormatOperator> operators_;  // text
  std::vector<Piece> pieces_;              // JSON
};

}  // namespace remora

#endif  // REMORA_FILTERS_FORMATTER_H_
