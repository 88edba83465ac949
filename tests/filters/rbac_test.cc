#include "filters/rbac.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/path/match/uri_template/v3/uri_template_match.pb.h"
#include "envoy/extensions/rbac/principals/mtls_authenticated/v3/mtls_authenticated.pb.h"
#include "filters/api/filter_state.h"
#include "filters/api/headers.h"
#include "tests/support/filters/filter_harness.h"

namespace remora {
namespace {

using testing::FilterHarness;
using RbacProto = envoy::config::rbac::v3::RBAC;
using FilterProto = envoy::extensions::filters::http::rbac::v3::RBAC;
using UriTemplateProto = envoy::extensions::path::match::uri_template::v3::UriTemplateMatchConfig;
using ValidatedProto = envoy::extensions::rbac::principals::mtls_authenticated::v3::Config;
using RouteProto = envoy::extensions::filters::http::rbac::v3::RBACPerRoute;

template <typename Proto>
Proto Parsed(const std::string& text) {
  Proto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto;
}

std::string Policy(const std::string& permission, const std::string& principal) {
  return "policies { key: \"p\" value { permissions { " + permission + " } principals { " +
         principal + " } } }";
}

class RbacTest : public ::testing::Test {
 protected:
  RbacTest() {
    request_.set_pseudo(HeaderId::kMethod, "GET");
    request_.set_pseudo(HeaderId::kPath, "/a/b?q=/admin");
    info_.downstream = &connection_;
    connection_.local = *Address::FromIpPort("10.0.0.1:8080");
    connection_.remote = connection_.direct_remote = *Address::FromIpPort("192.0.2.9:7");
    info_.remote = *Address::FromIpPort("203.0.113.5:0");
  }
  bool Allows(const std::string& text) {
    absl::StatusOr<RbacEngine> engine = RbacEngine::Parse(Parsed<RbacProto>(text));
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() && engine->Judge({info_, &request_}).allowed;
  }
  bool Permits(const std::string& permission) { return Allows(Policy(permission, "any: true")); }
  bool Admits(const std::string& principal) { return Allows(Policy("any: true", principal)); }

