#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "filters/api/filter_state.h"
#include "filters/jwks.h"
#include "tests/support/filters/filter_harness.h"

namespace remora {
namespace {

using testing::FilterHarness;
using Config = envoy::extensions::filters::http::jwt_authn::v3::JwtAuthentication;
using Route = envoy::extensions::filters::http::jwt_authn::v3::PerRouteConfig;

// "secret" as a shared key.
constexpr char kKeys[] = R"({\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]})";
constexpr char kKeysJson[] = R"({"keys":[{"kty":"oct","k":"c2VjcmV0"}]})";

std::string Sign(const std::string& payload, const std::string& key = "secret") {
  const std::string text =
      absl::StrCat(EncodeBase64Url(R"({"alg":"HS256"})"), ".", EncodeBase64Url(payload));
  uint8_t mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), key.size(), reinterpret_cast<const uint8_t*>(text.data()),
       text.size(), mac, &size);
  return absl::StrCat(text, ".",
                      EncodeBase64Url(absl::string_view(reinterpret_cast<char*>(mac), size)));
}

struct Harness : FilterHarness {
  explicit Harness(const std::string& provider, const std::string& more = "")
      : FilterHarness(Config::descriptor()->full_name(), Encode(provider, more)) {
    request.set_pseudo(HeaderId::kAuthority, "a.com");
    request.set_pseudo(HeaderId::kScheme, "http");
  }
  static std::string Encode(const std::string& provider, const std::string& more) {
    Config proto;
    const std::string text = absl::StrCat("providers { key: \"p\" value { ", provider, " } } ",
                                          more.empty() ? R"(rules { match { prefix: "/" }
                                              requires_ { provider_name: "p" } })"
                                                       : more);
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
    return proto.SerializeAsString();
  }
  void Bearer(const std::string& token) { request.Add("authorization", "Bearer " + token); }
};

std::string Local(const std::string& more = "") {
  return absl::StrCat(R"(issuer: "iss" local_jwks { inline_string: ")", kKeys, "\" } ", more);
}

TEST(JwtTokenTest, FaultsAreTold) {
  const struct {
    const char* text;
    JwtStatus status;
  } kCases[] = {{"a.b", JwtStatus::kBadFormat},
                {"eyJhbGciOiJub25lIn0.e30.", JwtStatus::kBadFormat},
                {"!.e30.c2ln", JwtStatus::kHeaderBase64},
                {"e30.e30.c2ln", JwtStatus::kHeaderAlg},
                {"eyJhbGciOiJub25lIn0.e30.c2ln", JwtStatus::kUnknownAlg},
                {"eyJhbGciOiJFUzI1NiJ9.!!.c2ln", JwtStatus::kPayloadBase64},
                // White space is passed over.
                {"eyJhbG ciOiJFUzI1NiJ9.e30.c2 ln", JwtStatus::kOk},
                {"eyJhbGciOiJFUzI1NiJ9.e30.!", JwtStatus::kSignatureBase64}};
  for (const auto& one : kCases) {
    JwtToken token;
    EXPECT_EQ(token.Parse(one.text), one.status) << one.text;
  }
  JwtToken token;
  EXPECT_EQ(token.Parse(Sign(R"({"exp":"soon"})")), JwtStatus::kExpiryType);
  EXPECT_EQ(JwtToken().Parse(Sign(R"({"nbf":-1})")), JwtStatus::kNotBeforeRange);
  EXPECT_EQ(JwtToken().Parse(Sign(R"({"aud":[1]})")), JwtStatus::kAudienceType);
}

TEST(JwksTest, TheExampleOfTheStandard) {
  // RFC 7515, appendix A.3.
  const auto keys = Jwks::Parse(
      R"({"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
          "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})");
  ASSERT_TRUE(keys.ok()) << keys.status();
  JwtToken token;
  ASSERT_EQ(token.Parse("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0"
                        "dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx"
                        "-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
            JwtStatus::kOk);
  EXPECT_EQ((*keys)->Verify(token), JwtStatus::kOk);
  token.signature[5] ^= 1;
  EXPECT_EQ((*keys)->Verify(token), JwtStatus::kVerification);
}

JwtToken Unsigned(const std::string& alg) {
  JwtToken token;
  token.alg = alg;
  token.header_text = "h";
  token.payload_text = "p";
  return token;
}

TEST(JwksTest, Ed25519) {
  uint8_t public_key[ED25519_PUBLIC_KEY_LEN];
  uint8_t private_key[ED25519_PRIVATE_KEY_LEN];
  ED25519_keypair(public_key, private_key);
  const auto keys = Jwks::Parse(absl::Substitute(
      R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"$0"}]})",
      EncodeBase64Url(absl::string_view(reinterpret_cast<char*>(public_key), 32))));
  ASSERT_TRUE(keys.ok());
  JwtToken token = Unsigned("EdDSA");
  uint8_t signature[ED25519_SIGNATURE_LEN];
  ED25519_sign(signature, reinterpret_cast<const uint8_t*>("h.p"), 3, private_key);
  token.signature.assign(reinterpret_cast<char*>(signature), sizeof(signature));
  EXPECT_EQ((*keys)->Verify(token), JwtStatus::kOk);
  token.kid = "other";
  EXPECT_EQ((*keys)->Verify(token), JwtStatus::kNoMatchingKey);
  token.signature = "short";
  EXPECT_EQ((*keys)->Verify(token), JwtStatus::kEd25519Length);
}

