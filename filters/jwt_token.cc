#include "filters/jwt_token.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace remora {
namespace {

bool IsKnownAlg(absl::string_view alg) {
  static constexpr absl::string_view kKnown[] = {"ES256", "ES384", "ES512", "HS256", "HS384",
                                                 "HS512", "RS256", "RS384", "RS512", "PS256",
                                                 "PS384", "PS512", "EdDSA"};
  return std::find(std::begin(kKnown), std::end(kKnown), alg) != std::end(kKnown);
}

// An absent member is fine; `wrong` for one of another type.
JwtStatus TextMember(const MetadataValue& object, absl::string_view key, JwtStatus wrong,
                     std::string* out) {
  const MetadataValue* value = object.Find(key);
  if (value == nullptr) return JwtStatus::kOk;
  if (value->text() == nullptr) return wrong;
  *out = *value->text();
  return JwtStatus::kOk;
}

JwtStatus TimeMember(const MetadataValue& object, absl::string_view key, JwtStatus wrong_type,
                     JwtStatus wrong_range, std::optional<uint64_t>* out) {
  const MetadataValue* value = object.Find(key);
  if (value == nullptr) return JwtStatus::kOk;
  const double* number = value->number();
  if (number == nullptr) return wrong_type;
  if (!(*number >= 0) || *number >= 18446744073709551616.0) return wrong_range;
  *out = static_cast<uint64_t>(*number);
  return JwtStatus::kOk;
}

}  // namespace

absl::string_view JwtStatusText(JwtStatus status) {
  switch (status) {
#define REMORA_JWT_TEXT(id, number, text) \
  case JwtStatus::id:                     \
    return text;
    REMORA_JWT_STATUS(REMORA_JWT_TEXT)
#undef REMORA_JWT_TEXT
  }
  return "";
}

bool DecodeBase64Url(absl::string_view text, std::string* out) {
  return absl::WebSafeBase64Unescape(text, out);
}

std::string EncodeBase64Url(absl::string_view bytes) { return absl::WebSafeBase64Escape(bytes); }

bool ParseJsonObject(absl::string_view text, MetadataValue* out) {
  google::protobuf::Struct parsed;
  const google::protobuf::StringPiece piece(text.data(), text.size());
  if (!google::protobuf::util::JsonStringToMessage(piece, &parsed).ok()) return false;
  *out = MetadataValue::From(parsed);
  return true;
}

JwtStatus JwtToken::Parse(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.', absl::SkipEmpty());
  if (std::count(text.begin(), text.end(), '.') != 2 || parts.size() != 3) {
    return JwtStatus::kBadFormat;
  }
  header_text = std::string(parts[0]);
  payload_text = std::string(parts[1]);
  if (const JwtStatus status = ParseHeader(); status != JwtStatus::kOk) return status;
  if (const JwtStatus status = ParsePayload(); status != JwtStatus::kOk) return status;
  return DecodeBase64Url(parts[2], &signature) ? JwtStatus::kOk : JwtStatus::kSignatureBase64;
}

JwtStatus JwtToken::ParseHeader() {
  std::string json;
  if (!DecodeBase64Url(header_text, &json)) return JwtStatus::kHeaderBase64;
  if (!ParseJsonObject(json, &header)) return JwtStatus::kHeaderJson;
  if (header.Find("alg") == nullptr) return JwtStatus::kHeaderAlg;
  if (const JwtStatus status = TextMember(header, "alg", JwtStatus::kHeaderAlg, &alg);
      status != JwtStatus::kOk) {
    return status;
  }
  if (!IsKnownAlg(alg)) return JwtStatus::kUnknownAlg;
  return TextMember(header, "kid", JwtStatus::kHeaderKid, &kid);
}

JwtStatus JwtToken::ParsePayload() {
  std::string json;
  if (!DecodeBase64Url(payload_text, &json)) return JwtStatus::kPayloadBase64;
  if (!ParseJsonObject(json, &payload)) return JwtStatus::kPayloadJson;
  std::optional<uint64_t> issued;
  std::string id;
  for (const JwtStatus status :
       {TextMember(payload, "iss", JwtStatus::kIssuerType, &issuer),
        TextMember(payload, "sub", JwtStatus::kSubjectType, &subject),
        TimeMember(payload, "iat", JwtStatus::kIssuedType, JwtStatus::kIssuedRange, &issued),
        TimeMember(payload, "nbf", JwtStatus::kNotBeforeType, JwtStatus::kNotBeforeRange,
                   &not_before),
        TimeMember(payload, "exp", JwtStatus::kExpiryType, JwtStatus::kExpiryRange, &expires),
        TextMember(payload, "jti", JwtStatus::kIdType, &id)}) {
    if (status != JwtStatus::kOk) return status;
  }
  const MetadataValue* audience = payload.Find("aud");
  if (audience == nullptr) return JwtStatus::kOk;
  if (const std::string* one = audience->text()) {
    audiences.push_back(*one);
    return JwtStatus::kOk;
  }
  if (audience->list() == nullptr) return JwtStatus::kAudienceType;
  for (const MetadataValue& item : *audience->list()) {
    if (item.text() == nullptr) return JwtStatus::kAudienceType;
    audiences.push_back(*item.text());
  }
  return JwtStatus::kOk;
}

JwtStatus JwtToken::CheckTime(uint64_t now, uint64_t skew) const {
  if (not_before && *not_before > now + skew) return JwtStatus::kNotYetValid;
  if (expires && *expires != 0 && now > *expires && now - *expires > skew) {
    return JwtStatus::kExpired;
  }
  return JwtStatus::kOk;
}

}  // namespace remora
