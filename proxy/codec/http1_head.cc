// What a head means once all its fields are known: framing, connection, upgrade, host.
#include "absl/strings/match.h"
#include "proxy/codec/field_text.h"
#include "proxy/codec/http1_parser.h"

namespace remora::proxy {
namespace {

// A Connection field with this many options is refused (Envoy's limit).
constexpr int kMostConnectionOptions = 10;

bool IsForwardingName(absl::string_view token) {
  return absl::EqualsIgnoreCase(token, "x-forwarded-for") ||
         absl::EqualsIgnoreCase(token, "x-forwarded-host") ||
         absl::EqualsIgnoreCase(token, "x-forwarded-proto");
}

// `list` without its "h2c" elements: an upgrade of the connection to the next proxy's HTTP/2 would
// tunnel past this one.
absl::string_view WithoutH2c(absl::string_view list, Arena& arena) {
  bool has_h2c = false;
  ForEachListElement(list, [&](absl::string_view element) {
    has_h2c = has_h2c || absl::EqualsIgnoreCase(element, "h2c");
    return true;
  });
  if (!has_h2c) return list;
  absl::string_view kept;
  ForEachListElement(list, [&](absl::string_view element) {
    if (!absl::EqualsIgnoreCase(element, "h2c")) {
      kept = kept.empty() ? element : arena.Concat(kept, ", ", element);
    }
    return true;
  });
  return kept;
}

}  // namespace

bool Http1Parser::Finish() {
  if (bad_version_) return Fail("low_version", 426);
  if (!FinishTransferEncoding()) return false;
  if (facts_.connect && facts_.content_length) {
    if (*facts_.content_length != 0) return Fail("http1.content_length_not_allowed");
    headers_->Remove(HeaderId::kContentLength);
    facts_.content_length.reset();
  }
  if (!FinishConnection()) return false;
  if (!te_.empty() && kind_ == Kind::kRequest) {
    bool trailers = false;
    ForEachListElement(te_, [&](absl::string_view element) {
      trailers = trailers || absl::EqualsIgnoreCase(element, "trailers");
      return true;
    });
    if (trailers) headers_->AddReference(HeaderId::kTe, "trailers");
  }
  return kind_ == Kind::kResponse || FinishTarget();
}

bool Http1Parser::FinishTransferEncoding() {
  if (transfer_encodings_ == 0) return true;
  if (transfer_encodings_ > 1 || !absl::EqualsIgnoreCase(transfer_encoding_, "chunked")) {
    return Fail("http1.invalid_transfer_encoding", 501);
  }
  if (facts_.http10) return Fail("http1.invalid_transfer_encoding");
  const bool bodiless = facts_.status != 0 && (facts_.status < 200 || facts_.status == 204);
  if (facts_.connect || bodiless) return Fail("http1.transfer_encoding_not_allowed");
  if (facts_.content_length) {
    if (!options_->allow_chunked_length) {
      return Fail("http1.content_length_and_chunked_not_allowed");
    }
    headers_->Remove(HeaderId::kContentLength);
    facts_.content_length.reset();
  }
  facts_.chunked = true;
  return true;
}

bool Http1Parser::FinishConnection() {
  bool upgrade = false;
  bool pruned = false;
  bool valid = true;
  int options = 0;
  ForEachListElement(connection_, [&](absl::string_view token) {
    valid = ++options < kMostConnectionOptions || kind_ == Kind::kResponse;
    if (absl::EqualsIgnoreCase(token, "close")) {
      facts_.close = true;
    } else if (absl::EqualsIgnoreCase(token, "keep-alive")) {
      facts_.keep_alive = true;
    } else if (absl::EqualsIgnoreCase(token, "upgrade")) {
      upgrade = true;
    } else {
      valid = valid && Nominate(token);
      pruned = true;
    }
    return valid;
  });
  if (!valid) return Fail("http1.connection_header_rejected");
  if (!upgrade_.empty()) FinishUpgrade(upgrade, pruned);
  return true;
}

// A field that Connection names is for this hop only (RFC 9110 section 7.6.1). False when the peer
// tries to have taken away what this proxy relies on.
bool Http1Parser::Nominate(absl::string_view token) {
  if (kind_ == Kind::kRequest && (token.front() == ':' || IsForwardingName(token))) return false;
  if (!AllOf(token, kTokenChar)) return true;
  char* lower = headers_->arena().AllocateChars(token.size());
  CopyLower(lower, token.data(), token.size());
  const absl::string_view name(lower, token.size());
  // The codec has framing in hand, and TE is reduced to "trailers" in any case.
  if (name != "content-length" && name != "te") headers_->Remove(name);
  return true;
}

void Http1Parser::FinishUpgrade(bool asked, bool pruned) {
  if (!asked || facts_.http10 || !options_->allow_upgrades) return;
  if (kind_ == Kind::kResponse && facts_.status != 101) return;
  const absl::string_view upgrade = WithoutH2c(upgrade_, headers_->arena());
  if (upgrade.empty()) return;
  if (options_->ignores_upgrade != nullptr &&
      options_->ignores_upgrade(options_->ignores_upgrade_config, upgrade)) {
    return;
  }
  facts_.upgrade = true;
  facts_.websocket = absl::EqualsIgnoreCase(upgrade, "websocket");
  headers_->AddReference(HeaderId::kConnection, pruned ? "upgrade" : connection_);
  headers_->AddReference(HeaderId::kUpgrade, upgrade);
}

bool Http1Parser::FinishTarget() {
  if (!host_.empty() && !IsValidHost(host_)) return Fail("http.invalid_authority");
  if (authority_from_target_) return true;
  if (host_.empty() && hosts_ == 0 && facts_.http10) host_ = options_->default_host_for_http_10;
  if (!host_.empty()) headers_->set_pseudo_static(HeaderId::kAuthority, host_);
  return true;
}

bool IsForbiddenTrailer(absl::string_view lower_name) {
  constexpr size_t kLongest = 64;
  char buffer[kLongest];
  const size_t size = lower_name.size() < kLongest ? lower_name.size() : kLongest;
  for (size_t i = 0; i < size; ++i) buffer[i] = lower_name[i] == '_' ? '-' : lower_name[i];
  const absl::string_view name(buffer, size);
  if (absl::StartsWith(name, "x-forwarded-") || absl::StartsWith(name, "x-envoy-") ||
      absl::StartsWith(name, "proxy-")) {
    return true;
  }
  switch (LookUpHeader(name)) {
    case HeaderId::kAuthorization:
    case HeaderId::kCacheControl:
    case HeaderId::kConnection:
    case HeaderId::kContentEncoding:
    case HeaderId::kContentLength:
    case HeaderId::kContentType:
    case HeaderId::kCookie:
    case HeaderId::kExpect:
    case HeaderId::kForwarded:
    case HeaderId::kHost:
    case HeaderId::kHttp2Settings:
    case HeaderId::kKeepAlive:
    case HeaderId::kRange:
    case HeaderId::kSetCookie:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
    case HeaderId::kVia:
    case HeaderId::kXRealIp:
    case HeaderId::kXRequestId:
      return true;
    default:
      return name == "max-forwards" || name == "content-range";
  }
}

absl::string_view KnownMethod(absl::string_view method) {
  static constexpr absl::string_view kMethods[] = {
      "GET",     "POST",      "PUT",        "HEAD",       "DELETE",   "OPTIONS",    "PATCH",
      "CONNECT", "TRACE",     "ACL",        "BIND",       "CHECKOUT", "COPY",       "LINK",
      "LOCK",    "MERGE",     "MKACTIVITY", "MKCALENDAR", "MKCOL",    "MOVE",       "M-SEARCH",
      "NOTIFY",  "PROPFIND",  "PROPPATCH",  "PURGE",      "REBIND",   "REPORT",     "SEARCH",
      "SOURCE",  "SUBSCRIBE", "UNBIND",     "UNLINK",     "UNLOCK",   "UNSUBSCRIBE"};
  for (const absl::string_view known : kMethods) {
    if (known == method) return known;
  }
  return {};
}

}  // namespace remora::proxy
