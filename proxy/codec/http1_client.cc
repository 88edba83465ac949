#include <utility>

#include "proxy/codec/codec.h"
#include "proxy/codec/http1_body.h"
#include "proxy/codec/http1_encoder.h"
#include "proxy/codec/http1_parser.h"

namespace remora::proxy {
namespace {

// A response may be preceded by this many interim ones.
constexpr int kMostInterim = 100;

// One connection to a server. Requests are not pipelined: one exchange at a time, the codec is its
// own stream. A connection is used again only after an exchange that ended beyond doubt.
class Http1Client final : public ClientCodec, public CodecStream {
 public:
  Http1Client(CodecHost* host, ClientCodecEvents* events, const Http1Options& options)
      : host_(host),
        events_(events),
        options_(options),
        parser_(Http1Parser::Kind::kResponse, &options_),
        encoder_(&options_) {}

  // Codec
  Protocol protocol() const override { return Protocol::kHttp11; }
  std::unique_ptr<CodecError> Feed(Body& input) override;
  void OnEof() override;
  void OnConnectionClosed(absl::string_view details) override;
  void OnOutputBlocked() override;
  void OnOutputDrained() override;
  void OnOutputEmpty() override {}
  void Shutdown(bool /*final*/) override { shutdown_ = true; }
  bool wants_close() const override { return dead_ || (shutdown_ && !open_); }
  size_t open_streams() const override { return open_ ? 1 : 0; }
  void SendPing() override {}

  // ClientCodec
  CodecStream* NewStream(MessageSink* sink) override;
  bool can_reuse() const override { return !dead_ && !shutdown_ && !close_; }

  // CodecStream
  uint32_t id() const override { return id_; }
  void SendInterim(const Headers& /*headers*/) override {}
  void SendHeaders(const Headers& headers, bool end) override;
  void SendBody(Body& body, bool end) override;
  void SendTrailers(const Headers& trailers) override;
  void Reset(ResetReason reason) override;
  void PauseReading() override { ++pauses_; }
  void ResumeReading() override;
  size_t unsent_bytes() const override { return host_->output().size() + held_.size(); }
  WireBytes wire_bytes() const override;

 private:
  enum class In : uint8_t { kIdle, kHead, kBody, kTrailers, kTunnel, kDone };
  enum class Out : uint8_t { kIdle, kHeaders, kBody, kDone };

  bool MayRead() const;
  bool ReadHead(Body& input);
  bool OnHead(Body& input);
  bool ChooseBody();
  bool ReadBody(Body& input);
  bool ReadTrailers(Body& input);
  void DeliverBody(bool end, const Body& input);
  MessageSink* ResponseDone(const Body& input);
  bool Fail(const CodecError& error);
  void BeginTunnel();
  void RequestDone();
  void Finish();
  void Die();

