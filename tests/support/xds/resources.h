#ifndef REMORA_TESTS_SUPPORT_XDS_RESOURCES_H_
#define REMORA_TESTS_SUPPORT_XDS_RESOURCES_H_

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "tests/support/xds/parsing.h"
#include "xds/bootstrap.h"
#include "xds/catalog.h"
#include "xds/resource_types.h"

namespace remora::xds {

// Small resources, serialized as a control plane would send them. `extra`: further fields in YAML.

inline std::string EdsCluster(const std::string& name, const std::string& extra = "") {
  return FromYaml<envoy::config::cluster::v3::Cluster>(
             absl::StrCat("{name: ", name,
                          ", type: EDS, eds_cluster_config: {eds_config: {ads: {}}}, ", extra, "}"))
      .SerializeAsString();
}

inline std::string StaticCluster(const std::string& name, const std::string& extra = "") {
  return FromYaml<envoy::config::cluster::v3::Cluster>(
             absl::StrCat("{name: ", name, ", type: STATIC, ", extra, "}"))
      .SerializeAsString();
}

// A cluster that is refused.
inline std::string BadCluster(const std::string& name) {
  return FromYaml<envoy::config::cluster::v3::Cluster>(
             absl::StrCat("{name: ", name, ", type: EDS}"))
      .SerializeAsString();
}

inline std::string Endpoints(const std::string& name, int port) {
  return FromYaml<envoy::config::endpoint::v3::ClusterLoadAssignment>(
             absl::StrCat("{cluster_name: ", name,
                          ", endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
                          "{address: 127.0.0.1, "
                          "port_value: ",
                          port, "}}}}]}]}"))
      .SerializeAsString();
}

inline std::string Routes(const std::string& name, const std::string& cluster) {
  return FromYaml<envoy::config::route::v3::RouteConfiguration>(
             absl::StrCat("{name: ", name,
                          ", virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: "
                          "/}, route: {cluster: ",
                          cluster, "}}]}]}"))
      .SerializeAsString();
}

inline std::string SecretValue(const std::string& name, const std::string& value) {
  return FromYaml<envoy::extensions::transport_sockets::tls::v3::Secret>(
             absl::StrCat("{name: ", name, ", generic_secret: {secret: {inline_string: ", value,
                          "}}}"))
      .SerializeAsString();
}

// Transport socket fields of a cluster whose certificate comes over SDS.
inline std::string SdsClient(const std::string& secret) {
  return absl::StrCat(
      "transport_socket: {name: tls, typed_config: {'@type': "
      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, "
      "common_tls_context: "
      "{tls_certificate_sds_secret_configs: [{name: ",
      secret, ", sds_config: {ads: {}}}]}}}");
}

// A listener whose routes come over RDS.
inline std::string RdsListener(const std::string& name, const std::string& routes,
                               const std::string& extra = "") {
  return FromYaml<envoy::config::listener::v3::Listener>(
             absl::StrCat(
                 "{name: ", name,
                 ", address: {socket_address: {address: 127.0.0.1, port_value: 0}}, filter_chains: "
                 "[{filters: "
                 "[{name: h, typed_config: {'@type': "
                 "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
                 "HttpConnectionManager, stat_prefix: in, rds: {route_config_name: ",
                 routes,
                 ", config_source: {ads: {}}}, http_filters: [{name: router, typed_config: "
                 "{'@type': "
                 "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}], ",
                 extra, "}"))
      .SerializeAsString();
}

// A listener that needs nothing else.
inline std::string PlainListener(const std::string& name, int port) {
  return FromYaml<envoy::config::listener::v3::Listener>(
             absl::StrCat(
                 "{name: ", name,
                 ", address: {socket_address: {address: 127.0.0.1, port_value: ", port,
                 "}}, filter_chains: [{filters: [{name: e, typed_config: {'@type': "
                 "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]}]}"))
      .SerializeAsString();
}

inline std::shared_ptr<const Bootstrap> BootstrapOf(const std::string& yaml) {
  Bootstrap::Options options;
  options.inline_yaml = yaml;
  auto loaded = Bootstrap::Load(options);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *std::move(loaded);
}

inline Update::Item ItemOf(ResourceKind kind, const std::string& bytes) {
  ParseContext context(ParseContext::Origin::kDynamic);
  const ResourceType& type = TypeOf(kind);
  auto resource = type.parse(bytes, context);
  return {type.name(bytes), std::move(resource), bytes};
}

inline Update UpdateOf(ResourceKind kind, const std::string& version,
                       const std::vector<std::string>& all) {
  Update update{kind, version, {}, TypeOf(kind).full_set, {}, {}};
  for (const std::string& bytes : all) update.items.push_back(ItemOf(kind, bytes));
  return update;
}

}  // namespace remora::xds

#endif  // REMORA_TESTS_SUPPORT_XDS_RESOURCES_H_
