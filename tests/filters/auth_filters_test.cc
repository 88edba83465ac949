#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb.h"
#include "envoy/extensions/filters/http/basic_auth/v3/basic_auth.pb.h"
#include "envoy/extensions/filters/http/csrf/v3/csrf.pb.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/service/auth/v3/external_auth.pb.h"
#include "tests/support/filters/filter_harness.h"

namespace remora {
namespace {

using testing::FilterHarness;
namespace http = envoy::extensions::filters::http;

template <typename Proto>
std::string Serialized(const std::string& text) {
  Proto proto;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &proto)) << text;
  return proto.SerializeAsString();
}

template <typename Proto>
std::string Name() {
  return Proto::descriptor()->full_name();
}

template <typename Proto>
struct Harness : FilterHarness {
  explicit Harness(const std::string& text)
      : FilterHarness(Name<Proto>(), Serialized<Proto>(text)) {}
};

using BasicAuth = http::basic_auth::v3::BasicAuth;

// "s3cret" for ann.
constexpr char kUsers[] =
    R"(users { inline_string: "# users\n\nann:{SHA}/vNB+F2HQ559kaLUZbmHHvZrXpg=\n" })";

TEST(BasicAuthTest, ARightPasswordPasses) {
  Harness<BasicAuth> harness(std::string(kUsers) + R"(forward_username_header: "X-User"
                                                      emit_dynamic_metadata: true)");
  harness.request.Add("authorization", "Basic YW5uOnMzY3JldA==");
  harness.request.Add("x-user", "root");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.Value(harness.request, "x-user"), "ann");
  EXPECT_EQ(harness.metadata.namespaces.at("envoy.filters.http.basic_auth").ToJson(),
            R"({"username":"ann"})");
  EXPECT_EQ(harness.Stat("allowed"), 1u);
}

TEST(BasicAuthTest, EachFaultHasItsWords) {
  const struct {
    const char* header;
    const char* details;
  } kCases[] = {{nullptr, "no_credential_for_basic_auth"},
                {"Bearer x", "invalid_scheme_for_basic_auth"},
                {"basic YW5uOnMzY3JldA==", "invalid_scheme_for_basic_auth"},
                {"Basic  YW5uOnMzY3JldA==", "invalid_format_for_basic_auth"},
                {"Basic !!!", "invalid_format_for_basic_auth"},
                {"Basic YW5u", "invalid_format_for_basic_auth"},
                {"Basic YW5uOndyb25n", "invalid_credential_for_basic_auth"},
                {"Basic Ym9iOnMzY3JldA==", "invalid_credential_for_basic_auth"}};
  for (const auto& one : kCases) {
    Harness<BasicAuth> harness(kUsers);
    harness.request.set_pseudo(HeaderId::kAuthority, "a.com");
    harness.request.Add("x-forwarded-proto", "https");
    if (one.header != nullptr) harness.request.Add("authorization", one.header);
    EXPECT_EQ(harness.Request(), Verdict::kReplied);
    EXPECT_EQ(harness.reply_status, 401);
    EXPECT_EQ(harness.reply_details, one.details);
    EXPECT_EQ(harness.Value(harness.response, "www-authenticate"),
              "Basic realm=\"https://a.com/\"");
  }
}

TEST(BasicAuthTest, ARouteHasUsersOfItsOwn) {
  Harness<BasicAuth> harness(kUsers);
  using Route = http::basic_auth::v3::BasicAuthPerRoute;
  harness.AddRouteConfig(
      Name<Route>(),
      Serialized<Route>(
          R"(users { inline_string: "cyd:{SHA}/vNB+F2HQ559kaLUZbmHHvZrXpg=" } realm: "r")"));
  harness.request.Add("authorization", "Basic YW5uOnMzY3JldA==");
  EXPECT_EQ(harness.Request(), Verdict::kReplied);
  EXPECT_EQ(harness.Value(harness.response, "www-authenticate"), "Basic realm=\"r\"");
}

