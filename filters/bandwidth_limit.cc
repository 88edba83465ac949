// envoy.filters.http.bandwidth_limit: so many bytes a second, each way.
#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/bandwidth_limit/v3/bandwidth_limit.pb.h"
#include "filters/makers.h"
#include "filters/runtime.h"
#include "filters/token_bucket.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::bandwidth_limit::v3;

// Of one direction; the other's follow.
enum Stat : uint32_t {
  kEnabled,
  kEnforced,
  kPending,
  kIncomingSize,
  kIncomingTotal,
  kAllowedSize,
  kAllowedTotal,
  kDuration,
  kOfDirection,
};
constexpr FilterStat kStats[] = {{"request_enabled"},
                                 {"request_enforced"},
                                 {"request_pending", true},
                                 {"request_incoming_size", true},
                                 {"request_incoming_total_size"},
                                 {"request_allowed_size", true},
                                 {"request_allowed_total_size"},
                                 {"request_transfer_duration", false, true},
                                 {"response_enabled"},
                                 {"response_enforced"},
                                 {"response_pending", true},
                                 {"response_incoming_size", true},
                                 {"response_incoming_total_size"},
                                 {"response_allowed_size", true},
                                 {"response_allowed_total_size"},
                                 {"response_transfer_duration", false, true}};
constexpr int64_t kMillisecond = 1000000;
constexpr int64_t kSecond = 1000 * kMillisecond;
constexpr int64_t kDefaultInterval = 50 * kMillisecond;

struct Settings {
  std::string prefix;  // "NAME.http_bandwidth_limit."
  bool of_request = false;
  bool of_response = false;
  int64_t interval_ns = kDefaultInterval;
  uint64_t slice_bytes = 0;             // of one interval
  std::unique_ptr<TokenBucket> bucket;  // a token is a slice
  bool enabled = true;
  std::string enabled_key;
  bool trailers = false;
  std::string trailer_names[4];  // request: delay, delay here; response: the same
  // The sizes last seen, of all workers: gauges are set, which is adding the difference.
  mutable std::atomic<int64_t> last[2 * kOfDirection] = {};
  mutable std::atomic<bool> announced{false};  // a route's numbers are shown once it is used

  bool IsOn(const Runtime* runtime) const {
    return runtime == nullptr || enabled_key.empty() ? enabled
                                                     : runtime->Boolean(enabled_key, enabled);
  }
};

// One direction of one exchange.
struct Flow {
  bool limited = false;
  bool ended = false;    // all of the body is there
  bool waiting = false;  // the end (or the trailers) wait for the body to be gone
  Body kept;
  int64_t since_ns = 0;  // 0: nothing came
  int64_t taken_ns = 0;  // when all was gone
  int64_t slices = 0;    // that had to wait
};

