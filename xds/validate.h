#ifndef REMORA_XDS_VALIDATE_H_
#define REMORA_XDS_VALIDATE_H_

#include "xds/parse_context.h"

namespace google::protobuf {
class Message;
}

namespace remora::xds {

// Checks `message` and everything below it (but not inside Anys, which are
// checked when they are decoded) against the rules that its proto carries
// (validate.rules). Every violation goes to `context` with its field path and
// Envoy's words ("value must be greater than 0").
//
// Rules are read once per message type and thread.
void Validate(const google::protobuf::Message& message, ParseContext& context);

// Finds fields that this build does not know, by number. They are errors where
// the context says so, and always inside messages where ignoring one would
// change who is matched or trusted (matches, RBAC, TLS, retries).
// Negative durations, which no field allows, are errors too.
void CheckUnknownFields(const google::protobuf::Message& message, ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_VALIDATE_H_
