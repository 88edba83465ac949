#ifndef REMORA_FILTERS_JSON_TEXT_H_
#define REMORA_FILTERS_JSON_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace remora {

// Appends `text` as a JSON string with its quotes. Text that is not UTF-8 is escaped byte by byte,
// as Envoy does, so that the result always is.
void AppendJsonString(absl::string_view text, std::string* out);

bool IsUtf8(absl::string_view text);

}  // namespace remora

#endif  // REMORA_FILTERS_JSON_TEXT_H_
