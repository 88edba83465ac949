#include "xds/control/services_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace remora::control {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kGood[] = R"(services:
  web:
    sidecar: 127.0.0.1:9100
    endpoints:
      - {address: "127.0.0.1:9001", weight: 3}
      - "[::1]:9002"
      - {address: app.internal:9003, sidecar: 10.0.0.3:15006, name: three}
    health_check: {path: /healthz, interval: 250ms, unhealthy_after: 3}
    allow: [edge, api]
    timeout: 5s
    retries: 0
  api:
    protocol: grpc
    sidecar: 127.0.0.1:9200
    endpoints: [127.0.0.1:9301]
    allow: "*"
    upstreams: {web: 127.0.0.1:9210}
gateways:
  edge:
    listen: 127.0.0.1:8080
    routes:
      - {host: api.example, prefix: /v1, rewrite: /, service: api, timeout: 1m}
      - {path: /exact, split: {web: 90, api: 10}}
      - {service: web}
)";

std::string ErrorOf(const std::string& text) {
  absl::StatusOr<ParsedServices> parsed = ParseServices({{"s.yaml", text}});
  return parsed.ok() ? "accepted" : std::string(parsed.status().message());
}

TEST(ServicesYaml, ReadsWhatAPersonWrites) {
  absl::StatusOr<ParsedServices> parsed = ParseServices({{"s.yaml", kGood}});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->warnings, IsEmpty());
  const Service& web = parsed->services.services.at("web");
  EXPECT_EQ(web.protocol, Protocol::kHttp);
  ASSERT_EQ(web.endpoints.size(), 3u);
  EXPECT_EQ(web.endpoints[0].weight, 3u);
  EXPECT_EQ(web.endpoints[1].address.ToString(), "[::1]:9002");
  EXPECT_EQ(web.endpoints[1].weight, 1u);
  EXPECT_FALSE(web.endpoints[2].address.is_ip);
  EXPECT_EQ(web.endpoints[2].sidecar->ToString(), "10.0.0.3:15006");
  EXPECT_EQ(web.health_check->interval, absl::Milliseconds(250));
  EXPECT_EQ(web.health_check->unhealthy_after, 3u);
  EXPECT_THAT(web.allow, ElementsAre("edge", "api"));
  EXPECT_EQ(web.timeout, absl::Seconds(5));
  EXPECT_EQ(web.retries, 0u);
  const Service& api = parsed->services.services.at("api");
  EXPECT_EQ(api.timeout, absl::ZeroDuration()) << "gRPC streams live as long as they like";
  EXPECT_EQ(api.upstreams.at("web").port, 9210);
  const Gateway& edge = parsed->services.gateways.at("edge");
  ASSERT_EQ(edge.routes.size(), 3u);
  EXPECT_EQ(edge.routes[0].prefix_rewrite, "/");
  EXPECT_EQ(edge.routes[1].to.size(), 2u);
  EXPECT_EQ(edge.routes[2].prefix, "/");
}

TEST(ServicesYaml, ReportsEveryMistakeWithItsLine) {
  EXPECT_THAT(
      ErrorOf("services:\n"
              "  web:\n"
              "    sidecar: 127.0.0.1\n"
              "    endpoints: [{address: '127.0.0.1:80', weight: 0}]\n"
              "    allowed: [edge]\n"
              "    timeout: soon\n"),
      AllOf(HasSubstr("s.yaml:3: services.web.sidecar: expected an address"),
            HasSubstr("s.yaml:4: services.web.endpoints[0].weight: expected a whole number"),
            HasSubstr("s.yaml:5: services.web.allowed: unknown key"),
            HasSubstr("s.yaml:6: services.web.timeout: expected a duration")));
}

TEST(ServicesYaml, ReportsBrokenYamlWithItsLine) {
  EXPECT_THAT(ErrorOf("services:\n  web: {endpoints: [\n"), HasSubstr("s.yaml:"));
  EXPECT_THAT(ErrorOf("services:\n  a: b: c\n"), HasSubstr("s.yaml:2:"));
  EXPECT_THAT(ErrorOf("- 1\n"), HasSubstr("s.yaml:1: expected a mapping"));
}

