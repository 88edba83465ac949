#ifndef REMORA_PROXY_GRPC_FRAMES_H_
#define REMORA_PROXY_GRPC_FRAMES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"

namespace remora::proxy {

// gRPC's message framing (a flag byte, a length of four bytes, the message) and the texts of its
// headers. Pure.

// Appends one uncompressed message.
void AppendGrpcFrame(absl::string_view message, Body* out);

// Takes messages from a stream of bytes.
class GrpcFrameReader {
 public:
  enum class Next : uint8_t {
    kMessage,
    kMore,        // not a whole message yet
    kTooLong,     // beyond the limit; nothing more can be read
    kCompressed,  // not asked for, not understood
  };

  // `most`: of one message, 0 for none.
  explicit GrpcFrameReader(uint64_t most) : most_(most) {}

  void Add(Body& bytes) { bytes_.Append(bytes); }
  // Puts the next message into `message` (which is cleared first).
  Next Take(Body* message);
  // Bytes of a message that is not complete.
  size_t left() const { return bytes_.size(); }

 private:
  uint64_t most_;
  Body bytes_;
};

// grpc-message: percent-decoded.
std::string DecodeGrpcMessage(absl::string_view text);
// The value of grpc-timeout for so many milliseconds.
std::string GrpcTimeoutValue(int64_t ms);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_GRPC_FRAMES_H_
