#ifndef REMORA_PROXY_CODEC_HTTP1_ENCODER_H_
#define REMORA_PROXY_CODEC_HTTP1_ENCODER_H_

#include <cstddef>
#include <cstdint>

#include "filters/api/body.h"
#include "filters/api/headers.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

// Writes one HTTP/1 message. A head is one contiguous append; body slices are moved. The framing is
// chosen here and kept: what goes out is never longer than it says, and short() tells when it was
// shorter. Values that would break the framing (CR, LF, NUL from a filter) are written as blanks.
class Http1Encoder {
 public:
  explicit Http1Encoder(const Http1Options* options) : options_(options) {}

  struct Response {
    bool http10 = false;      // the client speaks HTTP/1.0
    bool head = false;        // answers HEAD
    bool connect = false;     // answers CONNECT
    bool upgrade = false;     // the request asked for an upgrade
    bool close = false;       // the connection ends after it
    bool keep_alive = false;  // ... or an HTTP/1.0 client is told that it does not
  };

  void RequestHead(const Headers& headers, bool end, Body& out);
  // A final response or 101.
  void ResponseHead(const Headers& headers, bool end, const Response& response, Body& out);
  void InterimHead(const Headers& headers, Body& out);
  // Takes all of `body`; `end` finishes the message.
  void SendBody(Body& body, bool end, Body& out);
  // Finishes the message. `trailers` may be dropped, as options and framing have it.
  void SendTrailers(const Headers& trailers, Body& out);

  // The head began a tunnel (101, or a 2xx to CONNECT).
  bool tunnel() const { return framing_ == Framing::kTunnel; }
  // Only the end of the connection ends this message.
  bool until_close() const { return framing_ == Framing::kUntilClose; }
  // The message ended with fewer bytes than its head promised.
  bool is_short() const { return short_; }
  // The fields themselves said Connection: close.
  bool said_close() const { return said_close_; }

  uint64_t header_bytes() const { return header_bytes_; }
  uint64_t bytes() const { return bytes_; }
  void ResetCounts() { header_bytes_ = bytes_ = 0; }
  // A tunnel whose bytes were held back until the peer agreed begins.
  void BeginTunnel() { framing_ = Framing::kTunnel; }

 private:
  class Writer;
  enum class Framing : uint8_t { kNone, kLength, kChunked, kUntilClose, kTunnel };

  void Fields(const Headers& headers, bool keep_length, bool keep_upgrade, Writer& writer);
  size_t Bound(const Headers& headers) const;
  void FrameResponse(const Headers& headers, bool end, const Response& response, Writer& writer);
  void FinishHead(Writer& writer, size_t first_line, Body& out);
  bool TakeLength(const Headers& headers, bool end);
  void Finish(Body& out);

  const Http1Options* const options_;
  Framing framing_ = Framing::kNone;
  bool short_ = false;
  bool said_close_ = false;
  bool bodiless_ = false;  // the length is that of a body that is not sent (HEAD, 304)
  uint64_t remaining_ = 0;
  uint64_t header_bytes_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP1_ENCODER_H_
