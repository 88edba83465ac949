#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/codec/http2_frames.h"
#include "tests/support/codec_fakes.h"

namespace remora::proxy {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

// A server codec that is fed frames made by hand.
class Http2HostileTest : public ::testing::Test {
 protected:
  void Start(const Http2Options& options = {}) {
    host_.TakeOutput();
    events_.sinks.clear();
    server_ = MakeHttp2ServerCodec(&host_, &events_, options);
    ASSERT_EQ(Feed(ClientHello()), "");
    host_.TakeOutput();
  }

  // The error's detail; "" when there was none.
  std::string Feed(absl::string_view wire) {
    Body input = BodyOf(wire);
    const std::unique_ptr<CodecError> error = server_->Feed(input);
    return error == nullptr ? "" : std::string(error->details);
  }

  std::string Sent() { return FrameNames(host_.TakeOutput()); }
  FakeSink& served(size_t i) { return *events_.sinks.at(i); }

  // Whether a lawful request still gets through.
  bool Works(uint32_t stream) {
    const size_t before = events_.sinks.size();
    Feed(HeadersFrame(stream, RequestFields("/next"), true));
    return events_.sinks.size() == before + 1 && events_.sinks.back()->ends == 1;
  }

  FakeCodecHost host_;
  FakeServerEvents events_;
  std::unique_ptr<ServerCodec> server_;
};

struct FieldCase {
  const char* name;
  FieldList fields;
};

std::vector<FieldCase> MalformedRequests() {
  using namespace std::string_literals;  // NOLINT(google-build-using-namespace)
  const FieldList get = RequestFields();
  return {
      {"H13 cr in value", With(get, "x", "a\rb")},
      {"H13 lf in value", With(get, "x", "a\nb")},
      {"H13 nul in value", With(get, "x", "a\0b"s)},
      {"H13 upper case", With(get, "X-A", "b")},
      {"H13 space in name", With(get, "x a", "b")},
      {"H13 lf in name", With(get, "x\na", "b")},
      {"H13 colon in name", With(get, "x:a", "b")},
      {"H13 empty name", With(get, "", "b")},
      {"H13 transfer-encoding", With(get, "transfer-encoding", "chunked")},
      {"H13 connection", With(get, "connection", "close")},
      {"H13 keep-alive", With(get, "keep-alive", "5")},
      {"H13 proxy-connection", With(get, "proxy-connection", "x")},
      {"H13 upgrade", With(get, "upgrade", "h2c")},
      {"H13 te", With(get, "te", "gzip")},
      {"H13 padded value", With(get, "x", " a")},
      {"H13 padded value at the end", With(get, "x", "a\t")},
      {"H14 no slash", RequestFields("admin")},
      {"H14 empty path", RequestFields("")},
      {"H14 asterisk", RequestFields("*")},
      {"H14 space in path", RequestFields("/a b")},
      {"H14 tab in path", RequestFields("/a\tb")},
      {"H14 byte in path", RequestFields("/\xff")},
      {"H14 cr in path", RequestFields("/\r\nx")},
      {"H14 method with space", RequestFields("/", "GET /x")},
      {"H14 empty method", RequestFields("/", "")},
      {"H14 scheme",
       {{":method", "GET"}, {":scheme", "http://x"}, {":path", "/"}, {":authority", "a"}}},
      {"H14 no scheme", {{":method", "GET"}, {":path", "/"}, {":authority", "a"}}},
      {"H14 no path", {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}}},
      {"H14 no method", {{":scheme", "http"}, {":path", "/"}, {":authority", "a"}}},
      {"H14 two paths", With(get, ":path", "/b")},
      {"H14 late pseudo",
       {{":method", "GET"}, {":scheme", "http"}, {"x", "y"}, {":path", "/"}, {":authority", "a"}}},
      {"H14 unknown pseudo", With(get, ":x", "y")},
      {"H14 status in request", With(get, ":status", "200")},
      {"H14 userinfo",
       {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "u@a"}}},
      {"H14 list of authorities",
       {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a,b"}}},
      {"H14 authority with path",
       {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a/b"}}},
      {"H14 host", {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "u@a"}}},
      {"protocol without the setting",
       With(RequestFields("/", "CONNECT"), ":protocol", "websocket")},
      {"H05 zero-length name", With(get, "", "")},
      {"two lengths", With(With(get, "content-length", "1"), "content-length", "2")},
      {"odd length", With(get, "content-length", "+1")},
  };
}

TEST_F(Http2HostileTest, MalformedRequestsEndTheConnectionWithGoAway) {
  for (const FieldCase& c : MalformedRequests()) {
    SCOPED_TRACE(c.name);
    Start();
    EXPECT_THAT(Feed(HeadersFrame(1, c.fields, true) + HeadersFrame(3, RequestFields(), true)),
                HasSubstr("http2."));
    EXPECT_THAT(Sent(), ContainsRegex("GOAWAY 0 1$"));
    for (const auto& sink : events_.sinks) {
      EXPECT_EQ(sink->header_events, 0);
      EXPECT_EQ(sink->resets, 1);
      EXPECT_EQ(sink->reason, ResetReason::kProtocolError);
    }
    EXPECT_TRUE(server_->wants_close());
    EXPECT_EQ(Feed("anything"), "");
  }
}

TEST_F(Http2HostileTest, OrTheirStreamAlone) {
  Http2Options options;
  options.stream_error_on_invalid_message = true;
  for (const FieldCase& c : MalformedRequests()) {
    SCOPED_TRACE(c.name);
    Start(options);
    EXPECT_EQ(Feed(HeadersFrame(1, c.fields, true)), "");
    EXPECT_EQ(Sent(), "RST_STREAM 1 1");
    EXPECT_EQ(served(0).header_events, 0);
    EXPECT_EQ(served(0).reason, ResetReason::kProtocolError);
    EXPECT_TRUE(Works(3));
  }
}

TEST_F(Http2HostileTest, TheirLawfulNeighboursPass) {
  const FieldList get = RequestFields();
  for (const FieldList& fields :
       {With(get, "x", "a b"), With(get, "x", ""), With(get, "x", "a\tb"),
        With(get, "x", "\xe4\xff"), With(get, "te", "trailers"), RequestFields("/%20?a=b|c"),
        RequestFields("*", "OPTIONS"), RequestFields("/", "BREW"), With(get, "host", "other"),
        FieldList{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "a"}},
        FieldList{{":method", "CONNECT"}, {":authority", "a:80"}}}) {
    Start();
    EXPECT_EQ(Feed(HeadersFrame(1, fields, true)), "") << fields[0].second;
    EXPECT_EQ(served(0).ends, 1);
    EXPECT_THAT(served(0).headers_text, HasSubstr(":authority: a"));
    EXPECT_THAT(served(0).headers_text, Not(HasSubstr("host: ")));
  }
}

TEST_F(Http2HostileTest, LengthsThatLieEndTheirStream) {
  const FieldList post = With(RequestFields("/", "POST"), "content-length", "5");
  const std::string cases[] = {
      HeadersFrame(1, post, false) + Frame(kData, kEndStream, 1, "abc"),
      HeadersFrame(1, post, false) + Frame(kData, 0, 1, "abcdef"),
      HeadersFrame(1, post, false) + Frame(kData, kEndStream, 1, "abcdef"),
  };
  for (const std::string& wire : cases) {
    Start();
    EXPECT_EQ(Feed(wire), "");
    EXPECT_EQ(Sent(), "RST_STREAM 1 1");
    EXPECT_EQ(served(0).ends, 0);
    EXPECT_EQ(served(0).reason, ResetReason::kProtocolError);
    EXPECT_TRUE(Works(3));
  }
  Start();
  EXPECT_NE(Feed(HeadersFrame(1, post, true)), "");
  Start();
  Feed(HeadersFrame(1, post, false) + Frame(kData, 0, 1, "abc") +
       HeadersFrame(1, {{"x", "y"}}, true));
  EXPECT_EQ(served(0).ends, 0);
  EXPECT_EQ(served(0).resets, 1);
  Start();
  EXPECT_EQ(Feed(HeadersFrame(1, post, false) + Frame(kData, kEndStream, 1, "abcde")), "");
  EXPECT_EQ(served(0).ends, 1);
}

TEST_F(Http2HostileTest, HeaderLimitsCountEveryDecodedByteAndField) {
  struct Case {
    const char* name;
    FieldList fields;
    bool taken;
  };
  FieldList hundred = RequestFields();
  for (int i = 0; i < 100; ++i) hundred.push_back({"x", "y"});
  FieldList cookies = RequestFields();
  for (int i = 0; i < 101; ++i) cookies.push_back({"cookie", ""});
  for (const Case& c : std::vector<Case>{
           {"large",
            With(With(RequestFields(), "x", std::string(35000, 'v')), "y", std::string(35000, 'v')),
            false},
           {"100 fields", hundred, true},
           {"101 fields", With(hundred, "x", "y"), false},
           {"101 crumbs", cookies, false},
           {"under the limit", With(RequestFields(), "x", std::string(60000, 'v')), true}}) {
    SCOPED_TRACE(c.name);
    Start();
    EXPECT_EQ(Feed(HeadersFrame(1, c.fields, true)), "");
    EXPECT_EQ(served(0).ends, c.taken ? 1 : 0);
    EXPECT_EQ(Sent(), c.taken ? "" : "RST_STREAM 1 2");
    if (!c.taken) {
      EXPECT_EQ(served(0).reason, ResetReason::kOverflow);
    }
    EXPECT_TRUE(Works(3));
  }
}

TEST_F(Http2HostileTest, IndexedReferencesToALargeEntryCannotBlowUp) {
  Start();
  // One table entry of nearly 4 KiB, then thousands of one-byte references to it (CVE-2016-6581).
  std::string block = Block(RequestFields());
  block += '\x40';
  block += '\x01';
  block += "x";
  block += std::string("\x7f\xa1\x1e", 3);  // 127 + 33 + 30*128 = 4000
  block += std::string(4000, 'v');
  block += std::string(11000, '\xbe');
  EXPECT_EQ(Feed(Frame(kHeaders, kEndStream | kEndHeaders, 1, block)), "");
  EXPECT_EQ(Sent(), "RST_STREAM 1 2");
  EXPECT_LE(served(0).arena().footprint(), 10 * block.size());
  EXPECT_TRUE(Works(3));
}

TEST_F(Http2HostileTest, CookieCrumbsAreJoined) {
  Start();
  const FieldList fields =
      With(With(With(RequestFields(), "cookie", "a=1"), "x", "y"), "cookie", "b=2");
  EXPECT_EQ(Feed(HeadersFrame(1, fields, true)), "");
  EXPECT_THAT(served(0).headers_text, HasSubstr("cookie: a=1; b=2\n"));
}

TEST_F(Http2HostileTest, RapidResetsEndTheConnection) {
  Start();
  std::string error;
  uint32_t stream = 1;
  size_t streams = 0;
  while (error.empty() && streams < 2000) {
    error = Feed(HeadersFrame(stream, RequestFields(), true) +
                 Frame(kRstStream, 0, stream, Number(8, 4)));
    stream += 2;
    ++streams;
  }
  EXPECT_EQ(error, "http2.too_many_premature_resets");
  EXPECT_LT(streams, 500u);
  EXPECT_THAT(Sent(), HasSubstr("GOAWAY 0 11"));
}

TEST_F(Http2HostileTest, ResetsThatAreNotEarlyAreNoAttack) {
  Start();
  for (uint32_t i = 0; i < 2000; ++i) {
    const uint32_t stream = 2 * i + 1;
    ASSERT_EQ(Feed(HeadersFrame(stream, RequestFields(), true)), "");
    host_.now += 2000000000;
    ASSERT_EQ(Feed(Frame(kRstStream, 0, stream, Number(8, 4))), "");
  }
}

TEST_F(Http2HostileTest, ResetsThatTheServerWasMadeToSendCountToo) {
  Start();
  std::string error;
  uint32_t stream = 1;
  while (error.empty() && stream < 4001) {
    // MadeYouReset: a window update of zero is a stream error.
    error = Feed(HeadersFrame(stream, RequestFields("/", "POST"), false) +
                 Frame(kData, 0, stream, "x") + Frame(kWindowUpdate, 0, stream, Number(0, 4)));
    host_.TakeOutput();
    stream += 2;
  }
  EXPECT_NE(error, "");
  EXPECT_LT(stream, 1003u);
}

TEST_F(Http2HostileTest, FloodsAreCutOff) {
  struct Case {
    const char* name;
    std::string once;
    const char* error;
    size_t most;
  };
  const std::string open = HeadersFrame(1, RequestFields("/", "POST"), false);
  for (const Case& c : std::vector<Case>{
           {"H05 empty data", Frame(kData, 0, 1, ""), "http2.inbound_empty_frames_flood", 3},
           {"H05 padded empty data", Frame(kData, kPadded, 1, std::string("\x03\0\0\0", 4)),
            "http2.inbound_empty_frames_flood", 3},
           {"H05 priority", Frame(kPriority, 0, 1, Number(0, 4) + "\x10"),
            "http2.inbound_priority_frames_flood", 202},
           {"window updates", Frame(kWindowUpdate, 0, 0, Number(1, 4)),
            "http2.inbound_window_update_frames_flood", 10},
           {"H04 ping", Frame(kPing, 0, 0, "12345678"), "http2.outbound_control_frames_flood",
            1100},
           {"H04 settings", Frame(kSettings, 0, 0, ""), "http2.outbound_control_frames_flood",
            1100}}) {
    SCOPED_TRACE(c.name);
    Start();
    ASSERT_EQ(Feed(open), "");
    std::string error;
    size_t count = 0;
    while (error.empty() && count < 20000) {
      error = Feed(c.once);  // and its answers are never read
      ++count;
    }
    EXPECT_EQ(error, c.error);
    EXPECT_LE(count, c.most);
    EXPECT_THAT(Sent(), HasSubstr("GOAWAY"));
  }
}

TEST_F(Http2HostileTest, AnswersThatAreReadAreNoFlood) {
  Start();
  for (int i = 0; i < 20000; ++i) {
    ASSERT_EQ(Feed(Frame(kPing, 0, 0, "12345678")), "");
    host_.TakeOutput();
  }
}

TEST_F(Http2HostileTest, ProtocolErrorsSendGoAwayOnce) {
  const std::string open = HeadersFrame(1, RequestFields("/", "POST"), false);
  std::string settings;
  for (int i = 0; i < 14000; ++i) settings += Number(9, 2) + Number(1, 4);
  const struct {
    const char* name;
    std::string wire;
  } cases[] = {
      {"H03 continuation alone", Frame(kContinuation, kEndHeaders, 1, "")},
      {"H03 endless continuation",
       [] {
         std::string wire = Frame(kHeaders, 0, 1, Block(RequestFields()));
         for (int i = 0; i < 20; ++i) wire += Frame(kContinuation, 0, 1, Block({{"x", "y"}}));
         return wire;
       }()},
      {"H03 empty continuations",
       [] {
         std::string wire = Frame(kHeaders, 0, 1, Block(RequestFields()));
         for (int i = 0; i < 20; ++i) wire += Frame(kContinuation, 0, 1, "");
         return wire;
       }()},
      {"H04 14,000 settings", Frame(kSettings, 0, 0, settings.substr(0, 16380))},
      {"H08 index 0", Frame(kHeaders, kEndStream | kEndHeaders, 1, "\x80")},
      {"H08 beyond the table", Frame(kHeaders, kEndStream | kEndHeaders, 1, "\xff\xff\xff\x7f")},
      {"H08 table update too large", Frame(kHeaders, kEndStream | kEndHeaders, 1, "\x3f\xff\x7f")},
      {"H09 padding", Frame(kData, kPadded, 1, std::string("\x09", 1) + "abc")},
      {"H09 short priority", Frame(kPriority, 0, 1, "1234")},
      {"H09 long frame", Frame(kData, 0, 1, std::string(16385, 'x'))},
      {"data on stream 0", Frame(kData, 0, 0, "x")},
      {"headers on an even stream", HeadersFrame(2, RequestFields(), true)},
      {"data on an idle stream", Frame(kData, 0, 9, "x")},
      {"settings of odd size", Frame(kSettings, 0, 0, "abc")},
      {"push from a client", Frame(kPushPromise, kEndHeaders, 1, Number(2, 4))},
      {"window over 2^31", Frame(kWindowUpdate, 0, 0, Number(0x7fffffff, 4))},
      {"goaway then garbage", Frame(kGoAway, 0, 0, "12")},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    Start();
    ASSERT_EQ(Feed(open), "");
    // H10: more malformed frames in the same read.
    const std::string more = Frame(kSettings, 0, 0, "abc") + Frame(kData, 0, 0, "x");
    EXPECT_NE(Feed(c.wire + more + more), "");
    const std::string sent = Sent();
    EXPECT_THAT(sent, ContainsRegex("GOAWAY 0 [1-9]"));
    EXPECT_EQ(sent.find("GOAWAY"), sent.rfind("GOAWAY"));
    EXPECT_EQ(served(0).resets, 1);
    EXPECT_EQ(server_->open_streams(), 0u);
  }
}

TEST_F(Http2HostileTest, ABadPrefaceIsAnError) {
  server_ = MakeHttp2ServerCodec(&host_, &events_, {});
  EXPECT_NE(Feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "");
  EXPECT_THAT(Sent(), HasSubstr("GOAWAY"));
}

TEST_F(Http2HostileTest, CutsInTheInputChangeNothing) {
  const std::string wire =
      ClientHello() + HeadersFrame(1, With(RequestFields("/", "POST"), "cookie", "a"), false) +
      Frame(kData, 0, 1, "some body") + Frame(kPing, 0, 0, "12345678") +
      Frame(kData, kPadded, 1, std::string("\x03", 1) + "more" + std::string(3, '\0')) +
      HeadersFrame(1, {{"x-t", "v"}}, true) + HeadersFrame(3, RequestFields("/3"), true) +
      Frame(kRstStream, 0, 3, Number(8, 4)) +
      HeadersFrame(5, With(RequestFields(), "A", "b"), true);
  const auto run = [&](size_t cut, bool bytewise) {
    host_.TakeOutput();
    events_.sinks.clear();
    server_ = MakeHttp2ServerCodec(&host_, &events_, {});
    std::string text;
    for (size_t at = 0; at < wire.size();) {
      const size_t size = bytewise ? 1 : at < cut ? cut - at : wire.size() - at;
      text += Feed(wire.substr(at, size));
      at += size;
    }
    for (const auto& sink : events_.sinks) text += sink->Summary() + "\n";
    return text + FrameNames(host_.TakeOutput());
  };
  const std::string whole = run(0, false);
  EXPECT_THAT(whole, HasSubstr("body(some bodymore) trailers(x-t: v\n) ends=1"));
  EXPECT_EQ(run(0, true), whole);
  for (size_t cut = 1; cut < wire.size(); ++cut) ASSERT_EQ(run(cut, false), whole) << cut;
}

// A client codec whose server is made by hand.
class Http2HostileServerTest : public ::testing::Test {
 protected:
  void Start() {
    host_.TakeOutput();
    client_ = MakeHttp2ClientCodec(&host_, &events_, {});
    EXPECT_EQ(Feed(Frame(kSettings, 0, 0, "")), "");
    sink_ = std::make_unique<FakeSink>();
    const TestHeaders get(
        {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}});
    client_->NewStream(sink_.get())->SendHeaders(*get, true);
    host_.TakeOutput();
  }
  std::string Feed(absl::string_view wire) {
    Body input = BodyOf(wire);
    const std::unique_ptr<CodecError> error = client_->Feed(input);
    return error == nullptr ? "" : std::string(error->details);
  }

