#ifndef REMORA_PROXY_CODEC_HTTP2_SESSION_H_
#define REMORA_PROXY_CODEC_HTTP2_SESSION_H_

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "proxy/codec/codec.h"
#include "proxy/codec/http2_fields.h"
#include "proxy/codec/http2_flood.h"
#include "proxy/codec/http2_order.h"

namespace remora::proxy {

class Http2Stream;

// One HTTP/2 connection on nghttp2, either side. nghttp2 keeps the protocol's state, HPACK and the
// send windows; bodies never pass through it (frames of DATA are written here, around moved
// slices), and receive windows open only when a sink took the bytes.
//
// nghttp2 may not be entered from its own callbacks, but sinks are called from them: whatever a
// sink submits then is written when the outermost call ends.
class Http2Session {
 public:
  // Exactly one of the two kinds of events is given.
  Http2Session(CodecHost* host, ServerCodecEvents* server, ClientCodecEvents* client,
               const Http2Options& options);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  std::unique_ptr<CodecError> Feed(Body& input);
  void OnConnectionClosed(absl::string_view details);
  void SetOutputBlocked(bool blocked);
  void Shutdown(bool final);
  bool wants_close() const;
  size_t open_streams() const { return open_streams_; }
  void SendPing();

  // For Http2Callbacks().
  static const nghttp2_session_callbacks* MakeCallbacks();

  // Client only.
  CodecStream* NewStream(MessageSink* sink);
  bool can_reuse() const;

 private:
  friend class Http2Stream;
  struct Callbacks;

  class Entry;

  static nghttp2_data_source_read_callback DataSource();

  bool server() const { return server_ != nullptr; }
  void SubmitSettings();
  void Pump();
  void WriteFrames();
  Http2Stream* Find(int32_t id);
  Http2Stream* MakeStream(MessageSink* sink);
  // More streams are open than the peer allows by now: nghttp2 keeps a new request back.
  bool OverPeerLimit() const;
  // nghttp2 and its holder are done with it (one of them may be so only now).
  void CloseStream(Http2Stream* stream);
  void FreeDeadStreams();
  void Free(Http2Stream* stream);
  void DeliverWaiting();

  int OnBeginFrame(const nghttp2_frame_hd& hd);
  int OnBeginHeaders(const nghttp2_frame& frame);
  void OnHeader(int32_t id, nghttp2_rcbuf* name, nghttp2_rcbuf* value, uint8_t flags);
  int OnFrame(const nghttp2_frame& frame);
  void Refuse(Http2Stream* stream, uint32_t code, ResetReason reason, absl::string_view details);
  int OnHeaderBlock(const nghttp2_frame& frame);
  int OnDataFrame(const nghttp2_frame& frame);
  void OnSettings();
  int OnInvalidFrame(const nghttp2_frame& frame, int code);
  int OnData(int32_t id, absl::string_view data);
  int OnStreamClosed(int32_t id, uint32_t code);
  void OnFrameSent(const nghttp2_frame& frame);
  ssize_t ReadBody(Http2Stream* stream, size_t length, uint32_t* flags);
  void WriteData(Http2Stream* stream, const nghttp2_frame& frame, const uint8_t* header,
                 size_t length);

  // Ends the connection from inside a callback; returns what the callback returns.
  int Break(absl::string_view details, uint32_t code, bool overflow = false);
  std::unique_ptr<CodecError> TakeError();
  void WriteGoAway(uint32_t code);
  void ResetAll(ResetReason reason, absl::string_view details);
  void Count(uint64_t CodecStats::* counter);

  CodecHost* const host_;
  ServerCodecEvents* const server_;
  ClientCodecEvents* const client_;
  const Http2Options options_;
  nghttp2_session* session_ = nullptr;
  Http2FloodGuard flood_;
  Http2OrderGuard order_;  // server only
  Http2FieldReader reader_;
  Http2FieldWriter writer_;
  const Body* input_ = nullptr;     // while fed: what nghttp2 reads from
  Http2Stream* current_ = nullptr;  // the one whose frame is being read
  Http2Stream* streams_ = nullptr;  // all that are alive
  size_t open_streams_ = 0;
  size_t dead_streams_ = 0;     // of streams_, to be freed
  size_t waiting_streams_ = 0;  // resumed, with something to deliver
  int depth_ = 0;
  bool output_blocked_ = false;
  bool wrote_ = false;
  bool feeding_ = false;
  bool goaway_seen_ = false;
  bool shutdown_ = false;
  bool final_ = false;
  bool failed_ = false;  // an error was reported; inert from here on
  bool broken_ = false;  // details_ and code_ say why the connection ends
  bool overflow_ = false;
  bool wrote_goaway_ = false;
  bool ends_for_message_ =
      false;  // a malformed message ends the connection: it is not reset besides
  uint32_t code_ = 0;
  absl::string_view details_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_SESSION_H_
