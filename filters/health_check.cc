// envoy.filters.http.health_check: answers the load balancer in front, or lets the upstream answer
// and remembers it, and tells clients when this server is about to leave.
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "envoy/extensions/filters/http/health_check/v3/health_check.pb.h"
#include "filters/api/cluster_health.h"
#include "filters/makers.h"
#include "filters/matchers.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::health_check::v3;

struct Settings {
  bool pass_through = false;
  int64_t cache_ns = 0;
  std::vector<HeaderMatcher> headers;
  // Percent of a cluster's hosts that must be usable.
  std::map<std::string, double> least_usable;
  // The last answer of the upstream and until when it counts; shared by all workers.
  mutable std::atomic<int> cached_status{0};
  mutable std::atomic<bool> cached_degraded{false};
  mutable std::atomic<int64_t> cached_until_ns{0};
};

class HealthCheckFilter final : public HttpFilter {
 public:
  explicit HealthCheckFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers& headers, bool end) override {
    if (!MatchAll(settings_->headers, headers)) return Verdict::kContinue;
    checking_ = true;
    context_->info().health_check = true;
    answering_ = !settings_->pass_through || context_->server_failing() || HasCached();
    if (!answering_) return Verdict::kContinue;
    if (!end) return Verdict::kBuffer;
    Answer();
    return Verdict::kReplied;
  }

  Verdict OnRequestBody(Body& body, bool end) override {
    if (!answering_) return Verdict::kContinue;
    body.Clear();
    if (!end) return Verdict::kBuffer;
    Answer();
    return Verdict::kReplied;
  }

  Verdict OnRequestTrailers(Headers&) override {
    if (!answering_) return Verdict::kContinue;
    Answer();
    return Verdict::kReplied;
  }

  Verdict OnResponseHeaders(Headers& headers, bool) override {
    if (checking_) {
      if (settings_->cache_ns > 0 && !answering_) Remember(headers);
      headers.Set(HeaderId::kXEnvoyUpstreamHealthcheckedCluster, context_->local_cluster_name());
    }
    if (context_->server_failing()) {
      headers.SetReference(HeaderId::kXEnvoyImmediateHealthCheckFail, "true");
    }
    return Verdict::kContinue;
  }

 private:
  bool HasCached() const {
    return settings_->cache_ns > 0 &&
           context_->now_ns() < settings_->cached_until_ns.load(std::memory_order_relaxed);
  }

  void Remember(const Headers& headers) {
    settings_->cached_status.store(headers.status(), std::memory_order_relaxed);
    settings_->cached_degraded.store(headers.Has(HeaderId::kXEnvoyDegraded),
                                     std::memory_order_relaxed);
    settings_->cached_until_ns.store(context_->now_ns() + settings_->cache_ns,
                                     std::memory_order_relaxed);
  }

  // Why a cluster that is answered for cannot serve; "" when all can.
  absl::string_view FindLacking() const {
    const auto* health = dynamic_cast<const ClusterHealth*>(context_);
    for (const auto& [name, percent] : settings_->least_usable) {
      const auto hosts = health == nullptr ? std::nullopt : health->HostsOf(name);
      if (!hosts.has_value()) return "health_check_failed_no_cluster_found";
      if (hosts->total == 0) {
        if (percent != 0) return "health_check_failed_cluster_empty";
      } else if (100.0 * static_cast<double>(hosts->usable) <
                 static_cast<double>(hosts->total) * percent) {
        return "health_check_failed_cluster_unhealthy";
      }
    }
    return {};
  }

  void Answer() {
    LocalReply reply;
    bool degraded = false;
    if (context_->server_failing()) {
      context_->info().flags.Add(ResponseFlag::kFailedLocalHealthCheck);
      reply.status = 503;
      reply.details = "health_check_failed";
    } else if (HasCached()) {
      reply.status = settings_->cached_status.load(std::memory_order_relaxed);
      degraded = settings_->cached_degraded.load(std::memory_order_relaxed);
      reply.details = "health_check_cached";
      if (reply.status == 503) context_->info().flags.Add(ResponseFlag::kFailedLocalHealthCheck);
    } else if (const absl::string_view lacking = FindLacking(); !lacking.empty()) {
      context_->info().flags.Add(ResponseFlag::kFailedLocalHealthCheck);
      reply.status = 503;
      reply.details = lacking;
    } else {
      reply.status = 200;
      reply.details = "health_check_ok";
    }
    if (degraded) {
      reply.edit = [](Headers& headers) { headers.AddReference(HeaderId::kXEnvoyDegraded, ""); };
    }
    context_->Reply(reply);
  }

  const Settings* settings_;
  bool checking_ = false;
  bool answering_ = false;
};

class HealthCheckFactory final : public FilterFactory {
 public:
  explicit HealthCheckFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(HealthCheckFilter))) HealthCheckFilter(settings_.get());
  }

 private:
  std::shared_ptr<const Settings> settings_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::HealthCheck> proto = DecodeConfig<pb::HealthCheck>(config);
  if (!proto.ok()) return proto.status();
  auto settings = std::make_shared<Settings>();
  for (const auto& [name, percent] : proto->cluster_min_healthy_percentages()) {
    settings->least_usable.emplace(name, percent.value());
  }
  settings->pass_through = proto->pass_through_mode().value();
  settings->cache_ns = proto->cache_time().seconds() * 1000000000 + proto->cache_time().nanos();
  if (settings->cache_ns > 0 && !settings->pass_through) {
    return absl::InvalidArgumentError(
        "cache_time_ms must not be set when path_through_mode is disabled");
  }
  for (const auto& header : proto->headers()) {
    absl::StatusOr<HeaderMatcher> matcher = HeaderMatcher::Parse(header);
    if (!matcher.ok()) return matcher.status();
    settings->headers.push_back(*std::move(matcher));
  }
  return std::make_shared<HealthCheckFactory>(std::move(settings));
}

}  // namespace

HttpFilterType HealthCheckFilterType() {
  return {"envoy.extensions.filters.http.health_check.v3.HealthCheck", &Make, "", nullptr};
}

}  // namespace remora
