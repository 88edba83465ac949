// envoy.filters.http.ratelimit: asks a rate-limit service (envoy.service.ratelimit.v3) about each
// request.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/ratelimit/v3/rate_limit.pb.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "filters/api/filter_state.h"
#include "filters/grpc_service.h"
#include "filters/header_edits.h"
#include "filters/makers.h"
#include "filters/metadata.h"
#include "filters/rate_limits.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"
#include "filters/x_ratelimit.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::ratelimit::v3;
namespace rls = envoy::service::ratelimit::v3;

constexpr absl::string_view kMethod =
    "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
constexpr int64_t kDefaultTimeoutMs = 20;
constexpr int kResourceExhausted = 8;
using Fields = std::vector<std::pair<std::string, std::string>>;

struct Settings {
  std::string domain;
  uint32_t stage = 0;
  bool of_internal = true;
  bool of_external = true;
  bool failure_denies = false;
  std::optional<RuntimeFraction> failure_denies_share;
  bool resource_exhausted = false;
  bool x_ratelimit = false;
  bool x_envoy_ratelimited = true;
  bool retry_after = false;
  int limited_status = 429;
  int error_status = 500;
  HeaderEdits response_headers;
  std::string stat_prefix;  // "ratelimit.NAME."; empty: the cluster's own numbers
  RuntimeFraction enabled{{100, 100}, "ratelimit.http_filter_enabled"};
  RuntimeFraction enforced{{100, 100}, "ratelimit.http_filter_enforcing"};
  std::shared_ptr<const RateLimits> limits;  // in place of the route's; null: none
  std::string metadata_namespace = "envoy.filters.http.ratelimit";
  GrpcServiceTarget service;
};

struct RouteSettings {
  enum class VirtualHost { kOverride, kInclude, kIgnore };
  VirtualHost virtual_host = VirtualHost::kOverride;
  std::shared_ptr<const RateLimits> limits;
  std::string domain;
};

// Seconds of a unit; months and years as the draft's authors count them.
uint64_t SecondsOf(rls::RateLimitResponse::RateLimit::Unit unit) {
  constexpr uint64_t kDay = 24 * 60 * 60;
  switch (unit) {
    case rls::RateLimitResponse::RateLimit::SECOND:
      return 1;
    case rls::RateLimitResponse::RateLimit::MINUTE:
      return 60;
    case rls::RateLimitResponse::RateLimit::HOUR:
      return 60 * 60;
    case rls::RateLimitResponse::RateLimit::DAY:
      return kDay;
    case rls::RateLimitResponse::RateLimit::WEEK:
      return 7 * kDay;
    case rls::RateLimitResponse::RateLimit::MONTH:
      return 30 * kDay;
    case rls::RateLimitResponse::RateLimit::YEAR:
      return 365 * kDay;
    default:
      return 0;
  }
}

class RateLimitFilter final : public HttpFilter {
 public:
  explicit RateLimitFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    if (!Asks(headers)) return Verdict::kContinue;
    const std::vector<RateLimitDescriptor> descriptors = Describe(headers);
    if (descriptors.empty()) return Verdict::kContinue;
    Ask(descriptors);
    return Verdict::kPause;
  }
  Verdict OnResponseHeaders(Headers& headers, bool) override {
    if (!limited_) AddFields(headers);
    return Verdict::kContinue;
  }
  void OnEnd() override { call_.reset(); }

 private:
  bool Asks(const Headers& headers) const {
    const bool internal = headers.Value(HeaderId::kXEnvoyInternal) == "true";
    if (internal ? !settings_->of_internal : !settings_->of_external) return false;
    if (context_->cluster_stat_prefix().empty()) return false;
    return settings_->enabled.Includes(context_->runtime(), context_->random());
  }
  std::vector<RateLimitDescriptor> Describe(const Headers& headers) const;
  void Ask(const std::vector<RateLimitDescriptor>& descriptors);
  void OnAnswer(const GrpcAnswer& answer);
  void OnError();
  void Refuse(const std::string& body);
  void Resume(const rls::RateLimitResponse& response);
  void Count(ClusterCount plain, absl::string_view name) {
    if (settings_->stat_prefix.empty()) return context_->CountForCluster(plain);
    context_->CountNamed(
        absl::StrCat(context_->cluster_stat_prefix(), settings_->stat_prefix, name), 1);
  }
  void AddFields(Headers& headers) const {
    for (const auto& [name, value] : fields_) headers.Add(name, value);
    if (settings_->x_ratelimit) AddRateLimitHeaders(statuses_, headers);
  }

  const Settings* settings_;
  std::unique_ptr<SideCall> call_;
  Fields fields_;  // for the response
  std::vector<LimitStatus> statuses_;
  bool limited_ = false;
};