TEST(BasicAuthTest, BrokenListsAreRefused) {
  for (const char* users : {"", "ann", "ann:", "ann:{MD5}x", "ann:{SHA}short"}) {
    BasicAuth proto;
    proto.mutable_users()->set_inline_string(users);
    EXPECT_FALSE(MakeHttpFilter("b", Name<BasicAuth>(), proto.SerializeAsString()).ok()) << users;
  }
}

using ApiKeyAuth = http::api_key_auth::v3::ApiKeyAuth;

constexpr char kKeys[] = R"(credentials { key: "k-1" client: "one" }
    credentials { key: "k-2" client: "two" }
    key_sources { header: "X-Key" } key_sources { query: "key" } key_sources { cookie: "ck" })";

TEST(ApiKeyAuthTest, KeysComeFromHeaderQueryAndCookie) {
  Harness<ApiKeyAuth> header(kKeys);
  header.request.Add("x-key", "Bearer k-1");
  EXPECT_EQ(header.Request(), Verdict::kContinue);
  Harness<ApiKeyAuth> query(kKeys);
  query.request.set_pseudo(HeaderId::kPath, "/?a=b&key=k%2D2");
  EXPECT_EQ(query.Request(), Verdict::kContinue);
  Harness<ApiKeyAuth> cookie(kKeys);
  cookie.request.Add("cookie", "a=b; ck=k-1");
  EXPECT_EQ(cookie.Request(), Verdict::kContinue);
}

TEST(ApiKeyAuthTest, TheClientIsToldAndTheKeyHidden) {
  Harness<ApiKeyAuth> harness(std::string(kKeys) +
                              R"(forwarding { header: "x-client" hide_credentials: true })");
  harness.request.set_pseudo(HeaderId::kPath, "/p?a=b&key=k-1&c=d");
  harness.request.Add("cookie", "a=b; ck=zz; d=e");
  EXPECT_EQ(harness.Request(), Verdict::kContinue);
  EXPECT_EQ(harness.request.path(), "/p?a=b&c=d");
  EXPECT_EQ(harness.Value(harness.request, "cookie"), "a=b; d=e");
  EXPECT_EQ(harness.Value(harness.request, "x-client"), "one");
}

TEST(ApiKeyAuthTest, UnknownMissingAndForbidden) {
  Harness<ApiKeyAuth> missing(kKeys);
  EXPECT_EQ(missing.Request(), Verdict::kReplied);
  EXPECT_EQ(missing.reply_details, "missing_api_key");
  Harness<ApiKeyAuth> unknown(kKeys);
  unknown.request.Add("x-key", "zz");
  unknown.request.set_pseudo(HeaderId::kPath, "/?key=k-1");
  EXPECT_EQ(unknown.Request(), Verdict::kReplied);
  EXPECT_EQ(unknown.reply_details, "unknown_api_key");
  EXPECT_EQ(unknown.Stat("unauthorized"), 1u);
  Harness<ApiKeyAuth> forbidden(kKeys);
  using Route = http::api_key_auth::v3::ApiKeyAuthPerRoute;
  forbidden.AddRouteConfig(Name<Route>(), Serialized<Route>(R"(allowed_clients: "one")"));
  forbidden.request.Add("x-key", "k-2");
  EXPECT_EQ(forbidden.Request(), Verdict::kReplied);
  EXPECT_EQ(forbidden.reply_status, 403);
  EXPECT_EQ(forbidden.Stat("forbidden"), 1u);
}

using Csrf = http::csrf::v3::CsrfPolicy;

constexpr char kCsrf[] = R"(filter_enabled { default_value { numerator: 100 } }
                            additional_origins { suffix: ".ok.com" })";

