#ifndef REMORA_PROXY_CODEC_CODEC_H_
#define REMORA_PROXY_CODEC_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "filters/api/headers.h"
#include "filters/api/stream_info.h"

namespace remora::proxy {

// A codec turns the bytes of one connection into message events and back. It knows no socket, no
// timer and no configuration message; any input gives events or one CodecError. HTTP/1 and HTTP/2
// present the same picture: a connection carries streams, a stream is one exchange.
//
// Threads: the connection's loop. Reentrancy: an event handler may call any method of its
// CodecStream (send, reset, pause) from inside the event; a codec is never destroyed from inside
// its own Feed() (the owner buries it, see base/graveyard.h).

// Why a stream ended before its time.
enum class ResetReason : uint8_t {
  kRemoteReset,       // RST_STREAM from the peer
  kRemoteRefused,     // RST_STREAM(REFUSED_STREAM), or a GOAWAY that did not cover the stream
  kLocalReset,        // we gave it up
  kConnectionClosed,  // the connection ended under it
  kProtocolError,     // the peer broke the protocol on this stream
  kOverflow,          // limits of this codec (header size, streams)
  kConnectError,      // RST_STREAM(CONNECT_ERROR)
};

// A violation that ends the connection.
//
// HTTP/1 server, `status` set: the stream that is open got no OnReset and no more of the request;
// the owner answers through it (SendHeaders as usual, the codec adds `Connection: close`), then
// closes. In every other case the codec has reset its streams with kProtocolError or kOverflow
// before Feed() returns; the owner sends what is in output() (an HTTP/2 GOAWAY), then closes. After
// an error Feed() discards whatever it is given.
struct CodecError {
  // Static text, Envoy's code detail ("http1.codec_error", "http2.violation.of.messaging.rule",
  // ...).
  absl::string_view details;
  // 0: no answer can or should be sent. 400, 426, 431, 501 otherwise.
  int status = 0;
  // True for a limit that was exceeded, false for malformed input.
  bool overflow = false;
};

class CodecStream;

// The receiving end of one exchange: a server's Stream or a client's Attempt. The codec calls it in
// the order of the message: OnInterim* OnHeaders OnBody* OnTrailers?; `end` marks the last event.
// OnReset may come at any point instead of what is left, and is the last call of all.
class MessageSink {
 public:
  virtual ~MessageSink() = default;

  // Where the codec puts header text of this exchange.
  virtual Arena& arena() = 0;

  // A 1xx response other than 101 (client side only).
  virtual void OnInterim(Headers* headers) = 0;
  // `headers` lives in arena(). Requests carry :method, :path, :scheme, :authority (HTTP/1: Host
  // becomes :authority, no "host" field remains; :scheme is left empty by HTTP/1 unless the target
  // was absolute); responses :status. Framing fields (transfer-encoding, connection, keep-alive,
  // proxy-connection, upgrade, http2-settings, te other than "trailers", fields that Connection
  // nominates) are consumed by the codec and not shown; content-length is shown. An HTTP/1.1
  // message that asks for an upgrade (or a 101) keeps `connection` and `upgrade`; it never has
  // `end` set, and what follows its head is held back until the answer is known. A CONNECT has no
  // :path (HTTP/2 extended CONNECT: :protocol, :path and :scheme). :authority is valid or absent;
  // the caller refuses a request without it. :path starts with '/' unless it is "*" (OPTIONS) or
  // absolute URLs are not allowed; it may carry a '#'.
  virtual void OnHeaders(Headers* headers, bool end) = 0;
  // Takes what it wants of `body`; what it leaves is dropped.
  virtual void OnBody(Body& body, bool end) = 0;
  virtual void OnTrailers(Headers* trailers) = 0;
  virtual void OnReset(ResetReason reason, absl::string_view details) = 0;
  // The sending side is full (above its high watermark): stop producing for this stream. Drained:
  // below the low watermark again.
  virtual void OnSendBlocked() = 0;
  virtual void OnSendDrained() = 0;
};

// The sending end of one exchange. Owned by the codec; valid until both directions have ended (the
// event with `end` was delivered and Send*(end) was called), or OnReset was delivered, or Reset()
// was called. Whoever holds it drops it at that point; wire_bytes() may still be read until control
// returns to the codec's caller. No sink is called after that point.
//
// A server whose response ends before the request did calls Reset() once unsent_bytes() is 0 (it
// then gets OnSendDrained): HTTP/2 says RST_STREAM(NO_ERROR), HTTP/1 closes.
class CodecStream {
 public:
  // A client's stream gets its sink at NewStream(), a server's at OnNewStream().
  virtual uint32_t id() const = 0;  // HTTP/2 stream id; a running number for HTTP/1

