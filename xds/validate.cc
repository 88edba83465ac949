#include "xds/validate.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "validate/validate.pb.h"
#include "xds/validate_values.h"

namespace remora::xds {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using validate::FieldRules;

// What has to be checked in messages of one type.
struct Plan {
  struct Field {
    const FieldDescriptor* field;
    const FieldRules* rules;  // null: only what is below it has rules
    bool descend;
  };
  std::vector<Field> fields;
  std::vector<const OneofDescriptor*> required_oneofs;

  bool empty() const { return fields.empty() && required_oneofs.empty(); }
};

const FieldRules* RulesOf(const FieldDescriptor* field) {
  return field->options().HasExtension(validate::rules)
             ? &field->options().GetExtension(validate::rules)
             : nullptr;
}

bool IsExempt(const Descriptor* type) {
  return type->options().GetExtension(validate::disabled) ||
         type->options().GetExtension(validate::ignored);
}

bool IsSkipped(const FieldRules* rules) {
  if (rules == nullptr) return false;
  return rules->message().skip() || rules->repeated().items().message().skip();
}

// The message type below a field (a map's value type), or null. Anys are not
// looked into.
const Descriptor* Below(const FieldDescriptor* field) {
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return nullptr;
  const Descriptor* type = field->message_type();
  if (field->is_map()) {
    return Below(type->map_value());
  }
  return type;
}

// Plans by type, for one thread.
class Plans {
 public:
  const Plan& For(const Descriptor* type) {
    std::unique_ptr<Plan>& plan = plans_[type];
    if (plan == nullptr) {
      plan = std::make_unique<Plan>();
      Plan* const made = plan.get();  // the map may move while we recurse
      Make(type, made);
      return *made;
    }
    return *plan;
  }

 private:
  void Make(const Descriptor* type, Plan* plan) {
    if (IsExempt(type)) return;
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      const FieldRules* rules = RulesOf(field);
      const Descriptor* below = Below(field);
      const bool descend = below != nullptr && !IsSkipped(rules) && HasRules(below);
      if (rules != nullptr || descend) {
        plan->fields.push_back({field, rules, descend});
      }
    }
    for (int i = 0; i < type->real_oneof_decl_count(); ++i) {
      const OneofDescriptor* oneof = type->oneof_decl(i);
      if (oneof->options().GetExtension(validate::required)) {
        plan->required_oneofs.push_back(oneof);
      }
    }
  }

  // Whether any rule lies in or below a type.
  bool HasRules(const Descriptor* type) {
    const auto known = has_rules_.find(type);
    if (known != has_rules_.end()) return known->second;
    absl::flat_hash_set<const Descriptor*> seen;
    const bool found = Search(type, seen);
    has_rules_[type] = found;
    return found;
  }

  bool Search(const Descriptor* type, absl::flat_hash_set<const Descriptor*>& seen) {
    if (!seen.insert(type).second || IsExempt(type)) return false;
    for (int i = 0; i < type->real_oneof_decl_count(); ++i) {
      if (type->oneof_decl(i)->options().GetExtension(validate::required)) {
        return true;
      }
    }
    for (int i = 0; i < type->field_count(); ++i) {
      if (RulesOf(type->field(i)) != nullptr) return true;
      const Descriptor* below = Below(type->field(i));
      if (below != nullptr && Search(below, seen)) return true;
    }
    return false;
  }

  absl::flat_hash_map<const Descriptor*, std::unique_ptr<Plan>> plans_;
  absl::flat_hash_map<const Descriptor*, bool> has_rules_;
};

class Validator {
 public:
  Validator(Plans& plans, ParseContext& context) : plans_(plans), context_(context) {}

  void Check(const Message& message) {
    const Plan& plan = plans_.For(message.GetDescriptor());
    if (plan.empty()) return;
    const auto* reflection = message.GetReflection();
    for (const Plan::Field& item : plan.fields) {
      if (item.field->is_map()) {
        CheckMap(message, item);
      } else if (item.field->is_repeated()) {
        CheckRepeated(message, item);
      } else {
        CheckSingle(message, item);
      }
    }
    for (const OneofDescriptor* oneof : plan.required_oneofs) {
      if (!reflection->HasOneof(message, oneof)) {
        // Where the member itself was wrong, that has been said.
        if (!context_.HasErrorWithin(context_.path())) {
          context_.ErrorAt(oneof->name(), "value is required");
        }
      }
    }
  }

 private:
  void Report(const std::string& wrong) {
    if (!wrong.empty() && !context_.HasErrorWithin(context_.path())) {
      context_.Error(wrong);
    }
  }