std::vector<RateLimitDescriptor> RateLimitFilter::Describe(const Headers& headers) const {
  std::vector<RateLimitDescriptor> out;
  const auto add = [&](const RateLimits* limits) {
    if (limits != nullptr) limits->Describe(settings_->stage, false, *context_, headers, &out);
  };
  const auto* own = static_cast<const RouteSettings*>(context_->route_config());
  if (own != nullptr && own->limits != nullptr) {
    add(own->limits.get());
    return out;
  }
  if (settings_->limits != nullptr) {
    add(settings_->limits.get());
    return out;
  }
  const RouteRateLimits levels = context_->rate_limits();
  add(levels.route);
  using VirtualHost = RouteSettings::VirtualHost;
  VirtualHost option = own == nullptr ? VirtualHost::kOverride : own->virtual_host;
  if (levels.include_virtual_host) option = VirtualHost::kInclude;
  if (option == VirtualHost::kInclude ||
      (option == VirtualHost::kOverride && levels.route == nullptr)) {
    add(levels.virtual_host);
  }
  return out;
}

void RateLimitFilter::Ask(const std::vector<RateLimitDescriptor>& descriptors) {
  rls::RateLimitRequest request;
  const auto* own = static_cast<const RouteSettings*>(context_->route_config());
  request.set_domain(own == nullptr || own->domain.empty() ? settings_->domain : own->domain);
  for (const RateLimitDescriptor& descriptor : descriptors) {
    auto* out = request.add_descriptors();
    for (const auto& [key, value] : descriptor.entries) {
      auto* entry = out->add_entries();
      entry->set_key(key);
      entry->set_value(value);
    }
    if (descriptor.limit_unit != 0) {
      out->mutable_limit()->set_requests_per_unit(descriptor.limit_requests);
      out->mutable_limit()->set_unit(
          static_cast<envoy::type::v3::RateLimitUnit>(descriptor.limit_unit));
    }
    if (descriptor.hits) out->mutable_hits_addend()->set_value(*descriptor.hits);
    if (descriptor.negative_hits) out->set_is_negative_hits(true);
  }
  const FilterState* state = context_->info().filter_state;
  const std::string* hits = state == nullptr ? nullptr : state->Find("envoy.ratelimit.hits_addend");
  uint32_t number = 0;
  if (hits != nullptr && absl::SimpleAtoi(*hits, &number)) request.set_hits_addend(number);
  const std::string message = request.SerializeAsString();
  GrpcCall call = settings_->service.Call(*context_, kMethod);
  call.request = message;
  call_ = context_->CallGrpc(call, [this](const GrpcAnswer& answer) { OnAnswer(answer); });
}

void RateLimitFilter::OnAnswer(const GrpcAnswer& answer) {
  rls::RateLimitResponse response;
  if (answer.status != 0 ||
      !response.ParseFromArray(answer.response.data(), static_cast<int>(answer.response.size()))) {
    return OnError();
  }
  if (response.has_dynamic_metadata()) {
    context_->dynamic_metadata().namespaces[settings_->metadata_namespace] =
        MetadataValue::From(response.dynamic_metadata());
  }
  for (const auto& header : response.response_headers_to_add()) {
    fields_.emplace_back(absl::AsciiStrToLower(header.key()), header.value());
  }
  uint64_t wait = 0;
  for (const auto& status : response.statuses()) {
    if (status.code() == rls::RateLimitResponse::OVER_LIMIT) {
      wait = std::max<uint64_t>(wait, static_cast<uint64_t>(std::max<int64_t>(
                                          status.duration_until_reset().seconds(), 0)));
    }
    if (!status.has_current_limit()) continue;
    const auto& limit = status.current_limit();
    const uint64_t multiplier = limit.has_unit_multiplier() ? limit.unit_multiplier().value() : 1;
    statuses_.push_back({limit.requests_per_unit(), SecondsOf(limit.unit()) * multiplier,
                         limit.name(), status.limit_remaining(),
                         static_cast<uint64_t>(status.duration_until_reset().seconds())});
  }
  if (response.overall_code() == rls::RateLimitResponse::OVER_LIMIT) {
    Count(ClusterCount::kRateLimitOverLimit, "over_limit");
    context_->ChargeCluster(settings_->limited_status);
    if (settings_->x_envoy_ratelimited) fields_.emplace_back("x-envoy-ratelimited", "true");
    if (settings_->retry_after && wait > 0) {
      fields_.emplace_back("retry-after", absl::StrCat(wait));
    }
    if (settings_->enforced.Includes(context_->runtime(), context_->random())) {
      return Refuse(response.raw_body());
    }
    return Resume(response);
  }
  Count(ClusterCount::kRateLimitOk, "ok");
  Resume(response);
}

void RateLimitFilter::Resume(const rls::RateLimitResponse& response) {
  Headers& request = *context_->request_headers();
  for (const auto& header : response.request_headers_to_add()) {
    request.Add(absl::AsciiStrToLower(header.key()), header.value());
  }
  context_->ResumeRequest();
}

