// envoy.filters.http.local_ratelimit: so many requests in a time, counted in this process.
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb.h"
#include "filters/header_edits.h"
#include "filters/local_limits.h"
#include "filters/makers.h"
#include "filters/rate_limits.h"
#include "filters/runtime.h"
#include "filters/token_bucket.h"
#include "filters/typed_config.h"
#include "filters/x_ratelimit.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::local_ratelimit::v3;

enum Stat : uint32_t { kEnabled, kEnforced, kOk, kRateLimited, kShadowMode };
constexpr FilterStat kStats[] = {
    {"enabled"}, {"enforced"}, {"ok"}, {"rate_limited"}, {"shadow_mode"}};

struct Settings {
  std::string stat_prefix;
  int status = 429;
  bool resource_exhausted = false;
  enum class VirtualHost { kOverride, kInclude, kIgnore };
  std::unique_ptr<LocalLimits> limits;
  std::optional<BucketSize> per_connection;  // then each connection has a bucket of this size
  std::shared_ptr<const RateLimits> rules;   // in place of the route's; null: the route's
  uint32_t stage = 0;
  VirtualHost virtual_host = VirtualHost::kOverride;
  bool x_ratelimit = false;
  bool retry_after = false;
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
    result_ = Take(headers);
    asked_ = true;
    if (result_.allowed) {
      context_->Count(kOk);
      return Verdict::kContinue;
    }
    context_->Count(kRateLimited);
    if (result_.shadow) {
      context_->Count(kShadowMode);
      return Verdict::kContinue;
    }
    if (!settings_->enforced.Includes(context_->runtime(), context_->random())) {
      settings_->request_headers.Apply(context_->info(), headers);
      return Verdict::kContinue;
    }
    context_->Count(kEnforced);
    Refuse();
    return Verdict::kReplied;
  }

  Verdict OnResponseHeaders(Headers& headers, bool) override {
    if (!refused_) Tell(headers);
    return Verdict::kContinue;
  }

 private:
  LocalLimits::Result Take(const Headers& headers) {
    if (settings_->per_connection) {
      TokenBucket& bucket = ConnectionBucket();
      return {bucket.Take(context_->now_ns()), false, &bucket, settings_->per_connection->most};
    }
    std::vector<RateLimitDescriptor> descriptors;
    Describe(headers, &descriptors);
    return settings_->limits->Take(descriptors, context_->now_ns());
  }

  void Describe(const Headers& headers, std::vector<RateLimitDescriptor>* out) {
    const auto add = [&](const RateLimits* rules) {
      if (rules != nullptr) rules->Describe(settings_->stage, false, *context_, headers, out);
    };
    if (settings_->rules != nullptr) return add(settings_->rules.get());
    const RouteRateLimits levels = context_->rate_limits();
    add(levels.route);
    using VirtualHost = Settings::VirtualHost;
    const bool include =
        levels.include_virtual_host || settings_->virtual_host == VirtualHost::kInclude;
    const bool instead =
        settings_->virtual_host == VirtualHost::kOverride && levels.route == nullptr;
    if (include || instead) add(levels.virtual_host);
  }

  // Of this connection, which is this thread's. Those of connections long gone make room.
  TokenBucket& ConnectionBucket() {
    constexpr size_t kMost = 1 << 16;
    using Key = std::pair<uint64_t, const Settings*>;
    thread_local absl::node_hash_map<Key, TokenBucket> buckets;
    thread_local std::deque<Key> order;
    const ConnectionInfo* connection = context_->info().downstream;
    const Key key{connection == nullptr ? 0 : connection->id, settings_};
    const BucketSize& size = *settings_->per_connection;
    const auto [found, added] =
        buckets.try_emplace(key, size.most, size.per_fill, size.interval_ns);
    if (added) order.push_back(key);
    if (order.size() > kMost) {
      buckets.erase(order.front());
      order.pop_front();
    }
    return found->second;
  }

  void Tell(Headers& headers) {
    using Choice = RateLimitDescriptor::Headers;
    if (!asked_ || result_.bucket == nullptr) return;
    constexpr int64_t kSecond = 1000000000;
    const int64_t now = context_->now_ns();
    const int64_t wait = (result_.bucket->NextTokenNs(now) + kSecond - 1) / kSecond;
    const bool tells = result_.headers == Choice::kDefault ? settings_->x_ratelimit
                                                           : result_.headers == Choice::kDraft03;
    if (tells) {
      AddRateLimitHeaders(
          {{result_.most, 0, "", result_.bucket->Tokens(now), static_cast<uint64_t>(wait)}},
          headers);
    }
    if (refused_ && settings_->retry_after && wait > 0) {
      headers.Set(HeaderId::kRetryAfter, absl::AlphaNum(wait).Piece());
    }
  }

  void Refuse() {
    refused_ = true;
    context_->info().flags.Add(ResponseFlag::kRateLimited);
    LocalReply reply;
    reply.status = settings_->status;
    reply.body = "local_rate_limited";
    reply.details = "local_rate_limited";
    reply.grpc_status = settings_->resource_exhausted ? kResourceExhausted : kUnavailable;
    reply.edit = [this](Headers& headers) {
      Tell(headers);
      settings_->response_headers.Apply(context_->info(), headers);
    };
    context_->Reply(reply);
  }

  const Settings* settings_;
  LocalLimits::Result result_;
  bool asked_ = false;
  bool refused_ = false;
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

absl::Status ReadLimits(const pb::LocalRateLimit& proto, Settings* out) {
  if (proto.has_local_cluster_rate_limit()) {
    return NotSupported("local_ratelimit", "local_cluster_rate_limit");
  }
  std::optional<BucketSize> common;
  if (proto.has_token_bucket()) {
    absl::StatusOr<BucketSize> size = BucketSize::Parse(proto.token_bucket());
    if (!size.ok()) return size.status();
    common = *size;
  }
  if (proto.local_rate_limit_per_downstream_connection()) out->per_connection = common;
  constexpr uint32_t kMostOpen = 20;
  absl::StatusOr<std::unique_ptr<LocalLimits>> limits = LocalLimits::Make(
      common,
      !proto.has_always_consume_default_token_bucket() ||
          proto.always_consume_default_token_bucket().value(),
      proto.descriptors(),
      proto.has_max_dynamic_descriptors() ? proto.max_dynamic_descriptors().value() : kMostOpen);
  if (!limits.ok()) return limits.status();
  out->limits = *std::move(limits);
  absl::StatusOr<std::shared_ptr<const RateLimits>> rules = RateLimits::Parse(proto.rate_limits());
  if (!rules.ok()) return rules.status();
  out->rules = *std::move(rules);
  out->stage = proto.stage();
  namespace common_pb = envoy::extensions::common::ratelimit::v3;
  if (proto.vh_rate_limits() == common_pb::INCLUDE) {
    out->virtual_host = Settings::VirtualHost::kInclude;
  } else if (proto.vh_rate_limits() == common_pb::IGNORE) {
    out->virtual_host = Settings::VirtualHost::kIgnore;
  }
  out->x_ratelimit = proto.enable_x_ratelimit_headers() == common_pb::DRAFT_VERSION_03;
  out->retry_after = proto.enable_retry_after_header();
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
  auto out = std::make_shared<Settings>();
  if (absl::Status status = ReadLimits(*proto, out.get()); !status.ok()) return status;
  out->stat_prefix = proto->stat_prefix();
  // Only errors may be answered; other statuses fall back to 429.
  const int status = static_cast<int>(proto->status().code());
  if (status >= 400) out->status = status;
  out->resource_exhausted = proto->rate_limited_as_resource_exhausted();
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
