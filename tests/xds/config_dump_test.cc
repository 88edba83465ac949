#include "xds/config_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "tests/support/xds/resources.h"

namespace remora::xds {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kStart = 1700000000000;

class ConfigDumpTest : public testing::Test {
 protected:
  ConfigDumpTest()
      : bootstrap_(BootstrapOf("{node: {id: me, cluster: mine}, static_resources: {clusters: "
                               "[{name: fixed, type: STATIC}], secrets: [{name: "
                               "key, generic_secret: {secret: {inline_string: hush}}}]}}")),
        catalog_(bootstrap_, {}) {}

  std::string Render(const ConfigDumpQuery& query = {}) {
    const auto dump = RenderConfigDump(*bootstrap_, catalog_, query, kStart);
    EXPECT_TRUE(dump.ok()) << dump.status();
    return dump.value_or("{}");
  }
  // The part of that type.
  json Part(const std::string& type, const ConfigDumpQuery& query = {}) {
    const json dump = json::parse(Render(query));
    for (const json& config : dump["configs"]) {
      if (config["@type"] == "type.googleapis.com/envoy.admin.v3." + type) return config;
    }
    return json();
  }
  void Apply(ResourceKind kind, const std::string& version, const std::vector<std::string>& all) {
    catalog_.Apply(UpdateOf(kind, version, all), kStart + 1000);
  }

  std::shared_ptr<const Bootstrap> bootstrap_;
  Catalog catalog_;
};

TEST_F(ConfigDumpTest, StaticResourcesCarryTheStart) {
  const json clusters = Part("ClustersConfigDump");
  EXPECT_EQ(clusters["static_clusters"][0]["cluster"]["name"], "fixed");
  EXPECT_EQ(clusters["static_clusters"][0]["last_updated"], "2023-11-14T22:13:20Z");
  EXPECT_FALSE(clusters.contains("dynamic_active_clusters"));
  EXPECT_EQ(Part("BootstrapConfigDump")["bootstrap"]["node"]["id"], "me");
}

TEST_F(ConfigDumpTest, SecretsAreNamedAndNotShown) {
  const json secret = Part("SecretsConfigDump")["static_secrets"][0];
  EXPECT_EQ(secret["name"], "key");
  EXPECT_EQ(secret["secret"]["generic_secret"]["secret"]["inline_string"], "[redacted]");
  EXPECT_THAT(Render(), Not(HasSubstr("hush"))) << "not in the bootstrap either";
}

TEST_F(ConfigDumpTest, WarmingAndActiveAreTold) {
  Apply(ResourceKind::kCluster, "5", {EdsCluster("waits"), StaticCluster("serves")});
  const json clusters = Part("ClustersConfigDump");
  EXPECT_EQ(clusters["version_info"], "5");
  EXPECT_EQ(clusters["dynamic_active_clusters"][0]["cluster"]["name"], "serves");
  EXPECT_EQ(clusters["dynamic_active_clusters"][0]["version_info"], "5");
  EXPECT_EQ(clusters["dynamic_active_clusters"][0]["last_updated"], "2023-11-14T22:13:21Z");
  EXPECT_EQ(clusters["dynamic_warming_clusters"][0]["cluster"]["name"], "waits");
}

TEST_F(ConfigDumpTest, ARefusalOfAListenerIsShownByNameAndForTheAnswer) {
  Apply(ResourceKind::kListener, "1", {PlainListener("l", 81)});
  Apply(ResourceKind::kListener, "2", {PlainListener("l", 81), PlainListener("m", 81)});
  const json all = Part("ListenersConfigDump")["dynamic_listeners"];
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0]["active_state"]["version_info"], "1");
  EXPECT_EQ(all[1]["name"], "m");
  EXPECT_EQ(all[1]["error_state"]["failed_configuration"]["name"], "m");
  EXPECT_EQ(all[1]["error_state"]["last_update_attempt"], "2023-11-14T22:13:21Z");
  EXPECT_FALSE(all[2].contains("name"));
  EXPECT_EQ(all[2]["error_state"]["details"], all[1]["error_state"]["details"]);
}

TEST_F(ConfigDumpTest, AListenerThatDrainsIsShown) {
  ConfigDumpQuery query;
  const std::string original = PlainListener("gone", 81);
  query.draining = {{"gone", "7", &original, kStart}};
  const json gone = Part("ListenersConfigDump", query)["dynamic_listeners"][0];
  EXPECT_EQ(gone["name"], "gone");
  EXPECT_EQ(gone["draining_state"]["version_info"], "7");
  EXPECT_EQ(gone["draining_state"]["listener"]["name"], "gone");
}

TEST_F(ConfigDumpTest, ListenersShowBothStates) {
  Apply(ResourceKind::kListener, "1", {RdsListener("l", "r")});
  EXPECT_TRUE(Part("ListenersConfigDump")["dynamic_listeners"][0].contains("warming_state"));
  Apply(ResourceKind::kRouteTable, "1", {Routes("r", "c")});
  Apply(ResourceKind::kListener, "2", {RdsListener("l", "other")});
  const json listener = Part("ListenersConfigDump")["dynamic_listeners"][0];
  EXPECT_EQ(listener["name"], "l");
  EXPECT_EQ(listener["active_state"]["version_info"], "1");
  EXPECT_EQ(listener["warming_state"]["version_info"], "1") << "only its chains change";
  EXPECT_EQ(Part("RoutesConfigDump")["dynamic_route_configs"][0]["route_config"]["name"], "r");
}

TEST_F(ConfigDumpTest, EndpointsAreThoseInForce) {
  EXPECT_EQ(Part("EndpointsConfigDump"), json()) << "only when asked for";
  ConfigDumpQuery query;
  query.include_eds = true;
  query.endpoints = {{"fixed", Endpoints("fixed", 80), false}, {"web", Endpoints("web", 81), true}};
  json part = Part("EndpointsConfigDump", query);
  EXPECT_EQ(part["static_endpoint_configs"][0]["endpoint_config"]["cluster_name"], "fixed");
  EXPECT_EQ(part["dynamic_endpoint_configs"][0]["endpoint_config"]["cluster_name"], "web");
  query.name_regex = "we.";
  part = Part("EndpointsConfigDump", query);
  EXPECT_FALSE(part.contains("static_endpoint_configs"));
}

TEST_F(ConfigDumpTest, PartsComeInEnvoysOrder) {
  ConfigDumpQuery query;
  query.include_eds = true;
  std::vector<std::string> order;
  const json dump = json::parse(Render(query));
  for (const json& config : dump["configs"]) {
    order.push_back(std::string(config["@type"]).substr(35));
  }
  EXPECT_THAT(order, testing::ElementsAre("BootstrapConfigDump", "ClustersConfigDump",
                                          "EndpointsConfigDump", "ListenersConfigDump",
                                          "ScopedRoutesConfigDump", "RoutesConfigDump",
                                          "SecretsConfigDump"));
}

TEST_F(ConfigDumpTest, AMaskOfSeveralPathsKeepsThePartsThatHaveThemAll) {
  Apply(ResourceKind::kCluster, "5", {StaticCluster("serves")});
  ConfigDumpQuery query;
  query.mask = "dynamic_active_clusters,static_clusters";
  const json configs = json::parse(Render(query))["configs"];
  ASSERT_EQ(configs.size(), 1u);
  EXPECT_EQ(configs[0]["dynamic_active_clusters"].size(), 1u);
  EXPECT_FALSE(configs[0].contains("version_info"));
}

}  // namespace
}  // namespace remora::xds
