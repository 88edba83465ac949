#include "proxy/stream/router.h"

#include "tests/proxy/stream/router_fixture.h"

namespace remora::proxy {
namespace {

TEST_F(RouterTest, ForwardsAndAnswers) {
  Get();
  const std::string wire = far().Take();
  EXPECT_NE(wire.find("GET /p HTTP/1.1\r\n"), std::string::npos);
  EXPECT_NE(wire.find("x-envoy-expected-rq-timeout-ms: 15000\r\n"), std::string::npos);
  Answer(0, kOk);
  EXPECT_EQ(host_.status, 200);
  EXPECT_EQ(host_.body, "ok");
  EXPECT_EQ(host_.ends, 1);
  EXPECT_NE(host_.text.find("x-envoy-upstream-service-time: "), std::string::npos);
  EXPECT_EQ(host_.info().response_code_details, "via_upstream");
  EXPECT_EQ(host_.info().upstream_host, "10.0.0.1:80");
  EXPECT_EQ(host_.info().upstream_cluster, "a");
  EXPECT_EQ(host_.info().upstream_protocol, Protocol::kHttp11);
  EXPECT_GT(host_.info().upstream_wire_received, 0u);
  EXPECT_EQ(Stat("upstream_rq_200"), 1u);
  EXPECT_EQ(Stat("upstream_rq_2xx"), 1u);
  EXPECT_EQ(Stat("external.upstream_rq_200"), 1u);
  EXPECT_EQ(Stat("upstream_rq_completed"), 1u);
  EXPECT_EQ(HostState().rq_success.load(), 1u);
}

TEST_F(RouterTest, TheClustersMetadataIsKnownAsLongAsTheExchange) {
  Cluster([](xds::Cluster& c) {
    c.metadata.namespaces["ns"] = MetadataValue::Fields{{"k", MetadataValue("v")}};
  });
  Get();
  ASSERT_NE(host_.info().cluster_metadata, nullptr);
  EXPECT_NE(host_.info().cluster_metadata->Find("ns", {"k"}), nullptr);
  Answer(0, kOk);
  EXPECT_NE(host_.info().cluster_metadata, nullptr);
  router_->Cancel();
  EXPECT_EQ(host_.info().cluster_metadata, nullptr);
}

TEST_F(RouterTest, UnknownCluster) {
  action().cluster = "none";
  action().cluster_not_found_status = 404;
  Get();
  EXPECT_EQ(host_.status, 404);
  EXPECT_EQ(host_.body, "");
  EXPECT_EQ(host_.details, "cluster_not_found");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kNoClusterFound));
}

TEST_F(RouterTest, ClusterByHeader) {
  action().cluster_by = xds::ForwardAction::ClusterBy::kHeader;
  action().cluster = "x-to";
  Get({{"x-to", "a"}});
  EXPECT_EQ(dialled(), 1u);
  router_->Cancel();
  Get();
  EXPECT_EQ(host_.details, "cluster_not_found");
}

TEST_F(RouterTest, WeightedClustersByRandomNumber) {
  action().cluster_by = xds::ForwardAction::ClusterBy::kWeights;
  action().weighted.resize(2);
  action().weighted[0].name = "a";
  action().weighted[0].weight = 30;
  action().weighted[1].name = "b";
  action().weighted[1].weight = 70;
  f_.AddCluster("b", 1);
  f_.Install();
  host_.random_value = 129;
  Get();
  EXPECT_EQ(host_.chosen, &action().weighted[0]);
  router_->Cancel();
  host_.random_value = 130;
  Get();
  EXPECT_EQ(host_.chosen, &action().weighted[1]);
  EXPECT_EQ(host_.info().upstream_cluster, "b");
}

TEST_F(RouterTest, NoHealthyHost) {
  Cluster(nullptr, 0);
  Get();
  EXPECT_EQ(host_.status, 503);
  EXPECT_EQ(host_.body, "no healthy upstream");
  EXPECT_EQ(host_.details, "no_healthy_upstream");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kNoHealthyUpstream));
  EXPECT_EQ(Stat("upstream_cx_none_healthy"), 1u);
  EXPECT_EQ(Stat("upstream_rq_503"), 1u);
}

TEST_F(RouterTest, RefusedConnection) {
  f_.dialer.accept_at_once = false;
  Get();
  far().Refuse(ECONNREFUSED);
  f_.Turn();
  EXPECT_EQ(host_.status, 503);
  EXPECT_EQ(host_.body,
            "upstream connect error or disconnect/reset before headers. reset reason: remote "
            "connection failure");
  EXPECT_EQ(
      host_.details,
      "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:"
      "_Connection_refused}");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamConnectionFailure));
  EXPECT_EQ(HostState().rq_error.load(), 1u);
}

