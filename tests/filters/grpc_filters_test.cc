#include <gtest/gtest.h>

#include <string>

#include "envoy/extensions/filters/http/grpc_http1_bridge/v3/config.pb.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "envoy/extensions/filters/http/grpc_web/v3/grpc_web.pb.h"
#include "filters/formatter.h"
#include "filters/grpc_counts.h"
#include "tests/support/filters/typed_harness.h"

namespace remora {
namespace {

namespace http = envoy::extensions::filters::http;
using Stats = testing::TypedHarness<http::grpc_stats::v3::FilterConfig>;
using Web = testing::TypedHarness<http::grpc_web::v3::GrpcWeb>;
using Bridge = testing::TypedHarness<http::grpc_http1_bridge::v3::Config>;

const std::string kFrame("\0\0\0\0\3abc", 8);

void AskGrpc(testing::FilterHarness& harness, const char* type = "application/grpc") {
  harness.cluster_prefix = "cluster.c.";
  harness.request.set_pseudo(HeaderId::kPath, "/a.S/M");
  harness.request.Add("content-type", type);
}

TEST(GrpcCountsTest, MessagesAreCountedAsTheyBeginWhereverTheyAreCut) {
  const std::string two = kFrame + kFrame + std::string("\0\0", 2);
  for (size_t step = 1; step <= two.size(); ++step) {
    GrpcMessageCounter counter;
    for (size_t at = 0; at < two.size(); at += step) {
      Body piece;
      piece.Append(two.substr(at, step));
      counter.Inspect(piece);
    }
    EXPECT_EQ(counter.count(), 3u) << step;
  }
  EXPECT_EQ(GrpcMethod::Of("/a.S/M")->method, "M");
  EXPECT_FALSE(GrpcMethod::Of("/a.S/M/x"));
}

TEST(GrpcStatsTest, CallsAndMessagesOfAllMethods) {
  Stats harness("stats_for_all_methods { value: true } emit_filter_state: true");
  AskGrpc(harness);
  harness.Request(false);
  std::string piece = kFrame;
  harness.RequestPiece(&piece, true);
  EXPECT_EQ(harness.state.texts["envoy.filters.http.grpc_stats"], "1,0");
  harness.info().filter_state = &harness.state;
  auto formatter = Formatter::Parse("%FILTER_STATE(envoy.filters.http.grpc_stats)%");
  ASSERT_TRUE(formatter.ok());
  std::string logged;
  (*formatter)->Format(harness.info(), &logged);
  EXPECT_EQ(logged, R"({"requestMessageCount":"1"})");
  harness.response.Add("content-type", "application/grpc");
  harness.ResponseHeaders();
  piece = kFrame;
  harness.ResponseBody(&piece, false);
  Headers trailers(&harness.arena());
  trailers.Add("grpc-status", "5");
  harness.filter->OnResponseTrailers(trailers);
  const std::string prefix = "cluster.c.grpc.a.S.M.";
  EXPECT_EQ(harness.named[prefix + "5"], 1);
  EXPECT_EQ(harness.named[prefix + "failure"], 1);
  EXPECT_EQ(harness.named[prefix + "total"], 1);
  EXPECT_EQ(harness.named[prefix + "request_message_count"], 1);
  EXPECT_EQ(harness.named[prefix + "response_message_count"], 1);
}

TEST(GrpcStatsTest, MethodsThatAreNotListedGoToTheClusters) {
  Stats harness(R"(individual_method_stats_allowlist { services {
      name: "a.S" method_names: "Other" } })");
  AskGrpc(harness);
  harness.Request(true);
  harness.response.Add("grpc-status", "0");
  harness.ResponseHeaders(true);
  EXPECT_EQ(harness.named["cluster.c.grpc.success"], 1);
}

TEST(GrpcWebTest, TextIsDecodedFourByFourAndBadTextRefused) {
  Web harness;
  AskGrpc(harness, "application/grpc-web-text");
  harness.Request(false);
  EXPECT_EQ(harness.Value(harness.request, "content-type"), "application/grpc");
  EXPECT_EQ(harness.Value(harness.request, "te"), "trailers");
  std::string piece = "AAAAAANh";
  harness.RequestPiece(&piece, false);
  EXPECT_EQ(piece, std::string("\0\0\0\0\3a", 6));
  piece = "Ym";
  harness.RequestPiece(&piece, false);
  EXPECT_EQ(piece, "");
  piece = "M=";
  EXPECT_EQ(harness.RequestPiece(&piece, false), Verdict::kContinue);
  EXPECT_EQ(piece, "bc");
  piece = "A";
  EXPECT_EQ(harness.RequestPiece(&piece, true), Verdict::kReplied);
  EXPECT_EQ(harness.reply_details, "grpc_base_64_decode_failed");
}

