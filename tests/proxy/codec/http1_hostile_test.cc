#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/codec/http1_support.h"
#include "tests/support/http1_corpus.h"

namespace remora::proxy {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::string_view kNext = "GET /next HTTP/1.1\r\nHost: n\r\n\r\n";

TEST(Http1Hostile, EachRequestGetsItsAnswerAndSmugglesNothing) {
  for (const WireCase& c : RequestCases()) {
    SCOPED_TRACE(c.name.substr(0, 80));
    const ServerRun run = RunServer(absl::StrCat(c.wire, std::string(kNext)), Whole());
    if (c.status != 0) {
      EXPECT_THAT(run.error, EndsWith(absl::StrCat(" ", c.status)));
      ASSERT_EQ(run.exchanges.size(), 1u);
      EXPECT_THAT(run.exchanges[0], HasSubstr(" ends=0"));
      EXPECT_TRUE(run.wants_close);
      EXPECT_EQ(run.output, "");
      continue;
    }
    EXPECT_EQ(run.error, "");
    ASSERT_EQ(run.exchanges.size(), 2u);
    EXPECT_THAT(run.exchanges[0], HasSubstr(" ends=1"));
    EXPECT_THAT(run.exchanges[1], HasSubstr(":path: /next\n"));
  }
}

TEST(Http1Hostile, EachResponseIsTakenOrRefusedWhole) {
  for (const WireCase& c : ResponseCases()) {
    SCOPED_TRACE(c.name);
    const ClientRun run = RunClient(c.wire, Whole());
    if (c.status != 0) {
      EXPECT_NE(run.error, "");
      EXPECT_THAT(run.exchange, HasSubstr("ends=0 resets=1"));
      EXPECT_FALSE(run.can_reuse);
      continue;
    }
    EXPECT_EQ(run.error, "");
    EXPECT_THAT(run.exchange, HasSubstr("ends=1 resets=0"));
  }
}

// The same input whole, byte by byte and cut once at each place (at places spread over long ones).
template <typename Run>
void ExpectSplitInvariant(absl::string_view wire, const Run& run) {
  const std::string whole = run(Whole());
  ASSERT_EQ(run(Bytewise()), whole);
  const size_t step = wire.size() / 300 + 1;
  for (size_t at = 1; at < wire.size(); at += step) {
    ASSERT_EQ(run(Once(at)), whole) << "cut at " << at;
  }
}

TEST(Http1Hostile, CutsInTheInputChangeNothing) {
  Http1Options options;
  options.enable_trailers = true;
  for (const WireCase& c : RequestCases()) {
    SCOPED_TRACE(c.name.substr(0, 80));
    const std::string wire = absl::StrCat(c.wire, std::string(kNext));
    ExpectSplitInvariant(wire,
                         [&](const Cut& cut) { return RunServer(wire, cut, options).Text(); });
  }
  for (const WireCase& c : ResponseCases()) {
    SCOPED_TRACE(c.name);
    ExpectSplitInvariant(c.wire,
                         [&](const Cut& cut) { return RunClient(c.wire, cut, options).Text(); });
  }
}

TEST(Http1Hostile, AuthorityOfTheTargetReplacesHost) {
  const ServerRun run = RunServer("GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", Whole());
  EXPECT_THAT(run.exchanges.at(0),
              HasSubstr(":method: GET\n:scheme: http\n:authority: b:81\n:path: /x?y\n)"));
  EXPECT_THAT(RunServer("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", Whole()).exchanges.at(0),
              HasSubstr(":path: /?q\n"));
}

TEST(Http1Hostile, WhatConnectionNamesStaysOnThisHop) {
  const ServerRun run = RunServer(
      Crlf("GET / HTTP/1.1\nHost: a\nAuthorization: x\nX-Internal: y\nX-Kept: z\nTE: trailers\n"
           "Connection: Authorization, x-internal, te\n\n"),
      Whole());
  EXPECT_THAT(run.exchanges.at(0), HasSubstr("x-kept: z\nte: trailers\n)"));
  EXPECT_THAT(run.exchanges.at(0), Not(HasSubstr("authorization")));
  EXPECT_THAT(run.exchanges.at(0), Not(HasSubstr("x-internal")));
  const ClientRun response = RunClient(
      Crlf("HTTP/1.1 200 OK\nConnection: x-b\nX-B: c\nX-D: e\nContent-Length: 0\n\n"), Whole());
  EXPECT_THAT(response.exchange, HasSubstr("x-d: e"));
  EXPECT_THAT(response.exchange, Not(HasSubstr("x-b")));
}

TEST(Http1Hostile, ALongHeadByteByByteCostsLinearTime) {
  // 60 KiB in one line, a byte at a time: quadratic scanning would take minutes.
  const std::string wire =
      absl::StrCat("GET / HTTP/1.1\r\nHost: a\r\nx: ", std::string(60 * 1024 - 7, 'v'), "\r\n\r\n");
  EXPECT_EQ(RunServer(wire, Bytewise()).error, "");
}

TEST(Http1Hostile, BytesOfATunnelThatWasNotMadeAreDropped) {
  FakeCodecHost host;
  FakeClientEvents events;
  auto codec = MakeHttp1ClientCodec(&host, &events, {});
  FakeSink sink;
  CodecStream* stream = codec->NewStream(&sink);
  const TestHeaders connect({{":method", "CONNECT"}, {":authority", "b:80"}});
  stream->SendHeaders(*connect, false);
  Body early = BodyOf("GET /smuggled HTTP/1.1\r\n\r\n");
  stream->SendBody(early, true);
  EXPECT_EQ(host.TakeOutput(), "CONNECT b:80 HTTP/1.1\r\nhost: b:80\r\n\r\n");
  Body input = BodyOf("HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(codec->Feed(input), nullptr);
  EXPECT_EQ(sink.ends, 1);
  EXPECT_EQ(host.TakeOutput(), "");
  EXPECT_FALSE(codec->can_reuse());
  EXPECT_TRUE(codec->wants_close());
  EXPECT_EQ(events.closed, 1);
}

}  // namespace
}  // namespace remora::proxy
