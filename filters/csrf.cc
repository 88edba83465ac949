// envoy.filters.http.csrf: requests that change something must come from the site itself.
#include <memory>
#include <utility>
#include <vector>

#include "envoy/extensions/filters/http/csrf/v3/csrf.pb.h"
#include "filters/makers.h"
#include "filters/matchers.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::csrf::v3;

enum Stat : uint32_t { kMissing, kInvalid, kValid };
constexpr FilterStat kStats[] = {{"missing_source_origin"}, {"request_invalid"}, {"request_valid"}};

struct Policy {
  RuntimeFraction enabled;
  RuntimeFraction shadow;
  std::vector<StringMatcher> origins;
};

// "host:port" of a URL; text that is no URL stands for itself.
absl::string_view HostAndPort(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == absl::string_view::npos) return url;
  const absl::string_view rest = url.substr(scheme + 3);
  return rest.substr(0, rest.find_first_of("/?#"));
}

absl::string_view SourceOf(const Headers& request) {
  const absl::string_view origin = HostAndPort(request.Value(HeaderId::kOrigin));
  return origin.empty() ? HostAndPort(request.Value(HeaderId::kReferer)) : origin;
}

bool Changes(absl::string_view method) {
  return method == "POST" || method == "PUT" || method == "DELETE" || method == "PATCH";
}

class CsrfFilter final : public HttpFilter {
 public:
  explicit CsrfFilter(const Policy* policy) : policy_(policy) {}

  Verdict OnRequestHeaders(Headers& request, bool) override {
    if (const void* route = context_->route_config()) policy_ = static_cast<const Policy*>(route);
    const bool enabled = policy_->enabled.Includes(context_->runtime(), context_->random());
    if (!enabled && !policy_->shadow.Includes(context_->runtime(), context_->random())) {
      return Verdict::kContinue;
    }
    if (!Changes(request.method())) return Verdict::kContinue;
    const absl::string_view source = SourceOf(request);
    const bool missing = source.empty() || source == "null";
    if (!missing && IsAllowed(source, request)) {
      context_->Count(kValid);
      return Verdict::kContinue;
    }
    context_->Count(missing ? kMissing : kInvalid);
    if (!enabled) return Verdict::kContinue;
    LocalReply reply;
    reply.status = 403;
    reply.body = "Invalid origin";
    reply.details = "csrf_origin_mismatch";
    context_->Reply(reply);
    return Verdict::kReplied;
  }

 private:
  bool IsAllowed(absl::string_view source, const Headers& request) const {
    if (source == HostAndPort(request.authority())) return true;
    for (const StringMatcher& origin : policy_->origins) {
      if (origin.Match(source)) return true;
    }
    return false;
  }

  const Policy* policy_;
};

class CsrfFactory final : public FilterFactory {
 public:
  explicit CsrfFactory(std::shared_ptr<const Policy> policy) : policy_(std::move(policy)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(CsrfFilter))) CsrfFilter(policy_.get());
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return "csrf."; }

 private:
  std::shared_ptr<const Policy> policy_;
};

absl::StatusOr<std::shared_ptr<const Policy>> ParsePolicy(absl::string_view config) {
  absl::StatusOr<pb::CsrfPolicy> proto = DecodeConfig<pb::CsrfPolicy>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<Policy>();
  out->enabled = RuntimeFraction::From(proto->filter_enabled());
  out->shadow = RuntimeFraction::From(proto->shadow_enabled());
  for (const auto& origin : proto->additional_origins()) {
    absl::StatusOr<StringMatcher> matcher = StringMatcher::Parse(origin);
    if (!matcher.ok()) return matcher.status();
    out->origins.push_back(*std::move(matcher));
  }
  return std::shared_ptr<const Policy>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Policy>> policy = ParsePolicy(config);
  if (!policy.ok()) return policy.status();
  return std::make_shared<CsrfFactory>(*std::move(policy));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Policy>> policy = ParsePolicy(config);
  if (!policy.ok()) return policy.status();
  return std::shared_ptr<const void>(*std::move(policy));
}

}  // namespace

HttpFilterType CsrfFilterType() {
  return {"envoy.extensions.filters.http.csrf.v3.CsrfPolicy", &Make,
          "envoy.extensions.filters.http.csrf.v3.CsrfPolicy", &ParseRoute};
}

}  // namespace remora
