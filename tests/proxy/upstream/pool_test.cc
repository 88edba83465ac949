#include "proxy/upstream/pool.h"

#include <gtest/gtest.h>

#include "proxy/upstream/upstream_connection.h"
#include "tests/support/codec_fakes.h"
#include "tests/support/codec_peer.h"
#include "tests/support/upstream_fixture.h"

namespace remora::proxy {
namespace {

using testing::CodecPeer;
using testing::FarEnd;
using testing::UpstreamFixture;

// An exchange as the pool sees it.
class TestLease : public StreamLease {
 public:
  ~TestLease() { Cancel(); }

  void SendGet(absl::string_view path = "/") {
    TestHeaders request({{":method", "GET"}, {":authority", "a"}, {":scheme", "http"}});
    request.get()->set_pseudo(HeaderId::kPath, path);
    stream()->SendHeaders(*request, true);
  }

  FakeSink sink;
  int leased = 0;
  int failed = 0;
  bool send_at_once = true;
  PoolFailureKind kind = PoolFailureKind::kOverflow;
  std::string reason;

 private:
  MessageSink* lease_sink() override { return &sink; }
  void OnLeased() override {
    ++leased;
    sink.on_end = [this] { Finish(); };
    sink.on_reset = [this] { Finish(); };
    if (send_at_once) SendGet();
  }
  void OnLeaseFailed(const PoolFailure& failure) override {
    ++failed;
    kind = failure.kind;
    reason = std::string(failure.transport_reason);
  }
};

constexpr absl::string_view kOk = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

class PoolTest : public ::testing::Test {
 protected:
  PoolTest() { Configure(nullptr); }

  void Configure(const UpstreamFixture::Edit& edit, size_t hosts = 1) {
    f_.AddCluster("a", hosts, edit);
    f_.Install();
  }
  void ConfigureHttp2(const UpstreamFixture::Edit& edit = nullptr) {
    Configure([&](xds::Cluster& c) {
      c.http.protocol = xds::UpstreamHttpOptions::Protocol::kHttp2;
      if (edit) edit(c);
    });
    protocol_ = UpstreamProtocol::kHttp2;
  }
  HttpPool& Pool() {
    ClusterView* view = f_.view_of("a");
    const lb::HostEntry& entry = view->cluster().policy->hosts().entry(0);
    PoolKey key;
    key.protocol = protocol_;
    return view->PoolFor(lb::Choice{entry.host.get(), &entry}, key);
  }
  FarEnd& far(size_t i) { return *f_.dialer.dialled.at(i).far; }
  size_t dialled() const { return f_.dialer.dialled.size(); }
  uint64_t Stat(const std::string& name) { return f_.Stat("cluster.a." + name); }

