#include "xds/control/mesh_parts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/config/cluster/v3/circuit_breaker.pb.h"
#include "envoy/config/cluster/v3/outlier_detection.pb.h"
#include "envoy/config/core/v3/health_check.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"

namespace remora::control {
namespace {

namespace core = envoy::config::core::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

// Requests that one cluster may have in retry at once. Envoy's three would
// fail most of what was in flight to an endpoint that has just died.
constexpr uint32_t kMaxRetriesAtOnce = 1024;

bool IsHttp(const Service& service) { return service.protocol != Protocol::kTcp; }

void UseAds(core::ConfigSource* source) {
  source->mutable_ads();
  source->set_resource_api_version(core::ApiVersion::V3);
}

void UseHttp2(Cluster* cluster) {
  HttpProtocolOptions options;
  options.mutable_explicit_http_config()->mutable_http2_protocol_options()->set_allow_connect(true);
  (*cluster->mutable_typed_extension_protocol_options())
      ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
          .PackFrom(options);
}

void AddHealthCheck(const HealthCheck& check, bool http2, Cluster* cluster) {
  core::HealthCheck* out = cluster->add_health_checks();
  SetDuration(check.timeout, out->mutable_timeout());
  SetDuration(check.interval, out->mutable_interval());
  // Without traffic an endpoint would otherwise be looked at once a minute.
  SetDuration(check.interval, out->mutable_no_traffic_interval());
  out->mutable_unhealthy_threshold()->set_value(check.unhealthy_after);
  out->mutable_healthy_threshold()->set_value(check.healthy_after);
  switch (check.kind) {
    case HealthCheck::Kind::kHttp:
      out->mutable_http_health_check()->set_path(check.path);
      if (http2) {
        out->mutable_http_health_check()->set_codec_client_type(
            envoy::type::v3::CodecClientType::HTTP2);
      }
      break;
    case HealthCheck::Kind::kGrpc:
      out->mutable_grpc_health_check()->set_service_name(check.grpc_service);
      break;
    case HealthCheck::Kind::kTcp:
      out->mutable_tcp_health_check();
      break;
  }
}

void AddLimits(Cluster* cluster) {
  SetDuration(absl::Seconds(2), cluster->mutable_connect_timeout());
  cluster->mutable_circuit_breakers()->add_thresholds()->mutable_max_retries()->set_value(
      kMaxRetriesAtOnce);
  // Envoy otherwise holds back what it learns of health for up to a second, in
  // which the only endpoint it believes in may be the one that has just died.
  cluster->mutable_common_lb_config()->mutable_update_merge_window();
  auto* outlier = cluster->mutable_outlier_detection();
  outlier->mutable_consecutive_5xx()->set_value(5);
  SetDuration(absl::Seconds(1), outlier->mutable_interval());
  SetDuration(absl::Seconds(5), outlier->mutable_base_ejection_time());
  outlier->mutable_max_ejection_percent()->set_value(50);
}

void SetTargets(const std::vector<Target>& targets, ClusterParts* parts) {
  parts->by_eds = std::all_of(targets.begin(), targets.end(),
                              [](const Target& target) { return target.address.is_ip; });
  ClusterLoadAssignment& assignment = parts->assignment;
  assignment.set_cluster_name(parts->cluster.name());
  auto* locality = assignment.add_endpoints();
  for (const Target& target : targets) {
    auto* endpoint = locality->add_lb_endpoints();
    SetAddress(target.address, endpoint->mutable_endpoint()->mutable_address());
    endpoint->mutable_load_balancing_weight()->set_value(target.weight);
  }
  if (parts->by_eds) {
    parts->cluster.set_type(Cluster::EDS);
    UseAds(parts->cluster.mutable_eds_cluster_config()->mutable_eds_config());
  } else {
    parts->cluster.set_type(Cluster::STRICT_DNS);
    *parts->cluster.mutable_load_assignment() = assignment;
  }
}

// Own certificate and roots over SDS; `san` says whose certificates pass.
tls::CertificateValidationContext* SetMutual(tls::CommonTlsContext* common, bool http) {
  auto* own = common->add_tls_certificate_sds_secret_configs();
  own->set_name(kIdentitySecret);
  UseAds(own->mutable_sds_config());
  auto* combined = common->mutable_combined_validation_context();
  auto* trust = combined->mutable_validation_context_sds_secret_config();
  trust->set_name(kTrustSecret);
  UseAds(trust->mutable_sds_config());
  if (http) common->add_alpn_protocols("h2");
  return combined->mutable_default_validation_context();
}

envoy::type::matcher::v3::StringMatcher* AddUri(tls::CertificateValidationContext* validation) {
  auto* san = validation->add_match_typed_subject_alt_names();
  san->set_san_type(tls::SubjectAltNameMatcher::URI);
  return san->mutable_matcher();
}

template <typename Context>
void Pack(const Context& context, core::TransportSocket* out) {
  out->set_name("envoy.transport_sockets.tls");
  out->mutable_typed_config()->PackFrom(context);
}

}  // namespace

void SetDuration(absl::Duration value, google::protobuf::Duration* out) {
  const int64_t seconds = absl::ToInt64Seconds(value);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value - absl::Seconds(seconds))));
}

