#include "xds/tcp_proxy.h"

#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "filters/metadata.h"
#include "xds/durations.h"
#include "xds/lb_labels.h"

namespace remora::xds {
namespace {

using Proto = envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

void ParseTarget(const Proto& proto, TcpProxy* out, ParseContext& context) {
  out->cluster = proto.cluster();
  const Metadata whole = Metadata::From(proto.metadata_match());
  for (const auto& item : proto.weighted_clusters().clusters()) {
    out->weighted_clusters.push_back(
        {item.name(), item.weight(), CriteriaFrom(whole, Metadata::From(item.metadata_match()))});
    out->total_weight += item.weight();
  }
  out->criteria = CriteriaFrom(whole, {});
  for (int i = 0; i < proto.hash_policy_size(); ++i) {
    ParseContext::Scope scope(context, "hash_policy", i);
    const auto& policy = proto.hash_policy(i);
    if (policy.has_source_ip()) {
      out->hash_source_ip = true;
    } else if (policy.has_filter_state()) {
      out->hash_filter_state = policy.filter_state().key();
    }
  }
}

void ParseLogging(const Proto& proto, TcpProxy* out, ParseContext& context) {
  for (int i = 0; i < proto.access_log_size(); ++i) {
    ParseContext::Scope scope(context, "access_log", i);
    out->access_logs.push_back(AccessLog::Parse(proto.access_log(i), context));
  }
  out->access_log_flush_interval = FromProto(proto.access_log_flush_interval());
  out->flush_access_log_on_connected = proto.flush_access_log_on_connected();
  const auto& options = proto.access_log_options();
  if (!proto.has_access_log_options()) return;
  if (options.has_access_log_flush_interval()) {
    out->access_log_flush_interval = FromProto(options.access_log_flush_interval());
  }
  out->flush_access_log_on_connected |= options.flush_access_log_on_connected();
  out->flush_access_log_on_start = options.flush_access_log_on_start();
}

void ParseConnecting(const Proto& proto, TcpProxy* out, ParseContext& context) {
  out->connect_mode = static_cast<TcpProxy::ConnectMode>(proto.upstream_connect_mode());
  if (proto.has_max_early_data_bytes()) out->max_early_data = proto.max_early_data_bytes().value();
  if (out->connect_mode != TcpProxy::ConnectMode::kImmediate && !out->max_early_data) {
    context.Error("max_early_data_bytes must be set when upstream_connect_mode is not IMMEDIATE");
  }
  if (proto.has_max_connect_attempts()) {
    out->max_connect_attempts = proto.max_connect_attempts().value();
  }
  if (proto.has_backoff_options()) {
    out->connect_backoff_base = FromProto(proto.backoff_options().base_interval());
    out->connect_backoff_max = proto.backoff_options().has_max_interval()
                                   ? FromProto(proto.backoff_options().max_interval())
                                   : 10 * out->connect_backoff_base;
  }
}

void WarnOfTheRest(const Proto& proto, ParseContext& context) {
  if (proto.has_on_demand()) context.NotHonoured("on_demand");
  if (proto.has_tunneling_config()) {
    context.ErrorAt("tunneling_config", "is not supported");
  }
  if (proto.proxy_protocol_tlvs_size() != 0) {
    context.NotHonoured("proxy_protocol_tlvs");
  }
  if (proto.proxy_protocol_tlv_merge_policy() != 0) {
    context.NotHonoured("proxy_protocol_tlv_merge_policy");
  }
  if (proto.has_downstream_idle_timeout()) context.NotHonoured("downstream_idle_timeout");
  if (proto.has_upstream_idle_timeout()) context.NotHonoured("upstream_idle_timeout");
  if (proto.has_check_drain_close()) context.NotHonoured("check_drain_close");
}

}  // namespace

const TcpProxy::WeightedCluster* TcpProxy::ChooseWeighted(uint64_t random) const {
  if (weighted_clusters.empty()) return nullptr;
  uint64_t rest = random % total_weight;
  for (const WeightedCluster& item : weighted_clusters) {
    if (rest < item.weight) return &item;
    rest -= item.weight;
  }
  return &weighted_clusters.back();
}

absl::StatusOr<std::shared_ptr<const TcpProxy>> TcpProxy::Parse(const Proto& proto,
                                                                ParseContext& context) {
  const size_t before = context.error_count();
  auto out = std::make_shared<TcpProxy>();
  out->stat_prefix = proto.stat_prefix();
  ParseTarget(proto, out.get(), context);
  if (proto.has_idle_timeout()) {
    out->idle_timeout = FromProto(proto.idle_timeout());
  }
  ParseConnecting(proto, out.get(), context);
  out->max_connection_duration = FromProto(proto.max_downstream_connection_duration());
  out->max_connection_duration_jitter_percent =
      proto.max_downstream_connection_duration_jitter_percentage().value();
  ParseLogging(proto, out.get(), context);
  WarnOfTheRest(proto, context);
  absl::Status status = context.StatusSince(before);
  if (!status.ok()) return status;
  return out;
}

}  // namespace remora::xds
