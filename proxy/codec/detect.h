#ifndef REMORA_PROXY_CODEC_DETECT_H_
#define REMORA_PROXY_CODEC_DETECT_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace remora::proxy {

enum class DetectedProtocol : uint8_t { kNeedMore, kHttp1, kHttp2 };

// The bytes every HTTP/2 client sends first.
inline constexpr absl::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// What a client speaks, from the first bytes of its connection, however they were cut. A preface
// that has not arrived whole is kNeedMore as long as it may still become one; bytes that can no
// longer become one are HTTP/1, for its parser to judge.
DetectedProtocol DetectProtocol(absl::string_view prefix);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_DETECT_H_