TEST_F(RouterTest, ARefusalLeavesTimeForTheRestOfTheRequest) {
  f_.dialer.accept_at_once = false;
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  f_.Turn();
  far().Refuse(ECONNREFUSED);
  f_.loop.RunOnce(false);
  EXPECT_EQ(host_.replies, 0);
  Body rest = BodyOf("the second half");
  router_->OnRequestBody(rest, true);
  EXPECT_EQ(host_.replies, 1);
  EXPECT_EQ(host_.status, 503);
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamConnectionFailure));
}

TEST_F(RouterTest, ARefusalDoesNotWaitForeverForTheRest) {
  f_.dialer.accept_at_once = false;
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  f_.Turn();
  far().Refuse(ECONNREFUSED);
  EXPECT_TRUE(f_.RunUntil([&] { return host_.replies == 1; }));
  EXPECT_EQ(host_.status, 503);
}

TEST_F(RouterTest, OverflowSaysSo) {
  Cluster([](xds::Cluster& c) { c.default_breaker.max_pending_requests = 0; });
  Get();
  EXPECT_EQ(host_.status, 503);
  EXPECT_EQ(host_.body,
            "upstream connect error or disconnect/reset before headers. reset reason: overflow");
  EXPECT_NE(host_.text.find("x-envoy-overloaded: true"), std::string::npos);
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamOverflow));
}

TEST_F(RouterTest, UpstreamClosesBeforeItsAnswer) {
  Get();
  far().SendEof();
  f_.Turn();
  EXPECT_EQ(host_.status, 503);
  EXPECT_EQ(host_.details, "upstream_reset_before_response_started{connection_termination}");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamConnectionTermination));
}

TEST_F(RouterTest, UpstreamBreaksTheProtocol) {
  Get();
  Answer(0, "HTTP/9.9 nonsense\r\n\r\n");
  EXPECT_EQ(host_.status, 502);
  EXPECT_EQ(host_.details, "upstream_reset_before_response_started{protocol_error}");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamProtocolError));
}

TEST_F(RouterTest, UpstreamClosesInsideItsAnswer) {
  Get();
  Answer(0, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal");
  far().SendEof();
  f_.Turn();
  EXPECT_EQ(host_.status, 200);
  EXPECT_EQ(host_.body, "hal");
  EXPECT_EQ(host_.ends, 0);
  EXPECT_EQ(host_.aborts, 1);
  EXPECT_EQ(host_.details, "upstream_reset_after_response_started{connection_termination}");
}

TEST_F(RouterTest, TimeIsUp) {
  action().timeout = absl::Milliseconds(20);
  Get();
  EXPECT_TRUE(f_.RunUntil([&] { return host_.replies == 1; }));
  EXPECT_EQ(host_.status, 504);
  EXPECT_EQ(host_.body, "upstream request timeout");
  EXPECT_EQ(host_.details, "response_timeout");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamRequestTimeout));
  EXPECT_EQ(Stat("upstream_rq_timeout"), 1u);
  EXPECT_EQ(Stat("upstream_rq_504"), 1u);
  f_.Turn();
  EXPECT_TRUE(far().closed());
}

TEST_F(RouterTest, TheClockStartsWhenTheRequestIsWhole) {
  action().timeout = absl::Milliseconds(20);
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  const absl::Time until = absl::Now() + absl::Milliseconds(60);
  f_.RunUntil([&] { return absl::Now() > until; });
  EXPECT_EQ(host_.replies, 0);
  Send("x", true);
  EXPECT_TRUE(f_.RunUntil([&] { return host_.replies == 1; }));
}

TEST_F(RouterTest, RetriesUntilItWorks) {
  Retry(xds::kRetry5xx, 3);
  host_.host_config.include_request_attempt_count = true;
  host_.host_config.include_attempt_count_in_response = true;
  Get();
  for (int i = 0; i < 2; ++i) {
    EXPECT_NE(far().Take(), "");
    Answer(0, k503);
    EXPECT_TRUE(f_.RunUntil([&] { return !far().arrived().empty(); }));
  }
  EXPECT_NE(far().Take().find("x-envoy-attempt-count: 3"), std::string::npos);
  Answer(0, kOk);
  EXPECT_EQ(host_.status, 200);
  EXPECT_NE(host_.text.find("x-envoy-attempt-count: 3"), std::string::npos);
  EXPECT_EQ(host_.info().attempt_count, 3u);
  EXPECT_EQ(Stat("upstream_rq_retry"), 2u);
  EXPECT_EQ(Stat("upstream_rq_retry_success"), 1u);
  EXPECT_EQ(Stat("retry.upstream_rq_503"), 2u);
  EXPECT_EQ(Stat("upstream_rq_503"), 0u);
  EXPECT_EQ(Stat("upstream_rq_200"), 1u);
}