TEST(CsrfTest, OriginMustBeTheHost) {
  const struct {
    const char* origin;
    Verdict verdict;
    const char* counted;
  } kCases[] = {{"http://a.com", Verdict::kContinue, "request_valid"},
                {"a.com", Verdict::kContinue, "request_valid"},
                {"http://b.ok.com", Verdict::kContinue, "request_valid"},
                {"http://a.com:80", Verdict::kReplied, "request_invalid"},
                {"null", Verdict::kReplied, "missing_source_origin"}};
  for (const auto& one : kCases) {
    Harness<Csrf> harness(kCsrf);
    harness.request.set_pseudo(HeaderId::kMethod, "POST");
    harness.request.set_pseudo(HeaderId::kAuthority, "a.com");
    harness.request.Add("origin", one.origin);
    EXPECT_EQ(harness.Request(), one.verdict) << one.origin;
    EXPECT_EQ(harness.Stat(one.counted), 1u) << one.origin;
  }
}

TEST(CsrfTest, ReadingIsFreeAndShadowOnlyCounts) {
  Harness<Csrf> reading(kCsrf);
  reading.request.Add("origin", "http://evil.com");
  EXPECT_EQ(reading.Request(), Verdict::kContinue);
  Harness<Csrf> shadow(R"(filter_enabled {} shadow_enabled { default_value { numerator: 100 } })");
  shadow.request.set_pseudo(HeaderId::kMethod, "DELETE");
  shadow.request.Add("origin", "http://evil.com");
  EXPECT_EQ(shadow.Request(), Verdict::kContinue);
  EXPECT_EQ(shadow.Stat("request_invalid"), 1u);
}

using ExtAuthz = http::ext_authz::v3::ExtAuthz;

constexpr char kHttpService[] = R"(http_service {
    server_uri { uri: "http://auth" cluster: "auth" timeout { nanos: 500000000 } }
    path_prefix: "/check"
    authorization_request { allowed_headers { patterns { prefix: "x-a" } }
                            headers_to_add { key: "x-new" value: "v" } }
    authorization_response {
      allowed_upstream_headers { patterns { exact: "x-up" } }
      allowed_upstream_headers_to_append { patterns { exact: "x-app" } }
      allowed_client_headers { patterns { exact: "x-why" } }
      allowed_client_headers_on_success { patterns { exact: "x-cl" } }
      dynamic_metadata_from_headers { patterns { exact: "x-md" } } } })";

void Answer(FilterHarness& harness, int status,
            std::initializer_list<std::pair<const char*, const char*>> headers,
            const char* body = "") {
  Headers answer(&harness.arena());
  answer.set_status(status);
  for (const auto& [name, value] : headers) answer.Add(name, value);
  const HttpCallDone done = harness.http_done;
  done({HttpCallEnd::kAnswered, &answer, body});
}

TEST(ExtAuthzTest, TheServiceSeesWhatItMaySee) {
  Harness<ExtAuthz> harness(kHttpService);
  harness.request.Add("x-a1", "y");
  harness.request.Add("x-b", "n");
  harness.request.Add("authorization", "z");
  EXPECT_EQ(harness.Request(), Verdict::kPause);
  ASSERT_NE(harness.call_headers, nullptr);
  EXPECT_EQ(harness.call_cluster, "auth");
  EXPECT_EQ(harness.call_timeout_ms, 500);
  EXPECT_EQ(harness.call_headers->path(), "/check/");
  EXPECT_EQ(harness.Value(*harness.call_headers, "x-a1"), "y");
  EXPECT_EQ(harness.Value(*harness.call_headers, "x-b"), "(none)");
  EXPECT_EQ(harness.Value(*harness.call_headers, "authorization"), "z");
  EXPECT_EQ(harness.Value(*harness.call_headers, "x-new"), "v");
}