  FakeCodecHost host_;
  FakeClientEvents events_;
  std::unique_ptr<ClientCodec> client_;
  std::unique_ptr<FakeSink> sink_;
};

TEST_F(Http2HostileServerTest, MalformedResponsesEndTheirStreamAlone) {
  const FieldList ok = {{":status", "200"}};
  for (const FieldList& fields :
       {FieldList{{":status", "20"}}, FieldList{{":status", "2000"}}, FieldList{{":status", "099"}},
        FieldList{{":status", "600"}}, FieldList{{":status", "2x0"}}, FieldList{{":status", "101"}},
        FieldList{{":status", ""}}, FieldList{{"x", "y"}}, With(ok, ":status", "200"),
        With(ok, ":path", "/"), With(ok, "X", "y"), With(ok, "x", "a\nb"),
        With(ok, "transfer-encoding", "chunked"), With(ok, "connection", "close")}) {
    SCOPED_TRACE(fields[0].second + fields.back().first);
    Start();
    EXPECT_EQ(Feed(HeadersFrame(1, fields, true)), "");
    EXPECT_EQ(sink_->header_events, 0);
    EXPECT_EQ(sink_->reason, ResetReason::kProtocolError);
    EXPECT_TRUE(client_->can_reuse());
    EXPECT_EQ(FrameNames(host_.TakeOutput()), "RST_STREAM 1 1");
  }
}