  // Server: 1xx before the final response. 101 is sent by SendHeaders.
  virtual void SendInterim(const Headers& headers) = 0;
  // `end`: no body and no trailers follow. The codec adds framing by itself.
  virtual void SendHeaders(const Headers& headers, bool end) = 0;
  // Takes all of `body`.
  virtual void SendBody(Body& body, bool end) = 0;
  virtual void SendTrailers(const Headers& trailers) = 0;
  // Gives the exchange up; OnReset is not called back. HTTP/2 sends RST_STREAM, HTTP/1 makes the
  // connection unusable.
  virtual void Reset(ResetReason reason) = 0;

  // Back-pressure towards the sender: while paused no OnBody comes (HTTP/2: the window is not
  // reopened; HTTP/1: the codec stops taking input). Pauses nest by count. Only when the connection
  // ends is the rest of an HTTP/2 response that had arrived whole delivered in spite of a pause.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;

  // Bytes accepted for sending that have not left the codec.
  virtual size_t unsent_bytes() const = 0;
  // Header bytes and total bytes of this exchange on the wire, in both directions, so far.
  struct WireBytes {
    uint64_t received = 0;
    uint64_t sent = 0;
    uint64_t header_received = 0;
    uint64_t header_sent = 0;
    // Names and values of header fields before compression; HTTP/1 knows none.
    uint64_t fields_received = 0;
    uint64_t fields_sent = 0;
  };
  virtual WireBytes wire_bytes() const = 0;

 protected:
  ~CodecStream() = default;
};

// What a codec needs of its connection.
class CodecHost {
 public:
  // Bytes to be written; the codec appends.
  virtual Body& output() = 0;
  // Something was appended to output(): flush at the end of this turn.
  virtual void WantFlush() = 0;
  // A paused codec can take input again: call Feed() with what is buffered (even if that is
  // nothing: HTTP/2 keeps bodies of paused streams itself), later in this turn, not from inside
  // this call.
  virtual void WantFeed() = 0;
  // No stream is open any more / the first one opened (idle timers).
  virtual void OnIdleChange(bool idle) = 0;
  // Monotonic time of this turn, for the judgement of resets that come too early. Without a clock
  // every reset counts as early.
  virtual int64_t now_ns() { return 0; }

 protected:
  ~CodecHost() = default;
};

// Counters of a worker's codecs of one scope, Envoy's names (http2.rx_reset, ...). Plain numbers
// with one writer; the owner copies them into statistics.
struct CodecStats {
  uint64_t goaway_sent = 0;
  uint64_t header_overflow = 0;
  uint64_t inbound_empty_frames_flood = 0;
  uint64_t inbound_priority_frames_flood = 0;
  uint64_t inbound_window_update_frames_flood = 0;
  uint64_t outbound_control_flood = 0;
  uint64_t outbound_flood = 0;
  uint64_t rx_messaging_error = 0;
  uint64_t rx_reset = 0;
  uint64_t stream_refused_errors = 0;
  uint64_t trailers = 0;
  uint64_t tx_reset = 0;
  uint64_t too_many_premature_resets = 0;
};

class Codec {
 public:
  virtual ~Codec() = default;

  virtual Protocol protocol() const = 0;
  // Consumes from `input` what it can: all of it, unless reading is paused or a message boundary
  // requires an answer first. While bytes are left the owner stops reading, until WantFeed.
  virtual std::unique_ptr<CodecError> Feed(Body& input) = 0;
  // The peer will send no more (an orderly end, not a reset), and Feed() took all that came before.
  // Ends or resets streams as the protocol says: only this ends a body that lasts until the close.
  virtual void OnEof() = 0;
  // The connection is gone: resets every stream with kConnectionClosed. After that the codec is
  // inert.
  virtual void OnConnectionClosed(absl::string_view details) = 0;
  // The connection's output rose above / fell below its watermarks.
  virtual void OnOutputBlocked() = 0;
  virtual void OnOutputDrained() = 0;
  // Everything in output() was written; HTTP/2 may generate more frames.
  virtual void OnOutputEmpty() = 0;
  // Tells the peer that no new streams are welcome. HTTP/2: GOAWAY(2^31-1) when `final` is false,
  // then the true last stream. HTTP/1: `Connection: close` on the next response.
  virtual void Shutdown(bool final) = 0;
  // True when the connection must be closed once output() is written and no stream is open.
  virtual bool wants_close() const = 0;
  virtual size_t open_streams() const = 0;
  // HTTP/2 keep-alive: sends a PING; OnPingAck of the events answers. No-op for HTTP/1.
  virtual void SendPing() = 0;
};

class ServerCodecEvents {
 public:
  // The first byte of a request arrived (HTTP/1), or its HEADERS frame began (HTTP/2). Returns the
  // sink, which outlives the stream, or null to refuse it.
  virtual MessageSink* OnNewStream(CodecStream* stream) = 0;
  virtual void OnPingAck() {}

