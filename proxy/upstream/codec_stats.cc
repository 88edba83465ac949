#include "proxy/upstream/codec_stats.h"

#include <cstring>

namespace remora::proxy {
namespace {

constexpr StatDef kStats[] = {
    {"goaway_sent", StatKind::kCounter},
    {"header_overflow", StatKind::kCounter},
    {"inbound_empty_frames_flood", StatKind::kCounter},
    {"inbound_priority_frames_flood", StatKind::kCounter},
    {"inbound_window_update_frames_flood", StatKind::kCounter},
    {"keepalive_timeout", StatKind::kCounter},
    {"outbound_control_flood", StatKind::kCounter},
    {"outbound_flood", StatKind::kCounter},
    {"rx_messaging_error", StatKind::kCounter},
    {"rx_reset", StatKind::kCounter},
    {"stream_refused_errors", StatKind::kCounter},
    {"trailers", StatKind::kCounter},
    {"tx_reset", StatKind::kCounter},
    {"streams_active", StatKind::kGauge},
    {"dropped_headers_with_underscores", StatKind::kCounter},
    {"requests_rejected_with_underscores_in_headers", StatKind::kCounter},
    {"nghttp2_downstream_connections", StatKind::kCounter},
    {"nghttp2_upstream_connections", StatKind::kCounter},
    // What follows is never counted here.
    {"cookies_total_bytes_too_large", StatKind::kCounter},
    {"header_list_size_too_large", StatKind::kCounter},
    {"headers_cb_no_stream", StatKind::kCounter},
    {"metadata_empty_frames", StatKind::kCounter},
    {"oghttp2_downstream_connections", StatKind::kCounter},
    {"oghttp2_upstream_connections", StatKind::kCounter},
    {"tx_flush_timeout", StatKind::kCounter},
    {"deferred_stream_close", StatKind::kGauge},
    {"outbound_control_frames_active", StatKind::kGauge},
    {"outbound_frames_active", StatKind::kGauge},
    {"pending_send_bytes", StatKind::kGauge},
    {"cookie_count", StatKind::kHistogram},
    {"cookie_size", StatKind::kHistogram},
    {"header_count", StatKind::kHistogram},
    {"header_list_size", StatKind::kHistogram},
};

constexpr StatDef kHttp1Stats[] = {
    {"dropped_headers_with_underscores", StatKind::kCounter},
    {"requests_rejected_with_underscores_in_headers", StatKind::kCounter},
    {"response_flood", StatKind::kCounter},
    {"metadata_not_supported_error", StatKind::kCounter},
};

}  // namespace

StatSchema Http2StatSchema() { return kStats; }
StatSchema Http1StatSchema() { return kHttp1Stats; }

void CountedCodecs::Publish(const StatScope<Http2Stat>& scope) {
  if (std::memcmp(&counts_, &known_, sizeof counts_) == 0) return;
  const auto add = [&](Http2Stat stat, uint64_t CodecStats::* count) {
    scope.Add(stat, counts_.*count - known_.*count);
  };
  add(Http2Stat::kGoawaySent, &CodecStats::goaway_sent);
  add(Http2Stat::kHeaderOverflow, &CodecStats::header_overflow);
  add(Http2Stat::kInboundEmptyFramesFlood, &CodecStats::inbound_empty_frames_flood);
  add(Http2Stat::kInboundPriorityFramesFlood, &CodecStats::inbound_priority_frames_flood);
  add(Http2Stat::kInboundWindowUpdateFramesFlood, &CodecStats::inbound_window_update_frames_flood);
  add(Http2Stat::kOutboundControlFlood, &CodecStats::outbound_control_flood);
  add(Http2Stat::kOutboundFlood, &CodecStats::outbound_flood);
  add(Http2Stat::kRxMessagingError, &CodecStats::rx_messaging_error);
  add(Http2Stat::kRxReset, &CodecStats::rx_reset);
  add(Http2Stat::kStreamRefusedErrors, &CodecStats::stream_refused_errors);
  add(Http2Stat::kTrailers, &CodecStats::trailers);
  add(Http2Stat::kTxReset, &CodecStats::tx_reset);
  known_ = counts_;
}

}  // namespace remora::proxy
