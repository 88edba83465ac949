// envoy.filters.http.jwt_authn: requests show tokens; rules say of whom.
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/filters/http/jwt_authn/v3/config.pb.h"
#include "filters/api/filter_state.h"
#include "filters/jwt_requirement.h"
#include "filters/makers.h"
#include "filters/request_match.h"
#include "filters/request_parts.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::jwt_authn::v3;

enum Stat : uint32_t {
  kAllowed,
  kDenied,
  kPreflightBypassed,
  kFetchSuccess,
  kFetchFailed,
  kCacheHit,
  kCacheMiss,
};
constexpr FilterStat kStats[] = {
    {"allowed"},           {"denied"},        {"cors_preflight_bypassed"}, {"jwks_fetch_success"},
    {"jwks_fetch_failed"}, {"jwt_cache_hit"}, {"jwt_cache_miss"}};
constexpr absl::string_view kNamespace = "envoy.filters.http.jwt_authn";

struct Rule {
  RequestMatch match;
  const JwtRequirement* requirement = nullptr;  // null: none is asked for
};

struct Settings {
  JwtProviders providers;
  std::vector<std::unique_ptr<JwtRequirement>> owned;
  std::map<std::string, const JwtRequirement*> named;
  std::vector<Rule> rules;
  // Where no rule matches: the requirement that a text of the filter state names.
  std::string state_key;
  std::map<std::string, const JwtRequirement*> by_state;
  bool bypass_preflight = false;
  bool strip_failure = false;
  std::string stat_prefix;
};

struct RouteSettings {
  bool disabled = false;
  std::string requirement;
};

bool IsPreflight(const Headers& request) {
  return request.method() == "OPTIONS" && !request.Value(HeaderId::kOrigin).empty() &&
         !request.Value(HeaderId::kAccessControlRequestMethod).empty();
}

class JwtAuthnFilter final : public HttpFilter {
 public:
  explicit JwtAuthnFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override;
  // The exchange may be answered by someone else while keys are fetched.
  Verdict OnResponseHeaders(Headers&, bool) override {
    fetch_.reset();
    return Verdict::kContinue;
  }
  void OnEnd() override { fetch_.reset(); }

 private:
  const JwtRequirement* FindRequirement(const Headers& headers) const;
  Verdict Allow();
  Verdict Check();
  Verdict Refuse(JwtStatus status);
  Verdict RefuseUnknownName(const std::string& name);
  void Fetch(const JwtProvider* provider);
  void OnFetched(const HttpAnswer& answer);
  void Apply(const JwtInspection& look);
  void Note(const std::string& key, MetadataValue value);

  const Settings* settings_;
  const JwtRequirement* requirement_ = nullptr;
  const JwtProvider* fetching_ = nullptr;
  std::vector<const JwtProvider*> failed_;
  std::unique_ptr<SideCall> fetch_;
};

Verdict JwtAuthnFilter::Allow() {
  context_->Count(kAllowed);
  return Verdict::kContinue;
}

const JwtRequirement* JwtAuthnFilter::FindRequirement(const Headers& headers) const {
  for (const Rule& rule : settings_->rules) {
    if (rule.match.Match(headers)) return rule.requirement;
  }
  const FilterState* state = context_->info().filter_state;
  const std::string* text = state == nullptr ? nullptr : state->Find(settings_->state_key);
  if (text == nullptr) return nullptr;
  const auto found = settings_->by_state.find(*text);
  return found == settings_->by_state.end() ? nullptr : found->second;
}

Verdict JwtAuthnFilter::OnRequestHeaders(Headers& headers, bool) {
  if (settings_->bypass_preflight && IsPreflight(headers)) {
    context_->Count(kPreflightBypassed);
    return Allow();
  }
  if (const auto* route = static_cast<const RouteSettings*>(context_->route_config())) {
    if (route->disabled) return Allow();
    const auto named = settings_->named.find(route->requirement);
    if (named == settings_->named.end()) return RefuseUnknownName(route->requirement);
    requirement_ = named->second;
  } else {
    requirement_ = FindRequirement(headers);
  }
  return requirement_ == nullptr ? Allow() : Check();
}

Verdict JwtAuthnFilter::Check() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  JwtInspection look{
      *context_->request_headers(),
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count()),
      context_->now_ns(),
      [this](const JwtProvider* provider) { return absl::c_linear_search(failed_, provider); }};
  const JwtStatus status = requirement_->Check(look);
  if (look.lacking != nullptr) {
    Fetch(look.lacking);
    return Verdict::kPause;
  }
  context_->Count(kCacheHit, look.remembered);
  context_->Count(kCacheMiss, look.parsed);
  Apply(look);
  return status == JwtStatus::kOk ? Allow() : Refuse(status);
}

