#include "xds/control/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "xds/control/services_yaml.h"

namespace remora::control {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::listener::v3::Listener;
using envoy::config::route::v3::RouteConfiguration;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// What `node` is told of a mesh in YAML.
class Told {
 public:
  Told(const std::string& yaml, const std::string& node) {
    absl::StatusOr<ParsedServices> parsed = ParseServices({{"s.yaml", yaml}});
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    resources_ = BuildResources(parsed->services, ParseNodeId(node),
                                {"td", "ROOTS", {"CHAIN", "KEY", {}, {}}});
  }
  template <typename Message>
  Message Get(Type type, const std::string& name) const {
    Message message;
    auto found = resources_.Of(type).find(name);
    EXPECT_NE(found, resources_.Of(type).end()) << "no " << name;
    if (found != resources_.Of(type).end()) {
      EXPECT_TRUE(message.ParseFromString(found->second->body));
    }
    return message;
  }
  std::vector<std::string> Names(Type type) const {
    std::vector<std::string> names;
    for (const auto& [name, resource] : resources_.Of(type)) names.push_back(name);
    return names;
  }
  // "127.0.0.1:80*2": address and weight of each endpoint.
  std::vector<std::string> Endpoints(const std::string& cluster) const {
    return Spell(Get<ClusterLoadAssignment>(Type::kEndpoint, cluster));
  }
  static std::vector<std::string> Spell(const ClusterLoadAssignment& assignment) {
    std::vector<std::string> out;
    for (const auto& locality : assignment.endpoints()) {
      for (const auto& e : locality.lb_endpoints()) {
        const auto& address = e.endpoint().address().socket_address();
        out.push_back(address.address() + ":" + std::to_string(address.port_value()) + "*" +
                      std::to_string(e.load_balancing_weight().value()));
      }
    }
    return out;
  }

 private:
  NodeResources resources_;
};

template <typename Context>
Context TlsOf(const envoy::config::core::v3::TransportSocket& socket) {
  Context context;
  EXPECT_TRUE(socket.typed_config().UnpackTo(&context));
  return context;
}

std::vector<std::string> Sans(const tls::CommonTlsContext& common) {
  std::vector<std::string> out;
  for (const auto& san : common.combined_validation_context()
                             .default_validation_context()
                             .match_typed_subject_alt_names()) {
    EXPECT_EQ(san.san_type(), tls::SubjectAltNameMatcher::URI);
    out.push_back(san.matcher().has_exact() ? san.matcher().exact() : san.matcher().prefix() + "*");
  }
  return out;
}

constexpr char kMesh[] = R"(services:
  web:
    sidecar: 127.0.0.1:9100
    endpoints:
      - {address: "127.0.0.1:9001", weight: 1}
      - {address: "127.0.0.1:9002", weight: 2}
      - {address: "127.0.0.1:9003", weight: 3}
    health_check: {path: /healthz, interval: 1s}
    allow: [edge, api]
  api:
    sidecar: 127.0.0.1:9200
    endpoints: [127.0.0.1:9301]
    upstreams: {web: 127.0.0.1:9210}
    retries: 0
    allow: "*"
  lone: {sidecar: 127.0.0.1:9400, endpoints: [127.0.0.1:9401]}
gateways:
  edge:
    listen: 127.0.0.1:8080
    routes:
      - {prefix: /api, service: api}
      - {prefix: /, service: web}
)";

