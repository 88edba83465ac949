#include "proxy/main/admin/admin_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/protobuf/struct.pb.h"
#include "nlohmann/json.hpp"
#include "proxy/base/log.h"
#include "tests/proxy/main/admin/fake_state.h"
#include "tests/support/upstream_fixture.h"

namespace remora::proxy {
namespace {

using ::testing::ElementsAre;
using testing::FakeState;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;
using Json = nlohmann::json;

class AdminPagesTest : public ::testing::Test {
 protected:
  explicit AdminPagesTest(const std::string& bootstrap = "{node: {id: me, cluster: mine}}")
      : state_(bootstrap), pages_(&state_) {}

  AdminResponse Ask(const std::string& method, const std::string& target) {
    return pages_.Answer(AdminRequest::Make(method, target));
  }
  AdminResponse Get(const std::string& target) { return Ask("GET", target); }
  AdminResponse Post(const std::string& target) { return Ask("POST", target); }

  FakeState state_;
  AdminPages pages_;
};

TEST(AdminRequestTest, TargetsAreTakenApart) {
  const AdminRequest request = AdminRequest::Make("GET", "/stats?filter=a%2Eb&usedonly&x=1=2#part");
  EXPECT_EQ(request.path, "/stats");
  EXPECT_THAT(request.query,
              ElementsAre(Pair("filter", "a.b"), Pair("usedonly", ""), Pair("x", "1=2")));
  EXPECT_TRUE(request.Has("usedonly"));
  EXPECT_EQ(request.Find("nope"), nullptr);
  EXPECT_THAT(AdminRequest::Make("GET", "/a?%zz=%4").query, ElementsAre(Pair("%zz", "%4")));
}

TEST_F(AdminPagesTest, WhatChangesAnythingNeedsPost) {
  const AdminResponse refused = Get("/quitquitquit");
  EXPECT_EQ(refused.status, 405);
  EXPECT_EQ(refused.body, "Method GET not allowed, POST required.");
  EXPECT_EQ(refused.content_type, "text/plain; charset=UTF-8");
  EXPECT_THAT(state_.calls_, IsEmpty());
  EXPECT_EQ(Post("/quitquitquit").body, "OK\n");
  EXPECT_THAT(state_.calls_, ElementsAre("quit"));
  EXPECT_EQ(Ask("PUT", "/ready").status, 200) << "reading takes any method";
}

TEST_F(AdminPagesTest, AnUnknownPathListsTheCommands) {
  const AdminResponse response = Get("/nope");
  EXPECT_EQ(response.status, 404);
  EXPECT_THAT(response.body,
              StartsWith("invalid path. admin commands are:\n  /: Admin home page\n"));
  const AdminResponse help = Get("/help");
  EXPECT_EQ(help.status, 200);
  EXPECT_THAT(help.body, StartsWith("admin commands are:\n"));
  EXPECT_THAT(help.body, HasSubstr("  /drain_listeners (POST): drain listeners\n      graceful: "));
}

TEST_F(AdminPagesTest, TheTableIsSortedAndEveryPageIsOnTheHomePage) {
  absl::string_view before;
  const std::string home = Get("/").body;
  for (const AdminPage& page : AdminPages::Table()) {
    EXPECT_LT(before, page.path);
    before = page.path;
    EXPECT_THAT(home, HasSubstr(std::string(page.path.substr(1))));
  }
  EXPECT_EQ(Get("/").content_type, "text/html; charset=UTF-8");
}

TEST_F(AdminPagesTest, ReadySaysTheStateAndOnlyLiveIsWell) {
  EXPECT_EQ(Get("/ready").body, "LIVE\n");
  EXPECT_EQ(Get("/ready").status, 200);
  const std::pair<ServerState, const char*> kOthers[] = {
      {ServerState::kDraining, "DRAINING\n"},
      {ServerState::kPreInitializing, "PRE_INITIALIZING\n"},
      {ServerState::kInitializing, "INITIALIZING\n"}};
  for (const auto& [state, text] : kOthers) {
    state_.state_ = state;
    EXPECT_EQ(Get("/ready").status, 503);
    EXPECT_EQ(Get("/ready").body, text);
  }
}

TEST_F(AdminPagesTest, ActionsReachTheServer) {
  Post("/healthcheck/fail");
  Post("/healthcheck/ok");
  Post("/drain_listeners");
  Post("/drain_listeners?inboundonly&graceful&skip_exit");
  Post("/reopen_logs");
  EXPECT_THAT(state_.calls_, ElementsAre("fail", "ok", "drain 000", "drain 111", "reopen"));
}

TEST_F(AdminPagesTest, ServerInfoTellsVersionStateAndOptions) {
  state_.options_.concurrency = 3;
  state_.options_.disable_hot_restart = true;
  state_.options_.drain_strategy = Options::DrainStrategy::kImmediate;
  state_.options_.component_log_levels = {{"http", "debug"}, {"main", "info"}};
  const AdminResponse response = Get("/server_info");
  EXPECT_EQ(response.content_type, "application/json");
  const Json info = Json::parse(response.body);
  EXPECT_THAT(std::string(info["version"]), HasSubstr("/1.40.0/Clean/RELEASE/BoringSSL"));
  EXPECT_EQ(info["state"], "LIVE");
  EXPECT_EQ(info["uptime_current_epoch"], "61s");
  EXPECT_EQ(info["hot_restart_version"], "disabled");
  const Json& options = info["command_line_options"];
  EXPECT_EQ(options["concurrency"], 3);
  EXPECT_EQ(options["drain_time"], "600s");
  EXPECT_EQ(options["drain_strategy"], "Immediate");
  EXPECT_EQ(options["mode"], "Serve");
  EXPECT_EQ(options["config_yaml"], "") << "empty fields are shown";
  EXPECT_EQ(options["component_log_level"], "http:debug,main:info");
  EXPECT_EQ(options["file_flush_interval"], "10s");
  EXPECT_EQ(info["node"]["id"], "me");
  EXPECT_EQ(Get("/hot_restart_version").body, "disabled");
}

TEST_F(AdminPagesTest, ListenersInTextAndJson) {
  state_.listeners_ = {{"a", {*Address::FromIp("127.0.0.1", 80), *Address::FromIp("::1", 81)}},
                       {"b", {*Address::FromPipe("/run/b.sock")}}};
  EXPECT_EQ(Get("/listeners").body, "a::127.0.0.1:80\na::[::1]:81\nb::/run/b.sock\n");
  const Json page = Json::parse(Get("/listeners?format=json").body);
  EXPECT_EQ(page["listener_statuses"][0]["local_address"]["socket_address"]["port_value"], 80);
  EXPECT_EQ(
      page["listener_statuses"][0]["additional_local_addresses"][0]["socket_address"]["address"],
      "::1");
  EXPECT_EQ(page["listener_statuses"][1]["local_address"]["pipe"]["path"], "/run/b.sock");
}

TEST_F(AdminPagesTest, CertificatesWithTheirNamesAndDaysLeft) {
  EXPECT_EQ(Get("/certs").body, "{\n \"certificates\": []\n}\n");
  CertificateFacts facts;
  facts.path = "c.pem";
  facts.serial = "0a";
  facts.subject_alt_names = {{CertificateFacts::NameKind::kUri, "spiffe://td/web"},
                             {CertificateFacts::NameKind::kDns, "web"},
                             {CertificateFacts::NameKind::kIpAddress, "10.0.0.1"}};
  facts.valid_from_s = 1700000000;
  facts.expires_s = 1700000061 + 30 * 86400 - 1;
  state_.certificates_ = {{{facts}, {facts}}};
  const Json page = Json::parse(Get("/certs").body)["certificates"][0];
  EXPECT_EQ(page["ca_cert"][0]["serial_number"], "0a");
  const Json& leaf = page["cert_chain"][0];
  EXPECT_EQ(leaf["days_until_expiration"], "29");
  EXPECT_EQ(leaf["valid_from"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(leaf["subject_alt_names"][0]["uri"], "spiffe://td/web");
  EXPECT_EQ(leaf["subject_alt_names"][2]["ip_address"], "10.0.0.1");
  state_.certificates_[0].chain[0].expires_s = 1;
  EXPECT_EQ(
      Json::parse(Get("/certs").body)["certificates"][0]["cert_chain"][0]["days_until_expiration"],
      "0");
}

TEST_F(AdminPagesTest, RuntimeByLayerAndItsChanges) {
  EXPECT_EQ(Get("/runtime").body, "{\n \"entries\": {},\n \"layers\": []\n}\n");
  google::protobuf::Struct base;
  (*(*base.mutable_fields())["a"].mutable_struct_value()->mutable_fields())["b"].set_number_value(
      3);
  google::protobuf::Struct over;
  (*over.mutable_fields())["a.b"].set_string_value("4");
  state_.runtime_ = std::make_shared<const Runtime>(std::vector<Runtime::Layer>{
      Runtime::LayerFrom("s", base), Runtime::LayerFrom("admin", over)});
  const Json page = Json::parse(Get("/runtime").body);
  EXPECT_EQ(page["layers"], Json({"s", "admin"}));
  EXPECT_EQ(page["entries"]["a.b"]["final_value"], "4");
  EXPECT_EQ(page["entries"]["a.b"]["layer_values"], Json({"3", "4"}));

  EXPECT_EQ(Post("/runtime_modify").status, 400);
  EXPECT_THAT(Post("/runtime_modify").body, StartsWith("usage: /runtime_modify?key1=value1"));
  EXPECT_EQ(Post("/runtime_modify?x=1&y=").body, "OK\n");
  EXPECT_THAT(state_.calls_, ElementsAre("x=1", "y="));
  state_.modify_status_ = absl::InvalidArgumentError("No admin layer specified");
  EXPECT_EQ(Post("/runtime_modify?x=1").status, 503);
  EXPECT_EQ(Post("/runtime_modify?x=1").body, "No admin layer specified");
}

TEST_F(AdminPagesTest, StatsAreFreshAndOfferTheirFormats) {
  state_.stats_.SetText("t", "v");
  EXPECT_EQ(Get("/stats").body, "t: \"v\"\n");
  EXPECT_EQ(state_.refreshed_, 1);
  EXPECT_EQ(Get("/stats?format=json").content_type, "application/json");
  EXPECT_EQ(Get("/stats?format=html").content_type, "text/html; charset=UTF-8");
  EXPECT_EQ(Get("/stats/prometheus?text_readouts").content_type, "text/plain; charset=UTF-8");
  EXPECT_EQ(Get("/stats?format=prometheus&text_readouts").body,
            Get("/stats/prometheus?text_readouts").body);
  EXPECT_EQ(Get("/stats?type=nope").status, 400);
  EXPECT_EQ(Get("/stats?filter=(").status, 400);
}

enum class OneStat { kCount };
constexpr StatDef kOne[] = {{"count", StatKind::kCounter}};
enum class TimeStat { kTime };
constexpr StatDef kTimes[] = {{"ms", StatKind::kHistogram}};

TEST_F(AdminPagesTest, CountersAreReset) {
  const auto scope = state_.stats_.MainScope<OneStat>(state_.stats_.Register("x.", kOne));
  scope.Add(OneStat::kCount, 5);
  EXPECT_EQ(Post("/reset_counters").body, "OK\n");
  EXPECT_EQ(Get("/stats").body, "x.count: 0\n");
}

TEST_F(AdminPagesTest, IntervalsOfHistogramsAreKeptWhileSomebodyLooks) {
  const auto scope = state_.stats_.MainScope<TimeStat>(state_.stats_.Register("x.", kTimes));
  scope.Record(TimeStat::kTime, 5);
  EXPECT_THAT(Get("/stats").body, HasSubstr("No recorded values")) << "before the first flush";
  EXPECT_EQ(Get("/stats?usedonly").body, "");
  pages_.Flush();
  EXPECT_THAT(Get("/stats").body, HasSubstr("P100(5.05,5.05)")) << "all since the start";
  for (int i = 0; i < 30; ++i) pages_.Flush();
  scope.Record(TimeStat::kTime, 6);
  pages_.Flush();
  EXPECT_THAT(Get("/stats").body, HasSubstr("P100(nan,6.05)")) << "nobody had looked";
  pages_.Flush();
  scope.Record(TimeStat::kTime, 7);
  pages_.Flush();
  EXPECT_THAT(Get("/stats").body, HasSubstr("P0(7.05,5.05)"));
  pages_.Flush();
  EXPECT_THAT(Get("/stats").body, HasSubstr("P0(nan,5.05)")) << "nothing came lately";
}

TEST_F(AdminPagesTest, LevelsOfLoggersAreShownAndSetAllOrNone) {
  const LogLevel before = LogComponent::Find("http").level();
  EXPECT_THAT(Post("/logging").body, StartsWith("active loggers:\n"));
  EXPECT_EQ(Post("/logging?http=trace").status, 200);
  EXPECT_EQ(LogComponent::Find("http").level(), LogLevel::kTrace);
  EXPECT_THAT(Post("/logging").body, HasSubstr("  http: trace\n"));
  EXPECT_EQ(Post("/logging?paths=http:debug,main:warn").status, 200);
  EXPECT_EQ(LogComponent::Find("main").level(), LogLevel::kWarning);

  const AdminResponse refused = Post("/logging?paths=http:off,nope:debug");
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body,
              StartsWith("error: unknown logger name\n\nusage: /logging?<name>=<level>"));
  EXPECT_EQ(LogComponent::Find("http").level(), LogLevel::kDebug)
      << "the other is not changed either";
  EXPECT_THAT(Post("/logging?level=nope").body, StartsWith("error: unknown logger level\n"));
  EXPECT_THAT(Post("/logging?a=b&c=d").body, StartsWith("error: invalid number of parameters\n"));
  EXPECT_THAT(Post("/logging?paths=http").body,
              StartsWith("error: empty logger name or empty logger level\n"));
  EXPECT_EQ(Post("/logging?level=").status, 200);
  for (LogComponent* component : LogComponent::All()) component->set_level(before);
}

TEST_F(AdminPagesTest, TheDumpAnswersToResourceMaskAndName) {
  state_.catalog_->Apply(xds::UpdateOf(xds::ResourceKind::kCluster, "7",
                                       {xds::StaticCluster("web"), xds::StaticCluster("api")}),
                         1700000000000);
  const Json all = Json::parse(Get("/config_dump").body)["configs"];
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(all[0]["@type"], "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump");
  EXPECT_EQ(all[0]["bootstrap"]["node"]["id"], "me");
  EXPECT_EQ(all[1]["version_info"], "7");
  EXPECT_EQ(all[1]["dynamic_active_clusters"].size(), 2u);
  const Json one = Json::parse(
      Get("/config_dump?resource=dynamic_active_clusters&mask=cluster.name&name_regex=w.b").body);
  ASSERT_EQ(one["configs"].size(), 1u);
  EXPECT_EQ(
      one["configs"][0]["cluster"],
      Json({{"@type", "type.googleapis.com/envoy.config.cluster.v3.Cluster"}, {"name", "web"}}));
  const Json masked = Json::parse(Get("/config_dump?mask=bootstrap.node.id").body);
  EXPECT_EQ(masked["configs"].size(), 1u);
  EXPECT_EQ(Json::parse(Get("/config_dump?include_eds").body)["configs"].size(), 7u);

  AdminResponse refused = Get("/config_dump?resource=nope");
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(refused.content_type, "text/plain");
  EXPECT_EQ(refused.body, "nope not found in config dump");
  EXPECT_EQ(Get("/config_dump?resource=bootstrap").body,
            "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field");
  EXPECT_EQ(Get("/config_dump?mask=nope").body,
            "FieldMask nope could not be successfully applied to any configs.");
  EXPECT_EQ(Get("/config_dump?name_regex=(").body,
            "INVALID_ARGUMENT: Error while parsing name_regex from (: missing ): (");
}

TEST_F(AdminPagesTest, InitDumpNamesWhatListenersWaitFor) {
  EXPECT_EQ(Get("/init_dump").body, "{}\n");
  state_.catalog_->Apply(
      xds::UpdateOf(xds::ResourceKind::kListener, "1", {xds::RdsListener("l", "r")}), 1);
  const Json page = Json::parse(Get("/init_dump").body)["unready_targets_dumps"][0];
  EXPECT_EQ(page["name"], "init manager Listener-local-init-manager l");
  EXPECT_EQ(page["target_names"][0], "RDS r");
}

TEST_F(AdminPagesTest, MemoryIsInTheFieldsOfEnvoy) {
  const Json page = Json::parse(Get("/memory").body);
  for (const char* field : {"allocated", "heap_size", "pageheap_unmapped", "pageheap_free",
                            "total_thread_cache", "total_physical_bytes"}) {
    EXPECT_TRUE(page.contains(field)) << field;
  }
#ifndef REMORA_SANITIZED  // whose heap glibc knows nothing of
  EXPECT_GT(std::stoull(std::string(page["allocated"])), 0u);
#endif
}

TEST_F(AdminPagesTest, ProfilesThatThisBuildCannotTakeSaySo) {
  EXPECT_EQ(Post("/heapprofiler?enable=y").status, 501);
  EXPECT_EQ(Post("/cpuprofiler").body, "?enable=<y|n>\n");
  EXPECT_EQ(Post("/cpuprofiler").status, 400);
}

class AdminPagesWithPaths : public AdminPagesTest {
 protected:
  AdminPagesWithPaths()
      : AdminPagesTest(
            "{admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}, allow_paths: "
            "[{exact: /ready}]}}") {}
};

TEST_F(AdminPagesWithPaths, OtherPathsAreForbidden) {
  EXPECT_EQ(Get("/ready").status, 200);
  EXPECT_EQ(Get("/stats").status, 403);
  EXPECT_EQ(Get("/stats").body, "request to path /stats not allowed");
}

class ClustersPageTest : public AdminPagesTest {
 protected:
  ClustersPageTest() {
    upstream_.AddCluster(
        "web", 2, [](xds::Cluster& cluster) { cluster.default_breaker.max_connections = 5; });
    const auto cluster = upstream_.cluster("web");
    state_.clusters_ = {{cluster, true, std::nullopt}};
    lb::HostState& state = cluster->policy->hosts().entry(0).host->state();
    state.rq_total = 9;
    state.cx_active = 2;
    state.SetFlag(lb::kFailedActiveHc);
    state.success_rate = 99.5f;
  }

  testing::UpstreamFixture upstream_;
};

TEST_F(ClustersPageTest, TextHoldsLimitsAndHosts) {
  state_.clusters_[0].outlier = AdminCluster::Outlier{{98.25, 90}, {-1, -1}};
  const std::string page = Get("/clusters").body;
  EXPECT_THAT(page, StartsWith("web::observability_name::web\n"
                               "web::outlier::success_rate_average::98.25\n"
                               "web::outlier::success_rate_ejection_threshold::90\n"
                               "web::outlier::local_origin_success_rate_average::-1\n"
                               "web::outlier::local_origin_success_rate_ejection_threshold::-1\n"
                               "web::default_priority::max_connections::5\n"
                               "web::default_priority::max_pending_requests::1024\n"));
  EXPECT_THAT(page,
              HasSubstr("web::high_priority::max_retries::3\nweb::added_via_api::true\n"
                        "web::10.0.0.1:80::cx_active::2\nweb::10.0.0.1:80::cx_connect_fail::0\n"));
  EXPECT_THAT(
      page,
      HasSubstr(
          "web::10.0.0.1:80::rq_total::9\nweb::10.0.0.1:80::hostname::\n"
          "web::10.0.0.1:80::health_flags::/failed_active_hc\nweb::10.0.0.1:80::weight::1\n"));
  EXPECT_THAT(page, HasSubstr("web::10.0.0.2:80::health_flags::healthy\n"));
  EXPECT_THAT(page, HasSubstr("web::10.0.0.1:80::success_rate::99.5\n"));
}

TEST_F(ClustersPageTest, JsonIsAdminV3) {
  const Json page = Json::parse(Get("/clusters?format=json").body)["cluster_statuses"][0];
  EXPECT_EQ(page["name"], "web");
  EXPECT_EQ(page["added_via_api"], true);
  EXPECT_EQ(page["observability_name"], "web");
  EXPECT_EQ(page["circuit_breakers"]["thresholds"][0]["max_connections"], 5);
  EXPECT_EQ(page["circuit_breakers"]["thresholds"][1]["priority"], "HIGH");
  const Json& host = page["host_statuses"][0];
  EXPECT_EQ(host["address"]["socket_address"]["address"], "10.0.0.1");
  EXPECT_EQ(host["health_status"]["failed_active_health_check"], true);
  EXPECT_EQ(host["health_status"]["eds_health_status"], "HEALTHY");
  EXPECT_EQ(host["success_rate"]["value"], 99.5);
  EXPECT_EQ(host["stats"][0], Json({{"name", "cx_connect_fail"}}))
      << "counters first; zeros are left out";
  EXPECT_EQ(host["stats"][5], Json({{"name", "rq_total"}, {"value", "9"}}));
  EXPECT_EQ(host["stats"][6], Json({{"type", "GAUGE"}, {"name", "cx_active"}, {"value", "2"}}));
  EXPECT_FALSE(page["host_statuses"][1].contains("success_rate"));
}

TEST_F(ClustersPageTest, AFilterIsARegexOverNames) {
  EXPECT_EQ(Get("/clusters?filter=nope").body, "");
  EXPECT_NE(Get("/clusters?filter=^w").body, "");
  EXPECT_EQ(Get("/clusters?filter=(").status, 400);
  EXPECT_EQ(Get("/clusters?filter=(").body, "Invalid re2 regex");
}

TEST_F(ClustersPageTest, TheDumpShowsEndpointsAsTheyAre) {
  const Json dump =
      Json::parse(Get("/config_dump?include_eds&mask=dynamic_endpoint_configs").body)["configs"][0];
  const Json& assignment = dump["dynamic_endpoint_configs"][0]["endpoint_config"];
  EXPECT_EQ(assignment["cluster_name"], "web");
  EXPECT_EQ(assignment["policy"]["overprovisioning_factor"], 140);
  const Json& endpoints = assignment["endpoints"][0]["lb_endpoints"];
  EXPECT_EQ(endpoints[0]["health_status"], "UNHEALTHY");
  EXPECT_EQ(endpoints[1]["health_status"], "HEALTHY");
  EXPECT_EQ(endpoints[1]["endpoint"]["address"]["socket_address"]["port_value"], 80);
}

TEST_F(AdminPagesTest, LookupsOfNamesCanBeAskedFor) {
  EXPECT_THAT(Get("/stats/recentlookups").body, HasSubstr("Lookup tracking is not enabled"));
  EXPECT_EQ(Post("/stats/recentlookups/enable").body, "OK\n");
  EXPECT_EQ(Get("/stats/recentlookups").body, "   Count Lookup\n\ntotal: 0\n");
  EXPECT_EQ(Get("/stats/recentlookups/enable").status, 405);
  EXPECT_EQ(Post("/stats/recentlookups/disable").body, "OK\n");
  EXPECT_THAT(Get("/stats/recentlookups").body, HasSubstr("not enabled"));
}

}  // namespace
}  // namespace remora::proxy
