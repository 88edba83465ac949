#include "proxy/grpc/client.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/grpc/frames.h"
#include "proxy/upstream/cluster_view.h"
#include "tests/support/codec_peer.h"
#include "tests/support/upstream_fixture.h"

namespace remora::proxy {
namespace {

using testing::CodecPeer;
using testing::UpstreamFixture;

class GrpcClientTest : public ::testing::Test, protected GrpcStreamEvents {
 protected:
  GrpcClientTest() {
    f_.AddCluster("a", 1, [](xds::Cluster& c) {
      c.http.protocol = xds::UpstreamHttpOptions::Protocol::kHttp2;
    });
    f_.Install();
    options_.method = "/pkg.Service/Method";
  }
  ~GrpcClientTest() override {
    stream_.reset();
    f_.Turn();
  }

  void Open() {
    stream_ = OpenGrpcStream(*f_.view, "a", options_, this);
    f_.Turn();
    if (!f_.dialer.dialled.empty() && f_.dialer.accept_at_once) {
      peer_ = std::make_unique<CodecPeer>(f_.dialer.dialled.back().far);
      Pump();
    }
  }
  void Pump() {
    for (int i = 0; i < 3; ++i) {
      peer_->Pump();
      f_.Turn();
    }
  }
  FakeSink& Server() { return peer_->stream(0); }
  void Accept() {
    TestHeaders head({{":status", "200"}, {"content-type", "application/grpc"}});
    Server().stream->SendHeaders(*head, false);
    Pump();
  }
  void Say(absl::string_view message) {
    Body frame;
    AppendGrpcFrame(message, &frame);
    Server().stream->SendBody(frame, false);
    Pump();
  }
  void Finish(const char* status, const char* message = "") {
    TestHeaders trailers({{"grpc-status", status}, {"grpc-message", message}});
    Server().stream->SendTrailers(*trailers);
    Pump();
  }

  void OnGrpcInitialMetadata(const Headers& headers) override { metadata_ = FieldsText(headers); }
  void OnGrpcMessage(Body& message) override {
    messages_.push_back(message.ToString());
    if (drop_at_message_) stream_.reset();
  }
  void OnGrpcSendDrained() override { ++drained_; }
  void OnGrpcClosed(const GrpcStatus& status, const Headers* trailers) override {
    ++closed_;
    status_ = status;
    trailers_ = trailers == nullptr ? "none" : FieldsText(*trailers);
  }