 protected:
  ~ServerCodecEvents() = default;
};

class ClientCodecEvents {
 public:
  // The peer is going away: no new streams; those above its last id got OnReset(kRemoteRefused).
  virtual void OnGoAway() = 0;
  // The number of streams the peer allows changed (HTTP/2 SETTINGS).
  virtual void OnMaxStreams(uint32_t most) = 0;
  // A stream ended, both directions: capacity may be free again.
  virtual void OnStreamClosed() = 0;
  virtual void OnPingAck() {}

 protected:
  ~ClientCodecEvents() = default;
};

class ServerCodec : public Codec {};

class ClientCodec : public Codec {
 public:
  // Opens a stream. Null when the codec cannot take one now (HTTP/1: busy; HTTP/2: limit, GOAWAY).
  virtual CodecStream* NewStream(MessageSink* sink) = 0;
  // False once the connection can carry no further exchange.
  virtual bool can_reuse() const = 0;
};

struct Http1Options {
  uint32_t max_headers_bytes = 60 * 1024;
  uint32_t max_headers_count = 100;
  bool allow_absolute_url = true;
  bool accept_http_10 = false;
  absl::string_view default_host_for_http_10;
  bool enable_trailers = false;
  bool proper_case = false;  // Content-Type instead of content-type on the wire
  bool preserve_case = false;
  bool allow_chunked_length = false;
  bool send_fully_qualified_url = false;
  // Off: `Upgrade` is removed and the message treated as any other. h2c is always removed.
  bool allow_upgrades = true;
  // Whether an upgrade to `value` is to be treated as if it had not been asked for; null: never.
  // `config` is handed through and outlives the codec.
  bool (*ignores_upgrade)(const void* config, absl::string_view value) = nullptr;
  const void* ignores_upgrade_config = nullptr;
  // Methods outside the registered ones are refused unless this is set.
  bool allow_custom_methods = false;
  size_t buffer_limit = 1024 * 1024;  // high watermark of unsent bytes
  CodecStats* stats = nullptr;        // may be null; outlives the codec
};

struct Http2Options {
  uint32_t max_headers_bytes = 60 * 1024;
  uint32_t max_headers_count = 100;
  uint32_t max_concurrent_streams = 1024;
  uint32_t initial_stream_window = 16 * 1024 * 1024;
  uint32_t initial_connection_window = 24 * 1024 * 1024;
  uint32_t hpack_table_size = 4096;
  bool allow_connect = false;
  bool stream_error_on_invalid_message = false;
  uint32_t max_outbound_frames = 10000;
  uint32_t max_outbound_control_frames = 1000;
  uint32_t max_inbound_empty_frames = 1;
  uint32_t max_inbound_priority_per_stream = 100;
  uint32_t max_inbound_window_updates_per_data = 10;
  // Resets within a second of the request's arrival: the connection ends once they are more than
  // half of this many requests, or more than half of all when there were more. 0 is off.
  uint32_t premature_reset_limit = 500;
  size_t buffer_limit = 1024 * 1024;  // per stream high watermark of unsent bytes
  CodecStats* stats = nullptr;        // may be null; outlives the codec
};

std::unique_ptr<ServerCodec> MakeHttp1ServerCodec(CodecHost*, ServerCodecEvents*,
                                                  const Http1Options&);
std::unique_ptr<ClientCodec> MakeHttp1ClientCodec(CodecHost*, ClientCodecEvents*,
                                                  const Http1Options&);
std::unique_ptr<ServerCodec> MakeHttp2ServerCodec(CodecHost*, ServerCodecEvents*,
                                                  const Http2Options&);
std::unique_ptr<ClientCodec> MakeHttp2ClientCodec(CodecHost*, ClientCodecEvents*,
                                                  const Http2Options&);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_CODEC_H_