void SetAddress(const Address& address, core::Address* out) {
  auto* socket = out->mutable_socket_address();
  socket->set_address(address.host);
  socket->set_port_value(address.port);
}

Address ListenAddress(const Address& address) {
  if (address.is_ip) return address;
  return {"0.0.0.0", address.port, true};
}

bool InMesh(const Service& service) {
  return service.sidecar.has_value() ||
         std::any_of(service.endpoints.begin(), service.endpoints.end(),
                     [](const Endpoint& e) { return e.sidecar.has_value(); });
}

std::vector<Target> TargetsOf(const Service& service) {
  std::vector<Target> targets;
  for (const Endpoint& endpoint : service.endpoints) {
    const std::optional<Address>& sidecar =
        endpoint.sidecar.has_value() ? endpoint.sidecar : service.sidecar;
    const Address& address = sidecar.value_or(endpoint.address);
    auto same = std::find_if(targets.begin(), targets.end(),
                             [&](const Target& target) { return target.address == address; });
    if (sidecar.has_value() && same != targets.end()) {
      same->weight += endpoint.weight;
    } else {
      targets.push_back({address, endpoint.weight});
    }
  }
  if (targets.empty() && service.sidecar.has_value()) {
    targets.push_back({*service.sidecar, 1});
  }
  return targets;
}

std::vector<Target> Behind(const Service& service, const Address& sidecar) {
  std::vector<Target> targets;
  for (const Endpoint& endpoint : service.endpoints) {
    const std::optional<Address>& own =
        endpoint.sidecar.has_value() ? endpoint.sidecar : service.sidecar;
    if (own == sidecar) targets.push_back({endpoint.address, endpoint.weight});
  }
  return targets;
}

ClusterParts CallerCluster(const Service& service, const std::string& trust_domain) {
  ClusterParts parts;
  Cluster& cluster = parts.cluster;
  cluster.set_name(service.name);
  const std::vector<Target> targets = TargetsOf(service);
  SetTargets(targets, &parts);
  AddLimits(&cluster);
  const bool mesh = InMesh(service);
  if (mesh) {
    SetUpstreamTls(service.name, trust_domain, IsHttp(service), cluster.mutable_transport_socket());
  }
  const bool http2 = IsHttp(service) && (mesh || service.protocol != Protocol::kHttp);
  if (http2) UseHttp2(&cluster);
  // A lone sidecar watches its endpoints itself, and there is nothing to
  // choose from in front of it.
  const bool choice = targets.size() > 1 || !parts.by_eds;
  if (service.health_check.has_value() && (!mesh || choice)) {
    AddHealthCheck(*service.health_check, http2, &cluster);
  }
  return parts;
}

ClusterParts LocalCluster(const Service& service, const std::vector<Target>& targets) {
  ClusterParts parts;
  Cluster& cluster = parts.cluster;
  cluster.set_name(kLocalCluster);
  SetTargets(targets, &parts);
  AddLimits(&cluster);
  const bool http2 = IsHttp(service) && service.protocol != Protocol::kHttp;
  if (http2) UseHttp2(&cluster);
  if (service.health_check.has_value()) {
    AddHealthCheck(*service.health_check, http2, &cluster);
  }
  return parts;
}

void SetUpstreamTls(const std::string& service, const std::string& trust_domain, bool http,
                    core::TransportSocket* out) {
  tls::UpstreamTlsContext context;
  AddUri(SetMutual(context.mutable_common_tls_context(), http))
      ->set_exact(absl::StrCat("spiffe://", trust_domain, "/service/", service));
  context.set_sni(absl::StrCat(service, ".", trust_domain));
  Pack(context, out);
}

void SetInboundTls(const std::vector<std::string>& allow, const std::string& trust_domain,
                   bool http, core::TransportSocket* out) {
  tls::DownstreamTlsContext context;
  context.mutable_require_client_certificate()->set_value(true);
  auto* validation = SetMutual(context.mutable_common_tls_context(), http);
  const std::string root = absl::StrCat("spiffe://", trust_domain, "/");
  for (const std::string& name : allow) {
    if (name == "*") {
      AddUri(validation)->set_prefix(absl::StrCat(root, "service/"));
    } else {
      AddUri(validation)->set_exact(absl::StrCat(root, "service/", name));
    }
  }
  // No matcher at all would let in everybody; nobody ever gets this id.
  if (allow.empty()) AddUri(validation)->set_exact(root + "nobody");
  Pack(context, out);
}

void SetGatewayTls(const Gateway& gateway, core::TransportSocket* out) {
  tls::DownstreamTlsContext context;
  auto* common = context.mutable_common_tls_context();
  auto* certificate = common->add_tls_certificates();
  certificate->mutable_certificate_chain()->set_filename(gateway.certificate);
  certificate->mutable_private_key()->set_filename(gateway.private_key);
  if (gateway.tcp_service.empty()) {
    common->add_alpn_protocols("h2");
    common->add_alpn_protocols("http/1.1");
  }
  Pack(context, out);
}

}  // namespace remora::control
