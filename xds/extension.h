#ifndef REMORA_XDS_EXTENSION_H_
#define REMORA_XDS_EXTENSION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "xds/parse_context.h"

namespace google::protobuf {
class Any;
class Message;
}  // namespace google::protobuf
namespace envoy::config::core::v3 {
class TypedExtensionConfig;
}

namespace remora::xds {

// A configured extension as it goes to the table that knows its type: looked up by type URL, never
// by name. TypedStructs are already turned into the message they stand for, so `value` is always
// the serialized message of `type_url`.
struct Extension {
  std::string name;
  std::string type_url;  // "type.googleapis.com/envoy..."; empty when there is none
  std::string value;

  // "envoy.extensions..." without the part up to the last slash.
  absl::string_view type_name() const;
};

// Reads `any` into an Extension; a TypedStruct is unwrapped. Errors go to `context`.
Extension ParseExtension(absl::string_view name, const google::protobuf::Any& any,
                         ParseContext& context);
Extension ParseExtension(const envoy::config::core::v3::TypedExtensionConfig& proto,
                         ParseContext& context);

// Decodes a value into a generated message; an error in `context` and false when it does not parse,
// holds unknown fields that may not be there, or breaks the rules of its proto.
bool DecodeInto(const Extension& extension, google::protobuf::Message* out, ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_EXTENSION_H_
