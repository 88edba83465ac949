#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "xds/validate.h"

namespace remora::xds {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Messages of which a part that is not understood must not be passed over.
bool MustBeUnderstood(const std::string& type) {
  return absl::StrContains(type, "Match") || absl::StartsWith(type, "envoy.config.rbac.") ||
         absl::StartsWith(type, "envoy.extensions.transport_sockets.tls.") ||
         absl::StartsWith(type, "envoy.extensions.filters.http.rbac.") ||
         absl::StartsWith(type, "envoy.extensions.filters.network.rbac.") ||
         absl::StartsWith(type, "envoy.config.route.v3.RetryPolicy");
}

void Report(const Message& message, ParseContext& context) {
  const auto& unknown = message.GetReflection()->GetUnknownFields(message);
  if (unknown.empty()) return;
  const std::string& type = message.GetDescriptor()->full_name();
  const bool error = context.unknown_fields_are_errors() || MustBeUnderstood(type);
  for (int i = 0; i < unknown.field_count(); ++i) {
    const std::string text =
        absl::StrCat("unknown field number ", unknown.field(i).number(), " in ", type);
    if (error) {
      context.Error(text);
    } else {
      context.CountUnknownField();
      context.Warn(text);
    }
  }
}

// Nothing in the API has a use for negative times.
void CheckDuration(const Message& message, ParseContext& context) {
  const auto* reflection = message.GetReflection();
  const auto* type = message.GetDescriptor();
  if (reflection->GetInt64(message, type->FindFieldByNumber(1)) < 0 ||
      reflection->GetInt32(message, type->FindFieldByNumber(2)) < 0) {
    context.Error("Invalid duration: Expected positive duration");
  }
}

}  // namespace

void CheckUnknownFields(const Message& message, ParseContext& context) {
  Report(message, context);
  if (message.GetDescriptor()->full_name() == "google.protobuf.Duration") {
    return CheckDuration(message, context);
  }
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      ParseContext::Scope scope(context, field->name());
      CheckUnknownFields(reflection->GetMessage(message, field), context);
      continue;
    }
    const int count = reflection->FieldSize(message, field);
    for (int i = 0; i < count; ++i) {
      ParseContext::Scope scope(context, field->name(), i);
      CheckUnknownFields(reflection->GetRepeatedMessage(message, field, i), context);
    }
  }
}

}  // namespace remora::xds