  void CheckSingle(const Message& message, const Plan::Field& item) {
    const auto* reflection = message.GetReflection();
    const FieldDescriptor* field = item.field;
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      // Members of a oneof and optional fields only when they are set.
      if (field->has_presence() && !reflection->HasField(message, field)) {
        return;
      }
      ParseContext::Scope scope(context_, field->name());
      return Report(CheckScalar(message, field, -1, *item.rules));
    }
    ParseContext::Scope scope(context_, field->name());
    if (!reflection->HasField(message, field)) {
      if (field->real_containing_oneof() == nullptr && item.rules != nullptr &&
          (item.rules->message().required() || item.rules->duration().required() ||
           item.rules->timestamp().required() || item.rules->any().required())) {
        Report("value is required");
      }
      return;
    }
    CheckEmbedded(reflection->GetMessage(message, field), item.rules, item.descend);
  }

  void CheckEmbedded(const Message& message, const FieldRules* rules, bool descend) {
    if (rules != nullptr) {
      const std::string& type = message.GetDescriptor()->full_name();
      if (rules->has_duration()) {
        const auto* reflection = message.GetReflection();
        Report(CheckDuration(
            reflection->GetInt64(message, message.GetDescriptor()->FindFieldByNumber(1)),
            reflection->GetInt32(message, message.GetDescriptor()->FindFieldByNumber(2)),
            rules->duration()));
      } else if (absl::StartsWith(type, "google.protobuf.") && absl::EndsWith(type, "Value") &&
                 type != "google.protobuf.Value" && type != "google.protobuf.ListValue") {
        Report(CheckScalar(message, message.GetDescriptor()->FindFieldByNumber(1), -1, *rules));
      } else if (rules->any().in_size() != 0) {
        CheckAnyType(message, rules->any());
      }
    }
    if (descend) Check(message);
  }

  void CheckAnyType(const Message& message, const validate::AnyRules& rules) {
    const std::string url =
        message.GetReflection()->GetString(message, message.GetDescriptor()->FindFieldByNumber(1));
    for (const std::string& allowed : rules.in()) {
      if (allowed == url) return;
    }
    Report(absl::StrCat("type URL must be in list [", absl::StrJoin(rules.in(), ", "), "]"));
  }

  void CheckRepeated(const Message& message, const Plan::Field& item) {
    const auto* reflection = message.GetReflection();
    const FieldDescriptor* field = item.field;
    const int count = reflection->FieldSize(message, field);
    const FieldRules* items = nullptr;
    if (item.rules != nullptr) {
      const auto& rules = item.rules->repeated();
      if (rules.ignore_empty() && count == 0) return;
      ParseContext::Scope scope(context_, field->name());
      if (rules.has_min_items() && static_cast<uint64_t>(count) < rules.min_items()) {
        Report(absl::StrCat("value must contain at least ", rules.min_items(), " item(s)"));
      }
      if (rules.has_max_items() && static_cast<uint64_t>(count) > rules.max_items()) {
        Report(absl::StrCat("value must contain no more than ", rules.max_items(), " item(s)"));
      }
      if (rules.unique()) CheckUnique(message, field, count);
      if (rules.has_items()) items = &rules.items();
    }
    const bool embedded = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (items == nullptr && !item.descend) return;
    for (int i = 0; i < count; ++i) {
      ParseContext::Scope scope(context_, field->name(), i);
      if (embedded) {
        CheckEmbedded(reflection->GetRepeatedMessage(message, field, i), items, item.descend);
      } else if (items != nullptr) {
        Report(CheckScalar(message, field, i, *items));
      }
    }
  }

  void CheckUnique(const Message& message, const FieldDescriptor* field, int count) {
    absl::flat_hash_set<std::string> seen;
    const auto* reflection = message.GetReflection();
    for (int i = 0; i < count; ++i) {
      std::string value;
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
          value = reflection->GetRepeatedString(message, field, i);
          break;
        case FieldDescriptor::CPPTYPE_ENUM:
          value = absl::StrCat(reflection->GetRepeatedEnumValue(message, field, i));
          break;
        case FieldDescriptor::CPPTYPE_UINT32:
          value = absl::StrCat(reflection->GetRepeatedUInt32(message, field, i));
          break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
          value = reflection->GetRepeatedMessage(message, field, i).SerializeAsString();
          break;
        default:
          return;
      }
      if (!seen.insert(std::move(value)).second) {
        return Report("repeated value must contain unique items");
      }
    }
  }

  void CheckMap(const Message& message, const Plan::Field& item) {
    const auto* reflection = message.GetReflection();
    const FieldDescriptor* field = item.field;
    const int count = reflection->FieldSize(message, field);
    const FieldDescriptor* key = field->message_type()->map_key();
    const FieldDescriptor* value = field->message_type()->map_value();
    const validate::MapRules* rules = item.rules == nullptr ? nullptr : &item.rules->map();
    if (rules != nullptr && rules->has_min_pairs() &&
        static_cast<uint64_t>(count) < rules->min_pairs()) {
      ParseContext::Scope scope(context_, field->name());
      Report(absl::StrCat("value must contain at least ", rules->min_pairs(), " pair(s)"));
    }
    const bool embedded = value->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    for (int i = 0; i < count; ++i) {
      const Message& entry = reflection->GetRepeatedMessage(message, field, i);
      const auto* inner = entry.GetReflection();
      std::string name;
      if (key->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        name = inner->GetString(entry, key);
      }
      ParseContext::Scope scope(context_, field->name(), absl::string_view(name));
      if (rules != nullptr && rules->has_keys()) {
        Report(CheckScalar(entry, key, -1, rules->keys()));
      }
      const FieldRules* values =
          rules != nullptr && rules->has_values() ? &rules->values() : nullptr;
      if (embedded) {
        CheckEmbedded(inner->GetMessage(entry, value), values, item.descend);
      } else if (values != nullptr) {
        Report(CheckScalar(entry, value, -1, *values));
      }
    }
  }

  // `index` -1: not repeated.
  std::string CheckScalar(const Message& message, const FieldDescriptor* field, int index,
                          const FieldRules& rules);

  Plans& plans_;
  ParseContext& context_;
};