TEST(ExtAuthzTest, ConsentEditsBothSides) {
  Harness<ExtAuthz> harness(kHttpService);
  harness.request.Add("x-gone", "1");
  harness.request.Add("x-up", "old");
  harness.Request();
  Answer(harness, 200,
         {{"x-up", "new"},
          {"x-app", "b"},
          {"x-cl", "c"},
          {"x-md", "m"},
          {"x-other", "o"},
          {"x-envoy-auth-headers-to-remove", "x-gone, :path"}});
  EXPECT_EQ(harness.resumed, 1);
  EXPECT_EQ(harness.Value(harness.request, "x-up"), "new");
  EXPECT_EQ(harness.Value(harness.request, "x-app"), "b");
  EXPECT_EQ(harness.Value(harness.request, "x-gone"), "(none)");
  EXPECT_EQ(harness.Value(harness.request, "x-other"), "(none)");
  EXPECT_EQ(harness.request.path(), "/");
  harness.Response();
  EXPECT_EQ(harness.Value(harness.response, "x-cl"), "c");
  const MetadataValue& noted = harness.metadata.namespaces.at("envoy.filters.http.ext_authz");
  EXPECT_EQ(*noted.Find("x-md")->text(), "m");
  EXPECT_EQ(harness.Stat("ok"), 1u);
  EXPECT_EQ(harness.cluster_counts[ClusterCount::kExtAuthzOk], 1);
}

TEST(ExtAuthzTest, ARefusalIsPassedOn) {
  Harness<ExtAuthz> harness(kHttpService);
  harness.Request();
  Answer(harness, 401, {{"x-why", "no"}, {"www-authenticate", "Basic"}, {"x-hid", "1"}}, "sorry");
  EXPECT_EQ(harness.reply_status, 401);
  EXPECT_EQ(harness.reply_body, "sorry");
  EXPECT_EQ(harness.reply_details, "ext_authz_denied");
  EXPECT_EQ(harness.Value(harness.response, "x-why"), "no");
  EXPECT_EQ(harness.Value(harness.response, "www-authenticate"), "Basic");
  EXPECT_EQ(harness.Value(harness.response, "x-hid"), "(none)");
  EXPECT_TRUE(harness.info().flags.Has(ResponseFlag::kUnauthorizedExternalService));
  EXPECT_EQ(harness.charged, std::vector<int>{401});
}

TEST(ExtAuthzTest, FailuresDenyUnlessAllowed) {
  Harness<ExtAuthz> closed(std::string(kHttpService) + "status_on_error { code: 503 }");
  closed.Request();
  Answer(closed, 500, {});
  EXPECT_EQ(closed.reply_status, 503);
  EXPECT_EQ(closed.reply_details, "ext_authz_error");
  Harness<ExtAuthz> open(std::string(kHttpService) +
                         "failure_mode_allow: true failure_mode_allow_header_add: true");
  open.Request();
  const HttpCallDone done = open.http_done;
  done({HttpCallEnd::kTimeout, nullptr, ""});
  EXPECT_EQ(open.resumed, 1);
  EXPECT_EQ(open.Value(open.request, "x-envoy-auth-failure-mode-allowed"), "true");
  EXPECT_EQ(open.Stat("failure_mode_allowed"), 1u);
}

TEST(ExtAuthzTest, WithoutAServiceEverythingFails) {
  Harness<ExtAuthz> closed("");
  EXPECT_EQ(closed.Request(), Verdict::kReplied);
  EXPECT_EQ(closed.reply_details, "ext_authz_error");
  Harness<ExtAuthz> open("failure_mode_allow: true");
  EXPECT_EQ(open.Request(), Verdict::kContinue);
  ExtAuthz both;
  both.mutable_http_service()->set_path_prefix("/a");
  both.mutable_http_service()->set_path_override("/b");
  EXPECT_FALSE(MakeHttpFilter("e", Name<ExtAuthz>(), both.SerializeAsString()).ok());
}

TEST(ExtAuthzTest, BodiesAreKeptAndCut) {
  Harness<ExtAuthz> harness(
      std::string(kHttpService) +
      "with_request_body { max_request_bytes: 6 allow_partial_message: true }");
  EXPECT_EQ(harness.Request(/*end=*/false), Verdict::kBuffer);
  EXPECT_EQ(harness.RequestBody("hel", false), Verdict::kBuffer);
  EXPECT_EQ(harness.RequestBody("lo world", false), Verdict::kPause);
  EXPECT_EQ(harness.call_body, "hello ");
  EXPECT_EQ(harness.Value(*harness.call_headers, "x-envoy-auth-partial-body"), "true");
  EXPECT_EQ(harness.Value(*harness.call_headers, "content-length"), "6");
}

