#include "xds/formatting.h"

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"

namespace remora::xds {

FormattedText CompileText(absl::string_view text, Formatter::Missing missing,
                          ParseContext& context) {
  FormattedText out;
  out.text = std::string(text);
  if (!absl::StrContains(text, "%")) return out;
  absl::StatusOr<std::shared_ptr<const Formatter>> formatter = Formatter::Parse(text, missing);
  if (!formatter.ok()) {
    context.Error(formatter.status());
  } else if ((*formatter)->is_plain()) {
    out.text = absl::StrReplaceAll(text, {{"%%", "%"}});
  } else {
    out.formatter = *std::move(formatter);
  }
  return out;
}

}  // namespace remora::xds
