#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config.pb.h"
#include "envoy/extensions/internal_redirect/previous_routes/v3/previous_routes_config.pb.h"
#include "envoy/extensions/internal_redirect/safe_cross_scheme/v3/safe_cross_scheme_config.pb.h"
#include "envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite.pb.h"
#include "xds/durations.h"
#include "xds/formatting.h"
#include "xds/lb_labels.h"
#include "xds/route_parse.h"

namespace remora::xds {
namespace {

using WeightedProto = envoy::config::route::v3::WeightedCluster;

WeightedCluster ParseWeight(const WeightedProto::ClusterWeight& proto, ParseContext& context) {
  WeightedCluster out;
  out.name = proto.name();
  out.cluster_header = absl::AsciiStrToLower(proto.cluster_header());
  if (out.name.empty() == out.cluster_header.empty()) {
    context.Error(out.name.empty() ? "At least one of name or cluster_header need to be specified"
                                   : "Only one of name or cluster_header can be specified");
  }
  out.weight = proto.weight().value();
  out.metadata_match = Metadata::From(proto.metadata_match());
  out.request_headers =
      ParseHeaderMutations("request_headers_to_add", proto.request_headers_to_add(),
                           "request_headers_to_remove", proto.request_headers_to_remove(), context);
  out.response_headers = ParseHeaderMutations(
      "response_headers_to_add", proto.response_headers_to_add(), "response_headers_to_remove",
      proto.response_headers_to_remove(), context);
  out.per_filter = ParsePerFilter(proto.typed_per_filter_config(), context);
  out.host_rewrite = proto.host_rewrite_literal();
  return out;
}

void ParseWeighted(const WeightedProto& proto, ForwardAction* out, ParseContext& context) {
  ParseContext::Scope scope(context, "weighted_clusters");
  out->cluster_by = ForwardAction::ClusterBy::kWeights;
  for (int i = 0; i < proto.clusters_size(); ++i) {
    ParseContext::Scope item(context, "clusters", i);
    out->weighted.push_back(ParseWeight(proto.clusters(i), context));
    out->total_weight += out->weighted.back().weight;
  }
  if (out->total_weight > std::numeric_limits<uint32_t>::max()) {
    context.Error("The sum of weights of all weighted clusters exceeds 4294967295");
  }
  if (out->total_weight == 0) {
    context.Error("Sum of weights in the weighted_cluster must be greater than 0.");
  }
  if (proto.has_total_weight() && proto.total_weight().value() != out->total_weight) {
    context.Warn("total_weight is not the sum of weights, which counts");
  }
  out->weight_runtime_prefix = proto.runtime_key_prefix();
  out->weight_header = absl::AsciiStrToLower(proto.header_name());
  out->weight_by_hash_policy = proto.use_hash_policy().value();
}

void ParseTarget(const RouteActionProto& proto, ForwardAction* out, ParseContext& context) {
  switch (proto.cluster_specifier_case()) {
    case RouteActionProto::kCluster:
      out->cluster = proto.cluster();
      break;
    case RouteActionProto::kClusterHeader:
      out->cluster_by = ForwardAction::ClusterBy::kHeader;
      out->cluster = absl::AsciiStrToLower(proto.cluster_header());
      break;
    case RouteActionProto::kWeightedClusters:
      ParseWeighted(proto.weighted_clusters(), out, context);
      break;
    case RouteActionProto::kClusterSpecifierPlugin:
    case RouteActionProto::kInlineClusterSpecifierPlugin:
      out->cluster_by = ForwardAction::ClusterBy::kPlugin;
      context.Error("cluster specifier plug-ins are not supported");
      break;
    case RouteActionProto::CLUSTER_SPECIFIER_NOT_SET:
      break;
  }
  switch (proto.cluster_not_found_response_code()) {
    case RouteActionProto::NOT_FOUND:
      out->cluster_not_found_status = 404;
      break;
    case RouteActionProto::INTERNAL_SERVER_ERROR:
      out->cluster_not_found_status = 500;
      break;
    default:
      out->cluster_not_found_status = 503;
  }
}

void ParseTemplateRewrite(const envoy::config::core::v3::TypedExtensionConfig& proto,
                          const RouteMatch& match, ForwardAction* out, ParseContext& context) {
  ParseContext::Scope scope(context, "path_rewrite_policy");
  const Extension extension = ParseExtension(proto, context);
  envoy::extensions::path::rewrite::uri_template::v3::UriTemplateRewriteConfig config;
  if (extension.type_name() != config.GetDescriptor()->full_name()) {
    return context.Error(
        absl::StrCat("path rewrite policy ", extension.type_url, " is not supported"));
  }
  ParseContext::Scope inner(context, "typed_config");
  if (!DecodeInto(extension, &config, context)) return;
  out->template_rewrite = config.path_template_rewrite();
  if (match.uri_template() == nullptr) {
    return context.Error("unable to use a URI template rewrite without a URI template match");
  }
  context.Error(match.uri_template()->CheckRewrite(out->template_rewrite));
}

void ParsePathRewrite(const RouteActionProto& proto, const RouteMatch& match, ForwardAction* out,
                      ParseContext& context) {
  out->prefix_rewrite = proto.prefix_rewrite();
  if (proto.has_regex_rewrite()) {
    out->regex_rewrite = ParseSubstitution("regex_rewrite", proto.regex_rewrite(), context);
  }
  if (proto.has_path_rewrite_policy()) {
    ParseTemplateRewrite(proto.path_rewrite_policy(), match, out, context);
  }
  if (!proto.path_rewrite().empty()) {
    ParseContext::Scope scope(context, "path_rewrite");
    FormattedText text = CompileText(proto.path_rewrite(), Formatter::Missing::kEmpty, context);
    out->path_rewrite_text = std::move(text.text);
    out->path_rewrite = std::move(text.formatter);
  }
  const int ways = !proto.prefix_rewrite().empty() + proto.has_regex_rewrite() +
                   proto.has_path_rewrite_policy() + !proto.path_rewrite().empty();
  if (ways > 1) {
    context.Error(
        "Specify only one of prefix_rewrite, regex_rewrite, "
        "path_rewrite_policy or path_rewrite");
  }
}

void ParseHostRewrite(const RouteActionProto& proto, ForwardAction* out, ParseContext& context) {
  switch (proto.host_rewrite_specifier_case()) {
    case RouteActionProto::kHostRewriteLiteral:
      out->host_rewrite_literal = proto.host_rewrite_literal();
      break;
    case RouteActionProto::kAutoHostRewrite:
      out->auto_host_rewrite = proto.auto_host_rewrite().value();
      break;
    case RouteActionProto::kHostRewriteHeader:
      out->host_rewrite_header = absl::AsciiStrToLower(proto.host_rewrite_header());
      break;
    case RouteActionProto::kHostRewritePathRegex:
      out->host_rewrite_path_regex =
          ParseSubstitution("host_rewrite_path_regex", proto.host_rewrite_path_regex(), context);
      break;
    case RouteActionProto::kHostRewrite: {
      ParseContext::Scope scope(context, "host_rewrite");
      FormattedText text = CompileText(proto.host_rewrite(), Formatter::Missing::kDash, context);
      out->host_rewrite_text = std::move(text.text);
      out->host_rewrite = std::move(text.formatter);
      break;
    }
    case RouteActionProto::HOST_REWRITE_SPECIFIER_NOT_SET:
      break;
  }
  out->append_x_forwarded_host = proto.append_x_forwarded_host();
}

void ParseTimeouts(const RouteActionProto& proto, ForwardAction* out) {
  if (proto.has_timeout()) out->timeout = FromProto(proto.timeout());
  if (proto.has_idle_timeout()) {
    out->idle_timeout = FromProto(proto.idle_timeout());
  }
  if (proto.has_flush_timeout()) {
    out->flush_timeout = FromProto(proto.flush_timeout());
  }
  if (proto.has_max_grpc_timeout()) {
    out->grpc_timeout.header_max = FromProto(proto.max_grpc_timeout());
  }
  if (proto.has_grpc_timeout_offset()) {
    out->grpc_timeout.header_offset = FromProto(proto.grpc_timeout_offset());
  }
  if (!proto.has_max_stream_duration()) return;
  const auto& stream = proto.max_stream_duration();
  StreamDuration& limit = out->stream_duration.emplace();
  if (stream.has_max_stream_duration()) {
    limit.most = FromProto(stream.max_stream_duration());
  }
  if (stream.has_grpc_timeout_header_max()) {
    limit.grpc.header_max = FromProto(stream.grpc_timeout_header_max());
  }
  if (stream.has_grpc_timeout_header_offset()) {
    limit.grpc.header_offset = FromProto(stream.grpc_timeout_header_offset());
  }
}

void ParseUpgrades(const RouteActionProto& proto, ForwardAction* out, ParseContext& context) {
  absl::flat_hash_set<std::string> seen;
  for (int i = 0; i < proto.upgrade_configs_size(); ++i) {
    ParseContext::Scope scope(context, "upgrade_configs", i);
    const auto& item = proto.upgrade_configs(i);
    UpgradeSetting upgrade;
    upgrade.type = absl::AsciiStrToLower(item.upgrade_type());
    upgrade.enabled = !item.has_enabled() || item.enabled().value();
    if (!seen.insert(upgrade.type).second) {
      context.Error(absl::StrCat("Duplicate upgrade ", item.upgrade_type()));
    }
    if (item.has_connect_config()) {
      if (upgrade.type != "connect" && upgrade.type != "connect-udp") {
        context.Error(
            absl::StrCat("Non-CONNECT upgrade type ", item.upgrade_type(), " has ConnectConfig"));
      }
      upgrade.terminate_connect = true;
      upgrade.connect_allow_post = item.connect_config().allow_post();
      if (item.connect_config().has_proxy_protocol_config()) {
        context.NotHonoured("connect_config.proxy_protocol_config");
      }
    }
    out->upgrades.push_back(std::move(upgrade));
  }
}

RedirectPredicate ParsePredicate(const envoy::config::core::v3::TypedExtensionConfig& proto,
                                 ParseContext& context) {
  using Kind = RedirectPredicate::Kind;
  namespace pb = envoy::extensions::internal_redirect;
  RedirectPredicate out;
  const Extension extension = ParseExtension(proto, context);
  pb::previous_routes::v3::PreviousRoutesConfig previous;
  pb::allow_listed_routes::v3::AllowListedRoutesConfig allowed;
  pb::safe_cross_scheme::v3::SafeCrossSchemeConfig safe;
  ParseContext::Scope scope(context, "typed_config");
  if (extension.type_name() == previous.GetDescriptor()->full_name()) {
    DecodeInto(extension, &previous, context);
  } else if (extension.type_name() == allowed.GetDescriptor()->full_name()) {
    out.kind = Kind::kAllowed;
    DecodeInto(extension, &allowed, context);
    out.names.assign(allowed.allowed_route_names().begin(), allowed.allowed_route_names().end());
  } else if (extension.type_name() == safe.GetDescriptor()->full_name()) {
    out.kind = Kind::kSafeScheme;
    DecodeInto(extension, &safe, context);
  } else {
    context.Error(absl::StrCat("Didn't find a registered implementation for '", extension.name,
                               "' with type URL: '", extension.type_url, "'"));
  }
  return out;
}

void ParseInternalRedirect(const RouteActionProto& proto, ForwardAction* out,
                           ParseContext& context) {
  if (!proto.has_internal_redirect_policy()) {
    if (proto.internal_redirect_action() == RouteActionProto::HANDLE_INTERNAL_REDIRECT) {
      out->internal_redirect.emplace();
      if (proto.has_max_internal_redirects()) {
        out->internal_redirect->max_redirects = proto.max_internal_redirects().value();
      }
    }
    return;
  }
  ParseContext::Scope scope(context, "internal_redirect_policy");
  const auto& policy = proto.internal_redirect_policy();
  InternalRedirectPolicy redirect;
  if (policy.has_max_internal_redirects()) {
    redirect.max_redirects = policy.max_internal_redirects().value();
  }
  redirect.codes.assign(policy.redirect_response_codes().begin(),
                        policy.redirect_response_codes().end());
  redirect.allow_cross_scheme = policy.allow_cross_scheme_redirect();
  for (const std::string& header : policy.response_headers_to_copy()) {
    redirect.response_headers_to_copy.push_back(absl::AsciiStrToLower(header));
  }
  for (int i = 0; i < policy.predicates_size(); ++i) {
    ParseContext::Scope item(context, "predicates", i);
    redirect.predicates.push_back(ParsePredicate(policy.predicates(i), context));
  }
  out->internal_redirect = std::move(redirect);
}

void ParseRetries(const RouteActionProto& proto, const RouteDefaults& defaults, ForwardAction* out,
                  ParseContext& context) {
  out->retry = defaults.retry;
  if (proto.has_retry_policy()) {
    ParseContext::Scope scope(context, "retry_policy");
    out->retry = RetryPolicy::Parse(proto.retry_policy(), context);
  }
  if (proto.has_retry_policy_typed_config()) {
    context.NotHonoured("retry_policy_typed_config");
  }
  out->hedge = defaults.hedge;
  if (proto.has_hedge_policy()) {
    ParseContext::Scope scope(context, "hedge_policy");
    out->hedge = HedgePolicy::Parse(proto.hedge_policy(), context);
  }
}

void CheckClusters(const ForwardAction& action, ParseContext& context) {
  const auto* known = context.known_clusters();
  if (known == nullptr) return;
  const auto check = [&](absl::string_view kind, const std::string& name) {
    if (!name.empty() && !known->contains(name)) {
      context.Error(absl::StrCat("route: unknown ", kind, " '", name, "'"));
    }
  };
  if (action.cluster_by == ForwardAction::ClusterBy::kName) {
    check("cluster", action.cluster);
  }
  for (const WeightedCluster& item : action.weighted) {
    check("weighted cluster", item.name);
  }
  for (const MirrorPolicy& mirror : action.mirrors) {
    check("shadow cluster", mirror.cluster);
  }
}

}  // namespace

ForwardAction ParseForward(const RouteActionProto& proto, const RouteMatch& match,
                           const RouteDefaults& defaults, ParseContext& context) {
  ForwardAction out;
  ParseTarget(proto, &out, context);
  out.metadata_match = Metadata::From(proto.metadata_match());
  out.criteria = CriteriaFrom(out.metadata_match, {});
  for (WeightedCluster& cluster : out.weighted) {
    cluster.criteria = CriteriaFrom(out.metadata_match, cluster.metadata_match);
  }
  ParsePathRewrite(proto, match, &out, context);
  ParseHostRewrite(proto, &out, context);
  ParseTimeouts(proto, &out);
  ParseRetries(proto, defaults, &out, context);
  out.hash_policies = ParseHashPolicies(proto.hash_policy(), context);
  out.mirrors = proto.request_mirror_policies_size() == 0
                    ? defaults.mirrors
                    : ParseMirrors(proto.request_mirror_policies(), context);
  ParseUpgrades(proto, &out, context);
  ParseInternalRedirect(proto, &out, context);
  out.high_priority = proto.priority() == envoy::config::core::v3::HIGH;
  if (defaults.validate_clusters) CheckClusters(out, context);
  absl::StatusOr<std::shared_ptr<const RateLimits>> limits = RateLimits::Parse(proto.rate_limits());
  if (limits.ok()) {
    out.rate_limits = *std::move(limits);
  } else {
    context.ErrorAt("rate_limits", limits.status().message());
  }
  out.include_vh_rate_limits = proto.include_vh_rate_limits().value();
  if (proto.has_cors()) context.NotHonoured("cors");
  if (proto.has_early_data_policy()) context.NotHonoured("early_data_policy");
  return out;
}

}  // namespace remora::xds
