// envoy.filters.http.admission_control: refuses some requests while too many fail, so that what is
// behind can recover (client-side throttling, Google SRE book, "Handling Overload").
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "envoy/extensions/filters/http/admission_control/v3/admission_control.pb.h"
#include "filters/grpc_status.h"
#include "filters/makers.h"
#include "filters/runtime.h"
#include "filters/typed_config.h"

namespace remora {
namespace {

namespace pb = envoy::extensions::filters::http::admission_control::v3;

enum Stat : uint32_t { kRejected, kSuccess, kFailure };
constexpr FilterStat kStats[] = {{"rq_rejected"}, {"rq_success"}, {"rq_failure"}};
constexpr int64_t kSecond = 1000000000;

// What requests came to over the last seconds, of all workers: a ring of buckets of a second each.
class Window {
 public:
  explicit Window(int64_t seconds) : seconds_(std::max<int64_t>(seconds, 1)), ring_(seconds_ + 1) {}

  struct Sum {
    uint64_t total = 0;
    uint64_t good = 0;
  };
  void Add(int64_t now_ns, bool good) {
    Bucket& bucket = At(now_ns / kSecond);
    bucket.total.fetch_add(1, std::memory_order_relaxed);
    if (good) bucket.good.fetch_add(1, std::memory_order_relaxed);
  }
  Sum Total(int64_t now_ns) const {
    Sum out;
    const int64_t now = now_ns / kSecond;
    for (const Bucket& bucket : ring_) {
      const int64_t second = bucket.second.load(std::memory_order_relaxed);
      if (second <= now - seconds_ || second > now) continue;
      out.total += bucket.total.load(std::memory_order_relaxed);
      out.good += bucket.good.load(std::memory_order_relaxed);
    }
    return out;
  }
  int64_t seconds() const { return seconds_; }

 private:
  struct Bucket {
    std::atomic<int64_t> second{-1};
    std::atomic<uint64_t> total{0};
    std::atomic<uint64_t> good{0};
  };
  // The bucket of a second; the first to come empties what was there.
  Bucket& At(int64_t second) {
    Bucket& bucket = ring_[static_cast<size_t>(second) % ring_.size()];
    int64_t before = bucket.second.load(std::memory_order_relaxed);
    if (before != second && bucket.second.compare_exchange_strong(before, second)) {
      bucket.total.store(0, std::memory_order_relaxed);
      bucket.good.store(0, std::memory_order_relaxed);
    }
    return bucket;
  }

  int64_t seconds_;
  std::vector<Bucket> ring_;
};

struct Number {
  double otherwise = 0;
  std::string key;
  double Get(const Runtime* runtime) const {
    return runtime == nullptr || key.empty() ? otherwise : runtime->Number(key, otherwise);
  }
};

struct Settings {
  bool enabled = true;
  std::string enabled_key;
  Number aggression{1, ""};
  Number threshold{95, ""};
  Number most_rejected{80, ""};
  Number least_rate{0, ""};
  std::vector<std::pair<int, int>> good_statuses{{100, 500}};
  // All but those that speak of trouble on the other side.
  std::vector<int> good_grpc{0, 1, 2, 3, 5, 6, 7, 9, 11, 12, 16};
  std::unique_ptr<Window> window;

  bool IsOn(const Runtime* runtime) const {
    return runtime == nullptr || enabled_key.empty() ? enabled
                                                     : runtime->Boolean(enabled_key, enabled);
  }
};

class AdmissionControlFilter final : public HttpFilter {
 public:
  explicit AdmissionControlFilter(const Settings* settings) : settings_(settings) {}

  Verdict OnRequestHeaders(Headers&, bool) override {
    if (!settings_->IsOn(context_->runtime()) || context_->info().health_check) {
      return Verdict::kContinue;
    }
    if (Rejects()) {
      context_->Count(kRejected);
      LocalReply reply;
      reply.status = 503;
      reply.details = "denied_by_admission_control";
      context_->Reply(reply);
      return Verdict::kReplied;
    }
    counts_ = true;
    return Verdict::kContinue;
  }

  Verdict OnResponseHeaders(Headers& headers, bool end) override {
    if (!counts_) return Verdict::kContinue;
    const bool grpc = end ? headers.Has(HeaderId::kGrpcStatus) && IsGrpcRequest(headers)
                          : headers.status() == 200 && IsGrpcRequest(headers);
    if (!grpc) {
      const int status = headers.status();
      Note(absl::c_any_of(settings_->good_statuses, [status](const std::pair<int, int>& range) {
        return status >= range.first && status < range.second;
      }));
    } else if (end) {
      NoteGrpc(headers);
    }
    return Verdict::kContinue;
  }
  Verdict OnResponseTrailers(Headers& trailers) override {
    if (counts_) NoteGrpc(trailers);
    return Verdict::kContinue;
  }
  void OnEnd() override {
    if (counts_) Note(false);
  }