TEST(Mesh, AGatewayReachesSidecarsOverMutualTlsAndHttp2) {
  const Told edge(kMesh, "edge");
  EXPECT_THAT(edge.Names(Type::kCluster), ElementsAre("api", "web"));
  EXPECT_THAT(edge.Endpoints("web"), ElementsAre("127.0.0.1:9100*6"));
  const auto web = edge.Get<Cluster>(Type::kCluster, "web");
  EXPECT_EQ(web.type(), Cluster::EDS);
  EXPECT_TRUE(web.eds_cluster_config().eds_config().has_ads());
  EXPECT_TRUE(web.typed_extension_protocol_options().contains(
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"));
  const auto context = TlsOf<tls::UpstreamTlsContext>(web.transport_socket());
  EXPECT_EQ(context.sni(), "web.td");
  EXPECT_THAT(Sans(context.common_tls_context()), ElementsAre("spiffe://td/service/web"));
  EXPECT_THAT(context.common_tls_context().alpn_protocols(), ElementsAre("h2"));
  EXPECT_EQ(context.common_tls_context().tls_certificate_sds_secret_configs(0).name(), "identity");
  EXPECT_EQ(context.common_tls_context()
                .combined_validation_context()
                .validation_context_sds_secret_config()
                .name(),
            "trust");
  EXPECT_EQ(web.health_checks_size(), 0) << "one sidecar leaves nothing to choose";
}

TEST(Mesh, AGatewayListensInPlainTextWithItsRoutesInOrder) {
  const Told edge(kMesh, "edge");
  const auto listener = edge.Get<Listener>(Type::kListener, "gateway");
  EXPECT_EQ(listener.address().socket_address().port_value(), 8080u);
  EXPECT_FALSE(listener.filter_chains(0).has_transport_socket());
  const auto routes = edge.Get<RouteConfiguration>(Type::kRoute, "gateway");
  ASSERT_EQ(routes.virtual_hosts_size(), 1);
  const auto& host = routes.virtual_hosts(0);
  EXPECT_THAT(host.domains(), ElementsAre("*"));
  // api has no retries, so one route; web has one for repeatable methods too.
  ASSERT_EQ(host.routes_size(), 3);
  EXPECT_EQ(host.routes(0).match().prefix(), "/api");
  EXPECT_EQ(host.routes(0).route().cluster(), "api");
  EXPECT_FALSE(host.routes(0).route().has_retry_policy());
  EXPECT_EQ(host.routes(1).route().cluster(), "web");
  EXPECT_EQ(host.routes(1).match().headers(0).name(), ":method");
  EXPECT_THAT(host.routes(1).route().retry_policy().retry_on(), HasSubstr(",reset"));
  EXPECT_EQ(host.routes(2).match().headers_size(), 0);
  EXPECT_EQ(host.routes(2).route().retry_policy().retry_on(),
            "connect-failure,refused-stream,reset-before-request");
}

TEST(Mesh, ASidecarLetsInWhomTheServiceAllows) {
  const Told web(kMesh, "web");
  const auto inbound = web.Get<Listener>(Type::kListener, "inbound");
  EXPECT_EQ(inbound.address().socket_address().port_value(), 9100u);
  const auto context =
      TlsOf<tls::DownstreamTlsContext>(inbound.filter_chains(0).transport_socket());
  EXPECT_TRUE(context.require_client_certificate().value());
  EXPECT_THAT(Sans(context.common_tls_context()),
              ElementsAre("spiffe://td/service/edge", "spiffe://td/service/api"));
}

TEST(Mesh, AllowStarIsAnyServiceOfTheTrustDomainAndNoAllowIsNobody) {
  const auto api = Told(kMesh, "api").Get<Listener>(Type::kListener, "inbound");
  EXPECT_THAT(Sans(TlsOf<tls::DownstreamTlsContext>(api.filter_chains(0).transport_socket())
                       .common_tls_context()),
              ElementsAre("spiffe://td/service/*"));
  const auto lone = Told(kMesh, "lone").Get<Listener>(Type::kListener, "inbound");
  EXPECT_THAT(Sans(TlsOf<tls::DownstreamTlsContext>(lone.filter_chains(0).transport_socket())
                       .common_tls_context()),
              ElementsAre("spiffe://td/nobody"));
}

std::vector<std::string> Callers(const Told& told) {
  envoy::extensions::filters::http::rbac::v3::RBACPerRoute config;
  const auto routes = told.Get<RouteConfiguration>(Type::kRoute, "inbound");
  EXPECT_TRUE(routes.virtual_hosts(0)
                  .typed_per_filter_config()
                  .at("envoy.filters.http.rbac")
                  .UnpackTo(&config));
  // Rules without a policy let nobody in; no rules at all would let in all.
  EXPECT_TRUE(config.rbac().has_rules());
  EXPECT_EQ(config.rbac().rules().action(), envoy::config::rbac::v3::RBAC::ALLOW);
  std::vector<std::string> out;
  for (const auto& [name, policy] : config.rbac().rules().policies()) {
    for (const auto& principal : policy.principals()) {
      const auto& id = principal.authenticated().principal_name();
      out.push_back(id.has_exact() ? id.exact() : id.prefix() + "*");
    }
  }
  return out;
}

TEST(Mesh, WhoMayCallIsAlsoPartOfTheRoutesWhichReachOpenConnections) {
  EXPECT_THAT(Callers(Told(kMesh, "web")),
              ElementsAre("spiffe://td/service/edge", "spiffe://td/service/api"));
  EXPECT_THAT(Callers(Told(kMesh, "api")), ElementsAre("spiffe://td/service/*"));
  EXPECT_THAT(Callers(Told(kMesh, "lone")), IsEmpty());
}

TEST(Mesh, ASidecarBalancesItsApplicationByWeightAndHealth) {
  const Told web(kMesh, "web");
  EXPECT_THAT(web.Names(Type::kCluster), ElementsAre("local_app"));
  EXPECT_THAT(web.Endpoints("local_app"),
              ElementsAre("127.0.0.1:9001*1", "127.0.0.1:9002*2", "127.0.0.1:9003*3"));
  const auto local = web.Get<Cluster>(Type::kCluster, "local_app");
  EXPECT_FALSE(local.has_transport_socket());
  ASSERT_EQ(local.health_checks_size(), 1);
  EXPECT_EQ(local.health_checks(0).http_health_check().path(), "/healthz");
  EXPECT_EQ(local.health_checks(0).interval().seconds(), 1);
  EXPECT_EQ(local.outlier_detection().consecutive_5xx().value(), 5u);
  EXPECT_TRUE(local.common_lb_config().has_update_merge_window());
  EXPECT_EQ(local.common_lb_config().update_merge_window().seconds(), 0) << "told at once";
  const auto routes = web.Get<RouteConfiguration>(Type::kRoute, "inbound");
  const auto& first = routes.virtual_hosts(0).routes(0).route();
  EXPECT_EQ(first.cluster(), "local_app");
  EXPECT_EQ(first.retry_policy().retry_host_predicate(0).name(),
            "envoy.retry_host_predicates.previous_hosts");
  EXPECT_EQ(first.timeout().seconds(), 0) << "the caller's deadline is the one that holds";
  EXPECT_TRUE(first.has_timeout());
}

TEST(Mesh, ASidecarListensForTheCallsOfItsApplication) {
  const Told api(kMesh, "api");
  EXPECT_THAT(api.Names(Type::kListener), ElementsAre("inbound", "outbound_web"));
  EXPECT_THAT(api.Names(Type::kCluster), ElementsAre("local_app", "web"));
  const auto listener = api.Get<Listener>(Type::kListener, "outbound_web");
  EXPECT_EQ(listener.address().socket_address().port_value(), 9210u);
  const auto routes = api.Get<RouteConfiguration>(Type::kRoute, "outbound_web");
  EXPECT_EQ(routes.virtual_hosts(0).routes(0).route().cluster(), "web");
}

TEST(Mesh, ANodeIsToldItsOwnKeyAndNobodysElse) {
  const Told web(kMesh, "web");
  EXPECT_THAT(web.Names(Type::kSecret), ElementsAre("identity", "trust"));
  const auto own = web.Get<tls::Secret>(Type::kSecret, "identity");
  EXPECT_EQ(own.tls_certificate().private_key().inline_bytes(), "KEY");
  EXPECT_EQ(own.tls_certificate().certificate_chain().inline_bytes(), "CHAIN");
  const auto trust = web.Get<tls::Secret>(Type::kSecret, "trust");
  EXPECT_EQ(trust.validation_context().trusted_ca().inline_bytes(), "ROOTS");
}

TEST(Mesh, ANodeThatNobodyNamesIsToldNothing) {
  const Told nobody(kMesh, "nobody");
  for (Type type : kTypeOrder) EXPECT_THAT(nobody.Names(type), IsEmpty());
}

constexpr char kOwnSidecars[] = R"(services:
  web:
    allow: [edge]
    health_check: {path: /healthz}
    endpoints:
      - {address: "10.0.0.1:80", sidecar: "10.0.0.1:15006", name: a}
      - {address: "10.0.0.2:80", sidecar: "10.0.0.2:15006", name: b, weight: 3}
gateways:
  edge: {listen: 0.0.0.0:80, routes: [{service: web}]}
)";

TEST(Mesh, EveryEndpointMayHaveASidecarOfItsOwn) {
  const Told edge(kOwnSidecars, "edge");
  EXPECT_THAT(edge.Endpoints("web"), ElementsAre("10.0.0.1:15006*1", "10.0.0.2:15006*3"));
  const auto cluster = edge.Get<Cluster>(Type::kCluster, "web");
  ASSERT_EQ(cluster.health_checks_size(), 1) << "the caller chooses, so the caller looks";
  EXPECT_EQ(cluster.health_checks(0).http_health_check().codec_client_type(),
            envoy::type::v3::HTTP2);
  const auto routes = edge.Get<RouteConfiguration>(Type::kRoute, "gateway");
  EXPECT_THAT(routes.virtual_hosts(0).routes(0).route().retry_policy().retriable_status_codes(),
              ElementsAre(503));

  for (const char* instance : {"web~b", "web~10.0.0.2:15006"}) {
    const Told b(kOwnSidecars, instance);
    EXPECT_THAT(b.Endpoints("local_app"), ElementsAre("10.0.0.2:80*3"));
    EXPECT_EQ(b.Get<Listener>(Type::kListener, "inbound").address().socket_address().address(),
              "10.0.0.2");
  }
  // Which of the two this is, nobody can say.
  EXPECT_THAT(Told(kOwnSidecars, "web").Names(Type::kListener), IsEmpty());
}

TEST(Mesh, NamesAreResolvedByTheProxy) {
  constexpr char kNames[] = R"(services:
  web: {sidecar: "web:15006", endpoints: ["app:80"], allow: [edge]}
gateways:
  edge: {listen: 0.0.0.0:80, routes: [{service: web}]}
)";
  const Told edge(kNames, "edge");
  const auto cluster = edge.Get<Cluster>(Type::kCluster, "web");
  EXPECT_EQ(cluster.type(), Cluster::STRICT_DNS);
  EXPECT_THAT(Told::Spell(cluster.load_assignment()), ElementsAre("web:15006*1"));
  EXPECT_THAT(edge.Names(Type::kEndpoint), IsEmpty());
  const auto inbound = Told(kNames, "web").Get<Listener>(Type::kListener, "inbound");
  EXPECT_EQ(inbound.address().socket_address().address(), "0.0.0.0");
}

