#ifndef REMORA_PROXY_STREAM_HTTP_CONNECTION_H_
#define REMORA_PROXY_STREAM_HTTP_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "proxy/base/graveyard.h"
#include "proxy/base/loop.h"
#include "proxy/base/timer.h"
#include "proxy/codec/codec.h"
#include "proxy/net/connection.h"
#include "proxy/stream/http_service.h"
#include "proxy/stream/http_stats.h"

namespace remora::proxy {

class HttpConnection;
class HttpWorker;
class Stream;

// Whoever accepted the connection.
class HttpConnectionOwner {
 public:
  // The connection is over: bury it. The last call.
  virtual void OnHttpConnectionEnded(HttpConnection* connection) = 0;
  // Asked when response headers go out: whether this connection should be told to go away (the
  // server or its listener drains; a gradual drain answers true more and more often).
  virtual bool ShouldDrain() = 0;

 protected:
  ~HttpConnectionOwner() = default;
};

// One downstream connection served by an HTTP connection manager: the server codec and its streams.
//
// Threads: its worker's. Lifetime: owned by its owner, given up by Graveyard::Bury() after
// OnHttpConnectionEnded. Destroying it earlier (a worker that stops) resets its streams.
class HttpConnection final : public Mortal, private ConnectionEvents {
 public:
  // `connection` is accepted; its transport may still be shaking hands. Bytes may wait in its
  // input() already (listener filters peeked).
  HttpConnection(HttpWorker* worker, std::shared_ptr<const HttpService> service,
                 std::unique_ptr<Connection> connection, HttpConnectionOwner* owner);
  ~HttpConnection() override;

  // Takes the events of the connection. `started`: Connection::Start() was called before (and
  // OnConnected has come), so only the events change hands.
  void Start(bool started);

  // Tells the client to go: HTTP/2 GOAWAY in two steps, HTTP/1 `Connection: close` with the next
  // response; idle connections close at once. Idempotent.
  void StartDrain();
  // Closes now, streams are reset (end of the drain time).
  void Close();

  size_t open_streams() const { return stream_count_; }
  Connection& connection() { return *connection_; }

  // For Stream.
  HttpWorker& worker() { return *worker_; }
  const HttpService& service() const { return *service_; }
  const StatScope<HttpStat>& stats() const { return stats_; }
  const StatScope<ListenerHttpStat>& listener_stats() const { return listener_stats_; }
  Codec& codec() { return *codec_; }
  bool is_http2() const;
  // kNone until the client spoke.
  Protocol protocol() const { return codec_ == nullptr ? Protocol::kNone : codec_->protocol(); }
  // The peer broke the protocol; its streams end for that.
  bool broken() const { return broken_; }
  // Decides at the response's headers whether the connection goes on; true: say so to an HTTP/1
  // peer.
  bool DrainsAtResponse(bool close_requested);
  // The stream is over in both directions or reset; it goes back to the pool at the end of the
  // turn.
  void OnStreamEnded(Stream* stream);
  // The exchange cannot end cleanly on HTTP/1: after what was written the connection closes.
  void CloseWhenFlushed();

 private:
  class CodecDoor;
  enum class Drain : uint8_t { kNone, kAnnounced, kClosing };

  void OnConnected() override;
  void OnData(bool eof) override;
  void OnOutputBlocked() override;
  void OnOutputDrained() override;
  void OnOutputEmpty() override;
  void OnClosed(CloseKind kind, bool reset) override;

  bool ChooseCodec(bool eof);
  void MakeCodec(bool http2);
  void Feed();
  void OnCodecError(const CodecError& error);
  MessageSink* OnNewStream(CodecStream* codec_stream);
  void OnIdleTimeout();
  void OnMaxDuration();
  void OnDrainTimeout();
  void OnKeepalive();
  void ArmIdleTimer();
  bool is_flushing() const;
  void MaybeClose();
  void ResetStreams(absl::string_view details);
  void CountBytes();
  void CountActiveAtEnd(bool remote);
  void End(CloseKind kind);

  HttpWorker* worker_;
  std::shared_ptr<const HttpService> service_;
  std::unique_ptr<Connection> connection_;
  HttpConnectionOwner* owner_;
  StatScope<HttpStat> stats_;
  StatScope<ListenerHttpStat> listener_stats_;
  std::unique_ptr<CodecDoor> door_;
  std::unique_ptr<ServerCodec> codec_;
  Stream* streams_ = nullptr;  // open ones, linked by Stream::next_
  size_t stream_count_ = 0;
  uint64_t requests_ = 0;
  uint64_t counted_read_ = 0;
  uint64_t counted_written_ = 0;
  int64_t start_ns_ = 0;
  Timer idle_timer_;
  Timer duration_timer_;
  Timer drain_timer_;
  Timer keepalive_timer_;
  Drain drain_ = Drain::kNone;
  bool eof_ = false;
  bool connected_ = false;
  bool close_when_flushed_ = false;
  bool awaiting_ping_ = false;
  bool broken_ = false;
  bool ended_ = false;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_STREAM_HTTP_CONNECTION_H_