TEST_F(Http2HostileServerTest, BodiesAndOrder) {
  Start();
  EXPECT_NE(Feed(Frame(kData, kEndStream, 1, "data before headers")), "");
  EXPECT_EQ(sink_->reason, ResetReason::kProtocolError);
  Start();
  Feed(HeadersFrame(1, With({{":status", "200"}}, "content-length", "5"), false) +
       Frame(kData, kEndStream, 1, "abc"));
  EXPECT_EQ(sink_->ends, 0);
  EXPECT_EQ(sink_->reason, ResetReason::kProtocolError);
  Start();
  EXPECT_EQ(Feed(HeadersFrame(1, {{":status", "103"}}, true)), "");
  EXPECT_EQ(sink_->reason, ResetReason::kProtocolError);
}

TEST_F(Http2HostileServerTest, InterimResponsesAreBounded) {
  Start();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Feed(HeadersFrame(1, {{":status", "103"}}, false)), "");
  EXPECT_EQ(sink_->interims, 100);
  EXPECT_EQ(sink_->resets, 0);
  EXPECT_EQ(Feed(HeadersFrame(1, {{":status", "103"}}, false)), "");
  EXPECT_EQ(sink_->resets, 1);
}

TEST_F(Http2HostileServerTest, ALargeHeaderBlockHarmsOneRequest) {
  Start();
  const FieldList large = {
      {":status", "200"}, {"x", std::string(50000, 'v')}, {"y", std::string(50000, 'v')}};
  EXPECT_EQ(Feed(HeadersFrame(1, large, true)), "");
  EXPECT_EQ(sink_->reason, ResetReason::kOverflow);
  EXPECT_TRUE(client_->can_reuse());
}