  CodecHost* const host_;
  ClientCodecEvents* const events_;
  const Http1Options options_;
  Http1Parser parser_;
  Http1BodyReader body_reader_;
  Http1Encoder encoder_;
  Body scratch_;
  Body held_;  // sent before the server agreed to the tunnel
  MessageSink* sink_ = nullptr;
  Headers* trailers_ = nullptr;
  std::unique_ptr<CodecError> error_;
  In in_ = In::kIdle;
  Out out_ = Out::kIdle;
  uint32_t id_ = 0;
  int pauses_ = 0;
  int interim_ = 0;
  bool head_request_ = false;
  bool connect_request_ = false;
  bool upgrade_request_ = false;
  bool held_blocked_ = false;
  bool held_end_ = false;
  bool until_close_ = false;
  bool open_ = false;
  bool feeding_ = false;
  bool input_left_ = false;
  bool close_ = false;  // this exchange is the last one
  bool shutdown_ = false;
  bool dead_ = false;
};

CodecStream* Http1Client::NewStream(MessageSink* sink) {
  if (open_ || !can_reuse()) return nullptr;
  open_ = true;
  sink_ = sink;
  in_ = In::kHead;
  out_ = Out::kHeaders;
  ++id_;
  pauses_ = interim_ = 0;
  head_request_ = connect_request_ = upgrade_request_ = false;
  held_blocked_ = held_end_ = until_close_ = false;
  trailers_ = nullptr;
  encoder_.ResetCounts();
  body_reader_.ResetCount();
  parser_.Start(nullptr);
  host_->OnIdleChange(false);
  return this;
}

void Http1Client::SendHeaders(const Headers& headers, bool end) {
  if (out_ != Out::kHeaders) return;
  head_request_ = headers.method() == "HEAD";
  connect_request_ = headers.method() == "CONNECT";
  upgrade_request_ = headers.Find(HeaderId::kUpgrade) != nullptr;
  Arena& arena = sink_->arena();
  parser_.Start(arena.New<Headers>(&arena));
  encoder_.RequestHead(headers, end, host_->output());
  host_->WantFlush();
  close_ = close_ || encoder_.said_close() || connect_request_ || upgrade_request_;
  out_ = Out::kBody;
  if (end) RequestDone();
}

void Http1Client::SendBody(Body& body, bool end) {
  if (out_ != Out::kBody) {
    body.Clear();
    return;
  }
  if ((connect_request_ || upgrade_request_) && !encoder_.tunnel()) {
    held_.Append(body);
    held_end_ = end;
    if (!held_blocked_ && held_.size() > options_.buffer_limit) {
      held_blocked_ = true;
      sink_->OnSendBlocked();
    }
    return;
  }
  encoder_.SendBody(body, end, host_->output());
  host_->WantFlush();
  if (end) RequestDone();
}

void Http1Client::SendTrailers(const Headers& trailers) {
  if (out_ != Out::kBody) return;
  encoder_.SendTrailers(trailers, host_->output());
  host_->WantFlush();
  RequestDone();
}

void Http1Client::RequestDone() {
  out_ = Out::kDone;
  if (encoder_.is_short()) close_ = true;
  if (in_ == In::kDone && open_) Finish();
}

// The server agreed: what was held back goes out.
void Http1Client::BeginTunnel() {
  in_ = In::kTunnel;
  body_reader_.StartRaw();
  encoder_.BeginTunnel();
  if (out_ != Out::kBody) return;
  const bool end = held_end_;
  if (!held_.empty() || end) {
    encoder_.SendBody(held_, end, host_->output());
    host_->WantFlush();
  }
  if (end) out_ = Out::kDone;
  if (std::exchange(held_blocked_, false)) sink_->OnSendDrained();
}

bool Http1Client::MayRead() const {
  if (dead_) return false;
  return in_ == In::kIdle || in_ == In::kDone || pauses_ == 0;
}

std::unique_ptr<CodecError> Http1Client::Feed(Body& input) {
  feeding_ = true;
  bool good = true;
  while (good && !input.empty() && MayRead()) {
    switch (in_) {
      case In::kIdle:
        good = Fail(CodecError{"http1.codec_error"});
        break;
      case In::kDone:  // more than the response
        dead_ = true;
        break;
      case In::kHead:
        // An answer to what was not asked yet is none.
        good = out_ == Out::kHeaders ? Fail(CodecError{"http1.codec_error"}) : ReadHead(input);
        break;
      case In::kBody:
      case In::kTunnel:
        good = ReadBody(input);
        break;
      case In::kTrailers:
        good = ReadTrailers(input);
        break;
    }
  }
  if (in_ == In::kTrailers) DeliverBody(false, input);
  feeding_ = false;
  if (dead_) input.Clear();
  input_left_ = !input.empty();
  return std::move(error_);
}

bool Http1Client::ReadHead(Body& input) {
  size_t taken = 0;
  const Http1Parser::Result result = parser_.Parse(input.front(), &taken);
  input.Consume(taken);
  if (result == Http1Parser::Result::kMore) return true;
  if (result == Http1Parser::Result::kError) return Fail(parser_.error());
  return OnHead(input);
}

bool Http1Client::OnHead(Body& input) {
  const Http1Facts& facts = parser_.facts();
  Headers* headers = parser_.headers();
  if (facts.status < 200 && facts.status != 101) {
    if (++interim_ > kMostInterim) return Fail(CodecError{"http1.codec_error"});
    Arena& arena = sink_->arena();
    parser_.Start(arena.New<Headers>(&arena));
    sink_->OnInterim(headers);
    return true;
  }
  if (!ChooseBody()) return false;
  if (in_ == In::kTunnel) {
    sink_->OnHeaders(headers, false);
    return true;
  }
  close_ = close_ || facts.close || (facts.http10 && !facts.keep_alive) || until_close_;
  if (held_end_) out_ = Out::kDone;
  held_.Clear();
  if (in_ != In::kDone) {
    sink_->OnHeaders(headers, false);
  } else {
    ResponseDone(input)->OnHeaders(headers, true);
    if (!open_) events_->OnStreamClosed();
  }
  return true;
}

// RFC 9112 section 6.3, in its order.
bool Http1Client::ChooseBody() {
  const Http1Facts& facts = parser_.facts();
  const uint64_t length = facts.content_length.value_or(0);
  if (facts.status == 101 || (connect_request_ && facts.status / 100 == 2)) {
    if (facts.chunked || length != 0) return Fail(CodecError{"http1.content_length_not_allowed"});
    if (facts.status == 101 && !(upgrade_request_ && facts.upgrade)) {
      return Fail(CodecError{"http1.codec_error"});
    }
    BeginTunnel();
    return true;
  }
  in_ = In::kBody;
  if (facts.status == 204 && facts.content_length) {
    if (length != 0) return Fail(CodecError{"http1.content_length_not_allowed"});
    parser_.headers()->Remove(HeaderId::kContentLength);
  }
  if (head_request_ || facts.status == 204 || facts.status == 304 ||
      (!facts.chunked && facts.content_length == 0u)) {
    body_reader_.StartNone();
    in_ = In::kDone;
  } else if (facts.chunked) {
    body_reader_.StartChunked(/*request=*/false);
  } else if (facts.content_length) {
    body_reader_.StartLength(length);
  } else {
    until_close_ = true;
    body_reader_.StartRaw();
  }
  return true;
}

bool Http1Client::ReadBody(Body& input) {
  switch (body_reader_.Read(input, scratch_)) {
    case Http1BodyReader::Result::kMore:
      DeliverBody(false, input);
      return true;
    case Http1BodyReader::Result::kDone:
      in_ = In::kDone;
      DeliverBody(true, input);
      return true;
    case Http1BodyReader::Result::kTrailers:
      in_ = In::kTrailers;
      if (options_.enable_trailers) {
        Arena& arena = sink_->arena();
        trailers_ = arena.New<Headers>(&arena);
      }
      parser_.StartTrailers(trailers_);
      return true;
    case Http1BodyReader::Result::kError:
      DeliverBody(false, input);
      return Fail(body_reader_.error());
  }
  return true;
}

bool Http1Client::ReadTrailers(Body& input) {
  size_t taken = 0;
  const Http1Parser::Result result = parser_.Parse(input.front(), &taken);
  input.Consume(taken);
  if (result != Http1Parser::Result::kDone) DeliverBody(false, input);
  if (result == Http1Parser::Result::kMore) return true;
  if (result == Http1Parser::Result::kError) return Fail(parser_.error());
  in_ = In::kDone;
  if (trailers_ == nullptr || trailers_->size() == 0) {
    DeliverBody(true, input);
    return true;
  }
  Headers* trailers = trailers_;
  DeliverBody(false, input);
  if (!open_) return true;
  ResponseDone(input)->OnTrailers(trailers);
  if (!open_) events_->OnStreamClosed();
  return true;
}

// Delivers scratch_.
void Http1Client::DeliverBody(bool end, const Body& input) {
  Body body = std::move(scratch_);
  if (end && open_) {
    ResponseDone(input)->OnBody(body, true);
    if (!open_) events_->OnStreamClosed();
  } else if (open_ && !body.empty()) {
    sink_->OnBody(body, false);
  }
}

// The last event is about to be delivered, to the returned sink. From here on the connection may be
// used anew, even from inside that event.
MessageSink* Http1Client::ResponseDone(const Body& input) {
  MessageSink* sink = sink_;
  if (!input.empty()) close_ = true;  // bytes that no request asked for
  if (out_ != Out::kDone) {
    // Answered early: the rest of the request cannot be taken back, so the connection is spent.
    close_ = true;
    return sink;
  }
  open_ = false;
  sink_ = nullptr;
  in_ = In::kIdle;
  out_ = Out::kIdle;
  pauses_ = 0;
  if (close_) dead_ = true;
  host_->OnIdleChange(true);
  return sink;
}

// The request ended after its response.
void Http1Client::Finish() {
  Die();
  events_->OnStreamClosed();
}

bool Http1Client::Fail(const CodecError& error) {
  error_ = std::make_unique<CodecError>(error);
  error_->status = 0;
  MessageSink* sink = sink_;
  const bool open = open_;
  Die();
  if (open) {
    sink->OnReset(error.overflow ? ResetReason::kOverflow : ResetReason::kProtocolError,
                  error.details);
  }
  return false;
}

void Http1Client::Die() {
  dead_ = true;
  sink_ = nullptr;
  out_ = Out::kIdle;
  in_ = In::kIdle;
  held_.Clear();
  if (std::exchange(open_, false)) host_->OnIdleChange(true);
}

void Http1Client::Reset(ResetReason /*reason*/) {
  if (open_) Die();
}

void Http1Client::ResumeReading() {
  if (pauses_ == 0 || --pauses_ != 0) return;
  if (!feeding_ && input_left_) host_->WantFeed();
}

CodecStream::WireBytes Http1Client::wire_bytes() const {
  WireBytes bytes;
  bytes.header_received = parser_.facts().field_bytes;
  bytes.received = parser_.facts().wire_bytes + body_reader_.wire_bytes();
  bytes.header_sent = encoder_.header_bytes();
  bytes.fields_received = bytes.header_received;
  bytes.fields_sent = bytes.header_sent;
  bytes.sent = encoder_.bytes();
  return bytes;
}

void Http1Client::OnEof() {
  shutdown_ = true;
  if (open_ && (in_ == In::kTunnel || (in_ == In::kBody && until_close_))) {
    const bool both = in_ != In::kTunnel || out_ == Out::kDone;
    in_ = In::kDone;
    if (both) {
      DeliverBody(true, scratch_);
    } else {
      // A tunnel's other direction goes on.
      Body none;
      sink_->OnBody(none, true);
    }
    return;
  }
  OnConnectionClosed({});
}

void Http1Client::OnConnectionClosed(absl::string_view details) {
  MessageSink* sink = sink_;
  const bool open = open_;
  Die();
  if (open) sink->OnReset(ResetReason::kConnectionClosed, details);
}

void Http1Client::OnOutputBlocked() {
  if (open_ && out_ == Out::kBody) sink_->OnSendBlocked();
}

void Http1Client::OnOutputDrained() {
  if (open_ && out_ == Out::kBody) sink_->OnSendDrained();
}

}  // namespace

std::unique_ptr<ClientCodec> MakeHttp1ClientCodec(CodecHost* host, ClientCodecEvents* events,
                                                  const Http1Options& options) {
  return std::make_unique<Http1Client>(host, events, options);
}

}  // namespace remora::proxy