TEST_F(RouterTest, TheLastAnswerCountsWhenTriesRunOut) {
  Retry(xds::kRetry5xx, 1);
  Get();
  far().Take();
  Answer(0, k503);
  EXPECT_TRUE(f_.RunUntil([&] { return !far().arrived().empty(); }));
  Answer(0, k503);
  EXPECT_EQ(host_.status, 503);
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamRetryLimitExceeded));
  EXPECT_EQ(Stat("upstream_rq_retry_limit_exceeded"), 1u);
}

TEST_F(RouterTest, BodyAndTrailersAreSentAgain) {
  Cluster([](xds::Cluster& c) { c.http.http1.enable_trailers = true; });
  Retry(xds::kRetry5xx);
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  Send("hello ", false);
  Send("world", false);
  auto* trailers = host_.arena().New<Headers>(&host_.arena());
  trailers->Add("x-end", "1");
  router_->OnRequestTrailers(trailers);
  f_.Turn();
  const std::string first = far().Take();
  EXPECT_NE(first.find("x-end: 1"), std::string::npos);
  Answer(0, k503);
  EXPECT_TRUE(f_.RunUntil([&] { return !far().arrived().empty(); }));
  const std::string again = far().Take();
  EXPECT_NE(again.find("hello world"), std::string::npos);
  EXPECT_NE(again.find("x-end: 1"), std::string::npos);
  Answer(0, kOk);
  EXPECT_EQ(host_.status, 200);
}

TEST_F(RouterTest, ABodyBeyondTheLimitIsNotRetried) {
  Retry(xds::kRetry5xx);
  host_.buffer_limit = 4;
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  Send("hello", true);
  Answer(0, k503);
  EXPECT_EQ(host_.status, 503);
  EXPECT_EQ(Stat("retry_or_shadow_abandoned"), 1u);
  EXPECT_EQ(Stat("upstream_rq_retry"), 0u);
}

TEST_F(RouterTest, PerTryTimeoutIsRetriedThenGivenUp) {
  Retry(xds::kRetry5xx, 1);
  action().retry->per_try_timeout = absl::Milliseconds(20);
  Get();
  EXPECT_TRUE(f_.RunUntil([&] { return host_.replies == 1; }));
  EXPECT_EQ(host_.status, 504);
  EXPECT_EQ(host_.details, "upstream_per_try_timeout");
  EXPECT_EQ(Stat("upstream_rq_per_try_timeout"), 2u);
  EXPECT_EQ(Stat("upstream_rq_timeout"), 0u);
  EXPECT_EQ(dialled(), 2u);
}

TEST_F(RouterTest, PreviousHostsAreAvoided) {
  Cluster(nullptr, 2);
  Retry(xds::kRetry5xx);
  action().retry->avoid_previous_hosts = true;
  action().retry->host_selection_attempts = 20;
  Get();
  Answer(0, k503);
  EXPECT_TRUE(f_.RunUntil([&] { return dialled() == 2; }));
  EXPECT_NE(f_.dialer.dialled[0].host, f_.dialer.dialled[1].host);
}

TEST_F(RouterTest, CancelDuringBackoffLeavesNothing) {
  Retry(xds::kRetry5xx);
  action().retry->backoff_base = absl::Seconds(5);
  action().retry->backoff_max = absl::Seconds(5);
  Get();
  Answer(0, k503);
  router_->Cancel();
  EXPECT_EQ(f_.cluster("a")->shared->breakers.default_priority.count(health::Resource::kRetries),
            0u);
  EXPECT_EQ(f_.loop.timers().armed(), 1u);  // the idle connection's
}

TEST_F(RouterTest, EarlyAnswerEndsTheUpload) {
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  Send("part", false);
  Answer(0, kOk);
  EXPECT_EQ(host_.status, 200);
  EXPECT_EQ(host_.ends, 1);
  EXPECT_TRUE(far().closed());
  Send("rest", true);
  EXPECT_EQ(host_.ends, 1);
  EXPECT_EQ(host_.text.find("x-envoy-upstream-service-time"), std::string::npos);
}

