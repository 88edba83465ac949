#include "xds/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "tests/support/xds/parsing.h"

namespace remora::xds {
namespace {

using Proto = envoy::config::endpoint::v3::ClusterLoadAssignment;
using testing::ElementsAre;
using testing::HasSubstr;

Parsed<ClusterLoadAssignment> Read(const std::string& fields) {
  return ParseYaml<ClusterLoadAssignment, Proto>(absl::StrCat("{cluster_name: c, ", fields, "}"));
}

std::string One(const std::string& ip, const std::string& more = "") {
  return absl::StrCat("{endpoint: {address: {socket_address: {address: ", ip, ", port_value: 80}}}",
                      more, "}");
}

TEST(EndpointParsing, WeightsHealthLocalityAndPolicy) {
  const auto assignment = Read(absl::StrCat(
      "endpoints: [{locality: {region: r, zone: z}, priority: 1, load_balancing_weight: 9, "
      "lb_endpoints: [",
      One("10.0.0.1",
          ", load_balancing_weight: 5, health_status: DRAINING, metadata: "
          "{filter_metadata: {envoy.lb: {canary: true}}}"),
      "]}], policy: {drop_overloads: [{category: d, drop_percentage: {numerator: 5, denominator: "
      "TEN_THOUSAND}}], overprovisioning_factor: 200}"));
  ASSERT_NE(assignment.value, nullptr) << assignment.AllErrors();
  const LocalityEndpoints& locality = assignment->localities[0];
  EXPECT_EQ(locality.locality.zone, "z");
  EXPECT_EQ(locality.priority, 1u);
  EXPECT_EQ(locality.weight, 9u);
  EXPECT_EQ(locality.endpoints[0].weight, 5u);
  EXPECT_EQ(locality.endpoints[0].health, EdsHealth::kDraining);
  EXPECT_NE(locality.endpoints[0].metadata, nullptr);
  EXPECT_EQ(assignment->drop_overloads[0].share.denominator, 10000u);
  EXPECT_EQ(assignment->overprovisioning_factor, 200u);
}

TEST(EndpointParsing, WhatEnvoyRefuses) {
  EXPECT_THAT(Read("policy: {drop_overloads: [{category: a}, {category: b}]}").errors,
              ElementsAre(HasSubstr("has 2 categories. Envoy only support one.")));
  EXPECT_THAT(Read("named_endpoints: {a: {}}").errors, ElementsAre(HasSubstr("named endpoints")));
  EXPECT_THAT(Read(absl::StrCat("endpoints: [{lb_endpoints: [",
                                One("1.1.1.1",
                                    ", load_balancing_weight: "
                                    "4294967295"),
                                ", ", One("1.1.1.2"), "]}]"))
                  .errors,
              ElementsAre(HasSubstr("exceeds 4294967295")));
}

class Hosts : public testing::Test {
 protected:
  const HostUpdate& Update(const std::string& endpoints, HostUpdateOptions options = {}) {
    const auto assignment = Read(absl::StrCat("endpoints: [", endpoints, "]"));
    EXPECT_NE(assignment.value, nullptr) << assignment.AllErrors();
    auto update = BuildHosts(*assignment.value, last_.hosts, options);
    EXPECT_TRUE(update.ok()) << update.status();
    last_ = *std::move(update);
    return last_;
  }
  std::vector<std::string> Addresses() const {
    std::vector<std::string> out;
    for (const lb::HostEntry& entry : last_.table->entries()) {
      out.push_back(entry.host->address_string());
    }
    return out;
  }

  HostUpdate last_;
};

TEST_F(Hosts, AddressesThatStayKeepTheirHost) {
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.1"), ", ", One("10.0.0.2"), "]}"));
  EXPECT_EQ(last_.added.size(), 2u);
  const auto kept = last_.table->entries()[1].host;
  kept->state().rq_total = 7;
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.2", ", load_balancing_weight: 3"), ", ",
                      One("10.0.0.3"), "]}"));
  EXPECT_EQ(last_.table->entries()[0].host, kept);
  EXPECT_EQ(last_.table->entries()[0].weight, 3u);
  ASSERT_EQ(last_.added.size(), 1u);
  ASSERT_EQ(last_.removed.size(), 1u);
  EXPECT_EQ(last_.removed[0]->address_string(), "10.0.0.1:80");
  EXPECT_THAT(Addresses(), ElementsAre("10.0.0.2:80", "10.0.0.3:80"));
}