class BandwidthLimitFilter final : public HttpFilter {
 public:
  explicit BandwidthLimitFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers&, bool) override {
    if (const void* route = context_->route_config()) {
      settings_ = static_cast<const Settings*>(route);
      of_route_ = true;
      if (!settings_->announced.exchange(true, std::memory_order_relaxed)) {
        for (uint32_t i = 0; i < std::size(kStats); ++i) {
          if (!kStats[i].histogram) Count(i, 0);
        }
      }
    }
    Begin(request_, settings_->of_request, 0);
    return Verdict::kContinue;
  }
  Verdict OnRequestBody(Body& body, bool end) override { return Take(request_, body, end, 0); }
  Verdict OnRequestTrailers(Headers&) override { return Trailers(request_, 0); }
  Verdict OnResponseHeaders(Headers&, bool) override {
    Begin(response_, settings_->of_response, kOfDirection);
    return Verdict::kContinue;
  }
  Verdict OnResponseBody(Body& body, bool end) override {
    if (response_.limited && end && settings_->trailers) {
      trailers_ = &context_->AddResponseTrailers();
    }
    return Take(response_, body, end, kOfDirection);
  }
  Verdict OnResponseTrailers(Headers& trailers) override {
    if (settings_->trailers) trailers_ = &trailers;
    return Trailers(response_, kOfDirection);
  }
  void OnTimer() override;
  void OnEnd() override {
    over_ = true;
    for (Flow* flow : {&request_, &response_}) {
      if (flow->since_ns != 0 && flow->taken_ns == 0) {
        Count(flow == &request_ ? kPending : kOfDirection + kPending, -1);
      }
    }
  }

 private:
  void Begin(Flow& flow, bool wanted, uint32_t stats) {
    flow.limited = wanted && settings_->IsOn(context_->runtime());
    if (flow.limited) Count(stats + kEnabled, 1);
  }
  Verdict Take(Flow& flow, Body& body, bool end, uint32_t stats);
  Verdict Trailers(Flow& flow, uint32_t stats);
  // Hands on what the bucket allows. True when bytes are left.
  bool Release(Flow& flow, uint32_t stats);
  void Finish(Flow& flow, uint32_t stats);
  void AddTrailers();
  void Hold(Flow& flow) {
    const bool request = &flow == &request_;
    const uint64_t most =
        request ? context_->request_buffer_limit() : context_->response_buffer_limit();
    const bool full = most != 0 && flow.kept.size() > most;
    request ? context_->HoldRequest(full) : context_->HoldResponse(full);
  }
  void Count(uint32_t stat, int64_t amount) {
    if (!of_route_) return context_->Count(stat, amount);
    context_->CountNamed(absl::StrCat(settings_->prefix, kStats[stat].name), amount);
  }
  void SetGauge(uint32_t stat, uint64_t value) {
    const auto now = static_cast<int64_t>(value);
    Count(stat, now - settings_->last[stat].exchange(now, std::memory_order_relaxed));
  }
  void Schedule(int64_t delay_ns) {
    if (std::exchange(scheduled_, true)) return;
    context_->StartTimer(delay_ns);
  }

  const Settings* settings_;
  Flow request_;
  Flow response_;
  Headers* trailers_ = nullptr;
  bool of_route_ = false;
  bool scheduled_ = false;
  bool over_ = false;
};

Verdict BandwidthLimitFilter::Take(Flow& flow, Body& body, bool end, uint32_t stats) {
  if (!flow.limited) return Verdict::kContinue;
  if (flow.since_ns == 0) {
    flow.since_ns = context_->now_ns();
    Count(stats + kPending, 1);
  }
  SetGauge(stats + kIncomingSize, body.size());
  Count(stats + kIncomingTotal, static_cast<int64_t>(body.size()));
  flow.kept.Append(body);
  flow.ended = end;
  flow.waiting = end;
  Hold(flow);
  settings_->bucket->StartWith(1, context_->now_ns());
  Schedule(0);
  return Verdict::kBuffer;
}

Verdict BandwidthLimitFilter::Trailers(Flow& flow, uint32_t stats) {
  if (!flow.limited) return Verdict::kContinue;
  if (flow.kept.empty()) {
    Finish(flow, stats);
    return Verdict::kContinue;
  }
  flow.waiting = true;
  return Verdict::kBuffer;
}

bool BandwidthLimitFilter::Release(Flow& flow, uint32_t stats) {
  const uint64_t slice = settings_->slice_bytes;
  const uint64_t wanted = (flow.kept.size() + slice - 1) / slice;
  uint64_t got = 0;
  while (got < wanted && settings_->bucket->Take(context_->now_ns())) ++got;
  Body allowed;
  allowed.Append(flow.kept, std::min<uint64_t>(got * slice, flow.kept.size()));
  SetGauge(stats + kAllowedSize, allowed.size());
  Count(stats + kAllowedTotal, static_cast<int64_t>(allowed.size()));
  const bool left = !flow.kept.empty();
  if (left) {
    ++flow.slices;
    Count(stats + kEnforced, 1);
  }
  Hold(flow);
  if (allowed.empty()) return left;
  stats == 0 ? context_->InjectRequest(allowed) : context_->InjectResponse(allowed);
  return left;
}

void BandwidthLimitFilter::Finish(Flow& flow, uint32_t stats) {
  flow.waiting = false;
  if (flow.since_ns == 0 || flow.taken_ns != 0) return;
  flow.taken_ns = context_->now_ns();
  Count(stats + kPending, -1);
  const auto taken = static_cast<uint64_t>((flow.taken_ns - flow.since_ns) / kMillisecond);
  if (of_route_) {
    context_->RecordNamed(absl::StrCat(settings_->prefix, kStats[stats + kDuration].name), taken);
  } else {
    context_->Record(stats + kDuration, taken);
  }
  if (stats != 0) AddTrailers();
}

