// envoy.filters.http.cors: answers preflights, and says in responses which origins may read them.
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "envoy/extensions/filters/http/cors/v3/cors.pb.h"
#include "filters/makers.h"
#include "filters/matchers.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::cors::v3;

struct Policy {
  std::vector<StringMatcher> origins;
  std::string methods;
  std::string headers;
  std::string expose;
  std::string max_age;
  std::optional<bool> credentials;
  std::optional<bool> private_network;
  std::optional<bool> forward_unmatched_preflights;
  std::optional<RuntimeFraction> enabled;
  std::optional<RuntimeFraction> shadow;
};

enum Stat : uint32_t { kOriginInvalid, kOriginValid };
constexpr FilterStat kStats[] = {{"origin_invalid"}, {"origin_valid"}};

class CorsFilter final : public HttpFilter {
 public:
  Verdict OnRequestHeaders(Headers& request, bool) override;
  Verdict OnResponseHeaders(Headers& response, bool) override;

 private:
  // What the most specific level that says anything says; null when none does.
  template <typename T>
  const T* FirstOf(std::optional<T> Policy::* field) const {
    for (size_t i = count_; i-- > 0;) {
      if (levels_[i]->*field) return &*(levels_[i]->*field);
    }
    return nullptr;
  }
  absl::string_view Text(std::string Policy::* field) const;
  bool Flag(std::optional<bool> Policy::* field, bool otherwise) const;
  bool Enabled() const;
  bool Shadowed() const;
  bool IsAllowed(absl::string_view origin) const;
  Verdict AnswerPreflight(const Headers& request);
  void AddCommon(Headers& response) const;

  const Policy* levels_[4];
  size_t count_ = 0;
  absl::string_view origin_;
  bool applies_ = false;
};

absl::string_view CorsFilter::Text(std::string Policy::* field) const {
  for (size_t i = count_; i-- > 0;) {
    if (!(levels_[i]->*field).empty()) return levels_[i]->*field;
  }
  return {};
}

bool CorsFilter::Flag(std::optional<bool> Policy::* field, bool otherwise) const {
  const bool* const said = FirstOf(field);
  return said == nullptr ? otherwise : *said;
}

bool CorsFilter::Enabled() const {
  const RuntimeFraction* const enabled = FirstOf(&Policy::enabled);
  return enabled == nullptr || enabled->Includes(context_->runtime(), context_->random());
}

bool CorsFilter::Shadowed() const {
  const RuntimeFraction* const shadow = FirstOf(&Policy::shadow);
  return shadow != nullptr && shadow->Includes(context_->runtime(), context_->random());
}

bool CorsFilter::IsAllowed(absl::string_view origin) const {
  for (size_t i = count_; i-- > 0;) {
    if (levels_[i]->origins.empty()) continue;
    for (const StringMatcher& matcher : levels_[i]->origins) {
      if (matcher.Match("*") || matcher.Match(origin)) return true;
    }
    return false;
  }
  return false;
}

void CorsFilter::AddCommon(Headers& response) const {
  response.Set(HeaderId::kAccessControlAllowOrigin, origin_);
  if (Flag(&Policy::credentials, false)) {
    response.SetReference(HeaderId::kAccessControlAllowCredentials, "true");
  }
  const absl::string_view expose = Text(&Policy::expose);
  if (!expose.empty()) response.Set(HeaderId::kAccessControlExposeHeaders, expose);
}

Verdict CorsFilter::AnswerPreflight(const Headers& request) {
  LocalReply reply;
  reply.status = 200;
  reply.details = "cors_response";
  reply.is_response = true;
  reply.edit = [this, &request](Headers& response) {
    AddCommon(response);
    const absl::string_view methods = Text(&Policy::methods);
    const absl::string_view headers = Text(&Policy::headers);
    const absl::string_view max_age = Text(&Policy::max_age);
    // Anything is allowed: what was asked for is what is told.
    const absl::string_view method = request.Value(HeaderId::kAccessControlRequestMethod);
    if (!methods.empty()) {
      response.Set(HeaderId::kAccessControlAllowMethods, methods == "*" ? method : methods);
    }
    const absl::string_view names = request.Value(HeaderId::kAccessControlRequestHeaders);
    if (!headers.empty()) {
      const bool any = headers == "*" && !names.empty();
      response.Set(HeaderId::kAccessControlAllowHeaders, any ? names : headers);
    }
    if (!max_age.empty()) response.Set(HeaderId::kAccessControlMaxAge, max_age);
    if (Flag(&Policy::private_network, false) &&
        request.Value(HeaderId::kAccessControlRequestPrivateNetwork) == "true") {
      response.SetReference(HeaderId::kAccessControlAllowPrivateNetwork, "true");
    }
  };
  context_->Reply(reply);
  return Verdict::kReplied;
}

Verdict CorsFilter::OnRequestHeaders(Headers& request, bool) {
  const void* configs[4];
  count_ = context_->route_configs(configs, std::size(configs));
  for (size_t i = 0; i < count_; ++i) levels_[i] = static_cast<const Policy*>(configs[i]);
  if (count_ == 0) return Verdict::kContinue;
  const bool enabled = Enabled();
  const bool shadowed = Shadowed();
  origin_ = request.Value(HeaderId::kOrigin);
  if ((!enabled && !shadowed) || origin_.empty()) return Verdict::kContinue;
  const bool preflight = request.method() == "OPTIONS" &&
                         !request.Value(HeaderId::kAccessControlRequestMethod).empty();
  if (!IsAllowed(origin_)) {
    context_->Count(kOriginInvalid);
    if (enabled && preflight && !Flag(&Policy::forward_unmatched_preflights, true)) {
      LocalReply reply;
      reply.status = 200;
      reply.details = "cors_response";
      reply.is_response = true;
      context_->Reply(reply);
      return Verdict::kReplied;
    }
    return Verdict::kContinue;
  }
  context_->Count(kOriginValid);
  if (!enabled) return Verdict::kContinue;
  applies_ = !preflight;
  return preflight ? AnswerPreflight(request) : Verdict::kContinue;
}

Verdict CorsFilter::OnResponseHeaders(Headers& response, bool) {
  if (applies_) AddCommon(response);
  return Verdict::kContinue;
}

class CorsFactory final : public FilterFactory {
 public:
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(CorsFilter))) CorsFilter();
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return "cors."; }
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view) {
  return std::make_shared<CorsFactory>();
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::CorsPolicy> proto = DecodeConfig<pb::CorsPolicy>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<Policy>();
  for (const auto& origin : proto->allow_origin_string_match()) {
    absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(origin);
    if (!matcher.ok()) return matcher.status();
    out->origins.push_back(*std::move(matcher));
  }
  out->methods = proto->allow_methods();
  out->headers = proto->allow_headers();
  out->expose = proto->expose_headers();
  out->max_age = proto->max_age();
  if (proto->has_allow_credentials()) out->credentials = proto->allow_credentials().value();
  if (proto->has_allow_private_network_access()) {
    out->private_network = proto->allow_private_network_access().value();
  }
  if (proto->has_forward_not_matching_preflights()) {
    out->forward_unmatched_preflights = proto->forward_not_matching_preflights().value();
  }
  if (proto->has_filter_enabled()) out->enabled = RuntimeFraction::From(proto->filter_enabled());
  if (proto->has_shadow_enabled()) out->shadow = RuntimeFraction::From(proto->shadow_enabled());
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType CorsFilterType() {
  return {"envoy.extensions.filters.http.cors.v3.Cors", &Make,
          "envoy.extensions.filters.http.cors.v3.CorsPolicy", &ParseRoute};
}

}  // namespace remora
