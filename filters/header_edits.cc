#include "filters/header_edits.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "envoy/config/common/mutation_rules/v3/mutation_rules.pb.h"
#include "envoy/config/core/v3/base.pb.h"

namespace remora {
namespace {

using Option = envoy::config::core::v3::HeaderValueOption;
using Mutation = envoy::config::common::mutation_rules::v3::HeaderMutation;

}  // namespace

absl::Status HeaderEdits::Add(const Option& option) {
  Edit edit;
  edit.name = absl::AsciiStrToLower(option.header().key());
  edit.keep_empty = option.keep_empty_value();
  switch (option.append_action()) {
    case Option::ADD_IF_ABSENT:
      edit.kind = Kind::kAddIfAbsent;
      break;
    case Option::OVERWRITE_IF_EXISTS_OR_ADD:
      edit.kind = Kind::kOverwrite;
      break;
    case Option::OVERWRITE_IF_EXISTS:
      edit.kind = Kind::kOverwriteIfExists;
      break;
    default:
      if (option.has_append() && !option.append().value()) edit.kind = Kind::kOverwrite;
  }
  const std::string& text =
      option.header().raw_value().empty() ? option.header().value() : option.header().raw_value();
  absl::StatusOr<std::shared_ptr<const Formatter>> value =
      Formatter::Parse(text, Formatter::Missing::kEmpty);
  if (!value.ok()) return value.status();
  edit.value = *std::move(value);
  edits_.push_back(std::move(edit));
  return absl::OkStatus();
}

absl::StatusOr<HeaderEdits> HeaderEdits::Parse(const Options& list) {
  HeaderEdits out;
  for (const Option& option : list) {
    if (absl::Status status = out.Add(option); !status.ok()) return status;
  }
  return out;
}

absl::StatusOr<HeaderEdits> HeaderEdits::Parse(const Mutations& list) {
  HeaderEdits out;
  for (const Mutation& mutation : list) {
    Edit edit;
    switch (mutation.action_case()) {
      case Mutation::kRemove:
        edit.kind = Kind::kRemove;
        edit.name = absl::AsciiStrToLower(mutation.remove());
        out.edits_.push_back(std::move(edit));
        break;
      case Mutation::kRemoveOnMatch: {
        absl::StatusOr<StringMatcher> names =
            StringMatcher::Parse(mutation.remove_on_match().key_matcher());
        if (!names.ok()) return names.status();
        edit.kind = Kind::kRemoveMatching;
        edit.names = *std::move(names);
        out.edits_.push_back(std::move(edit));
        break;
      }
      case Mutation::kAppend:
        if (absl::Status status = out.Add(mutation.append()); !status.ok()) return status;
        break;
      case Mutation::ACTION_NOT_SET:
        return absl::InvalidArgumentError("HeaderMutation: action is required");
    }
  }
  return out;
}

void HeaderEdits::Apply(const StreamInfo& info, Headers& headers) const {
  for (const Edit& edit : edits_) {
    const absl::string_view name(edit.name);
    if (edit.kind == Kind::kRemove) {
      headers.Remove(name);
      continue;
    }
    if (edit.kind == Kind::kRemoveMatching) {
      headers.RemoveIf([&](const Header& header) { return edit.names->Match(header.name); });
      continue;
    }
    const absl::string_view value = edit.value->Format(info, headers.arena());
    if (value.empty() && !edit.keep_empty) continue;
    const bool exists = headers.Get(name).has_value();
    if (edit.kind == Kind::kAppend || (edit.kind == Kind::kAddIfAbsent && !exists)) {
      headers.Add(name, value);
    } else if (edit.kind == Kind::kOverwrite || (edit.kind == Kind::kOverwriteIfExists && exists)) {
      headers.Set(name, value);
    }
  }
}

}  // namespace remora
