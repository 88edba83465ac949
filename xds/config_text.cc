#include "xds/config_text.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "xds/node_to_proto.h"
#include "xds/type_registry.h"
#include "xds/validate.h"

namespace remora::xds {
namespace {

using google::protobuf::Message;

// Hands the text parser's complaints to a context.
class Collector : public google::protobuf::io::ErrorCollector {
 public:
  Collector(absl::string_view file, ParseContext& context) : file_(file), context_(context) {}
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    context_.Error(absl::StrCat(file_, ":", line + 1, ":", column + 1, ": ", message));
  }

 private:
  absl::string_view file_;
  ParseContext& context_;
};

// Resolves Anys of the text format in everything that is known.
class Finder : public google::protobuf::TextFormat::Finder {
 public:
  const google::protobuf::Descriptor* FindAnyType(const Message&, const std::string&,
                                                  const std::string& name) const override {
    const std::unique_ptr<Message> message = NewMessage(name);
    return message == nullptr ? nullptr : message->GetDescriptor();
  }
};

void ReadProtoText(absl::string_view text, absl::string_view file, Message* message,
                   ParseContext& context) {
  Collector collector(file, context);
  Finder finder;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&collector);
  parser.SetFinder(&finder);
  parser.ParseFromString(std::string(text), message);
}

void ReadTree(const absl::StatusOr<ConfigNode>& tree, Message* message, ParseContext& context,
              SourceMap* source) {
  if (tree.ok()) {
    FillMessage(*tree, message, context, source);
  } else {
    context.Error(tree.status());
  }
}

}  // namespace

TextFormat FormatOf(absl::string_view path) {
  if (absl::EndsWithIgnoreCase(path, ".yaml") || absl::EndsWithIgnoreCase(path, ".yml")) {
    return TextFormat::kYaml;
  }
  if (absl::EndsWithIgnoreCase(path, ".pb")) return TextFormat::kBinary;
  if (absl::EndsWithIgnoreCase(path, ".pb_text") || absl::EndsWithIgnoreCase(path, ".textproto")) {
    return TextFormat::kProtoText;
  }
  return TextFormat::kJson;
}

void ReadInto(TextFormat format, absl::string_view text, absl::string_view file, Message* message,
              ParseContext& context, SourceMap* source) {
  switch (format) {
    case TextFormat::kYaml:
      return ReadTree(ReadYaml(text, file), message, context, source);
    case TextFormat::kJson:
      return ReadTree(ReadJson(text, file), message, context, source);
    case TextFormat::kProtoText:
      return ReadProtoText(text, file, message, context);
    case TextFormat::kBinary:
      if (message->ParseFromArray(text.data(), static_cast<int>(text.size()))) {
        CheckUnknownFields(*message, context);
      } else {
        context.Error(absl::StrCat("Unable to parse file \"", file,
                                   "\" as a binary protobuf (type ",
                                   message->GetDescriptor()->full_name(), ")"));
      }
  }
}

}  // namespace remora::xds
