#include <utility>

#include "proxy/codec/codec.h"
#include "proxy/codec/http1_body.h"
#include "proxy/codec/http1_encoder.h"
#include "proxy/codec/http1_parser.h"

namespace remora::proxy {
namespace {

// One connection from a client. There is one exchange at a time, so the codec is its own stream;
// what a client pipelines stays in the input until the exchange before it has ended.
class Http1Server final : public ServerCodec, public CodecStream {
 public:
  Http1Server(CodecHost* host, ServerCodecEvents* events, const Http1Options& options)
      : host_(host),
        events_(events),
        options_(options),
        parser_(Http1Parser::Kind::kRequest, &options_),
        encoder_(&options_) {}

  // Codec
  Protocol protocol() const override {
    return open_ && parser_.facts().http10 ? Protocol::kHttp10 : Protocol::kHttp11;
  }
  std::unique_ptr<CodecError> Feed(Body& input) override;
  void OnEof() override;
  void OnConnectionClosed(absl::string_view details) override;
  void OnOutputBlocked() override;
  void OnOutputDrained() override;
  void OnOutputEmpty() override {}
  void Shutdown(bool final) override;
  bool wants_close() const override { return dead_ || (final_ && !open_); }
  size_t open_streams() const override { return open_ ? 1 : 0; }
  void SendPing() override {}

  // CodecStream
  uint32_t id() const override { return id_; }
  void SendInterim(const Headers& headers) override;
  void SendHeaders(const Headers& headers, bool end) override;
  void SendBody(Body& body, bool end) override;
  void SendTrailers(const Headers& trailers) override;
  void Reset(ResetReason reason) override;
  void PauseReading() override { ++pauses_; }
  void ResumeReading() override;
  size_t unsent_bytes() const override { return host_->output().size(); }
  WireBytes wire_bytes() const override;

 private:
  enum class In : uint8_t {
    kIdle,  // between requests
    kHead,
    kBody,
    kTrailers,
    kTunnelWait,  // an upgrade or CONNECT was asked for; what follows waits for the answer
    kTunnel,
    kDone,  // the request is complete, its response is not
  };
  enum class Out : uint8_t { kWaiting, kBody, kDone };

  bool MayRead() const;
  bool SkipBlankLine(Body& input);
  void OpenStream();
  bool ReadHead(Body& input);
  bool StartBody();
  bool ReadBody(Body& input);
  bool ReadTrailers(Body& input);
  void DeliverBody(Body& body, bool end);
  bool Fail(const CodecError& error);

  bool InMessage() const { return in_ != In::kIdle && in_ != In::kDone; }
  bool LastResponse() const;
  void ResponseDone();
  void CloseExchange();
  void Die();
  void Detach();

