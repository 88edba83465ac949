#include "proxy/main/probe_exchange.h"

#include <gtest/gtest.h>

#include "envoy/config/core/v3/health_check.pb.h"
#include "tests/support/xds/parsing.h"

namespace remora::proxy {
namespace {

using health::ProbeKind;

xds::HealthCheck HttpCheck(xds::HttpProbe probe = {}) {
  xds::HealthCheck check;
  if (probe.path.empty()) probe.path = "/healthz";
  check.probe = std::move(probe);
  return check;
}

ProbeAnswer Answer(int status) {
  ProbeAnswer answer;
  answer.status = status;
  return answer;
}

TEST(ProbeRequestTest, AnHttpProbeAsksForItsPathUnderTheHostsName) {
  Arena arena;
  const Headers* headers = ProbeRequest(HttpCheck(), "web.example", StreamInfo(), &arena);
  EXPECT_EQ(headers->method(), "GET");
  EXPECT_EQ(headers->path(), "/healthz");
  EXPECT_EQ(headers->authority(), "web.example");
  EXPECT_EQ(headers->Value(HeaderId::kUserAgent), "Envoy/HC");
  EXPECT_FALSE(headers->Has(HeaderId::kContentLength));
  EXPECT_EQ(ProbeBody(HttpCheck()), "");
}

TEST(ProbeRequestTest, HostHeadersAndBodyAsConfigured) {
  xds::HttpProbe probe;
  probe.host = "other";
  probe.method = "POST";
  probe.send = "ping";
  xds::HeaderAddition set;
  set.name = "x-check";
  set.text = "1";
  set.action = xds::AppendAction::kOverwriteOrAdd;
  xds::HeaderAddition absent = set;
  absent.text = "2";
  absent.action = xds::AppendAction::kAddIfAbsent;
  probe.headers_to_add = {set, absent};
  probe.headers_to_remove = {"user-agent"};
  Arena arena;
  const Headers* headers = ProbeRequest(HttpCheck(probe), "web", StreamInfo(), &arena);
  EXPECT_EQ(headers->authority(), "other");
  EXPECT_EQ(headers->method(), "POST");
  EXPECT_EQ(headers->GetJoined("x-check"), "1");
  EXPECT_FALSE(headers->Has(HeaderId::kUserAgent));
  EXPECT_EQ(headers->Value(HeaderId::kContentLength), "4");
  EXPECT_EQ(ProbeBody(HttpCheck(probe)), "ping");
}

TEST(ProbeRequestTest, AGrpcProbeIsAHealthCheckRequest) {
  xds::HealthCheck check;
  check.probe = xds::GrpcProbe{};
  Arena arena;
  const Headers* headers = ProbeRequest(check, "web", StreamInfo(), &arena);
  EXPECT_EQ(headers->method(), "POST");
  EXPECT_EQ(headers->path(), "/grpc.health.v1.Health/Check");
  EXPECT_EQ(headers->Value(HeaderId::kContentType), "application/grpc");
  EXPECT_EQ(headers->Value(HeaderId::kTe), "trailers");
  EXPECT_EQ(ProbeBody(check), std::string("\0\0\0\0\0", 5)) << "the whole server is asked for";
  check.probe = xds::GrpcProbe{.service = "pkg.Svc"};
  EXPECT_EQ(ProbeBody(check), std::string("\0\0\0\0\x09\x0a\x07pkg.Svc", 14));
  check.probe = xds::GrpcProbe{.service = std::string(200, 's')};
  EXPECT_EQ(ProbeBody(check).substr(0, 8), std::string("\0\0\0\0\xcb\x0a\xc8\x01", 8))
      << "a length of two bytes";
}

TEST(JudgeTest, TwoHundredAlonePassesUnlessOthersAreExpected) {
  EXPECT_EQ(Judge(HttpCheck(), Answer(200)), ProbeKind::kPass);
  EXPECT_EQ(Judge(HttpCheck(), Answer(204)), ProbeKind::kFail);
  EXPECT_EQ(Judge(HttpCheck(), Answer(503)), ProbeKind::kFail);
  xds::HttpProbe probe;
  probe.expected_statuses = {{200, 300}};
  probe.retriable_statuses = {{500, 504}};
  EXPECT_EQ(Judge(HttpCheck(probe), Answer(299)), ProbeKind::kPass);
  EXPECT_EQ(Judge(HttpCheck(probe), Answer(503)), ProbeKind::kRetriable);
  EXPECT_EQ(Judge(HttpCheck(probe), Answer(504)), ProbeKind::kFail);
}

TEST(JudgeTest, ADegradedHostSaysSo) {
  ProbeAnswer answer = Answer(200);
  answer.degraded = true;
  EXPECT_EQ(Judge(HttpCheck(), answer), ProbeKind::kDegraded);
}

TEST(JudgeTest, TheBodyMustHoldThePatternsInOrder) {
  xds::HttpProbe probe;
  probe.receive = {"one", "two"};
  ProbeAnswer answer = Answer(200);
  answer.body = "zero one and two";
  EXPECT_EQ(Judge(HttpCheck(probe), answer), ProbeKind::kPass);
  answer.body = "two one";
  EXPECT_EQ(Judge(HttpCheck(probe), answer), ProbeKind::kFail);
}

TEST(JudgeTest, TheServiceMustBeTheExpectedOne) {
  const auto proto = xds::FromYaml<envoy::config::core::v3::HealthCheck>(
      "{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, "
      "http_health_check: {path: /, "
      "service_name_matcher: {prefix: web}}}");
  xds::ParseContext context;
  const xds::HealthCheck check = xds::HealthCheck::Parse(proto, context);
  ProbeAnswer answer = Answer(200);
  EXPECT_EQ(Judge(check, answer), ProbeKind::kFail);
  answer.healthchecked_cluster = "web-1";
  EXPECT_EQ(Judge(check, answer), ProbeKind::kPass);
}

TEST(JudgeTest, AGrpcHostMustServe) {
  xds::HealthCheck check;
  check.probe = xds::GrpcProbe{};
  ProbeAnswer answer = Answer(200);
  answer.grpc_status = 0;
  answer.body = std::string("\0\0\0\0\x02\x08\x01", 7);
  EXPECT_EQ(Judge(check, answer), ProbeKind::kPass);
  answer.body = std::string("\0\0\0\0\x02\x08\x02", 7);
  EXPECT_EQ(Judge(check, answer), ProbeKind::kFail) << "NOT_SERVING";
  answer.body = std::string("\0\0\0\0\x02\x08\x01", 7);
  answer.grpc_status = 5;
  EXPECT_EQ(Judge(check, answer), ProbeKind::kFail);
  answer.grpc_status = 0;
  answer.status = 503;
  EXPECT_EQ(Judge(check, answer), ProbeKind::kFail);
}

TEST(ContainsInOrderTest, PatternsDoNotOverlap) {
  EXPECT_TRUE(ContainsInOrder("abc", {}));
  EXPECT_TRUE(ContainsInOrder("aba", {"ab", "a"}));
  EXPECT_FALSE(ContainsInOrder("aba", {"ab", "ba"}));
}

}  // namespace
}  // namespace remora::proxy