TEST(ServicesYaml, RefusesAKeyGivenTwice) {
  EXPECT_THAT(ErrorOf("services:\n  web:\n    sidecar: 127.0.0.1:1\n    sidecar: 127.0.0.1:2\n"),
              HasSubstr("s.yaml:4: services.web.sidecar: stands here a second time"));
}

TEST(ServicesYaml, RefusesReferencesToNobody) {
  EXPECT_THAT(ErrorOf("services:\n"
                      "  web: {sidecar: '127.0.0.1:1', allow: [egde]}\n"
                      "gateways:\n"
                      "  edge:\n"
                      "    listen: 127.0.0.1:2\n"
                      "    routes: [{service: wbe}]\n"),
              AllOf(HasSubstr("s.yaml:2: services.web.allow[0]: there is no service or gateway "
                              "'egde'"),
                    HasSubstr("s.yaml:6: gateways.edge.routes[0].service: there is no service "
                              "'wbe'")));
}

TEST(ServicesYaml, RefusesAllowWithoutASidecarToHoldIt) {
  EXPECT_THAT(ErrorOf("services:\n  web: {endpoints: ['127.0.0.1:1'], allow: ['*']}\n"),
              HasSubstr("'allow' needs a sidecar"));
}

TEST(ServicesYaml, RefusesRoutesToTcpServices) {
  EXPECT_THAT(ErrorOf("services:\n"
                      "  db: {protocol: tcp, sidecar: '127.0.0.1:1', allow: '*'}\n"
                      "gateways:\n"
                      "  edge: {listen: '127.0.0.1:2', routes: [{service: db}]}\n"),
              HasSubstr("s.yaml:4: gateways.edge.routes[0].service: 'db' speaks tcp"));
}

TEST(ServicesYaml, RefusesAGatewayThatListensNowhere) {
  EXPECT_THAT(ErrorOf("services:\n  web: {sidecar: '127.0.0.1:1', allow: '*'}\n"
                      "gateways:\n  edge: {routes: [{service: web}]}\n"),
              HasSubstr("s.yaml:4: gateways.edge: says not where to listen"));
}

TEST(ServicesYaml, WarnsOfCallsThatWillBeRefused) {
  absl::StatusOr<ParsedServices> parsed =
      ParseServices({{"s.yaml",
                      "services:\n"
                      "  web: {sidecar: '127.0.0.1:1', allow: []}\n"
                      "gateways:\n"
                      "  edge: {listen: '127.0.0.1:2', routes: [{service: web}]}\n"}});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->warnings,
              ElementsAre(AllOf(HasSubstr("s.yaml:4"), HasSubstr("'web' does not allow 'edge'"))));
}

TEST(ServicesYaml, ReadsSeveralFilesAsOne) {
  const NamedText web = {"web.yaml", "services:\n  web: {sidecar: '127.0.0.1:1', allow: edge}\n"};
  const NamedText edge = {"edge.yaml",
                          "gateways:\n  edge: {listen: '127.0.0.1:2', routes: [{service: web}]}\n"};
  absl::StatusOr<ParsedServices> parsed = ParseServices({edge, web});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_THAT(parsed->warnings, IsEmpty());

  absl::StatusOr<ParsedServices> twice = ParseServices({web, {"again.yaml", web.text}});
  EXPECT_THAT(std::string(twice.status().message()),
              HasSubstr("again.yaml:2: services.web: there is a service or gateway of this name"));
}

TEST(ServicesYaml, AnEmptyFileIsAnEmptyMesh) {
  EXPECT_EQ(ErrorOf(""), "accepted");
  EXPECT_EQ(ErrorOf("services:\n"), "accepted");
}

TEST(ParseAddress, KnowsAddressesFromNamesAndRefusesTheRest) {
  EXPECT_TRUE(ParseAddress("10.1.2.3:80")->is_ip);
  EXPECT_EQ(ParseAddress("[fe80::1]:80")->host, "fe80::1");
  EXPECT_FALSE(ParseAddress("web.internal:80")->is_ip);
  for (const char* bad : {"", "80", ":80", "h:", "h:0", "h:65536", "h:8x", "300.1.2.3:80",
                          "fe80::1:80", "[h]:80", "a b:80"}) {
    EXPECT_FALSE(ParseAddress(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace remora::control
