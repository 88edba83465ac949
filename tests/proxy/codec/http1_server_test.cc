#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/codec/http1_support.h"

namespace remora::proxy {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::string_view kOkHead = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n";

TEST(Http1Server, ShowsARequestWithoutFraming) {
  const ServerRun run =
      RunServer(Crlf("GET /a?b=c HTTP/1.1\nHost: Example.com\nAccept:  text/html \nX-Odd_Name: 1\n"
                     "Connection: keep-alive\nTE: gzip, trailers\nKeep-Alive: 5\n\n"),
                Whole());
  ASSERT_EQ(run.exchanges.size(), 1u);
  EXPECT_EQ(run.exchanges[0],
            "headers(:method: GET\n:authority: Example.com\n:path: /a?b=c\naccept: text/html\n"
            "x-odd_name: 1\nte: trailers\n) interims=0 body() trailers() ends=1 resets=0 ");
  EXPECT_EQ(run.output, absl::StrCat(std::string(kOkHead), "\r\nok"));
  EXPECT_EQ(run.error, "");
  EXPECT_FALSE(run.wants_close);
}

TEST(Http1Server, ReadsBodiesByLengthAndByChunks) {
  const ServerRun run =
      RunServer(Crlf("POST /1 HTTP/1.1\nHost: a\nContent-Length: 5\n\n") + "hello" +
                    Crlf("POST /2 HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\n\n3;x=y\nabc\n10\n"
                         "0123456789abcdef\n0\n\n") +
                    Crlf("GET /3 HTTP/1.1\nHost: a\n\n"),
                Whole());
  ASSERT_EQ(run.exchanges.size(), 3u);
  EXPECT_THAT(run.exchanges[0], HasSubstr("body(hello) trailers() ends=1"));
  EXPECT_THAT(run.exchanges[0], HasSubstr("content-length: 5"));
  EXPECT_THAT(run.exchanges[1], HasSubstr("body(abc0123456789abcdef) trailers() ends=1"));
  EXPECT_THAT(run.exchanges[1], Not(HasSubstr("transfer-encoding")));
  EXPECT_THAT(run.exchanges[2], HasSubstr(":path: /3"));
}

TEST(Http1Server, TrailersAreShownOnlyWhenEnabledAndNeverTheForbiddenOnes) {
  const std::string wire = Crlf(
      "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n1\nx\n0\nX-T: v\nHost: evil\n"
      "Content-Length: 3\nTransfer_Encoding: chunked\nX-Forwarded-For: 1.1.1.1\n"
      "x-forwarded_proto: https\nx-envoy-internal: true\nAuthorization: root\nCookie: a=b\n"
      "grpc-status: 0\n\n");
  Http1Options options;
  EXPECT_THAT(RunServer(wire, Whole(), options).exchanges.at(0),
              HasSubstr("body(x) trailers() ends=1"));
  options.enable_trailers = true;
  EXPECT_THAT(RunServer(wire, Whole(), options).exchanges.at(0),
              HasSubstr("body(x) trailers(x-t: v\ngrpc-status: 0\n) ends=1"));
}

TEST(Http1Server, PipelinedRequestsWaitForTheirAnswers) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf(Crlf("GET /1 HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\nHost: a\n\n"));
  ASSERT_EQ(codec->Feed(input), nullptr);
  ASSERT_EQ(events.sinks.size(), 1u);
  EXPECT_FALSE(input.empty());
  EXPECT_FALSE(host.idle);
  EXPECT_FALSE(host.feed_wanted);
  AnswerOk(*events.sinks[0]);
  EXPECT_TRUE(host.feed_wanted);
  ASSERT_EQ(codec->Feed(input), nullptr);
  ASSERT_EQ(events.sinks.size(), 2u);
  EXPECT_THAT(events.sinks[1]->headers_text, HasSubstr(":path: /2"));
  EXPECT_TRUE(input.empty());
}

