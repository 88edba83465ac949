// envoy.filters.http.local_ratelimit: so many requests in a time, counted in this process.
#include <memory>
#include <string>
#include <utility>

#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "filters/header_edits.h"
#include "filters/makers.h"
#include "filters/runtime.h"
#include "filters/token_bucket.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::local_ratelimit::v3;

enum Stat : uint32_t { kEnabled, kEnforced, kOk, kRateLimited };
constexpr FilterStat kStats[] = {{"enabled"}, {"enforced"}, {"ok"}, {"rate_limited"}};

struct Settings {
  std::string stat_prefix;
  int status = 429;
  bool resource_exhausted = false;
  std::unique_ptr<TokenBucket> bucket;  // null: no limit
  RuntimeFraction enabled;
  RuntimeFraction enforced;
  HeaderEdits response_headers;
  HeaderEdits request_headers;
};

constexpr int kUnavailable = 14;
constexpr int kResourceExhausted = 8;

class LocalRateLimitFilter final : public HttpFilter {
 public:
  explicit LocalRateLimitFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool) override {
    if (const void* route = context_->route_config()) {
      settings_ = static_cast<const Settings*>(route);
    }
    if (!settings_->enabled.Includes(context_->runtime(), context_->random())) {
      return Verdict::kContinue;
    }
    context_->Count(kEnabled);
    if (settings_->bucket == nullptr || settings_->bucket->Take(context_->now_ns())) {
      context_->Count(kOk);
      return Verdict::kContinue;
    }
    context_->Count(kRateLimited);
    if (!settings_->enforced.Includes(context_->runtime(), context_->random())) {
      settings_->request_headers.Apply(context_->info(), headers);
      return Verdict::kContinue;
    }
    context_->Count(kEnforced);
    Refuse();
    return Verdict::kReplied;
  }

 private:
  void Refuse() {
    context_->info().flags.Add(ResponseFlag::kRateLimited);
    LocalReply reply;
    reply.status = settings_->status;
    reply.body = "local_rate_limited";
    reply.details = "local_rate_limited";
    reply.grpc_status = settings_->resource_exhausted ? kResourceExhausted : kUnavailable;
    reply.edit = [this](Headers& headers) {
      settings_->response_headers.Apply(context_->info(), headers);
    };
    context_->Reply(reply);
  }

  const Settings* settings_;
};

class LocalRateLimitFactory final : public FilterFactory {
 public:
  explicit LocalRateLimitFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)),
        prefix_("." + settings_->stat_prefix + ".http_local_rate_limit.") {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(LocalRateLimitFilter))) LocalRateLimitFilter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return prefix_; }

 private:
  std::shared_ptr<const Settings> settings_;
  std::string prefix_;
};

absl::Status CheckSupported(const pb::LocalRateLimit& proto) {
  constexpr absl::string_view kName = "local_ratelimit";
  if (proto.descriptors_size() != 0) return NotSupported(kName, "descriptors");
  if (proto.local_rate_limit_per_downstream_connection()) {
    return NotSupported(kName, "local_rate_limit_per_downstream_connection");
  }
  if (proto.has_local_cluster_rate_limit()) return NotSupported(kName, "local_cluster_rate_limit");
  if (proto.enable_x_ratelimit_headers() != 0) {
    return NotSupported(kName, "enable_x_ratelimit_headers");
  }
  if (proto.rate_limits_size() != 0) return NotSupported(kName, "rate_limits");
  return absl::OkStatus();
}

absl::Status ReadHeaders(const pb::LocalRateLimit& proto, Settings* out) {
  absl::StatusOr<HeaderEdits> response = HeaderEdits::Parse(proto.response_headers_to_add());
  if (!response.ok()) return response.status();
  absl::StatusOr<HeaderEdits> request =
      HeaderEdits::Parse(proto.request_headers_to_add_when_not_enforced());
  if (!request.ok()) return request.status();
  out->response_headers = *std::move(response);
  out->request_headers = *std::move(request);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config) {
  absl::StatusOr<pb::LocalRateLimit> proto = DecodeConfig<pb::LocalRateLimit>(config);
  if (!proto.ok()) return proto.status();
  if (absl::Status status = CheckSupported(*proto); !status.ok()) return status;
  auto out = std::make_shared<Settings>();
  out->stat_prefix = proto->stat_prefix();
  // Only errors may be answered; other statuses fall back to 429.
  const int status = static_cast<int>(proto->status().code());
  if (status >= 400) out->status = status;
  out->resource_exhausted = proto->rate_limited_as_resource_exhausted();
  if (proto->has_token_bucket()) {
    const auto& bucket = proto->token_bucket();
    const int64_t interval =
        bucket.fill_interval().seconds() * 1000000000 + bucket.fill_interval().nanos();
    if (interval < 50000000) {
      return absl::InvalidArgumentError("local rate limit token bucket fill timer must be >= 50ms");
    }
    const uint64_t per_fill = bucket.has_tokens_per_fill() ? bucket.tokens_per_fill().value() : 1;
    out->bucket = std::make_unique<TokenBucket>(bucket.max_tokens(), per_fill, interval);
  }
  out->enabled = RuntimeFraction::From(proto->filter_enabled());
  out->enforced = RuntimeFraction::From(proto->filter_enforced());
  if (absl::Status headers = ReadHeaders(*proto, out.get()); !headers.ok()) return headers;
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::make_shared<LocalRateLimitFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config);
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType LocalRateLimitFilterType() {
  return {"envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", &Make,
          "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", &ParseRoute};
}

}  // namespace remora