void JwtAuthnFilter::Note(const std::string& key, MetadataValue value) {
  if (key.empty()) return;
  MetadataValue& space = context_->dynamic_metadata().namespaces[std::string(kNamespace)];
  if (space.fields() == nullptr) space = MetadataValue(MetadataValue::Fields());
  (*space.mutable_fields())[key] = std::move(value);
}

MetadataValue Normalized(const MetadataValue& payload, const std::vector<std::string>& claims) {
  MetadataValue out = payload;
  for (const std::string& claim : claims) {
    const MetadataValue* value = payload.Find(claim);
    if (value == nullptr || value->text() == nullptr) continue;
    MetadataValue::List list;
    for (const absl::string_view word : absl::StrSplit(*value->text(), ' ', absl::SkipEmpty())) {
      list.push_back(MetadataValue(std::string(word)));
    }
    (*out.mutable_fields())[claim] = MetadataValue(std::move(list));
  }
  return out;
}

void JwtAuthnFilter::Apply(const JwtInspection& look) {
  Headers& request = *context_->request_headers();
  for (const JwtProvider* provider : look.seen) provider->Sanitize(request);
  bool clear_route = false;
  for (const JwtInspection::Good& good : look.good) {
    const JwtProvider& provider = *good.provider;
    provider.SetHeaders(good.token, request);
    if (!provider.forward) JwtProvider::Remove(good.found, request);
    Note(provider.payload_in_metadata,
         Normalized(good.token.payload, provider.space_delimited_claims));
    Note(provider.header_in_metadata, good.token.header);
    clear_route = clear_route || provider.clear_route_cache;
  }
  for (const JwtInspection::Good& one : look.unverified) {
    const JwtProvider& provider = *one.provider;
    provider.SetHeaders(one.token, request);
    Note(provider.payload_in_metadata,
         Normalized(one.token.payload, provider.space_delimited_claims));
    Note(provider.header_in_metadata, one.token.header);
    request.Set("x-jwt-signature-verified", "false");
  }
  for (const JwtInspection::Bad& bad : look.bad) {
    Note(bad.provider->failed_status_in_metadata,
         MetadataValue(MetadataValue::Fields{
             {"code", MetadataValue(static_cast<double>(bad.status))},
             {"message", MetadataValue(std::string(JwtStatusText(bad.status)))}}));
  }
  if (clear_route) context_->ClearRoute();
}

// Details are one word in a log.
std::string DetailsOf(absl::string_view reason) {
  return absl::StrCat("jwt_authn_access_denied{",
                      absl::StrJoin(absl::StrSplit(reason, absl::ByAnyChar(" \t\n")), "_"), "}");
}

Verdict JwtAuthnFilter::Refuse(JwtStatus status) {
  context_->Count(kDenied);
  LocalReply reply;
  reply.status = status == JwtStatus::kAudience ? 403 : 401;
  if (!settings_->strip_failure) reply.body = JwtStatusText(status);
  reply.details = context_->arena().Copy(DetailsOf(JwtStatusText(status)));
  std::string challenge;
  if (!settings_->strip_failure) {
    challenge = absl::StrCat("Bearer realm=\"", OriginalUrl(*context_->request_headers()), "\"",
                             status == JwtStatus::kMissing ? "" : ", error=\"invalid_token\"");
    reply.edit = [&challenge](Headers& response) {
      response.Set(HeaderId::kWwwAuthenticate, challenge);
    };
  }
  context_->Reply(reply);
  return Verdict::kReplied;
}

Verdict JwtAuthnFilter::RefuseUnknownName(const std::string& name) {
  context_->Count(kDenied);
  const std::string reason =
      absl::StrCat("Wrong requirement_name: ", name, ". It should be one of [",
                   absl::StrJoin(settings_->named, ",",
                                 [](std::string* out, const auto& one) { *out += one.first; }),
                   "]");
  LocalReply reply;
  reply.status = 403;
  reply.body = context_->arena().Copy(absl::StrCat("Failed JWT authentication: ", reason));
  reply.details = context_->arena().Copy(DetailsOf(reason));
  context_->Reply(reply);
  return Verdict::kReplied;
}

void JwtAuthnFilter::Fetch(const JwtProvider* provider) {
  fetching_ = provider;
  Headers request(&context_->arena());
  request.set_pseudo_static(HeaderId::kMethod, "GET");
  request.set_pseudo_static(HeaderId::kScheme, "http");
  request.set_pseudo(HeaderId::kPath, provider->path);
  request.set_pseudo(HeaderId::kAuthority, provider->host);
  // Some who serve keys refuse a client that does not name itself.
  request.Add(HeaderId::kUserAgent, "Go-browser");
  HttpCall call;
  call.cluster = provider->cluster;
  call.headers = &request;
  call.timeout_ms = provider->timeout_ms;
  call.retries = provider->retries;
  fetch_ = context_->CallHttp(call, [this](const HttpAnswer& answer) { OnFetched(answer); });
}

