#include "proxy/codec/detect.h"

#include <algorithm>

namespace remora::proxy {

DetectedProtocol DetectProtocol(absl::string_view prefix) {
  const size_t size = std::min(prefix.size(), kHttp2Preface.size());
  if (prefix.substr(0, size) != kHttp2Preface.substr(0, size)) return DetectedProtocol::kHttp1;
  return size == kHttp2Preface.size() ? DetectedProtocol::kHttp2 : DetectedProtocol::kNeedMore;
}

}  // namespace remora::proxy
