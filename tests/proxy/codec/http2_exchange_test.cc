// Both HTTP/2 codecs joined in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/codec/http2_frames.h"
#include "tests/support/codec_fakes.h"

namespace remora::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Http2ExchangeTest : public ::testing::Test {
 protected:
  void Join(const Http2Options& server_options = {}, const Http2Options& client_options = {}) {
    server_ = MakeHttp2ServerCodec(&server_host_, &server_events_, server_options);
    client_ = MakeHttp2ClientCodec(&client_host_, &client_events_, client_options);
    Run();
  }

  // Carries bytes both ways until nothing moves.
  void Run() {
    for (bool moved = true; moved;) {
      moved =
          Move(client_host_, *server_, server_host_) | Move(server_host_, *client_, client_host_);
    }
  }

  FakeSink& served(size_t i) { return *server_events_.sinks.at(i); }

  FakeCodecHost server_host_, client_host_;
  FakeServerEvents server_events_;
  FakeClientEvents client_events_;
  std::unique_ptr<ServerCodec> server_;
  std::unique_ptr<ClientCodec> client_;
  FakeSink sink_;
  const TestHeaders get_{
      {":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/p"}};
  const TestHeaders post_{
      {":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/p"}};
  const TestHeaders ok_{{":status", "200"}, {"x-a", "b"}};

 private:
  bool Move(FakeCodecHost& from, Codec& to, FakeCodecHost& to_host) {
    const bool feed = std::exchange(to_host.feed_wanted, false);
    if (from.output().empty() && !feed) return false;
    Body bytes;
    bytes.Append(from.output());
    EXPECT_EQ(to.Feed(bytes), nullptr);
    return true;
  }
};

TEST_F(Http2ExchangeTest, RequestAndResponse) {
  Join();
  CodecStream* stream = client_->NewStream(&sink_);
  const TestHeaders get({{":method", "GET"},
                         {":scheme", "https"},
                         {":authority", "a"},
                         {":path", "/p?q"},
                         {"x-a", "1"},
                         {"connection", "keep-alive"},
                         {"transfer-encoding", "chunked"},
                         {"te", "gzip"},
                         {"cookie", "a=b; c=d"}});
  stream->SendHeaders(*get, true);
  Run();
  ASSERT_EQ(server_events_.sinks.size(), 1u);
  EXPECT_EQ(served(0).headers_text,
            ":method: GET\n:scheme: https\n:authority: a\n:path: /p?q\nx-a: 1\ncookie: a=b; c=d\n");
  EXPECT_EQ(served(0).ends, 1);
  EXPECT_FALSE(server_host_.idle);
  served(0).stream->SendHeaders(*ok_, false);
  Body body = BodyOf("hello");
  served(0).stream->SendBody(body, true);
  Run();
  EXPECT_EQ(sink_.headers_text, ":status: 200\nx-a: b\n");
  EXPECT_EQ(sink_.body, "hello");
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_EQ(sink_.resets, 0);
  EXPECT_EQ(client_events_.closed, 1);
  EXPECT_EQ(client_->open_streams(), 0u);
  EXPECT_EQ(server_->open_streams(), 0u);
  EXPECT_TRUE(server_host_.idle);
  EXPECT_TRUE(client_->can_reuse());
}

TEST_F(Http2ExchangeTest, BodiesAndTrailersBothWays) {
  Join();
  CodecStream* stream = client_->NewStream(&sink_);
  stream->SendHeaders(*post_, false);
  Body first = BodyOf("one ");
  stream->SendBody(first, false);
  Body second = BodyOf("two");
  stream->SendBody(second, false);
  const TestHeaders trailers({{"x-t", "v"}, {"host", "evil"}});
  stream->SendTrailers(*trailers);
  Run();
  EXPECT_EQ(served(0).body, "one two");
  EXPECT_EQ(served(0).trailers_text, "x-t: v\n");
  served(0).stream->SendHeaders(*ok_, false);
  const TestHeaders grpc({{"grpc-status", "0"}});
  served(0).stream->SendTrailers(*grpc);
  Run();
  EXPECT_EQ(sink_.trailers_text, "grpc-status: 0\n");
  EXPECT_EQ(sink_.body, "");
  EXPECT_EQ(sink_.ends, 1);
}

