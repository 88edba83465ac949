#ifndef REMORA_PROXY_CODEC_HTTP1_BODY_H_
#define REMORA_PROXY_CODEC_HTTP1_BODY_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "filters/api/body.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

// Takes one message body off the wire (RFC 9112 section 6), moving slices, not bytes. Chunk framing
// is read byte by byte and strictly: hexadecimal digits and nothing around them, CRLF and nothing
// like it. Extensions are checked and dropped.
class Http1BodyReader {
 public:
  enum class Result : uint8_t {
    kMore,      // all input was taken
    kDone,      // the body is complete
    kTrailers,  // chunked: the last chunk was read, the trailer section follows
    kError,
  };

  void StartNone() { mode_ = Mode::kNone; }
  void StartLength(uint64_t length) {
    mode_ = Mode::kLength;
    remaining_ = length;
  }
  // `request`: overhead of framing counts as an attack even where each chunk is lawful.
  void StartChunked(bool request);
  // Everything is body: until the close, or a tunnel.
  void StartRaw() { mode_ = Mode::kRaw; }

  // Moves body bytes from `input` to the end of `out`.
  Result Read(Body& input, Body& out);

  const CodecError& error() const { return error_; }
  uint64_t wire_bytes() const { return wire_bytes_; }
  void ResetCount() { wire_bytes_ = 0; }

 private:
  enum class Mode : uint8_t { kNone, kLength, kChunked, kRaw };
  enum class Chunk : uint8_t { kSizeStart, kSize, kExtension, kSizeLf, kData, kDataCr, kDataLf };

  Result ReadChunked(Body& input, Body& out);
  // Reads framing from `run`; false on a violation.
  bool ReadFraming(absl::string_view run, size_t* taken);
  bool SizeDigit(char c);
  bool Fail(absl::string_view details, bool overflow = false);
  void Take(Body& input, Body& out, size_t count);
  bool Wasteful();

  Mode mode_ = Mode::kNone;
  Chunk chunk_ = Chunk::kSizeStart;
  bool request_ = false;
  bool last_ = false;
  uint8_t digits_ = 0;
  uint32_t extension_ = 0;
  uint64_t remaining_ = 0;
  uint64_t overhead_ = 0;
  uint64_t payload_ = 0;
  uint64_t wire_bytes_ = 0;
  CodecError error_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP1_BODY_H_
