// Command operators that read the two connections of an exchange: addresses, TLS, identities.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "filters/api/headers.h"
#include "filters/format_fields.h"

namespace remora {
namespace {

enum Side : int { kRemote, kDirectRemote, kLocal, kDirectLocal, kUpstreamRemote, kUpstreamLocal };
// Added to a side.
constexpr int kWithoutPort = 16;
constexpr int kPort = 32;

const Address* AddressOf(int mode, const StreamInfo& info) {
  switch (mode & 15) {
    case kRemote:
      if (info.remote.kind() != Address::Kind::kNone) return &info.remote;
      return info.downstream == nullptr ? nullptr : &info.downstream->remote;
    case kDirectRemote:
      return info.downstream == nullptr ? nullptr : &info.downstream->direct_remote;
    case kLocal:
    case kDirectLocal:
      return info.downstream == nullptr ? nullptr : &info.downstream->local;
    case kUpstreamRemote:
      return &info.upstream_remote;
    default:
      return &info.upstream_local;
  }
}

void AppendMasked(const Address& address, uint32_t length, std::string* out) {
  const uint32_t most = address.kind() == Address::Kind::kIpv4 ? 32 : 128;
  length = std::min(length, most);
  char bytes[16] = {};
  address.ip_bytes().copy(bytes, sizeof bytes);
  for (uint32_t bit = length; bit < most; ++bit) bytes[bit / 8] &= ~(0x80 >> (bit % 8));
  Address masked = address;
  char* raw = reinterpret_cast<char*>(const_cast<sockaddr*>(masked.sockaddr_ptr()));
  const size_t offset = masked.ip_bytes().data() - raw;
  std::copy(bytes, bytes + most / 8, raw + offset);
  absl::StrAppend(out, masked.IpString(), "/", length);
}

FormatValue AddressText(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  const Address* address = AddressOf(args.mode, info);
  if (address == nullptr || address->kind() == Address::Kind::kNone) return {};
  switch (args.mode & ~15) {
    case kPort:
      return address->is_ip() ? FormatValue::Number(address->port()) : FormatValue();
    case kWithoutPort:
      if (args.mask && address->is_ip()) {
        AppendMasked(*address, *args.mask, scratch);
      } else {
        *scratch = address->is_ip() ? address->IpString() : address->ToString();
      }
      return FormatValue::Text(*scratch);
    default:
      *scratch = address->ToString();
      return FormatValue::Text(*scratch);
  }
}

absl::Status ParseMask(absl::string_view argument, FormatArgs* args) {
  if (argument.empty()) return absl::OkStatus();
  uint32_t mask = 0;
  // Anything but a number is no mask.
  if (!absl::ascii_isdigit(argument[0])) return absl::OkStatus();
  if (!absl::SimpleAtoi(argument, &mask) || mask > 128) {
    return absl::InvalidArgumentError(absl::StrCat("Invalid CIDR prefix length: ", argument));
  }
  args->mask = mask;
  return absl::OkStatus();
}

// TLS. The mode says whose handshake.
enum Handshake { kDownstream, kUpstream };

const TlsFacts* TlsOf(const FormatArgs& args, const StreamInfo& info) {
  if (args.mode == kUpstream) return info.upstream_tls;
  return info.downstream == nullptr ? nullptr : info.downstream->tls;
}

template <std::string TlsFacts::* kField>
FormatValue TlsText(const FormatArgs& args, const StreamInfo& info, std::string*) {
  const TlsFacts* tls = TlsOf(args, info);
  return tls == nullptr ? FormatValue() : FormatValue::TextOrMissing(tls->*kField);
}

template <std::vector<std::string> TlsFacts::* kField>
FormatValue TlsList(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  const TlsFacts* tls = TlsOf(args, info);
  if (tls == nullptr) return {};
  for (const std::string& value : tls->*kField) {
    if (!scratch->empty()) scratch->push_back(',');
    scratch->append(value);
  }
  return FormatValue::TextOrMissing(*scratch);
}

template <int64_t TlsFacts::* kField>
FormatValue TlsTime(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  const TlsFacts* tls = TlsOf(args, info);
  if (tls == nullptr || tls->*kField == 0) return {};
  args.time.Append(tls->*kField * 1000000000, scratch);
  return FormatValue::Text(*scratch);
}

absl::Status ParseTime(absl::string_view argument, FormatArgs* args) {
  absl::StatusOr<TimeFormat> format =
      TimeFormat::Parse(argument.empty() ? "%b %d %H:%M:%S %Y GMT" : argument, false);
  if (!format.ok()) return format.status();
  args->time = *std::move(format);
  return absl::OkStatus();
}

// REQUESTED_SERVER_NAME: whose word counts, the handshake's or the request's, and which host of the
// request: the one that the client named, or the one now there.
enum NameFrom : int { kSniOnly = 0, kSniFirst = 1, kHostFirst = 2, kOriginalHost = 4, kHost = 8 };

absl::string_view HostOf(int mode, const StreamInfo& info) {
  if (info.request_headers == nullptr) return {};
  absl::string_view host;
  if ((mode & kHost) == 0) host = info.request_headers->Value(HeaderId::kXEnvoyOriginalHost);
  if (host.empty() && (mode & kOriginalHost) == 0) host = info.request_headers->authority();
  if (!host.empty() && host.back() == ']') return host;
  return host.substr(0, host.rfind(':'));
}

FormatValue ServerName(const FormatArgs& args, const StreamInfo& info, std::string*) {
  absl::string_view sni;
  if (info.downstream != nullptr) sni = info.downstream->requested_server_name;
  if ((args.mode & kHostFirst) != 0) {
    const absl::string_view host = HostOf(args.mode, info);
    return FormatValue::TextOrMissing(host.empty() ? sni : host);
  }
  if (sni.empty() && (args.mode & kSniFirst) != 0) sni = HostOf(args.mode, info);
  return FormatValue::TextOrMissing(sni);
}

// "SNI_FIRST:ORIG" and the like.
absl::Status ParseServerName(absl::string_view argument, FormatArgs* args) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(argument, absl::MaxSplits(':', 1));
  if (parts.first == "SNI_FIRST") {
    args->mode = kSniFirst;
  } else if (parts.first == "HOST_FIRST") {
    args->mode = kHostFirst;
  } else if (!parts.first.empty() && parts.first != "SNI_ONLY") {
    return absl::InvalidArgumentError(
        absl::StrCat("Invalid REQUESTED_SERVER_NAME option: '", parts.first,
                     "', only 'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed"));
  }
  if (parts.second == "ORIG") {
    args->mode |= kOriginalHost;
  } else if (parts.second == "HOST") {
    args->mode |= kHost;
  } else if (!parts.second.empty() && parts.second != "ORIG_OR_HOST") {
    return absl::InvalidArgumentError(
        absl::StrCat("Invalid REQUESTED_SERVER_NAME option: '", parts.second,
                     "', only 'ORIG'/'HOST'/'ORIG_OR_HOST' are allowed"));
  }
  return absl::OkStatus();
}

// Only addresses inside the proxy have one.
FormatValue EndpointId(const FormatArgs&, const StreamInfo&, std::string*) {
  return FormatValue::Text("");
}

FormatValue ConnectionId(const FormatArgs&, const StreamInfo& info, std::string*) {
  return info.downstream == nullptr ? FormatValue() : FormatValue::Number(info.downstream->id);
}

template <absl::string_view ConnectionInfo::* kField>
FormatValue ConnectionText(const FormatArgs&, const StreamInfo& info, std::string*) {
  return info.downstream == nullptr ? FormatValue()
                                    : FormatValue::TextOrMissing(info.downstream->*kField);
}

FormatValue TransportFailure(const FormatArgs& args, const StreamInfo& info, std::string* scratch) {
  absl::string_view reason;
  if (args.mode == kUpstream) {
    reason = info.upstream_transport_failure_reason;
  } else if (info.downstream != nullptr) {
    reason = info.downstream->transport_failure_reason;
  }
  scratch->assign(reason.data(), reason.size());
  for (char& c : *scratch) {
    if (c == ' ') c = '_';
  }
  return FormatValue::TextOrMissing(*scratch);
}

constexpr auto kNone = FormatSyntax::kNone;
constexpr auto kOptional = FormatSyntax::kOptional;

constexpr FormatField kFields[] = {
    {"DOWNSTREAM_REMOTE_ADDRESS", kNone, AddressText, nullptr, kRemote},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", kOptional, AddressText, ParseMask,
     kRemote | kWithoutPort},
    {"DOWNSTREAM_REMOTE_PORT", kNone, AddressText, nullptr, kRemote | kPort},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", kNone, AddressText, nullptr, kDirectRemote},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", kOptional, AddressText, ParseMask,
     kDirectRemote | kWithoutPort},
    {"DOWNSTREAM_DIRECT_REMOTE_PORT", kNone, AddressText, nullptr, kDirectRemote | kPort},
    {"DOWNSTREAM_LOCAL_ADDRESS", kNone, AddressText, nullptr, kLocal},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", kOptional, AddressText, ParseMask,
     kLocal | kWithoutPort},
    {"DOWNSTREAM_LOCAL_PORT", kNone, AddressText, nullptr, kLocal | kPort},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS", kNone, AddressText, nullptr, kDirectLocal},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", kOptional, AddressText, ParseMask,
     kDirectLocal | kWithoutPort},
    {"DOWNSTREAM_DIRECT_LOCAL_PORT", kNone, AddressText, nullptr, kDirectLocal | kPort},
    {"UPSTREAM_REMOTE_ADDRESS", kNone, AddressText, nullptr, kUpstreamRemote},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", kOptional, AddressText, ParseMask,
     kUpstreamRemote | kWithoutPort},
    {"UPSTREAM_REMOTE_PORT", kNone, AddressText, nullptr, kUpstreamRemote | kPort},
    {"UPSTREAM_LOCAL_ADDRESS", kNone, AddressText, nullptr, kUpstreamLocal},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", kOptional, AddressText, ParseMask,
     kUpstreamLocal | kWithoutPort},
    {"UPSTREAM_LOCAL_PORT", kNone, AddressText, nullptr, kUpstreamLocal | kPort},
    {"CONNECTION_ID", kNone, ConnectionId, nullptr, 0},
    {"FILTER_CHAIN_NAME", kNone, ConnectionText<&ConnectionInfo::filter_chain_name>, nullptr, 0},
    {"CONNECTION_TERMINATION_DETAILS", kNone, ConnectionText<&ConnectionInfo::termination_details>,
     nullptr, 0},
    {"DOWNSTREAM_LOCAL_CLOSE_REASON", kNone, ConnectionText<&ConnectionInfo::local_close_reason>,
     nullptr, 0},
    {"DOWNSTREAM_TRANSPORT_FAILURE_REASON", kNone, TransportFailure, nullptr, kDownstream},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", kNone, TransportFailure, nullptr, kUpstream},
    {"REQUESTED_SERVER_NAME", kOptional, ServerName, ParseServerName, kSniOnly},
    {"LISTENER_NAME", kNone, ConnectionText<&ConnectionInfo::listener_name>, nullptr, 0},
    {"DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", kNone, EndpointId, nullptr, 0},
    {"DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", kNone, EndpointId, nullptr, 0},
    {"UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", kNone, EndpointId, nullptr, 0},
