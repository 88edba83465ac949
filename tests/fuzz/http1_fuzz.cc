// Both HTTP/1 codecs on any input: no crash, and the same outcome whole, in two pieces and
// bytewise. The first byte chooses the side and the options, the second where to cut.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "tests/support/codec_fakes.h"

namespace remora::proxy {
namespace {

Http1Options OptionsOf(uint8_t bits) {
  Http1Options options;
  options.max_headers_bytes = 2048;
  options.accept_http_10 = (bits & 2) != 0;
  options.enable_trailers = (bits & 4) != 0;
  options.preserve_case = (bits & 8) != 0;
  options.allow_custom_methods = (bits & 16) != 0;
  options.allow_chunked_length = (bits & 32) != 0;
  options.allow_absolute_url = (bits & 64) == 0;
  return options;
}

// Feeds `wire` in pieces of at most `piece` bytes after a first one of `first`.
template <typename Feed>
void InPieces(absl::string_view wire, size_t first, size_t piece, const Feed& feed) {
  size_t size = first;
  while (!wire.empty()) {
    const absl::string_view part = wire.substr(0, size);
    wire.remove_prefix(part.size());
    if (!feed(part)) return;
    size = piece;
  }
}

std::string RunServer(absl::string_view wire, const Http1Options& options, size_t first,
                      size_t piece) {
  FakeCodecHost host;
  FakeServerEvents events;
  events.on_new = [](FakeSink& sink) {
    sink.on_end = [&sink] {
      const TestHeaders ok({{":status", "200"}});
      sink.stream->SendHeaders(*ok, false);
      Body body = BodyOf(sink.body);
      sink.stream->SendBody(body, true);
    };
  };
  auto codec = MakeHttp1ServerCodec(&host, &events, options);
  Body input;
  std::string error;
  InPieces(wire, first, piece, [&](absl::string_view part) {
    input.Append(part);
    const std::unique_ptr<CodecError> failure = codec->Feed(input);
    if (failure != nullptr) error = absl::StrCat(std::string(failure->details), failure->status);
    return failure == nullptr;
  });
  std::string text = error;
  for (const auto& sink : events.sinks) absl::StrAppend(&text, sink->Summary(), "\n");
  return text + host.TakeOutput();
}

std::string RunClient(absl::string_view wire, const Http1Options& options, size_t first,
                      size_t piece) {
  FakeCodecHost host;
  FakeClientEvents events;
  FakeSink sink;
  auto codec = MakeHttp1ClientCodec(&host, &events, options);
  const TestHeaders request({{":method", "GET"}, {":path", "/"}, {":authority", "a"}});
  codec->NewStream(&sink)->SendHeaders(*request, true);
  Body input;
  std::string error;
  InPieces(wire, first, piece, [&](absl::string_view part) {
    // One response is the whole of it; what follows is judged by how reads happen to fall.
    if (sink.ends != 0) return false;
    input.Append(part);
    const std::unique_ptr<CodecError> failure = codec->Feed(input);
    if (failure != nullptr) error = std::string(failure->details);
    return failure == nullptr;
  });
  return absl::StrCat(error, sink.Summary());
}

}  // namespace
}  // namespace remora::proxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::proxy;  // NOLINT(google-build-using-namespace)
  if (size < 2) return 0;
  const Http1Options options = OptionsOf(data[0]);
  const absl::string_view wire(reinterpret_cast<const char*>(data) + 2, size - 2);
  const size_t cut = data[1] + 1u;
  const auto run = [&](size_t first, size_t piece) {
    return (data[0] & 1) != 0 ? RunServer(wire, options, first, piece)
                              : RunClient(wire, options, first, piece);
  };
  const std::string whole = run(SIZE_MAX, SIZE_MAX);
  if (run(cut, SIZE_MAX) != whole || run(1, 1) != whole) abort();
  return 0;
}
