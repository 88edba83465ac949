// envoy.filters.http.adaptive_concurrency: as many requests at once as the latency says can be
// served, found by the ratio of the least latency to that of now (Envoy's gradient controller,
// after Netflix's concurrency-limits).
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.pb.h"
#include "filters/makers.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::adaptive_concurrency::v3;

enum Stat : uint32_t {
  kBlocked,
  kBurstQueue,
  kLimit,
  kGradient,
  kCalculating,
  kLeastRtt,
  kSampleRtt,
  kStatCount,
};
constexpr FilterStat kStats[] = {{"rq_blocked"},
                                 {"burst_queue_size", true},
                                 {"concurrency_limit", true},
                                 {"gradient", true},
                                 {"min_rtt_calculation_active", true},
                                 {"min_rtt_msecs", true},
                                 {"sample_rtt_msecs", true}};
constexpr int64_t kMillisecond = 1000000;

// Latencies in microseconds, in buckets that grow by an eighth.
class Latencies {
 public:
  void Add(int64_t us) {
    cells_[Index(us)].fetch_add(1, std::memory_order_relaxed);
    count_.fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  // The latency below which that share of the samples lies; and none are left.
  int64_t TakeQuantile(double share) {
    std::array<uint64_t, kCells> taken;
    uint64_t total = 0;
    for (size_t i = 0; i < kCells; ++i) {
      taken[i] = cells_[i].exchange(0, std::memory_order_relaxed);
      total += taken[i];
    }
    count_.store(0, std::memory_order_relaxed);
    const double wanted = share * static_cast<double>(total);
    uint64_t seen = 0;
    for (size_t i = 0; i < kCells; ++i) {
      seen += taken[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) return Value(i);
    }
    return 0;
  }

 private:
  static constexpr size_t kCells = 8 * 40;
  static size_t Index(int64_t us) {
    if (us <= 1) return 0;
    const double index = std::log2(static_cast<double>(us)) * 8;
    return std::min(static_cast<size_t>(index), kCells - 1);
  }
  static int64_t Value(size_t index) {
    return static_cast<int64_t>(std::exp2(static_cast<double>(index) / 8));
  }

  std::array<std::atomic<uint64_t>, kCells> cells_ = {};
  std::atomic<uint64_t> count_{0};
};

struct Settings {
  bool enabled = true;
  std::string enabled_key;
  double percentile = 0.5;
  uint32_t most = 1000;
  uint32_t least = 3;
  int64_t update_ns = 0;
  int64_t rtt_interval_ns = 0;  // 0: the least latency is fixed
  int64_t fixed_rtt_us = 0;
  uint32_t rtt_requests = 50;
  double jitter = 0.15;
  uint32_t rtt_concurrency = 3;
  double buffer = 0.25;
  int status = 503;
};

// The limit of all workers together. Whoever finds an update due makes it; others go on meanwhile.
class Controller {
 public:
  explicit Controller(const Settings& settings) : settings_(settings) {
    if (settings.fixed_rtt_us != 0) {
      least_rtt_us_ = settings.fixed_rtt_us;
      limit_ = settings.least;
    } else {
      limit_ = settings.rtt_concurrency;
      calculating_ = true;
    }
  }

  bool Admit() {
    uint32_t active = active_.load(std::memory_order_relaxed);
    do {
      if (active >= limit_.load(std::memory_order_relaxed)) return false;
    } while (!active_.compare_exchange_weak(active, active + 1, std::memory_order_relaxed));
    return true;
  }
  void Leave() { active_.fetch_sub(1, std::memory_order_relaxed); }
  void Sample(int64_t us) { latencies_.Add(us); }