  CodecHost* const host_;
  ServerCodecEvents* const events_;
  const Http1Options options_;
  Http1Parser parser_;
  Http1BodyReader body_reader_;
  Http1Encoder encoder_;
  Body scratch_;
  MessageSink* sink_ = nullptr;
  Headers* trailers_ = nullptr;
  std::unique_ptr<CodecError> error_;
  In in_ = In::kIdle;
  Out out_ = Out::kDone;
  uint32_t id_ = 0;
  int pauses_ = 0;
  bool open_ = false;  // an exchange is under way
  bool feeding_ = false;
  bool input_left_ = false;  // Feed() did not take everything
  bool blank_cr_ = false;    // half a blank line before a request
  bool close_ = false;       // this exchange is the last one
  bool shutdown_ = false;    // the next response says that it is the last
  bool final_ = false;       // ... and none needs to be waited for
  bool dead_ = false;        // nothing more is read or begun
};

bool Http1Server::MayRead() const {
  if (dead_ || in_ == In::kDone || in_ == In::kTunnelWait) return false;
  return pauses_ == 0 || !open_ || in_ == In::kHead;
}

std::unique_ptr<CodecError> Http1Server::Feed(Body& input) {
  feeding_ = true;
  bool good = true;
  while (good && !input.empty() && MayRead()) {
    switch (in_) {
      case In::kIdle:
        if (!SkipBlankLine(input)) OpenStream();
        break;
      case In::kHead:
        good = ReadHead(input);
        break;
      case In::kBody:
      case In::kTunnel:
        good = ReadBody(input);
        break;
      case In::kTrailers:
        good = ReadTrailers(input);
        break;
      case In::kTunnelWait:
      case In::kDone:
        break;
    }
  }
  if (in_ == In::kTrailers) DeliverBody(scratch_, false);
  feeding_ = false;
  if (dead_) input.Clear();
  input_left_ = !input.empty();
  return std::move(error_);
}

// An empty line may stand before a request line (RFC 9112 section 2.2). Returns true when a byte of
// one was taken.
bool Http1Server::SkipBlankLine(Body& input) {
  const char c = input.front().front();
  if (!blank_cr_ && c != '\r') return false;
  if (blank_cr_ && c != '\n') return false;
  blank_cr_ = !blank_cr_;
  input.Consume(1);
  return true;
}

void Http1Server::OpenStream() {
  open_ = true;
  in_ = In::kHead;
  out_ = Out::kWaiting;
  ++id_;
  pauses_ = 0;
  close_ = shutdown_;
  trailers_ = nullptr;
  encoder_.ResetCounts();
  body_reader_.ResetCount();
  host_->OnIdleChange(false);
  sink_ = events_->OnNewStream(this);
  if (sink_ == nullptr) {
    Die();
    return;
  }
  Arena& arena = sink_->arena();
  parser_.Start(arena.New<Headers>(&arena));
  if (std::exchange(blank_cr_, false)) {
    // The CR was not one of a blank line after all.
    Fail(CodecError{"http1.codec_error", 400});
  }
}

bool Http1Server::ReadHead(Body& input) {
  size_t taken = 0;
  const Http1Parser::Result result = parser_.Parse(input.front(), &taken);
  input.Consume(taken);
  if (result == Http1Parser::Result::kMore) return true;
  if (result == Http1Parser::Result::kError) return Fail(parser_.error());
  return StartBody();
}

// Decides what follows the head and shows the head.
bool Http1Server::StartBody() {
  const Http1Facts& facts = parser_.facts();
  close_ = close_ || facts.close || (facts.http10 && !facts.keep_alive);
  const bool body = facts.chunked || facts.content_length.value_or(0) != 0;
  if (facts.websocket && body) return Fail(CodecError{"http1.body_disallowed", 400});
  if (facts.chunked) {
    body_reader_.StartChunked(/*request=*/true);
  } else {
    body_reader_.StartLength(facts.content_length.value_or(0));
  }
  const bool tunnel = facts.connect || facts.upgrade;
  if (body) {
    in_ = In::kBody;
  } else if (tunnel) {
    in_ = In::kTunnelWait;
  } else {
    in_ = In::kDone;
  }
  sink_->OnHeaders(parser_.headers(), in_ == In::kDone);
  return true;
}

bool Http1Server::ReadBody(Body& input) {
  const Http1BodyReader::Result result = body_reader_.Read(input, scratch_);
  switch (result) {
    case Http1BodyReader::Result::kMore:
      DeliverBody(scratch_, false);
      return true;
    case Http1BodyReader::Result::kDone: {
      const bool tunnel = parser_.facts().connect || parser_.facts().upgrade;
      in_ = tunnel ? In::kTunnelWait : In::kDone;
      DeliverBody(scratch_, !tunnel);
      return true;
    }
    case Http1BodyReader::Result::kTrailers:
      in_ = In::kTrailers;
      if (options_.enable_trailers && sink_ != nullptr) {
        Arena& arena = sink_->arena();
        trailers_ = arena.New<Headers>(&arena);
      }
      parser_.StartTrailers(trailers_);
      return true;
    case Http1BodyReader::Result::kError:
      DeliverBody(scratch_, false);
      return Fail(body_reader_.error());
  }
  return true;
}

void Http1Server::DeliverBody(Body& body, bool end) {
  if (sink_ != nullptr && (end || !body.empty())) sink_->OnBody(body, end);
  body.Clear();
}

bool Http1Server::ReadTrailers(Body& input) {
  size_t taken = 0;
  const Http1Parser::Result result = parser_.Parse(input.front(), &taken);
  input.Consume(taken);
  if (result == Http1Parser::Result::kMore) {
    DeliverBody(scratch_, false);
    return true;
  }
  if (result == Http1Parser::Result::kError) {
    DeliverBody(scratch_, false);
    return Fail(parser_.error());
  }
  const bool tunnel = parser_.facts().connect || parser_.facts().upgrade;
  if (tunnel) {
    in_ = In::kTunnelWait;
    DeliverBody(scratch_, false);
    return true;
  }
  in_ = In::kDone;
  if (trailers_ == nullptr || trailers_->size() == 0) {
    DeliverBody(scratch_, true);
    return true;
  }
  DeliverBody(scratch_, false);
  if (sink_ != nullptr) sink_->OnTrailers(trailers_);
  return true;
}

bool Http1Server::Fail(const CodecError& error) {
  error_ = std::make_unique<CodecError>(error);
  dead_ = true;
  close_ = true;
  if (!open_ || out_ != Out::kWaiting) {
    error_->status = 0;
    MessageSink* sink = sink_;
    Detach();
    if (sink != nullptr)
      sink->OnReset(error.overflow ? ResetReason::kOverflow : ResetReason::kProtocolError,
                    error.details);
  }
  return false;
}

void Http1Server::SendInterim(const Headers& headers) {
  if (out_ != Out::kWaiting || parser_.facts().http10) return;
  encoder_.InterimHead(headers, host_->output());
  host_->WantFlush();
}

// Whether the response that begins now is to say that the connection ends with it.
bool Http1Server::LastResponse() const {
  // A body that is still coming would have to be read to its end first, and nobody knows when.
  return close_ || dead_ || shutdown_ || in_ != In::kDone;
}

void Http1Server::SendHeaders(const Headers& headers, bool end) {
  if (out_ != Out::kWaiting) return;
  const Http1Facts& facts = parser_.facts();
  Http1Encoder::Response response;
  // Who refuses HTTP/1.0 says so in HTTP/1.1, as Envoy does.
  response.http10 = facts.http10 && options_.accept_http_10;
  response.head = facts.head;
  response.connect = facts.connect && in_ == In::kTunnelWait;
  response.upgrade = facts.upgrade && in_ == In::kTunnelWait;
  response.close = LastResponse();
  response.keep_alive = facts.http10 && facts.keep_alive;
  encoder_.ResponseHead(headers, end, response, host_->output());
  host_->WantFlush();
  close_ = response.close || encoder_.said_close() || encoder_.until_close();
  out_ = Out::kBody;
  if (encoder_.tunnel()) {
    in_ = In::kTunnel;
    body_reader_.StartRaw();
    if (!feeding_ && input_left_) host_->WantFeed();
  }
  if (end) ResponseDone();
}

void Http1Server::SendBody(Body& body, bool end) {
  if (out_ != Out::kBody) {
    body.Clear();
    return;
  }
  encoder_.SendBody(body, end, host_->output());
  host_->WantFlush();
  if (end) ResponseDone();
}

void Http1Server::SendTrailers(const Headers& trailers) {
  if (out_ != Out::kBody) return;
  encoder_.SendTrailers(trailers, host_->output());
  host_->WantFlush();
  ResponseDone();
}

void Http1Server::ResponseDone() {
  out_ = Out::kDone;
  if (encoder_.is_short()) close_ = true;
  if (in_ == In::kDone) {
    CloseExchange();
    return;
  }
  // Answered before the request was complete (or a tunnel that ended): what still comes is
  // nobody's.
  dead_ = true;
}

// Both directions are through.
void Http1Server::CloseExchange() {
  Detach();
  in_ = In::kIdle;
  if (close_ || shutdown_) dead_ = true;
  if (!dead_ && !feeding_ && input_left_) host_->WantFeed();
}

void Http1Server::Detach() {
  sink_ = nullptr;
  pauses_ = 0;
  if (!std::exchange(open_, false)) return;
  host_->OnIdleChange(true);
}

void Http1Server::Die() {
  dead_ = true;
  out_ = Out::kDone;
  Detach();
}

void Http1Server::Reset(ResetReason /*reason*/) {
  if (open_) Die();
}

void Http1Server::ResumeReading() {
  if (pauses_ == 0 || --pauses_ != 0) return;
  if (!feeding_ && input_left_) host_->WantFeed();
}

CodecStream::WireBytes Http1Server::wire_bytes() const {
  WireBytes bytes;
  bytes.header_received = parser_.facts().field_bytes;
  bytes.received = parser_.facts().wire_bytes + body_reader_.wire_bytes();
  bytes.header_sent = encoder_.header_bytes();
  bytes.fields_received = bytes.header_received;
  bytes.fields_sent = bytes.header_sent;
  bytes.sent = encoder_.bytes();
  return bytes;
}

void Http1Server::OnEof() {
  shutdown_ = true;
  close_ = true;
  if (!open_) {
    dead_ = true;
    return;
  }
  if (in_ == In::kTunnel && sink_ != nullptr) {
    in_ = In::kDone;
    DeliverBody(scratch_, true);
  } else if (InMessage()) {
    OnConnectionClosed({});
  }
}

void Http1Server::OnConnectionClosed(absl::string_view details) {
  MessageSink* sink = sink_;
  const bool open = open_;
  Die();
  if (open && sink != nullptr) sink->OnReset(ResetReason::kConnectionClosed, details);
}

void Http1Server::OnOutputBlocked() {
  if (sink_ != nullptr && out_ != Out::kDone) sink_->OnSendBlocked();
}

void Http1Server::OnOutputDrained() {
  if (sink_ != nullptr && out_ != Out::kDone) sink_->OnSendDrained();
}

void Http1Server::Shutdown(bool final) {
  shutdown_ = true;
  final_ = final_ || final;
}

}  // namespace

std::unique_ptr<ServerCodec> MakeHttp1ServerCodec(CodecHost* host, ServerCodecEvents* events,
                                                  const Http1Options& options) {
  return std::make_unique<Http1Server>(host, events, options);
}

}  // namespace remora::proxy