 private:
  bool Rejects() {
    const Runtime* runtime = context_->runtime();
    const Window::Sum sum = settings_->window->Total(context_->now_ns());
    const auto total = static_cast<double>(sum.total);
    const double rate = total / static_cast<double>(settings_->window->seconds());
    if (rate < settings_->least_rate.Get(runtime)) return false;
    const double threshold = std::min(settings_->threshold.Get(runtime), 100.0) / 100;
    double share = (total - static_cast<double>(sum.good) / threshold) / (total + 1);
    const double aggression = std::max(settings_->aggression.Get(runtime), 1.0);
    if (aggression != 1) share = std::pow(std::max(share, 0.0), 1 / aggression);
    share = std::clamp(share, 0.0, settings_->most_rejected.Get(runtime) / 100);
    constexpr uint64_t kAccuracy = 10000;
    return kAccuracy * share > static_cast<double>(context_->random() % kAccuracy);
  }
  void NoteGrpc(const Headers& headers) {
    int status = -1;
    const bool known = absl::SimpleAtoi(headers.Value(HeaderId::kGrpcStatus), &status);
    Note(known && absl::c_linear_search(settings_->good_grpc, status));
  }
  void Note(bool good) {
    counts_ = false;
    context_->Count(good ? kSuccess : kFailure);
    settings_->window->Add(context_->now_ns(), good);
  }

  const Settings* settings_;
  bool counts_ = false;  // and was not counted yet
};

class AdmissionControlFactory final : public FilterFactory {
 public:
  explicit AdmissionControlFactory(Settings settings) : settings_(std::move(settings)) {}
  HttpFilter* Create(Arena& arena) const override {
    return new (arena.Allocate(sizeof(AdmissionControlFilter))) AdmissionControlFilter(&settings_);
  }
  absl::Span<const FilterStat> stats() const override { return kStats; }
  absl::string_view stat_prefix() const override { return "admission_control."; }

 private:
  Settings settings_;
};

absl::StatusOr<std::shared_ptr<const FilterFactory>> Make(absl::string_view config) {
  absl::StatusOr<pb::AdmissionControl> proto = DecodeConfig<pb::AdmissionControl>(config);
  if (!proto.ok()) return proto.status();
  Settings out;
  if (proto->has_enabled()) {
    out.enabled = proto->enabled().default_value().value();
    out.enabled_key = proto->enabled().runtime_key();
  }
  if (proto->has_aggression()) {
    out.aggression = {proto->aggression().default_value(), proto->aggression().runtime_key()};
  }
  if (proto->has_sr_threshold()) {
    out.threshold = {proto->sr_threshold().default_value().value(),
                     proto->sr_threshold().runtime_key()};
    if (out.threshold.otherwise < 1) {
      return absl::InvalidArgumentError("Success rate threshold cannot be less than 1.0%.");
    }
  }
  if (proto->has_max_rejection_probability()) {
    out.most_rejected = {proto->max_rejection_probability().default_value().value(),
                         proto->max_rejection_probability().runtime_key()};
  }
  if (proto->has_rps_threshold()) {
    out.least_rate = {static_cast<double>(proto->rps_threshold().default_value()),
                      proto->rps_threshold().runtime_key()};
  }
  const auto& criteria = proto->success_criteria();
  if (criteria.has_http_criteria()) {
    out.good_statuses.clear();
    for (const auto& range : criteria.http_criteria().http_success_status()) {
      if (range.start() < 100 || range.end() > 600 || range.start() > range.end()) {
        return absl::InvalidArgumentError("invalid HTTP range");
      }
      out.good_statuses.emplace_back(range.start(), range.end());
    }
  }
  if (criteria.has_grpc_criteria()) {
    const auto& statuses = criteria.grpc_criteria().grpc_success_status();
    out.good_grpc.assign(statuses.begin(), statuses.end());
  }
  constexpr int64_t kDefaultWindow = 30;
  out.window = std::make_unique<Window>(
      proto->has_sampling_window() ? proto->sampling_window().seconds() : kDefaultWindow);
  return std::make_shared<AdmissionControlFactory>(std::move(out));
}

}  // namespace

HttpFilterType AdmissionControlFilterType() {
  return {
      "envoy.extensions.filters.http.admission_control.v3.AdmissionControl", &Make, {}, nullptr};
}

}  // namespace remora