#define REMORA_TLS_FIELD(NAME, FUNCTION)                         \
  {"DOWNSTREAM_" NAME, kNone, FUNCTION, nullptr, kDownstream}, { \
    "UPSTREAM_" NAME, kNone, FUNCTION, nullptr, kUpstream        \
  }
    REMORA_TLS_FIELD("TLS_VERSION", TlsText<&TlsFacts::version>),
    REMORA_TLS_FIELD("TLS_CIPHER", TlsText<&TlsFacts::cipher>),
    REMORA_TLS_FIELD("TLS_SESSION_ID", TlsText<&TlsFacts::session_id>),
    REMORA_TLS_FIELD("TLS_GROUP", TlsText<&TlsFacts::group>),
    REMORA_TLS_FIELD("PEER_SUBJECT", TlsText<&TlsFacts::peer_subject>),
    REMORA_TLS_FIELD("PEER_ISSUER", TlsText<&TlsFacts::peer_issuer>),
    {"DOWNSTREAM_PEER_SERIAL", kNone, TlsText<&TlsFacts::peer_serial>, nullptr, kDownstream},
    {"DOWNSTREAM_PEER_FINGERPRINT_256", kNone, TlsText<&TlsFacts::peer_fingerprint_sha256>, nullptr,
     kDownstream},
    {"DOWNSTREAM_PEER_FINGERPRINT_1", kNone, TlsText<&TlsFacts::peer_fingerprint_sha1>, nullptr,
     kDownstream},
    REMORA_TLS_FIELD("PEER_CERT", TlsText<&TlsFacts::peer_certificate_pem>),
    {"DOWNSTREAM_LOCAL_SUBJECT", kNone, TlsText<&TlsFacts::local_subject>, nullptr, kDownstream},
    REMORA_TLS_FIELD("PEER_URI_SAN", TlsList<&TlsFacts::peer_uri_sans>),
    REMORA_TLS_FIELD("PEER_DNS_SAN", TlsList<&TlsFacts::peer_dns_sans>),
    REMORA_TLS_FIELD("PEER_IP_SAN", TlsList<&TlsFacts::peer_ip_sans>),
    {"DOWNSTREAM_PEER_EMAIL_SAN", kNone, TlsList<&TlsFacts::peer_email_sans>, nullptr, kDownstream},
    REMORA_TLS_FIELD("LOCAL_URI_SAN", TlsList<&TlsFacts::local_uri_sans>),
    REMORA_TLS_FIELD("LOCAL_DNS_SAN", TlsList<&TlsFacts::local_dns_sans>),
    REMORA_TLS_FIELD("LOCAL_IP_SAN", TlsList<&TlsFacts::local_ip_sans>),
#undef REMORA_TLS_FIELD
    {"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", kNone, TlsList<&TlsFacts::chain_fingerprints_sha256>,
     nullptr, kDownstream},
    {"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", kNone, TlsList<&TlsFacts::chain_fingerprints_sha1>,
     nullptr, kDownstream},
    {"DOWNSTREAM_PEER_CHAIN_SERIALS", kNone, TlsList<&TlsFacts::chain_serials>, nullptr,
     kDownstream},
    {"DOWNSTREAM_PEER_CERT_V_START", kOptional, TlsTime<&TlsFacts::peer_valid_from>, ParseTime,
     kDownstream},
    {"DOWNSTREAM_PEER_CERT_V_END", kOptional, TlsTime<&TlsFacts::peer_valid_until>, ParseTime,
     kDownstream},
    {"UPSTREAM_PEER_CERT_V_START", kOptional, TlsTime<&TlsFacts::peer_valid_from>, ParseTime,
     kUpstream},
    {"UPSTREAM_PEER_CERT_V_END", kOptional, TlsTime<&TlsFacts::peer_valid_until>, ParseTime,
     kUpstream},
};

}  // namespace

absl::Span<const FormatField> ConnectionFormatFields() { return kFields; }

}  // namespace remora
