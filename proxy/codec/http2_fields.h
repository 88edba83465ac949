#ifndef REMORA_PROXY_CODEC_HTTP2_FIELDS_H_
#define REMORA_PROXY_CODEC_HTTP2_FIELDS_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/api/headers.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

// Gathers one decoded header block (RFC 9113 section 8) into Headers. Every field counts against
// the limits before anything is allocated for it, cookie crumbs too; crumbs are joined into one
// field. What nghttp2 does not check is checked here.
class Http2FieldReader {
 public:
  enum class Kind : uint8_t { kRequest, kResponse, kTrailers };

  void Start(Kind kind, Headers* headers, const Http2Options& options);
  void Add(absl::string_view name, absl::string_view value, bool never_index);
  // A field came that nghttp2 found invalid.
  void Reject() { malformed_ = true; }
  // All fields are there. False when the block is malformed (or too large).
  bool Finish();

  Headers* headers() const { return headers_; }
  // Code detail of the limit that was passed; "" when none was.
  absl::string_view overflow() const { return overflow_; }
  // The names and values seen so far.
  size_t bytes() const { return bytes_; }

 private:
  struct Crumb {
    absl::string_view text;
    Crumb* next;
  };

  void AddPseudo(HeaderId id, absl::string_view value);
  void AddCrumb(absl::string_view value);
  void JoinCrumbs();
  bool FinishRequest();

  Kind kind_ = Kind::kRequest;
  Headers* headers_ = nullptr;
  uint32_t max_bytes_ = 0;
  uint32_t max_fields_ = 0;
  size_t bytes_ = 0;
  uint32_t fields_ = 0;
  bool malformed_ = false;
  absl::string_view overflow_;
  absl::string_view host_;
  Crumb* crumbs_ = nullptr;
  Crumb* last_crumb_ = nullptr;
};

// The fields of `headers` for nghttp2, connection-specific ones left out. An HTTP/1 upgrade request
// becomes an extended CONNECT (RFC 8441). The result refers to `headers` and to static text; it is
// valid until either changes.
class Http2FieldWriter {
 public:
  const std::vector<nghttp2_nv>& Request(const Headers& headers);
  const std::vector<nghttp2_nv>& Response(const Headers& headers);
  const std::vector<nghttp2_nv>& Trailers(const Headers& headers);
  // Whether nghttp2 must copy the text because it will not be sent at once.
  void set_copy(bool copy) { flags_ = copy ? kCopy : kKeep; }
  // Bytes of names and values of the last result.
  size_t bytes() const { return bytes_; }

 private:
  static constexpr uint8_t kCopy = NGHTTP2_NV_FLAG_NONE;
  static constexpr uint8_t kKeep = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;

  void Add(absl::string_view name, absl::string_view value, bool never_index = false);
  void Fields(const Headers& headers, bool upgrade, bool length);

  std::vector<nghttp2_nv> fields_;
  size_t bytes_ = 0;
  uint8_t flags_ = kCopy;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_FIELDS_H_
