#ifndef REMORA_PROXY_UPSTREAM_CODEC_OPTIONS_H_
#define REMORA_PROXY_UPSTREAM_CODEC_OPTIONS_H_

#include "proxy/codec/codec.h"
#include "xds/http_options.h"

namespace remora::proxy {

// The codecs' own options from those of the configuration. Nothing in the result refers to the
// arguments. Limits in bytes of headers and of buffers are the caller's, since they come from
// elsewhere on each side.
Http1Options CodecOptions(const xds::Http1Options& http1, const xds::CommonHttpOptions& common);
Http2Options CodecOptions(const xds::Http2Options& http2, const xds::CommonHttpOptions& common);

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_CODEC_OPTIONS_H_
