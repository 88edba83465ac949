// X-Forwarded-Client-Cert: what the client's certificate said, for the services behind.
#include <string>

#include "absl/strings/str_cat.h"
#include "proxy/stream/request_headers.h"

namespace remora::proxy {
namespace {

using Config = xds::HttpConnectionManager;

void AppendPart(absl::string_view key, absl::string_view value, std::string* out) {
  absl::StrAppend(out, out->empty() ? "" : ";", key, "=", value);
}

// A value in quotes; quotes inside get a backslash, so that no value can end its element. (RFC 2253
// writes a quote in a subject with a backslash already.)
void AppendQuoted(absl::string_view key, absl::string_view value, std::string* out) {
  AppendPart(key, "\"", out);
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"' && (i == 0 || value[i - 1] != '\\')) out->push_back('\\');
    out->push_back(value[i]);
  }
  out->push_back('"');
}

// A value without quotes stands in them when it holds what would end its element.
void AppendBare(absl::string_view key, absl::string_view value, std::string* out) {
  if (value.find_first_of(",;\"") == absl::string_view::npos) {
    AppendPart(key, value, out);
  } else {
    AppendQuoted(key, value, out);
  }
}

const std::string& Element(const Config& config, const TlsFacts& tls) {
  // Kept from request to request, for its memory.
  thread_local std::string out;
  out.clear();
  for (const std::string& uri : tls.local_uri_sans) AppendBare("By", uri, &out);
  if (!tls.peer_fingerprint_sha256.empty()) AppendPart("Hash", tls.peer_fingerprint_sha256, &out);
  if (config.xfcc_cert && !tls.peer_certificate_pem.empty()) {
    AppendQuoted("Cert", tls.peer_certificate_pem, &out);
  }
  if (config.xfcc_chain && !tls.peer_chain_pem.empty()) {
    AppendQuoted("Chain", tls.peer_chain_pem, &out);
  }
  if (config.xfcc_subject) AppendQuoted("Subject", tls.peer_subject, &out);
  if (config.xfcc_uri) {
    if (tls.peer_uri_sans.empty()) AppendPart("URI", "", &out);
    for (const std::string& uri : tls.peer_uri_sans) AppendBare("URI", uri, &out);
  }
  if (config.xfcc_dns) {
    for (const std::string& name : tls.peer_dns_sans) AppendBare("DNS", name, &out);
  }
  return out;
}

}  // namespace

void PrepareClientCert(const Config& config, const TlsFacts* tls, Headers& request) {
  using Mode = Config::ClientCert;
  if (config.client_cert == Mode::kAlwaysForwardOnly) return;
  const bool mutual = tls != nullptr && tls->peer_certificate_presented;
  if (config.client_cert == Mode::kSanitize || !mutual) {
    request.Remove(HeaderId::kXForwardedClientCert);
    return;
  }
  if (config.client_cert == Mode::kForwardOnly) return;
  const std::string& element = Element(config, *tls);
  if (config.client_cert == Mode::kAppendForward) {
    request.AppendValue(HeaderId::kXForwardedClientCert, element, ",");
  } else {
    request.Set(HeaderId::kXForwardedClientCert, element);
  }
}

}  // namespace remora::proxy
