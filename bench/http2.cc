// HTTP/2: exchanges between a client and a server codec joined in memory, so each figure is the
// work of both sides of both directions.
#include <benchmark/benchmark.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "filters/api/arena.h"
#include "filters/api/headers.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {
namespace {

class Host : public CodecHost {
 public:
  Body& output() override { return output_; }
  void WantFlush() override {}
  void WantFeed() override {}
  void OnIdleChange(bool) override {}

 private:
  Body output_;
};

class Sink : public MessageSink {
 public:
  Arena& arena() override { return arena_; }
  void OnInterim(Headers*) override {}
  void OnHeaders(Headers* h, bool) override { headers = h; }
  void OnBody(Body& b, bool) override { received += b.size(); }
  void OnTrailers(Headers*) override {}
  void OnReset(ResetReason, absl::string_view) override {}
  void OnSendBlocked() override {}
  void OnSendDrained() override {}
  void Recycle() { arena_.Reset(); }

  Headers* headers = nullptr;
  size_t received = 0;
  CodecStream* stream = nullptr;

 private:
  Arena arena_;
};

class Events : public ServerCodecEvents, public ClientCodecEvents {
 public:
  explicit Events(size_t streams) : sinks(streams) {}
  MessageSink* OnNewStream(CodecStream* stream) override {
    Sink& sink = sinks[next++ % sinks.size()];
    sink.stream = stream;
    return &sink;
  }
  void OnPingAck() override {}
  void OnGoAway() override {}
  void OnMaxStreams(uint32_t) override {}
  void OnStreamClosed() override {}

  std::deque<Sink> sinks;
  size_t next = 0;
};

void AddRequest(Headers& headers) {
  headers.Add(":method", "GET");
  headers.Add(":scheme", "http");
  headers.Add(":path", "/api/v1/items/42");
  headers.Add(":authority", "catalog.example:8080");
  headers.Add("user-agent", "grpc-c++/1.51.1");
  headers.Add("accept", "*/*");
  headers.Add("x-request-id", "5e3f2b8a-0000-4000-8000-000000000000");
  headers.Add("x-forwarded-proto", "http");
  headers.Add("x-tenant", "blue");
}

void AddResponse(Headers& headers) {
  headers.Add(":status", "200");
  headers.Add("content-type", "application/json");
  headers.Add("server", "envoy");
  headers.Add("date", "Tue, 24 Nov 2026 11:00:00 GMT");
  headers.Add("x-envoy-upstream-service-time", "3");
}

// range(0): exchanges that are under way at once; range(1): bytes of each response.
void Http2Exchange(benchmark::State& state) {
  const size_t streams = static_cast<size_t>(state.range(0));
  Host client_host, server_host;
  Events events(streams);
  std::deque<Sink> sinks(streams);
  auto client = MakeHttp2ClientCodec(&client_host, &events, {});
  auto server = MakeHttp2ServerCodec(&server_host, &events, {});
  Body in_flight;
  const auto carry = [&] {
    while (!client_host.output().empty() || !server_host.output().empty()) {
      in_flight.Append(client_host.output());
      server->Feed(in_flight);
      in_flight.Append(server_host.output());
      client->Feed(in_flight);
    }
  };
  Arena arena;
  Headers request(&arena), response(&arena);
  AddRequest(request);
  AddResponse(response);
  const std::string payload(static_cast<size_t>(state.range(1)), 'x');
  Body source;
  source.Append(payload);
  for (auto _ : state) {
    for (Sink& sink : sinks) client->NewStream(&sink)->SendHeaders(request, true);
    carry();
    for (Sink& sink : events.sinks) {
      sink.stream->SendHeaders(response, false);
      Body body;
      body.AppendShared(source);
      sink.stream->SendBody(body, true);
    }
    carry();
    for (Sink& sink : sinks) sink.Recycle();
    for (Sink& sink : events.sinks) sink.Recycle();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * streams));
}
BENCHMARK(Http2Exchange)->Args({1, 64})->Args({32, 64})->Args({1, 65536})->Args({32, 65536});

}  // namespace
}  // namespace remora::proxy
