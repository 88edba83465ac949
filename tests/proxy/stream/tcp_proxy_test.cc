#include "proxy/stream/tcp_proxy.h"

#include <gtest/gtest.h>

#include "filters/api/filter_state.h"
#include "proxy/net/transport.h"
#include "tests/support/memory_stream.h"
#include "tests/support/upstream_fixture.h"
#include "xds/tcp_proxy.h"

namespace remora::proxy {
namespace {

using testing::FarEnd;
using testing::MemoryStream;
using testing::UpstreamFixture;

class TcpProxyTest : public ::testing::Test, protected TcpSessionOwner {
 protected:
  TcpProxyTest() {
    config_->cluster = "a";
    config_->stat_prefix = "t";
    f_.AddCluster("a", 1, [](xds::Cluster& c) { c.per_connection_buffer_limit = 1000; });
    f_.Install();
  }
  ~TcpProxyTest() override {
    session_.reset();
    f_.Turn();
  }

  void Open(absl::string_view early = "") {
    auto settings = std::make_shared<TcpProxySettings>();
    settings->config = config_;
    settings->stats = f_.stats.Register("tcp.t.", TcpStatSchema());
    client_ = std::make_shared<FarEnd>();
    auto stream = std::make_unique<MemoryStream>(&f_.loop, client_, /*connecting=*/false);
    auto connection =
        std::make_unique<Connection>(&f_.loop, std::move(stream), MakeRawTransport(), 1000);
    connection->info().remote = *Address::FromIp("10.9.9.9", 5);
    connection->input().Append(early);
    session_ = TcpSession::Make(std::move(connection), settings, f_.view.get(), this);
    if (!begins_) return;
    session_->Begin(&state_);
    f_.Turn();
  }
  FarEnd& upstream(size_t i = 0) { return *f_.dialer.dialled.at(i).far; }

  void OnTcpLog(TcpSession& /*session*/, const StreamInfo& info, LogMoment) override {
    ++logs_;
    moments_ += std::string(info.access_log_type) + " ";
    close_reason_ = std::string(info.downstream->local_close_reason);
    flags_ = info.flags;
    received_ = info.bytes_received;
    sent_ = info.bytes_sent;
    upstream_host_ = std::string(info.upstream_host);
  }
  void OnTcpSessionEnd(TcpSession& session) override {
    EXPECT_EQ(&session, session_.get());
    ended_ = true;
    f_.loop.graveyard().Bury(std::move(session_));
  }

