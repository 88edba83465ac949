#include "xds/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/config/core/v3/base.pb.h"

namespace remora::xds {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// A file that is gone at the end of the test.
class File {
 public:
  File(const std::string& ending, const std::string& text) {
    static int count = 0;
    path_ = absl::StrCat("/tmp/remora-bootstrap-", getpid(), "-", ++count, ending);
    std::ofstream(path_) << text;
  }
  ~File() { unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

absl::StatusOr<std::shared_ptr<const Bootstrap>> Load(const std::string& text,
                                                      const std::string& ending = ".yaml") {
  const File file(ending, text);
  Bootstrap::Options options;
  options.path = file.path();
  return Bootstrap::Load(options);
}

// Every error, one a line, without the file's name.
std::vector<std::string> Errors(const std::string& text) {
  const auto loaded = Load(text);
  EXPECT_FALSE(loaded.ok());
  std::vector<std::string> lines = absl::StrSplit(loaded.status().message(), '\n');
  for (std::string& line : lines) line = line.substr(line.find(".yaml:") + 6);
  return lines;
}

constexpr char kMinimal[] = R"(
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 0.0.0.0, port_value: 8080}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          http_filters: [{name: router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
          route_config: {virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: web}}]}]}
  clusters:
  - name: web
    load_assignment: {cluster_name: web, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 80}}}}]}]}
)";

TEST(BootstrapLoading, AProxyToOneUpstream) {
  const auto loaded = Load(kMinimal);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->admin.address->port, 9901);
  EXPECT_THAT((*loaded)->listeners, SizeIs(1));
  EXPECT_THAT((*loaded)->clusters, SizeIs(1));
  EXPECT_TRUE((*loaded)->warnings.empty());
  EXPECT_TRUE(Load("{}").ok());
  EXPECT_TRUE(Load("", ".yaml").ok());
}

TEST(BootstrapLoading, APipeWillDo) {
  const std::string path = absl::StrCat("/tmp/remora-fifo-", getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << R"({"node": {"id": "from a pipe"}})"; });
  Bootstrap::Options options;
  options.path = path;
  const auto loaded = Bootstrap::Load(options);
  writer.join();
  unlink(path.c_str());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->node.id, "from a pipe");
}

TEST(BootstrapLoading, InlineYamlIsMergedOverTheFile) {
  const File file(".json", R"({"node": {"id": "a", "cluster": "b"}})");
  Bootstrap::Options options;
  options.path = file.path();
  options.inline_yaml = "node: {id: c}\nadmin: {address: {pipe: {path: /x}}}";
  options.service_zone = "z";
  const auto loaded = Bootstrap::Load(options);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->node.id, "c");
  EXPECT_EQ((*loaded)->node.cluster, "b");
  EXPECT_EQ((*loaded)->node.locality.zone, "z");
  EXPECT_EQ((*loaded)->admin.address->host, "/x");
  Bootstrap::Options none;
  EXPECT_FALSE(Bootstrap::Load(none).ok());
}

TEST(BootstrapLoading, TheNodeSaysWhichEnvoyWeSpeak) {
  const auto loaded = Load("node: {id: a, cluster: b, metadata: {k: v}}");
  envoy::config::core::v3::Node node;
  ASSERT_TRUE(node.ParseFromString((*loaded)->node.original));
  EXPECT_EQ(node.user_agent_name(), "envoy");
  EXPECT_EQ(node.user_agent_build_version().version().minor_number(), 40u);
  EXPECT_EQ(*(*loaded)->node.metadata.Find("k")->text(), "v");
}

TEST(BootstrapLoading, AllErrorsAtOnceWithLineAndPath) {
  const auto errors = Errors(R"(nonsense: 1
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: eighty}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ''
          route_config: {virtual_hosts: [{name: v, domains: ['*', '*'], routes: [{match: {prefix: /}, route: {cluster: nope}}]}]}
  clusters:
  - name: c
    connect_timeout: '5'
    load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: name, port_value: 80}}}}]}]}
  - name: c
)");
  EXPECT_THAT(errors, SizeIs(8));
  EXPECT_THAT(errors, Contains(HasSubstr("1: nonsense: no such field")));
  EXPECT_THAT(errors, Contains(HasSubstr("5: static_resources.listeners[0].address.socket_address."
                                         "port_value: expected an unsigned 32-bit number")));
  EXPECT_THAT(errors, Contains(HasSubstr("11: static_resources.listeners[0].filter_chains[0]."
                                         "filters[0].typed_config.stat_prefix: value length")));
  EXPECT_THAT(errors, Contains(HasSubstr("12: static_resources.listeners[0].filter_chains[0]."
                                         "filters[0].typed_config.route_config.virtual_hosts[0]."
                                         "domains[1]: Only a single wildcard")));
  EXPECT_THAT(errors, Contains(HasSubstr("unknown cluster 'nope'")));
  EXPECT_THAT(errors, Contains(HasSubstr("15: static_resources.clusters[0].connect_timeout")));
  EXPECT_THAT(errors, Contains(HasSubstr("16: static_resources.clusters[0].load_assignment."
                                         "endpoints[0].lb_endpoints[0]: malformed IP address")));
  EXPECT_THAT(errors, Contains(HasSubstr("17: static_resources.clusters[1].name: cluster manager: "
                                         "duplicate cluster 'c'")));
}

