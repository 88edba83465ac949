#include "proxy/main/admin/stat_tags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace remora::proxy {
namespace {

// "name{tag=value,...}" with the name and the order of tags that Envoy 1.40 gives them.
std::string Shown(const TagExtractor& tags, const std::string& name) {
  const TaggedName tagged = tags.Extract(name);
  return absl::StrCat(tagged.name, "{", absl::StrJoin(tagged.tags, ",", absl::PairFormatter("=")),
                      "}");
}

struct Row {
  const char* name;
  const char* shown;
};

// What the real one shows for these names.
constexpr Row kRows[] = {
    {"cluster.web.upstream_rq_503",
     "cluster.upstream_rq{envoy.response_code=503,envoy.cluster_name=web}"},
    {"cluster.web.external.upstream_rq_2xx",
     "cluster.external.upstream_rq_xx{envoy.response_code_class=2,envoy.cluster_name=web}"},
    {"cluster.web.upstream_rq_completed", "cluster.upstream_rq_completed{envoy.cluster_name=web}"},
    {"cluster.web.grpc.a.b.S.M.total",
     "cluster.grpc.S.M.total{envoy.grpc_bridge_method=b,envoy.grpc_bridge_service=a,"
     "envoy.cluster_name=web}"},
    {"cluster.web.dot.bind_errors", "cluster.dot.bind_errors{envoy.cluster_name=web}"},
    {"cluster.web.ext_authz.eas.denied",
     "cluster.ext_authz.denied{envoy.cluster_name=web,envoy.ext_authz_prefix=eas}"},
    {"cluster.web.circuit_breakers.default.cx_open",
     "cluster.circuit_breakers.default.cx_open{envoy.cluster_name=web}"},
    {"cluster_manager.cluster_added", "cluster_manager.cluster_added{}"},
    {"http.in.downstream_rq_2xx",
     "http.downstream_rq_xx{envoy.response_code_class=2,envoy.http_conn_manager_prefix=in}"},
    {"http.in.dot.downstream_cx_total",
     "http.dot.downstream_cx_total{envoy.http_conn_manager_prefix=in}"},
    {"http.in.rds.r.x.config_reload",
     "http.rds.config_reload{envoy.rds_route_config=r.x,envoy.http_conn_manager_prefix=in}"},
    {"listener.127.0.0.1_80.downstream_cx_total",
     "listener.downstream_cx_total{envoy.listener_address=127.0.0.1_80}"},
    {"listener.[__1]_21954.downstream_cx_total",
     "listener.downstream_cx_total{envoy.listener_address=[__1]_21954}"},
    {"listener.my.listener.downstream_cx_destroy",
     "listener.listener.downstream_cx_destroy{envoy.listener_address=my}"},
    {"listener./tmp/u.sock.downstream_cx_total",
     "listener.sock.downstream_cx_total{envoy.listener_address=/tmp/u}"},
    {"listener.127.0.0.1_80.worker_3.downstream_cx_total",
     "listener.worker.downstream_cx_total{envoy.worker_id=3,envoy.listener_address=127.0.0.1_80}"},
    {"listener.127.0.0.1_80.http.in.downstream_rq_5xx",
     "listener.http.downstream_rq_xx{envoy.response_code_class=5,envoy.http_conn_manager_prefix=in,"
     "envoy.listener_address=127.0.0.1_80}"},
    {"listener.127.0.0.1_80.ssl.ciphers.TLS_AES_256_GCM_SHA384",
     "listener.ssl.ciphers{envoy.ssl_cipher=TLS_AES_256_GCM_SHA384,envoy.listener_address=127.0.0."
     "1_80}"},
    {"listener.127.0.0.1_80.ssl.versions.TLSv1.3",
     "listener.ssl.versions{envoy.ssl_version=TLSv1.3,envoy.listener_address=127.0.0.1_80}"},
    {"listener.admin.main_thread.downstream_cx_total",
     "listener.admin.main_thread.downstream_cx_total{}"},
    {"listener.admin.http.admin.downstream_rq_2xx",
     "listener.admin.http.downstream_rq_xx{envoy.response_code_class=2,envoy.http_conn_manager_"
     "prefix=admin}"},
    {"vhost.vh.vcluster.vc.upstream_rq_200",
     "vhost.vcluster.upstream_rq{envoy.response_code=200,envoy.virtual_cluster=vc,envoy.virtual_"
     "host=vh}"},
    {"vhost.vh.route.rsp.upstream_rq_completed",
     "vhost.route.upstream_rq_completed{envoy.virtual_host=vh,envoy.route=rsp}"},
    {"tcp.tp.downstream_cx_total", "tcp.downstream_cx_total{envoy.tcp_prefix=tp}"},
    {"hlr.http_local_rate_limit.ok",
     "http_local_rate_limit.ok{envoy.local_http_ratelimit_prefix=hlr}"},
    {"local_rate_limit.lrl.rate_limited",
     "local_rate_limit.rate_limited{envoy.local_network_ratelimit_prefix=lrl}"},
    {"rb.rbac.allowed", "rbac.allowed{envoy.rbac_prefix=rb}"},
    {"sds.my.sec.init_fetch_timeout", "sds.sec.init_fetch_timeout{envoy.xds_resource_name=my}"},
    {"server.worker_0.watchdog_miss", "server.worker.watchdog_miss{envoy.worker_id=0}"},
    {"server.live", "server.live{}"},
    {"filesystem.write_buffered", "filesystem.write_buffered{}"},
};

TEST(StatTags, DefaultTagsAreEnvoys) {
  const TagExtractor tags({}, {});
  for (const Row& row : kRows) EXPECT_EQ(Shown(tags, row.name), row.shown) << row.name;
}

TEST(StatTags, FixedTagsComeAfterCodesAndConfiguredOnesLast) {
  xds::StatsConfig config;
  config.tags = {{"tt", "", "vv"}, {"my.tag", R"(^cluster\.((w\w+)\.))", ""}};
  const TagExtractor tags(config, {});
  EXPECT_EQ(
      Shown(tags, "cluster.web.upstream_rq_2xx"),
      "cluster.upstream_rq_xx{envoy.response_code_class=2,tt=vv,envoy.cluster_name=web,my.tag=web}")
      << "two tags may take the same part of a name";
  EXPECT_EQ(Shown(tags, "server.worker_1.watchdog_miss"),
            "server.worker.watchdog_miss{envoy.worker_id=1,tt=vv}");
}

TEST(StatTags, WithoutDefaultsOnlyTheConfiguredOnesAreTaken) {
  xds::StatsConfig config;
  config.use_all_default_tags = false;
  config.tags = {{"name", R"(^cluster\.(.+?\.)upstream)", ""}};
  const TagExtractor tags(config, {{"cli", "1"}});
  EXPECT_EQ(Shown(tags, "cluster.web.upstream_rq_503"), "cluster.upstream_rq_503{cli=1,name=web.}")
      << "without a second group the first is the value";
}

TEST(StatTags, LookAheadsWork) {
  xds::StatsConfig config;
  config.use_all_default_tags = false;
  config.tags = {{"x", R"(^(?=a)(a(\d)\.))", ""}};
  const TagExtractor tags(config, {});
  EXPECT_EQ(Shown(tags, "a7.rest"), "rest{x=7}");
}

}  // namespace
}  // namespace remora::proxy