  Arena arena_;
  Headers request_{&arena_};
  ConnectionInfo connection_;
  StreamInfo info_;
};

TEST_F(RbacTest, ActionsDecideWhatAMatchMeans) {
  EXPECT_TRUE(Allows(Policy("any: true", "any: true")));
  EXPECT_FALSE(Allows("action: ALLOW"));
  EXPECT_FALSE(Allows("action: DENY " + Policy("any: true", "any: true")));
  EXPECT_TRUE(Allows("action: DENY"));
  EXPECT_TRUE(Allows("action: LOG " + Policy("any: true", "any: true")));
}

TEST_F(RbacTest, PathsAreMatchedWithoutTheirQuery) {
  EXPECT_TRUE(Permits("url_path { path { exact: \"/a/b\" } }"));
  EXPECT_FALSE(Permits("url_path { path { suffix: \"/admin\" } }"));
}

TEST_F(RbacTest, RepeatedHeadersAreLookedAtOneByOne) {
  request_.Add("x", "good");
  request_.Add("x", "bad");
  EXPECT_TRUE(Permits("header { name: \"x\" string_match { exact: \"bad\" } }"));
  EXPECT_FALSE(Permits("header { name: \"x\" string_match { exact: \"good,bad\" } }"));
}

TEST_F(RbacTest, PortsAndAddresses) {
  EXPECT_TRUE(Permits("destination_port: 8080"));
  EXPECT_TRUE(Permits("destination_port_range { start: 8000 end: 8081 }"));
  EXPECT_FALSE(Permits("destination_port_range { start: 8000 end: 8080 }"));
  EXPECT_TRUE(Permits("destination_ip { address_prefix: \"10.0.0.0\" prefix_len { value: 8 } }"));
  const std::string range = " { address_prefix: \"192.0.2.0\" prefix_len { value: 24 } }";
  EXPECT_TRUE(Admits("direct_remote_ip" + range));
  EXPECT_TRUE(Admits("source_ip" + range));
  EXPECT_FALSE(Admits("remote_ip" + range));
  EXPECT_TRUE(Admits("remote_ip { address_prefix: \"203.0.113.5\" prefix_len { value: 32 } }"));
}

TEST_F(RbacTest, Combinations) {
  EXPECT_TRUE(Permits("not_rule { destination_port: 1 }"));
  EXPECT_FALSE(Permits("and_rules { rules { any: true } rules { destination_port: 1 } }"));
  EXPECT_TRUE(Permits("or_rules { rules { destination_port: 1 } rules { any: true } }"));
  EXPECT_FALSE(Admits("not_id { any: true }"));
}

TEST_F(RbacTest, IdentitiesComeFromTheCertificate) {
  const std::string wanted = "authenticated { principal_name { exact: \"spiffe://td/a\" } }";
  EXPECT_FALSE(Admits("authenticated {}"));
  TlsFacts tls;
  connection_.tls = &tls;
  EXPECT_TRUE(Admits("authenticated {}"));
  EXPECT_FALSE(Admits(wanted));
  tls.peer_uri_sans = {"spiffe://td/other", "spiffe://td/a"};
  EXPECT_TRUE(Admits(wanted));
  tls.peer_uri_sans.clear();
  tls.peer_subject = "spiffe://td/a";
  EXPECT_TRUE(Admits(wanted));
}

TEST_F(RbacTest, WhatIsNotSupportedIsRefused) {
  auto engine =
      RbacEngine::Parse(Parsed<RbacProto>(Policy("matcher { name: \"m\" }", "any: true")));
  EXPECT_FALSE(engine.ok());
  EXPECT_FALSE(
      RbacEngine::Parse(Parsed<RbacProto>(Policy("any: true", "custom { name: \"c\" }"))).ok());
  EXPECT_FALSE(RbacEngine::Parse(Parsed<RbacProto>("audit_logging_options { logger_configs { "
                                                   "audit_logger { name: \"a\" } } }"))
                   .ok());
}

TEST_F(RbacTest, FilterStateAndMetadataOfRoutes) {
  const std::string wanted = "filter_state { key: \"k\" string_match { exact: \"v\" } }";
  EXPECT_FALSE(Admits(wanted));
  FilterState state;
  state.texts["k"] = "v";
  info_.filter_state = &state;
  EXPECT_TRUE(Admits(wanted));
  state.texts["k"] = "10.1.2.3:80";
  EXPECT_TRUE(
      Admits("filter_state { key: \"k\" address_match { ranges { address_prefix: \"10.0.0.0\" "
             "prefix_len { value: 8 } } } }"));

  const std::string sourced =
      "sourced_metadata { metadata_source: ROUTE metadata_matcher { filter: \"f\" path { key: "
      "\"a\" } value { present_match: true } } }";
  EXPECT_FALSE(Permits(sourced));
  Metadata metadata;
  metadata.namespaces["f"] = MetadataValue::Fields{{"a", MetadataValue(true)}};
  info_.route_metadata = &metadata;
  EXPECT_TRUE(Permits(sourced));
  EXPECT_TRUE(Admits(sourced));
}

TEST_F(RbacTest, UriTemplatesAndTheHostHeader) {
  UriTemplateProto pattern;
  pattern.set_path_template("/a/{x}");
  google::protobuf::Any any;
  any.PackFrom(pattern);
  RbacProto proto = Parsed<RbacProto>(Policy("uri_template { name: \"t\" }", "any: true"));
  *(*proto.mutable_policies())["p"]
       .mutable_permissions(0)
       ->mutable_uri_template()
       ->mutable_typed_config() = any;
  auto engine = RbacEngine::Parse(proto);
  ASSERT_TRUE(engine.ok()) << engine.status();
  EXPECT_TRUE(engine->Judge({info_, &request_}).allowed);
  request_.set_pseudo(HeaderId::kPath, "/a/b/c");
  EXPECT_FALSE(engine->Judge({info_, &request_}).allowed);

  request_.set_pseudo(HeaderId::kAuthority, "web");
  EXPECT_TRUE(Permits("header { name: \"Host\" string_match { exact: \"web\" } }"));
}

TEST_F(RbacTest, OnlyCertificatesThatWereVerifiedCount) {
  ValidatedProto wanted;
  wanted.mutable_san_matcher()->set_san_type(
      envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher::DNS);
  wanted.mutable_san_matcher()->mutable_matcher()->set_exact("a.b");
  RbacProto proto = Parsed<RbacProto>(Policy("any: true", "custom { name: \"m\" }"));
  (*proto.mutable_policies())["p"]
      .mutable_principals(0)
      ->mutable_custom()
      ->mutable_typed_config()
      ->PackFrom(wanted);
  auto engine = RbacEngine::Parse(proto);
  ASSERT_TRUE(engine.ok()) << engine.status();
  TlsFacts tls;
  tls.peer_dns_sans = {"a.b"};
  connection_.tls = &tls;
  EXPECT_FALSE(engine->Judge({info_, &request_}).allowed);
  tls.peer_certificate_validated = true;
  EXPECT_TRUE(engine->Judge({info_, &request_}).allowed);
  tls.peer_dns_sans = {"c.d"};
  EXPECT_FALSE(engine->Judge({info_, &request_}).allowed);
}

TEST(RbacFilterTest, NotesWhatItFound) {
  FilterProto proto = Parsed<FilterProto>(
      "rules { action: LOG policies { key: \"p\" value { permissions { any: true } principals { "
      "any: true } } } } shadow_rules { action: ALLOW } shadow_rules_stat_prefix: \"sh_\"");
  FilterHarness harness(FilterProto::descriptor()->full_name(), proto.SerializeAsString());
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Stat("allowed"), 1u);
  EXPECT_EQ(harness.metadata.namespaces["envoy.filters.http.rbac"].ToJson(),
            "{\"enforced_effective_policy_id\":\"p\",\"enforced_engine_result\":\"allowed\","
            "\"sh_shadow_engine_result\":\"denied\"}");
  EXPECT_EQ(harness.metadata.namespaces["envoy.common"].ToJson(), "{\"access_log_hint\":true}");
}

TEST(RbacFilterTest, DeniesByName) {
  FilterProto proto = Parsed<FilterProto>(
      "rules { action: DENY policies { key: \"my rule\" value { permissions { any: true } "
      "principals { any: true } } } } shadow_rules { action: DENY } shadow_rules_stat_prefix: "
      "\"sh_\" track_per_rule_stats: true");
  FilterHarness harness(FilterProto::descriptor()->full_name(), proto.SerializeAsString());
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_status, 403);
  EXPECT_EQ(harness.reply_body, "RBAC: access denied");
  EXPECT_EQ(harness.reply_details, "rbac_access_denied_matched_policy[my_rule]");
  EXPECT_EQ(harness.Stat("denied"), 1u);
  EXPECT_EQ(harness.Stat("sh_.shadow_allowed"), 1u);
  EXPECT_EQ(harness.Stat("policy.my rule.denied"), 1u);
}

TEST(RbacFilterTest, ARouteMayReplaceTheRules) {
  FilterProto proto = Parsed<FilterProto>("rules { action: ALLOW }");
  FilterHarness harness(FilterProto::descriptor()->full_name(), proto.SerializeAsString());
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_details, "rbac_access_denied_matched_policy[none]");
  harness.AddRouteConfig(RouteProto::descriptor()->full_name(),
                         Parsed<RouteProto>("").SerializeAsString());
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
}

}  // namespace
}  // namespace remora
