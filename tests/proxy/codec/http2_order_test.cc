#include "proxy/codec/http2_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/codec/http2_frames.h"
#include "tests/support/codec_fakes.h"

namespace remora::proxy {
namespace {

constexpr uint32_t kProtocol = 1;
constexpr uint32_t kStreamClosed = 5;

class Http2OrderTest : public ::testing::Test {
 protected:
  Http2OrderTest() : server_(MakeHttp2ServerCodec(&host_, &events_, {})) {
    EXPECT_TRUE(Feed(ClientHello()));
    host_.TakeOutput();
  }

  // False once the codec has reported an error.
  bool Feed(absl::string_view wire) {
    Body input = BodyOf(wire);
    return server_->Feed(input) == nullptr;
  }

  // A request that is answered at once, so that its stream is over on both sides.
  void Exchange(uint32_t stream) {
    ASSERT_TRUE(Feed(HeadersFrame(stream, RequestFields(), true)));
    Arena arena;
    Headers response(&arena);
    response.set_status(200);
    events_.sinks.back()->stream->SendHeaders(response, true);
    host_.TakeOutput();
  }

  std::vector<uint32_t> GoAwayCodes() {
    std::vector<uint32_t> codes;
    for (const ReadFrame& frame : ReadFrames(host_.TakeOutput())) {
      if (frame.type == kGoAway) codes.push_back(frame.code());
    }
    return codes;
  }

  FakeCodecHost host_;
  FakeServerEvents events_;
  std::unique_ptr<ServerCodec> server_;
};

TEST_F(Http2OrderTest, DataAfterTheEndIsAConnectionError) {
  Exchange(1);
  EXPECT_FALSE(Feed(Frame(kData, kEndStream, 1, "late")));
  EXPECT_THAT(GoAwayCodes(), ::testing::ElementsAre(kStreamClosed));
}

TEST_F(Http2OrderTest, HeadersAfterTheEndAreAConnectionError) {
  Exchange(1);
  EXPECT_FALSE(Feed(HeadersFrame(1, RequestFields(), true)));
  EXPECT_THAT(GoAwayCodes(), ::testing::ElementsAre(kStreamClosed));
}

TEST_F(Http2OrderTest, FramesAfterTheClientsOwnResetAreAConnectionError) {
  ASSERT_TRUE(
      Feed(HeadersFrame(1, RequestFields(), false) + Frame(kRstStream, 0, 1, Number(8, 4))));
  EXPECT_FALSE(Feed(Frame(kData, 0, 1, "late")));
  EXPECT_THAT(GoAwayCodes(), ::testing::ElementsAre(kStreamClosed));
}

TEST_F(Http2OrderTest, FramesOnTheirWayWhenThisSideResetArePassed) {
  ASSERT_TRUE(Feed(HeadersFrame(1, RequestFields(), false)));
  events_.sinks.back()->stream->Reset(ResetReason::kLocalReset);
  EXPECT_TRUE(Feed(Frame(kData, kEndStream, 1, "on its way")));
  EXPECT_TRUE(Feed(HeadersFrame(3, RequestFields("/next"), true)));
  EXPECT_EQ(events_.sinks.size(), 2);
}

TEST_F(Http2OrderTest, AStreamThatWasPassedOverCannotBeOpened) {
  Exchange(5);
  EXPECT_FALSE(Feed(HeadersFrame(3, RequestFields(), true)));
  EXPECT_THAT(GoAwayCodes(), ::testing::ElementsAre(kProtocol));
}

TEST_F(Http2OrderTest, WhatCameBeforeTheFaultIsServed) {
  EXPECT_FALSE(Feed(HeadersFrame(1, RequestFields(), true) + Frame(kData, 0, 1, "late")));
  EXPECT_EQ(events_.sinks.size(), 1);
  EXPECT_EQ(events_.sinks.back()->header_events, 1);
}

TEST_F(Http2OrderTest, PriorityNeedsAStream) {
  EXPECT_FALSE(Feed(Frame(kPriority, 0, 0, Number(3, 4) + "\x10")));
  EXPECT_THAT(GoAwayCodes(), ::testing::ElementsAre(kProtocol));
}

TEST_F(Http2OrderTest, AStreamThatDependsOnItselfIsRefusedHoweverTheBytesAreCut) {
  const std::string frame = Frame(kPriority, 0, 3, Number(3, 4) + "\x10");
  const std::string before = ClientHello() + Frame(kData, 0, 3, "12345678901234567890");
  for (size_t cut = 0; cut <= frame.size(); ++cut) {
    Http2OrderGuard guard;
    EXPECT_EQ(guard.Take(before), before.size());
    guard.Take(frame.substr(0, cut));
    if (guard.code() == 0) guard.Take(frame.substr(cut));
    EXPECT_EQ(guard.code(), kProtocol) << cut;
  }
  EXPECT_FALSE(Feed(frame));
  EXPECT_THAT(GoAwayCodes(), ::testing::ElementsAre(kProtocol));
}

TEST_F(Http2OrderTest, PrioritiesOfOtherStreamsPass) {
  EXPECT_TRUE(Feed(Frame(kPriority, 0, 5, Number(3, 4) + "\x10")));
  EXPECT_TRUE(Feed(HeadersFrame(7, RequestFields(), true)));
  EXPECT_EQ(events_.sinks.size(), 1);
}

TEST_F(Http2OrderTest, AClientThatSaidGoodbyeIsLeftOnceItsStreamsAreOver) {
  ASSERT_TRUE(Feed(HeadersFrame(1, RequestFields(), true) + Frame(kGoAway, 0, 0, Number(0, 8))));
  EXPECT_FALSE(server_->wants_close());
  events_.sinks.back()->stream->Reset(ResetReason::kLocalReset);
  EXPECT_TRUE(server_->wants_close());
}

}  // namespace
}  // namespace remora::proxy