TEST_F(RouterTest, InterimAnswersPass) {
  Retry(xds::kRetry5xx);
  Get();
  Answer(0, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
  EXPECT_EQ(host_.interims, std::vector<int>{103});
  // After that the answer is the upstream's, whatever it is.
  Answer(0, k503);
  EXPECT_EQ(host_.status, 503);
}

TEST_F(RouterTest, ASlowUpstreamStopsTheRequest) {
  Cluster([](xds::Cluster& c) { c.per_connection_buffer_limit = 1000; });
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  f_.Turn();
  far().set_room(0);
  Send(std::string(5000, 'x'), false);
  EXPECT_EQ(host_.paused, 1);
  far().set_room(SIZE_MAX);
  f_.Turn(10);
  EXPECT_EQ(host_.paused, 0);
}

TEST_F(RouterTest, ASlowClientStopsTheUpstream) {
  Get();
  router_->PauseResponse();
  Answer(0, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody");
  EXPECT_EQ(host_.body, "");
  router_->ResumeResponse();
  f_.Turn();
  EXPECT_EQ(host_.body, "body");
  EXPECT_EQ(host_.ends, 1);
}

TEST_F(RouterTest, BodyWaitsForTheConnection) {
  f_.dialer.accept_at_once = false;
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  Send(std::string(300000, 'x'), false);
  EXPECT_EQ(host_.paused, 1);
  far().Accept();
  f_.Turn(20);
  EXPECT_EQ(host_.paused, 0);
  EXPECT_GT(far().Take().size(), 300000u);
}

TEST_F(RouterTest, GrpcOutcomeComesWithTheTrailers) {
  Http2();
  Get({{"content-type", "application/grpc"}});
  CodecPeer peer(f_.dialer.dialled[0].far);
  peer.Pump();
  TestHeaders head({{":status", "200"}, {"content-type", "application/grpc"}});
  peer.stream(0).stream->SendHeaders(*head, false);
  peer.Push();
  f_.Turn();
  EXPECT_EQ(HostState().rq_success.load() + HostState().rq_error.load(), 0u);
  TestHeaders trailers({{"grpc-status", "14"}});
  peer.stream(0).stream->SendTrailers(*trailers);
  peer.Push();
  f_.Turn();
  EXPECT_EQ(HostState().rq_error.load(), 1u);
  EXPECT_NE(host_.trailers_text.find("grpc-status: 14"), std::string::npos);
  EXPECT_EQ(host_.ends, 1);
}

TEST_F(RouterTest, GrpcStatusOfTrailersOnlyIsRetried) {
  Http2();
  Retry(xds::kRetryGrpcUnavailable);
  Get({{"content-type", "application/grpc"}});
  CodecPeer peer(f_.dialer.dialled[0].far);
  peer.Pump();
  peer.Answer(0, 200, "", {{"grpc-status", "14"}});
  EXPECT_TRUE(f_.RunUntil([&] {
    peer.Pump();
    return peer.streams() == 2;
  }));
  peer.Answer(1, 200, "", {{"grpc-status", "0"}});
  f_.Turn();
  EXPECT_EQ(host_.status, 200);
  EXPECT_EQ(Stat("upstream_rq_retry_success"), 1u);
}

TEST_F(RouterTest, RemoteResetIsCountedAndTold) {
  Http2();
  Get();
  CodecPeer peer(f_.dialer.dialled[0].far);
  peer.Pump();
  peer.stream(0).stream->Reset(ResetReason::kLocalReset);
  peer.Push();
  f_.Turn();
  EXPECT_EQ(host_.status, 503);
  EXPECT_EQ(host_.details, "upstream_reset_before_response_started{remote_reset}");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamRemoteReset));
  EXPECT_EQ(Stat("upstream_rq_rx_reset"), 1u);
}

TEST_F(RouterTest, ImmediateHealthFailReachesMain) {
  Get();
  Answer(0,
         "HTTP/1.1 200 OK\r\nx-envoy-immediate-health-check-fail: true\r\n"
         "content-length: 0\r\n\r\n");
  EXPECT_EQ(f_.immediate_fails, std::vector<std::string>{"10.0.0.1:80"});
}

TEST_F(RouterTest, AnswersAndFailuresAreReportedForOutliers) {
  Cluster([](xds::Cluster& c) {
    c.outlier.emplace();
    c.outlier->thresholds.consecutive_5xx = 2;
  });
  Get();
  Answer(0, k503);
  router_->Cancel();
  Get();
  far().SendEof();
  f_.Turn();
  EXPECT_EQ(f_.suspects.size(), 1u);
}