TEST(BootstrapLoading, UnknownFieldsPassOnlyWhenAllowed) {
  const File file(".yaml", "nonsense: 1");
  Bootstrap::Options options;
  options.path = file.path();
  options.allow_unknown_static_fields = true;
  const auto loaded = Bootstrap::Load(options);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT((*loaded)->warnings, ElementsAre(HasSubstr("nonsense: no such field")));
}

TEST(BootstrapLoading, FieldsThatDoNothingAreNamed) {
  const auto loaded = Load(
      "watchdog: {}\nstats_sinks: [{name: s, typed_config: {'@type': "
      "type.googleapis.com/envoy.config.metrics.v3.StatsdSink, tcp_cluster_name: "
      "c}}]");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT((*loaded)->warnings, Contains(HasSubstr("watchdog: is known but not honoured yet")));
  EXPECT_THAT((*loaded)->warnings, Contains(HasSubstr("stats_sinks[0].typed_config: is known")));
}

TEST(BootstrapLoading, TheRuntimesLastLayerWins) {
  const auto loaded = Load(R"(
layered_runtime:
  layers:
  - {name: a, static_layer: {k: 1, d: 1.5, deep: {er: x}, re2.max_program_size.error_level: 1000}}
  - {name: b, static_layer: {k: {numerator: 30, denominator: HUNDRED}}}
static_resources:
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 1}}
    filter_chains: [{filters: [{name: h, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s,
      route_config: {virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {safe_regex: {regex: '/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}, redirect: {}}]}]}}}]}]
)");
  SetRegexProgramLimit(100);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Runtime& runtime = *(*loaded)->runtime;
  EXPECT_EQ(runtime.Fraction("k", {}).numerator, 30u);
  EXPECT_EQ(runtime.Number("d", 0), 1.5);
  EXPECT_EQ(runtime.Find("deep.er")->text, "x");
  EXPECT_EQ(runtime.Integer("absent", 9), 9u);
  EXPECT_THAT(Errors("layered_runtime: {layers: [{name: a, admin_layer: {}}, {name: a, "
                     "admin_layer: {}}]}"),
              SizeIs(2));
}

TEST(BootstrapLoading, StreamsNeedANodeAndAClusterThatIsThere) {
  const auto errors = Errors(
      "dynamic_resources: {lds_config: {ads: {}}, ads_config: {api_type: GRPC, grpc_services: "
      "[{envoy_grpc: {cluster_name: xds}}]}}");
  EXPECT_THAT(errors, ElementsAre(HasSubstr("lds_config: node 'id' and 'cluster' are required"),
                                  HasSubstr("'xds' does not exist"),
                                  HasSubstr("ads_config: node 'id' and 'cluster' are required")));
}

TEST(BootstrapLoading, ListenersThatCannotBeSideBySide) {
  const auto with = [](const std::string& name, int port) {
    return absl::StrCat("{name: ", name,
                        ", address: {socket_address: {address: 127.0.0.1, "
                        "port_value: ",
                        port, "}}, filter_chains: [{}]}");
  };
  EXPECT_THAT(Errors(absl::StrCat("static_resources: {listeners: [", with("a", 1), ", ",
                                  with("b", 1), "]}")),
              ElementsAre(HasSubstr("'b' has duplicate address '127.0.0.1:1'")));
  const auto same =
      Load(absl::StrCat("static_resources: {listeners: [", with("a", 1), ", ", with("a", 2), "]}"));
  ASSERT_TRUE(same.ok()) << same.status();
  ASSERT_THAT((*same)->listeners, SizeIs(1));
  EXPECT_EQ((*same)->listeners[0]->address.port, 1);
}

// The shape of what Consul's launcher writes: JSON, one object for a list, delta ADS, a token.
TEST(BootstrapLoading, ConsulsShape) {
  const auto loaded = Load(R"json({
  "admin": {"access_log_path": "/dev/null", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 19000}}},
  "node": {"cluster": "web", "id": "web-sidecar-proxy", "metadata": {"namespace": "default", "partition": "default"}},
  "layered_runtime": {"layers": [{"name": "base", "static_layer": {"re2.max_program_size.error_level": 1048576}}]},
  "static_resources": {"clusters": [{
    "name": "local_agent", "ignore_health_on_host_removal": false, "connect_timeout": "1s", "type": "STATIC",
    "http2_protocol_options": {},
    "loadAssignment": {"clusterName": "local_agent", "endpoints": [{"lbEndpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 8502}}}}]}]}}]},
  "stats_config": {"stats_tags": [{"regex": "^cluster\\.(?:passthrough~)?((?:([^.]+)~)?.*)", "tag_name": "consul.destination.custom_hash"}, {"tag_name": "local_cluster", "fixed_value": "web"}], "use_all_default_tags": true},
  "dynamic_resources": {
    "lds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
    "cds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
    "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3",
      "grpc_services": {"initial_metadata": [{"key": "x-consul-token", "value": ""}], "envoy_grpc": {"cluster_name": "local_agent"}}}}
})json",
                           ".json");
  SetRegexProgramLimit(100);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const Bootstrap& bootstrap = **loaded;
  EXPECT_TRUE(bootstrap.ads->delta());
  ASSERT_THAT(bootstrap.ads->grpc_services, SizeIs(1));
  EXPECT_EQ(bootstrap.ads->grpc_services[0].initial_metadata[0].first, "x-consul-token");
  EXPECT_EQ(bootstrap.lds.initial_fetch_timeout, absl::ZeroDuration());
  EXPECT_EQ(bootstrap.clusters[0]->http.protocol, UpstreamHttpOptions::Protocol::kHttp2);
  EXPECT_THAT(bootstrap.stats.tags, SizeIs(2));
  EXPECT_TRUE(bootstrap.admin.access_logs.empty());
}

// The shape of Istio's: TypedStructs, trailing commas, pipes, an overload cap, strings for numbers.
TEST(BootstrapLoading, IstiosShape) {
  const auto loaded = Load(R"json({
  "application_log_config": {"log_format": {"text_format": "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n\t%v"}},
  "node": {"id": "sidecar~10.0.0.1~pod.ns~ns.svc.cluster.local", "cluster": "web.ns", "locality": {}, "metadata": {"ISTIO_VERSION": "1.31"}},
  "layered_runtime": {"layers": [{"name": "global config", "static_layer": {"envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": "true", "re2.max_program_size.error_level": "32768", "overload.global_downstream_max_connections": "2147483647"}}, {"name": "admin", "admin_layer": {}}]},
  "stats_config": {"use_all_default_tags": false, "stats_tags": [{"tag_name": "cluster_name", "regex": "^cluster\\.((.+?(\\..+?\\.svc\\.cluster\\.local)?)\\.)"}], "stats_matcher": {"inclusion_list": {"patterns": [{"prefix": "reporter="}, {"suffix": "ssl_context_update_by_sds"}]}}},
  "overload_manager": {"resource_monitors": [{"name": "global", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig", "max_active_downstream_connections": "2147483647"}}]},
  "bootstrap_extensions": [{"name": "envoy.bootstrap.internal_listener", "typed_config": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct", "type_url": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener", "value": {"buffer_size_kb": 64}}}],
  "static_resources": {"clusters": [
    {"name": "sds-grpc", "type": "STATIC", "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}, "connect_timeout": "1s",
     "load_assignment": {"cluster_name": "sds-grpc", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "./var/run/secrets/workload-spiffe-uds/socket"}}}}]}]}},
    {"name": "xds-grpc", "type": "STATIC", "connect_timeout": "1s", "max_requests_per_connection": 1, "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", "max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}]}, "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
     "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}},
     "load_assignment": {"cluster_name": "xds-grpc", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "./etc/istio/proxy/XDS"}}}}]}]}}]},
  "dynamic_resources": {"lds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}, "cds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
    "ads_config": {"api_type": "DELTA_GRPC", "set_node_on_first_message_only": true, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]}},
})json",
                           ".json");
  SetRegexProgramLimit(100);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->overload_max_connections, 2147483647u);
  EXPECT_TRUE((*loaded)->ads->set_node_on_first_message_only);
  EXPECT_THAT((*loaded)->stats.inclusion, SizeIs(2));
  EXPECT_EQ((*loaded)->runtime->Integer("re2.max_program_size.error_level", 0), 32768u);
  EXPECT_EQ((*loaded)->clusters[1]->default_breaker.max_requests, 100000u);
}

}  // namespace
}  // namespace remora::xds
