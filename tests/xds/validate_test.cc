#include "xds/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "tests/support/xds/parsing.h"

namespace remora::xds {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

template <typename Proto>
std::vector<std::string> Violations(const std::string& yaml) {
  ParseContext context;
  Validate(FromYaml<Proto>(yaml), context);
  std::vector<std::string> out;
  for (const Finding& error : context.errors()) out.push_back(context.Describe(error));
  return out;
}

using ClusterProto = envoy::config::cluster::v3::Cluster;
using Routes = envoy::config::route::v3::RouteConfiguration;

TEST(Validate, AcceptsWhatKeepsTheRules) {
  EXPECT_THAT(Violations<ClusterProto>("{name: c, connect_timeout: 1s}"), IsEmpty());
}

TEST(Validate, SaysWhatIsWrongInEnvoysWords) {
  EXPECT_THAT(Violations<ClusterProto>("{connect_timeout: 0s, cleanup_interval: 0s}"),
              UnorderedElementsAre("name: value length must be at least 1 characters",
                                   "connect_timeout: value must be greater than 0",
                                   "cleanup_interval: value must be greater than 0"));
}

TEST(Validate, LooksIntoListsAndNamesTheElement) {
  EXPECT_THAT(
      Violations<Routes>("virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, "
                         "route: {cluster: ''}}, {match: {}, route: {cluster: c}}]}, {name: b}]"),
      UnorderedElementsAre(
          HasSubstr("virtual_hosts[0].routes[0].route.cluster: value length must be at least"),
          "virtual_hosts[0].routes[1].match.path_specifier: value is required",
          "virtual_hosts[1].domains: value must contain at least 1 item(s)"));
}

TEST(Validate, MembersOfAOneofAreNotRequiredWhileAnotherIsSet) {
  EXPECT_THAT(Violations<Routes>("virtual_hosts: [{name: a, domains: ['*'], routes: [{match: "
                                 "{prefix: /}, redirect: {}}]}]"),
              IsEmpty());
}

TEST(Validate, WrappersAreCheckedByTheirValue) {
  EXPECT_THAT(Violations<ClusterProto>(
                  "{name: c, lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: "
                  "9000000}}"),
              ElementsAre("ring_hash_lb_config.minimum_ring_size: value must be less than or "
                          "equal to 8388608"));
}

TEST(Validate, RequiredMessagesAreMissed) {
  EXPECT_THAT(Violations<ClusterProto>("{name: c, health_checks: [{timeout: 1s, interval: 1s, "
                                       "unhealthy_threshold: 1, tcp_health_check: {}}]}"),
              ElementsAre("health_checks[0].healthy_threshold: value is required"));
}

TEST(Validate, HeaderNamesAreCheckedAsStrictlyAsAsked) {
  const auto add = [](const std::string& key) {
    return "request_headers_to_add: [{header: {key: \"" + key + "\", value: a}}]";
  };
  EXPECT_THAT(Violations<Routes>(add("x-a")), IsEmpty());
  EXPECT_THAT(Violations<Routes>(add("")), testing::SizeIs(1));
  EXPECT_THAT(Violations<Routes>(add("x\\na")),
              ElementsAre(HasSubstr("value is not a valid HTTP header name")));
  // Not strict, so an empty one is none at all.
  EXPECT_THAT(Violations<Routes>(
                  "virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, route: "
                  "{cluster: c, request_mirror_policies: [{cluster: d}]}}]}]"),
              IsEmpty());
}

TEST(Validate, UnknownFieldsInsideMatchesAreNeverLetPass) {
  Routes routes;
  auto* match = routes.add_virtual_hosts()->add_routes()->mutable_match();
  match->GetReflection()->MutableUnknownFields(match)->AddVarint(999, 1);
  routes.GetReflection()->MutableUnknownFields(&routes)->AddVarint(998, 1);
  ParseContext context(ParseContext::Origin::kDynamic);
  CheckUnknownFields(routes, context);
  ASSERT_EQ(context.errors().size(), 1u);
  EXPECT_EQ(context.errors()[0].path, "virtual_hosts[0].routes[0].match");
  ASSERT_EQ(context.warnings().size(), 1u);
  EXPECT_EQ(context.unknown_field_count(), 1u);
}

}  // namespace
}  // namespace remora::xds
