// envoy.filters.network.local_ratelimit: so many new connections in a time, counted in this
// process.
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/stream/network_makers.h"
#include "proxy/stream/network_runtime.h"
#include "proxy/stream/token_buckets.h"

namespace remora::proxy {
namespace {

enum class Stat { kRateLimited };
constexpr StatDef kStats[] = {{"rate_limited", StatKind::kCounter}};

struct Settings {
  std::shared_ptr<const xds::NetworkRateLimit> config;
  std::shared_ptr<TokenBucket> bucket;
  const StatBlock* stats;
};

class RateLimitFilter final : public NetworkFilter {
 public:
  RateLimitFilter(NetworkChain& chain, const Settings& settings)
      : chain_(chain), settings_(settings) {}

  Verdict OnNewConnection() override {
    HttpWorker& worker = chain_.worker();
    if (!IsOn(settings_.config->enabled, worker)) return Verdict::kContinue;
    if (settings_.bucket->Take(worker.loop().now_ns())) return Verdict::kContinue;
    StatScope<Stat>(worker.stats().Cells(*settings_.stats)).Add(Stat::kRateLimited);
    chain_.info().flags.Add(ResponseFlag::kUpstreamRetryLimitExceeded);
    chain_.Close("local_ratelimit_close_over_limit");
    return Verdict::kStop;
  }

 private:
  NetworkChain& chain_;
  const Settings& settings_;
};

class RateLimitFactory final : public NetworkFilterFactory {
 public:
  explicit RateLimitFactory(Settings settings) : settings_(std::move(settings)) {}
  std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const override {
    return std::make_unique<RateLimitFilter>(chain, settings_);
  }

 private:
  Settings settings_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeNetworkRateLimit(
    std::shared_ptr<const xds::NetworkSettings> settings, const NetworkFactoryInput& input) {
  Settings out;
  out.config = std::static_pointer_cast<const xds::NetworkRateLimit>(std::move(settings));
  const xds::NetworkRateLimit& config = *out.config;
  out.bucket = input.buckets->Get(config.share_key, config.max_tokens, config.tokens_per_fill,
                                  config.fill_interval);
  out.stats =
      input.stats->Register(absl::StrCat("local_rate_limit.", config.stat_prefix, "."), kStats);
  return std::make_shared<RateLimitFactory>(std::move(out));
}

}  // namespace remora::proxy
