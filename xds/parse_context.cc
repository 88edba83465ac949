#include "xds/parse_context.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "xds/config_node.h"

namespace remora::xds {

ParseContext::Scope::Scope(ParseContext& context, absl::string_view field)
    : context_(context), length_(context.path_.size()) {
  if (length_ != 0) context_.path_.push_back('.');
  context_.path_.append(field.data(), field.size());
}

ParseContext::Scope::Scope(ParseContext& context, absl::string_view field, size_t index)
    : Scope(context, field) {
  absl::StrAppend(&context_.path_, "[", index, "]");
}

ParseContext::Scope::Scope(ParseContext& context, absl::string_view field, absl::string_view key)
    : Scope(context, field) {
  absl::StrAppend(&context_.path_, "[\"", key, "\"]");
}

void ParseContext::Add(std::vector<Finding>& list, absl::string_view field,
                       absl::string_view message) {
  Finding finding{path_, std::string(message)};
  if (!field.empty()) {
    absl::StrAppend(&finding.path, finding.path.empty() ? "" : ".", field);
  }
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].path != finding.path) continue;
    if (list[i].message == finding.message) return;
    if (&list == &errors_ && i < sealed_) return;
  }
  list.push_back(std::move(finding));
}

void ParseContext::Error(const absl::Status& status) {
  if (!status.ok()) Error(status.message());
}

void ParseContext::NotHonoured(absl::string_view field) {
  Add(warnings_, field, "is known but not honoured yet");
}

bool ParseContext::HasErrorWithin(absl::string_view path) const {
  for (const Finding& error : errors_) {
    if (!absl::StartsWith(error.path, path)) continue;
    if (error.path.size() == path.size()) return true;
    const char next = error.path[path.size()];
    if (path.empty() || next == '.' || next == '[') return true;
  }
  return false;
}

std::string ParseContext::Describe(const Finding& finding) const {
  std::string text;
  if (source_ != nullptr) {
    absl::StrAppend(&text, source_->Locate(finding.path), ": ");
  }
  if (!finding.path.empty()) absl::StrAppend(&text, finding.path, ": ");
  absl::StrAppend(&text, finding.message);
  return text;
}

absl::Status ParseContext::status() const { return StatusSince(0); }

absl::Status ParseContext::StatusSince(size_t since) const {
  if (errors_.size() <= since) return absl::OkStatus();
  std::string text;
  std::string plain;
  for (size_t i = since; i < errors_.size(); ++i) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", Describe(errors_[i]));
    absl::StrAppend(&plain, plain.empty() ? "" : "\n", errors_[i].message);
  }
  absl::Status status = absl::InvalidArgumentError(text);
  status.SetPayload(kPlainText, absl::Cord(plain));
  return status;
}

std::string PlainText(const absl::Status& status) {
  const absl::optional<absl::Cord> plain = status.GetPayload(kPlainText);
  return plain.has_value() ? std::string(*plain) : std::string(status.message());
}

}  // namespace remora::xds