  UpstreamFixture f_;
  UpstreamProtocol protocol_ = UpstreamProtocol::kHttp1;
};

TEST_F(PoolTest, AnExchangeConnectsAndTheNextReusesTheConnection) {
  for (int i = 0; i < 3; ++i) {
    TestLease lease;
    lease.Open(Pool());
    f_.Turn();
    ASSERT_EQ(lease.leased, 1);
    EXPECT_EQ(Stat("upstream_rq_active"), 1u);
    EXPECT_NE(far(0).Take().find("GET / HTTP/1.1\r\n"), std::string::npos);
    far(0).Send(kOk);
    f_.Turn();
    EXPECT_EQ(lease.sink.body, "ok");
    EXPECT_EQ(lease.sink.ends, 1);
    EXPECT_EQ(Stat("upstream_rq_active"), 0u);
  }
  EXPECT_EQ(dialled(), 1u);
  EXPECT_EQ(Stat("upstream_cx_total"), 1u);
  EXPECT_EQ(Stat("upstream_cx_http1_total"), 1u);
  EXPECT_EQ(Stat("upstream_rq_total"), 3u);
  EXPECT_EQ(Stat("upstream_rq_pending_total"), 1u);
  EXPECT_EQ(Stat("upstream_rq_pending_active"), 0u);
  EXPECT_GT(Stat("upstream_cx_rx_bytes_total"), 0u);
  EXPECT_GT(Stat("upstream_cx_tx_bytes_total"), 0u);
}

TEST_F(PoolTest, TheLastUsedConnectionServesFirst) {
  TestLease first, second;
  first.Open(Pool());
  second.Open(Pool());
  f_.Turn();
  ASSERT_EQ(dialled(), 2u);
  far(0).Send(kOk);
  f_.Turn();
  far(1).Send(kOk);
  f_.Turn();
  far(0).Take();
  far(1).Take();
  TestLease third;
  third.Open(Pool());
  f_.Turn();
  EXPECT_EQ(far(0).Take(), "");
  EXPECT_NE(far(1).Take(), "");
}

TEST_F(PoolTest, PendingLimitOverflows) {
  Configure([](xds::Cluster& c) { c.default_breaker.max_pending_requests = 1; });
  f_.dialer.accept_at_once = false;
  TestLease first, second;
  first.Open(Pool());
  second.Open(Pool());
  EXPECT_EQ(second.failed, 1);
  EXPECT_EQ(second.kind, PoolFailureKind::kOverflow);
  EXPECT_EQ(Stat("upstream_rq_pending_overflow"), 1u);
  far(0).Accept();
  f_.Turn();
  EXPECT_EQ(first.leased, 1);
}

TEST_F(PoolTest, RequestLimitOverflows) {
  Configure([](xds::Cluster& c) { c.default_breaker.max_requests = 1; });
  TestLease first, second;
  first.Open(Pool());
  f_.Turn();
  second.Open(Pool());
  f_.Turn();
  EXPECT_EQ(first.leased, 1);
  EXPECT_EQ(second.failed, 1);
  EXPECT_EQ(Stat("upstream_rq_active_overflow"), 1u);
  EXPECT_EQ(Stat("upstream_rq_pending_overflow"), 0u);
}

TEST_F(PoolTest, OneConnectionIsAlwaysAllowedAndOthersWaitForIt) {
  Configure([](xds::Cluster& c) { c.default_breaker.max_connections = 0; });
  TestLease first, second;
  first.Open(Pool());
  second.Open(Pool());
  f_.Turn();
  EXPECT_EQ(dialled(), 1u);
  EXPECT_GE(Stat("upstream_cx_overflow"), 1u);
  EXPECT_EQ(first.leased, 1);
  EXPECT_EQ(second.leased, 0);
  far(0).Send(kOk);
  f_.Turn();
  EXPECT_EQ(second.leased, 1);
  EXPECT_EQ(dialled(), 1u);
}

TEST_F(PoolTest, RefusedConnectFailsAllWhoWait) {
  f_.dialer.accept_at_once = false;
  TestLease first, second;
  first.Open(Pool());
  second.Open(Pool());
  far(0).Refuse(ECONNREFUSED);
  f_.Turn();
  EXPECT_EQ(first.failed, 1);
  EXPECT_EQ(first.kind, PoolFailureKind::kConnectFailed);
  EXPECT_EQ(first.reason, "delayed connect error: Connection refused");
  EXPECT_EQ(second.failed, 1);
  EXPECT_EQ(Stat("upstream_cx_connect_fail"), 1u);
  EXPECT_EQ(Stat("upstream_rq_pending_failure_eject"), 2u);
  EXPECT_EQ(Stat("upstream_cx_destroy_remote"), 1u);
  EXPECT_EQ(f_.cluster("a")->policy->hosts().entry(0).host->state().cx_connect_fail.load(), 1u);
}

TEST_F(PoolTest, ConnectTimeoutFails) {
  Configure([](xds::Cluster& c) { c.connect_timeout = absl::Milliseconds(20); });
  f_.dialer.accept_at_once = false;
  TestLease lease;
  lease.Open(Pool());
  EXPECT_TRUE(f_.RunUntil([&] { return lease.failed == 1; }));
  EXPECT_EQ(lease.kind, PoolFailureKind::kTimeout);
  EXPECT_EQ(Stat("upstream_cx_connect_timeout"), 1u);
  EXPECT_EQ(Stat("upstream_cx_connect_fail"), 1u);
  EXPECT_EQ(Stat("upstream_cx_active"), 0u);
}

TEST_F(PoolTest, ADialThatCannotEvenBeTriedFailsLater) {
  f_.dialer.broken = "no descriptor";
  TestLease lease;
  lease.Open(Pool());
  EXPECT_EQ(lease.failed, 0);
  EXPECT_TRUE(f_.RunUntil([&] { return lease.failed == 1; }));
  EXPECT_EQ(lease.kind, PoolFailureKind::kLocalFailed);
  EXPECT_EQ(lease.reason, "no descriptor");
}

TEST_F(PoolTest, CancelledWhileWaitingLeavesTheConnectionForOthers) {
  f_.dialer.accept_at_once = false;
  {
    TestLease lease;
    lease.Open(Pool());
  }
  EXPECT_EQ(Stat("upstream_rq_cancelled"), 1u);
  EXPECT_EQ(Stat("upstream_rq_pending_active"), 0u);
  far(0).Accept();
  f_.Turn();
  TestLease second;
  second.Open(Pool());
  EXPECT_EQ(second.leased, 1);
  EXPECT_EQ(dialled(), 1u);
}

TEST_F(PoolTest, CancelledHttp1ExchangeEndsItsConnection) {
  {
    TestLease lease;
    lease.Open(Pool());
    f_.Turn();
    ASSERT_EQ(lease.leased, 1);
  }
  f_.Turn();
  EXPECT_TRUE(far(0).closed());
  EXPECT_EQ(Stat("upstream_cx_destroy_local"), 1u);
  EXPECT_EQ(Stat("upstream_rq_tx_reset"), 0u);
  EXPECT_EQ(Stat("upstream_cx_active"), 0u);
  EXPECT_EQ(Stat("upstream_rq_active"), 0u);
}

TEST_F(PoolTest, APeerThatClosesResetsTheExchange) {
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  far(0).SendEof();
  f_.Turn();
  EXPECT_EQ(lease.sink.resets, 1);
  EXPECT_EQ(Stat("upstream_cx_destroy_remote_with_active_rq"), 1u);
  EXPECT_EQ(Stat("upstream_cx_protocol_error"), 0u);
}

TEST_F(PoolTest, ConnectionCloseOfTheAnswerIsHeard) {
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  far(0).Send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
  f_.Turn();
  EXPECT_EQ(lease.sink.ends, 1);
  EXPECT_TRUE(far(0).closed());
  EXPECT_EQ(Stat("upstream_cx_close_notify"), 1u);
}

TEST_F(PoolTest, NonsenseFromThePeerIsAProtocolError) {
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  far(0).Send("what?\r\n\r\n");
  f_.Turn();
  EXPECT_EQ(lease.sink.resets, 1);
  EXPECT_EQ(Stat("upstream_cx_protocol_error"), 1u);
  EXPECT_TRUE(far(0).closed());
}

TEST_F(PoolTest, BytesOnAnIdleConnectionCloseItQuietly) {
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  far(0).Send(kOk);
  f_.Turn();
  far(0).Send("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
  f_.Turn();
  EXPECT_TRUE(far(0).closed());
  EXPECT_EQ(Stat("upstream_cx_protocol_error"), 0u);
}

TEST_F(PoolTest, IdleConnectionsEnd) {
  Configure([](xds::Cluster& c) { c.http.common.idle_timeout = absl::Milliseconds(20); });
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  far(0).Send(kOk);
  EXPECT_TRUE(f_.RunUntil([&] { return far(0).closed(); }));
  EXPECT_EQ(Stat("upstream_cx_idle_timeout"), 1u);
  EXPECT_EQ(lease.sink.ends, 1);
}

TEST_F(PoolTest, ConnectionsEndAfterTheirNumberOfRequests) {
  Configure([](xds::Cluster& c) { c.http.common.max_requests_per_connection = 2; });
  for (size_t i = 0; i < 4; ++i) {
    TestLease lease;
    lease.Open(Pool());
    f_.Turn();
    far(i / 2).Send(kOk);
    f_.Turn();
    EXPECT_EQ(lease.sink.ends, 1);
  }
  EXPECT_EQ(dialled(), 2u);
  EXPECT_EQ(Stat("upstream_cx_max_requests"), 2u);
  EXPECT_TRUE(far(0).closed());
  EXPECT_TRUE(far(1).closed());
}

TEST_F(PoolTest, PoolsSurviveUpdatesOfOtherHosts) {
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  far(0).Send(kOk);
  f_.Turn();
  Configure(nullptr, 3);
  f_.Turn();
  EXPECT_FALSE(far(0).closed());
  TestLease second;
  second.Open(Pool());
  EXPECT_EQ(second.leased, 1);
  EXPECT_EQ(dialled(), 1u);
}

TEST_F(PoolTest, PoolsOfARemovedHostFinishTheirExchangesAndClose) {
  TestLease busy;
  busy.Open(Pool());
  f_.Turn();
  Configure(nullptr, 0);
  f_.Turn();
  EXPECT_FALSE(far(0).closed());
  far(0).Send(kOk);
  f_.Turn();
  EXPECT_EQ(busy.sink.body, "ok");
  EXPECT_TRUE(far(0).closed());
  EXPECT_EQ(f_.view->connections(), 0u);
}

TEST_F(PoolTest, WhoWaitsInADrainingPoolIsServed) {
  Configure([](xds::Cluster& c) { c.default_breaker.max_connections = 1; });
  TestLease first, second;
  first.Open(Pool());
  second.Open(Pool());
  f_.Turn();
  ASSERT_EQ(dialled(), 1u);
  Configure([](xds::Cluster& c) { c.default_breaker.max_connections = 1; }, 0);
  f_.Turn();
  far(0).Send(kOk);
  f_.Turn();
  // The old connection is gone; one more serves the other, then goes as well.
  ASSERT_EQ(dialled(), 2u);
  EXPECT_EQ(second.leased, 1);
  far(1).Send(kOk);
  f_.Turn();
  EXPECT_EQ(second.sink.body, "ok");
  EXPECT_TRUE(far(1).closed());
  EXPECT_EQ(f_.view->connections(), 0u);
}

TEST_F(PoolTest, AConnectThatEndsInADrainingPoolForNobodyCloses) {
  f_.dialer.accept_at_once = false;
  auto lease = std::make_unique<TestLease>();
  lease->Open(Pool());
  f_.view->DrainConnections();
  lease.reset();
  far(0).Accept();
  f_.Turn();
  EXPECT_TRUE(far(0).closed());
  EXPECT_EQ(dialled(), 1u);
}

TEST_F(PoolTest, ChangedProtocolPartsWithOldConnections) {
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  far(0).Send(kOk);
  f_.Turn();
  ConfigureHttp2();
  f_.Turn();
  EXPECT_TRUE(far(0).closed());
}

TEST_F(PoolTest, Http2CarriesManyOnOneConnection) {
  ConfigureHttp2();
  TestLease leases[5];
  for (TestLease& lease : leases) lease.Open(Pool());
  f_.Turn();
  ASSERT_EQ(dialled(), 1u);
  CodecPeer peer(f_.dialer.dialled[0].far);
  peer.Pump();
  ASSERT_EQ(peer.streams(), 5u);
  EXPECT_EQ(Stat("upstream_rq_active"), 5u);
  for (size_t i = 0; i < 5; ++i) peer.Answer(i, 200, "ok");
  f_.Turn();
  for (TestLease& lease : leases) EXPECT_EQ(lease.sink.body, "ok");
  EXPECT_EQ(Stat("upstream_cx_http2_total"), 1u);
  EXPECT_EQ(Stat("upstream_rq_active"), 0u);
}

TEST_F(PoolTest, Http2StreamLimitOpensAnotherConnection) {
  ConfigureHttp2([](xds::Cluster& c) { c.http.http2.max_concurrent_streams = 2; });
  TestLease leases[3];
  for (TestLease& lease : leases) lease.Open(Pool());
  f_.Turn();
  EXPECT_EQ(dialled(), 2u);
  for (TestLease& lease : leases) EXPECT_EQ(lease.leased, 1);
}

TEST_F(PoolTest, Http2PeerMayAllowFewerStreams) {
  ConfigureHttp2();
  TestLease first;
  first.Open(Pool());
  f_.Turn();
  Http2Options options;
  options.max_concurrent_streams = 1;
  CodecPeer peer(f_.dialer.dialled[0].far, true, options);
  peer.Pump();
  f_.Turn();
  TestLease second;
  second.Open(Pool());
  f_.Turn();
  EXPECT_EQ(dialled(), 2u);
}

TEST_F(PoolTest, Http2CancelResetsTheStreamAlone) {
  ConfigureHttp2();
  TestLease keep;
  keep.Open(Pool());
  auto dropped = std::make_unique<TestLease>();
  dropped->Open(Pool());
  f_.Turn();
  CodecPeer peer(f_.dialer.dialled[0].far);
  peer.Pump();
  dropped.reset();
  f_.Turn();
  peer.Pump();
  EXPECT_EQ(peer.stream(1).resets, 1);
  EXPECT_EQ(Stat("upstream_rq_tx_reset"), 1u);
  EXPECT_FALSE(far(0).closed());
  peer.Answer(0, 200, "ok");
  f_.Turn();
  EXPECT_EQ(keep.sink.body, "ok");
  EXPECT_EQ(Stat("http2.tx_reset"), 1u);
}

TEST_F(PoolTest, GoAwayFinishesAndOpensAnother) {
  ConfigureHttp2();
  TestLease first;
  first.Open(Pool());
  f_.Turn();
  CodecPeer peer(f_.dialer.dialled[0].far);
  peer.Pump();
  peer.codec->Shutdown(/*final=*/true);
  peer.Push();
  f_.Turn();
  EXPECT_EQ(Stat("upstream_cx_close_notify"), 1u);
  TestLease second;
  second.Open(Pool());
  f_.Turn();
  EXPECT_EQ(dialled(), 2u);
  peer.Answer(0, 200, "ok");
  f_.Turn();
  EXPECT_EQ(first.sink.body, "ok");
  EXPECT_TRUE(far(0).closed());
}

TEST_F(PoolTest, AHeldConnectionStaysReadableAfterItsEnd) {
  TestLease lease;
  lease.Open(Pool());
  f_.Turn();
  UpstreamConnection* connection = lease.connection();
  ConnectionHold hold(connection);
  far(0).SendEof();
  f_.Turn();
  EXPECT_EQ(connection->state(), UpstreamConnection::kClosed);
  EXPECT_EQ(connection->connection().info().transport_protocol, "raw_buffer");
}

TEST_F(PoolTest, TeardownWithOpenConnectionsBalances) {
  {
    TestLease lease;
    lease.Open(Pool());
    f_.Turn();
    far(0).Send(kOk);
    f_.Turn();
  }
  const auto host = f_.cluster("a")->policy->hosts().entry(0).host;
  EXPECT_EQ(host->state().cx_active.load(), 1u);
  f_.view.reset();
  EXPECT_EQ(host->state().cx_active.load(), 0u);
  EXPECT_EQ(Stat("upstream_cx_active"), 0u);
}

}  // namespace
}  // namespace remora::proxy
