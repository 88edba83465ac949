#include "proxy/main/probe_exchange.h"

#include "absl/strings/str_cat.h"
#include "filters/formatter.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kUserAgent = "Envoy/HC";

void AddHeaders(const std::vector<xds::HeaderAddition>& additions, const StreamInfo& info,
                Headers* headers) {
  for (const xds::HeaderAddition& addition : additions) {
    const absl::string_view text = addition.formatter == nullptr
                                       ? absl::string_view(addition.text)
                                       : addition.formatter->Format(info, headers->arena());
    switch (addition.action) {
      case xds::AppendAction::kAppendOrAdd:
        headers->Add(addition.name, text);
        break;
      case xds::AppendAction::kAddIfAbsent:
        if (!headers->Get(addition.name)) headers->Add(addition.name, text);
        break;
      case xds::AppendAction::kOverwriteIfExists:
        if (headers->Get(addition.name)) headers->Set(addition.name, text);
        break;
      case xds::AppendAction::kOverwriteOrAdd:
        headers->Set(addition.name, text);
        break;
    }
  }
}

void FillHttp(const xds::HttpProbe& probe, absl::string_view host, const StreamInfo& info,
              Headers* headers) {
  headers->set_pseudo(HeaderId::kMethod, probe.method);
  headers->set_pseudo(HeaderId::kPath, probe.path);
  headers->set_pseudo(HeaderId::kAuthority,
                      probe.host.empty() ? host : absl::string_view(probe.host));
  headers->AddReference(HeaderId::kUserAgent, kUserAgent);
  AddHeaders(probe.headers_to_add, info, headers);
  for (const std::string& name : probe.headers_to_remove) headers->Remove(name);
  if (!probe.send.empty()) headers->Set(HeaderId::kContentLength, absl::StrCat(probe.send.size()));
}

void FillGrpc(const xds::GrpcProbe& probe, absl::string_view host, lb::Duration timeout,
              const StreamInfo& info, Headers* headers) {
  headers->set_pseudo_static(HeaderId::kMethod, "POST");
  headers->set_pseudo_static(HeaderId::kPath, "/grpc.health.v1.Health/Check");
  headers->set_pseudo(HeaderId::kAuthority,
                      probe.authority.empty() ? host : absl::string_view(probe.authority));
  headers->AddReference(HeaderId::kTe, "trailers");
  headers->AddReference(HeaderId::kContentType, "application/grpc");
  headers->AddReference(HeaderId::kUserAgent, kUserAgent);
  // At most eight digits, so long ones in seconds.
  const int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count();
  headers->Set(HeaderId::kGrpcTimeout,
               ms < 100'000'000 ? absl::StrCat(ms, "m") : absl::StrCat(ms / 1000, "S"));
  AddHeaders(probe.initial_metadata, info, headers);
}

// HealthCheckResponse.status (field 1, varint) is SERVING (1); framed by gRPC's five bytes.
bool SaysServing(absl::string_view body) {
  return body.size() >= 7 && body.substr(5, 2) == absl::string_view("\x08\x01", 2);
}

}  // namespace

Headers* ProbeRequest(const xds::HealthCheck& check, absl::string_view host, const StreamInfo& info,
                      Arena* arena) {
  auto* headers = arena->New<Headers>(arena);
  headers->set_pseudo_static(HeaderId::kScheme, "http");
  if (const auto* http = std::get_if<xds::HttpProbe>(&check.probe)) {
    FillHttp(*http, host, info, headers);
  } else if (const auto* grpc = std::get_if<xds::GrpcProbe>(&check.probe)) {
    FillGrpc(*grpc, host, check.schedule.timeout, info, headers);
  }
  return headers;
}

std::string ProbeBody(const xds::HealthCheck& check) {
  if (const auto* http = std::get_if<xds::HttpProbe>(&check.probe)) return http->send;
  const auto* grpc = std::get_if<xds::GrpcProbe>(&check.probe);
  if (grpc == nullptr) return "";
  // HealthCheckRequest{service}: field 1, length-delimited.
  std::string message;
  if (!grpc->service.empty()) {
    message += '\x0a';
    for (size_t left = grpc->service.size();; left >>= 7) {
      message += static_cast<char>((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
      if (left <= 0x7f) break;
    }
    message += grpc->service;
  }
  std::string framed(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8)
    framed += static_cast<char>(message.size() >> shift & 0xff);
  return framed + message;
}

bool ContainsInOrder(absl::string_view bytes, const std::vector<std::string>& patterns) {
  size_t at = 0;
  for (const std::string& pattern : patterns) {
    const size_t found = bytes.find(pattern, at);
    if (found == absl::string_view::npos) return false;
    at = found + pattern.size();
  }
  return true;
}

health::ProbeKind Judge(const xds::HealthCheck& check, const ProbeAnswer& answer) {
  if (std::holds_alternative<xds::GrpcProbe>(check.probe)) {
    const bool serving =
        answer.status == 200 && answer.grpc_status == 0 && SaysServing(answer.body);
    return serving ? health::ProbeKind::kPass : health::ProbeKind::kFail;
  }
  const auto& http = std::get<xds::HttpProbe>(check.probe);
  if (!http.Expects(static_cast<uint32_t>(answer.status))) {
    return http.Retries(static_cast<uint32_t>(answer.status)) ? health::ProbeKind::kRetriable
                                                              : health::ProbeKind::kFail;
  }
  if (http.service_name && !http.service_name->Match(answer.healthchecked_cluster))
    return health::ProbeKind::kFail;
  if (!ContainsInOrder(answer.body, http.receive)) return health::ProbeKind::kFail;
  return answer.degraded ? health::ProbeKind::kDegraded : health::ProbeKind::kPass;
}

}  // namespace remora::proxy
