#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "filters/registry.h"
#include "xds/durations.h"
#include "xds/extension.h"
#include "xds/route_parse.h"
#include "xds/type_registry.h"

namespace remora::xds {
namespace {

using HashProto = RouteActionProto::HashPolicy;

HashPolicy ParseHashPolicy(const HashProto& proto, ParseContext& context) {
  HashPolicy out;
  out.terminal = proto.terminal();
  switch (proto.policy_specifier_case()) {
    case HashProto::kHeader:
      out.kind = HashPolicy::Kind::kHeader;
      out.name = absl::AsciiStrToLower(proto.header().header_name());
      if (proto.header().has_regex_rewrite()) {
        ParseContext::Scope scope(context, "header");
        out.rewrite = ParseSubstitution("regex_rewrite", proto.header().regex_rewrite(), context);
      }
      break;
    case HashProto::kCookie:
      out.kind = HashPolicy::Kind::kCookie;
      out.name = proto.cookie().name();
      out.path = proto.cookie().path();
      if (proto.cookie().has_ttl()) out.ttl = FromProto(proto.cookie().ttl());
      for (const auto& attribute : proto.cookie().attributes()) {
        out.attributes.emplace_back(attribute.name(), attribute.value());
      }
      break;
    case HashProto::kConnectionProperties:
      out.kind = HashPolicy::Kind::kSourceIp;
      if (!proto.connection_properties().source_ip()) {
        context.Warn("connection_properties without source_ip hash nothing");
      }
      break;
    case HashProto::kQueryParameter:
      out.kind = HashPolicy::Kind::kQueryParameter;
      out.name = proto.query_parameter().name();
      break;
    case HashProto::kFilterState:
      out.kind = HashPolicy::Kind::kFilterState;
      out.name = proto.filter_state().key();
      break;
    case HashProto::POLICY_SPECIFIER_NOT_SET:
      break;
  }
  return out;
}

// Reads the wrapper around a filter's own message, if there is one.
void Unwrap(PerFilterConfig* out, ParseContext& context) {
  envoy::config::route::v3::FilterConfig wrapper;
  if (out->config.type_name() != wrapper.GetDescriptor()->full_name()) return;
  const Extension wrapped = std::move(out->config);
  out->config = Extension();
  if (!DecodeInto(wrapped, &wrapper, context)) return;
  out->is_optional = wrapper.is_optional();
  out->disabled = wrapper.disabled();
  out->enabled = !wrapper.disabled();
  if (!wrapper.has_config()) {
    if (!wrapper.disabled()) {
      context.Error(
          "Empty route/virtual host per filter configuration; it has to hold config or disabled");
    }
    return;
  }
  ParseContext::Scope scope(context, "config");
  out->config = ParseExtension("", wrapper.config(), context);
}

PerFilterConfig ParseOneFilter(absl::string_view name, const google::protobuf::Any& any,
                               ParseContext& context) {
  PerFilterConfig out;
  out.config = ParseExtension(name, any, context);
  Unwrap(&out, context);
  if (out.config.type_url.empty()) return out;
  if (FindHttpFilterByRouteType(out.config.type_url) == nullptr && out.is_optional) {
    context.Warn(
        absl::StrCat("optional configuration ", out.config.type_url, " is not known and left out"));
    return out;
  }
  std::unique_ptr<google::protobuf::Message> message = NewMessage(out.config.type_name());
  if (message != nullptr && !DecodeInto(out.config, message.get(), context)) {
    return out;
  }
  absl::StatusOr<std::shared_ptr<const void>> parsed =
      ParseRouteFilterConfig(name, out.config.type_url, out.config.value);
  if (parsed.ok()) {
    out.parsed = *std::move(parsed);
  } else {
    context.Error(parsed.status());
  }
  return out;
}

}  // namespace

std::optional<RegexSubstitution> ParseSubstitution(
    const char* field, const envoy::type::matcher::v3::RegexMatchAndSubstitute& proto,
    ParseContext& context) {
  absl::StatusOr<RegexSubstitution> parsed = RegexSubstitution::Parse(proto);
  if (parsed.ok()) return *std::move(parsed);
  context.ErrorAt(field, parsed.status().message());
  return std::nullopt;
}

namespace {

void ParseMirrorMutations(const RouteActionProto::RequestMirrorPolicy& proto, MirrorPolicy* out,
                          ParseContext& context) {
  google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption> additions;
  for (const auto& mutation : proto.request_headers_mutations()) {
    if (!mutation.remove().empty()) {
      out->remove_headers.push_back(absl::AsciiStrToLower(mutation.remove()));
    } else if (mutation.has_append()) {
      *additions.Add() = mutation.append();
    }
  }
  out->add_headers = ParseHeaderAdditions("request_headers_mutations", additions, context);
}

}  // namespace

std::vector<MirrorPolicy> ParseMirrors(
    const google::protobuf::RepeatedPtrField<RouteActionProto::RequestMirrorPolicy>& list,
    ParseContext& context) {
  std::vector<MirrorPolicy> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, "request_mirror_policies", i);
    const auto& proto = list[i];
    MirrorPolicy mirror;
    mirror.cluster = proto.cluster();
    mirror.cluster_header = absl::AsciiStrToLower(proto.cluster_header());
    if (mirror.cluster.empty() == mirror.cluster_header.empty()) {
      context.Error(mirror.cluster.empty() ? "Exactly one of cluster or cluster_header in "
                                             "request_mirror_policies needs to be specified"
                                           : "Only one of cluster or cluster_header in "
                                             "request_mirror_policies can be specified");
    }
    if (proto.has_runtime_fraction()) {
      mirror.fraction = RuntimeFraction::From(proto.runtime_fraction());
    }
    mirror.append_shadow_suffix = !proto.disable_shadow_host_suffix_append();
    mirror.host_rewrite = proto.host_rewrite_literal();
    ParseMirrorMutations(proto, &mirror, context);
    if (proto.has_trace_sampled()) context.NotHonoured("trace_sampled");
    out.push_back(std::move(mirror));
  }
  return out;
}

std::vector<HashPolicy> ParseHashPolicies(const google::protobuf::RepeatedPtrField<HashProto>& list,
                                          ParseContext& context) {
  std::vector<HashPolicy> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, "hash_policy", i);
    out.push_back(ParseHashPolicy(list[i], context));
  }
  return out;
}

PerFilterConfigs ParsePerFilter(
    const google::protobuf::Map<std::string, google::protobuf::Any>& map, ParseContext& context) {
  PerFilterConfigs out;
  for (const auto& [name, any] : map) {
    ParseContext::Scope scope(context, "typed_per_filter_config", absl::string_view(name));
    out.emplace(name, ParseOneFilter(name, any, context));
  }
  return out;
}

}  // namespace remora::xds
