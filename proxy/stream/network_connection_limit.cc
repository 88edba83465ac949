// envoy.filters.network.connection_limit: so many connections of a filter chain at a time.
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/base/timer.h"
#include "proxy/stream/network_makers.h"
#include "proxy/stream/network_runtime.h"

namespace remora::proxy {
namespace {

constexpr absl::string_view kCloseReason = "over_connection_limit";

enum class Stat { kLimited, kActive };
constexpr StatDef kStats[] = {{"limited_connections", StatKind::kCounter},
                              {"active_connections", StatKind::kGauge}};

struct Settings {
  std::shared_ptr<const xds::ConnectionLimit> config;
  const StatBlock* stats;
};

// Connections of one configured filter on all workers.
using Tally = std::atomic<uint64_t>;

class ConnectionLimitFilter final : public NetworkFilter {
 public:
  ConnectionLimitFilter(NetworkChain& chain, const Settings& settings, Tally* open)
      : chain_(chain),
        settings_(settings),
        open_(open),
        stats_(chain.worker().stats().Cells(*settings.stats)),
        delay_timer_(
            &chain.worker().loop().timers(),
            [](void* self) {
              static_cast<ConnectionLimitFilter*>(self)->chain_.Close(kCloseReason);
            },
            this) {}

  Verdict OnNewConnection() override {
    if (!IsOn(settings_.config->enabled, chain_.worker())) return Verdict::kContinue;
    counted_ = true;
    stats_.Add(Stat::kActive);
    // One that waits for its delayed close counts too.
    const uint64_t before = open_->fetch_add(1, std::memory_order_relaxed);
    if (before < settings_.config->max_connections) return Verdict::kContinue;
    stats_.Add(Stat::kLimited);
    const int64_t delay = absl::ToInt64Nanoseconds(settings_.config->delay);
    if (delay > 0) {
      delay_timer_.Start(delay);
    } else {
      chain_.Close(kCloseReason);
    }
    return Verdict::kStop;
  }

  void OnClosed() override {
    delay_timer_.Stop();
    if (!std::exchange(counted_, false)) return;
    stats_.Sub(Stat::kActive);
    open_->fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  NetworkChain& chain_;
  const Settings& settings_;
  Tally* open_;
  StatScope<Stat> stats_;
  Timer delay_timer_;
  bool counted_ = false;
};

class ConnectionLimitFactory final : public NetworkFilterFactory {
 public:
  explicit ConnectionLimitFactory(Settings settings) : settings_(std::move(settings)) {}
  std::unique_ptr<NetworkFilter> Create(NetworkChain& chain) const override {
    return std::make_unique<ConnectionLimitFilter>(chain, settings_, &open_);
  }

 private:
  Settings settings_;
  mutable Tally open_{0};
};

}  // namespace

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> MakeConnectionLimit(
    std::shared_ptr<const xds::NetworkSettings> settings, const NetworkFactoryInput& input) {
  Settings out;
  out.config = std::static_pointer_cast<const xds::ConnectionLimit>(std::move(settings));
  out.stats = input.stats->Register(absl::StrCat("connection_limit.", out.config->stat_prefix, "."),
                                    kStats);
  return std::make_shared<ConnectionLimitFactory>(std::move(out));
}

}  // namespace remora::proxy
