#ifndef REMORA_PROXY_NET_HTTP_INSPECTOR_H_
#define REMORA_PROXY_NET_HTTP_INSPECTOR_H_

#include "absl/strings/string_view.h"

namespace remora::proxy {

enum class HttpGuess { kNeedMore, kNotHttp, kHttp10, kHttp11, kHttp2 };

// Recognises HTTP by a request line or HTTP/2's preface (RFC 9113, 3.4). Consumes nothing.
HttpGuess GuessHttp(absl::string_view bytes);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_NET_HTTP_INSPECTOR_H_
