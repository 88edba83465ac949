#ifndef REMORA_XDS_HTTP_OPTIONS_H_
#define REMORA_XDS_HTTP_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "filters/matchers.h"
#include "xds/parse_context.h"

namespace envoy::config::core::v3 {
class Http1ProtocolOptions;
class Http2ProtocolOptions;
class HttpProtocolOptions;
}  // namespace envoy::config::core::v3

namespace remora::xds {

enum class UnderscoresAction { kAllow, kRejectRequest, kDropHeader };

// Options of either version, on either side. Defaults are Envoy's.
struct CommonHttpOptions {
  std::optional<absl::Duration> idle_timeout;  // absent: 1 h; zero: none
  std::optional<absl::Duration> max_connection_duration;
  std::optional<absl::Duration> max_stream_duration;
  uint32_t max_headers_count = 100;
  std::optional<uint32_t> max_response_headers_kb;
  UnderscoresAction underscores = UnderscoresAction::kAllow;
  uint32_t max_requests_per_connection = 0;  // zero: no limit

  // The idle timeout in force; zero means none.
  absl::Duration IdleTimeout() const { return idle_timeout.value_or(absl::Hours(1)); }
};

struct Http1Options {
  enum class HeaderCase { kLower, kProper, kPreserve };

  bool allow_absolute_url = true;
  bool accept_http_10 = false;
  std::string default_host_for_http_10;
  HeaderCase header_case = HeaderCase::kLower;
  bool forward_reason_phrase = false;  // of the case-preserving formatter
  bool enable_trailers = false;
  bool allow_chunked_length = false;
  bool send_fully_qualified_url = false;
  bool allow_custom_methods = false;
  std::optional<bool> stream_error_on_invalid;  // overrides the connection manager's
  std::vector<StringMatcher> ignore_upgrade;    // ignore_http_11_upgrade
};

struct Http2Options {
  uint32_t hpack_table_size = 4096;
  uint32_t max_concurrent_streams = 1024;
  uint32_t initial_stream_window = 16 * 1024 * 1024;
  uint32_t initial_connection_window = 24 * 1024 * 1024;
  bool allow_connect = false;
  bool allow_metadata = false;
  uint32_t max_outbound_frames = 10000;
  uint32_t max_outbound_control_frames = 1000;
  uint32_t max_consecutive_empty_frames = 1;
  uint32_t max_priority_frames_per_stream = 100;
  uint32_t max_window_updates_per_data_frame = 10;
  std::optional<bool> stream_error_on_invalid;
  std::vector<std::pair<uint16_t, uint32_t>> custom_settings;
  // PING keepalive; an interval of zero is off.
  absl::Duration keepalive_interval;
  absl::Duration keepalive_timeout;
  double keepalive_jitter_percent = 15;
  absl::Duration keepalive_idle_interval;  // ping before reuse after this long without traffic
};

CommonHttpOptions ParseCommonHttpOptions(const envoy::config::core::v3::HttpProtocolOptions& proto,
                                         ParseContext& context);
Http1Options ParseHttp1Options(const envoy::config::core::v3::Http1ProtocolOptions& proto,
                               ParseContext& context);
Http2Options ParseHttp2Options(const envoy::config::core::v3::Http2ProtocolOptions& proto,
                               ParseContext& context);

}  // namespace remora::xds

#endif  // REMORA_XDS_HTTP_OPTIONS_H_