TEST(GrpcWebTest, TrailersBecomeTheLastFrame) {
  Web harness;
  AskGrpc(harness, "application/grpc-web");
  harness.Request(true);
  harness.response.Add("content-type", "application/grpc");
  harness.ResponseHeaders();
  EXPECT_EQ(harness.Value(harness.response, "content-type"), "application/grpc-web+proto");
  Headers trailers(&harness.arena());
  trailers.Add("grpc-status", "0");
  harness.filter->OnResponseTrailers(trailers);
  EXPECT_EQ(harness.injected_response.ToString(),
            std::string("\x80\0\0\0\x0fgrpc-status:0\r\n", 20));
  EXPECT_EQ(trailers.size(), 0u);
}

TEST(GrpcWebTest, TextFramesAreEncodedWhole) {
  Web harness;
  AskGrpc(harness, "application/grpc-web-text");
  harness.request.Add("accept", "application/grpc-web-text");
  harness.Request(true);
  harness.response.Add("content-type", "application/grpc");
  harness.ResponseHeaders();
  std::string piece = kFrame.substr(0, 6);
  harness.ResponseBody(&piece, false);
  EXPECT_EQ(piece, "");
  piece = kFrame.substr(6);
  harness.ResponseBody(&piece, false);
  EXPECT_EQ(piece, "AAAAAANhYmM=");
}

TEST(GrpcWebTest, AnotherKindOfAnswerIsToldAsAFailure) {
  Web harness;
  AskGrpc(harness, "application/grpc-web");
  harness.Request(true);
  harness.response.set_status(503);
  harness.response.Add("content-type", "text/plain");
  EXPECT_EQ(harness.ResponseHeaders(), Verdict::kBuffer);
  std::string piece = "no luck";
  harness.ResponseBody(&piece, true);
  EXPECT_EQ(piece, "");
  EXPECT_EQ(harness.Value(harness.response, "grpc-status"), "14");
  EXPECT_EQ(harness.Value(harness.response, "grpc-message"), "no luck");
}

TEST(GrpcBridgeTest, TheStatusComesWithTheHeaders) {
  Bridge harness;
  harness.info().protocol = Protocol::kHttp11;
  AskGrpc(harness);
  harness.Request(true);
  EXPECT_EQ(harness.ResponseHeaders(), Verdict::kBuffer);
  std::string piece = "12345";
  EXPECT_EQ(harness.ResponseBody(&piece, false), Verdict::kBuffer);
  Headers trailers(&harness.arena());
  trailers.Add("grpc-status", "7");
  EXPECT_EQ(harness.filter->OnResponseTrailers(trailers), Verdict::kContinue);
  EXPECT_EQ(harness.response.status(), 503);
  EXPECT_EQ(harness.Value(harness.response, "grpc-status"), "7");
  EXPECT_EQ(harness.Value(harness.response, "content-length"), "5");
}

TEST(GrpcBridgeTest, Http2NeedsNoBridge) {
  Bridge harness;
  harness.info().protocol = Protocol::kHttp2;
  AskGrpc(harness);
  harness.Request(true);
  EXPECT_EQ(harness.ResponseHeaders(), Verdict::kContinue);
}

TEST(GrpcBridgeTest, AProtobufMessageIsFramed) {
  Bridge harness("upgrade_protobuf_to_grpc: true ignore_query_parameters: true");
  harness.info().protocol = Protocol::kHttp11;
  AskGrpc(harness, "application/x-protobuf");
  harness.request.set_pseudo(HeaderId::kPath, "/a.S/M?q=1");
  EXPECT_EQ(harness.Request(false), Verdict::kBuffer);
  EXPECT_EQ(harness.request.path(), "/a.S/M");
  std::string piece = "abc";
  EXPECT_EQ(harness.RequestPiece(&piece, true), Verdict::kContinue);
  EXPECT_EQ(piece, kFrame);
}

}  // namespace
}  // namespace remora
