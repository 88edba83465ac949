#include "xds/extension.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/message.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/extension.pb.h"
#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/config_node.h"
#include "xds/node_to_proto.h"
#include "xds/type/v3/typed_struct.pb.h"
#include "xds/type_registry.h"
#include "xds/validate.h"

namespace remora::xds {
namespace {

using google::protobuf::Any;
using google::protobuf::Message;

// The message that a TypedStruct stands for, as bytes.
template <typename TypedStruct>
void Unwrap(const std::string& bytes, Extension* out, ParseContext& context) {
  TypedStruct wrapped;
  if (!wrapped.ParseFromString(bytes)) {
    context.Error("a TypedStruct that does not parse");
    return;
  }
  const absl::string_view type = TypeName(wrapped.type_url());
  out->type_url = absl::StrCat("type.googleapis.com/", type);
  out->value.clear();
  std::unique_ptr<Message> message = NewMessage(type);
  // What nobody here knows keeps its name, so that it can be refused by it.
  if (message == nullptr) return;
  ParseContext::Scope scope(context, "value");
  FillMessage(NodeFrom(wrapped.value()), message.get(), context);
  out->value = SerializeDeterministically(*message);
}

}  // namespace

absl::string_view Extension::type_name() const { return TypeName(type_url); }

Extension ParseExtension(absl::string_view name, const Any& any, ParseContext& context) {
  Extension out{std::string(name), any.type_url(), any.value()};
  const absl::string_view type = TypeName(any.type_url());
  if (type == "udpa.type.v1.TypedStruct") {
    Unwrap<udpa::type::v1::TypedStruct>(any.value(), &out, context);
  } else if (type == "xds.type.v3.TypedStruct") {
    Unwrap<::xds::type::v3::TypedStruct>(any.value(), &out, context);
  }
  return out;
}

Extension ParseExtension(const envoy::config::core::v3::TypedExtensionConfig& proto,
                         ParseContext& context) {
  ParseContext::Scope scope(context, "typed_config");
  return ParseExtension(proto.name(), proto.typed_config(), context);
}

bool DecodeInto(const Extension& extension, Message* out, ParseContext& context) {
  const size_t before = context.error_count();
  if (!out->ParseFromString(extension.value)) {
    context.Error(absl::StrCat("does not parse as ", out->GetDescriptor()->full_name()));
    return false;
  }
  CheckUnknownFields(*out, context);
  Validate(*out, context);
  return context.error_count() == before;
}

}  // namespace remora::xds
