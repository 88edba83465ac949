#ifndef REMORA_XDS_NODE_TO_PROTO_H_
#define REMORA_XDS_NODE_TO_PROTO_H_

#include "absl/strings/string_view.h"
#include "xds/config_node.h"
#include "xds/parse_context.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
class Value;
}  // namespace google::protobuf

namespace remora::xds {

// Fills `message` from a tree as protobuf's JSON mapping says, in the lax
// reading that configuration relies on: both spellings of field names, numbers
// in quotes, enum names in any case, one object where a list is due, durations,
// timestamps and wrappers also as mappings.
//
// Every error goes to `context` with its field path, and the walk goes on
// behind it. An `Any` whose type nobody knows is one. Paths are recorded in
// `source` when it is not null.
void FillMessage(const ConfigNode& node, google::protobuf::Message* message, ParseContext& context,
                 SourceMap* source = nullptr);

// One scalar as the type of `field` asks; an error text, or "" when it was set.
// With a repeated field the value is added.
std::string SetScalar(const ConfigNode& node, const google::protobuf::FieldDescriptor* field,
                      google::protobuf::Message* message);

// Messages that JSON spells in a way of their own (Duration, Struct, wrappers,
// ...). False when `message` is none of them or `node` is a mapping of plain
// fields.
bool FillWellKnown(const ConfigNode& node, google::protobuf::Message* message,
                   ParseContext& context);

void FillValue(const ConfigNode& node, google::protobuf::Value* value);

}  // namespace remora::xds

#endif  // REMORA_XDS_NODE_TO_PROTO_H_
