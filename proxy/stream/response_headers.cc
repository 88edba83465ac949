#include "proxy/stream/response_headers.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/stream/request_headers.h"

namespace remora::proxy {
namespace {

using Config = xds::HttpConnectionManager;

struct ProxyError {
  ResponseFlag flag;
  absl::string_view error;
  int recommended;
};
// RFC 9209 section 2.3: what each reason is called.
constexpr ProxyError kErrors[] = {
    {ResponseFlag::kFailedLocalHealthCheck, "destination_unavailable", 503},
    {ResponseFlag::kNoHealthyUpstream, "destination_unavailable", 503},
    {ResponseFlag::kUpstreamRequestTimeout, "http_response_timeout", 504},
    {ResponseFlag::kLocalReset, "connection_timeout", 504},
    {ResponseFlag::kUpstreamRemoteReset, "connection_terminated", 502},
    {ResponseFlag::kUpstreamConnectionFailure, "connection_refused", 502},
    {ResponseFlag::kUpstreamConnectionTermination, "connection_terminated", 502},
    {ResponseFlag::kUpstreamOverflow, "connection_limit_reached", 503},
    {ResponseFlag::kNoRouteFound, "destination_not_found", 500},
    {ResponseFlag::kRateLimited, "connection_limit_reached", 503},
    {ResponseFlag::kRateLimitServiceError, "connection_limit_reached", 503},
    {ResponseFlag::kUpstreamRetryLimitExceeded, "destination_unavailable", 503},
    {ResponseFlag::kStreamIdleTimeout, "http_response_timeout", 504},
    {ResponseFlag::kInvalidEnvoyRequestHeaders, "http_request_error", 400},
    {ResponseFlag::kDownstreamProtocolError, "http_request_error", 400},
    {ResponseFlag::kUpstreamMaxStreamDurationReached, "http_response_timeout", 504},
    {ResponseFlag::kNoFilterConfigFound, "proxy_configuration_error", 500},
    {ResponseFlag::kUpstreamProtocolError, "http_protocol_error", 502},
    {ResponseFlag::kNoClusterFound, "destination_unavailable", 503},
    {ResponseFlag::kDnsResolutionFailed, "dns_error", 502},
};

const ProxyError* ErrorOf(const ResponseFlags& flags) {
  for (const ProxyError& error : kErrors) {
    if (flags.Has(error.flag)) return &error;
  }
  return nullptr;
}

std::string FlagList(const ResponseFlags& flags) {
  std::string out;
  flags.ForEach([&](ResponseFlag flag) {
    absl::StrAppend(&out, out.empty() ? "" : ",",
                    kResponseFlagShortNames[static_cast<size_t>(flag)]);
  });
  return out;
}

void SetProxyStatus(const Config& config, const StreamInfo& info, const std::string& node_id,
                    Headers& response) {
  const ProxyError* error = ErrorOf(info.flags);
  if (error == nullptr) return;
  std::string value;
  if (config.proxy_status_use_node_id && !node_id.empty()) {
    value = node_id;
  } else if (!config.proxy_status_name.empty()) {
    value = config.proxy_status_name;
  } else {
    value = config.server_name;
  }
  absl::StrAppend(&value, "; error=", error->error);
  if (!config.proxy_status_remove_details && !info.response_code_details.empty()) {
    std::string details(info.response_code_details);
    const absl::string_view termination =
        info.downstream == nullptr ? absl::string_view() : info.downstream->termination_details;
    if (!config.proxy_status_remove_connection_termination_details && !termination.empty()) {
      absl::StrAppend(&details, "; ", termination);
    }
    if (!config.proxy_status_remove_response_flags) {
      absl::StrAppend(&details, "; ", FlagList(info.flags));
    }
    absl::StrAppend(&value, "; details=\"", details, "\"");
  }
  response.AppendValue(HeaderId::kProxyStatus, value, ", ");
  if (config.proxy_status_recommended_code) response.set_status(error->recommended);
}

}  // namespace

void PrepareResponseHeaders(const Config& config, const Headers* request, absl::string_view date,
                            bool upgrade, bool local, const StreamInfo& info,
                            const std::string& node_id, Headers& response) {
  if (!response.Has(HeaderId::kDate)) response.Add(HeaderId::kDate, date);
  switch (config.server_header) {
    case Config::ServerHeader::kOverwrite:
      response.SetReference(HeaderId::kServer, config.server_name);
      break;
    case Config::ServerHeader::kAppendIfAbsent:
      if (!response.Has(HeaderId::kServer)) {
        response.AddReference(HeaderId::kServer, config.server_name);
      }
      break;
    case Config::ServerHeader::kPassThrough:
      break;
  }
  if (!upgrade) {
    response.Remove(HeaderId::kConnection);
    response.Remove(HeaderId::kUpgrade);
  }
  response.Remove(HeaderId::kTransferEncoding);
  response.Remove(HeaderId::kKeepAlive);
  response.Remove(HeaderId::kProxyConnection);
  if (request != nullptr &&
      (config.always_set_request_id_in_response || request->Has(HeaderId::kXEnvoyForceTrace))) {
    const absl::string_view id = request->Value(HeaderId::kXRequestId);
    if (!id.empty()) response.Set(HeaderId::kXRequestId, id);
  }
  AppendVia(config.via, response);
  if (config.proxy_status && local) SetProxyStatus(config, info, node_id, response);
}

}  // namespace remora::proxy
