#ifndef REMORA_FILTERS_FORMAT_FIELDS_H_
#define REMORA_FILTERS_FORMAT_FIELDS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "filters/format_operator.h"

namespace remora {

// What a row of the operator table accepts behind its name.
enum class FormatSyntax {
  kNone,            // no argument, no length
  kOptional,        // an optional argument and length, read by `parse`
  kRequired,        // an argument must be there; a length may
  kOptionalNoSize,  // an optional argument, no length
};

// One command operator. `parse` reads the argument into `args`; null when there is nothing to read.
struct FormatField {
  absl::string_view name;
  FormatSyntax syntax;
  FormatOperator::Function evaluate;
  absl::Status (*parse)(absl::string_view argument, FormatArgs* args);
  int mode;
};

// The rows by subject.
absl::Span<const FormatField> MessageFormatFields();     // headers, paths, codes, gRPC
absl::Span<const FormatField> ConnectionFormatFields();  // addresses, TLS, identities
absl::Span<const FormatField> ExchangeFormatFields();    // times, sizes, names, reasons, metadata

}  // namespace remora

#endif  // REMORA_FILTERS_FORMAT_FIELDS_H_
