#ifndef REMORA_PROXY_CODEC_HTTP1_PARSER_H_
#define REMORA_PROXY_CODEC_HTTP1_PARSER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

// What a head says besides its fields. Text lives in the arena of its Headers.
struct Http1Facts {
  bool http10 = false;
  bool connect = false;  // request with method CONNECT
  bool head = false;     // request with method HEAD
  bool chunked = false;
  bool close = false;       // Connection: close
  bool keep_alive = false;  // Connection: keep-alive
  bool upgrade = false;     // asks for an upgrade (or is a 101) that is let through
  bool websocket = false;   // ... to "websocket" alone
  int status = 0;           // response
  std::optional<uint64_t> content_length;
  // The bytes of heads and trailers on the wire so far; those of the fields alone, each with ": "
  // or its like as one byte and its line end.
  size_t wire_bytes = 0;
  size_t field_bytes = 0;
};

// Strict incremental parser of HTTP/1 heads and trailer sections (RFC 9112): a line ends in CRLF
// and nothing else, there is no folding, names are tokens, framing is said once and in one way.
// Every byte is looked at by a vectorised search for control characters, and names once more by
// table; text is copied once, into the arena. Results do not depend on how the input is cut.
//
// Limits: the target and all names and values together at most max_headers_bytes, at most
// max_headers_count fields, and a bound on what surrounds them.
class Http1Parser {
 public:
  enum class Kind : uint8_t { kRequest, kResponse };
  enum class Result : uint8_t { kMore, kDone, kError };

  // `options` outlives the parser.
  Http1Parser(Kind kind, const Http1Options* options) : kind_(kind), options_(options) {}

  // A new message; `headers` receives its fields.
  void Start(Headers* headers);
  // The trailers of the message; null to check and drop them. Limits start anew.
  void StartTrailers(Headers* trailers);

  // Takes bytes from `run`; `taken` says how many. On kDone what follows the head is not taken.
  Result Parse(absl::string_view run, size_t* taken);

  const CodecError& error() const { return error_; }
  const Http1Facts& facts() const { return facts_; }
  // What Start() got.
  Headers* headers() const { return headers_; }

 private:
  enum class Phase : uint8_t { kFirstLine, kFields, kTrailers };

  bool Line(absl::string_view line);
  bool RequestLine(absl::string_view line);
  bool StatusLine(absl::string_view line);
  bool Target(absl::string_view target);
  bool AbsoluteTarget(absl::string_view target);
  bool Field(absl::string_view line);
  bool Keep(absl::string_view line, size_t name_size, HeaderId id, const char* lower,
            absl::string_view value);
  bool Framing(HeaderId id, absl::string_view value);
  void Trailer(absl::string_view name, HeaderId id, absl::string_view value);

  bool Finish();
  bool FinishTransferEncoding();
  bool FinishConnection();
  bool Nominate(absl::string_view token);
  void FinishUpgrade(bool asked, bool pruned);
  bool FinishTarget();
  bool Count(size_t bytes);
  bool Fail(absl::string_view details, int status = 400, bool overflow = false);

  const Kind kind_;
  const Http1Options* const options_;
  Phase phase_ = Phase::kFirstLine;
  bool finished_ = false;
  Headers* headers_ = nullptr;
  Headers* trailers_ = nullptr;
  Http1Facts facts_;
  CodecError error_;
  // A line whose end has not arrived.
  std::string partial_;
  size_t raw_bytes_ = 0;
  size_t counted_bytes_ = 0;
  uint32_t fields_ = 0;

  bool bad_version_ = false;
  bool authority_from_target_ = false;
  uint32_t hosts_ = 0;
  uint32_t transfer_encodings_ = 0;
  absl::string_view transfer_encoding_;
  absl::string_view host_;
  absl::string_view connection_;
  absl::string_view upgrade_;
  absl::string_view te_;
};

// Names that no trailer section may carry on: framing, routing, credentials, and what proxies add
// (RFC 9110 section 6.5.1), however a back end might spell them ('_' for '-').
bool IsForbiddenTrailer(absl::string_view lower_name);

// The static text of a registered method; empty when it is none.
absl::string_view KnownMethod(absl::string_view method);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP1_PARSER_H_