  UpstreamFixture f_;
  GrpcCallOptions options_;
  std::unique_ptr<GrpcStream> stream_;
  std::unique_ptr<CodecPeer> peer_;
  std::string metadata_, trailers_;
  std::vector<std::string> messages_;
  bool drop_at_message_ = false;
  int drained_ = 0, closed_ = 0;
  GrpcStatus status_;
};

TEST_F(GrpcClientTest, ABidirectionalStream) {
  options_.metadata = {{"x-token", "t"}};
  options_.timeout_ms = 60000;
  Open();
  EXPECT_NE(Server().headers_text.find(":path: /pkg.Service/Method\n"), std::string::npos);
  EXPECT_NE(Server().headers_text.find(":method: POST\n"), std::string::npos);
  EXPECT_NE(Server().headers_text.find("content-type: application/grpc\n"), std::string::npos);
  EXPECT_NE(Server().headers_text.find("te: trailers\n"), std::string::npos);
  EXPECT_NE(Server().headers_text.find("grpc-timeout: 60000m\n"), std::string::npos);
  EXPECT_NE(Server().headers_text.find("x-token: t\n"), std::string::npos);
  stream_->Send("one");
  stream_->Send("two");
  f_.Turn();
  Pump();
  EXPECT_EQ(Server().body, std::string("\0\0\0\0\3one\0\0\0\0\3two", 16));
  Accept();
  EXPECT_NE(metadata_.find("content-type"), std::string::npos);
  Say("hi");
  Say("there");
  EXPECT_EQ(messages_, (std::vector<std::string>{"hi", "there"}));
  stream_->CloseSend();
  f_.Turn();
  Pump();
  EXPECT_EQ(Server().ends, 1);
  Finish("0");
  EXPECT_EQ(closed_, 1);
  EXPECT_TRUE(status_.ok());
  EXPECT_EQ(f_.Stat("cluster.a.upstream_rq_active"), 0u);
  EXPECT_EQ(f_.Stat("cluster.a.upstream_rq_200"), 1u);
}

TEST_F(GrpcClientTest, MessagesBeforeTheConnectionStandsAreKept) {
  f_.dialer.accept_at_once = false;
  Open();
  stream_->Send("early");
  f_.dialer.dialled[0].far->Accept();
  f_.Turn();
  peer_ = std::make_unique<CodecPeer>(f_.dialer.dialled[0].far);
  Pump();
  EXPECT_EQ(Server().body, std::string("\0\0\0\0\5early", 10));
}

TEST_F(GrpcClientTest, ErrorInTrailersAlone) {
  Open();
  peer_->Answer(0, 200, "", {{"grpc-status", "7"}, {"grpc-message", "no%21"}});
  Pump();
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(status_.code, kGrpcPermissionDenied);
  EXPECT_EQ(status_.message, "no!");
}

TEST_F(GrpcClientTest, HttpErrorIsMapped) {
  Open();
  peer_->Answer(0, 404, "not here");
  Pump();
  EXPECT_EQ(status_.code, kGrpcUnimplemented);
}

TEST_F(GrpcClientTest, NoClusterNoHost) {
  stream_ = OpenGrpcStream(*f_.view, "none", options_, this);
  EXPECT_EQ(closed_, 0);  // never from inside
  f_.Turn();
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(status_.code, kGrpcUnavailable);
  f_.AddCluster("a", 0);
  f_.Install();
  stream_ = OpenGrpcStream(*f_.view, "a", options_, this);
  f_.Turn();
  EXPECT_EQ(closed_, 2);
  EXPECT_EQ(status_.code, kGrpcUnavailable);
}

TEST_F(GrpcClientTest, RefusedConnection) {
  f_.dialer.accept_at_once = false;
  Open();
  f_.dialer.dialled[0].far->Refuse(ECONNREFUSED);
  f_.Turn();
  EXPECT_EQ(status_.code, kGrpcUnavailable);
  EXPECT_NE(status_.message.find("Connection refused"), std::string::npos);
}

TEST_F(GrpcClientTest, LostConnection) {
  Open();
  Accept();
  f_.dialer.dialled[0].far->SendEof();
  f_.Turn();
  EXPECT_EQ(closed_, 1);
  EXPECT_EQ(status_.code, kGrpcUnavailable);
}

TEST_F(GrpcClientTest, Deadline) {
  options_.timeout_ms = 20;
  Open();
  EXPECT_TRUE(f_.RunUntil([&] { return closed_ == 1; }));
  EXPECT_EQ(status_.code, kGrpcDeadlineExceeded);
  Pump();
  EXPECT_EQ(Server().resets, 1);
}

TEST_F(GrpcClientTest, DroppingTheHandleResets) {
  Open();
  stream_.reset();
  f_.Turn();
  Pump();
  EXPECT_EQ(Server().resets, 1);
  EXPECT_EQ(closed_, 0);
}

TEST_F(GrpcClientTest, TheHandleMayGoInsideAnEvent) {
  Open();
  Accept();
  drop_at_message_ = true;
  Body frames;
  AppendGrpcFrame("a", &frames);
  AppendGrpcFrame("b", &frames);
  Server().stream->SendBody(frames, false);
  Pump();
  EXPECT_EQ(messages_.size(), 1u);
  EXPECT_EQ(closed_, 0);
}

TEST_F(GrpcClientTest, PausedReadingHoldsMessagesBack) {
  Open();
  Accept();
  stream_->PauseReading();
  Say("later");
  EXPECT_TRUE(messages_.empty());
  stream_->ResumeReading();
  f_.Turn();
  Pump();
  EXPECT_EQ(messages_.size(), 1u);
}

TEST_F(GrpcClientTest, TooLongAndMissingStatus) {
  options_.max_message_bytes = 3;
  Open();
  Accept();
  Say("four");
  EXPECT_EQ(status_.code, kGrpcResourceExhausted);
}

TEST_F(GrpcClientTest, AnAnswerWithoutStatusIsUnknown) {
  Open();
  Accept();
  Body nothing;
  Server().stream->SendBody(nothing, true);
  Pump();
  EXPECT_EQ(status_.code, kGrpcUnknown);
  EXPECT_EQ(trailers_, "none");
}

TEST_F(GrpcClientTest, Unary) {
  GrpcStatus status;
  std::string response;
  int calls = 0;
  auto call =
      StartGrpcCall(*f_.view, "a", options_, "question", [&](const GrpcStatus& s, Body& body) {
        ++calls;
        status = s;
        response = body.ToString();
      });
  f_.Turn();
  peer_ = std::make_unique<CodecPeer>(f_.dialer.dialled[0].far);
  Pump();
  EXPECT_EQ(Server().body, std::string("\0\0\0\0\10question", 13));
  EXPECT_EQ(Server().ends, 1);
  Accept();
  Say("answer");
  EXPECT_EQ(calls, 0);
  Finish("0");
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(response, "answer");
}

}  // namespace
}  // namespace remora::proxy
