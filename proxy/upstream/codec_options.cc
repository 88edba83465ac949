#include "proxy/upstream/codec_options.h"

namespace remora::proxy {

Http1Options CodecOptions(const xds::Http1Options& http1, const xds::CommonHttpOptions& common) {
  Http1Options options;
  options.max_headers_count = common.max_headers_count;
  options.allow_absolute_url = http1.allow_absolute_url;
  options.accept_http_10 = http1.accept_http_10;
  options.enable_trailers = http1.enable_trailers;
  options.proper_case = http1.header_case == xds::Http1Options::HeaderCase::kProper;
  options.preserve_case = http1.header_case == xds::Http1Options::HeaderCase::kPreserve;
  options.allow_chunked_length = http1.allow_chunked_length;
  options.send_fully_qualified_url = http1.send_fully_qualified_url;
  options.allow_custom_methods = http1.allow_custom_methods;
  return options;
}

Http2Options CodecOptions(const xds::Http2Options& http2, const xds::CommonHttpOptions& common) {
  Http2Options options;
  options.max_headers_count = common.max_headers_count;
  options.max_concurrent_streams = http2.max_concurrent_streams;
  options.initial_stream_window = http2.initial_stream_window;
  options.initial_connection_window = http2.initial_connection_window;
  options.hpack_table_size = http2.hpack_table_size;
  options.allow_connect = http2.allow_connect;
  options.stream_error_on_invalid_message = http2.stream_error_on_invalid.value_or(false);
  options.max_outbound_frames = http2.max_outbound_frames;
  options.max_outbound_control_frames = http2.max_outbound_control_frames;
  options.max_inbound_empty_frames = http2.max_consecutive_empty_frames;
  options.max_inbound_priority_per_stream = http2.max_priority_frames_per_stream;
  options.max_inbound_window_updates_per_data = http2.max_window_updates_per_data_frame;
  return options;
}

}  // namespace remora::proxy
