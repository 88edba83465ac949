#include "filters/formatter.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "filters/json_text.h"
#include "filters/metadata.h"

namespace remora {
namespace {

constexpr absl::string_view kDefaultFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

// One command as it is written, "%NAME(ARGUMENT):LENGTH%".
struct Command {
  absl::string_view name;
  std::optional<absl::string_view> argument;
  std::optional<size_t> length;
  size_t size = 0;  // of the whole
};

bool IsNameChar(char c) { return absl::ascii_isupper(c) || absl::ascii_isdigit(c) || c == '_'; }

// Reads ":LENGTH%" or "%" at `rest`; the number of characters read, 0 when neither is there.
size_t ReadEnd(absl::string_view rest, std::optional<size_t>* length) {
  if (!rest.empty() && rest[0] == '%') return 1;
  if (rest.empty() || rest[0] != ':') return 0;
  size_t end = 1;
  while (end < rest.size() && absl::ascii_isdigit(rest[end])) ++end;
  size_t value = 0;
  if (end >= rest.size() || rest[end] != '%' ||
      !absl::SimpleAtoi(rest.substr(1, end - 1), &value)) {
    return 0;
  }
  *length = value;
  return end + 1;
}

// `text` begins with a percent sign. An argument may hold anything, parentheses too: it ends at the
// first one behind which the command can end.
std::optional<Command> ReadCommand(absl::string_view text) {
  size_t at = 1;
  while (at < text.size() && IsNameChar(text[at])) ++at;
  Command command;
  command.name = text.substr(1, at - 1);
  if (command.name.empty()) return std::nullopt;
  if (const size_t end = ReadEnd(text.substr(at), &command.length); end != 0) {
    command.size = at + end;
    return command;
  }
  if (at >= text.size() || text[at] != '(') return std::nullopt;
  const size_t begin = at + 1;
  for (size_t close = text.find(')', begin); close != absl::string_view::npos;
       close = text.find(')', close + 1)) {
    const size_t end = ReadEnd(text.substr(close + 1), &command.length);
    if (end == 0) continue;
    command.argument = text.substr(begin, close - begin);
    command.size = close + 1 + end;
    return command;
  }
  return std::nullopt;
}

void AppendText(const FormatValue& value, Formatter::Missing missing, std::string* out) {
  switch (value.kind) {
    case FormatValue::Kind::kMissing:
      if (missing == Formatter::Missing::kDash) out->push_back('-');
      break;
    case FormatValue::Kind::kNumber:
      absl::StrAppend(out, value.number);
      break;
    case FormatValue::Kind::kText:
    case FormatValue::Kind::kJson:
      absl::StrAppend(out, value.text);
      break;
  }
}

// Scratch of the thread: formatting must not allocate once it is warm.
std::string* Scratch() {
  thread_local std::string scratch;
  return &scratch;
}

}  // namespace

absl::Status Formatter::CompileText(absl::string_view text, std::vector<FormatOperator>* out) {
  std::string literal;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '%') {
      literal.push_back(text[i++]);
      continue;
    }
    if (text.substr(i, 2) == "%%") {
      literal.push_back('%');
      i += 2;
      continue;
    }
    const std::optional<Command> command = ReadCommand(text.substr(i));
    if (!command) {
      return absl::InvalidArgumentError(absl::StrCat(
          "Incorrect configuration: ", text, ". Couldn't find valid command at position ", i));
    }
    absl::StatusOr<FormatOperator> parsed =
        FormatOperator::Parse(command->name, command->argument, command->length);
    if (!parsed.ok()) return parsed.status();
    if (!literal.empty()) out->push_back(FormatOperator::Literal(std::exchange(literal, {})));
    out->push_back(*std::move(parsed));
    i += command->size;
  }
  if (!literal.empty()) out->push_back(FormatOperator::Literal(std::move(literal)));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Formatter>> Formatter::Parse(absl::string_view text,
                                                                  Missing missing) {
  auto out = std::make_shared<Formatter>();
  out->missing_ = missing;
  if (absl::Status status = CompileText(text, &out->operators_); !status.ok()) return status;
  return std::shared_ptr<const Formatter>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const Formatter>> Formatter::ParseJson(const MetadataValue& object,
                                                                      Missing missing) {
  auto out = std::make_shared<Formatter>();
  out->json_ = true;
  out->missing_ = missing;
  if (absl::Status status = CompileJson(object, &out->root_); !status.ok()) return status;
  return std::shared_ptr<const Formatter>(std::move(out));
}

std::shared_ptr<const Formatter> Formatter::Default() {
  static const auto* const formatter =
      new std::shared_ptr<const Formatter>(*Formatter::Parse(kDefaultFormat));
  return *formatter;
}

bool Formatter::is_plain() const {
  if (json_) return false;
  for (const FormatOperator& op : operators_) {
    if (!op.is_literal()) return false;
  }
  return true;
}

absl::Status Formatter::CompileJson(const MetadataValue& value, JsonNode* out) {
  if (const auto* fields = value.fields()) {
    out->kind = JsonNode::Kind::kObject;
    for (const auto& [name, child] : *fields) {
      JsonNode node;
      AppendJsonString(name, &node.name);
      if (absl::Status status = CompileJson(child, &node); !status.ok()) return status;
      out->children.push_back(std::move(node));
    }
    return absl::OkStatus();
  }
  if (const auto* list = value.list()) {
    out->kind = JsonNode::Kind::kList;
    for (const MetadataValue& child : *list) {
      JsonNode node;
      if (absl::Status status = CompileJson(child, &node); !status.ok()) return status;
      out->children.push_back(std::move(node));
    }
    return absl::OkStatus();
  }
  if (value.text() == nullptr) {
    out->kind = value.is_null() ? JsonNode::Kind::kNull : JsonNode::Kind::kFixed;
    out->fixed = value.ToJson();
    return absl::OkStatus();
  }
  if (absl::Status status = CompileText(*value.text(), &out->operators); !status.ok()) {
    return status;
  }
  if (out->operators.empty() || (out->operators.size() == 1 && out->operators[0].is_literal())) {
    out->kind = JsonNode::Kind::kFixed;
    AppendJsonString(out->operators.empty() ? "" : out->operators[0].literal(), &out->fixed);
    return absl::OkStatus();
  }
  out->kind = out->operators.size() == 1 ? JsonNode::Kind::kValue : JsonNode::Kind::kText;
  return absl::OkStatus();
}

// Appends the value of `node`; false when there is none and such fields are left out.
bool Formatter::FormatNode(const JsonNode& node, const StreamInfo& info, std::string* out) const {
  const bool omit = missing_ == Missing::kEmpty;
  switch (node.kind) {
    case JsonNode::Kind::kNull:
      if (omit) return false;
      out->append("null");
      return true;
    case JsonNode::Kind::kFixed:
      out->append(node.fixed);
      return true;
    case JsonNode::Kind::kList:
      return FormatList(node, info, out);
    case JsonNode::Kind::kObject:
      return FormatObject(node, info, out);
    case JsonNode::Kind::kText: {
      thread_local std::string text;
      text.clear();
      for (const FormatOperator& op : node.operators) {
        AppendText(op.Evaluate(info, Scratch()), missing_, &text);
      }
      AppendJsonString(text, out);
      return true;
    }
    case JsonNode::Kind::kValue:
      break;
  }
  const FormatValue value = node.operators[0].Evaluate(info, Scratch());
  switch (value.kind) {
    case FormatValue::Kind::kMissing:
      if (omit) return false;
      out->append("null");
      break;
    case FormatValue::Kind::kText:
      AppendJsonString(value.text, out);
      break;
    case FormatValue::Kind::kNumber:
      absl::StrAppend(out, value.number);
      break;
    case FormatValue::Kind::kJson:
      absl::StrAppend(out, value.text);
      break;
  }
  return true;
}

bool Formatter::FormatList(const JsonNode& node, const StreamInfo& info, std::string* out) const {
  out->push_back('[');
  bool first = true;
  for (const JsonNode& child : node.children) {
    const size_t before = out->size();
    if (!first) out->push_back(',');
    if (FormatNode(child, info, out)) {
      first = false;
    } else {
      out->resize(before);
    }
  }
  out->push_back(']');
  return true;
}

bool Formatter::FormatObject(const JsonNode& node, const StreamInfo& info, std::string* out) const {
  out->push_back('{');
  bool first = true;
  for (const JsonNode& child : node.children) {
    const size_t before = out->size();
    if (!first) out->push_back(',');
    absl::StrAppend(out, child.name, ":");
    if (FormatNode(child, info, out)) {
      first = false;
    } else {
      out->resize(before);
    }
  }
  out->push_back('}');
  return !first || missing_ == Missing::kDash || &node == &root_;
}

void Formatter::Format(const StreamInfo& info, std::string* out) const {
  if (json_) {
    FormatNode(root_, info, out);
    out->push_back('\n');
    return;
  }
  for (const FormatOperator& op : operators_) {
    if (op.is_literal()) {
      out->append(op.literal());
    } else {
      AppendText(op.Evaluate(info, Scratch()), missing_, out);
    }
  }
}

absl::string_view Formatter::Format(const StreamInfo& info, Arena& arena) const {
  thread_local std::string text;
  text.clear();
  Format(info, &text);
  return arena.Copy(text);
}

}  // namespace remora
