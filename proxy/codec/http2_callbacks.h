#ifndef REMORA_PROXY_CODEC_HTTP2_CALLBACKS_H_
#define REMORA_PROXY_CODEC_HTTP2_CALLBACKS_H_

#include <nghttp2/nghttp2.h>

namespace remora::proxy {

// nghttp2's callbacks; its user data is an Http2Session, a stream's is an Http2Stream.
const nghttp2_session_callbacks* Http2Callbacks();

}  // namespace remora::proxy

#endif  // REMORA_PROXY_CODEC_HTTP2_CALLBACKS_H_
