// Asks an authorisation service with a plain HTTP request: 200 is consent.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "filters/ext_authz_service.h"
#include "filters/side_retries.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::ext_authz::v3;

constexpr absl::string_view kToRemove = "x-envoy-auth-headers-to-remove";
constexpr absl::string_view kPartialBody = "x-envoy-auth-partial-body";

class HttpAuthz final : public AuthzService {
 public:
  std::unique_ptr<SideCall> Ask(const AuthzQuestion& question, Done done) const override;
  absl::Status Read(const pb::HttpService& proto);

 private:
  bool SeesHeader(const AuthzQuestion& question, const Header& header) const;
  AuthzAnswer Understand(const HttpAnswer& answer) const;
  void Consent(const Headers& headers, AuthzAnswer* out) const;
  bool TellsClient(const Header& header) const;

  std::string cluster_;
  std::string path_prefix_;
  std::string path_override_;
  int64_t timeout_ms_ = 0;
  SideRetries retries_;
  AnyOf allowed_;
  std::vector<std::pair<std::string, std::shared_ptr<const Formatter>>> to_add_;
  AnyOf upstream_;
  AnyOf upstream_append_;
  AnyOf client_;
  AnyOf client_on_success_;
  AnyOf metadata_;
};

bool HttpAuthz::SeesHeader(const AuthzQuestion& question, const Header& header) const {
  if (question.disallowed.Match(header.name)) return false;
  return header.id == HeaderId::kAuthorization || allowed_.Match(header.name) ||
         question.allowed.Match(header.name);
}

std::unique_ptr<SideCall> HttpAuthz::Ask(const AuthzQuestion& question, Done done) const {
  Arena& arena = question.context.arena();
  Headers request(&arena);
  const Headers& original = question.headers;
  request.set_pseudo(HeaderId::kMethod, original.method());
  request.set_pseudo(HeaderId::kScheme, original.scheme());
  request.set_pseudo(HeaderId::kAuthority, original.authority());
  request.set_pseudo(HeaderId::kPath, path_override_.empty()
                                          ? absl::StrCat(path_prefix_, original.path())
                                          : path_override_);
  request.Add(HeaderId::kContentLength, absl::AlphaNum(question.body.size()).Piece());
  original.ForEach([&](const Header& header) {
    if (header.id != HeaderId::kContentLength && SeesHeader(question, header)) {
      request.Add(header.name, header.value);
    }
  });
  if (question.has_body) request.Add(kPartialBody, question.partial_body ? "true" : "false");
  for (const auto& [name, value] : to_add_) {
    request.Set(name, value->Format(question.context.info(), arena));
  }
  Body body;
  body.Append(question.body);
  HttpCall call;
  call.cluster = cluster_;
  call.headers = &request;
  if (!body.empty()) call.body = &body;
  call.timeout_ms = timeout_ms_;
  call.retries = retries_;
  return question.context.CallHttp(
      call, [this, done = std::move(done)](const HttpAnswer& answer) { done(Understand(answer)); });
}

void HttpAuthz::Consent(const Headers& headers, AuthzAnswer* out) const {
  MetadataValue::Fields noted;
  headers.ForEach([&](const Header& header) {
    const std::string name(header.name);
    const std::string value(header.value);
    if (name == kToRemove) {
      for (const absl::string_view gone : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
        out->remove.push_back(absl::AsciiStrToLower(absl::StripAsciiWhitespace(gone)));
      }
    }
    if (upstream_.Match(name)) out->set.emplace_back(name, value);
    if (upstream_append_.Match(name)) out->add.emplace_back(name, value);
    if (client_on_success_.Match(name)) out->response_add.emplace_back(name, value);
    if (metadata_.Match(name)) noted.emplace(name, MetadataValue(value));
  });
  if (!noted.empty()) out->metadata = MetadataValue(std::move(noted));
}

bool HttpAuthz::TellsClient(const Header& header) const {
  if (header.id == HeaderId::kContentLength || header.id == HeaderId::kTransferEncoding ||
      header.id == HeaderId::kConnection) {
    return false;
  }
  if (client_.empty()) return true;
  return header.id == HeaderId::kWwwAuthenticate || header.id == HeaderId::kLocation ||
         client_.Match(header.name);
}

AuthzAnswer HttpAuthz::Understand(const HttpAnswer& answer) const {
  AuthzAnswer out;
  if (answer.end != HttpCallEnd::kAnswered) return out;
  const int status = answer.headers->status();
  if (status >= 500) return out;
  if (status == 200) {
    out.verdict = AuthzAnswer::Verdict::kOk;
    Consent(*answer.headers, &out);
    return out;
  }
  out.verdict = AuthzAnswer::Verdict::kDenied;
  out.status = status;
  out.body = std::string(answer.body);
  answer.headers->ForEach([&](const Header& header) {
    if (TellsClient(header)) out.denied_headers.emplace_back(header.name, header.value);
  });
  return out;
}

absl::Status HttpAuthz::Read(const pb::HttpService& proto) {
  if (proto.has_retry_policy()) retries_ = SideRetriesFrom(proto.retry_policy());
  cluster_ = proto.server_uri().cluster();
  const auto& timeout = proto.server_uri().timeout();
  timeout_ms_ = timeout.seconds() * 1000 + timeout.nanos() / 1000000;
  path_prefix_ = proto.path_prefix();
  path_override_ = proto.path_override();
  if (!path_prefix_.empty() && !path_override_.empty()) {
    return absl::InvalidArgumentError("Only one of path_prefix or path_override can be set");
  }
  if (!path_prefix_.empty() && path_prefix_.front() != '/') {
    return absl::InvalidArgumentError("path_prefix should start with \"/\".");
  }
  const auto& response = proto.authorization_response();
  for (const auto& [list, out] :
       {std::pair(&proto.authorization_request().allowed_headers(), &allowed_),
        std::pair(&response.allowed_upstream_headers(), &upstream_),
        std::pair(&response.allowed_upstream_headers_to_append(), &upstream_append_),
        std::pair(&response.allowed_client_headers(), &client_),
        std::pair(&response.allowed_client_headers_on_success(), &client_on_success_),
        std::pair(&response.dynamic_metadata_from_headers(), &metadata_)}) {
    absl::StatusOr<AnyOf> parsed = AnyOf::Parse(*list);
    if (!parsed.ok()) return parsed.status();
    *out = *std::move(parsed);
  }
  for (const auto& header : proto.authorization_request().headers_to_add()) {
    absl::StatusOr<std::shared_ptr<const Formatter>> value =
        Formatter::Parse(header.value(), Formatter::Missing::kEmpty);
    if (!value.ok()) return value.status();
    to_add_.emplace_back(absl::AsciiStrToLower(header.key()), *std::move(value));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AnyOf> AnyOf::Parse(const envoy::type::matcher::v3::ListStringMatcher& proto) {
  AnyOf out;
  for (const auto& pattern : proto.patterns()) {
    absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(pattern);
    if (!matcher.ok()) return matcher.status();
    out.matchers.push_back(*std::move(matcher));
  }
  return out;
}

bool AnyOf::Match(absl::string_view text) const {
  return std::any_of(matchers.begin(), matchers.end(),
                     [&](const StringMatcher& matcher) { return matcher.Match(text); });
}

absl::StatusOr<std::shared_ptr<const AuthzService>> AuthzService::Parse(
    const pb::HttpService& proto) {
  auto out = std::make_shared<HttpAuthz>();
  if (absl::Status read = out->Read(proto); !read.ok()) return read;
  return std::shared_ptr<const AuthzService>(std::move(out));
}

}  // namespace remora