TEST(ExtAuthzTest, RoutesMayBeLeftOutOrAskElse) {
  using Route = http::ext_authz::v3::ExtAuthzPerRoute;
  Harness<ExtAuthz> off(kHttpService);
  off.AddRouteConfig(Name<Route>(), Serialized<Route>("disabled: true"));
  EXPECT_EQ(off.Request(), Verdict::kContinue);
  Harness<ExtAuthz> other(kHttpService);
  other.AddRouteConfig(Name<Route>(), Serialized<Route>(R"(check_settings {
      context_extensions { key: "a" value: "b" }
      grpc_service { envoy_grpc { cluster_name: "g" } timeout { seconds: 1 } } })"));
  EXPECT_EQ(other.Request(), Verdict::kPause);
  EXPECT_EQ(other.call_cluster, "g");
  EXPECT_EQ(other.call_method, "/envoy.service.auth.v3.Authorization/Check");
  envoy::service::auth::v3::CheckRequest request;
  ASSERT_TRUE(request.ParseFromString(other.call_body));
  EXPECT_EQ(request.attributes().context_extensions().at("a"), "b");
  EXPECT_EQ(request.attributes().request().http().method(), "GET");
}

TEST(ExtAuthzTest, GrpcAnswers) {
  using Response = envoy::service::auth::v3::CheckResponse;
  constexpr char kGrpc[] = R"(grpc_service { envoy_grpc { cluster_name: "g" } })";
  Harness<ExtAuthz> good(kGrpc);
  good.request.set_pseudo(HeaderId::kPath, "/?q=1&r=2");
  good.request.Add("x-app", "old");
  good.Request();
  EXPECT_EQ(good.call_timeout_ms, 200);
  const std::string ok = Serialized<Response>(R"(status {} ok_response {
      headers { header { key: "X-Set" value: "new" } }
      headers { header { key: "x-app" value: "new" } append { value: true } }
      headers { header { key: "x-app2" value: "new" } append { value: true } }
      query_parameters_to_set { key: "s" value: "t" } query_parameters_to_remove: "q" })");
  GrpcCallDone done = good.grpc_done;
  done({0, "", ok});
  EXPECT_EQ(good.resumed, 1);
  EXPECT_EQ(good.Value(good.request, "x-set"), "new");
  EXPECT_EQ(good.Value(good.request, "x-app"), "old,new");
  EXPECT_EQ(good.Value(good.request, "x-app2"), "(none)");
  EXPECT_EQ(good.request.path(), "/?r=2&s=t");

  Harness<ExtAuthz> denied(kGrpc);
  denied.Request();
  const std::string no = Serialized<Response>(R"(status { code: 7 } denied_response {
      status { code: 429 } body: "nope"
      headers { header { key: "x-why" value: "1" } } headers { header { key: "x-why" value: "2" } } })");
  done = denied.grpc_done;
  done({0, "", no});
  EXPECT_EQ(denied.reply_status, 429);
  EXPECT_EQ(denied.reply_body, "nope");
  EXPECT_EQ(denied.Value(denied.response, "x-why"), "1,2");

  Harness<ExtAuthz> broken(kGrpc);
  broken.Request();
  done = broken.grpc_done;
  done({14, "unavailable", ""});
  EXPECT_EQ(broken.reply_status, 403);
  EXPECT_EQ(broken.Stat("error"), 1u);
}

TEST(ExtAuthzTest, ADroppedExchangeCancelsTheCall) {
  Harness<ExtAuthz> harness(kHttpService);
  harness.Request();
  EXPECT_TRUE(harness.http_done != nullptr);
  harness.filter->OnEnd();
  EXPECT_TRUE(harness.http_done == nullptr);
}

}  // namespace
}  // namespace remora
