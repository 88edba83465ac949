#include "xds/redact.h"

#include <memory>

#include "google/protobuf/any.pb.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "udpa/annotations/sensitive.pb.h"
#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr char kRedacted[] = "[redacted]";

void Walk(Message* message, bool sensitive);

// What nobody can decode cannot be shown (nor checked for secrets): its type is, and that only.
void ShowTypeOnly(google::protobuf::Any* any) {
  udpa::type::v1::TypedStruct shown;
  shown.set_type_url(any->type_url());
  any->PackFrom(shown);
}

void RedactAny(google::protobuf::Any* any, bool sensitive) {
  // An empty one is nothing at all.
  if (any->type_url().empty()) {
    any->clear_value();
    return;
  }
  std::unique_ptr<Message> inner = NewMessage(TypeName(any->type_url()));
  if (inner == nullptr || !inner->ParseFromString(any->value())) {
    ShowTypeOnly(any);
    return;
  }
  Walk(inner.get(), sensitive);
  any->set_value(SerializeDeterministically(*inner));
}

void RedactScalar(Message* message, const FieldDescriptor* field) {
  const Reflection* reflection = message->GetReflection();
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
    reflection->ClearField(message, field);
    return;
  }
  if (!field->is_repeated()) {
    reflection->SetString(message, field, kRedacted);
    return;
  }
  for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
    reflection->SetRepeatedString(message, field, i, kRedacted);
  }
}

void WalkField(Message* message, const FieldDescriptor* field, bool sensitive) {
  const Reflection* reflection = message->GetReflection();
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
    if (sensitive) RedactScalar(message, field);
    return;
  }
  if (!field->is_repeated()) {
    Walk(reflection->MutableMessage(message, field), sensitive);
    return;
  }
  for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
    Walk(reflection->MutableRepeatedMessage(message, field, i), sensitive);
  }
}

void Walk(Message* message, bool sensitive) {
  if (message->GetDescriptor()->full_name() == "google.protobuf.Any") {
    if (auto* any = dynamic_cast<google::protobuf::Any*>(message)) RedactAny(any, sensitive);
    return;
  }
  std::vector<const FieldDescriptor*> fields;
  message->GetReflection()->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool here = field->options().HasExtension(udpa::annotations::sensitive) &&
                      field->options().GetExtension(udpa::annotations::sensitive);
    WalkField(message, field, sensitive || here);
  }
}

}  // namespace

void Redact(Message* message) { Walk(message, false); }

}  // namespace remora::xds