TEST_F(Http2HostileServerTest, PushIsRefused) {
  Start();
  EXPECT_NE(Feed(Frame(kPushPromise, kEndHeaders, 1, Number(2, 4) + Block(RequestFields()))), "");
  EXPECT_EQ(sink_->resets, 1);
}

TEST_F(Http2HostileServerTest, StreamLimitsThatComeAndGo) {
  Start();
  EXPECT_EQ(Feed(Frame(kSettings, 0, 0, Number(3, 2) + Number(0, 4))), "");
  EXPECT_EQ(events_.most, 0u);
  FakeSink second;
  EXPECT_EQ(client_->NewStream(&second), nullptr);
  EXPECT_TRUE(client_->can_reuse());
  EXPECT_EQ(Feed(Frame(kSettings, 0, 0, Number(3, 2) + Number(2, 4))), "");
  EXPECT_EQ(events_.most, 2u);
  EXPECT_NE(client_->NewStream(&second), nullptr);
}

TEST_F(Http2HostileServerTest, RefusalsAndGoAwayOfStreamsAboveItsLast) {
  Start();
  EXPECT_EQ(Feed(Frame(kRstStream, 0, 1, Number(7, 4))), "");
  EXPECT_EQ(sink_->reason, ResetReason::kRemoteRefused);
  EXPECT_EQ(sink_->details, "http2.remote_refuse");
  Start();
  FakeSink second;
  const TestHeaders get(
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}});
  client_->NewStream(&second)->SendHeaders(*get, true);
  EXPECT_EQ(Feed(Frame(kGoAway, 0, 0, Number(1, 4) + Number(0, 4))), "");
  EXPECT_EQ(events_.goaways, 1);
  EXPECT_EQ(second.reason, ResetReason::kRemoteRefused);
  EXPECT_EQ(sink_->resets, 0);
  EXPECT_FALSE(client_->can_reuse());
  EXPECT_EQ(Feed(HeadersFrame(1, {{":status", "200"}}, true)), "");
  EXPECT_EQ(sink_->ends, 1);
  EXPECT_TRUE(client_->wants_close());
}

}  // namespace
}  // namespace remora::proxy
