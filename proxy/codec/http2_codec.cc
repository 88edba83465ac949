#include <memory>

#include "proxy/codec/codec.h"
#include "proxy/codec/http2_session.h"

namespace remora::proxy {
namespace {

// Both roles are the same session seen through different doors.
template <typename Role>
class Http2Codec : public Role {
 public:
  Http2Codec(CodecHost* host, ServerCodecEvents* server, ClientCodecEvents* client,
             const Http2Options& options)
      : session_(host, server, client, options) {}

  Protocol protocol() const override { return Protocol::kHttp2; }
  std::unique_ptr<CodecError> Feed(Body& input) override { return session_.Feed(input); }
  // A half-closed connection still takes responses; what cannot be answered ends with the
  // connection.
  void OnEof() override { session_.Shutdown(/*final=*/true); }
  void OnConnectionClosed(absl::string_view details) override {
    session_.OnConnectionClosed(details);
  }
  void OnOutputBlocked() override { session_.SetOutputBlocked(true); }
  void OnOutputDrained() override { session_.SetOutputBlocked(false); }
  void OnOutputEmpty() override { session_.SetOutputBlocked(false); }
  void Shutdown(bool final) override { session_.Shutdown(final); }
  bool wants_close() const override { return session_.wants_close(); }
  size_t open_streams() const override { return session_.open_streams(); }
  void SendPing() override { session_.SendPing(); }

 protected:
  Http2Session session_;
};

class Http2Server final : public Http2Codec<ServerCodec> {
 public:
  using Http2Codec::Http2Codec;
};

class Http2Client final : public Http2Codec<ClientCodec> {
 public:
  using Http2Codec::Http2Codec;
  CodecStream* NewStream(MessageSink* sink) override { return session_.NewStream(sink); }
  bool can_reuse() const override { return session_.can_reuse(); }
};

}  // namespace

std::unique_ptr<ServerCodec> MakeHttp2ServerCodec(CodecHost* host, ServerCodecEvents* events,
                                                  const Http2Options& options) {
  return std::make_unique<Http2Server>(host, events, nullptr, options);
}

std::unique_ptr<ClientCodec> MakeHttp2ClientCodec(CodecHost* host, ClientCodecEvents* events,
                                                  const Http2Options& options) {
  return std::make_unique<Http2Client>(host, nullptr, events, options);
}

}  // namespace remora::proxy
