#ifndef REMORA_PROXY_CODEC_HTTP2_STREAM_H_
#define REMORA_PROXY_CODEC_HTTP2_STREAM_H_

#include <cstdint>

#include "filters/api/arena.h"
#include "filters/api/body.h"
#include "filters/api/headers.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

class Http2Session;

// One stream of an Http2Session, which owns it and reads and writes its state. It outlives
// nghttp2's stream while a paused sink has not got everything, and the sink while bytes wait for
// the peer's window. Recycled through a free list of the thread.
class Http2Stream final : public CodecStream {
 public:
  static Http2Stream* Take(Http2Session* session, MessageSink* sink);
  static void Give(Http2Stream* stream);

  // CodecStream
  uint32_t id() const override { return static_cast<uint32_t>(id_); }
  void SendInterim(const Headers& headers) override;
  void SendHeaders(const Headers& headers, bool end) override;
  void SendBody(Body& body, bool end) override;
  void SendTrailers(const Headers& trailers) override;
  void Reset(ResetReason reason) override;
  void PauseReading() override { ++pauses_; }
  void ResumeReading() override;
  size_t unsent_bytes() const override;
  WireBytes wire_bytes() const override { return wire_; }

 private:
  friend class Http2Session;

  struct Cache;

  Http2Stream() = default;
  ~Http2Stream() = default;
  void Clear();

  // Gives the sink what it is not paused for.
  void Deliver();
  // Opens the receive window by what was delivered.
  void Credit();
  void ReturnCredit();
  void SinkReset(ResetReason reason, absl::string_view details);
  // Both directions are over for the holder.
  void MaybeDetach();
  void CheckBlocked();
  void CheckDrained();
  void SubmitTrailers(const Headers& trailers, bool copy);
  uint32_t ResetCode(ResetReason reason) const;

  Http2Session* session_ = nullptr;
  MessageSink* sink_ = nullptr;  // null once the holder has no more interest
  Http2Stream* prev_ = nullptr;
  Http2Stream* next_ = nullptr;
  int32_t id_ = -1;

  // Receiving.
  Body inbox_;
  Headers* trailers_ = nullptr;  // received, not delivered
  size_t credit_ = 0;            // delivered bytes that the window has not been opened by
  int pauses_ = 0;
  bool final_headers_ = false;  // the message's own headers were delivered (not only 1xx)
  bool remote_end_ = false;     // END_STREAM came
  bool end_delivered_ = false;
  bool waiting_ = false;       // resumed, to be delivered in the next Feed()
  bool remote_reset_ = false;  // RST_STREAM came
  bool messaging_error_ = false;

  // Sending.
  Body outbox_;
  Arena own_;  // for trailers that wait behind the body
  Headers* out_trailers_ = nullptr;
  bool headers_sent_ = false;        // final response, or request
  bool local_end_ = false;           // Send*(end) was called
  bool local_end_sent_ = false;      // END_STREAM was written
  bool trailers_submitted_ = false;  // ... or will be, with the trailers nghttp2 has
  bool blocked_ = false;

  bool closed_ = false;  // nghttp2 has forgotten it
  bool dead_ = false;    // ... and so has its holder: freed in the next Feed()
  int interim_ = 0;
  int64_t opened_ns_ = 0;
  WireBytes wire_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_STREAM_H_
