#include "xds/http_options.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case.pb.h"
#include "xds/durations.h"
#include "xds/extension.h"

namespace remora::xds {
namespace {

using Http1Proto = envoy::config::core::v3::Http1ProtocolOptions;
using Http2Proto = envoy::config::core::v3::Http2ProtocolOptions;

void ParseHeaderCase(const Http1Proto::HeaderKeyFormat& proto, Http1Options* out,
                     ParseContext& context) {
  if (proto.has_proper_case_words()) {
    out->header_case = Http1Options::HeaderCase::kProper;
    return;
  }
  if (!proto.has_stateful_formatter()) return;
  ParseContext::Scope scope(context, "header_key_format.stateful_formatter");
  const Extension extension = ParseExtension(proto.stateful_formatter(), context);
  envoy::extensions::http::header_formatters::preserve_case::v3::PreserveCaseFormatterConfig config;
  if (extension.type_name() != config.GetDescriptor()->full_name()) {
    return context.Error(
        absl::StrCat("header formatter ", extension.type_url, " is not supported"));
  }
  if (!DecodeInto(extension, &config, context)) return;
  out->header_case = Http1Options::HeaderCase::kPreserve;
  out->forward_reason_phrase = config.forward_reason_phrase();
}

// The numbers that have a field of their own and may not come as custom
// settings too.
absl::string_view NamedSetting(uint32_t id, const Http2Proto& proto) {
  switch (id) {
    case 1:
      return proto.has_hpack_table_size() ? "hpack_table_size" : "";
    case 3:
      return proto.has_max_concurrent_streams() ? "max_concurrent_streams" : "";
    case 4:
      return proto.has_initial_stream_window_size() ? "initial_stream_window_size" : "";
    case 8:
      return "allow_connect";
    default:
      return "";
  }
}

void ParseCustomSettings(const Http2Proto& proto, Http2Options* out, ParseContext& context) {
  absl::flat_hash_map<uint32_t, uint32_t> seen;
  for (int i = 0; i < proto.custom_settings_parameters_size(); ++i) {
    ParseContext::Scope scope(context, "custom_settings_parameters", i);
    const auto& item = proto.custom_settings_parameters(i);
    const uint32_t id = item.identifier().value();
    const uint32_t value = item.value().value();
    if (id == 2) {
      context.Error(
          "server push is not supported by Envoy and can not be "
          "enabled via a SETTINGS parameter.");
    }
    const absl::string_view named = NamedSetting(id, proto);
    if (!named.empty()) {
      context.Error(
          absl::StrCat("the value of SETTINGS parameter ", id, " is set by ", named, " already"));
    }
    const auto [known, added] = seen.emplace(id, value);
    if (!added && known->second != value) {
      context.Error(
          absl::StrCat("inconsistent HTTP/2 custom SETTINGS "
                       "parameter ",
                       id));
    }
    out->custom_settings.emplace_back(static_cast<uint16_t>(id), value);
  }
}

void ParseKeepalive(const envoy::config::core::v3::KeepaliveSettings& proto, Http2Options* out) {
  if (proto.has_interval()) {
    out->keepalive_interval = FromProto(proto.interval());
  }
  out->keepalive_timeout = FromProto(proto.timeout());
  if (proto.has_interval_jitter()) {
    out->keepalive_jitter_percent = proto.interval_jitter().value();
  }
  if (proto.has_connection_idle_interval()) {
    out->keepalive_idle_interval = FromProto(proto.connection_idle_interval());
  }
}

}  // namespace

CommonHttpOptions ParseCommonHttpOptions(const envoy::config::core::v3::HttpProtocolOptions& proto,
                                         ParseContext& context) {
  using Proto = envoy::config::core::v3::HttpProtocolOptions;
  CommonHttpOptions out;
  if (proto.has_idle_timeout()) {
    out.idle_timeout = FromProto(proto.idle_timeout());
  }
  if (proto.has_max_connection_duration()) {
    out.max_connection_duration = FromProto(proto.max_connection_duration());
  }
  if (proto.has_max_stream_duration()) {
    out.max_stream_duration = FromProto(proto.max_stream_duration());
  }
  if (proto.has_max_headers_count()) {
    out.max_headers_count = proto.max_headers_count().value();
  }
  if (proto.has_max_response_headers_kb()) {
    out.max_response_headers_kb = proto.max_response_headers_kb().value();
  }
  switch (proto.headers_with_underscores_action()) {
    case Proto::REJECT_REQUEST:
      out.underscores = UnderscoresAction::kRejectRequest;
      break;
    case Proto::DROP_HEADER:
      out.underscores = UnderscoresAction::kDropHeader;
      break;
    default:
      break;
  }
  if (proto.has_max_requests_per_connection()) {
    out.max_requests_per_connection = proto.max_requests_per_connection().value();
  }
  if (proto.has_max_connection_duration_jitter()) {
    context.NotHonoured("max_connection_duration_jitter");
  }
  return out;
}

Http1Options ParseHttp1Options(const Http1Proto& proto, ParseContext& context) {
  Http1Options out;
  if (proto.has_allow_absolute_url()) {
    out.allow_absolute_url = proto.allow_absolute_url().value();
  }
  out.accept_http_10 = proto.accept_http_10();
  out.default_host_for_http_10 = proto.default_host_for_http_10();
  ParseHeaderCase(proto.header_key_format(), &out, context);
  out.enable_trailers = proto.enable_trailers();
  out.allow_chunked_length = proto.allow_chunked_length();
  out.send_fully_qualified_url = proto.send_fully_qualified_url();
  out.allow_custom_methods = proto.allow_custom_methods();
  if (proto.has_override_stream_error_on_invalid_http_message()) {
    out.stream_error_on_invalid = proto.override_stream_error_on_invalid_http_message().value();
  }
  for (int i = 0; i < proto.ignore_http_11_upgrade_size(); ++i) {
    ParseContext::Scope scope(context, "ignore_http_11_upgrade", i);
    absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(proto.ignore_http_11_upgrade(i));
    if (matcher.ok()) {
      out.ignore_upgrade.push_back(*std::move(matcher));
    } else {
      context.Error(matcher.status());
    }
  }
  return out;
}

Http2Options ParseHttp2Options(const Http2Proto& proto, ParseContext& context) {
  Http2Options out;
  const auto take = [](bool set, uint32_t value, uint32_t* to) {
    if (set) *to = value;
  };
  take(proto.has_hpack_table_size(), proto.hpack_table_size().value(), &out.hpack_table_size);
  take(proto.has_max_concurrent_streams(), proto.max_concurrent_streams().value(),
       &out.max_concurrent_streams);
  take(proto.has_initial_stream_window_size(), proto.initial_stream_window_size().value(),
       &out.initial_stream_window);
  take(proto.has_initial_connection_window_size(), proto.initial_connection_window_size().value(),
       &out.initial_connection_window);
  take(proto.has_max_outbound_frames(), proto.max_outbound_frames().value(),
       &out.max_outbound_frames);
  take(proto.has_max_outbound_control_frames(), proto.max_outbound_control_frames().value(),
       &out.max_outbound_control_frames);
  take(proto.has_max_consecutive_inbound_frames_with_empty_payload(),
       proto.max_consecutive_inbound_frames_with_empty_payload().value(),
       &out.max_consecutive_empty_frames);
  take(proto.has_max_inbound_priority_frames_per_stream(),
       proto.max_inbound_priority_frames_per_stream().value(), &out.max_priority_frames_per_stream);
  take(proto.has_max_inbound_window_update_frames_per_data_frame_sent(),
       proto.max_inbound_window_update_frames_per_data_frame_sent().value(),
       &out.max_window_updates_per_data_frame);
  out.allow_connect = proto.allow_connect();
  out.allow_metadata = proto.allow_metadata();
  if (proto.has_override_stream_error_on_invalid_http_message()) {
    out.stream_error_on_invalid = proto.override_stream_error_on_invalid_http_message().value();
  } else if (proto.stream_error_on_invalid_http_messaging()) {
    out.stream_error_on_invalid = true;
  }
  ParseCustomSettings(proto, &out, context);
  ParseKeepalive(proto.connection_keepalive(), &out);
  return out;
}

}  // namespace remora::xds
