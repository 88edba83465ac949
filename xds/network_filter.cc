#include "xds/network_filter.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/common/set_filter_state/v3/value.pb.h"
#include "envoy/extensions/filters/network/connection_limit/v3/connection_limit.pb.h"
#include "envoy/extensions/filters/network/direct_response/v3/config.pb.h"
#include "envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.pb.h"
#include "xds/access_log.h"
#include "xds/durations.h"
#include "xds/secret.h"

namespace remora::xds {
namespace {

namespace network = envoy::extensions::filters::network;
using Settings = std::shared_ptr<const NetworkSettings>;

RuntimeFlag FlagFrom(const envoy::config::core::v3::RuntimeFeatureFlag& proto) {
  return {proto.default_value().value(), proto.runtime_key()};
}

void ParseRules(const envoy::config::rbac::v3::RBAC& proto, absl::string_view field,
                std::optional<RbacEngine>* out, ParseContext& context) {
  ParseContext::Scope scope(context, field);
  absl::StatusOr<RbacEngine> engine = RbacEngine::Parse(proto);
  if (!engine.ok()) return context.Error(engine.status());
  *out = *std::move(engine);
}

void ParseMatcher(const ::xds::type::matcher::v3::Matcher& proto, absl::string_view field,
                  std::optional<RbacEngine>* out, ParseContext& context) {
  ParseContext::Scope scope(context, field);
  absl::StatusOr<RbacEngine> engine = RbacEngine::ParseMatcher(proto);
  if (!engine.ok()) return context.Error(engine.status());
  *out = *std::move(engine);
}

Settings ParseRbac(const Extension& config, ParseContext& context) {
  network::rbac::v3::RBAC proto;
  if (!DecodeInto(config, &proto, context)) return nullptr;
  auto out = std::make_shared<NetworkRbac>();
  const absl::string_view dot = absl::EndsWith(proto.stat_prefix(), ".") ? "" : ".";
  out->stat_prefix = absl::StrCat(proto.stat_prefix(), dot, "rbac.");
  out->shadow_prefix = proto.shadow_rules_stat_prefix();
  if (proto.has_rules()) ParseRules(proto.rules(), "rules", &out->rules, context);
  if (proto.has_shadow_rules()) {
    ParseRules(proto.shadow_rules(), "shadow_rules", &out->shadow_rules, context);
  }
  // Where both are given, rules are ignored, as in Envoy.
  if (proto.has_matcher()) ParseMatcher(proto.matcher(), "matcher", &out->rules, context);
  if (proto.has_shadow_matcher()) {
    ParseMatcher(proto.shadow_matcher(), "shadow_matcher", &out->shadow_rules, context);
  }
  out->continuous = proto.enforcement_type() == network::rbac::v3::RBAC::CONTINUOUS;
  out->delay_deny = FromProto(proto.delay_deny());
  return out;
}

Settings ParseConnectionLimit(const Extension& config, ParseContext& context) {
  network::connection_limit::v3::ConnectionLimit proto;
  if (!DecodeInto(config, &proto, context)) return nullptr;
  auto out = std::make_shared<ConnectionLimit>();
  out->stat_prefix = proto.stat_prefix();
  if (!proto.has_max_connections()) context.Error("Field 'max_connections' is missing");
  out->max_connections = proto.max_connections().value();
  out->delay = FromProto(proto.delay());
  if (proto.has_runtime_enabled()) out->enabled = FlagFrom(proto.runtime_enabled());
  return out;
}

Settings ParseRateLimit(const Extension& config, ParseContext& context) {
  network::local_ratelimit::v3::LocalRateLimit proto;
  if (!DecodeInto(config, &proto, context)) return nullptr;
  auto out = std::make_shared<NetworkRateLimit>();
  out->stat_prefix = proto.stat_prefix();
  const auto& bucket = proto.token_bucket();
  out->max_tokens = bucket.max_tokens();
  if (bucket.has_tokens_per_fill()) out->tokens_per_fill = bucket.tokens_per_fill().value();
  out->fill_interval = FromProto(bucket.fill_interval());
  if (out->fill_interval < absl::Milliseconds(50)) {
    context.ErrorAt("token_bucket", "local rate limit token bucket fill timer must be >= 50ms");
  }
  out->share_key = proto.share_key();
  if (proto.has_runtime_enabled()) out->enabled = FlagFrom(proto.runtime_enabled());
  return out;
}

Settings ParseEcho(const Extension&, ParseContext&) { return std::make_shared<Echo>(); }

Settings ParseDirectResponse(const Extension& config, ParseContext& context) {
  network::direct_response::v3::Config proto;
  if (!DecodeInto(config, &proto, context)) return nullptr;
  auto out = std::make_shared<DirectResponse>();
  ParseContext::Scope scope(context, "response");
  if (proto.has_response()) out->body = ParseDataSource(proto.response(), context).bytes;
  return out;
}

Settings ParseSniCluster(const Extension&, ParseContext&) { return std::make_shared<SniCluster>(); }

// Keys that steer upstream connections in Envoy and are only noted here.
constexpr absl::string_view kKeysThatActElsewhere[] = {
    "envoy.network.upstream_server_name", "envoy.network.application_protocols",
    "envoy.network.upstream_subject_alt_names", "envoy.upstream.dynamic_host"};

template <typename List>
std::vector<SetFilterState::Value> ParseValues(const List& list, absl::string_view field,
                                               ParseContext& context) {
  std::vector<SetFilterState::Value> out;
  for (int i = 0; i < list.size(); ++i) {
    ParseContext::Scope scope(context, field, i);
    const auto& proto = list.Get(i);
    SetFilterState::Value value;
    // The factory only tells how the text is to be read; the reader knows that by the key.
    value.key = proto.object_key();
    for (const absl::string_view key : kKeysThatActElsewhere) {
      if (value.key == key) context.NotHonoured("object_key");
    }
    if (proto.shared_with_upstream() != 0) context.NotHonoured("shared_with_upstream");
    if (proto.read_only()) context.NotHonoured("read_only");
    ParseContext::Scope inner(context, "format_string");
    const Format format = Format::Parse(proto.format_string(), context);
    value.fixed = format.text;
    value.formatter = format.formatter;
    value.skip_if_empty = proto.skip_if_empty();
    out.push_back(std::move(value));
  }
  return out;
}

Settings ParseSetFilterState(const Extension& config, ParseContext& context) {
  network::set_filter_state::v3::Config proto;
  if (!DecodeInto(config, &proto, context)) return nullptr;
  auto out = std::make_shared<SetFilterState>();
  out->on_new_connection = ParseValues(proto.on_new_connection(), "on_new_connection", context);
  out->on_downstream_tls_handshake =
      ParseValues(proto.on_downstream_tls_handshake(), "on_downstream_tls_handshake", context);
  out->on_downstream_data = ParseValues(proto.on_downstream_data(), "on_downstream_data", context);
  return out;
}

// One row for each filter.
struct Row {
  absl::string_view type;
  NetworkFilterKind kind;
  Settings (*parse)(const Extension& config, ParseContext& context);
};
constexpr Row kRows[] = {
    {ConnectionLimit::kType,
     {"envoy.filters.network.connection_limit", false},
     &ParseConnectionLimit},
    {DirectResponse::kType, {"envoy.filters.network.direct_response", true}, &ParseDirectResponse},
    {Echo::kType, {"envoy.filters.network.echo", true}, &ParseEcho},
    {NetworkRateLimit::kType, {"envoy.filters.network.local_ratelimit", false}, &ParseRateLimit},
    {NetworkRbac::kType, {"envoy.filters.network.rbac", false}, &ParseRbac},
    {SetFilterState::kType,
     {"envoy.filters.network.set_filter_state", false},
     &ParseSetFilterState},
    {SniCluster::kType, {"envoy.filters.network.sni_cluster", false}, &ParseSniCluster},
};

const Row* FindRow(absl::string_view type) {
  for (const Row& row : kRows) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

}  // namespace

Settings ParseNetworkSettings(const Extension& config, bool* known, ParseContext& context) {
  const Row* row = FindRow(config.type_name());
  *known = row != nullptr;
  return row == nullptr ? nullptr : row->parse(config, context);
}

NetworkFilterKind NetworkFilterKindOf(absl::string_view type_name) {
  const Row* row = FindRow(type_name);
  return row == nullptr ? NetworkFilterKind() : row->kind;
}

}  // namespace remora::xds
