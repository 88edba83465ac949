#ifndef REMORA_XDS_CONFIG_TEXT_H_
#define REMORA_XDS_CONFIG_TEXT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "xds/config_node.h"
#include "xds/parse_context.h"

namespace google::protobuf {
class Message;
}

namespace remora::xds {

// How a file is written, by the ending of its name.
enum class TextFormat { kYaml, kJson, kBinary, kProtoText };
TextFormat FormatOf(absl::string_view path);

// Reads `text` into `message`. Syntax errors and errors of single fields go to
// `context`; lines of fields to `source`, which should be the context's.
void ReadInto(TextFormat format, absl::string_view text, absl::string_view file,
              google::protobuf::Message* message, ParseContext& context, SourceMap* source);

}  // namespace remora::xds

#endif  // REMORA_XDS_CONFIG_TEXT_H_
