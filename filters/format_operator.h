#ifndef REMORA_FILTERS_FORMAT_OPERATOR_H_
#define REMORA_FILTERS_FORMAT_OPERATOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "filters/api/header_id.h"
#include "filters/api/stream_info.h"
#include "filters/format_time.h"

namespace remora {

class MetadataValue;

// What one command operator came to for one exchange.
struct FormatValue {
  enum class Kind : uint8_t { kMissing, kText, kNumber, kJson };
  Kind kind = Kind::kMissing;
  absl::string_view text;  // kText, and kJson (ready-made JSON); valid until scratch changes
  int64_t number = 0;

  static FormatValue Text(absl::string_view text) { return {Kind::kText, text, 0}; }
  static FormatValue TextOrMissing(absl::string_view text) {
    return text.empty() ? FormatValue() : Text(text);
  }
  static FormatValue Number(int64_t number) { return {Kind::kNumber, {}, number}; }
  static FormatValue Json(absl::string_view text) { return {Kind::kJson, text, 0}; }
};

// The arguments of an operator, read when the configuration is.
struct FormatArgs {
  // Header operators: the name, the name to use when the first is absent.
  std::string name;
  std::string other;
  HeaderId id = HeaderId::kOther;
  HeaderId other_id = HeaderId::kOther;
  std::vector<std::string> path;  // metadata: namespace and keys; COMMON_DURATION: its parts
  std::string text;               // literal, environment
  TimeFormat time;
  int mode = 0;  // the operator's own
  std::optional<uint32_t> mask;
};

// One piece of a template: literal text or an operator with its arguments.
class FormatOperator {
 public:
  using Function = FormatValue (*)(const FormatArgs& args, const StreamInfo& info,
                                   std::string* scratch);

  static FormatOperator Literal(std::string text);
  // `name` without percent signs; `argument` is what stood in parentheses, absent when there were
  // none; `max_length` what stood behind the colon.
  static absl::StatusOr<FormatOperator> Parse(absl::string_view name,
                                              std::optional<absl::string_view> argument,
                                              std::optional<size_t> max_length);

  bool is_literal() const { return function_ == nullptr; }
  const std::string& literal() const { return args_.text; }

  // The value, cut to its maximum length. `scratch` is cleared first.
  FormatValue Evaluate(const StreamInfo& info, std::string* scratch) const;

 private:
  Function function_ = nullptr;
  std::optional<size_t> max_length_;
  FormatArgs args_;
};

}  // namespace remora

#endif  // REMORA_FILTERS_FORMAT_OPERATOR_H_
