// After warm-up an exchange touches the heap not once, in either version.
#include <gtest/gtest.h>

#include "tests/support/alloc_counter.h"
#include "tests/support/codec_fakes.h"

namespace remora::proxy {
namespace {

// A sink that keeps nothing and asks for nothing, recycled for every exchange.
class QuietSink : public MessageSink {
 public:
  Arena& arena() override { return arena_; }
  void OnInterim(Headers*) override {}
  void OnHeaders(Headers* headers, bool end) override {
    headers_ = headers;
    ended_ = end;
  }
  void OnBody(Body& body, bool end) override {
    body_.Append(body);
    ended_ = end;
  }
  void OnTrailers(Headers*) override { ended_ = true; }
  void OnReset(ResetReason, absl::string_view) override {}
  void OnSendBlocked() override {}
  void OnSendDrained() override {}

  void Recycle() {
    body_.Clear();
    headers_ = nullptr;
    ended_ = false;
    arena_.Reset();
  }

  CodecStream* stream_ = nullptr;
  Headers* headers_ = nullptr;
  Body body_;
  bool ended_ = false;

 private:
  Arena arena_;
};

class QuietServerEvents : public ServerCodecEvents {
 public:
  MessageSink* OnNewStream(CodecStream* stream) override {
    sink.stream_ = stream;
    return &sink;
  }
  QuietSink sink;
};

// A proxy in miniature: client -> server codec -> (same headers) -> client codec -> server codec.
struct Pair {
  FakeCodecHost client_host, server_host;
  FakeClientEvents client_events;
  QuietServerEvents server_events;
  std::unique_ptr<ClientCodec> client;
  std::unique_ptr<ServerCodec> server;
  QuietSink client_sink;
  Body in_flight;

  void Carry() {
    while (!client_host.output().empty() || !server_host.output().empty()) {
      in_flight.Append(client_host.output());
      if (server->Feed(in_flight) != nullptr) ADD_FAILURE();
      in_flight.Append(server_host.output());
      if (client->Feed(in_flight) != nullptr) ADD_FAILURE();
    }
  }

  void Exchange(const Headers& request, const Headers& response) {
    CodecStream* stream = client->NewStream(&client_sink);
    stream->SendHeaders(request, false);
    Body body;
    body.Append("a request body of some length");
    stream->SendBody(body, true);
    Carry();
    ASSERT_TRUE(server_events.sink.ended_);
    CodecStream* served = server_events.sink.stream_;
    served->SendHeaders(response, false);
    body.Append("a response body of some length");
    served->SendBody(body, true);
    Carry();
    ASSERT_TRUE(client_sink.ended_);
    server_events.sink.Recycle();
    client_sink.Recycle();
  }
};

void ExpectNoAllocations(Pair& pair) {
  if (!AllocationsAreCounted()) GTEST_SKIP() << "a sanitizer owns malloc";
  TestHeaders request({{":method", "POST"},
                       {":scheme", "http"},
                       {":path", "/some/path?with=query"},
                       {":authority", "service.example:8080"},
                       {"user-agent", "test/1.0"},
                       {"accept", "*/*"},
                       {"x-unknown-field", "a value"},
                       {"x-request-id", "5e3f2b8a-0000-4000-8000-000000000000"}});
  TestHeaders response({{":status", "200"},
                        {"content-type", "application/json"},
                        {"server", "envoy"},
                        {"date", "Tue, 24 Nov 2026 11:00:00 GMT"},
                        {"x-unknown-answer", "b"}});
  for (int i = 0; i < 200; ++i) pair.Exchange(*request, *response);
  const uint64_t before = AllocationCount();
  for (int i = 0; i < 1000; ++i) pair.Exchange(*request, *response);
  EXPECT_EQ(AllocationCount() - before, 0u);
}

TEST(CodecAllocations, NoneForHttp1) {
  Pair pair;
  pair.client = MakeHttp1ClientCodec(&pair.client_host, &pair.client_events, {});
  pair.server = MakeHttp1ServerCodec(&pair.server_host, &pair.server_events, {});
  ExpectNoAllocations(pair);
}

TEST(CodecAllocations, NoneForHttp2) {
  Pair pair;
  pair.client = MakeHttp2ClientCodec(&pair.client_host, &pair.client_events, {});
  pair.server = MakeHttp2ServerCodec(&pair.server_host, &pair.server_events, {});
  pair.Carry();
  ExpectNoAllocations(pair);
}

TEST(CodecAllocations, TheCounterCounts) {
  if (!AllocationsAreCounted()) GTEST_SKIP() << "a sanitizer owns malloc";
  const uint64_t before = AllocationCount();
  auto number = std::make_unique<int>(1);
  EXPECT_EQ(*number, 1);
  EXPECT_GT(AllocationCount(), before);
}

}  // namespace
}  // namespace remora::proxy
