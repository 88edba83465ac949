#ifndef REMORA_PROXY_CODEC_HTTP2_ORDER_H_
#define REMORA_PROXY_CODEC_HTTP2_ORDER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace remora::proxy {

// Reads the heads of a client's frames as they come, for those that no lawful client sends and that
// nghttp2 passes over, since it keeps no memory of streams that are over and skips payloads it has
// no use for (RFC 9113, 5.1, 5.1.1, 5.3.1 and 6.3):
//
// - DATA and HEADERS after the client itself ended its side (END_STREAM or RST_STREAM),
// - HEADERS for a stream that was passed over when a later one was opened,
// - PRIORITY of no stream, or of a stream that depends on itself.
//
// Judged on what is certain alone: the last 16 ends and the last gap. Frames for a stream that this
// side reset may have been on their way, and pass. Some nanoseconds a frame.
class Http2OrderGuard {
 public:
  Http2OrderGuard();

  // Takes the connection's next bytes, the preface included; each once. How many of them come
  // before the first frame that is a fault: all of them if there is none, else `code()` says what
  // error ends the connection.
  size_t Take(absl::string_view bytes);
  uint32_t code() const { return code_; }

 private:
  static constexpr size_t kHead = 9;
  static constexpr size_t kDependency = 4;
  static constexpr uint32_t kRemembered = 16;

  // The error code of the frame whose head (and dependency) is in head_, or 0.
  uint32_t Judge();
  uint32_t JudgeHeaders(uint32_t id);
  bool HasEnded(uint32_t id) const;

  size_t skip_;          // of the preface or of a payload, before the next head
  size_t gathered_ = 0;  // bytes of head_
  char head_[kHead + kDependency];
  uint32_t code_ = 0;
  uint32_t ended_[kRemembered] = {};
  uint32_t next_ended_ = 0;
  uint32_t last_opened_ = 0;
  uint32_t gap_begin_ = 0;  // between these two, none was opened
  uint32_t gap_end_ = 0;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_ORDER_H_