std::string Text(const BIGNUM* number) {
  std::string bytes(BN_num_bytes(number), '\0');
  BN_bn2bin(number, reinterpret_cast<uint8_t*>(bytes.data()));
  return EncodeBase64Url(bytes);
}

TEST(JwksTest, RsaBothPaddings) {
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> e(BN_new());
  BN_set_word(e.get(), RSA_F4);
  ASSERT_EQ(RSA_generate_key_ex(rsa.get(), 2048, e.get(), nullptr), 1);
  const auto keys = Jwks::Parse(absl::Substitute(R"({"keys":[{"kty":"RSA","n":"$0","e":"$1"}]})",
                                                 Text(RSA_get0_n(rsa.get())), Text(e.get())));
  ASSERT_TRUE(keys.ok());
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest("h.p", 3, digest, &size, EVP_sha384(), nullptr);
  uint8_t out[256];
  unsigned written = 0;
  ASSERT_EQ(RSA_sign(NID_sha384, digest, size, out, &written, rsa.get()), 1);
  JwtToken token = Unsigned("RS384");
  token.signature.assign(reinterpret_cast<char*>(out), written);
  EXPECT_EQ((*keys)->Verify(token), JwtStatus::kOk);
  size_t length = 0;
  ASSERT_EQ(RSA_sign_pss_mgf1(rsa.get(), &length, out, sizeof(out), digest, size, EVP_sha384(),
                              EVP_sha384(), -1),
            1);
  JwtToken pss = Unsigned("PS384");
  pss.signature.assign(reinterpret_cast<char*>(out), length);
  EXPECT_EQ((*keys)->Verify(pss), JwtStatus::kOk);
  pss.alg = "RS384";
  EXPECT_EQ((*keys)->Verify(pss), JwtStatus::kVerification);
  pss.alg = "ES256";
  EXPECT_EQ((*keys)->Verify(pss), JwtStatus::kNoMatchingKey);
}

TEST(JwtAuthnTest, GoodTokensPassAndClaimsBecomeHeaders) {
  Harness harness(Local(R"(forward_payload_header: "x-payload" payload_in_metadata: "pay"
      claim_to_headers { header_name: "x-sub" claim_name: "sub" }
      claim_to_headers { header_name: "x-deep" claim_name: "a.b" }
      claim_to_headers { header_name: "x-num" claim_name: "n" }
      claim_to_headers { header_name: "x-neg" claim_name: "m" }
      claim_to_headers { header_name: "x-list" claim_name: "l" })"));
  const std::string payload =
      R"({"iss":"iss","sub":"ann","a":{"b":"c"},"n":7,"m":-3,"l":["q","r"]})";
  harness.Bearer(Sign(payload));
  harness.request.Add("x-sub", "root");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Value(harness.request, "x-sub"), "ann");
  EXPECT_EQ(harness.Value(harness.request, "x-deep"), "c");
  EXPECT_EQ(harness.Value(harness.request, "x-num"), "7");
  EXPECT_EQ(harness.Value(harness.request, "x-neg"), "-3.000000");
  EXPECT_EQ(harness.Value(harness.request, "x-list"), "WyJxIiwiciJd");
  EXPECT_EQ(harness.Value(harness.request, "x-payload"), EncodeBase64Url(payload));
  EXPECT_EQ(harness.Value(harness.request, "authorization"), "(none)");
  EXPECT_NE(harness.metadata.Find("envoy.filters.http.jwt_authn", {"pay", "sub"}), nullptr);
  EXPECT_EQ(harness.Stat("allowed"), 1u);
}