TEST(Mesh, TcpServicesAreCarriedAsBytes) {
  constexpr char kTcp[] = R"(services:
  db: {protocol: tcp, sidecar: 127.0.0.1:1, endpoints: ["127.0.0.1:2"], allow: [edge],
       health_check: {}}
gateways:
  edge: {listen: 127.0.0.1:3, tcp: db}
)";
  for (const char* node : {"db", "edge"}) {
    const Told told(kTcp, node);
    const auto listener = told.Get<Listener>(Type::kListener, told.Names(Type::kListener)[0]);
    const auto& filter = listener.filter_chains(0).filters(0);
    EXPECT_EQ(filter.name(), "envoy.filters.network.tcp_proxy");
    EXPECT_THAT(told.Names(Type::kRoute), IsEmpty());
  }
  const auto cluster = Told(kTcp, "edge").Get<Cluster>(Type::kCluster, "db");
  EXPECT_THAT(TlsOf<tls::UpstreamTlsContext>(cluster.transport_socket())
                  .common_tls_context()
                  .alpn_protocols(),
              IsEmpty());
  const auto local = Told(kTcp, "db").Get<Cluster>(Type::kCluster, "local_app");
  EXPECT_TRUE(local.health_checks(0).has_tcp_health_check());
}

TEST(Mesh, GrpcServicesSpeakHttp2ToTheEnd) {
  constexpr char kGrpc[] =
      "services:\n  g: {protocol: grpc, sidecar: 127.0.0.1:1, endpoints: ['127.0.0.1:2'],\n"
      "      health_check: {grpc: ''}}\n";
  const auto local = Told(kGrpc, "g").Get<Cluster>(Type::kCluster, "local_app");
  EXPECT_EQ(local.typed_extension_protocol_options_size(), 1);
  EXPECT_TRUE(local.health_checks(0).has_grpc_health_check());
}

