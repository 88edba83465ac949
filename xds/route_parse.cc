#include "xds/route_parse.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "xds/route_tree.h"
#include "xds/secret.h"

namespace remora::xds {
namespace {

int StatusOf(envoy::config::route::v3::RedirectAction::RedirectResponseCode c) {
  using Proto = envoy::config::route::v3::RedirectAction;
  switch (c) {
    case Proto::FOUND:
      return 302;
    case Proto::SEE_OTHER:
      return 303;
    case Proto::TEMPORARY_REDIRECT:
      return 307;
    case Proto::PERMANENT_REDIRECT:
      return 308;
    default:
      return 301;
  }
}

template <typename Proto>
std::optional<uint64_t> BufferLimit(const Proto& proto) {
  if (proto.has_request_body_buffer_limit()) {
    return proto.request_body_buffer_limit().value();
  }
  if (proto.has_per_request_buffer_limit_bytes()) {
    return proto.per_request_buffer_limit_bytes().value();
  }
  return std::nullopt;
}

TracingSampling ParseTracing(const envoy::config::route::v3::Tracing& proto) {
  TracingSampling out;
  if (proto.has_client_sampling()) {
    out.client = FractionalPercent::From(proto.client_sampling());
  }
  if (proto.has_random_sampling()) {
    out.random = FractionalPercent::From(proto.random_sampling());
  }
  if (proto.has_overall_sampling()) {
    out.overall = FractionalPercent::From(proto.overall_sampling());
  }
  return out;
}

void ParseAction(const RouteProto& proto, const RouteDefaults& defaults, Route* out,
                 ParseContext& context) {
  switch (proto.action_case()) {
    case RouteProto::kRoute: {
      ParseContext::Scope scope(context, "route");
      out->action = ParseForward(proto.route(), out->match, defaults, context);
      break;
    }
    case RouteProto::kRedirect: {
      ParseContext::Scope scope(context, "redirect");
      out->action = ParseRedirect(proto.redirect(), context);
      break;
    }
    case RouteProto::kDirectResponse: {
      ParseContext::Scope scope(context, "direct_response");
      out->action = ParseDirectResponse(proto.direct_response(), defaults, context);
      break;
    }
    case RouteProto::kNonForwardingAction:
      out->action = NonForwardingAction{};
      break;
    case RouteProto::kFilterAction:
      context.ErrorAt("filter_action", "is not supported");
      break;
    case RouteProto::ACTION_NOT_SET:
      break;
  }
}

using VirtualHostProto = envoy::config::route::v3::VirtualHost;

// What the host gives to routes that say nothing themselves.
void TakeDefaults(const VirtualHostProto& proto, RouteDefaults* defaults, ParseContext& context) {
  if (proto.request_mirror_policies_size() != 0) {
    defaults->mirrors = ParseMirrors(proto.request_mirror_policies(), context);
  }
  if (proto.has_retry_policy()) {
    ParseContext::Scope scope(context, "retry_policy");
    defaults->retry = RetryPolicy::Parse(proto.retry_policy(), context);
  }
  if (proto.has_hedge_policy()) {
    ParseContext::Scope scope(context, "hedge_policy");
    defaults->hedge = HedgePolicy::Parse(proto.hedge_policy(), context);
  }
}

void ParseVirtualClusters(const VirtualHostProto& proto, VirtualHost* out, ParseContext& context) {
  for (int i = 0; i < proto.virtual_clusters_size(); ++i) {
    ParseContext::Scope scope(context, "virtual_clusters", i);
    VirtualCluster cluster;
    cluster.name = proto.virtual_clusters(i).name();
    if (proto.virtual_clusters(i).headers().empty()) {
      context.Error("virtual clusters must define 'headers'");
    }
    for (const auto& header : proto.virtual_clusters(i).headers()) {
      absl::StatusOr<HeaderMatcher> matcher = HeaderMatcher::Parse(header);
      if (matcher.ok()) {
        cluster.headers.push_back(*std::move(matcher));
      } else {
        context.ErrorAt("headers", matcher.status().message());
      }
    }
    out->virtual_clusters.push_back(std::move(cluster));
  }
}

void RefuseOrWarn(const VirtualHostProto& proto, ParseContext& context) {
  if (proto.has_cors()) context.NotHonoured("cors");
  if (proto.has_retry_policy_typed_config()) {
    context.NotHonoured("retry_policy_typed_config");
  }
  if (proto.route_specifiers_size() != 0) {
    context.ErrorAt("route_specifiers", "are not supported");
  }
}

}  // namespace

RedirectAction ParseRedirect(const envoy::config::route::v3::RedirectAction& proto,
                             ParseContext& context) {
  using Proto = envoy::config::route::v3::RedirectAction;
  RedirectAction out;
  out.https = proto.https_redirect();
  out.scheme = proto.scheme_redirect();
  out.host = proto.host_redirect();
  out.port = proto.port_redirect();
  switch (proto.path_rewrite_specifier_case()) {
    case Proto::kPathRedirect:
      out.path = proto.path_redirect();
      break;
    case Proto::kPrefixRewrite:
      out.prefix_rewrite = proto.prefix_rewrite();
      out.has_prefix_rewrite = true;
      break;
    case Proto::kRegexRewrite:
      out.regex_rewrite = ParseSubstitution("regex_rewrite", proto.regex_rewrite(), context);
      break;
    default:
      break;
  }
  out.status = StatusOf(proto.response_code());
  out.strip_query = proto.strip_query();
  return out;
}

DirectResponseAction ParseDirectResponse(
    const envoy::config::route::v3::DirectResponseAction& proto, const RouteDefaults& defaults,
    ParseContext& context) {
  DirectResponseAction out;
  out.status = static_cast<int>(proto.status());
  if (proto.has_body()) {
    ParseContext::Scope scope(context, "body");
    out.body = ParseDataSource(proto.body(), context).bytes;
    if (out.body.size() > defaults.max_direct_response_body) {
      context.Error(absl::StrCat("response body size is ", out.body.size(), " bytes; maximum is ",
                                 defaults.max_direct_response_body));
    }
  }
  if (proto.has_body_format()) {
    ParseContext::Scope scope(context, "body_format");
    out.format = Format::Parse(proto.body_format(), context);
  }
  return out;
}

Route ParseRoute(const RouteProto& proto, const RouteDefaults& defaults, ParseContext& context) {
  Route out;
  out.name = proto.name();
  out.stat_prefix = proto.stat_prefix();
  {
    ParseContext::Scope scope(context, "match");
    out.match = RouteMatch::Parse(proto.match(), context);
    out.match.set_ignore_path_parameters(defaults.ignore_path_parameters);
  }
  ParseAction(proto, defaults, &out, context);
  out.request_headers =
      ParseHeaderMutations("request_headers_to_add", proto.request_headers_to_add(),
                           "request_headers_to_remove", proto.request_headers_to_remove(), context);
  out.response_headers = ParseHeaderMutations(
      "response_headers_to_add", proto.response_headers_to_add(), "response_headers_to_remove",
      proto.response_headers_to_remove(), context);
  out.per_filter = ParsePerFilter(proto.typed_per_filter_config(), context);
  out.metadata = Metadata::From(proto.metadata());
  out.decorator_operation = proto.decorator().operation();
  out.decorator_propagate =
      !proto.decorator().has_propagate() || proto.decorator().propagate().value();
  out.request_buffer_limit = BufferLimit(proto);
  if (proto.has_tracing()) out.tracing = ParseTracing(proto.tracing());
  if (proto.route_specifiers_size() != 0) {
    context.ErrorAt("route_specifiers", "are not supported");
  }
  return out;
}

VirtualHost ParseVirtualHost(const VirtualHostProto& proto, RouteDefaults defaults,
                             ParseContext& context) {
  VirtualHost out;
  out.name = proto.name();
  for (const std::string& domain : proto.domains()) {
    out.domains.push_back(absl::AsciiStrToLower(domain));
  }
  out.require_tls = static_cast<VirtualHost::RequireTls>(proto.require_tls());
  TakeDefaults(proto, &defaults, context);
  out.routes.reserve(proto.routes_size());
  for (int i = 0; i < proto.routes_size(); ++i) {
    ParseContext::Scope scope(context, "routes", i);
    out.routes.push_back(ParseRoute(proto.routes(i), defaults, context));
    out.routes.back().index = static_cast<uint32_t>(i);
  }
  if (proto.has_matcher()) {
    ParseContext::Scope scope(context, "matcher");
    if (!proto.routes().empty())
      context.Error("cannot set both matcher and routes on virtual host");
    const auto parse = [&](const envoy::config::route::v3::Route& route, ParseContext& inner) {
      return ParseRoute(route, defaults, inner);
    };
    out.tree = RouteTree::Parse(proto.matcher(), parse, &out.routes, context);
  }
  ParseVirtualClusters(proto, &out, context);
  out.request_headers =
      ParseHeaderMutations("request_headers_to_add", proto.request_headers_to_add(),
                           "request_headers_to_remove", proto.request_headers_to_remove(), context);
  out.response_headers = ParseHeaderMutations(
      "response_headers_to_add", proto.response_headers_to_add(), "response_headers_to_remove",
      proto.response_headers_to_remove(), context);
  out.per_filter = ParsePerFilter(proto.typed_per_filter_config(), context);
  out.metadata = Metadata::From(proto.metadata());
  out.include_request_attempt_count = proto.include_request_attempt_count();
  out.include_attempt_count_in_response = proto.include_attempt_count_in_response();
  out.include_is_timeout_retry_header = proto.include_is_timeout_retry_header();
  out.request_buffer_limit = BufferLimit(proto);
  absl::StatusOr<std::shared_ptr<const RateLimits>> limits = RateLimits::Parse(proto.rate_limits());
  if (limits.ok()) {
    out.rate_limits = *std::move(limits);
  } else {
    context.ErrorAt("rate_limits", limits.status().message());
  }
  RefuseOrWarn(proto, context);
  return out;
}

}  // namespace remora::xds
