#ifndef REMORA_PROXY_UPSTREAM_CODEC_STATS_H_
#define REMORA_PROXY_UPSTREAM_CODEC_STATS_H_

#include <cstdint>

#include "proxy/base/stats.h"
#include "proxy/codec/codec.h"

namespace remora::proxy {

// The codecs' plain counts as statistics: "cluster.NAME.http2." here, "http2." downstream.
enum class Http2Stat : uint16_t {
  kGoawaySent,
  kHeaderOverflow,
  kInboundEmptyFramesFlood,
  kInboundPriorityFramesFlood,
  kInboundWindowUpdateFramesFlood,
  kKeepaliveTimeout,
  kOutboundControlFlood,
  kOutboundFlood,
  kRxMessagingError,
  kRxReset,
  kStreamRefusedErrors,
  kTrailers,
  kTxReset,
  kStreamsActive,  // from here on the owner's to keep
  kDroppedHeadersWithUnderscores,
  kRequestsRejectedWithUnderscores,
  kDownstreamConnections,
  kUpstreamConnections,
};
StatSchema Http2StatSchema();

// "cluster.NAME.http1." and "http1."; shown once a connection spoke it.
enum class Http1Stat : uint16_t {
  kDroppedHeadersWithUnderscores,
  kRequestsRejectedWithUnderscores,
  kResponseFlood,
};
StatSchema Http1StatSchema();

// The counts of one scope and thread, and how much of them the statistics know.
class CountedCodecs {
 public:
  CodecStats* counts() { return &counts_; }
  // Adds what is new.
  void Publish(const StatScope<Http2Stat>& scope);

 private:
  CodecStats counts_;
  CodecStats known_;
};

}  // namespace remora::proxy

#endif  // REMORA_PROXY_UPSTREAM_CODEC_STATS_H_