void BandwidthLimitFilter::AddTrailers() {
  if (trailers_ == nullptr) return;
  const auto add = [this](const std::string& name, int64_t ms) {
    if (ms > 0) trailers_->Set(name, absl::AlphaNum(ms).Piece());
  };
  int index = 0;
  for (const Flow* flow : {&request_, &response_}) {
    const int64_t here = flow->slices * settings_->interval_ns / kMillisecond;
    const bool delayed = here > 0;
    add(settings_->trailer_names[index++],
        delayed ? (flow->taken_ns - flow->since_ns) / kMillisecond : 0);
    add(settings_->trailer_names[index++], here);
  }
}

void BandwidthLimitFilter::OnTimer() {
  scheduled_ = false;
  bool again = false;
  for (Flow* flow : {&request_, &response_}) {
    const uint32_t stats = flow == &request_ ? 0 : static_cast<uint32_t>(kOfDirection);
    if (!flow->kept.empty()) again = Release(*flow, stats) || again;
    if (over_) return;
    if (!flow->kept.empty() || !flow->waiting) continue;
    Finish(*flow, stats);
    stats == 0 ? context_->ResumeRequest() : context_->ResumeResponse();
    if (over_) return;
  }
  if (again) Schedule(settings_->interval_ns);
}

class BandwidthLimitFactory final : public FilterFactory {
 public:
  explicit BandwidthLimitFactory(std::shared_ptr<const Settings> settings)
      : settings_(std::move(settings)), prefix_("." + settings_->prefix) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(BandwidthLimitFilter))) BandwidthLimitFilter(settings_.get());
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return prefix_; }

 private:
  std::shared_ptr<const Settings> settings_;
  std::string prefix_;
};

absl::StatusOr<std::shared_ptr<const Settings>> ParseSettings(absl::string_view config,
                                                              bool of_route) {
  absl::StatusOr<pb::BandwidthLimit> proto = DecodeConfig<pb::BandwidthLimit>(config);
  if (!proto.ok()) return proto.status();
  if (of_route && !proto->has_limit_kbps()) {
    return absl::InvalidArgumentError("limit must be set for per route filter config");
  }
  auto out = std::make_shared<Settings>();
  out->prefix = absl::StrCat(proto->stat_prefix(), ".http_bandwidth_limit.");
  const auto mode = proto->enable_mode();
  out->of_request =
      mode == pb::BandwidthLimit::REQUEST || mode == pb::BandwidthLimit::REQUEST_AND_RESPONSE;
  out->of_response =
      mode == pb::BandwidthLimit::RESPONSE || mode == pb::BandwidthLimit::REQUEST_AND_RESPONSE;
  if (proto->has_fill_interval()) {
    out->interval_ns = proto->fill_interval().seconds() * kSecond + proto->fill_interval().nanos();
  }
  out->interval_ns = std::clamp(out->interval_ns, 20 * kMillisecond, kSecond);
  // Without a limit nothing is held back.
  const uint64_t rate = proto->has_limit_kbps() ? proto->limit_kbps().value() * 1024 : UINT32_MAX;
  const auto slices = static_cast<uint64_t>(kSecond / out->interval_ns);
  out->slice_bytes = std::max<uint64_t>(rate / slices, 1);
  out->bucket = std::make_unique<TokenBucket>(slices, slices, kSecond);
  if (proto->has_runtime_enabled()) {
    out->enabled = proto->runtime_enabled().default_value().value();
    out->enabled_key = proto->runtime_enabled().runtime_key();
  }
  out->trailers = proto->enable_response_trailers();
  const std::string& own = proto->response_trailer_prefix();
  const std::string before = own.empty() ? "" : own + "-";
  int index = 0;
  for (const char* direction : {"request", "response"}) {
    for (const char* which : {"delay-ms", "filter-delay-ms"}) {
      out->trailer_names[index++] = absl::StrCat(before, "bandwidth-", direction, "-", which);
    }
  }
  return std::shared_ptr<const Settings>(std::move(out));
}

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config, false);
  if (!settings.ok()) return settings.status();
  return std::make_shared<BandwidthLimitFactory>(*std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> ParseRoute(absl::string_view config) {
  absl::StatusOr<std::shared_ptr<const Settings>> settings = ParseSettings(config, true);
  if (!settings.ok()) return settings.status();
  return std::shared_ptr<const void>(*std::move(settings));
}

}  // namespace

HttpFilterType BandwidthLimitFilterType() {
  return {"envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit", &Make,
          "envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit", &ParseRoute};
}

}  // namespace remora