TEST(JwtAuthnTest, BadTokensAreRefusedWithTheReason) {
  const struct {
    std::string token;
    int status;
    const char* body;
  } kCases[] = {
      {"", 401, "Jwt is missing"},
      {Sign(R"({"iss":"evil"})"), 401, "Jwt issuer is not configured"},
      {Sign(R"({"iss":"iss","exp":1})"), 401, "Jwt is expired"},
      {Sign(R"({"iss":"iss","nbf":99999999999})"), 401, "Jwt not yet valid"},
      {Sign(R"({"iss":"iss","aud":"other"})"), 403, "Audiences in Jwt are not allowed"},
      {Sign(R"({"iss":"iss","aud":"https://aud/"})", "guess"), 401, "Jwt verification fails"}};
  for (const auto& one : kCases) {
    Harness harness(Local(R"(audiences: "aud")"));
    if (!one.token.empty()) harness.Bearer(one.token);
    EXPECT_EQ(harness.Request(), Verdict::kReplied);
    EXPECT_EQ(harness.reply_status, one.status) << one.body;
    EXPECT_EQ(harness.reply_body, one.body);
    EXPECT_EQ(harness.Value(harness.response, "www-authenticate"),
              one.token.empty() ? R"(Bearer realm="http://a.com/")"
                                : R"(Bearer realm="http://a.com/", error="invalid_token")");
    EXPECT_EQ(harness.Stat("denied"), 1u);
  }
}

TEST(JwtAuthnTest, TokensComeFromQueriesAndCookies) {
  Harness query(Local(R"(from_params: "tok")"));
  query.request.set_pseudo(HeaderId::kPath,
                           absl::StrCat("/?a=b&tok=", Sign(R"({"iss":"iss"})"), "&c=d"));
  EXPECT_EQ(query.Request(), Verdict::kContinue);
  EXPECT_EQ(query.request.path(), "/?a=b&c=d");
  Harness cookie(Local(R"(from_cookies: "cc")"));
  cookie.request.Add("cookie", absl::StrCat("a=b; cc=", Sign(R"({"iss":"iss"})")));
  EXPECT_EQ(cookie.Request(), Verdict::kContinue);
  Harness header(Local(R"(from_headers { name: "X-Jwt" value_prefix: "T " })"));
  header.request.Add("x-jwt", "T " + Sign(R"({"iss":"iss"})"));
  EXPECT_EQ(header.Request(), Verdict::kContinue);
}

TEST(JwtAuthnTest, MissingMayBeAllowedWhenFailingIsNot) {
  constexpr char kRule[] = R"(rules { match { prefix: "/" } requires_ { requires_any {
      requirements { provider_name: "p" } requirements { allow_missing {} } } } })";
  Harness missing(Local(), kRule);
  EXPECT_EQ(missing.Request(), Verdict::kContinue);
  Harness expired(Local(), kRule);
  expired.Bearer(Sign(R"({"iss":"iss","exp":1})"));
  EXPECT_EQ(expired.Request(), Verdict::kReplied);
  constexpr char kLax[] = R"(rules { match { prefix: "/" } requires_ { requires_any {
      requirements { provider_name: "p" } requirements { allow_missing_or_failed {} } } } })";
  Harness lax(Local(), kLax);
  lax.Bearer(Sign(R"({"iss":"iss","exp":1})"));
  EXPECT_EQ(lax.Request(), Verdict::kContinue);
}

TEST(JwtAuthnTest, RoutesNameRequirements) {
  static constexpr char kMap[] = R"(requirement_map { key: "need" value { provider_name: "p" } })";
  const auto with = [](const char* text) {
    auto harness = std::make_unique<Harness>(Local(), kMap);
    Route route;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &route));
    harness->AddRouteConfig(Route::descriptor()->full_name(), route.SerializeAsString());
    return harness;
  };
  EXPECT_EQ(Harness(Local(), kMap).Request(), Verdict::kContinue);
  EXPECT_EQ(with("disabled: true")->Request(), Verdict::kContinue);
  EXPECT_EQ(with(R"(requirement_name: "need")")->Request(), Verdict::kReplied);
  const auto unknown = with(R"(requirement_name: "odd")");
  EXPECT_EQ(unknown->Request(), Verdict::kReplied);
  EXPECT_EQ(unknown->reply_status, 403);
  EXPECT_EQ(unknown->reply_details,
            "jwt_authn_access_denied{Wrong_requirement_name:_odd._It_should_be_one_of_[need]}");
}

TEST(JwtAuthnTest, KeysThatCannotBeUsedAreRefused) {
  const std::string config =
      Harness::Encode(R"(local_jwks { inline_string: "{\"keys\":[]}" })", "");
  EXPECT_EQ(MakeHttpFilter("j", Config::descriptor()->full_name(), config).status().message(),
            "Provider 'p' in jwt_authn config has invalid local jwks: "
            "Jwks doesn't have any valid public key");
}