TEST_F(Http2ExchangeTest, TrailersWaitBehindABlockedBody) {
  Http2Options small;
  small.initial_stream_window = 65535;
  small.initial_connection_window = 65535;
  small.buffer_limit = 100000;
  Join({}, small);
  CodecStream* stream = client_->NewStream(&sink_);
  stream->SendHeaders(*get_, true);
  Run();
  stream->PauseReading();
  served(0).stream->SendHeaders(*ok_, false);
  Body big = BodyOf(std::string(300000, 'x'));
  served(0).stream->SendBody(big, false);
  {
    const TestHeaders trailers({{"x-t", "v"}});
    served(0).stream->SendTrailers(*trailers);
  }
  Run();
  EXPECT_EQ(sink_.body, "");
  stream->ResumeReading();
  Run();
  EXPECT_EQ(sink_.body.size(), 300000u);
  EXPECT_EQ(sink_.trailers_text, "x-t: v\n");
  EXPECT_EQ(server_->open_streams(), 0u);
}

TEST_F(Http2ExchangeTest, ASlowReaderBlocksTheSender) {
  Http2Options small;
  small.initial_stream_window = 65535;
  small.buffer_limit = 100000;
  Join(small, small);
  CodecStream* stream = client_->NewStream(&sink_);
  stream->SendHeaders(*get_, true);
  Run();
  stream->PauseReading();
  FakeSink& server = served(0);
  server.stream->SendHeaders(*ok_, false);
  size_t sent = 0;
  while (server.blocked == 0 && sent < 10000000) {
    Body part = BodyOf(std::string(10000, 'y'));
    server.stream->SendBody(part, false);
    sent += 10000;
    Run();
  }
  // The window, and what the sender may buffer, and no more.
  EXPECT_LE(sent, 65535u + 100000u + 10000u);
  EXPECT_EQ(sink_.body, "");
  EXPECT_EQ(server.stream->unsent_bytes(), sent - 65535);
  stream->ResumeReading();
  Run();
  EXPECT_EQ(server.drained, 1);
  EXPECT_EQ(sink_.body.size(), sent);
  Body none;
  server.stream->SendBody(none, true);
  Run();
  EXPECT_EQ(sink_.ends, 1);
}

TEST_F(Http2ExchangeTest, ManyLargeBodiesArriveWhole) {
  Join();
  std::deque<FakeSink> sinks(20);
  for (size_t i = 0; i < sinks.size(); ++i) {
    client_->NewStream(&sinks[i])->SendHeaders(*get_, true);
  }
  Run();
  for (int round = 0; round < 30; ++round) {
    for (size_t i = 0; i < sinks.size(); ++i) {
      if (round == 0) served(i).stream->SendHeaders(*ok_, false);
      Body part = BodyOf(std::string(40000 + i, static_cast<char>('a' + i)));
      served(i).stream->SendBody(part, round == 29);
    }
    Run();
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_EQ(sinks[i].body, std::string((40000 + i) * 30, static_cast<char>('a' + i)));
    EXPECT_EQ(sinks[i].ends, 1);
  }
}

TEST_F(Http2ExchangeTest, ResetsCarryTheirReasons) {
  struct Case {
    ResetReason sent;
    ResetReason got;
  };
  for (const Case c : {Case{ResetReason::kLocalReset, ResetReason::kRemoteReset},
                       Case{ResetReason::kRemoteRefused, ResetReason::kRemoteRefused},
                       Case{ResetReason::kConnectError, ResetReason::kConnectError}}) {
    FakeSink sink;
    server_events_.sinks.clear();
    Join();
    client_->NewStream(&sink)->SendHeaders(*get_, false);
    Run();
    served(0).stream->Reset(c.sent);
    Run();
    EXPECT_EQ(sink.resets, 1);
    EXPECT_EQ(sink.reason, c.got);
    EXPECT_EQ(client_->open_streams(), 0u);
    EXPECT_EQ(server_->open_streams(), 0u);
  }
}

TEST_F(Http2ExchangeTest, ACancelledRequestReachesTheServer) {
  Join();
  CodecStream* stream = client_->NewStream(&sink_);
  stream->SendHeaders(*post_, false);
  Run();
  stream->Reset(ResetReason::kLocalReset);
  Run();
  EXPECT_EQ(sink_.resets, 0);
  EXPECT_EQ(served(0).resets, 1);
  EXPECT_EQ(served(0).reason, ResetReason::kRemoteReset);
  EXPECT_EQ(served(0).details, "http2.remote_reset");
}

