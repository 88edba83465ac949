#ifndef REMORA_FILTERS_JWT_TOKEN_H_
#define REMORA_FILTERS_JWT_TOKEN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "filters/metadata.h"

namespace remora {

// What became of a token; the numbers are those that Envoy writes into metadata.
#define REMORA_JWT_STATUS(X)                                                           \
  X(kOk, 0, "OK")                                                                      \
  X(kMissing, 1, "Jwt is missing")                                                     \
  X(kNotYetValid, 2, "Jwt not yet valid")                                              \
  X(kExpired, 3, "Jwt is expired")                                                     \
  X(kBadFormat, 4,                                                                     \
    "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections") \
  X(kHeaderBase64, 5, "Jwt header is an invalid Base64url encoded")                    \
  X(kHeaderJson, 6, "Jwt header is an invalid JSON")                                   \
  X(kHeaderAlg, 7, "Jwt header [alg] field is required and must be a string")          \
  X(kUnknownAlg, 8, "Jwt header [alg] is not supported")                               \
  X(kHeaderKid, 9, "Jwt header [kid] field is not a string")                           \
  X(kPayloadBase64, 10, "Jwt payload is an invalid Base64url encoded")                 \
  X(kPayloadJson, 11, "Jwt payload is an invalid JSON")                                \
  X(kIssuerType, 12, "Jwt payload [iss] field is not a string")                        \
  X(kSubjectType, 13, "Jwt payload [sub] field is not a string")                       \
  X(kIssuedType, 14, "Jwt payload [iat] field is not an integer")                      \
  X(kIssuedRange, 15, "Jwt payload [iat] field is not a positive 64 bit integer")      \
  X(kNotBeforeType, 16, "Jwt payload [nbf] field is not an integer")                   \
  X(kNotBeforeRange, 17, "Jwt payload [nbf] field is not a positive 64 bit integer")   \
  X(kExpiryType, 18, "Jwt payload [exp] field is not an integer")                      \
  X(kExpiryRange, 19, "Jwt payload [exp] field is not a positive 64 bit integer")      \
  X(kIdType, 20, "Jwt payload [jti] field is not a string")                            \
  X(kAudienceType, 21, "Jwt payload [aud] field is not a string or string list")       \
  X(kSignatureBase64, 22, "Jwt signature is an invalid Base64url encoded")             \
  X(kEd25519Length, 23, "Jwt ED25519 signature is wrong length")                       \
  X(kUnknownIssuer, 24, "Jwt issuer is not configured")                                \
  X(kAudience, 25, "Audiences in Jwt are not allowed")                                 \
  X(kVerification, 26, "Jwt verification fails")                                       \
  X(kNoValidKeys, 30, "Jwks doesn't have any valid public key")                        \
  X(kNoMatchingKey, 31, "Jwks doesn't have key to match kid or alg from Jwt")          \
  X(kFetchFailed, 45, "Jwks remote fetch is failed")

enum class JwtStatus : uint8_t {
#define REMORA_JWT_ENUM(id, number, text) id = number,
  REMORA_JWT_STATUS(REMORA_JWT_ENUM)
#undef REMORA_JWT_ENUM
};
absl::string_view JwtStatusText(JwtStatus status);

// A token taken apart (RFC 7519, compact serialization of RFC 7515). Nothing of it is verified.
struct JwtToken {
  std::string header_text;   // base64url, as it came
  std::string payload_text;  // base64url, as it came
  std::string signature;     // bytes
  MetadataValue header;
  MetadataValue payload;
  std::string alg;
  std::string kid;
  std::string issuer;
  std::string subject;
  std::vector<std::string> audiences;
  // Seconds since the epoch.
  std::optional<uint64_t> expires;
  std::optional<uint64_t> not_before;

  JwtStatus Parse(absl::string_view text);
  // With clocks that differ by at most `skew` seconds.
  JwtStatus CheckTime(uint64_t now, uint64_t skew) const;

 private:
  JwtStatus ParseHeader();
  JwtStatus ParsePayload();
};

// Base64url, padded or not, white space in it passed over, as Envoy reads tokens; false for
// anything else.
bool DecodeBase64Url(absl::string_view text, std::string* out);
std::string EncodeBase64Url(absl::string_view bytes);
// A JSON object; false for anything else.
bool ParseJsonObject(absl::string_view text, MetadataValue* out);

}  // namespace remora

#endif  // REMORA_FILTERS_JWT_TOKEN_H_