void JwtAuthnFilter::OnFetched(const HttpAnswer& answer) {
  const JwtProvider* provider = std::exchange(fetching_, nullptr);
  bool good = false;
  if (answer.end == HttpCallEnd::kAnswered && answer.headers->status() == 200) {
    absl::StatusOr<std::shared_ptr<const Jwks>> keys = Jwks::Parse(answer.body);
    good = keys.ok();
    if (good) provider->StoreFetched(*std::move(keys), context_->now_ns());
  }
  fetch_.reset();
  context_->Count(good ? kFetchSuccess : kFetchFailed);
  if (!good) failed_.push_back(provider);
  if (Check() == Verdict::kContinue) context_->ResumeRequest();
}

class JwtAuthnFactory final : public FilterFactory {
 public:
  explicit JwtAuthnFactory(std::unique_ptr<const Settings> settings)
      : settings_(std::move(settings)), prefix_("jwt_authn.") {
    if (!settings_->stat_prefix.empty()) absl::StrAppend(&prefix_, settings_->stat_prefix, ".");
  }
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(JwtAuthnFilter))) JwtAuthnFilter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return prefix_; }

 private:
  std::unique_ptr<const Settings> settings_;
  std::string prefix_;
};

absl::StatusOr<const JwtRequirement*> AddRequirement(const pb::JwtRequirement& proto,
                                                     Settings* out) {
  absl::StatusOr<JwtRequirement> requirement = JwtRequirement::Parse(proto, out->providers);
  if (!requirement.ok()) return requirement.status();
  out->owned.push_back(std::make_unique<JwtRequirement>(*std::move(requirement)));
  return out->owned.back().get();
}

absl::Status AddRule(const pb::RequirementRule& proto, Settings* out) {
  absl::StatusOr<RequestMatch> match = RequestMatch::Parse(proto.match());
  if (!match.ok()) return match.status();
  Rule rule{*std::move(match), nullptr};
  if (proto.has_requires_()) {
    absl::StatusOr<const JwtRequirement*> requirement = AddRequirement(proto.requires_(), out);
    if (!requirement.ok()) return requirement.status();
    rule.requirement = *requirement;
  } else if (proto.requirement_type_case() == pb::RequirementRule::kRequirementName) {
    const auto named = out->named.find(proto.requirement_name());
    if (named == out->named.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "Wrong requirement_name: ", proto.requirement_name(), ". It should be one of [",
          absl::StrJoin(out->named, ",",
                        [](std::string* text, const auto& one) { *text += one.first; }),
          "]"));
    }
    rule.requirement = named->second;
  }
  out->rules.push_back(std::move(rule));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::JwtAuthentication> proto = DecodeConfig<pb::JwtAuthentication>(config);
  if (!proto.ok()) return proto.status();
  auto settings = std::make_unique<Settings>();
  for (const auto& [name, provider] : proto->providers()) {
    absl::StatusOr<std::unique_ptr<JwtProvider>> parsed = JwtProvider::Parse(provider);
    if (!parsed.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("Provider '", name, "' in jwt_authn config ", parsed.status().message()));
    }
    settings->providers.emplace(name, *std::move(parsed));
  }
  for (const auto& [name, requirement] : proto->requirement_map()) {
    absl::StatusOr<const JwtRequirement*> added = AddRequirement(requirement, settings.get());
    if (!added.ok()) return added.status();
    settings->named.emplace(name, *added);
  }
  for (const pb::RequirementRule& rule : proto->rules()) {
    if (absl::Status added = AddRule(rule, settings.get()); !added.ok()) return added;
  }
  settings->state_key = proto->filter_state_rules().name();
  for (const auto& [text, requirement] : proto->filter_state_rules().requires_()) {
    absl::StatusOr<const JwtRequirement*> added = AddRequirement(requirement, settings.get());
    if (!added.ok()) return added.status();
    settings->by_state.emplace(text, *added);
  }
  settings->bypass_preflight = proto->bypass_cors_preflight();
  settings->strip_failure = proto->strip_failure_response();
  settings->stat_prefix = proto->stat_prefix();
  return std::make_shared<JwtAuthnFactory>(std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::PerRouteConfig> proto = DecodeConfig<pb::PerRouteConfig>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<RouteSettings>();
  out->disabled = proto->disabled();
  out->requirement = proto->requirement_name();
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType JwtAuthnFilterType() {
  return {"envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", &Make,
          "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig", &ParseRoute};
}

}  // namespace remora
