#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/time_util.h>

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "xds/node_to_proto.h"

namespace remora::xds {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::ListValue;
using google::protobuf::Message;
using google::protobuf::Struct;
using google::protobuf::Value;

void FillStruct(const ConfigNode& node, Struct* out) {
  for (const auto& [key, member] : node.members) {
    FillValue(member, &(*out->mutable_fields())[key]);
  }
}

void SetSecondsAndNanos(int64_t seconds, int32_t nanos, Message* message) {
  const Descriptor* type = message->GetDescriptor();
  const auto* reflection = message->GetReflection();
  reflection->SetInt64(message, type->FindFieldByNumber(1), seconds);
  reflection->SetInt32(message, type->FindFieldByNumber(2), nanos);
}

bool ReadDuration(const std::string& text, int64_t* seconds, int32_t* nanos) {
  // TimeUtil's reading ("1.5s"), which wants the unit and at most nine places.
  google::protobuf::Duration duration;
  if (!google::protobuf::util::TimeUtil::FromString(text, &duration)) {
    return false;
  }
  *seconds = duration.seconds();
  *nanos = duration.nanos();
  return true;
}

void FillDuration(const ConfigNode& node, Message* message, ParseContext& context) {
  int64_t seconds = 0;
  int32_t nanos = 0;
  if (node.kind != ConfigNode::Kind::kString || !ReadDuration(node.text, &seconds, &nanos)) {
    context.Error(absl::StrCat("expected a duration in seconds such as \"1.5s\"",
                               node.text.empty() ? "" : ", got ", node.text));
    return;
  }
  if (seconds < 0 || nanos < 0) {
    return context.Error("Invalid duration: Expected positive duration");
  }
  // What still is a number of nanoseconds; Envoy counts in them.
  if (seconds > std::numeric_limits<int64_t>::max() / 1000000000) {
    return context.Error("Invalid duration: Duration out-of-range");
  }
  SetSecondsAndNanos(seconds, nanos, message);
}

void FillTimestamp(const ConfigNode& node, Message* message, ParseContext& context) {
  google::protobuf::Timestamp time;
  if (node.kind != ConfigNode::Kind::kString ||
      !google::protobuf::util::TimeUtil::FromString(node.text, &time)) {
    context.Error("expected a point in time such as \"2026-01-31T12:00:00Z\"");
    return;
  }
  SetSecondsAndNanos(time.seconds(), time.nanos(), message);
}

void FillFieldMask(const ConfigNode& node, Message* message, ParseContext& context) {
  if (node.kind != ConfigNode::Kind::kString) {
    context.Error("expected a list of paths with commas");
    return;
  }
  const FieldDescriptor* paths = message->GetDescriptor()->FindFieldByNumber(1);
  for (absl::string_view path : absl::StrSplit(node.text, ',')) {
    message->GetReflection()->AddString(message, paths, std::string(path));
  }
}

// Works for generated and dynamic messages alike: through bytes when the
// class is not ours to see.
template <typename T>
void Assign(const T& value, Message* message) {
  if (auto* same = dynamic_cast<T*>(message)) {
    same->CopyFrom(value);
  } else {
    message->ParseFromString(value.SerializeAsString());
  }
}

bool IsWrapper(const std::string& name) {
  return absl::EndsWith(name, "Value") && name != "google.protobuf.Value" &&
         name != "google.protobuf.ListValue" && name != "google.protobuf.EnumValue";
}

}  // namespace

void FillValue(const ConfigNode& node, Value* value) {
  switch (node.kind) {
    case ConfigNode::Kind::kNull:
      value->set_null_value(google::protobuf::NULL_VALUE);
      break;
    case ConfigNode::Kind::kBool:
      value->set_bool_value(node.boolean);
      break;
    case ConfigNode::Kind::kNumber: {
      double number = 0;
      (void)absl::SimpleAtod(node.text, &number);
      value->set_number_value(number);
      break;
    }
    case ConfigNode::Kind::kString:
      value->set_string_value(node.text);
      break;
    case ConfigNode::Kind::kList:
      value->mutable_list_value();
      for (const ConfigNode& item : node.items) {
        FillValue(item, value->mutable_list_value()->add_values());
      }
      break;
    case ConfigNode::Kind::kMap:
      FillStruct(node, value->mutable_struct_value());
      break;
  }
}

bool FillWellKnown(const ConfigNode& node, Message* message, ParseContext& context) {
  const std::string& name = message->GetDescriptor()->full_name();
  if (!absl::StartsWith(name, "google.protobuf.")) return false;
  if (name == "google.protobuf.Struct") {
    if (node.kind != ConfigNode::Kind::kMap) {
      context.Error("expected a mapping");
      return true;
    }
    Struct value;
    FillStruct(node, &value);
    Assign(value, message);
    return true;
  }
  if (name == "google.protobuf.Value") {
    Value value;
    FillValue(node, &value);
    Assign(value, message);
    return true;
  }
  if (name == "google.protobuf.ListValue") {
    Value value;
    FillValue(node, &value);
    Assign(value.list_value(), message);
    return true;
  }
  if (node.kind == ConfigNode::Kind::kMap) return false;
  if (name == "google.protobuf.Duration") {
    FillDuration(node, message, context);
  } else if (name == "google.protobuf.Timestamp") {
    FillTimestamp(node, message, context);
  } else if (name == "google.protobuf.FieldMask") {
    FillFieldMask(node, message, context);
  } else if (IsWrapper(name)) {
    const std::string error =
        SetScalar(node, message->GetDescriptor()->FindFieldByNumber(1), message);
    if (!error.empty()) context.Error(error);
  } else {
    return false;
  }
  return true;
}

}  // namespace remora::xds