TEST_F(Hosts, EdsHealthBecomesFlags) {
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.1", ", health_status: UNHEALTHY"), ", ",
                      One("10.0.0.2", ", health_status: DEGRADED"), ", ",
                      One("10.0.0.3", ", health_status: DRAINING"), "]}"));
  const auto entries = last_.table->entries();
  EXPECT_TRUE(entries[0].host->state().HasFlag(lb::kFailedEdsHealth));
  EXPECT_TRUE(entries[1].host->state().HasFlag(lb::kDegradedEdsHealth));
  EXPECT_TRUE(entries[2].host->state().HasFlag(lb::kEdsStatusDraining));
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.1"), "]}"));
  EXPECT_EQ(last_.table->entries()[0].host->state().flags, 0u);
}

TEST_F(Hosts, OfTheSameAddressTwiceTheFirstCounts) {
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.1", ", load_balancing_weight: 2"), ", ",
                      One("10.0.0.1"), "]}"));
  ASSERT_EQ(last_.table->entries().size(), 1u);
  EXPECT_EQ(last_.table->entries()[0].weight, 2u);
}

TEST_F(Hosts, RemovedHostsThatStillPassAreKeptWithAllTheyHad) {
  Update(absl::StrCat("{priority: 0, lb_endpoints: [", One("10.0.0.1"),
                      "]}, {priority: 1, "
                      "lb_endpoints: [",
                      One("10.0.0.2", ", load_balancing_weight: 4"), "]}"));
  HostUpdateOptions options;
  options.keep_removed = [](const lb::Host&) { return true; };
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.1"), "]}"), options);
  ASSERT_EQ(last_.table->entries().size(), 2u);
  const lb::HostEntry kept = last_.table->entries()[1];
  EXPECT_EQ(kept.weight, 4u);
  EXPECT_EQ(kept.priority, 1u);
  EXPECT_TRUE(kept.host->state().HasFlag(lb::kPendingDynamicRemoval));
  EXPECT_TRUE(last_.removed.empty());
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.1"), ", ", One("10.0.0.2"), "]}"));
  EXPECT_FALSE(kept.host->state().HasFlag(lb::kPendingDynamicRemoval));
}

TEST_F(Hosts, NewHostsOfCheckedClustersStartAsFailed) {
  HostUpdateOptions options;
  options.active_health_checks = true;
  Update(absl::StrCat("{lb_endpoints: [", One("10.0.0.1"), "]}"), options);
  EXPECT_TRUE(last_.table->entries()[0].host->state().HasFlag(lb::kFailedActiveHc));
}

TEST(HostsByName, NamesStandForWhatTheResolverSays) {
  const auto assignment = Read(
      "endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: web, "
      "port_value: 80}}, health_check_config: {port_value: 81}}}]}]");
  const auto resolver = [](const Endpoint& endpoint) {
    EXPECT_EQ(endpoint.address.host, "web");
    std::vector<lb::SocketAddress> out;
    out.push_back(*lb::SocketAddress::Ip("10.0.0.1", 80));
    out.push_back(*lb::SocketAddress::Ip("::1", 80));
    return out;
  };
  auto update = BuildHosts(*assignment.value, {}, {}, resolver);
  ASSERT_TRUE(update.ok()) << update.status();
  ASSERT_EQ(update->table->entries().size(), 2u);
  EXPECT_EQ(update->table->entries()[1].attributes->hostname, "web");
  EXPECT_EQ(update->table->entries()[1].attributes->health_check->address->ToString(), "[::1]:81");
  EXPECT_FALSE(BuildHosts(*assignment.value, {}, {}).ok());
}

}  // namespace
}  // namespace remora::xds
