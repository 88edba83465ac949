#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/type/matcher/v3/filter_state.pb.h"
#include "xds/extension.h"
#include "xds/route_match.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::route::v3::RouteMatch;

// Adds what `Parse` makes of each item, or the reason why it does not.
template <typename Parse, typename List, typename Out>
void ParseEach(const char* field, const List& list, Parse parse, Out* out, ParseContext& context) {
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    auto parsed = parse(list[i]);
    if (parsed.ok()) {
      out->push_back(*std::move(parsed));
    } else {
      context.Error(parsed.status());
    }
  }
}

std::shared_ptr<const UriTemplate> ParsePathPolicy(
    const envoy::config::core::v3::TypedExtensionConfig& proto, std::string* pattern,
    ParseContext& context) {
  ParseContext::Scope scope(context, "path_match_policy");
  const Extension extension = ParseExtension(proto, context);
  envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig config;
  if (extension.type_name() != config.GetDescriptor()->full_name()) {
    context.Error(absl::StrCat("path match policy ", extension.type_url, " is not supported"));
    return nullptr;
  }
  ParseContext::Scope inner(context, "typed_config");
  if (!DecodeInto(extension, &config, context)) return nullptr;
  *pattern = config.path_template();
  absl::StatusOr<UriTemplate> compiled = UriTemplate::Compile(*pattern);
  if (!compiled.ok()) {
    context.ErrorAt("path_template", compiled.status().message());
    return nullptr;
  }
  return std::make_shared<const UriTemplate>(*std::move(compiled));
}

}  // namespace

QueryParameterMatcher QueryParameterMatcher::Parse(
    const envoy::config::route::v3::QueryParameterMatcher& proto, ParseContext& context) {
  QueryParameterMatcher out;
  out.name = proto.name();
  if (proto.has_string_match()) {
    absl::StatusOr<StringMatcher> value = StringMatcher::Parse(proto.string_match());
    if (value.ok()) {
      out.value = *std::move(value);
    } else {
      context.ErrorAt("string_match", value.status().message());
    }
  } else if (proto.has_present_match()) {
    out.present = proto.present_match();
  }
  return out;
}

void RouteMatch::ParsePath(const Proto& proto, ParseContext& context) {
  switch (proto.path_specifier_case()) {
    case Proto::kPrefix:
      path_kind_ = PathKind::kPrefix;
      path_ = proto.prefix();
      break;
    case Proto::kPath:
      path_kind_ = PathKind::kExact;
      path_ = proto.path();
      break;
    case Proto::kSafeRegex: {
      path_kind_ = PathKind::kRegex;
      path_ = proto.safe_regex().regex();
      absl::StatusOr<Regex> regex = Regex::Parse(proto.safe_regex());
      if (regex.ok()) {
        regex_ = *std::move(regex);
      } else {
        context.ErrorAt("safe_regex", regex.status().message());
      }
      break;
    }
    case Proto::kConnectMatcher:
      path_kind_ = PathKind::kConnect;
      break;
    case Proto::kPathSeparatedPrefix:
      path_kind_ = PathKind::kSeparatedPrefix;
      path_ = proto.path_separated_prefix();
      break;
    case Proto::kPathMatchPolicy:
      path_kind_ = PathKind::kTemplate;
      template_ = ParsePathPolicy(proto.path_match_policy(), &path_, context);
      break;
    case Proto::PATH_SPECIFIER_NOT_SET:
      break;  // the proto's own rule says so
  }
}

void RouteMatch::ParseConditions(const Proto& proto, ParseContext& context) {
  if (proto.has_runtime_fraction()) {
    runtime_fraction_ = RuntimeFraction::From(proto.runtime_fraction());
  }
  grpc_ = proto.has_grpc();
  if (proto.tls_context().has_presented()) {
    tls_presented_ = proto.tls_context().presented().value();
  }
  if (proto.tls_context().has_validated()) {
    tls_validated_ = proto.tls_context().validated().value();
  }
  ParseEach("headers", proto.headers(), HeaderMatcher::Parse, &headers_, context);
  for (int i = 0; i < proto.query_parameters_size(); ++i) {
    ParseContext::Scope scope(context, "query_parameters", i);
    query_parameters_.push_back(QueryParameterMatcher::Parse(proto.query_parameters(i), context));
  }
  const auto cookie =
      [](const envoy::config::route::v3::CookieMatcher& item) -> absl::StatusOr<CookieMatcher> {
    absl::StatusOr<StringMatcher> value = StringMatcher::Parse(item.string_match());
    if (!value.ok()) return value.status();
    return CookieMatcher{item.name(), *std::move(value), item.invert_match()};
  };
  ParseEach("cookies", proto.cookies(), cookie, &cookies_, context);
  ParseEach("dynamic_metadata", proto.dynamic_metadata(), MetadataMatcher::Parse,
            &dynamic_metadata_, context);
  const auto state = [](const envoy::type::matcher::v3::FilterStateMatcher& item)
      -> absl::StatusOr<FilterStateMatcher> {
    if (!item.has_string_match()) {
      // Passing it over would match more requests than were meant.
      return absl::InvalidArgumentError("matching filter state by address is not supported");
    }
    absl::StatusOr<StringMatcher> value = StringMatcher::Parse(item.string_match());
    if (!value.ok()) return value.status();
    return FilterStateMatcher{item.key(), *std::move(value)};
  };
  ParseEach("filter_state", proto.filter_state(), state, &filter_state_, context);
  plain_ = !grpc_ && headers_.empty() && query_parameters_.empty() && cookies_.empty() &&
           dynamic_metadata_.empty() && filter_state_.empty() && !runtime_fraction_.has_value() &&
           !tls_presented_.has_value() && !tls_validated_.has_value();
}

RouteMatch RouteMatch::Parse(const Proto& proto, ParseContext& context) {
  RouteMatch out;
  out.case_sensitive_ = !proto.has_case_sensitive() || proto.case_sensitive().value();
  out.ParsePath(proto, context);
  out.ParseConditions(proto, context);
  return out;
}

}  // namespace remora::xds
