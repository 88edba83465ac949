// HTTP/1: parsing a head, writing one, and a whole exchange through both codecs.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <memory>
#include <string>

#include "filters/api/arena.h"
#include "filters/api/headers.h"
#include "proxy/codec/codec.h"
#include "proxy/codec/http1_encoder.h"
#include "proxy/codec/http1_parser.h"

namespace remora::proxy {
namespace {

// A request as a sidecar gets it: a browser's fields and a few of the mesh's.
constexpr absl::string_view kRequest =
    "GET /api/v1/items/42?fields=name,price HTTP/1.1\r\n"
    "Host: catalog.example:8080\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\n"
    "X-Request-Id: 5e3f2b8a-0000-4000-8000-000000000000\r\n"
    "X-Tenant: blue\r\n"
    "\r\n";

// What wrk and most clients in a data centre send.
constexpr absl::string_view kSmallRequest =
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:10000\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n";

constexpr absl::string_view kResponse =
    "HTTP/1.1 200 OK\r\n"
    "Server: nginx/1.22.1\r\n"
    "Date: Tue, 24 Nov 2026 11:00:00 GMT\r\n"
    "Content-Type: application/octet-stream\r\n"
    "Content-Length: 64\r\n"
    "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
    "Connection: keep-alive\r\n"
    "ETag: \"6743\"\r\n"
    "Accept-Ranges: bytes\r\n"
    "\r\n";

void Http1Parse(benchmark::State& state, Http1Parser::Kind kind, absl::string_view head) {
  const Http1Options options;
  Http1Parser parser(kind, &options);
  Arena arena;
  for (auto _ : state) {
    parser.Start(arena.New<Headers>(&arena));
    size_t taken = 0;
    const Http1Parser::Result result = parser.Parse(head, &taken);
    benchmark::DoNotOptimize(result);
    arena.Reset();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * head.size()));
}
BENCHMARK_CAPTURE(Http1Parse, request, Http1Parser::Kind::kRequest, kRequest);
BENCHMARK_CAPTURE(Http1Parse, small_request, Http1Parser::Kind::kRequest, kSmallRequest);
BENCHMARK_CAPTURE(Http1Parse, response, Http1Parser::Kind::kResponse, kResponse);

void Http1Encode(benchmark::State& state, bool request) {
  const Http1Options options;
  Http1Parser parser(request ? Http1Parser::Kind::kRequest : Http1Parser::Kind::kResponse,
                     &options);
  Arena arena;
  parser.Start(arena.New<Headers>(&arena));
  size_t taken = 0;
  parser.Parse(request ? kRequest : kResponse, &taken);
  const Headers& headers = *parser.headers();
  Http1Encoder encoder(&options);
  Body out;
  for (auto _ : state) {
    if (request) {
      encoder.RequestHead(headers, true, out);
    } else {
      encoder.ResponseHead(headers, false, {}, out);
    }
    out.Clear();
  }
}
BENCHMARK_CAPTURE(Http1Encode, request, true);
BENCHMARK_CAPTURE(Http1Encode, response, false);

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
  void OnBody(Body& b, bool) override { body.Append(b); }
  void OnTrailers(Headers*) override {}
  void OnReset(ResetReason, absl::string_view) override {}
  void OnSendBlocked() override {}
  void OnSendDrained() override {}
  void Recycle() {
    body.Clear();
    arena_.Reset();
  }

  Headers* headers = nullptr;
  Body body;
  CodecStream* stream = nullptr;

 private:
  Arena arena_;
};

class Events : public ServerCodecEvents, public ClientCodecEvents {
 public:
  explicit Events(Sink* sink) : sink_(sink) {}
  MessageSink* OnNewStream(CodecStream* stream) override {
    sink_->stream = stream;
    return sink_;
  }
  void OnPingAck() override {}
  void OnGoAway() override {}
  void OnMaxStreams(uint32_t) override {}
  void OnStreamClosed() override {}

 private:
  Sink* sink_;
};

// All that a proxy does with the bytes of one small request: parse it, write it, parse the answer,
// write that.
void Http1ProxiedExchange(benchmark::State& state) {
  Host down_host, up_host;
  Sink down, up;
  Events events(&down);
  auto server = MakeHttp1ServerCodec(&down_host, &events, {});
  auto client = MakeHttp1ClientCodec(&up_host, &events, {});
  const std::string answer = std::string(kResponse) + std::string(64, 'x');
  Body input;
  for (auto _ : state) {
    input.Append(kSmallRequest);
    server->Feed(input);
    client->NewStream(&up)->SendHeaders(*down.headers, true);
    up_host.output().Clear();
    input.Append(answer);
    client->Feed(input);
    down.stream->SendHeaders(*up.headers, false);
    down.stream->SendBody(up.body, true);
    down_host.output().Clear();
    down.Recycle();
    up.Recycle();
  }
}
BENCHMARK(Http1ProxiedExchange);

// 64 KiB of response in chunks of range(0) bytes.
void Http1ReadChunks(benchmark::State& state) {
  Host host;
  Sink sink;
  Events events(&sink);
  auto client = MakeHttp1ClientCodec(&host, &events, {});
  const size_t chunk = static_cast<size_t>(state.range(0));
  std::string answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  char line[32];
  for (size_t sent = 0; sent < 65536; sent += chunk) {
    const int size = snprintf(line, sizeof(line), "%zx\r\n", chunk);
    answer.append(line, static_cast<size_t>(size)).append(chunk, 'x').append("\r\n");
  }
  answer += "0\r\n\r\n";
  Arena arena;
  Headers request(&arena);
  request.set_pseudo_static(HeaderId::kMethod, "GET");
  request.set_pseudo_static(HeaderId::kPath, "/");
  request.set_pseudo_static(HeaderId::kAuthority, "a");
  Body input;
  for (auto _ : state) {
    client->NewStream(&sink)->SendHeaders(request, true);
    host.output().Clear();
    input.Append(answer);
    client->Feed(input);
    sink.Recycle();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * answer.size()));
}
BENCHMARK(Http1ReadChunks)->Arg(64)->Arg(1024)->Arg(16384);

}  // namespace
}  // namespace remora::proxy