TEST_F(RouterTest, StreamDurationEndsIt) {
  Cluster([](xds::Cluster& c) { c.http.common.max_stream_duration = absl::Milliseconds(20); });
  Get();
  EXPECT_TRUE(f_.RunUntil([&] { return host_.replies == 1; }));
  EXPECT_EQ(host_.status, 504);
  EXPECT_EQ(host_.body, "upstream max stream duration reached");
  EXPECT_TRUE(host_.info().flags.Has(ResponseFlag::kUpstreamMaxStreamDurationReached));
  EXPECT_EQ(Stat("upstream_rq_max_duration_reached"), 1u);
}

TEST_F(RouterTest, RefusedWebSocketPassesOnItsStatusAlone) {
  router_->OnRequestHeaders(
      &host_, Request("GET", {{"connection", "Upgrade"}, {"upgrade", "websocket"}}), false, true);
  f_.Turn();
  Answer(0, "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno");
  EXPECT_EQ(host_.status, 200);
  EXPECT_EQ(host_.text.find("content-type"), std::string::npos);
  EXPECT_EQ(host_.body, "");
  EXPECT_EQ(host_.ends, 1);
}

TEST_F(RouterTest, AcceptedWebSocketIsATunnel) {
  router_->OnRequestHeaders(
      &host_, Request("GET", {{"connection", "Upgrade"}, {"upgrade", "websocket"}}), false, true);
  f_.Turn();
  EXPECT_NE(far().Take().find("upgrade: websocket"), std::string::npos);
  Answer(0,
         "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  EXPECT_EQ(host_.status, 101);
  Send("ping", false);
  EXPECT_EQ(far().Take(), "ping");
  Answer(0, "pong");
  EXPECT_EQ(host_.body, "pong");
}

TEST_F(RouterTest, CopiesGoToTheMirror) {
  f_.AddCluster("m", 1);
  f_.Install();
  action().mirrors.resize(1);
  action().mirrors[0].cluster = "m";
  router_->OnRequestHeaders(&host_, Request("POST"), false, false);
  Send("hello", true);
  ASSERT_EQ(dialled(), 2u);
  std::string copies[] = {far(0).Take(), far(1).Take()};
  if (copies[0].find("-shadow") != std::string::npos) std::swap(copies[0], copies[1]);
  EXPECT_NE(copies[0].find("host: h.test\r\n"), std::string::npos);
  EXPECT_NE(copies[1].find("host: h.test-shadow\r\n"), std::string::npos);
  EXPECT_NE(copies[1].find("x-envoy-internal: true\r\n"), std::string::npos);
  for (const std::string& copy : copies) EXPECT_NE(copy.find("hello"), std::string::npos);
  Answer(0, kOk);
  Answer(1, kOk);
  EXPECT_EQ(host_.ends, 1);
  EXPECT_EQ(f_.Stat("cluster.m.internal.upstream_rq_200"), 1u);
}

TEST_F(RouterTest, MutatesAndSetsIdleTimeout) {
  action().idle_timeout = absl::Seconds(3);
  Get();
  Answer(0, kOk);
  EXPECT_EQ(host_.mutated, 1);
  EXPECT_EQ(host_.idle_ns, 3000000000);
}

TEST_F(RouterTest, ARouterIsReusable) {
  for (int i = 0; i < 3; ++i) {
    Get();
    Answer(0, kOk);
    EXPECT_EQ(host_.ends, i + 1);
    router_->Cancel();
  }
  EXPECT_EQ(dialled(), 1u);
}

TEST_F(RouterTest, PooledExchangesDoNotAllocate) {
  if (!AllocationsAreCounted()) GTEST_SKIP() << "under a sanitizer";
  host_.quiet = true;
  const auto exchange = [&] {
    Arena& arena = host_.arena();
    auto* request = arena.New<Headers>(&arena);
    request->set_pseudo_static(HeaderId::kMethod, "GET");
    request->set_pseudo_static(HeaderId::kPath, "/");
    request->set_pseudo_static(HeaderId::kAuthority, "h");
    router_->OnRequestHeaders(&host_, request, true, false);
    f_.loop.RunOnce(false);
    far().Drop();
    far().Send(kOk);
    f_.loop.RunOnce(false);
    router_->Cancel();
    arena.Reset();
  };
  for (int i = 0; i < 20; ++i) exchange();
  // A histogram takes memory for each decade when its first value comes: a machine that stalls
  // brings new ones, but no more than there are.
  int rounds = 0;
  uint64_t allocated = 1;
  while (allocated != 0 && ++rounds <= 4) {
    const uint64_t before = AllocationCount();
    for (int i = 0; i < 20; ++i) exchange();
    allocated = AllocationCount() - before;
  }
  EXPECT_EQ(allocated, 0u);
  EXPECT_EQ(host_.ends, 20 + 20 * rounds);
}

}  // namespace
}  // namespace remora::proxy
