#include "xds/node_to_proto.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Walks tree and descriptors side by side.
class Filler {
 public:
  Filler(ParseContext& context, SourceMap* source) : context_(context), source_(source) {}

  void Fill(const ConfigNode& node, Message* message) {
    if (message->GetDescriptor()->full_name() == "google.protobuf.Any") {
      return FillAny(node, message);
    }
    if (FillWellKnown(node, message, context_)) return;
    if (node.kind == ConfigNode::Kind::kNull) return;
    if (node.kind != ConfigNode::Kind::kMap) {
      context_.Error("expected a mapping");
      return;
    }
    FillFields(node, message, /*skip_type=*/false);
  }

 private:
  static const FieldDescriptor* FindField(const Descriptor* type, const std::string& name) {
    if (const auto* field = type->FindFieldByName(name)) return field;
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (field->json_name() == name || field->camelcase_name() == name) {
        return field;
      }
      // Generated classes append an underscore to C++ keywords.
      if (absl::EndsWith(field->name(), "_") && absl::StripSuffix(field->name(), "_") == name) {
        return field;
      }
    }
    return nullptr;
  }

  void FillFields(const ConfigNode& node, Message* message, bool skip_type) {
    const Descriptor* type = message->GetDescriptor();
    absl::flat_hash_map<std::string, const ConfigNode*> last;
    for (const auto& [name, member] : node.members) last[name] = &member;
    for (const auto& [name, member] : node.members) {
      if (skip_type && name == "@type") continue;
      if (last[name] != &member) continue;  // of duplicate keys the last
      const FieldDescriptor* field = FindField(type, name);
      if (field == nullptr) {
        UnknownField(type, name, member);
        continue;
      }
      FillField(member, field, message);
    }
  }

  void UnknownField(const Descriptor* type, const std::string& name, const ConfigNode& member) {
    ParseContext::Scope scope(context_, name);
    Record(member);
    const std::string text = absl::StrCat("no such field in ", type->full_name());
    if (context_.unknown_fields_are_errors()) {
      context_.Error(text);
    } else {
      context_.CountUnknownField();
      context_.Warn(text);
    }
  }

  void Record(const ConfigNode& node) {
    if (source_ != nullptr) source_->Add(context_.path(), node.line);
  }

  void FillField(const ConfigNode& node, const FieldDescriptor* field, Message* message) {
    if (field->is_map()) return FillMap(node, field, message);
    if (field->is_repeated()) return FillList(node, field, message);
    ParseContext::Scope scope(context_, field->name());
    Record(node);
    if (node.kind == ConfigNode::Kind::kNull && !TakesNull(field)) return;
    if (const auto* oneof = field->real_containing_oneof()) {
      const auto* taken = message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
      if (taken != nullptr && taken != field) {
        context_.Error(absl::StrCat("excludes ", taken->name(), ", which is set already (",
                                    oneof->name(), ")"));
        return;
      }
    }
    FillOne(node, field, message);
  }

  static bool TakesNull(const FieldDescriptor* field) {
    return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
           field->message_type()->full_name() == "google.protobuf.Value";
  }

  void FillOne(const ConfigNode& node, const FieldDescriptor* field, Message* message) {
    const auto* reflection = message->GetReflection();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Fill(node, field->is_repeated() ? reflection->AddMessage(message, field)
                                      : reflection->MutableMessage(message, field));
      return;
    }
    const std::string error = SetScalar(node, field, message);
    if (!error.empty()) context_.Error(error);
  }

  // A single value stands for a list of one.
  void FillList(const ConfigNode& node, const FieldDescriptor* field, Message* message) {
    if (node.kind == ConfigNode::Kind::kNull) return;
    if (node.kind != ConfigNode::Kind::kList) {
      ParseContext::Scope scope(context_, field->name(), 0);
      Record(node);
      FillOne(node, field, message);
      return;
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      ParseContext::Scope scope(context_, field->name(), i);
      Record(node.items[i]);
      if (node.items[i].kind == ConfigNode::Kind::kNull && !TakesNull(field)) {
        context_.Error("null is not an element");
        continue;
      }
      FillOne(node.items[i], field, message);
    }
  }

  void FillMap(const ConfigNode& node, const FieldDescriptor* field, Message* message) {
    if (node.kind == ConfigNode::Kind::kNull) return;
    if (node.kind != ConfigNode::Kind::kMap) {
      context_.ErrorAt(field->name(), "expected a mapping");
      return;
    }
    const FieldDescriptor* value = field->message_type()->map_value();
    absl::flat_hash_map<std::string, const ConfigNode*> last;
    for (const auto& [key, member] : node.members) last[key] = &member;
    for (const auto& [key, member] : node.members) {
      if (last[key] != &member) continue;
      ParseContext::Scope scope(context_, field->name(), key);
      Record(member);
      Message* entry = message->GetReflection()->AddMessage(message, field);
      ConfigNode key_node;
      key_node.kind = ConfigNode::Kind::kString;
      key_node.text = key;
      const std::string error = SetScalar(key_node, field->message_type()->map_key(), entry);
      if (!error.empty()) context_.Error(error);
      FillOne(member, value, entry);
    }
  }

  void FillAny(const ConfigNode& node, Message* message) {
    if (node.kind == ConfigNode::Kind::kMap && node.members.empty()) return;
    const ConfigNode* type = node.Find("@type");
    if (node.kind != ConfigNode::Kind::kMap || type == nullptr ||
        type->kind != ConfigNode::Kind::kString) {
      context_.Error("expected a mapping with \"@type\"");
      return;
    }
    std::unique_ptr<Message> inner = NewMessage(TypeName(type->text));
    if (inner == nullptr || type->text.find('/') == std::string::npos) {
      context_.Error(absl::StrCat("unknown type ", type->text));
      return;
    }
    if (const ConfigNode* value = node.Find("value");
        value != nullptr && HasOwnSpelling(inner->GetDescriptor())) {
      ParseContext::Scope scope(context_, "value");
      Record(*value);
      FillWellKnown(*value, inner.get(), context_);
    } else if (inner->GetDescriptor()->full_name() == "google.protobuf.Any") {
      context_.Error("an Any within an Any");
    } else {
      FillFields(node, inner.get(), /*skip_type=*/true);
    }
    const Descriptor* any = message->GetDescriptor();
    const auto* reflection = message->GetReflection();
    reflection->SetString(message, any->FindFieldByNumber(1), type->text);
    reflection->SetString(message, any->FindFieldByNumber(2), SerializeDeterministically(*inner));
  }

  static bool HasOwnSpelling(const Descriptor* type) {
    return type->file()->package() == "google.protobuf" && type->name() != "Empty" &&
           type->name() != "Any";
  }

  ParseContext& context_;
  SourceMap* source_;
};

}  // namespace

void FillMessage(const ConfigNode& node, Message* message, ParseContext& context,
                 SourceMap* source) {
  Filler(context, source).Fill(node, message);
}

}  // namespace remora::xds