TEST(JwtAuthnTest, FilterStateNamesARequirement) {
  constexpr char kRules[] = R"(filter_state_rules { name: "who"
      requires_ { key: "strict" value { provider_name: "p" } } })";
  Harness free(Local(), kRules);
  EXPECT_EQ(free.Request(), Verdict::kContinue);
  FilterState state;
  state.texts["who"] = "strict";
  Harness strict(Local(), kRules);
  strict.info().filter_state = &state;
  EXPECT_EQ(strict.Request(), Verdict::kReplied);
  state.texts["who"] = "other";
  Harness other(Local(), kRules);
  other.info().filter_state = &state;
  EXPECT_EQ(other.Request(), Verdict::kContinue);
}

TEST(JwtAuthnTest, FailuresMayBeStripped) {
  Harness harness(Local(), R"(strip_failure_response: true
      rules { match { prefix: "/" } requires_ { provider_name: "p" } })");
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.reply_body, "");
  EXPECT_EQ(harness.Value(harness.response, "www-authenticate"), "(none)");
}

TEST(JwtAuthnTest, KeysAreFetchedOnceAndKept) {
  Harness harness(R"(issuer: "iss" remote_jwks {
      http_uri { uri: "http://keys/jwks?x" cluster: "k" timeout { seconds: 1 } } })");
  harness.Bearer(Sign(R"({"iss":"iss"})"));
  EXPECT_EQ(harness.Request(), Verdict::kPause);
  EXPECT_EQ(harness.call_cluster, "k");
  EXPECT_EQ(harness.call_headers->path(), "/jwks?x");
  EXPECT_EQ(harness.call_headers->authority(), "keys");
  Headers answer(&harness.arena());
  answer.set_status(200);
  HttpCallDone done = harness.http_done;
  done({HttpCallEnd::kAnswered, &answer, kKeysJson});
  EXPECT_EQ(harness.resumed, 1);
  EXPECT_EQ(harness.Stat("jwks_fetch_success"), 1u);
  // The next request finds them.
  harness.Bearer(Sign(R"({"iss":"iss"})"));
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
}

TEST(JwtAuthnTest, GoodTokensAreRememberedWhereAskedFor) {
  Harness harness(Local("jwt_cache_config { jwt_cache_size: 5 }"));
  harness.Bearer(Sign(R"({"iss":"iss"})"));
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  harness.Bearer(Sign(R"({"iss":"iss"})"));
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Stat("jwt_cache_miss"), 1u);
  EXPECT_EQ(harness.Stat("jwt_cache_hit"), 1u);
  // A bad one is looked at each time.
  for (int i = 0; i < 2; ++i) {
    harness.request.Remove("authorization");
    harness.Bearer(Sign(R"({"iss":"iss"})", "other"));
    EXPECT_EQ(harness.Request(), Verdict::kReplied);
  }
  EXPECT_EQ(harness.Stat("jwt_cache_miss"), 3u);
}

TEST(JwtAuthnTest, ClaimsMayBePassedOnUnverified) {
  Harness harness(
      Local(R"(claim_to_headers { header_name: "x-l" claim_name: "l" } payload_in_metadata: "p")"),
      R"(rules { match { prefix: "/" } requires_ { extract_only_without_validation {} } })");
  harness.Bearer(Sign(R"({"iss":"iss","l":[1,2]})", "other"));
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Value(harness.request, "x-l"), "WzEsMl0=");
  EXPECT_EQ(harness.Value(harness.request, "x-jwt-signature-verified"), "false");
  harness.request.Remove("authorization");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Value(harness.request, "x-l"), "(none)");
}

TEST(JwtAuthnTest, AMissingTokenIsAFailureToNote) {
  Harness harness(Local(R"(failed_status_in_metadata: "f")"));
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.metadata.namespaces["envoy.filters.http.jwt_authn"].ToJson(),
            R"({"f":{"code":1,"message":"Jwt is missing"}})");
}

TEST(JwtAuthnTest, AFailedFetchRefuses) {
  Harness harness(R"(issuer: "iss" remote_jwks {
      http_uri { uri: "http://keys/jwks" cluster: "k" timeout { seconds: 1 } } })");
  harness.Bearer(Sign(R"({"iss":"iss"})"));
  harness.Request();
  HttpCallDone done = harness.http_done;
  done({HttpCallEnd::kFailed, nullptr, ""});
  EXPECT_EQ(harness.resumed, 0);
  EXPECT_EQ(harness.reply_body, "Jwks remote fetch is failed");
  EXPECT_EQ(harness.Stat("jwks_fetch_failed"), 1u);
}

}  // namespace
}  // namespace remora
