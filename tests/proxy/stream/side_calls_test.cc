#include "proxy/stream/side_calls.h"

#include <memory>
#include <optional>
#include <string>

#include "filters/api/arena.h"
#include "gtest/gtest.h"
#include "tests/support/upstream_fixture.h"

namespace remora::proxy {
namespace {

class SideCallsTest : public ::testing::Test {
 protected:
  SideCallsTest() {
    request_.set_pseudo_static(HeaderId::kMethod, "GET");
    request_.set_pseudo_static(HeaderId::kPath, "/keys");
    request_.set_pseudo_static(HeaderId::kScheme, "http");
    request_.set_pseudo_static(HeaderId::kAuthority, "auth");
  }

  void Start(absl::string_view cluster, int64_t timeout_ms = 0) {
    HttpCall call;
    call.cluster = cluster;
    call.headers = &request_;
    call.timeout_ms = timeout_ms;
    handle_ = StartHttpCall(*world_.view, call, [this](const HttpAnswer& answer) {
      ++answers_;
      end_ = answer.end;
      if (answer.headers != nullptr) status_ = answer.headers->status();
      body_ = std::string(answer.body);
      handle_.reset();  // as a filter does that goes on
    });
  }
  std::string Sent() {
    world_.Turn();
    return world_.dialer.dialled.empty() ? "" : world_.dialer.dialled[0].far->Take();
  }

  testing::UpstreamFixture world_;
  Arena arena_;
  Headers request_{&arena_};
  int answers_ = 0;
  HttpCallEnd end_ = HttpCallEnd::kFailed;
  int status_ = 0;
  std::string body_;
  std::unique_ptr<SideCall> handle_;
};

TEST_F(SideCallsTest, AnAnswerComesWhole) {
  world_.AddCluster("a", 1);
  world_.Install();
  Start("a", 250);
  const std::string sent = Sent();
  EXPECT_NE(sent.find("GET /keys HTTP/1.1"), std::string::npos);
  EXPECT_NE(sent.find("x-envoy-internal: true"), std::string::npos);
  EXPECT_NE(sent.find("x-envoy-expected-rq-timeout-ms: 250"), std::string::npos);
  world_.dialer.dialled[0].far->Send("HTTP/1.1 403 No\r\ncontent-length: 5\r\n\r\nab");
  world_.Turn();
  EXPECT_EQ(answers_, 0);
  world_.dialer.dialled[0].far->Send("cde");
  world_.Turn();
  EXPECT_EQ(answers_, 1);
  EXPECT_EQ(end_, HttpCallEnd::kAnswered);
  EXPECT_EQ(status_, 403);
  EXPECT_EQ(body_, "abcde");
  EXPECT_EQ(world_.Stat("cluster.a.upstream_rq_403"), 1u);
  EXPECT_EQ(world_.Stat("cluster.a.internal.upstream_rq_403"), 1u);
}

TEST_F(SideCallsTest, NoClusterIsToldInALaterTurn) {
  world_.Install();
  Start("missing");
  EXPECT_EQ(answers_, 0);
  world_.Turn();
  EXPECT_EQ(answers_, 1);
  EXPECT_EQ(end_, HttpCallEnd::kNoCluster);
}

TEST_F(SideCallsTest, ASlowServiceTimesOut) {
  world_.AddCluster("a", 1);
  world_.Install();
  Start("a", 10);
  EXPECT_TRUE(world_.RunUntil([this] { return answers_ == 1; }));
  EXPECT_EQ(end_, HttpCallEnd::kTimeout);
  EXPECT_EQ(world_.Stat("cluster.a.upstream_rq_timeout"), 1u);
}

TEST_F(SideCallsTest, ABrokenConnectionFails) {
  world_.AddCluster("a", 1);
  world_.Install();
  Start("a");
  Sent();
  world_.dialer.dialled[0].far->SendEof();
  EXPECT_TRUE(world_.RunUntil([this] { return answers_ == 1; }));
  EXPECT_EQ(end_, HttpCallEnd::kFailed);
}

TEST_F(SideCallsTest, ADroppedHandleIsSilent) {
  world_.AddCluster("a", 1);
  world_.Install();
  Start("a");
  Sent();
  handle_.reset();
  world_.dialer.dialled[0].far->Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  world_.Turn();
  EXPECT_EQ(answers_, 0);
}

}  // namespace
}  // namespace remora::proxy