TEST(Http1Server, PausedReadingLeavesTheInput) {
  FakeCodecHost host;
  FakeServerEvents events;
  events.on_new = [](FakeSink& sink) {
    sink.on_headers = [&sink](bool) { sink.stream->PauseReading(); };
  };
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf(Crlf("POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\n") + "body");
  ASSERT_EQ(codec->Feed(input), nullptr);
  EXPECT_EQ(input.size(), 4u);
  EXPECT_EQ(events.sinks[0]->body, "");
  events.sinks[0]->stream->ResumeReading();
  EXPECT_TRUE(host.feed_wanted);
  ASSERT_EQ(codec->Feed(input), nullptr);
  EXPECT_EQ(events.sinks[0]->body, "body");
}

TEST(Http1Server, CloseAndHttp10) {
  const ServerRun close =
      RunServer(Crlf("GET / HTTP/1.1\nHost: a\nConnection: close\n\nGET /2 HTTP/1.1\n"), Whole());
  EXPECT_EQ(close.exchanges.size(), 1u);
  EXPECT_THAT(close.output, HasSubstr("connection: close\r\n"));
  EXPECT_TRUE(close.wants_close);
  EXPECT_EQ(close.left, 0u);

  const std::string old = Crlf("GET / HTTP/1.0\nHost: a\n\n");
  const ServerRun refused = RunServer(old, Whole());
  EXPECT_EQ(refused.error, "low_version 426");
  Http1Options options;
  options.accept_http_10 = true;
  const ServerRun accepted = RunServer(old, Whole(), options);
  EXPECT_THAT(accepted.output, HasSubstr("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(accepted.output, HasSubstr("connection: close\r\n"));
  EXPECT_TRUE(accepted.wants_close);
  const ServerRun kept =
      RunServer(Crlf("GET / HTTP/1.0\nHost: a\nConnection: Keep-Alive\n\n"), Whole(), options);
  EXPECT_THAT(kept.output, HasSubstr("connection: keep-alive\r\n"));
  EXPECT_FALSE(kept.wants_close);
}

TEST(Http1Server, Http10WithoutHostGetsTheDefault) {
  Http1Options options;
  options.accept_http_10 = true;
  options.default_host_for_http_10 = "ten.example";
  EXPECT_THAT(RunServer(Crlf("GET / HTTP/1.0\n\n"), Whole(), options).exchanges.at(0),
              HasSubstr(":authority: ten.example\n"));
}

TEST(Http1Server, ResponsesAreFramedByWhatTheyAre) {
  struct Case {
    const char* request;
    const char* status;
    const char* length;
    bool end;
    const char* body;
    const char* want;
  };
  const Case cases[] = {
      {"GET", "200", nullptr, true, "", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
      {"GET", "200", nullptr, false, "abc",
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
      {"GET", "200", "3", false, "abc", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"},
      // Never more than was said.
      {"GET", "200", "3", false, "abcdef", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"},
      {"HEAD", "200", "3", true, "", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"},
      {"HEAD", "200", nullptr, false, "abc",
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"},
      {"GET", "204", nullptr, true, "", "HTTP/1.1 204 No Content\r\n\r\n"},
      {"GET", "204", "0", true, "", "HTTP/1.1 204 No Content\r\n\r\n"},
      {"GET", "304", "10", true, "", "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n"},
      {"GET", "304", nullptr, true, "", "HTTP/1.1 304 Not Modified\r\n\r\n"},
      {"GET", "299", nullptr, true, "", "HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n"},
  };
  for (const Case& c : cases) {
    FakeCodecHost host;
    FakeServerEvents events;
    auto codec = MakeHttp1ServerCodec(&host, &events, {});
    Body input = BodyOf(absl::StrCat(c.request, " / HTTP/1.1\r\nHost: a\r\n\r\n"));
    ASSERT_EQ(codec->Feed(input), nullptr);
    TestHeaders response({{":status", c.status}});
    if (c.length != nullptr) response.get()->Add("content-length", c.length);
    CodecStream* stream = events.sinks.at(0)->stream;
    stream->SendHeaders(*response, c.end);
    if (!c.end) {
      Body body = BodyOf(c.body);
      stream->SendBody(body, true);
    }
    EXPECT_EQ(host.TakeOutput(), c.want);
    EXPECT_FALSE(codec->wants_close()) << c.want;
    EXPECT_TRUE(host.idle);
  }
}

TEST(Http1Server, AShortBodyEndsTheConnection) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(codec->Feed(input), nullptr);
  const TestHeaders response({{":status", "200"}, {"content-length", "10"}});
  events.sinks[0]->stream->SendHeaders(*response, false);
  Body body = BodyOf("abc");
  events.sinks[0]->stream->SendBody(body, true);
  EXPECT_TRUE(codec->wants_close());
}

TEST(Http1Server, ValuesCannotSplitTheResponse) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(codec->Feed(input), nullptr);
  const TestHeaders response(
      {{":status", "200"}, {"x-a", std::string("b\r\nset-cookie: c\0d", 18)}});
  events.sinks[0]->stream->SendHeaders(*response, true);
  EXPECT_THAT(host.TakeOutput(), HasSubstr("x-a: b  set-cookie: c d\r\n"));
}

TEST(Http1Server, TrailersAndProperCaseOnTheWire) {
  Http1Options options;
  options.enable_trailers = true;
  options.proper_case = true;
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, options);
  Body input = BodyOf("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(codec->Feed(input), nullptr);
  const TestHeaders response({{":status", "200"}, {"x-one-2two", "b"}});
  const TestHeaders trailers({{"x-t", "v"}});
  CodecStream* stream = events.sinks[0]->stream;
  stream->SendHeaders(*response, false);
  Body body = BodyOf("hi");
  stream->SendBody(body, false);
  stream->SendTrailers(*trailers);
  EXPECT_EQ(host.TakeOutput(),
            "HTTP/1.1 200 OK\r\nX-One-2two: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
            "X-T: v\r\n\r\n");
}

TEST(Http1Server, AnUpgradeWaitsForItsAnswer) {
  const std::string request =
      Crlf("GET /ws HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\n\n");
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf(absl::StrCat(request, "early frames"));
  ASSERT_EQ(codec->Feed(input), nullptr);
  FakeSink& sink = *events.sinks.at(0);
  EXPECT_THAT(sink.headers_text, HasSubstr("connection: keep-alive, Upgrade\nupgrade: WebSocket"));
  EXPECT_EQ(sink.ends, 0);
  EXPECT_EQ(sink.body, "");
  const TestHeaders accept(
      {{":status", "101"}, {"upgrade", "websocket"}, {"connection", "upgrade"}});
  sink.stream->SendHeaders(*accept, false);
  EXPECT_TRUE(host.feed_wanted);
  ASSERT_EQ(codec->Feed(input), nullptr);
  EXPECT_EQ(sink.body, "early frames");
  Body answer = BodyOf("raw");
  sink.stream->SendBody(answer, false);
  EXPECT_EQ(host.TakeOutput(),
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
            "raw");
  codec->OnEof();
  EXPECT_EQ(sink.ends, 1);
}

TEST(Http1Server, ARefusedUpgradeCloses) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input =
      BodyOf(Crlf("GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n"
                  "GET /smuggled HTTP/1.1\nHost: a\n\n"));
  ASSERT_EQ(codec->Feed(input), nullptr);
  const TestHeaders refusal({{":status", "403"}});
  events.sinks[0]->stream->SendHeaders(*refusal, true);
  ASSERT_EQ(codec->Feed(input), nullptr);
  EXPECT_EQ(events.sinks.size(), 1u);
  EXPECT_THAT(host.TakeOutput(), HasSubstr("connection: close"));
  EXPECT_TRUE(codec->wants_close());
}

TEST(Http1Server, H2cUpgradesAreRemovedAndTheBodyReadByItsLength) {
  const ServerRun run = RunServer(
      Crlf("POST /1 HTTP/1.1\nHost: a\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\n"
           "HTTP2-Settings: AAM\nContent-Length: 2\n\n") +
          "hi" + Crlf("GET /2 HTTP/1.1\nHost: a\n\n"),
      Whole());
  ASSERT_EQ(run.exchanges.size(), 2u);
  EXPECT_THAT(run.exchanges[0], HasSubstr("content-length: 2\n) interims=0 body(hi)"));
  EXPECT_THAT(run.exchanges[0], Not(HasSubstr("h2c")));
  EXPECT_THAT(RunServer(Crlf("GET / HTTP/1.1\nHost: a\nConnection: Upgrade\n"
                             "Upgrade: h2c, websocket\n\n"),
                        Whole())
                  .exchanges.at(0),
              HasSubstr("upgrade: websocket\n"));
}

TEST(Http1Server, AnIgnoredUpgradeIsAPlainRequest) {
  Http1Options options;
  const std::string ignored = "websocket";
  options.ignores_upgrade_config = &ignored;
  options.ignores_upgrade = [](const void* config, absl::string_view value) {
    return value == *static_cast<const std::string*>(config);
  };
  const std::string request = "GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: ";
  const ServerRun run = RunServer(Crlf(request + "websocket\n\n"), Whole(), options);
  EXPECT_THAT(run.exchanges.at(0), HasSubstr("ends=1"));
  EXPECT_THAT(run.exchanges.at(0), Not(HasSubstr("upgrade")));
  EXPECT_THAT(RunServer(Crlf(request + "other\n\n"), Whole(), options).exchanges.at(0),
              HasSubstr("upgrade: other\n"));
}

TEST(Http1Server, ConnectBecomesATunnelAfterTheAnswer) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf(Crlf("CONNECT b:443 HTTP/1.1\nHost: b:443\n\n") + "hello");
  ASSERT_EQ(codec->Feed(input), nullptr);
  FakeSink& sink = *events.sinks.at(0);
  EXPECT_EQ(sink.headers_text, ":method: CONNECT\n:authority: b:443\n");
  EXPECT_EQ(sink.body, "");
  const TestHeaders accept({{":status", "200"}, {"content-length", "0"}});
  sink.stream->SendHeaders(*accept, false);
  ASSERT_EQ(codec->Feed(input), nullptr);
  EXPECT_EQ(sink.body, "hello");
  EXPECT_EQ(host.TakeOutput(), "HTTP/1.1 200 OK\r\n\r\n");
}

TEST(Http1Server, AnEarlyAnswerEndsTheConnection) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf(Crlf("POST / HTTP/1.1\nHost: a\nContent-Length: 1000\n\n") + "some");
  ASSERT_EQ(codec->Feed(input), nullptr);
  const TestHeaders refusal({{":status", "413"}});
  FakeSink& sink = *events.sinks[0];
  sink.stream->SendHeaders(*refusal, true);
  EXPECT_THAT(host.TakeOutput(), HasSubstr("connection: close"));
  EXPECT_TRUE(codec->wants_close());
  sink.stream->Reset(ResetReason::kLocalReset);
  input.Append("the rest, dropped");
  ASSERT_EQ(codec->Feed(input), nullptr);
  EXPECT_TRUE(input.empty());
  EXPECT_EQ(events.sinks.size(), 1u);
  EXPECT_EQ(sink.body, "some");
}

TEST(Http1Server, AMalformedRequestIsAnsweredThroughItsStream) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf("GET / HTTP/1.1\r\nbad header\r\n\r\n");
  const std::unique_ptr<CodecError> error = codec->Feed(input);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->status, 400);
  EXPECT_EQ(events.sinks.at(0)->resets, 0);
  const TestHeaders reply({{":status", "400"}});
  events.sinks[0]->stream->SendHeaders(*reply, true);
  EXPECT_EQ(host.TakeOutput(),
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  EXPECT_TRUE(codec->wants_close());
}

TEST(Http1Server, AnErrorAfterTheAnswerBeganResets) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf(Crlf("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n"));
  ASSERT_EQ(codec->Feed(input), nullptr);
  const TestHeaders ok({{":status", "200"}});
  events.sinks[0]->stream->SendHeaders(*ok, false);
  input.Append("zz\r\n");
  const std::unique_ptr<CodecError> error = codec->Feed(input);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->status, 0);
  EXPECT_EQ(events.sinks[0]->resets, 1);
  EXPECT_EQ(events.sinks[0]->reason, ResetReason::kProtocolError);
}

