// Both HTTP/2 codecs on any input. The first byte chooses the side and how the input is cut; with
// bit 2 the lawful beginning (preface, SETTINGS, a request) is put before it.
#include <cstdint>
#include <memory>
#include <string>

#include "tests/proxy/codec/http2_frames.h"
#include "tests/support/codec_fakes.h"

namespace remora::proxy {
namespace {

void FeedAll(Codec& codec, FakeCodecHost& host, absl::string_view wire, size_t piece) {
  Body input;
  while (!wire.empty()) {
    input.Append(wire.substr(0, piece));
    wire.remove_prefix(std::min(piece, wire.size()));
    if (codec.Feed(input) != nullptr) break;
    if (host.feed_wanted) {
      host.feed_wanted = false;
      if (codec.Feed(input) != nullptr) break;
    }
    host.TakeOutput();
  }
  codec.OnConnectionClosed("");
}

void Serve(absl::string_view wire, bool begin, size_t piece) {
  FakeCodecHost host;
  FakeServerEvents events;
  Http2Options options;
  options.max_headers_bytes = 4096;
  options.allow_connect = true;
  options.stream_error_on_invalid_message = piece == 1;
  events.on_new = [](FakeSink& sink) {
    sink.on_headers = [&sink](bool) { sink.stream->PauseReading(); };
    sink.on_body = [&sink] {
      const TestHeaders ok({{":status", "200"}});
      sink.stream->SendHeaders(*ok, false);
    };
    sink.on_end = [&sink] {
      const TestHeaders ok({{":status", "200"}});
      sink.stream->SendHeaders(*ok, false);
      Body body = BodyOf(sink.body);
      sink.stream->SendBody(body, true);
    };
  };
  auto codec = MakeHttp2ServerCodec(&host, &events, options);
  std::string text;
  if (begin) text = ClientHello() + HeadersFrame(1, RequestFields("/", "POST"), false);
  text.append(wire.data(), wire.size());
  FeedAll(*codec, host, text, piece);
}

void Ask(absl::string_view wire, bool begin, size_t piece) {
  FakeCodecHost host;
  FakeClientEvents events;
  FakeSink sinks[3];
  auto codec = MakeHttp2ClientCodec(&host, &events, {});
  const TestHeaders get(
      {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}});
  for (FakeSink& sink : sinks) codec->NewStream(&sink)->SendHeaders(*get, &sink != &sinks[2]);
  std::string text;
  if (begin) text = Frame(kSettings, 0, 0, "") + HeadersFrame(1, {{":status", "200"}}, false);
  text.append(wire.data(), wire.size());
  FeedAll(*codec, host, text, piece);
}

}  // namespace
}  // namespace remora::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::proxy;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  const absl::string_view wire(reinterpret_cast<const char*>(data) + 1, size - 1);
  const bool begin = (data[0] & 2) != 0;
  const size_t piece = (data[0] & 4) != 0 ? 1 : (data[0] >> 3) * 64 + 9;
  if ((data[0] & 1) != 0) {
    Serve(wire, begin, piece);
  } else {
    Ask(wire, begin, piece);
  }
  return 0;
}
