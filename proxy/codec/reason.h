#ifndef REMORA_PROXY_CODEC_REASON_H_
#define REMORA_PROXY_CODEC_REASON_H_

#include "absl/strings/string_view.h"

namespace remora::proxy {

// The registered phrase of a status code, "Unknown" for others.
absl::string_view ReasonPhrase(int status);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_REASON_H_