TEST_F(Http2ExchangeTest, AnAnswerBeforeTheRequestEnded) {
  Join();
  CodecStream* stream = client_->NewStream(&sink_);
  stream->SendHeaders(*post_, false);
  Run();
  FakeSink& server = served(0);
  CodecStream* served_stream = server.stream;
  server.on_drained = [&] {
    EXPECT_EQ(served_stream->unsent_bytes(), 0u);
    served_stream->Reset(ResetReason::kLocalReset);
  };
  served_stream->SendHeaders(*ok_, false);
  Body body = BodyOf("early");
  served_stream->SendBody(body, true);
  EXPECT_EQ(server.drained, 1);
  EXPECT_THAT(FrameNames(server_host_.output().ToString()),
              "HEADERS 1, DATA 1 END, RST_STREAM 1 0");
  Run();
  EXPECT_EQ(sink_.body, "early");
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_EQ(sink_.resets, 0);
  // The request's sender has not ended and must still hold something alive.
  Body rest = BodyOf("rest");
  stream->SendBody(rest, true);
  Run();
  EXPECT_EQ(server.resets, 0);
}

TEST_F(Http2ExchangeTest, InterimResponses) {
  Join();
  client_->NewStream(&sink_)->SendHeaders(*get_, true);
  Run();
  const TestHeaders hints({{":status", "103"}, {"link", "l"}});
  served(0).stream->SendInterim(*hints);
  served(0).stream->SendHeaders(*ok_, true);
  Run();
  EXPECT_EQ(sink_.interims, 1);
  EXPECT_EQ(sink_.last_interim, ":status: 103\nlink: l\n");
  EXPECT_EQ(sink_.ends, 1);
}

TEST_F(Http2ExchangeTest, GoAwayInTwoSteps) {
  Join();
  client_->NewStream(&sink_)->SendHeaders(*get_, true);
  Run();
  server_->Shutdown(/*final=*/false);
  Run();
  EXPECT_EQ(client_events_.goaways, 1);
  EXPECT_FALSE(client_->can_reuse());
  EXPECT_EQ(client_->NewStream(&sink_), nullptr);
  EXPECT_EQ(sink_.resets, 0);
  server_->Shutdown(/*final=*/true);
  Run();
  EXPECT_FALSE(server_->wants_close());
  served(0).stream->SendHeaders(*ok_, true);
  Run();
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_TRUE(server_->wants_close());
  EXPECT_TRUE(client_->wants_close());
}

TEST_F(Http2ExchangeTest, TheServersStreamLimitHolds) {
  Http2Options few;
  few.max_concurrent_streams = 2;
  Join(few);
  EXPECT_EQ(client_events_.most, 2u);
  FakeSink second, third;
  client_->NewStream(&sink_)->SendHeaders(*get_, true);
  client_->NewStream(&second)->SendHeaders(*get_, true);
  EXPECT_EQ(client_->NewStream(&third), nullptr);
  Run();
  served(0).stream->SendHeaders(*ok_, true);
  Run();
  EXPECT_NE(client_->NewStream(&third), nullptr);
}

TEST_F(Http2ExchangeTest, RefusedByTheOwner) {
  Join();
  server_events_.refuse = true;
  client_->NewStream(&sink_)->SendHeaders(*get_, true);
  Run();
  EXPECT_EQ(sink_.reason, ResetReason::kRemoteRefused);
}

TEST_F(Http2ExchangeTest, PingsAreAnswered) {
  Join();
  client_->SendPing();
  server_->SendPing();
  Run();
  EXPECT_EQ(client_events_.pings, 1);
  EXPECT_EQ(server_events_.pings, 1);
}

TEST_F(Http2ExchangeTest, AnUpgradeBecomesAnExtendedConnect) {
  Http2Options connect;
  connect.allow_connect = true;
  Join(connect);
  const TestHeaders upgrade({{":method", "GET"},
                             {":scheme", "http"},
                             {":authority", "a"},
                             {":path", "/ws"},
                             {"connection", "Upgrade"},
                             {"upgrade", "WebSocket"},
                             {"content-length", "0"}});
  CodecStream* stream = client_->NewStream(&sink_);
  stream->SendHeaders(*upgrade, false);
  Run();
  EXPECT_EQ(served(0).headers_text,
            ":method: CONNECT\n:scheme: http\n:authority: a\n:path: /ws\n:protocol: websocket\n");
  served(0).stream->SendHeaders(*ok_, false);
  Body frames = BodyOf("frames");
  stream->SendBody(frames, false);
  Run();
  EXPECT_EQ(served(0).body, "frames");
}