void RateLimitFilter::Refuse(const std::string& body) {
  limited_ = true;
  context_->info().flags.Add(ResponseFlag::kRateLimited);
  LocalReply reply;
  reply.status = settings_->limited_status;
  reply.body = context_->arena().Copy(body);
  reply.details = "request_rate_limited";
  if (settings_->resource_exhausted) reply.grpc_status = kResourceExhausted;
  reply.edit = [this](Headers& headers) {
    AddFields(headers);
    settings_->response_headers.Apply(context_->info(), headers);
  };
  context_->Reply(reply);
}

void RateLimitFilter::OnError() {
  Count(ClusterCount::kRateLimitError, "error");
  const bool denies = settings_->failure_denies_share ? settings_->failure_denies_share->Includes(
                                                            context_->runtime(), context_->random())
                                                      : settings_->failure_denies;
  if (!denies) {
    Count(ClusterCount::kRateLimitFailureModeAllowed, "failure_mode_allowed");
    context_->ResumeRequest();
    return;
  }
  limited_ = true;
  context_->info().flags.Add(ResponseFlag::kRateLimitServiceError);
  LocalReply reply;
  reply.status = settings_->error_status;
  reply.details = "rate_limiter_error";
  context_->Reply(reply);
}

class RateLimitFactory final : public FilterFactory {
 public:
  explicit RateLimitFactory(Settings settings) : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(RateLimitFilter))) RateLimitFilter(&settings_);
  }

 private:
  Settings settings_;
};

absl::Status ReadAnswers(const pb::RateLimit& proto, Settings* out) {
  out->failure_denies = proto.failure_mode_deny();
  if (proto.has_failure_mode_deny_percent()) {
    out->failure_denies_share = RuntimeFraction::From(proto.failure_mode_deny_percent());
  }
  out->resource_exhausted = proto.rate_limited_as_resource_exhausted();
  out->x_ratelimit = proto.enable_x_ratelimit_headers() == pb::RateLimit::DRAFT_VERSION_03;
  out->x_envoy_ratelimited = !proto.disable_x_envoy_ratelimited_header();
  out->retry_after = proto.enable_retry_after_header();
  // Only errors may be answered; other statuses fall back.
  const int limited = static_cast<int>(proto.rate_limited_status().code());
  if (limited >= 400) out->limited_status = limited;
  const int error = static_cast<int>(proto.status_on_error().code());
  if (error >= 400) out->error_status = error;
  absl::StatusOr<HeaderEdits> headers = HeaderEdits::Parse(proto.response_headers_to_add());
  if (!headers.ok()) return headers.status();
  out->response_headers = *std::move(headers);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::RateLimit> proto = DecodeConfig<pb::RateLimit>(config);
  if (!proto.ok()) return proto.status();
  Settings out;
  out.domain = proto->domain();
  out.stage = proto->stage();
  out.of_internal = proto->request_type() != "external";
  out.of_external = proto->request_type() != "internal";
  if (absl::Status status = ReadAnswers(*proto, &out); !status.ok()) return status;
  if (!proto->stat_prefix().empty()) {
    out.stat_prefix = absl::StrCat("ratelimit.", proto->stat_prefix(), ".");
  }
  if (proto->has_filter_enabled()) out.enabled = RuntimeFraction::From(proto->filter_enabled());
  if (proto->has_filter_enforced()) out.enforced = RuntimeFraction::From(proto->filter_enforced());
  if (!proto->metadata_namespace().empty()) out.metadata_namespace = proto->metadata_namespace();
  absl::StatusOr<std::shared_ptr<const RateLimits>> limits =
      RateLimits::Parse(proto->rate_limits());
  if (!limits.ok()) return limits.status();
  out.limits = *std::move(limits);
  absl::StatusOr<GrpcServiceTarget> service =
      GrpcServiceTarget::Parse("ratelimit", proto->rate_limit_service().grpc_service());
  if (!service.ok()) return service.status();
  out.service = *std::move(service);
  out.service.timeout_ms =
      proto->has_timeout() ? proto->timeout().seconds() * 1000 + proto->timeout().nanos() / 1000000
                           : kDefaultTimeoutMs;
  return std::make_shared<RateLimitFactory>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<pb::RateLimitPerRoute> proto = DecodeConfig<pb::RateLimitPerRoute>(config);
  if (!proto.ok()) return proto.status();
  auto out = std::make_shared<RouteSettings>();
  if (proto->vh_rate_limits() == pb::RateLimitPerRoute::INCLUDE) {
    out->virtual_host = RouteSettings::VirtualHost::kInclude;
  } else if (proto->vh_rate_limits() == pb::RateLimitPerRoute::IGNORE) {
    out->virtual_host = RouteSettings::VirtualHost::kIgnore;
  }
  absl::StatusOr<std::shared_ptr<const RateLimits>> limits =
      RateLimits::Parse(proto->rate_limits());
  if (!limits.ok()) return limits.status();
  out->limits = *std::move(limits);
  out->domain = proto->domain();
  return std::shared_ptr<const void>(std::move(out));
}

}  // namespace

HttpFilterType RateLimitFilterType() {
  return {"envoy.extensions.filters.http.ratelimit.v3.RateLimit", &Make,
          "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute", &ParseRoute};
}

}  // namespace remora