  void Update(FilterContext& context) {
    if (busy_.test_and_set(std::memory_order_acquire)) return;
    const int64_t now = context.now_ns();
    if (calculating_) {
      if (latencies_.count() >= settings_.rtt_requests) EndCalculation(context, now);
    } else if (settings_.rtt_interval_ns != 0 && now >= next_rtt_ns_) {
      BeginCalculation();
    } else if (now >= next_update_ns_) {
      next_update_ns_ = now + settings_.update_ns;
      if (latencies_.count() != 0) NewLimit();
    }
    Show(context);
    busy_.clear(std::memory_order_release);
  }

 private:
  void BeginCalculation() {
    calculating_ = true;
    deferred_limit_ = limit_.load(std::memory_order_relaxed);
    limit_.store(std::min(deferred_limit_, settings_.rtt_concurrency), std::memory_order_relaxed);
    latencies_.TakeQuantile(1);
  }
  void EndCalculation(FilterContext& context, int64_t now) {
    calculating_ = false;
    least_rtt_us_ = latencies_.TakeQuantile(settings_.percentile);
    if (deferred_limit_ != 0) limit_.store(deferred_limit_, std::memory_order_relaxed);
    const double share = static_cast<double>(context.random() % 1000) / 1000 * settings_.jitter;
    next_rtt_ns_ =
        now + static_cast<int64_t>(static_cast<double>(settings_.rtt_interval_ns) * (1 + share));
    next_update_ns_ = now + settings_.update_ns;
  }
  void NewLimit() {
    sample_rtt_us_ = latencies_.TakeQuantile(settings_.percentile);
    const auto least = static_cast<double>(least_rtt_us_);
    const double raw =
        least * (1 + settings_.buffer) / static_cast<double>(std::max<int64_t>(sample_rtt_us_, 1));
    gradient_ = std::clamp(raw, 0.5, 2.0);
    const double limit = limit_.load(std::memory_order_relaxed) * gradient_;
    burst_ = std::sqrt(limit);
    limit_.store(
        static_cast<uint32_t>(std::clamp<double>(limit + burst_, settings_.least, settings_.most)),
        std::memory_order_relaxed);
  }
  // Gauges of all workers: setting is adding the difference.
  void Show(FilterContext& context) {
    const int64_t values[kStatCount] = {0,
                                        static_cast<int64_t>(burst_),
                                        limit_.load(std::memory_order_relaxed),
                                        static_cast<int64_t>(gradient_ * 1000),
                                        calculating_ ? 1 : 0,
                                        least_rtt_us_ / 1000,
                                        sample_rtt_us_ / 1000};
    for (uint32_t i = kBurstQueue; i < kStatCount; ++i) {
      if (values[i] != shown_[i]) context.Count(i, values[i] - std::exchange(shown_[i], values[i]));
    }
  }

  const Settings& settings_;
  Latencies latencies_;
  std::atomic<uint32_t> active_{0};
  std::atomic<uint32_t> limit_{0};
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  // What is below belongs to whoever holds the flag.
  bool calculating_ = false;
  uint32_t deferred_limit_ = 0;
  int64_t next_rtt_ns_ = 0;
  int64_t next_update_ns_ = 0;
  int64_t least_rtt_us_ = 0;
  int64_t sample_rtt_us_ = 0;
  double gradient_ = 0;
  double burst_ = 0;
  int64_t shown_[kStatCount] = {};
};

class AdaptiveConcurrencyFilter final : public HttpFilter {
 public:
  AdaptiveConcurrencyFilter(const Settings* settings, Controller* controller)
      : settings_(settings), controller_(controller) {}