  UpstreamFixture f_;
  std::shared_ptr<xds::TcpProxy> config_ = std::make_shared<xds::TcpProxy>();
  std::shared_ptr<FarEnd> client_;
  std::unique_ptr<TcpSession> session_;
  FilterState state_;
  bool begins_ = true;
  bool ended_ = false;
  int logs_ = 0;
  std::string moments_;
  std::string close_reason_;
  ResponseFlags flags_;
  uint64_t received_ = 0;
  uint64_t sent_ = 0;
  std::string upstream_host_;
};

TEST_F(TcpProxyTest, BytesPassBothWays) {
  Open();
  client_->Send("hello");
  f_.Turn();
  EXPECT_EQ(upstream().Take(), "hello");
  upstream().Send("welcome");
  f_.Turn();
  EXPECT_EQ(client_->Take(), "welcome");
  EXPECT_EQ(f_.Stat("tcp.t.downstream_cx_total"), 1u);
  EXPECT_EQ(f_.Stat("tcp.t.downstream_cx_rx_bytes_total"), 5u);
  EXPECT_EQ(f_.Stat("tcp.t.downstream_cx_tx_bytes_total"), 7u);
  EXPECT_EQ(f_.Stat("cluster.a.upstream_cx_active"), 1u);
  EXPECT_EQ(f_.Stat("cluster.a.upstream_rq_active"), 1u);
}

TEST_F(TcpProxyTest, WhatWasPeekedAtIsNotLost) {
  Open("early ");
  client_->Send("late");
  f_.Turn();
  EXPECT_EQ(upstream().Take(), "early late");
}

TEST_F(TcpProxyTest, HalfCloseIsKeptInBothDirections) {
  Open();
  client_->Send("q");
  client_->SendEof();
  f_.Turn();
  EXPECT_EQ(upstream().Take(), "q");
  EXPECT_TRUE(upstream().eof());
  EXPECT_FALSE(upstream().closed());
  upstream().Send("answer");
  f_.Turn();
  EXPECT_EQ(client_->Take(), "answer");
  EXPECT_FALSE(ended_);
  upstream().SendEof();
  f_.Turn();
  EXPECT_TRUE(client_->closed());
  EXPECT_TRUE(upstream().closed());
  EXPECT_TRUE(ended_);
  EXPECT_EQ(logs_, 1);
  EXPECT_EQ(received_, 1u);
  EXPECT_EQ(sent_, 6u);
  EXPECT_TRUE(flags_.empty());
  EXPECT_EQ(upstream_host_, "10.0.0.1:80");
  EXPECT_EQ(f_.Stat("cluster.a.upstream_cx_active"), 0u);
}

TEST_F(TcpProxyTest, UpstreamMayEndFirst) {
  Open();
  upstream().Send("bye");
  upstream().SendEof();
  f_.Turn();
  EXPECT_EQ(client_->Take(), "bye");
  EXPECT_TRUE(client_->eof());
  EXPECT_FALSE(ended_);
  client_->Send("still here");
  client_->SendEof();
  f_.Turn();
  EXPECT_EQ(upstream().Take(), "still here");
  EXPECT_TRUE(ended_);
}

TEST_F(TcpProxyTest, ASlowUpstreamStopsTheClient) {
  Open();
  upstream().set_room(0);
  client_->Send(std::string(800, 'a'));
  f_.Turn();
  client_->Send(std::string(800, 'b'));
  f_.Turn();
  EXPECT_GE(f_.Stat("tcp.t.downstream_flow_control_paused_reading_total"), 1u);
  client_->Send(std::string(5000, 'c'));
  f_.Turn();
  upstream().set_room(SIZE_MAX);
  f_.Turn(20);
  EXPECT_EQ(upstream().Take().size(), 6600u);
  EXPECT_GE(f_.Stat("tcp.t.downstream_flow_control_resumed_reading_total"), 1u);
}

TEST_F(TcpProxyTest, ASlowClientStopsTheUpstream) {
  Open();
  client_->set_room(0);
  upstream().Send(std::string(8000, 'a'));
  f_.Turn(20);
  EXPECT_GE(f_.Stat("cluster.a.upstream_flow_control_paused_reading_total"), 1u);
  // No more than the buffer and one read of it is kept.
  EXPECT_LE(session_->downstream().unsent(), 3000u);
  client_->set_room(SIZE_MAX);
  f_.Turn(50);
  EXPECT_EQ(client_->Take().size(), 8000u);
}

TEST_F(TcpProxyTest, UnknownClusterEndsTheSession) {
  config_->cluster = "none";
  Open();
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(client_->closed());
  EXPECT_TRUE(flags_.Has(ResponseFlag::kNoClusterFound));
  EXPECT_EQ(f_.Stat("tcp.t.downstream_cx_no_route"), 1u);
}

TEST_F(TcpProxyTest, NoHostEndsTheSession) {
  f_.AddCluster("a", 0);
  f_.Install();
  Open();
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(flags_.Has(ResponseFlag::kNoHealthyUpstream));
}

TEST_F(TcpProxyTest, RefusedConnectsAreTriedAsOftenAsConfigured) {
  config_->max_connect_attempts = 2;
  f_.dialer.accept_at_once = false;
  Open();
  upstream(0).Refuse(ECONNREFUSED);
  f_.Turn();
  ASSERT_EQ(f_.dialer.dialled.size(), 2u);
  EXPECT_FALSE(ended_);
  upstream(1).Refuse(ECONNREFUSED);
  f_.Turn();
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(flags_.Has(ResponseFlag::kUpstreamConnectionFailure));
  EXPECT_TRUE(flags_.Has(ResponseFlag::kUpstreamRetryLimitExceeded));
  EXPECT_EQ(f_.Stat("cluster.a.upstream_cx_connect_fail"), 2u);
  EXPECT_EQ(f_.Stat("cluster.a.upstream_cx_connect_attempts_exceeded"), 1u);
  EXPECT_EQ(f_.Stat("cluster.a.upstream_cx_active"), 0u);
  EXPECT_EQ(f_.Stat("cluster.a.upstream_rq_pending_active"), 0u);
}

TEST_F(TcpProxyTest, BreakerOverflow) {
  f_.AddCluster("a", 1, [](xds::Cluster& c) { c.default_breaker.max_connections = 0; });
  f_.Install();
  Open();
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(flags_.Has(ResponseFlag::kUpstreamOverflow));
  EXPECT_EQ(f_.Stat("cluster.a.upstream_cx_overflow"), 1u);
}

TEST_F(TcpProxyTest, IdleSessionsEnd) {
  config_->idle_timeout = absl::Milliseconds(20);
  Open();
  EXPECT_TRUE(f_.RunUntil([&] { return ended_; }));
  EXPECT_EQ(f_.Stat("tcp.t.idle_timeout"), 1u);
  EXPECT_TRUE(upstream().closed());
}

TEST_F(TcpProxyTest, OldSessionsEnd) {
  config_->max_connection_duration = absl::Milliseconds(20);
  Open();
  EXPECT_TRUE(f_.RunUntil([&] { return ended_; }));
  EXPECT_EQ(f_.Stat("tcp.t.max_downstream_connection_duration"), 1u);
  EXPECT_TRUE(flags_.Has(ResponseFlag::kDurationTimeout));
}

TEST_F(TcpProxyTest, AResetClientResetsNothingElseButEnds) {
  Open();
  client_->Break(ECONNRESET);
  f_.Turn();
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(upstream().closed());
}

TEST_F(TcpProxyTest, ABrokenUpstreamResetsTheClient) {
  Open();
  upstream().Break(ECONNRESET);
  f_.Turn();
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(client_->closed());
  EXPECT_TRUE(client_->reset());
}

TEST_F(TcpProxyTest, ARemovedClusterServesItsSessionsOn) {
  Open();
  f_.RemoveCluster("a");
  f_.Install();
  client_->Send("more");
  f_.Turn();
  EXPECT_EQ(upstream().Take(), "more");
  session_->Close();
  f_.Turn();
  EXPECT_TRUE(ended_);
  EXPECT_EQ(f_.view->connections(), 0u);
}

TEST_F(TcpProxyTest, NetworkFiltersMayNameTheCluster) {
  f_.AddCluster("b", 1);
  f_.Install();
  state_.texts[std::string(kTcpProxyClusterKey)] = "b";
  Open();
  client_->Send("x");
  f_.Turn();
  EXPECT_EQ(f_.Stat("cluster.b.upstream_cx_total"), 1u);
  EXPECT_EQ(f_.Stat("cluster.a.upstream_cx_total"), 0u);
}

TEST_F(TcpProxyTest, ASessionThatNeverBeginsIsCountedAndLogged) {
  begins_ = false;
  Open();
  session_->Close();
  f_.Turn();
  EXPECT_TRUE(ended_);
  EXPECT_EQ(moments_, "TcpConnectionEnd ");
  EXPECT_EQ(f_.Stat("tcp.t.downstream_cx_total"), 1u);
  EXPECT_TRUE(f_.dialer.dialled.empty());
}

TEST_F(TcpProxyTest, LogsAreWrittenAtTheMomentsAskedFor) {
  config_->flush_access_log_on_start = true;
  config_->flush_access_log_on_connected = true;
  Open();
  EXPECT_EQ(moments_, "TcpConnectionStart TcpUpstreamConnected ");
  session_->Close();
  EXPECT_EQ(moments_, "TcpConnectionStart TcpUpstreamConnected TcpConnectionEnd ");
}

TEST_F(TcpProxyTest, TheUpstreamMayWaitForTheClientsFirstBytes) {
  config_->connect_mode = xds::TcpProxy::ConnectMode::kOnDownstreamData;
  config_->max_early_data = 100;
  Open();
  EXPECT_TRUE(f_.dialer.dialled.empty());
  client_->Send("hello");
  f_.Turn();
  EXPECT_EQ(upstream().Take(), "hello");
  EXPECT_EQ(f_.Stat("tcp.t.early_data_received_count_total"), 1u);
}

TEST_F(TcpProxyTest, AClientThatLeavesWithoutAWordNeedsNoUpstream) {
  config_->connect_mode = xds::TcpProxy::ConnectMode::kOnDownstreamData;
  config_->max_early_data = 100;
  Open();
  client_->SendEof();
  f_.Turn();
  EXPECT_TRUE(ended_);
  EXPECT_TRUE(f_.dialer.dialled.empty());
}

TEST_F(TcpProxyTest, EarlyBytesAndEndReachAnUpstreamThatConnectsLater) {
  config_->max_early_data = 100;
  f_.dialer.accept_at_once = false;
  Open();
  client_->Send("early");
  client_->SendEof();
  f_.Turn();
  upstream().Accept();
  f_.Turn();
  EXPECT_EQ(upstream().Take(), "early");
  EXPECT_TRUE(upstream().eof());
}

TEST_F(TcpProxyTest, WhyNothingCouldBeConnectedIsLogged) {
  config_->cluster = "nobody";
  Open();
  EXPECT_EQ(close_reason_, "tcp_initializion_failure:3");
  ended_ = false;
  f_.AddCluster("empty", 0);
  f_.Install();
  config_->cluster = "empty";
  Open();
  EXPECT_EQ(close_reason_, "tcp_initializion_failure:1");
}

}  // namespace
}  // namespace remora::proxy
