#include "filters/jwt_provider.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "filters/data_source.h"
#include "filters/request_parts.h"
#include "filters/side_retries.h"

namespace remora {
namespace {

// Audiences are compared without scheme and trailing slash.
absl::string_view BareAudience(absl::string_view audience) {
  if (!absl::ConsumePrefix(&audience, "https://")) absl::ConsumePrefix(&audience, "http://");
  absl::ConsumeSuffix(&audience, "/");
  return audience;
}

bool AllowsAudience(const std::vector<std::string>& allowed,
                    const std::vector<std::string>& audiences) {
  if (allowed.empty()) return true;
  for (const std::string& audience : audiences) {
    for (const std::string& one : allowed) {
      if (BareAudience(audience) == BareAudience(one)) return true;
    }
  }
  return false;
}

// What follows `prefix` in a header's value, from the first character that a token may have.
std::optional<absl::string_view> AfterPrefix(absl::string_view value, absl::string_view prefix) {
  if (prefix.empty()) return value;
  const size_t at = value.find(prefix);
  if (at == absl::string_view::npos) return std::nullopt;
  value = value.substr(at + prefix.size());
  const auto start = std::find_if(value.begin(), value.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  return value.substr(static_cast<size_t>(start - value.begin()));
}

std::string ClaimText(const MetadataValue& claim) {
  if (const std::string* text = claim.text()) return *text;
  if (const bool* flag = claim.boolean()) return *flag ? "true" : "false";
  if (const double* number = claim.number()) {
    const bool whole = *number >= 0 && *number < 1e15 && std::floor(*number) == *number;
    return whole ? absl::StrCat(static_cast<uint64_t>(*number)) : absl::StrFormat("%f", *number);
  }
  return absl::Base64Escape(claim.ToJson());
}

}  // namespace

absl::StatusOr<std::unique_ptr<JwtProvider>> JwtProvider::Parse(const Proto& proto) {
  auto out = std::make_unique<JwtProvider>();
  out->issuer_ = proto.issuer();
  out->audiences_.assign(proto.audiences().begin(), proto.audiences().end());
  if (proto.has_subjects()) {
    absl::StatusOr<StringMatcher> subjects = StringMatcher::Parse(proto.subjects());
    if (!subjects.ok()) return subjects.status();
    out->subjects_ = *std::move(subjects);
  }
  out->require_expiration_ = proto.require_expiration();
  if (proto.has_max_lifetime()) {
    out->most_lifetime_ = static_cast<uint64_t>(proto.max_lifetime().seconds());
  }
  if (proto.clock_skew_seconds() != 0) out->skew_ = proto.clock_skew_seconds();
  out->forward = proto.forward();
  out->payload_in_metadata = proto.payload_in_metadata();
  out->header_in_metadata = proto.header_in_metadata();
  out->failed_status_in_metadata = proto.failed_status_in_metadata();
  const auto& delimited = proto.normalize_payload_in_metadata().space_delimited_claims();
  out->space_delimited_claims.assign(delimited.begin(), delimited.end());
  out->clear_route_cache = proto.clear_route_cache();
  if (proto.has_jwt_cache_config()) {
    constexpr uint32_t kDefaultSize = 100;
    constexpr uint32_t kDefaultLongest = 4096;
    const uint32_t size = proto.jwt_cache_config().jwt_cache_size();
    const uint32_t longest = proto.jwt_cache_config().jwt_max_token_size();
    out->remembered_ = std::vector<Slot>(size == 0 ? kDefaultSize : size);
    out->longest_remembered_ = longest == 0 ? kDefaultLongest : longest;
  }
  out->ParsePlaces(proto);
  out->ParseClaims(proto);
  if (absl::Status keys = out->ParseKeys(proto); !keys.ok()) return keys;
  return out;
}

void JwtProvider::ParsePlaces(const Proto& proto) {
  for (const auto& header : proto.from_headers()) {
    headers_.push_back({absl::AsciiStrToLower(header.name()), header.value_prefix()});
  }
  parameters_.assign(proto.from_params().begin(), proto.from_params().end());
  cookies_.assign(proto.from_cookies().begin(), proto.from_cookies().end());
  if (headers_.empty() && parameters_.empty() && cookies_.empty()) {
    headers_.push_back({"authorization", "Bearer "});
    parameters_.push_back("access_token");
  }
}

void JwtProvider::ParseClaims(const Proto& proto) {
  payload_header_ = absl::AsciiStrToLower(proto.forward_payload_header());
  pad_payload_ = proto.pad_forward_payload_header();
  for (const auto& claim : proto.claim_to_headers()) {
    Claim out{absl::AsciiStrToLower(claim.header_name()), {}};
    for (const auto& segment : claim.claim_path()) out.path.push_back(segment.key());
    if (out.path.empty()) out.path = absl::StrSplit(claim.claim_name(), '.');
    claims_.push_back(std::move(out));
  }
}

absl::Status JwtProvider::ParseKeys(const Proto& proto) {
  if (proto.has_remote_jwks()) {
    ParseRemote(proto);
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> text = ReadDataSource(proto.local_jwks());
  if (!text.ok()) return text.status();
  absl::StatusOr<std::shared_ptr<const Jwks>> keys = Jwks::Parse(*text);
  if (!keys.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("has invalid local jwks: ", keys.status().message()));
  }
  local_ = *std::move(keys);
  return absl::OkStatus();
}

void JwtProvider::ParseRemote(const Proto& proto) {
  const auto& uri = proto.remote_jwks().http_uri();
  cluster = uri.cluster();
  absl::string_view rest = uri.uri();
  if (const size_t scheme = rest.find("://"); scheme != absl::string_view::npos) {
    rest.remove_prefix(scheme + 3);
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  host = std::string(rest.substr(0, slash));
  path = slash == rest.size() ? "/" : std::string(rest.substr(slash));
  timeout_ms = uri.timeout().seconds() * 1000 + uri.timeout().nanos() / 1000000;
  if (proto.remote_jwks().has_retry_policy()) {
    retries = SideRetriesFrom(proto.remote_jwks().retry_policy());
  }
  constexpr int64_t kDefaultCacheSeconds = 600;
  const auto& cache = proto.remote_jwks().cache_duration();
  cache_ns_ = proto.remote_jwks().has_cache_duration()
                  ? cache.seconds() * 1000000000 + cache.nanos()
                  : kDefaultCacheSeconds * 1000000000;
}

std::vector<JwtProvider::Found> JwtProvider::Extract(const Headers& request) const {
  std::vector<Found> out;
  for (const Location& location : headers_) {
    const std::optional<absl::string_view> value = request.GetJoined(location.name);
    if (!value) continue;
    if (const auto text = AfterPrefix(*value, location.prefix)) {
      out.push_back({Found::Place::kHeader, location.name, std::string(*text)});
    }
  }
  for (const std::string& name : parameters_) {
    if (std::optional<std::string> value = QueryValue(request.path(), name)) {
      out.push_back({Found::Place::kParameter, name, *std::move(value)});
    }
  }
  for (const std::string& name : cookies_) {
    const std::optional<absl::string_view> value = CookieValue(request, name);
    if (value) out.push_back({Found::Place::kCookie, name, std::string(*value)});
  }
  return out;
}

void JwtProvider::Remove(const Found& found, Headers& request) {
  // Cookies stay: they hold more than the token.
  if (found.place == Found::Place::kHeader) request.Remove(found.name);
  if (found.place == Found::Place::kParameter) RemoveQueryParameter(request, found.name);
}

void JwtProvider::Sanitize(Headers& request) const {
  if (!payload_header_.empty()) request.Remove(payload_header_);
  for (const Claim& claim : claims_) request.Remove(claim.header);
}

void JwtProvider::SetHeaders(const JwtToken& token, Headers& request) const {
  for (const Claim& claim : claims_) {
    const MetadataValue* value = &token.payload;
    for (const std::string& key : claim.path) {
      value = value == nullptr ? nullptr : value->Find(key);
    }
    if (value != nullptr && !value->is_null()) request.Add(claim.header, ClaimText(*value));
  }
  if (payload_header_.empty()) return;
  std::string payload = token.payload_text;
  if (pad_payload_) payload.append((4 - payload.size() % 4) % 4, '=');
  request.Add(payload_header_, payload);
}

JwtStatus JwtProvider::CheckClaims(const JwtToken& token, uint64_t now,
                                   const std::vector<std::string>* audiences) const {
  if (!issuer_.empty() && token.issuer != issuer_) return JwtStatus::kUnknownIssuer;
  if (const JwtStatus time = token.CheckTime(now, skew_); time != JwtStatus::kOk) return time;
  if (!AllowsAudience(audiences == nullptr ? audiences_ : *audiences, token.audiences)) {
    return JwtStatus::kAudience;
  }
  if (subjects_ && !subjects_->Match(token.subject)) return JwtStatus::kVerification;
  if ((require_expiration_ || most_lifetime_) && !token.expires) return JwtStatus::kVerification;
  if (most_lifetime_ && *token.expires > now + *most_lifetime_) return JwtStatus::kVerification;
  return JwtStatus::kOk;
}

std::shared_ptr<const Jwks> JwtProvider::Keys(int64_t now_ns) const {
  if (!is_remote()) return local_;
  const std::shared_ptr<const Fetched> fetched = fetched_.load();
  return fetched == nullptr || now_ns >= fetched->until_ns ? nullptr : fetched->keys;
}

std::shared_ptr<const JwtToken> JwtProvider::Remembered(absl::string_view text,
                                                        const Jwks* keys) const {
  if (remembered_.empty()) return nullptr;
  std::shared_ptr<const Verified> found = SlotOf(text).load();
  if (found == nullptr || found->text != text || found->keys.get() != keys) return nullptr;
  return {found, &found->token};
}

void JwtProvider::Remember(absl::string_view text, std::shared_ptr<const Jwks> keys,
                           const JwtToken& token) const {
  if (remembered_.empty() || text.size() > longest_remembered_) return;
  SlotOf(text).store(
      std::make_shared<const Verified>(Verified{std::string(text), std::move(keys), token}));
}

void JwtProvider::StoreFetched(std::shared_ptr<const Jwks> keys, int64_t now_ns) const {
  fetched_.store(std::make_shared<const Fetched>(Fetched{std::move(keys), now_ns + cache_ns_}));
}

}  // namespace remora
