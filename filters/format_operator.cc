#include "filters/format_operator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "filters/format_fields.h"

namespace remora {
namespace {

const FormatField* FindField(absl::string_view name) {
  for (absl::Span<const FormatField> rows :
       {MessageFormatFields(), ConnectionFormatFields(), ExchangeFormatFields()}) {
    for (const FormatField& row : rows) {
      if (row.name == name) return &row;
    }
  }
  return nullptr;
}

absl::Status CheckSyntax(const FormatField& field, bool has_argument, bool has_length) {
  switch (field.syntax) {
    case FormatSyntax::kNone:
      if (has_argument || has_length) {
        return absl::InvalidArgumentError(
            absl::StrCat(field.name, " does not take any parameters or length"));
      }
      break;
    case FormatSyntax::kRequired:
      if (!has_argument) {
        return absl::InvalidArgumentError(absl::StrCat(field.name, " requires parameters"));
      }
      break;
    case FormatSyntax::kOptionalNoSize:
      if (has_length) {
        return absl::InvalidArgumentError(
            absl::StrCat(field.name, " does not allow length to be specified."));
      }
      break;
    case FormatSyntax::kOptional:
      break;
  }
  return absl::OkStatus();
}

}  // namespace

FormatOperator FormatOperator::Literal(std::string text) {
  FormatOperator out;
  out.args_.text = std::move(text);
  return out;
}

absl::StatusOr<FormatOperator> FormatOperator::Parse(absl::string_view name,
                                                     std::optional<absl::string_view> argument,
                                                     std::optional<size_t> max_length) {
  const FormatField* field = FindField(name);
  if (field == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("Not supported field in StreamInfo: ", name));
  }
  const bool has_argument = field->syntax == FormatSyntax::kRequired
                                ? argument.has_value() && !argument->empty()
                                : argument.has_value();
  if (absl::Status status = CheckSyntax(*field, has_argument, max_length.has_value());
      !status.ok()) {
    return status;
  }
  FormatOperator out;
  out.function_ = field->evaluate;
  out.max_length_ = max_length;
  out.args_.mode = field->mode;
  if (field->parse != nullptr) {
    if (absl::Status status = field->parse(argument.value_or(""), &out.args_); !status.ok()) {
      return status;
    }
  }
  return out;
}

FormatValue FormatOperator::Evaluate(const StreamInfo& info, std::string* scratch) const {
  if (function_ == nullptr) return FormatValue::Text(args_.text);
  scratch->clear();
  FormatValue value = function_(args_, info, scratch);
  if (max_length_ && value.kind == FormatValue::Kind::kText) {
    value.text = value.text.substr(0, std::min(*max_length_, value.text.size()));
  }
  return value;
}

}  // namespace remora
