#ifndef REMORA_TESTS_SUPPORT_CODEC_PEER_H_
#define REMORA_TESTS_SUPPORT_CODEC_PEER_H_

#include <memory>
#include <string>
#include <utility>

#include "tests/support/codec_fakes.h"
#include "tests/support/upstream_fixture.h"

namespace remora::testing {

// A server at the far end of a pipe, speaking through a real codec: its streams are the events'
// sinks.
class CodecPeer {
 public:
  explicit CodecPeer(std::shared_ptr<FarEnd> far, bool http2 = true,
                     const proxy::Http2Options& options = {})
      : far_(std::move(far)) {
    codec = http2 ? proxy::MakeHttp2ServerCodec(&host_, &events, options)
                  : proxy::MakeHttp1ServerCodec(&host_, &events, {});
    Push();
  }

  // Carries bytes between the pipe and the codec.
  void Pump() {
    input_.Append(far_->Take());
    if (!input_.empty() || host_.feed_wanted) {
      host_.feed_wanted = false;
      codec->Feed(input_);
    }
    Push();
  }
  void Push() {
    codec->OnOutputEmpty();
    const std::string out = host_.TakeOutput();
    if (!out.empty()) far_->Send(out);
  }
  size_t streams() const { return events.sinks.size(); }
  proxy::FakeSink& stream(size_t i) { return *events.sinks.at(i); }

  // A whole answer.
  void Answer(size_t i, int status, absl::string_view body = "",
              std::initializer_list<std::pair<const char*, std::string>> fields = {}) {
    proxy::TestHeaders headers(fields);
    headers.get()->set_status(status);
    stream(i).stream->SendHeaders(*headers, body.empty());
    if (!body.empty()) {
      Body bytes = proxy::BodyOf(body);
      stream(i).stream->SendBody(bytes, true);
    }
    Push();
  }

  proxy::FakeServerEvents events;
  std::unique_ptr<proxy::ServerCodec> codec;

 private:
  std::shared_ptr<FarEnd> far_;
  proxy::FakeCodecHost host_;
  Body input_;
};

}  // namespace remora::testing

#endif  // REMORA_TESTS_SUPPORT_CODEC_PEER_H_
