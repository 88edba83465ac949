#include "xds/header_mutation.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/base.pb.h"
#include "xds/formatting.h"

namespace remora::xds {
namespace {

using Option = envoy::config::core::v3::HeaderValueOption;

AppendAction ActionOf(const Option& option, ParseContext& context) {
  if (option.has_append()) {
    if (option.append_action() != Option::APPEND_IF_EXISTS_OR_ADD) {
      context.Error("Both append and append_action are set and it's not allowed");
    }
    return option.append().value() ? AppendAction::kAppendOrAdd : AppendAction::kOverwriteOrAdd;
  }
  switch (option.append_action()) {
    case Option::ADD_IF_ABSENT:
      return AppendAction::kAddIfAbsent;
    case Option::OVERWRITE_IF_EXISTS_OR_ADD:
      return AppendAction::kOverwriteOrAdd;
    case Option::OVERWRITE_IF_EXISTS:
      return AppendAction::kOverwriteIfExists;
    default:
      return AppendAction::kAppendOrAdd;
  }
}

bool MayBeTouched(absl::string_view lower_name) {
  return !absl::StartsWith(lower_name, ":") && lower_name != "host";
}

}  // namespace

std::vector<HeaderAddition> ParseHeaderAdditions(absl::string_view field,
                                                 const HeaderValueOptions& list,
                                                 ParseContext& context) {
  std::vector<HeaderAddition> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    const Option& option = list[i];
    HeaderAddition added;
    added.name = absl::AsciiStrToLower(option.header().key());
    if (!MayBeTouched(added.name)) {
      context.Error(":-prefixed or host headers may not be modified");
    }
    added.action = ActionOf(option, context);
    added.keep_empty = option.keep_empty_value();
    ParseContext::Scope header(context, "header");
    // Envoy has no eye for raw_value here.
    if (!option.header().raw_value().empty()) context.NotHonoured("raw_value");
    FormattedText value = CompileText(option.header().value(), Formatter::Missing::kEmpty, context);
    added.text = std::move(value.text);
    added.formatter = std::move(value.formatter);
    out.push_back(std::move(added));
  }
  return out;
}

HeaderMutations ParseHeaderMutations(absl::string_view add_field, const HeaderValueOptions& add,
                                     absl::string_view remove_field,
                                     const google::protobuf::RepeatedPtrField<std::string>& remove,
                                     ParseContext& context) {
  HeaderMutations out;
  out.add = ParseHeaderAdditions(add_field, add, context);
  for (int i = 0; i < remove.size(); ++i) {
    out.remove.push_back(absl::AsciiStrToLower(remove[i]));
    if (!MayBeTouched(out.remove.back())) {
      ParseContext::Scope scope(context, remove_field, i);
      context.Error(":-prefixed or host headers may not be removed");
    }
  }
  return out;
}

}  // namespace remora::xds
