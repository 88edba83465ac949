#include "filters/match_input.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/matching/common_inputs/network/v3/network_inputs.pb.h"
#include "envoy/extensions/matching/common_inputs/ssl/v3/ssl_inputs.pb.h"
#include "envoy/type/matcher/v3/http_inputs.pb.h"
#include "envoy/type/matcher/v3/status_code_input.pb.h"
#include "xds/core/v3/extension.pb.h"

namespace remora {
namespace {

namespace http = envoy::type::matcher::v3;
namespace network = envoy::extensions::matching::common_inputs::network::v3;
namespace ssl = envoy::extensions::matching::common_inputs::ssl::v3;

std::optional<absl::string_view> QueryParameter(const Headers& headers, absl::string_view name) {
  absl::string_view path = headers.path();
  path = path.substr(0, path.find('#'));
  const size_t mark = path.find('?');
  if (mark == absl::string_view::npos) return std::nullopt;
  for (const absl::string_view pair : absl::StrSplit(path.substr(mark + 1), '&')) {
    const size_t equal = pair.find('=');
    if (pair.substr(0, equal) != name) continue;
    return equal == absl::string_view::npos ? absl::string_view() : pair.substr(equal + 1);
  }
  return std::nullopt;
}

std::optional<absl::string_view> Present(absl::string_view text) {
  return text.empty() ? std::nullopt : std::optional<absl::string_view>(text);
}

std::optional<absl::string_view> Joined(const std::vector<std::string>& values,
                                        std::string& scratch) {
  if (values.size() == 1) return values.front();
  scratch = absl::StrJoin(values, ",");
  return Present(scratch);
}

}  // namespace

absl::StatusOr<MatchInput> MatchInput::Parse(const ::xds::core::v3::TypedExtensionConfig& proto) {
  MatchInput out;
  const google::protobuf::Any& any = proto.typed_config();
  if (any.Is<http::HttpRequestHeaderMatchInput>()) {
    http::HttpRequestHeaderMatchInput input;
    any.UnpackTo(&input);
    out.kind_ = Kind::kRequestHeader;
    out.name_ = absl::AsciiStrToLower(input.header_name());
    return out;
  }
  if (any.Is<http::HttpRequestQueryParamMatchInput>()) {
    http::HttpRequestQueryParamMatchInput input;
    any.UnpackTo(&input);
    out.kind_ = Kind::kQueryParameter;
    out.name_ = input.query_param();
    return out;
  }
  if (any.Is<http::HttpResponseHeaderMatchInput>()) {
    http::HttpResponseHeaderMatchInput input;
    any.UnpackTo(&input);
    out.kind_ = Kind::kResponseHeader;
    out.name_ = absl::AsciiStrToLower(input.header_name());
    return out;
  }
  const std::pair<bool, Kind> plain[] = {
      {any.Is<http::HttpResponseStatusCodeMatchInput>(), Kind::kStatus},
      {any.Is<http::HttpResponseStatusCodeClassMatchInput>(), Kind::kStatusClass},
      {any.Is<network::DestinationIPInput>(), Kind::kDestinationIp},
      {any.Is<network::DestinationPortInput>(), Kind::kDestinationPort},
      {any.Is<network::SourceIPInput>(), Kind::kSourceIp},
      {any.Is<network::SourcePortInput>(), Kind::kSourcePort},
      {any.Is<network::DirectSourceIPInput>(), Kind::kDirectSourceIp},
      {any.Is<network::SourceTypeInput>(), Kind::kSourceType},
      {any.Is<network::ServerNameInput>(), Kind::kServerName},
      {any.Is<network::TransportProtocolInput>(), Kind::kTransportProtocol},
      {any.Is<ssl::UriSanInput>(), Kind::kUriSan},
      {any.Is<ssl::DnsSanInput>(), Kind::kDnsSan},
      {any.Is<ssl::SubjectInput>(), Kind::kSubject},
  };
  for (const auto& [is, kind] : plain) {
    if (!is) continue;
    out.kind_ = kind;
    return out;
  }
  return absl::UnimplementedError(absl::StrCat("Didn't find a registered implementation for '",
                                               proto.name(), "' with type URL: '", any.type_url(),
                                               "'"));
}

const Address* MatchInput::GetAddress(const MatchSubject& subject) const {
  const ConnectionInfo* downstream = subject.info.downstream;
  const Address* address = nullptr;
  switch (kind_) {
    case Kind::kDestinationIp:
    case Kind::kDestinationPort:
      if (downstream != nullptr) address = &downstream->local;
      break;
    case Kind::kSourceIp:
    case Kind::kSourcePort:
    case Kind::kSourceType:
      // A request's client, as far as the connection manager could tell.
      if (subject.headers != nullptr) {
        address = &subject.info.remote;
      } else if (downstream != nullptr) {
        address = &downstream->remote;
      }
      break;
    case Kind::kDirectSourceIp:
      if (downstream != nullptr) address = &downstream->direct_remote;
      break;
    default:
      break;
  }
  return address != nullptr && address->is_ip() ? address : nullptr;
}

std::optional<absl::string_view> MatchInput::Get(const MatchSubject& subject,
                                                 std::string& scratch) const {
  const ConnectionInfo* downstream = subject.info.downstream;
  const TlsFacts* tls = downstream == nullptr ? nullptr : downstream->tls;
  const Address* address = GetAddress(subject);
  switch (kind_) {
    case Kind::kRequestHeader:
      return subject.headers == nullptr ? std::nullopt : subject.headers->GetJoined(name_);
    case Kind::kQueryParameter:
      return subject.headers == nullptr ? std::nullopt : QueryParameter(*subject.headers, name_);
    case Kind::kDestinationIp:
    case Kind::kSourceIp:
    case Kind::kDirectSourceIp:
      if (address == nullptr) return std::nullopt;
      scratch = address->IpString();
      return scratch;
    case Kind::kDestinationPort:
    case Kind::kSourcePort:
      if (address == nullptr) return std::nullopt;
      scratch = absl::StrCat(address->port());
      return scratch;
    case Kind::kSourceType:
      if (address == nullptr || !address->is_loopback()) return std::nullopt;
      return "local";
    case Kind::kServerName:
      return downstream == nullptr ? std::nullopt : Present(downstream->requested_server_name);
    case Kind::kTransportProtocol:
      return downstream == nullptr ? std::nullopt : Present(downstream->transport_protocol);
    case Kind::kUriSan:
      return tls == nullptr ? std::nullopt : Joined(tls->peer_uri_sans, scratch);
    case Kind::kDnsSan:
      return tls == nullptr ? std::nullopt : Joined(tls->peer_dns_sans, scratch);
    case Kind::kSubject:
      return tls == nullptr ? std::nullopt : Present(tls->peer_subject);
    case Kind::kResponseHeader:
      return subject.response == nullptr ? std::nullopt : subject.response->GetJoined(name_);
    case Kind::kStatus:
    case Kind::kStatusClass: {
      const int status = subject.response == nullptr ? 0 : subject.response->status();
      if (status == 0) return std::nullopt;
      scratch = kind_ == Kind::kStatus ? absl::StrCat(status) : absl::StrCat(status / 100, "xx");
      return scratch;
    }
  }
  return std::nullopt;
}

}  // namespace remora
