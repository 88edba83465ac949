#include "proxy/stream/http_connection.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/stream_fixture.h"

namespace remora::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kRoutes[] = R"(
route_config:
  response_headers_to_add: [{header: {key: x-flags, value: "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%"}}]
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - {match: {prefix: /direct}, direct_response: {status: 200, body: {inline_string: here}}}
    - {match: {prefix: /created}, direct_response: {status: 201, body: {inline_string: x}}}
    - {match: {prefix: /moved}, redirect: {path_redirect: /new}}
    - {match: {prefix: /up}, route: {cluster: c}}
)";

std::string WithLog(const StreamFixture& fixture, const std::string& format) {
  return absl::StrCat(kRoutes, R"(
access_log: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: )",
                      fixture.dir, "/a.log, log_format: {text_format_source: {inline_string: \"",
                      format, "\\n\"}}}}]\n");
}

constexpr char kFormat[] =
    "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT%";

class HttpConnectionTest : public ::testing::Test, public StreamFixture {};

TEST_F(HttpConnectionTest, ARequestReachesTheRouterAndItsAnswerTheClient) {
  Configure(WithLog(*this, kFormat));
  Connect();
  EXPECT_EQ(Talk("POST /up?q HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), "");
  EXPECT_EQ(router().headers->path(), "/up?q");
  EXPECT_EQ(router().headers->authority(), "a");
  EXPECT_EQ(router().headers->Value(HeaderId::kXForwardedProto), "http");
  EXPECT_EQ(router().headers->Value(HeaderId::kXRequestId).size(), 36u);
  EXPECT_EQ(router().body, "abc");
  EXPECT_TRUE(router().ended);
  router().Respond(200, "hello");
  Turn();
  const std::string answer = far->Take();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("server: envoy\r\n"));
  EXPECT_THAT(answer, HasSubstr("date: "));
  EXPECT_THAT(answer, HasSubstr("x-flags: - via_upstream\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("connection: ")));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nhello"));
  EXPECT_EQ(Log(), "POST /up?q HTTP/1.1 200 - via_upstream 3 5\n");
  EXPECT_EQ(Stat("downstream_rq_total"), 1u);
  EXPECT_EQ(Stat("downstream_rq_2xx"), 1u);
  EXPECT_EQ(Stat("downstream_rq_active"), 0u);
  EXPECT_EQ(Stat("downstream_cx_http1_total"), 1u);
  EXPECT_EQ(Stat("rq_total"), 1u);
  EXPECT_EQ(upstream.Stat("listener.l.http.h.downstream_rq_2xx"), 1u);
}

TEST_F(HttpConnectionTest, PipelinedRequestsAreAnsweredInOrder) {
  Configure(kRoutes);
  Connect();
  EXPECT_EQ(Talk("GET /up/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /direct HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /up/3 HTTP/1.1\r\nHost: a\r\n\r\n"),
            "");
  EXPECT_EQ(connection->open_streams(), 1u);
  router().Respond(200, "one");
  Turn();
  EXPECT_THAT(far->Take(), HasSubstr("one"));
  EXPECT_EQ(router().headers->path(), "/up/3");
  router().Respond(200, "three");
  Turn();
  EXPECT_THAT(far->Take(), EndsWith("three"));
  EXPECT_EQ(Stat("downstream_rq_completed"), 3u);
}

TEST_F(HttpConnectionTest, DirectResponsesAndRedirects) {
  Configure(WithLog(*this, kFormat));
  Connect();
  const std::string direct = Talk("GET /direct HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(direct, HasSubstr("content-type: text/plain\r\n"));
  EXPECT_THAT(direct, HasSubstr("x-flags: - direct_response\r\n"));
  EXPECT_THAT(direct, EndsWith("here"));
  EXPECT_THAT(Talk("GET /created HTTP/1.1\r\nHost: a\r\n\r\n"),
              HasSubstr("location: http://a/created\r\n"));
  const std::string moved = Talk("GET /moved?x=1 HTTP/1.1\r\nHost: a:80\r\n\r\n");
  EXPECT_THAT(moved, StartsWith("HTTP/1.1 301 "));
  EXPECT_THAT(moved, HasSubstr("location: http://a:80/new?x=1\r\n"));
  EXPECT_EQ(Stat("rq_direct_response"), 3u);
  EXPECT_THAT(Log(), HasSubstr("GET /moved?x=1 HTTP/1.1 301 - direct_response 0 0\n"));
}

TEST_F(HttpConnectionTest, WithoutRouteThereIs404) {
  Configure(WithLog(*this, kFormat));
  Connect();
  const std::string answer = Talk("GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(answer, HasSubstr("content-length: 0\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("x-flags")));
  EXPECT_EQ(Log(), "GET /none HTTP/1.1 404 NR route_not_found 0 0\n");
  EXPECT_EQ(Stat("no_route"), 1u);
}

TEST_F(HttpConnectionTest, MalformedRequestsAreAnsweredAndTheConnectionEnds) {
  Configure(WithLog(*this, kFormat));
  Connect();
  const std::string answer = Talk("GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(answer, HasSubstr("connection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("Bad Request"));
  EXPECT_TRUE(far->eof());
  EXPECT_EQ(Log(), "- - HTTP/1.1 400 DPE http1.codec_error 0 11\n");
  EXPECT_EQ(Stat("downstream_cx_protocol_error"), 1u);
}

TEST_F(HttpConnectionTest, AMissingHostIsRefused) {
  Configure(WithLog(*this, kFormat));
  Connect();
  EXPECT_THAT(Talk("GET / HTTP/1.1\r\n\r\n"), HasSubstr("connection: close\r\n"));
  EXPECT_THAT(Log(), HasSubstr("400 - missing_host_header"));
}

TEST_F(HttpConnectionTest, AnEarlyAnswerEndsTheConnection) {
  Configure(kRoutes);
  Connect();
  const std::string answer =
      Talk("POST /direct HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
  EXPECT_THAT(answer, HasSubstr("connection: close\r\n"));
  EXPECT_THAT(answer, EndsWith("here"));
  EXPECT_TRUE(far->eof());
  EXPECT_EQ(Talk("GET /direct HTTP/1.1\r\nHost: a\r\n\r\n"), "");
  EXPECT_EQ(Stat("downstream_rq_response_before_rq_complete"), 1u);
}

TEST_F(HttpConnectionTest, AClientThatLeavesCancelsItsRequest) {
  Configure(WithLog(*this, kFormat));
  Connect();
  Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
  far->SendEof();
  Turn();
  EXPECT_EQ(router().cancels, 1);
  EXPECT_EQ(ended, 1);
  EXPECT_EQ(Log(), "GET /up HTTP/1.1 0 DC downstream_remote_disconnect 0 0\n");
  EXPECT_EQ(Stat("downstream_rq_rx_reset"), 1u);
  EXPECT_EQ(Stat("downstream_cx_active"), 0u);
}

TEST_F(HttpConnectionTest, AnAbortedResponseIsNotEndedCleanly) {
  Configure(WithLog(*this, kFormat));
  Connect();
  Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
  router().SendHeaders(200, {}, false);
  router().SendBody("part", false);
  router().host->OnUpstreamAborted("upstream_reset_after_response_started{x}");
  Turn();
  const std::string answer = far->Take();
  EXPECT_THAT(answer, HasSubstr("transfer-encoding: chunked"));
  EXPECT_THAT(answer, EndsWith("4\r\npart\r\n"));
  EXPECT_TRUE(far->eof() || far->closed());
  EXPECT_THAT(Log(), HasSubstr("200 - upstream_reset_after_response_started{x} 0 4"));
}

TEST_F(HttpConnectionTest, RouterRepliesGetTheRoutesHeaders) {
  Configure(kRoutes);
  Connect();
  Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
  LocalReply reply;
  reply.status = 503;
  reply.body = "no healthy upstream";
  reply.details = "no_healthy_upstream";
  router().host->info().flags.Add(ResponseFlag::kNoHealthyUpstream);
  router().host->OnRouterReply(reply);
  Turn();
  const std::string answer = far->Take();
  EXPECT_THAT(answer, HasSubstr("x-flags: UH no_healthy_upstream\r\n"));
  EXPECT_THAT(answer, EndsWith("no healthy upstream"));
  EXPECT_EQ(Stat("downstream_rq_5xx"), 1u);
}

TEST_F(HttpConnectionTest, ExpectContinueIsAnsweredByTheProxy) {
  Configure(kRoutes);
  Connect();
  EXPECT_EQ(
      Talk("POST /up HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
      "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_FALSE(router().headers->Has(HeaderId::kExpect));
  Talk("x");
  EXPECT_TRUE(router().ended);
}

TEST_F(HttpConnectionTest, ADrainingConnectionSaysSo) {
  Configure(kRoutes);
  Connect();
  should_drain = true;
  EXPECT_THAT(Talk("GET /direct HTTP/1.1\r\nHost: a\r\n\r\n"), HasSubstr("connection: close\r\n"));
  EXPECT_TRUE(far->eof());
  EXPECT_EQ(Stat("downstream_cx_drain_close"), 1u);
}

TEST_F(HttpConnectionTest, MaxRequestsPerConnection) {
  Configure(
      absl::StrCat(kRoutes, "\ncommon_http_protocol_options: {max_requests_per_connection: 2}"));
  Connect();
  EXPECT_THAT(Talk("GET /direct HTTP/1.1\r\nHost: a\r\n\r\n"), Not(HasSubstr("connection: close")));
  EXPECT_THAT(Talk("GET /direct HTTP/1.1\r\nHost: a\r\n\r\n"), HasSubstr("connection: close"));
  EXPECT_EQ(Stat("downstream_cx_max_requests_reached"), 1u);
}

TEST_F(HttpConnectionTest, UpgradesOnlyWhereAllowed) {
  Configure(absl::StrCat(kRoutes, "\nupgrade_configs: [{upgrade_type: websocket}]"));
  Connect();
  Talk("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n");
  EXPECT_TRUE(router().upgrade);
  EXPECT_EQ(router().headers->Value(HeaderId::kUpgrade), "WebSocket");
  router().SendHeaders(101, {{"connection", "Upgrade"}, {"upgrade", "WebSocket"}}, false);
  Turn();
  const std::string answer = far->Take();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(answer, Not(HasSubstr("close")));
  Talk("frames");
  EXPECT_EQ(router().body, "frames");
  router().SendBody("back", false);
  Turn();
  EXPECT_EQ(far->Take(), "back");
  EXPECT_EQ(Stat("downstream_cx_upgrades_active"), 1u);
}

TEST_F(HttpConnectionTest, OtherUpgradesAreForbidden) {
  Configure(WithLog(*this, kFormat));
  Connect();
  EXPECT_THAT(Talk("GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
              StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(Log(), HasSubstr("upgrade_failed"));
}

TEST_F(HttpConnectionTest, ASlowReaderPausesTheUpstream) {
  Configure(kRoutes);
  Connect();
  far->set_room(0);
  Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
  router().SendHeaders(200, {}, false);
  router().SendBody(std::string(2 * 1024 * 1024, 'x'), false);
  Turn();
  EXPECT_EQ(router().paused, 1);
  far->set_room(SIZE_MAX);
  Turn();
  EXPECT_EQ(router().paused, 0);
}

TEST_F(HttpConnectionTest, ASlowUpstreamPausesTheClient) {
  Configure(kRoutes);
  Connect();
  Talk("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab");
  router().host->PauseRequest();
  Talk("cd");
  EXPECT_EQ(router().body, "ab");
  router().host->ResumeRequest();
  Turn();
  EXPECT_EQ(router().body, "abcd");
}

TEST_F(HttpConnectionTest, AnIdleStreamTimesOut) {
  Configure(absl::StrCat(WithLog(*this, kFormat), "\nstream_idle_timeout: 0.02s"));
  Connect();
  Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
  std::string answer;
  ASSERT_TRUE(upstream.RunUntil([&] { return !(answer += far->Take()).empty(); }));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 504 "));
  EXPECT_THAT(answer, EndsWith("stream timeout"));
  EXPECT_THAT(Log(), HasSubstr("504 SI stream_idle_timeout"));
  EXPECT_EQ(Stat("downstream_rq_idle_timeout"), 1u);
}

TEST_F(HttpConnectionTest, RequestHeadersThatDoNotEndTimeOut) {
  Configure(absl::StrCat(WithLog(*this, kFormat), "\nrequest_headers_timeout: 0.02s"));
  Connect();
  Talk("GET /up HTTP/1.1\r\nHo");
  std::string answer;
  ASSERT_TRUE(upstream.RunUntil([&] { return !(answer += far->Take()).empty(); }));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(answer, EndsWith("request header timeout"));
  EXPECT_THAT(Log(), HasSubstr("- - HTTP/1.1 408 - request_header_timeout"));
  Turn();
  EXPECT_TRUE(far->eof());
}

TEST_F(HttpConnectionTest, ARequestThatTakesTooLongTimesOut) {
  Configure(absl::StrCat(kRoutes, "\nrequest_timeout: 0.02s"));
  Connect();
  Talk("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab");
  std::string answer;
  ASSERT_TRUE(upstream.RunUntil([&] { return !(answer += far->Take()).empty(); }));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(Stat("downstream_rq_timeout"), 1u);
}

TEST_F(HttpConnectionTest, StreamsAreUsedAgain) {
  Configure(kRoutes);
  Connect();
  Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
  HandRouter* first = HandRouter::last;
  router().Respond(200, "x");
  Turn();
  Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(HandRouter::last, first);
}

constexpr char kRedirects[] = R"(
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - {name: from, match: {prefix: /from}, route: {cluster: c, internal_redirect_policy: {redirect_response_codes: [302, 303], response_headers_to_copy: [x-copy]}}}
    - {name: to, match: {prefix: /to}, route: {cluster: d}}
)";

TEST_F(HttpConnectionTest, AnAnswerMaySendTheRequestOnInside) {
  Configure(absl::StrCat(kRedirects, R"(
access_log: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: )",
                         dir, "/a.log, log_format: {text_format_source: {inline_string: \"",
                         "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %ROUTE_NAME%",
                         "\\n\"}}}}]\n"));
  Connect();
  EXPECT_EQ(Talk("POST /from?a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), "");
  Arena arena;
  Headers answer(&arena);
  answer.set_status(302);
  answer.Add("location", "http://b:81/to?x#frag");
  answer.Add("x-copy", "me");
  const xds::InternalRedirectPolicy& policy = *router().host->route().forward()->internal_redirect;
  proxy::RouterHost* host = router().host;
  ASSERT_TRUE(host->PrepareInternalRedirect(policy, answer));
  Body body;
  body.Append("abc");
  host->RestartRequest(answer, body, /*has_body=*/true, nullptr);
  EXPECT_EQ(router().headers->path(), "/to?x");
  EXPECT_EQ(router().headers->authority(), "b:81");
  EXPECT_EQ(*router().headers->Get("x-envoy-original-url"), "http://a/from?a");
  EXPECT_EQ(*router().headers->Get("x-copy"), "me");
  EXPECT_TRUE(absl::EndsWith(router().body, "abc"));
  EXPECT_EQ(router().host->route().name, "to");
  router().Respond(200, "done");
  Turn();
  EXPECT_THAT(far->Take(), EndsWith("done"));
  EXPECT_EQ(Log(), "/to?x 302 internal_redirect to\n/to?x 200 via_upstream to\n");
  EXPECT_EQ(Stat("downstream_rq_total"), 2u);
  EXPECT_EQ(Stat("downstream_rq_completed"), 1u);
}

TEST_F(HttpConnectionTest, WhatCannotBeSentOnInsideIsCountedWhy) {
  Configure(kRedirects);
  Connect();
  EXPECT_EQ(Talk("GET /from HTTP/1.1\r\nHost: a\r\n\r\n"), "");
  const xds::InternalRedirectPolicy policy = *router().host->route().forward()->internal_redirect;
  proxy::RouterHost* host = router().host;
  const auto prepare = [&](const char* location) {
    Arena arena;
    Headers answer(&arena);
    answer.set_status(302);
    answer.Add("location", location);
    return host->PrepareInternalRedirect(policy, answer);
  };
  EXPECT_FALSE(prepare("/to"));
  EXPECT_FALSE(prepare("https://a/to"));
  EXPECT_FALSE(prepare("http://a/none"));
  EXPECT_EQ(router().headers->path(), "/from");
  EXPECT_EQ(host->route().name, "from");
  EXPECT_EQ(Stat("passthrough_internal_redirect_bad_location"), 1u);
  EXPECT_EQ(Stat("passthrough_internal_redirect_unsafe_scheme"), 1u);
  EXPECT_EQ(Stat("passthrough_internal_redirect_no_route"), 1u);
}

TEST_F(HttpConnectionTest, EarlyMutationsComeBeforeRoutes) {
  Configure(absl::StrCat(kRoutes, R"(
early_header_mutation_extensions:
- {name: e, typed_config: {"@type": type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation, mutations: [{remove: x-gone}, {append: {header: {key: ":path", value: "/direct"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}}
)"));
  Connect();
  EXPECT_THAT(Talk("GET /up HTTP/1.1\r\nHost: a\r\nx-gone: 1\r\n\r\n"), EndsWith("here"));
}

TEST_F(HttpConnectionTest, UnderscoresAreCountedWithTheCodecs) {
  Configure(absl::StrCat(
      kRoutes, "common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER}\n"));
  Connect();
  EXPECT_THAT(Talk("GET /direct HTTP/1.1\r\nHost: a\r\na_b: 1\r\nc_d: 1\r\n\r\n"),
              EndsWith("here"));
  EXPECT_EQ(upstream.Stat("http1.dropped_headers_with_underscores"), 2u);
}

TEST_F(HttpConnectionTest, WhatAnAbandonedRequestTookIsLogged) {
  Configure(WithLog(*this,
                    "%RESPONSE_FLAGS% %DOWNSTREAM_WIRE_BYTES_RECEIVED% "
                    "%DOWNSTREAM_HEADER_BYTES_RECEIVED%"));
  Connect();
  EXPECT_EQ(Talk("GET /up HTTP/1.1\r\nHost: a\r\n\r\n"), "");
  far->SendEof();
  Turn();
  EXPECT_EQ(Log(), "DC 29 8\n");
}

}  // namespace
}  // namespace remora::testing
