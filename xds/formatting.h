#ifndef REMORA_XDS_FORMATTING_H_
#define REMORA_XDS_FORMATTING_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "filters/formatter.h"
#include "xds/parse_context.h"

namespace remora::xds {

// A text that may hold command operators (%REQ(x)%).
struct FormattedText {
  std::string text;  // as configured; with %% read as % when there is no operator
  std::shared_ptr<const Formatter> formatter;  // null: the text is plain
};

// An unknown operator or a stray % is an error in `context`.
FormattedText CompileText(absl::string_view text, Formatter::Missing missing,
                          ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_FORMATTING_H_
