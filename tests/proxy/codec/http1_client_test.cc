#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/codec/http1_support.h"

namespace remora::proxy {
namespace {

using ::testing::HasSubstr;

// A client codec with one exchange on it.
class Http1ClientTest : public ::testing::Test {
 protected:
  CodecStream* Send(std::initializer_list<std::pair<const char*, std::string>> fields, bool end) {
    const TestHeaders headers(fields);
    CodecStream* stream = codec_->NewStream(&sink_);
    stream->SendHeaders(*headers, end);
    return stream;
  }
  std::unique_ptr<CodecError> Receive(absl::string_view wire) {
    input_.Append(wire);
    return codec_->Feed(input_);
  }

  FakeCodecHost host_;
  FakeClientEvents events_;
  FakeSink sink_;
  Body input_;
  Http1Options options_;
  std::unique_ptr<ClientCodec> codec_ = MakeHttp1ClientCodec(&host_, &events_, options_);
};

TEST_F(Http1ClientTest, RequestsAreFramedByWhatTheyAre) {
  struct Case {
    const char* method;
    const char* length;
    bool end;
    const char* want;
  };
  const Case cases[] = {
      {"GET", nullptr, true, "GET /p HTTP/1.1\r\nhost: a\r\n\r\n"},
      {"DELETE", nullptr, true, "DELETE /p HTTP/1.1\r\nhost: a\r\n\r\n"},
      {"POST", nullptr, true, "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
      {"OPTIONS", nullptr, true, "OPTIONS /p HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
      {"POST", "2", false, "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi"},
      {"POST", nullptr, false,
       "POST /p HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"},
  };
  for (const Case& c : cases) {
    FakeCodecHost host;
    FakeClientEvents events;
    auto codec = MakeHttp1ClientCodec(&host, &events, {});
    FakeSink sink;
    TestHeaders headers({{":method", c.method}, {":path", "/p"}, {":authority", "a"}});
    if (c.length != nullptr) headers.get()->Add("content-length", c.length);
    CodecStream* stream = codec->NewStream(&sink);
    stream->SendHeaders(*headers, c.end);
    if (!c.end) {
      Body body = BodyOf("hi");
      stream->SendBody(body, true);
    }
    EXPECT_EQ(host.TakeOutput(), c.want);
  }
}

TEST_F(Http1ClientTest, IsUsedAgainAfterAWholeExchange) {
  CodecStream* stream = Send({{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, true);
  EXPECT_EQ(codec_->NewStream(&sink_), nullptr);
  EXPECT_EQ(codec_->open_streams(), 1u);
  uint64_t header_bytes = 0;
  sink_.on_end = [&] { header_bytes = stream->wire_bytes().header_received; };
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), nullptr);
  EXPECT_EQ(header_bytes, 18u);  // name, value, and three for what separates them
  EXPECT_EQ(sink_.body, "hi");
  EXPECT_EQ(events_.closed, 1);
  EXPECT_TRUE(codec_->can_reuse());
  EXPECT_TRUE(host_.idle);
  FakeSink second;
  EXPECT_NE(codec_->NewStream(&second), nullptr);
}

TEST_F(Http1ClientTest, MayBeUsedAgainFromInsideTheLastEvent) {
  FakeSink second;
  CodecStream* next = nullptr;
  sink_.on_end = [&] {
    next = codec_->NewStream(&second);
    ASSERT_NE(next, nullptr);
    const TestHeaders headers({{":method", "GET"}, {":path", "/2"}, {":authority", "a"}});
    next->SendHeaders(*headers, true);
  };
  Send({{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, true);
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), nullptr);
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"), nullptr);
  EXPECT_EQ(second.body, "two");
  EXPECT_THAT(host_.TakeOutput(), HasSubstr("GET /2 HTTP/1.1"));
}

TEST_F(Http1ClientTest, BytesBehindTheResponseSpendTheConnection) {
  Send({{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, true);
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n"),
            nullptr);
  EXPECT_EQ(sink_.body, "hi");
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_FALSE(codec_->can_reuse());
  EXPECT_TRUE(codec_->wants_close());
}

TEST_F(Http1ClientTest, HeadAnd304HaveNoBody) {
  Send({{":method", "HEAD"}, {":path", "/"}, {":authority", "a"}}, true);
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"), nullptr);
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_TRUE(codec_->can_reuse());
  FakeSink second;
  const TestHeaders get({{":method", "GET"}, {":path", "/"}, {":authority", "a"}});
  codec_->NewStream(&second)->SendHeaders(*get, true);
  ASSERT_EQ(Receive("HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\nsurplus"), nullptr);
  EXPECT_EQ(second.ends, 1);
  EXPECT_FALSE(codec_->can_reuse());
}

TEST_F(Http1ClientTest, BytesOnAnIdleConnectionAreAnError) {
  EXPECT_NE(Receive("HTTP/1.1 408 Request Timeout\r\n\r\n"), nullptr);
  EXPECT_FALSE(codec_->can_reuse());
}

TEST_F(Http1ClientTest, AnAnswerBeforeTheRequestIsAnError) {
  codec_->NewStream(&sink_);
  EXPECT_NE(Receive("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), nullptr);
  EXPECT_EQ(sink_.resets, 1);
}

TEST_F(Http1ClientTest, OnlyAnOrderlyCloseEndsABodyWithoutLength) {
  Send({{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, true);
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\n\r\nsome"), nullptr);
  EXPECT_EQ(sink_.body, "some");
  EXPECT_EQ(sink_.ends, 0);
  codec_->OnEof();
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_EQ(events_.closed, 1);
  EXPECT_FALSE(codec_->can_reuse());

  FakeCodecHost host;
  auto other = MakeHttp1ClientCodec(&host, &events_, options_);
  FakeSink cut;
  const TestHeaders get({{":method", "GET"}, {":path", "/"}, {":authority", "a"}});
  other->NewStream(&cut)->SendHeaders(*get, true);
  Body input = BodyOf("HTTP/1.1 200 OK\r\n\r\nsome");
  ASSERT_EQ(other->Feed(input), nullptr);
  other->OnConnectionClosed("reset");
  EXPECT_EQ(cut.ends, 0);
  EXPECT_EQ(cut.reason, ResetReason::kConnectionClosed);
}

TEST_F(Http1ClientTest, EofWithinALengthIsAReset) {
  Send({{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, true);
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome"), nullptr);
  codec_->OnEof();
  EXPECT_EQ(sink_.ends, 0);
  EXPECT_EQ(sink_.resets, 1);
}

TEST_F(Http1ClientTest, AnEarlyAnswerSpendsTheConnection) {
  CodecStream* stream = Send({{":method", "POST"}, {":path", "/"}, {":authority", "a"}}, false);
  ASSERT_EQ(Receive("HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n"), nullptr);
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_FALSE(codec_->can_reuse());
  EXPECT_EQ(codec_->open_streams(), 1u);
  stream->Reset(ResetReason::kLocalReset);
  EXPECT_EQ(sink_.resets, 0);
  EXPECT_TRUE(codec_->wants_close());
}

TEST_F(Http1ClientTest, InterimResponsesAndKeepAliveRules) {
  Send({{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, true);
  ASSERT_EQ(Receive("HTTP/1.1 103 Early Hints\r\nLink: l\r\n\r\nHTTP/1.1 200 OK\r\n"
                    "Connection: close\r\nContent-Length: 0\r\n\r\n"),
            nullptr);
  EXPECT_EQ(sink_.interims, 1);
  EXPECT_EQ(sink_.last_interim, ":status: 103\nlink: l\n");
  EXPECT_EQ(sink_.headers_text, ":status: 200\ncontent-length: 0\n");
  EXPECT_FALSE(codec_->can_reuse());
  EXPECT_FALSE(RunClient("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Whole()).can_reuse);
  EXPECT_TRUE(
      RunClient("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", Whole())
          .can_reuse);
}

TEST_F(Http1ClientTest, UpgradeIsATunnelOnlyAfter101) {
  CodecStream* stream = Send({{":method", "GET"},
                              {":path", "/"},
                              {":authority", "a"},
                              {"connection", "Upgrade"},
                              {"upgrade", "websocket"},
                              {"content-length", "0"}},
                             false);
  EXPECT_EQ(host_.TakeOutput(),
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
            "content-length: 0\r\n\r\n");
  Body frames = BodyOf("frames");
  stream->SendBody(frames, false);
  EXPECT_EQ(host_.TakeOutput(), "");
  EXPECT_GE(stream->unsent_bytes(), 6u);
  ASSERT_EQ(Receive("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nback"),
            nullptr);
  EXPECT_EQ(host_.TakeOutput(), "frames");
  EXPECT_THAT(sink_.headers_text, HasSubstr("upgrade: websocket"));
  EXPECT_EQ(sink_.body, "back");
  codec_->OnEof();
  EXPECT_EQ(sink_.ends, 1);
  Body none;
  stream->SendBody(none, true);
  EXPECT_EQ(events_.closed, 1);
  EXPECT_FALSE(codec_->can_reuse());
}

TEST_F(Http1ClientTest, TrailersBothWays) {
  options_.enable_trailers = true;
  codec_ = MakeHttp1ClientCodec(&host_, &events_, options_);
  CodecStream* stream = Send({{":method", "POST"}, {":path", "/"}, {":authority", "a"}}, false);
  const TestHeaders trailers({{"x-t", "v"}});
  stream->SendTrailers(*trailers);
  EXPECT_THAT(host_.TakeOutput(), HasSubstr("\r\n\r\n0\r\nx-t: v\r\n\r\n"));
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
                    "X-U: w\r\nHost: x\r\n\r\n"),
            nullptr);
  EXPECT_EQ(sink_.trailers_text, "x-u: w\n");
  EXPECT_TRUE(codec_->can_reuse());
}

TEST_F(Http1ClientTest, ATargetIsNeverWrittenWithBlanks) {
  Send({{":method", "GET"}, {":path", "/a b\r\nx: y"}, {":authority", "a"}}, true);
  EXPECT_EQ(host_.TakeOutput(), "GET /a%20b%0D%0Ax:%20y HTTP/1.1\r\nhost: a\r\n\r\n");
}

TEST_F(Http1ClientTest, PausedReadingLeavesTheInput) {
  CodecStream* stream = Send({{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, true);
  sink_.on_headers = [&](bool) { stream->PauseReading(); };
  ASSERT_EQ(Receive("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"), nullptr);
  EXPECT_EQ(input_.size(), 4u);
  stream->ResumeReading();
  EXPECT_TRUE(host_.feed_wanted);
  ASSERT_EQ(Receive(""), nullptr);
  EXPECT_EQ(sink_.ends, 1);
}

}  // namespace
}  // namespace remora::proxy
