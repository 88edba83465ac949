#include "filters/request_match.h"

#include <utility>

#include "absl/strings/match.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "filters/request_parts.h"

namespace remora {

absl::StatusOr<RequestMatch> RequestMatch::Parse(
    const envoy::config::route::v3::RouteMatch& proto) {
  using Proto = envoy::config::route::v3::RouteMatch;
  RequestMatch out;
  if (proto.has_case_sensitive()) out.case_sensitive_ = proto.case_sensitive().value();
  switch (proto.path_specifier_case()) {
    case Proto::kPrefix:
      out.path_ = proto.prefix();
      break;
    case Proto::kPath:
      out.kind_ = Kind::kPath;
      out.path_ = proto.path();
      break;
    case Proto::kSafeRegex: {
      out.kind_ = Kind::kRegex;
      absl::StatusOr<Regex> regex = Regex::Parse(proto.safe_regex());
      if (!regex.ok()) return regex.status();
      out.regex_ = *std::move(regex);
      break;
    }
    case Proto::kConnectMatcher:
      out.kind_ = Kind::kConnect;
      break;
    case Proto::kPathSeparatedPrefix:
      out.kind_ = Kind::kSeparatedPrefix;
      out.path_ = proto.path_separated_prefix();
      break;
    case Proto::kPathMatchPolicy: {
      out.kind_ = Kind::kTemplate;
      envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig config;
      if (!proto.path_match_policy().typed_config().UnpackTo(&config)) {
        return absl::UnimplementedError("this path_match_policy is not supported");
      }
      absl::StatusOr<UriTemplate> compiled = UriTemplate::Compile(config.path_template());
      if (!compiled.ok()) return compiled.status();
      out.template_ = *std::move(compiled);
      break;
    }
    default:
      return absl::UnimplementedError("this path specifier is not supported in a filter's rule");
  }
  for (const auto& header : proto.headers()) {
    absl::StatusOr<HeaderMatcher> matcher = HeaderMatcher::Parse(header);
    if (!matcher.ok()) return matcher.status();
    out.headers_.push_back(*std::move(matcher));
  }
  for (const auto& parameter : proto.query_parameters()) {
    Parameter wanted{parameter.name(), std::nullopt, true};
    if (parameter.has_string_match()) {
      absl::StatusOr<StringMatcher> value = StringMatcher::Parse(parameter.string_match());
      if (!value.ok()) return value.status();
      wanted.value = *std::move(value);
    } else if (parameter.query_parameter_match_specifier_case() ==
               envoy::config::route::v3::QueryParameterMatcher::kPresentMatch) {
      wanted.present = parameter.present_match();
    }
    out.parameters_.push_back(std::move(wanted));
  }
  return out;
}

bool RequestMatch::MatchPath(const Headers& request) const {
  const absl::string_view path = PathOnly(request.path());
  switch (kind_) {
    case Kind::kPrefix:
      return case_sensitive_ ? absl::StartsWith(request.path(), path_)
                             : absl::StartsWithIgnoreCase(request.path(), path_);
    case Kind::kPath:
      return case_sensitive_ ? path == path_ : absl::EqualsIgnoreCase(path, path_);
    case Kind::kRegex:
      return regex_->Match(path);
    case Kind::kTemplate:
      return template_->Match(path);
    case Kind::kConnect:
      return request.method() == "CONNECT";
    case Kind::kSeparatedPrefix: {
      const bool starts =
          case_sensitive_ ? absl::StartsWith(path, path_) : absl::StartsWithIgnoreCase(path, path_);
      return starts && (path.size() == path_.size() || path[path_.size()] == '/');
    }
  }
  return false;
}

bool RequestMatch::Match(const Headers& request) const {
  if (!MatchPath(request) || !MatchAll(headers_, request)) return false;
  for (const Parameter& parameter : parameters_) {
    const std::optional<std::string> value = QueryValue(request.path(), parameter.name);
    if (parameter.value ? !value || !parameter.value->Match(*value)
                        : value.has_value() != parameter.present) {
      return false;
    }
  }
  return true;
}

}  // namespace remora