TEST(Mesh, ServicesWithoutASidecarAreCalledInPlainText) {
  constexpr char kPlain[] = R"(services:
  old: {endpoints: [{address: "127.0.0.1:1", weight: 2}, "127.0.0.1:2"], health_check: {path: /}}
gateways:
  edge: {listen: 127.0.0.1:3, routes: [{service: old}]}
)";
  const Told edge(kPlain, "edge");
  const auto cluster = edge.Get<Cluster>(Type::kCluster, "old");
  EXPECT_FALSE(cluster.has_transport_socket());
  EXPECT_EQ(cluster.health_checks_size(), 1);
  EXPECT_THAT(edge.Endpoints("old"), ElementsAre("127.0.0.1:1*2", "127.0.0.1:2*1"));
}

TEST(Mesh, SplitsAndTlsOfAGateway) {
  constexpr char kSplit[] = R"(services:
  a: {sidecar: 127.0.0.1:1, allow: edge}
  b: {sidecar: 127.0.0.1:2, allow: edge, retries: 0}
gateways:
  edge:
    listen: 127.0.0.1:3
    tls: {certificate: /c.pem, key: /k.pem}
    access_log: /dev/stdout
    routes:
      - {host: one.example, path: /x, split: {a: 90, b: 10}, timeout: 3s}
      - {host: two.example, prefix: /p/, rewrite: /, service: a}
)";
  const Told edge(kSplit, "edge");
  const auto routes = edge.Get<RouteConfiguration>(Type::kRoute, "gateway");
  ASSERT_EQ(routes.virtual_hosts_size(), 2);
  const auto& split = routes.virtual_hosts(0).routes(0);
  EXPECT_EQ(split.match().path(), "/x");
  EXPECT_EQ(split.route().weighted_clusters().clusters(0).weight().value(), 90u);
  EXPECT_EQ(split.route().timeout().seconds(), 3);
  EXPECT_FALSE(split.route().has_retry_policy()) << "b may not be asked twice";
  EXPECT_EQ(routes.virtual_hosts(1).routes(0).route().prefix_rewrite(), "/");
  const auto listener = edge.Get<Listener>(Type::kListener, "gateway");
  const auto context =
      TlsOf<tls::DownstreamTlsContext>(listener.filter_chains(0).transport_socket());
  EXPECT_EQ(context.common_tls_context().tls_certificates(0).private_key().filename(), "/k.pem");
}

TEST(Mesh, TheSameMeshHasTheSameVersions) {
  absl::StatusOr<ParsedServices> parsed = ParseServices({{"s.yaml", kMesh}});
  const NodeIdentity identity{"td", "R", {"C", "K", {}, {}}};
  const NodeResources one = BuildResources(parsed->services, {"web", ""}, identity);
  NodeResources two = BuildResources(parsed->services, {"web", ""}, identity);
  parsed->services.services["web"].endpoints[0].weight = 9;
  const NodeResources three = BuildResources(parsed->services, {"web", ""}, identity);
  for (Type type : kTypeOrder) {
    for (const auto& [name, resource] : one.Of(type)) {
      EXPECT_EQ(resource->version, two.Of(type)[name]->version);
      // A change of weights is one of endpoints and of nothing else.
      const bool same = resource->version == three.Of(type).find(name)->second->version;
      EXPECT_EQ(same, type != Type::kEndpoint) << name;
    }
  }
}

}  // namespace
}  // namespace remora::control