std::string CheckEnum(int value, const FieldDescriptor* field, const validate::EnumRules& rules) {
  if (rules.has_const_() && value != rules.const_()) {
    return absl::StrCat("value must equal ", rules.const_());
  }
  if (rules.defined_only() && field->enum_type()->FindValueByNumber(value) == nullptr) {
    return "value must be one of the defined enum values";
  }
  for (const int excluded : rules.not_in()) {
    if (value == excluded) {
      return absl::StrCat("value must not be in list [", absl::StrJoin(rules.not_in(), ", "), "]");
    }
  }
  if (rules.in_size() != 0 &&
      std::find(rules.in().begin(), rules.in().end(), value) == rules.in().end()) {
    return absl::StrCat("value must be in list [", absl::StrJoin(rules.in(), ", "), "]");
  }
  return "";
}

std::string CheckText(const std::string& value, const FieldRules& rules) {
  if (rules.has_string()) return CheckString(value, rules.string());
  if (rules.has_bytes()) return CheckBytes(value, rules.bytes());
  return "";
}

std::string Validator::CheckScalar(const Message& message, const FieldDescriptor* field, int index,
                                   const FieldRules& rules) {
  const auto* r = message.GetReflection();
  const bool single = index < 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return CheckText(
          single ? r->GetString(message, field) : r->GetRepeatedString(message, field, index),
          rules);
    case FieldDescriptor::CPPTYPE_ENUM:
      return CheckEnum(
          single ? r->GetEnumValue(message, field) : r->GetRepeatedEnumValue(message, field, index),
          field, rules.enum_());
    case FieldDescriptor::CPPTYPE_UINT32:
      return CheckNumber(
          single ? r->GetUInt32(message, field) : r->GetRepeatedUInt32(message, field, index),
          rules.uint32());
    case FieldDescriptor::CPPTYPE_UINT64:
      return CheckNumber(
          single ? r->GetUInt64(message, field) : r->GetRepeatedUInt64(message, field, index),
          rules.uint64());
    case FieldDescriptor::CPPTYPE_INT32:
      return CheckNumber(
          single ? r->GetInt32(message, field) : r->GetRepeatedInt32(message, field, index),
          rules.int32());
    case FieldDescriptor::CPPTYPE_INT64:
      return CheckNumber(
          single ? r->GetInt64(message, field) : r->GetRepeatedInt64(message, field, index),
          rules.int64());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return CheckNumber(
          single ? r->GetDouble(message, field) : r->GetRepeatedDouble(message, field, index),
          rules.double_());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return CheckNumber(
          single ? r->GetFloat(message, field) : r->GetRepeatedFloat(message, field, index),
          rules.float_());
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool value =
          single ? r->GetBool(message, field) : r->GetRepeatedBool(message, field, index);
      return rules.bool_().has_const_() && value != rules.bool_().const_()
                 ? absl::StrCat("value must equal ", rules.bool_().const_() ? "true" : "false")
                 : "";
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return "";
}

}  // namespace

void Validate(const Message& message, ParseContext& context) {
  thread_local Plans plans;
  Validator(plans, context).Check(message);
}

}  // namespace remora::xds
