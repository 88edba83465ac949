#include "xds/network_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener_components.pb.h"
#include "tests/support/xds/parsing.h"
#include "xds/listener.h"

namespace remora::xds {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Proto = envoy::config::listener::v3::FilterChain;

struct Outcome {
  std::shared_ptr<const FilterChain> chain;
  std::vector<std::string> errors;
};

// A chain of filters "rbac.v3.RBAC, fields", with an echo at its end unless told otherwise.
Outcome Parse(const std::string& filter, bool ends = false) {
  const std::string prefix =
      "typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.";
  const std::string end = ends ? "" : absl::StrCat(", {name: e, ", prefix, "echo.v3.Echo}}");
  ParseContext context;
  const auto proto =
      FromYaml<Proto>(absl::StrCat("filters: [{name: f, ", prefix, filter, "}}", end, "]"));
  Outcome out;
  out.chain = FilterChain::Parse(proto, context);
  for (const Finding& error : context.errors()) out.errors.push_back(context.Describe(error));
  return out;
}

template <typename T>
const T& First(const Outcome& outcome) {
  EXPECT_EQ(outcome.chain->filters[0].type, T::kType);
  return static_cast<const T&>(*outcome.chain->filters[0].settings);
}

TEST(NetworkFilterParsing, Rbac) {
  const Outcome outcome = Parse(
      "rbac.v3.RBAC, stat_prefix: a, enforcement_type: CONTINUOUS, delay_deny: 2s, "
      "shadow_rules_stat_prefix: s, rules: {}, shadow_rules: {action: DENY}");
  ASSERT_THAT(outcome.errors, ElementsAre());
  const auto& rbac = First<NetworkRbac>(outcome);
  EXPECT_EQ(rbac.stat_prefix, "a.rbac.");
  EXPECT_EQ(rbac.shadow_prefix, "s");
  EXPECT_TRUE(rbac.continuous);
  EXPECT_EQ(rbac.delay_deny, absl::Seconds(2));
  ASSERT_TRUE(rbac.rules && rbac.shadow_rules);
  EXPECT_EQ(rbac.shadow_rules->action(), RbacEngine::Action::kDeny);
}

TEST(NetworkFilterParsing, Limits) {
  const Outcome limit = Parse(
      "connection_limit.v3.ConnectionLimit, stat_prefix: a, max_connections: 7, delay: 1s, "
      "runtime_enabled: {default_value: false, runtime_key: k}");
  ASSERT_THAT(limit.errors, ElementsAre());
  const auto& connections = First<ConnectionLimit>(limit);
  EXPECT_EQ(connections.max_connections, 7u);
  EXPECT_EQ(connections.delay, absl::Seconds(1));
  EXPECT_FALSE(connections.enabled.otherwise);
  EXPECT_EQ(connections.enabled.key, "k");
  const Outcome rate = Parse(
      "local_ratelimit.v3.LocalRateLimit, stat_prefix: a, share_key: s, "
      "token_bucket: {max_tokens: 3, tokens_per_fill: 2, fill_interval: 1s}");
  ASSERT_THAT(rate.errors, ElementsAre());
  const auto& tokens = First<NetworkRateLimit>(rate);
  EXPECT_EQ(tokens.max_tokens, 3u);
  EXPECT_EQ(tokens.tokens_per_fill, 2u);
  EXPECT_EQ(tokens.share_key, "s");
  EXPECT_TRUE(tokens.enabled.otherwise);
  EXPECT_THAT(Parse("local_ratelimit.v3.LocalRateLimit, stat_prefix: a, "
                    "token_bucket: {max_tokens: 3, fill_interval: 0.001s}")
                  .errors,
              ElementsAre(HasSubstr("fill timer must be >= 50ms")));
}

TEST(NetworkFilterParsing, WhereTerminalFiltersStand) {
  EXPECT_THAT(Parse("echo.v3.Echo").errors,
              ElementsAre(HasSubstr(
                  "Error: terminal filter named f of type envoy.filters.network.echo must be the "
                  "last filter in a network filter chain.")));
  EXPECT_THAT(Parse("sni_cluster.v3.SniCluster", /*ends=*/true).errors,
              ElementsAre(HasSubstr("Error: non-terminal filter named f of type "
                                    "envoy.filters.network.sni_cluster is the last filter in a "
                                    "network filter chain.")));
  EXPECT_THAT(Parse("direct_response.v3.Config, response: {inline_string: x}", true).errors,
              ElementsAre());
}

TEST(NetworkFilterParsing, WhatDecidesWhoPassesIsNotIgnored) {
  EXPECT_THAT(Parse("rbac.v3.RBAC, stat_prefix: a, matcher: {on_no_match: {action: {name: x, "
                    "typed_config: {'@type': type.googleapis.com/envoy.config.rbac.v3.RBAC}}}}")
                  .errors,
              ElementsAre(HasSubstr("matcher: ")));
}

}  // namespace
}  // namespace remora::xds