TEST(Http1Server, ShutdownSaysCloseOnTheNextResponse) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  codec->Shutdown(/*final=*/false);
  EXPECT_FALSE(codec->wants_close());
  Body input = BodyOf("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_EQ(codec->Feed(input), nullptr);
  AnswerOk(*events.sinks.at(0));
  EXPECT_THAT(host.TakeOutput(), HasSubstr("connection: close"));
  EXPECT_TRUE(codec->wants_close());
}

TEST(Http1Server, InterimAndWatermarks) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input =
      BodyOf(Crlf("POST / HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 1\n\n"));
  ASSERT_EQ(codec->Feed(input), nullptr);
  FakeSink& sink = *events.sinks.at(0);
  EXPECT_THAT(sink.headers_text, HasSubstr("expect: 100-continue"));
  const TestHeaders go({{":status", "100"}});
  sink.stream->SendInterim(*go);
  EXPECT_EQ(host.TakeOutput(), "HTTP/1.1 100 Continue\r\n\r\n");
  codec->OnOutputBlocked();
  codec->OnOutputDrained();
  EXPECT_EQ(sink.blocked, 1);
  EXPECT_EQ(sink.drained, 1);
}

TEST(Http1Server, TheConnectionEndsUnderTheRequest) {
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, {});
  Body input = BodyOf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  ASSERT_EQ(codec->Feed(input), nullptr);
  codec->OnConnectionClosed("gone");
  EXPECT_EQ(events.sinks[0]->resets, 1);
  EXPECT_EQ(events.sinks[0]->reason, ResetReason::kConnectionClosed);
  EXPECT_EQ(events.sinks[0]->details, "gone");
  codec->OnConnectionClosed("again");
  EXPECT_EQ(events.sinks[0]->resets, 1);
}

TEST(Http1Server, SpellingIsKeptForThePeerBehind) {
  Http1Options options;
  options.preserve_case = true;
  FakeCodecHost host;
  FakeServerEvents events;
  auto codec = MakeHttp1ServerCodec(&host, &events, options);
  Body input = BodyOf("GET / HTTP/1.1\r\nHost: a\r\nX-FOO: 1\r\nuSER-aGENT: z\r\n\r\n");
  ASSERT_EQ(codec->Feed(input), nullptr);
  FakeCodecHost upstream;
  FakeClientEvents client_events;
  auto client = MakeHttp1ClientCodec(&upstream, &client_events, options);
  FakeSink sink;
  Arena copy_arena;
  client->NewStream(&sink)->SendHeaders(*events.sinks[0]->headers->CopyTo(&copy_arena), true);
  EXPECT_EQ(upstream.TakeOutput(),
            "GET / HTTP/1.1\r\nhost: a\r\nX-FOO: 1\r\nuSER-aGENT: z\r\n\r\n");
  EXPECT_NE(events.sinks[0]->headers->Find(HeaderId::kUserAgent), nullptr);
}

}  // namespace
}  // namespace remora::proxy