TEST_F(Http2ExchangeTest, ABlockedOutputHoldsFramesBack) {
  Join();
  client_->NewStream(&sink_)->SendHeaders(*get_, true);
  Run();
  server_->OnOutputBlocked();
  {
    const TestHeaders gone({{":status", "200"}, {"x-short-lived", "text"}});
    served(0).stream->SendHeaders(*gone, false);
  }
  Body body = BodyOf("later");
  served(0).stream->SendBody(body, true);
  EXPECT_TRUE(server_host_.output().empty());
  server_->OnOutputDrained();
  Run();
  EXPECT_THAT(sink_.headers_text, HasSubstr("x-short-lived: text"));
  EXPECT_EQ(sink_.body, "later");
}

TEST_F(Http2ExchangeTest, TheConnectionEndsUnderItsStreams) {
  Join();
  FakeSink second;
  client_->NewStream(&sink_)->SendHeaders(*get_, true);
  client_->NewStream(&second)->SendHeaders(*get_, true);
  Run();
  client_->OnConnectionClosed("gone");
  server_->OnConnectionClosed("gone");
  EXPECT_EQ(sink_.reason, ResetReason::kConnectionClosed);
  EXPECT_EQ(second.resets, 1);
  EXPECT_EQ(served(0).resets, 1);
  EXPECT_EQ(client_->open_streams(), 0u);
  EXPECT_TRUE(client_->wants_close());
}

TEST_F(Http2ExchangeTest, AWholeResponseSurvivesTheCloseInSpiteOfAPause) {
  Join();
  CodecStream* stream = client_->NewStream(&sink_);
  stream->SendHeaders(*get_, true);
  Run();
  stream->PauseReading();
  served(0).stream->SendHeaders(*ok_, false);
  Body body = BodyOf("whole");
  served(0).stream->SendBody(body, true);
  Run();
  EXPECT_EQ(sink_.body, "");
  client_->OnConnectionClosed("");
  EXPECT_EQ(sink_.body, "whole");
  EXPECT_EQ(sink_.ends, 1);
  EXPECT_EQ(sink_.resets, 0);
}

TEST_F(Http2ExchangeTest, SendersMayActFromInsideEvents) {
  server_events_.on_new = [this](FakeSink& sink) {
    sink.on_end = [this, &sink] {
      const TestHeaders echo({{":status", "200"}, {"x-path", std::string(sink.headers->path())}});
      sink.stream->SendHeaders(*echo, false);
      Body body = BodyOf(sink.body);
      sink.stream->SendBody(body, true);
    };
  };
  Join();
  std::deque<FakeSink> sinks(5);
  for (size_t i = 0; i + 1 < sinks.size(); ++i) {
    sinks[i].on_end = [&, i] { client_->NewStream(&sinks[i + 1])->SendHeaders(*get_, true); };
  }
  client_->NewStream(&sinks[0])->SendHeaders(*get_, true);
  Run();
  for (FakeSink& sink : sinks) {
    EXPECT_THAT(sink.headers_text, HasSubstr("x-path: /p"));
    EXPECT_EQ(sink.ends, 1);
  }
}

TEST_F(Http2ExchangeTest, WireBytesAreCounted) {
  Join();
  CodecStream* stream = client_->NewStream(&sink_);
  CodecStream::WireBytes bytes;
  sink_.on_end = [&] { bytes = stream->wire_bytes(); };
  stream->SendHeaders(*get_, true);
  Run();
  served(0).stream->SendHeaders(*ok_, false);
  Body body = BodyOf(std::string(1000, 'x'));
  served(0).stream->SendBody(body, true);
  Run();
  EXPECT_GT(bytes.sent, 9u);
  EXPECT_GT(bytes.header_sent, 9u);
  EXPECT_GT(bytes.fields_sent, 20u);
  EXPECT_GE(bytes.received, 1000u + 2 * 9);
  EXPECT_GT(bytes.header_received, 10u);
}

}  // namespace
}  // namespace remora::proxy