  Verdict OnRequestHeaders(Headers&, bool) override {
    const Runtime* runtime = context_->runtime();
    const bool on = runtime == nullptr || settings_->enabled_key.empty()
                        ? settings_->enabled
                        : runtime->Boolean(settings_->enabled_key, settings_->enabled);
    if (!on || context_->info().health_check) return Verdict::kContinue;
    controller_->Update(*context_);
    if (controller_->Admit()) {
      admitted_ = true;
      begun_ns_ = context_->now_ns();
      return Verdict::kContinue;
    }
    context_->Count(kBlocked);
    LocalReply reply;
    reply.status = settings_->status;
    reply.body = "reached concurrency limit";
    reply.details = "reached_concurrency_limit";
    context_->Reply(reply);
    return Verdict::kReplied;
  }
  Verdict OnResponseHeaders(Headers&, bool end) override {
    if (end) Complete();
    return Verdict::kContinue;
  }
  Verdict OnResponseBody(Body&, bool end) override {
    if (end) Complete();
    return Verdict::kContinue;
  }
  Verdict OnResponseTrailers(Headers&) override {
    Complete();
    return Verdict::kContinue;
  }
  void OnEnd() override {
    if (std::exchange(admitted_, false)) controller_->Leave();
  }

 private:
  void Complete() {
    if (!std::exchange(admitted_, false)) return;
    controller_->Leave();
    controller_->Sample((context_->now_ns() - begun_ns_) / 1000);
    controller_->Update(*context_);
  }

  const Settings* settings_;
  Controller* controller_;
  int64_t begun_ns_ = 0;
  bool admitted_ = false;
};

class AdaptiveConcurrencyFactory final : public FilterFactory {
 public:
  explicit AdaptiveConcurrencyFactory(Settings settings)
      : settings_(std::move(settings)), controller_(std::make_unique<Controller>(settings_)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(AdaptiveConcurrencyFilter)))
        AdaptiveConcurrencyFilter(&settings_, controller_.get());
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override {
    return "adaptive_concurrency.gradient_controller.";
  }

 private:
  Settings settings_;
  std::unique_ptr<Controller> controller_;
};

int64_t Nanoseconds(const google::protobuf::Duration& proto) {
  return proto.seconds() * 1000 * kMillisecond + proto.nanos();
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::AdaptiveConcurrency> proto = DecodeConfig<pb::AdaptiveConcurrency>(config);
  if (!proto.ok()) return proto.status();
  Settings out;
  if (proto->has_enabled()) {
    out.enabled = proto->enabled().default_value().value();
    out.enabled_key = proto->enabled().runtime_key();
  }
  const auto& gradient = proto->gradient_controller_config();
  if (gradient.has_sample_aggregate_percentile()) {
    out.percentile = gradient.sample_aggregate_percentile().value() / 100;
  }
  const auto& limit = gradient.concurrency_limit_params();
  if (limit.has_max_concurrency_limit()) out.most = limit.max_concurrency_limit().value();
  if (limit.has_min_concurrency_limit()) out.least = limit.min_concurrency_limit().value();
  out.update_ns = Nanoseconds(limit.concurrency_update_interval());
  const auto& rtt = gradient.min_rtt_calc_params();
  out.rtt_interval_ns = Nanoseconds(rtt.interval());
  out.fixed_rtt_us = Nanoseconds(rtt.fixed_value()) / 1000;
  if (out.rtt_interval_ns == 0 && out.fixed_rtt_us == 0) {
    return absl::InvalidArgumentError(
        "adaptive_concurrency: neither `concurrency_update_interval` nor `fixed_value` set");
  }
  if (rtt.has_request_count()) out.rtt_requests = rtt.request_count().value();
  if (rtt.has_jitter()) out.jitter = rtt.jitter().value() / 100;
  if (rtt.has_min_concurrency()) out.rtt_concurrency = rtt.min_concurrency().value();
  if (rtt.has_buffer()) out.buffer = rtt.buffer().value() / 100;
  const int status = static_cast<int>(proto->concurrency_limit_exceeded_status().code());
  if (status >= 400) out.status = status;
  return std::make_shared<AdaptiveConcurrencyFactory>(std::move(out));
}

}  // namespace

HttpFilterType AdaptiveConcurrencyFilterType() {
  return {"envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency",
          &Make,
          {},
          nullptr};
}

}  // namespace remora
